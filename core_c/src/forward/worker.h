// One thread's view of a pass, and what every block is made of: shares of the work, barriers, prepared rows, products.
#pragma once
#include <string.h>
#include "batch.h"
#include "workspace.h"

typedef struct worker {
    batch *b;
    gemel_model *m;
    workspace *s;
    const kernels *k;
    int ith, nth;
    int n;             // rows it works on
    int at;            // which is the first of the batch's
    const int *kept;   // [n] which of the batch's rows they are; NULL: all of them
    int il;            // layer, or -1
    stopwatch *watch;
    int *n_deals;   // of this thread, so far in the pass
} worker;

typedef struct block {   // half a layer, in two phases: a row that nothing is wanted of ends after the first
    void (*put)(worker *w, const layer *l);    // what it puts into the cache; NULL: nothing
    void (*take)(worker *w, const layer *l);   // what it makes of it, added to the residual stream
} block;
extern const block attention_block, mla_block, conv_block, delta_block, mamba_block, both_block, rwkv_block;
extern const block gated_block, plain_block, channel_block, experts_block, beside_block;
void output(worker *w);   // what is wanted, after the last layer

static inline int pad_to(int n, int to) { return (n + to - 1) / to * to; }
static inline int share(int n, int ith, int nth) { return (int)((int64_t)n * ith / nth); }
// A row's place in the batch.
static inline int row_of(const worker *w, int t) { return w->kept ? w->kept[t] : w->at + t; }
static inline row *row_at(const worker *w, int t) { return &w->b->rows[row_of(w, t)]; }
static inline void row_is_bad(const worker *w, int t) { atomic_store(&row_at(w, t)->bad, 1); }
static inline float *stream_at(const worker *w, int t) { return w->s->x + (size_t)t * (size_t)w->m->n_embd; }
// Rows that this thread works on, when there are several; with one row every thread works on it.
static inline int rows_from(const worker *w) { return w->n == 1 ? 0 : share(w->n, w->ith, w->nth); }
static inline int rows_to(const worker *w) { return w->n == 1 ? 1 : share(w->n, w->ith + 1, w->nth); }

// What this thread did since its last mark was `op`.
static inline void mark(const worker *w, int op) { stopwatch_mark(w->watch, op, w->il, w->n); }
static inline void meet(const worker *w) {   // barrier: wait for all threads of the pass
    if (w->nth > 1) threads_meet(w->m->pool);
    mark(w, GEMEL_OP_WAIT);
}

// Panels of a product, dealt out to the threads. With several rows, a thread takes a run of panels at a time, since
// cores differ in speed: large runs first, then ever smaller ones. With one row each thread has one share, adjacent in
// memory. All threads call deal_out for the same panels, with a barrier before they call it again.
enum { RUNS_MAX = 64 };   // of one deal and all threads: deal_out makes runs long enough
typedef struct deal {
    atomic_int *next;   // the first panel that no thread has; NULL: shares
    int total;          // panels
    int least, parts;   // panels of a run: at least, and 2 / parts of those that are left
    int from, to;       // the current run
    int is_taken;       // the share
} deal;
deal deal_out(const worker *w, int total, int unit);   // shares are of a multiple of `unit` panels, 1 or 2; runs of 2
int deal_take(deal *d);                                // 1: d->from..d->to-1 is this thread's; 0: there are no more

// y = the norm of row t's x[n]; a row whose statistics are Inf or NaN is bad. y may be x.
void norm_row(const worker *w, const norm *norm, int t, const float *x, int n, float *y);
// Keep the stream as it enters a layer whose halves are parallel, for feed-forward, which reads it later; by share.
static inline void keep_stream(const worker *w, const layer *l) {
    for (int t = w->ith; l->is_parallel && t < w->n; t += w->nth)
        memcpy(w->s->x0 + (size_t)t * (size_t)w->m->n_embd, stream_at(w, t), sizeof(float) * (size_t)w->m->n_embd);
}
// Norm (where `norm` is on) and quantise rows x[n][ld] once for all products that read them. With one row every thread
// does it for itself, which is cheaper than a barrier. x must be complete for all threads; all rows are done on return.
acts prepare(const worker *w, const float *x, size_t ld, int width, const norm *norm, int quantise);

// Panels p0..p1-1 of y[n][ld] = W a + bias, the only place where weights are multiplied.
void multiply_into(const worker *w, const linear *l, const acts *a, int p0, int p1, float *y, size_t ld);
void multiply(const worker *w, const linear *l, const acts *a, int p0, int p1, float *y);   // ld: padded to panels
// Several products of one input: their panels, side by side, are split among the threads.
typedef struct product {
    const linear *l;
    float *y;   // [n][n_panels * 16]
} product;
void multiply_all(const worker *w, const acts *a, const product *p, int count, int op);
// Add columns from..to-1 of row t's y, multiplied by layer l's scale, to the residual stream. They are of the half with
// the norm `after`; where that is feed-forward, and the layer has out_scale, the stream is then multiplied by it.
void add_columns(const worker *w, const layer *l, const norm *after, int t, int from, int to, float *y);
// The same for whole rows y[n][ld], normed first. All threads call it, and a barrier must be before.
void add_normed(const worker *w, const layer *l, const norm *after, const float *y, size_t ld);
// The columns of a row that this thread adds, where rows are normed whole: with one row, its share of them.
static inline int columns_from(const worker *w) { return w->n == 1 ? share(w->m->n_embd, w->ith, w->nth) : 0; }
static inline int columns_to(const worker *w) {
    return w->n == 1 ? share(w->m->n_embd, w->ith + 1, w->nth) : w->m->n_embd;
}
// Add a half of layer l to the residual stream: W a + bias, then its norm `after` and the layer's scale, where it has
// them. A barrier must follow.
void add_half(const worker *w, const layer *l, const linear *p, const acts *a, const norm *after, int op);
