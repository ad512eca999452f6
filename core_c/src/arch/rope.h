// RoPE tables: from a scaling rule and a file's factors to an angle per position and pair.
#pragma once
#include "../model/model.h"

// Fill the frequencies of every table, once the file's factors are in. GEMEL_E_MEMORY.
int rope_fill(gemel_model *m);
void rope_close(gemel_model *m);
// 1: a session of n_ctx positions takes the tables of long contexts.
int rope_is_long(const gemel_model *m, int n_ctx);
