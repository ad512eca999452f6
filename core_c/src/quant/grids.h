// The grids of IQ1, IQ2 and IQ3 (grid_tables.c), which grids.c and the packers read.
#pragma once
#include <stdint.h>

extern const uint16_t iq2_xxs_grid[256];
extern const uint16_t iq2_xs_grid[512];
extern const uint16_t iq2_s_grid[1024];
extern const uint16_t iq3_xxs_grid[256];
extern const uint16_t iq3_s_grid[512];
extern const uint16_t iq1_grid[2048];
