// What the blocks with attention have in common: RoPE, the cache, scores and values, the output projection.
#pragma once
#include "worker.h"

float scale_of(const worker *w, const attention *a, int t);   // what a query of row t is multiplied by
// y[0..padded) = x[n] of row t after RoPE, scaled, padded with zeros.
void rope_head(const worker *w, const attention *a, int t, const float *x, int n, float scale, float *y, int padded);
// Prefetch what the stores of row t will write, where no other row has fetched it.
void expect_key_values(const worker *w, const attention *a, int t);
// KV head ih of row t into the cache, rounded to its type: a key padded with zeros, and v[v_dim].
void store_key_value(const worker *w, const attention *a, int t, int ih, const float *key, const float *v);
// s->att [n][n_head * padded v_dim] of the queries s->heads [n][n_head * padded k_dim]; a barrier follows.
void attend(const worker *w, const attention *a);
// Multiply heads[n][n_head * padded dim], complete for all threads, by the output projection, and add it to the stream;
// a barrier follows.
void add_heads(const worker *w, const layer *l, const float *heads, int dim);
