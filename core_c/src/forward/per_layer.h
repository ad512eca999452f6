// Embeddings that each layer has for itself: what a row's id is in a second table, added after feed-forward.
#pragma once
#include "worker.h"

// Before the first layer of a pass: each row's embeddings of the pass's layers. Rows have ids. All threads call it.
void per_layer_fill(const worker *w);
// After a layer's feed-forward. All threads call it, after a barrier; another is at its end.
void per_layer_take(const worker *w, const layer *l);
// Row t's embedding as it enters layer 0, x[n_embd], of its id.
void embed_id(const worker *w, int t, float *x);
