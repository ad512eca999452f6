// The place of recurrent layers in a session's state.
#pragma once
#include "../model/model.h"
#include "keys.h"

// Give layer l the next n floats. An error in r: a session's state would have over 1 GB.
void layer_take_state(gemel_model *m, keys *r, layer *l, uint64_t n);
