// A batch: rows that go through the layers together. A row is one position of one session's cache: the
// next token of one of many sessions, a token of a prompt's chunk, a token of a draft.
#pragma once
#include "../sample/sampler.h"
#include "../model/model.h"
#include "profile.h"

// What is wanted after the last layer, any combination. A row that nothing is wanted of ends with its K and V.
enum {
    WANT_STREAM = 1,   // the residual stream into `stream`, before the output norm
    WANT_HIDDEN = 2,   // the normed row into `hidden`
    WANT_LOGITS = 4,   // logits into `logits`, and *peak
    WANT_SCORE = 8,    // log p(target) into *log_prob and the most likely id into *top; either may be NULL
    WANT_DRAW = 16,    // an id drawn by `sampler` into *drawn, and its bytes
};

typedef struct text_out {   // complete characters of the ids drawn so far
    char *text;
    int32_t capacity, size;
    char *carry;   // [4] bytes of an incomplete character
    int *n_carry;
    int flags;   // of gemel_piece
} text_out;

typedef struct row {
    kv_cache *cache;
    int32_t id;               // token; -1: `in` is given
    const float *in;          // [n_embd] what enters the first layer of the pass: an embedding, or a residual stream
    int at;                   // its position: its place in the cache
    int pos[3];               // what RoPE turns by: of text, three times `at`
    int seen_to;              // it sees positions before this one: at + 1 in a decoder, the text's length in an encoder
    const float *state_in;    // of recurrent layers: after the ids before it, NULL: zeros
    float *state_out;         // and after it; those of a cache's next row are the same, or state_in is this one
    int type;                 // the part of the text it belongs to, where the model tells them apart
    unsigned wanted;          // WANT_*
    int32_t target;           // WANT_SCORE
    gemel_sampler *sampler;   // WANT_DRAW
    float *stream, *hidden, *logits;
    logits_peak *peak;
    double *log_prob;
    int32_t *top, *drawn;   // *drawn: an id, or a negative gemel_error
    text_out *text;
    atomic_int bad;   // out: it met Inf, NaN, or a number that is too large for attention
} row;

typedef struct batch {
    gemel_model *m;
    row *rows;      // [n]
    int n;          // 1..n_batch; of an encoder, any number
    int from, to;   // layers
    float
        *rope_cs;   // [n][rope_width] cos and sin, kept by the caller from one pass to the next; NULL: the workspace's
    float *first;   // [n][n_first] what layer 0 makes for all layers, likewise
    int has_rope;   // they are filled already
    int is_short;   // short: may run on one thread
    atomic_int *cancel, *flag;   // when one is set, the pass stops after the layer it is in; either may be NULL
    profile *profile;            // or NULL
    // out
    int code;             // GEMEL_OK, or GEMEL_E_MEMORY: nothing was done
    int n_logits;         // rows whose logits it makes
    atomic_int stopped;   // cancelled: later layers and the output are left undone
} batch;

// Evaluate the rows, whose cache pages are reserved, through layers [from, to). What is wanted is made when `to` is the
// end of the model (WANT_STREAM: at any layer). Rows of one cache are adjacent, in ascending order of positions.
void forward(batch *b);

// Many batches of short texts, each by one thread alone, which waits for no other: `each` runs on every thread and
// calls forward_alone for batches of at most forward_rows rows.
typedef void forward_each(void *arg, int ith);
int forward_apart(gemel_model *m, forward_each *each, void *arg);   // GEMEL_E_MEMORY: nothing was done
void forward_alone(batch *b, int ith);
int forward_rows(const gemel_model *m);   // 0: this model or its number of threads has no such passes
