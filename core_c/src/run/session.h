// A session: its ids, their KV cache, and the last id's residual stream, with logits once they are asked for.
#pragma once
#include <stdatomic.h>
#include "../forward/batch.h"

typedef struct preload {   // ids that are evaluated layer by layer; they are in the session's ids, while n_past is 0
    int n;                 // how many; 0: none
    int il, at;            // layers [0, il) are done, and of layer il the tokens [0, at)
    float *x;              // [n][n_embd]         residual streams
    float *rope_cs;        // [n][rope_width]     cos, sin
} preload;

struct gemel_session {
    gemel_model *m;
    int n_ctx, n_past;
    int32_t *ids;   // [n_ctx]; -1: the position was given as an embedding
    kv_cache kv;
    float *stream;      // [n_embd] of the last id, after the last layer
    float *logits;      // [vocab_pad], once asked for
    logits_peak peak;   // theirs
    int has_stream, has_logits;
    preload preload;
    atomic_int cancel, *flag;   // flag: a word that outlives the session, where others cancel it; or NULL
    atomic_int holders;         // the host, and passes that it takes part in; the last one to release it frees it
    char carry[4];              // bytes of an incomplete character
    int n_carry;
    profile profile;
};

static inline int session_cancelled(const gemel_session *s) {
    return atomic_load(&s->cancel) || (s->flag && atomic_load(s->flag));
}

// n ids may be evaluated in this session: 0, GEMEL_E_ARGUMENT or GEMEL_E_CONTEXT.
int session_check_ids(const gemel_session *s, const int32_t *ids, size_t n);
// Prepare a pass: reserve pages for n positions after n_past; nothing may be preloading. 0 or an error.
int session_reserve(gemel_session *s, int n);
// Row i of a pass whose rows are the ids after n_past; nothing is wanted of it.
row session_row(gemel_session *s, int i, int32_t id);
// Have the pass keep the last row's stream for the session, and its logits where `logits`.
int session_keep_last(gemel_session *s, row *r, int logits);   // GEMEL_E_MEMORY
// Have the pass write what the n rows of these ids give: hidden[n][n_embd]; of each id after the first its
// log-probability and the most likely id in its place, where not NULL.
void session_ask_hidden(const gemel_session *s, row *rows, int n, float *hidden);
void session_ask_scores(row *rows, const int32_t *ids, int n, double *log_probs, int32_t *top);
// The same of the first id, before the pass, from the session's logits. Of an empty session: 0, and -1.
int session_score_first(gemel_session *s, int32_t id, double *log_prob, int32_t *top);
// Count n evaluated rows. ids NULL: they were embeddings.
void session_count(gemel_session *s, const int32_t *ids, int n, const row *last);
void session_forget_last(gemel_session *s);   // drop its stream and logits
int session_make_logits(gemel_session *s);    // GEMEL_E_ARGUMENT: nothing was evaluated
void session_hold(gemel_session *s);
void session_drop(gemel_session *s);
void preload_drop(gemel_session *s);
