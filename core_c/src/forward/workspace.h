// The buffers of a pass: one set per model, used by the pass that runs on its threads. Rows are padded to whole panels.
#pragma once
#include "../model/model.h"
#include "../sample/sampler.h"

enum {
    ROWS_AT_ONCE = 16,              // rows whose logits are computed together
    AHEAD_MAX = ROWS_AT_ONCE - 1,   // rows that a session evaluates ahead in a pass: with the row before them
    AHEAD_SIZE = 1 << 23,           // bytes of their logits, at most
};

typedef struct peak_seen {
    logits_peak peak;
    int is_good;   // all logits are finite
} peak_seen;

typedef struct workspace {
    char *memory;
    int n_threads;       // for which the private ones were made
    size_t n_partials;   // floats
    int n_logits;        // rows
    int n_wide;          // rows
    char *wide;          // of a pass of more than n_batch rows: x, x0, heads and rope_cs of all its rows
    float *x;            // [n][n_embd]            residual stream
    float *x0;           // [n][n_embd]            as it entered a layer whose halves are parallel; NULL: none are
    float *y;            // [n][embd_pad]          a projection on its way into x
    float *norm;         // [n or n_threads][embd_pad]   normed rows
    float *q, *k, *v;    // [n][q_pad], [n][k_pad], [n][v_pad]   projections
    float *heads;        // [n][n_head * k_pad]    q after RoPE, scaled, heads padded
    float *att;          // [n][n_head * v_pad]    attention's output
    float *inner;        // [n][inner_pad]         what Mamba makes; NULL if no layer has it
    float *mixed;        // [n or n_threads][mixed_pad]  what RWKV-7's matrices read; NULL if no layer has them
    float *first;        // [n][n_first]           what layer 0 makes for all layers; NULL if they don't need it
    float *partials;     // [n_head][blocks][KV_PARTIAL_HEAD + v_dim]    where threads share one row's attention
    float *gate, *up;    // [n][ff_pad]
    float *route;        // [n][pad(n_expert)]     a router's logits
    float *shared;       // [n][16]                the logit of the shared expert's weight
    float *scores;       // [n_threads][2][pad(n_expert)]   a thread's own
    int *chosen;         // [n or n_threads][n_used]        experts of a row, ascending
    float *weights;      // [n or n_threads][n_used + 1]    their weights; the shared one's
    int *starts;         // [n_threads][n_expert + 1]       where an expert's rows begin in `order`
    int *order;          // [n_threads][n * n_used]         places in `chosen`, by expert, then by row
    float *picked_x;     // [n * n_used][n_embd]   what experts read, where it is floats
    float *mix;          // [n][embd_pad]          the sum over experts
    float *beside;       // [n][embd_pad]          what a dense feed-forward beside experts makes; NULL: there is none
    float *joined;       // [n_threads][embd_pad]  a row of it, normed
    float *per_layer;    // [n][n_layer][n_per_layer]       each layer's own embeddings; NULL if the model has none
    float *table;        // [n_threads][n_layer][n_per_layer]   an id's row of their table
    float *rope_cs;      // [n][rope_width]        cos, sin of every table: see fill_rope in forward.c
    float *logits;       // [n_logits][vocab_pad]
    peak_seen *peaks;    // [n_threads][ROWS_AT_ONCE]       of the logits that a thread made
    atomic_int *dealt;   // [2]                    panels that threads have taken: see deal_out in worker.h
    int *kept;           // [n]                    rows that go on after the last layer's keys and values
    acts picked;         // what experts read: regions of an expert's rows, by expert
    acts in, mid;        // activations quantised once for each group of products: of width n_embd, q; of width n_ff
    acts *own;           // [n_threads]            a thread's own, when there is one row
} workspace;

// Open the model's workspace for its number of threads, with room for n_partials floats, a pass of n_rows rows, and
// n_logits rows of logits, but at least one row where memory is short.
int workspace_open(gemel_model *m, size_t n_partials, int n_rows, int n_logits);   // GEMEL_E_MEMORY
// Of a pass of n_rows rows, more than n_batch: the buffers of the rows from `at` on.
workspace workspace_view(const gemel_model *m, int n_rows, int at);
// Of a pass of at most n_batch / n_threads rows by thread ith alone: the buffers of its rows.
workspace workspace_part(const gemel_model *m, int ith);
size_t workspace_wide_size(const gemel_model *m, int n_rows);   // bytes beside workspace_size; 0 up to n_batch
void workspace_close(gemel_model *m);
size_t workspace_size(const gemel_model *m, int n_threads);   // bytes, without partials; 0: more than size_t holds
