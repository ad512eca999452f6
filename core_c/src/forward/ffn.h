// Feed-forwards that a layer joins: see beside.c.
#pragma once
#include "worker.h"

// What a gated feed-forward makes of the rows, y[n][embd_pad], not normed and not added. A barrier must follow.
void gated_into(const worker *w, const layer *l, float *y);
// The sum over the layer's experts, into `mix`. A barrier must follow.
void experts_mix(const worker *w, const layer *l);
