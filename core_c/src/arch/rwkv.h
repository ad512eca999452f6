// RWKV-7's numbers: what a file says of a layer's time mix, and what follows from it.
#pragma once
#include "keys.h"
#include "../model/model.h"

void rwkv_read(gemel_model *m, keys *r, layer *l);
void rwkv_finish(gemel_model *m, layer *l);
