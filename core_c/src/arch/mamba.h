// A file's metadata becomes the numbers of a layer that is a selective state space.
#pragma once
#include "../model/model.h"
#include "bounds.h"
#include "keys.h"

enum { FIRST_STATE_MAX = 256 };   // numbers of a channel of Mamba-1

// Read the numbers of layer l, and give it a place in a session's state. is_first: Mamba-1, else Mamba-2.
void mamba_read(gemel_model *m, keys *r, layer *l, int is_first);
void mamba_finish(model_totals *t, const layer *l);   // what follows from them
// Floats of the convolution's state, and of the channels' numbers; the latter begin after the former.
size_t mamba_conv_state(const mamba *x);
size_t mamba_scan_state(const mamba *x);
