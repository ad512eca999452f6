// A session: ids so far, their KV cache, the logits of the last of them, and the buffers of a micro-batch.
#pragma once
#include <stdatomic.h>
#include "../cache/kv.h"
#include "../model.h"
#include "../profile.h"

typedef struct buffers {   // of a micro-batch of n_batch tokens; rows padded to whole panels of 16
    float *memory;
    int n_threads;      // for which the private ones were made
    float *x;           // [n][n_embd]            residual stream
    float *y;           // [n][embd_pad]          a projection on its way into x
    float *norm;        // [n or n_threads][embd_pad]   normed rows
    float *q, *k, *v;   // [n][q_pad], [n][kv_pad]      projections
    float *heads;       // [n][n_head * dim]      q after RoPE, scaled, heads padded to dim
    float *att;         // [n][n_head * dim]      attention's output
    float *parts;       // [n_head][blocks of n_ctx][KV_PART + dim]   where threads share one token's attention
    float *gate, *up;   // [n][ff_pad]
    float *angles;      // [n][2][n_rot]          cos, sin: see forward.c
    float *rows;        // [ROWS_SCORED][vocab_pad]   logits of rows being scored
    acts in, mid;       // activations quantised once for each group of matmuls: of width n_embd, q; of width n_ff
    acts *own;          // [n_threads]            a thread's own, when there is one token
} buffers;
enum { ROWS_SCORED = 16 };

typedef struct ahead {   // ids that are evaluated a layer at a time; they stand in the session's ids, n_past is 0
    int n;               // how many; 0: none are
    int il, at;          // layers [0, il) are done, and of layer il the tokens [0, at)
    float *x;            // [n][n_embd]         residual streams
    float *angles;       // [n][2][n_rot]       cos, sin
} ahead;

struct gemel_session {
    gemel_model *m;
    int n_ctx, n_past, dim;   // dim: head_dim padded to 32
    int32_t *ids;             // [n_ctx]
    kv_cache kv;
    double *freq;                // [n_rot / 2]
    float rope_scale, q_scale;   // of cos and sin; of queries, as attend_args has it
    buffers b;
    float *logits;   // [vocab_pad]
    int has_logits;
    ahead ahead;
    atomic_int cancel, *flag;   // flag: a word that outlives the session, where others cancel it; or NULL
    char carry[4];              // bytes of a character that is not whole yet
    int n_carry;
    profile profile;
};

static inline int session_cancelled(const gemel_session *s) {
    return atomic_load(&s->cancel) || (s->flag && atomic_load(s->flag));
}

typedef enum want { WANT_NOTHING, WANT_LAST, WANT_EACH, WANT_SCORE, WANT_HIDDEN } want;
typedef struct batch {   // one call of forward
    gemel_session *s;
    gemel_session *const *each;   // [n]   the session of every row, all of one model: the next token of each; or NULL
    atomic_int *bad;              // out: with `each`, rows that met Inf or NaN; s lends the buffers
    const int32_t *ids;
    int n, pos;      // tokens, position of the first
    int from, to;    // layers; ids become x before layer 0, what is wanted is computed after the last
    int n_kept;      // rows of x asked for after the last layer: n, the last one (moved to row 0), or 0
    float *x;        // [n][n_embd]         residual stream
    float *angles;   // [n][2][n_rot]       cos, sin; filled before layer 0
    want want;
    float *hidden;       // WANT_HIDDEN: [n][n_embd]
    double *log_probs;   // WANT_SCORE: of ids[i], [n]; either may be NULL
    int32_t *top;
    atomic_int not_finite;   // out: some logit or hidden value is Inf or NaN
    atomic_int stopped;      // out: s was cancelled: later layers and the output are left undone
} batch;

// Evaluate b->n (1..n_batch) tokens at b->pos, whose KV pages exist, through layers [from, to). Leaves the last one's
// logits in s->logits (WANT_LAST, WANT_SCORE), or each one's in its session's (WANT_EACH). Does not touch n_past.
// Stops after the layer in which s is cancelled, but with `each`.
void forward(batch *b);
// n ids may be evaluated in this session: 0, GEMEL_E_ARGUMENT or GEMEL_E_CONTEXT.
int session_check_ids(const gemel_session *s, const int32_t *ids, size_t n);
void ahead_drop(gemel_session *s);
int session_reserve_rows(gemel_session *s);   // make b.rows
int buffers_open(gemel_session *s);           // make or remake the buffers for the model's threads
void buffers_close(gemel_session *s);
