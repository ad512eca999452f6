// Convolutions of recurrent layers: each channel over its last positions. The session's state has those before a row's.
#pragma once
#include "worker.h"

typedef struct conv_args {
    const float *w;           // [n][n_taps]
    int n_taps, n;            // n: channels
    size_t state_at;          // where the layer's state has [n_taps - 1][n]
    const float *b, *c, *x;   // of each row, ld after those of the row before: see short_conv of kernels.h
    size_t ld;
    float *y;
    size_t y_ld;
} conv_args;
// Channels from..to-1 of all rows, in their order; a row with Inf or NaN is bad.
void convolve(const worker *w, const conv_args *a, int from, int to);
// The channels of n that this thread convolves: from, and to of the next thread's.
static inline int channels_from(const worker *w, int n, int ith) {
    int at = 16 * share((n + 15) / 16, ith, w->nth);
    return at < n ? at : n;
}
