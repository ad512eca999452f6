// The numbers of gated delta nets, from metadata.
#pragma once
#include "../model/model.h"
#include "keys.h"

int delta_is_at(gemel_model *m, keys *r, int il);             // layer il has one in the place of attention
void delta_read(gemel_model *m, keys *r, layer *l, int il);   // into l, which takes its place in the state
void delta_finish(gemel_model *m, layer *l);                  // what follows: widths of buffers
