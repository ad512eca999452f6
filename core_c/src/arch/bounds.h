// The largest numbers of a layer that a file may have.
#pragma once
#include "../kernels/kernels.h"

enum { HEAD_DIM_MAX = ATTEND_DIM, N_HEAD_MAX = 4096, TAPS_MAX = 64 };
