// A session: its ids, their KV cache, and the last id's residual stream, with logits once they are asked for.
#pragma once
#include <stdatomic.h>
#include "../cache/states.h"
#include "../draft/length.h"
#include "../draft/repeats.h"
#include "../forward/batch.h"
#include "../forward/workspace.h"

typedef struct preload {   // ids that are evaluated layer by layer; they are in the session's ids, while n_past is 0
    int n;                 // how many; 0: none
    int il, at;            // layers [0, il) are done, and of layer il the tokens [0, at)
    float *x;              // [n][n_embd]         residual streams
    float *rope_cs;        // [n][rope_width]     cos, sin
    float *first;          // [n][n_first]        what layer 0 makes for all layers
} preload;

// Rows that a pass evaluates ahead: ids that a source proposes to follow are rows beside those that were asked for. A
// step with an id that was evaluated ahead needs no pass. It draws from the same logits as it would after one, so
// nothing except time changes.
typedef struct proposal {
    int n_ids, n;   // ids, and how many of them to evaluate
    double speed;   // ids per unit of time with these: the fastest source is used
    int32_t ids[AHEAD_MAX];
    int kinds[AHEAD_MAX];   // what the source notes when one of them is drawn, or another id
} proposal;

typedef struct drafter {   // a draft model's part in this session
    gemel_session *s;      // of the draft model, with the first of this session's ids; NULL until it is needed
    sampler_place place;   // the sampler's, while ids are drafted
    float *logits;         // [n_vocab], where the draft has fewer ids; NULL before
    int n_drawn;           // ids since the last prompt
    float left;            // share of the last of these that no other source had proposed, 0..1
} drafter;

typedef struct ahead {
    int n, at;                          // positions after n_past: of ids[at..n)
    int source;                         // of the table in ahead.c: whose ids these are
    proposal now;                       // the ids: those from n on were proposed, and not evaluated
    proposal others[GEMEL_N_SOURCES];   // what other sources proposed first: n_ids is 1 where one did
    logits_peak peaks[AHEAD_MAX];
    float *streams, *logits[AHEAD_MAX];   // [AHEAD_MAX][n_embd], [vocab_pad]; NULL before a row needed them
    state *states[AHEAD_MAX];             // after each of ids[at..n), where the model has recurrent layers
    int trust;                            // of forced text: how many to try, fewer after ids that were not drawn
    repeats text;                         // the session's ids
    int n_same;                           // how many of these surely are
    chances chances, forced;
    drafter drafter;
    atomic_int n_proposed[GEMEL_N_SOURCES], n_taken[GEMEL_N_SOURCES];   // rows, and ids drawn of them, modulo 2^31
} ahead;

struct gemel_session {
    gemel_model *m;
    int n_ctx, n_past;
    int32_t *ids;   // [n_ctx]; -1: the position was given as an embedding
    kv_cache kv;
    states states;      // of recurrent layers: after n_past ids, or after fewer until session_catch_up
    float *stream;      // [n_embd] of the last id, after the last layer
    float *logits;      // [vocab_pad], once asked for
    logits_peak peak;   // theirs
    int has_stream, has_logits;
    preload preload;
    ahead ahead;
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
// Prepare a pass: reserve pages and states for n positions after n_past; nothing may be preloading. 0 or an error.
int session_reserve(gemel_session *s, int n);
// Before the first pass after a cut: evaluate again the ids since the last checkpoint, for their states. 0 or an error.
int session_catch_up(gemel_session *s);
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
// As gemel_session_eval of one id; what the sampler's grammar forces after it is evaluated ahead.
int session_eval_next(gemel_session *s, int32_t id, gemel_sampler *sampler);
void session_hold(gemel_session *s);
void session_drop(gemel_session *s);
void preload_drop(gemel_session *s);

// ---- Rows that are evaluated ahead: ahead.c ----

// Add rows of proposed ids behind the session's n rows of a pass, where its pages are reserved: at most `room`, which
// the batch has left beside all rows, and as many as its context has. Returns how many; 0 also without memory.
int ahead_add(gemel_session *s, gemel_sampler *sampler, row *rows, int n, int room);
// After the pass, and after the n rows were counted: keep what the added rows gave.
void ahead_keep(gemel_session *s, const row *added, int n);
// 1: the id was evaluated ahead; it is counted now, and its logits are there. 0: nothing changed.
int ahead_take(gemel_session *s, int32_t id);
// After a draw: 1 if ahead_take would take this id. Otherwise what was evaluated ahead is forgotten.
int ahead_settle(gemel_session *s, int32_t drawn);
void ahead_forget(gemel_session *s);   // its positions will have other ids
void ahead_drop(gemel_session *s);     // the same, and free the memory

// ---- A draft model: drafter.c ----

// What a pass of a session is, for the sources of ids that may follow.
typedef struct asked_ahead {
    gemel_sampler *sampler;   // it draws the ids that follow
    const row *rows;          // [n] of this session
    int n, all, max;          // rows of the pass in all; the most ids that may be proposed
    double speed;             // ids per unit of time without this source
} asked_ahead;
static inline int32_t asked_id(const gemel_session *s, const asked_ahead *a, int i) {   // of all, the pass's included
    return i < s->n_past ? s->ids[i] : a->rows[i - s->n_past].id;
}
void drafter_propose(gemel_session *s, const asked_ahead *a, proposal *p);
void drafter_note(gemel_session *s, int kind, int is_drawn);
void drafter_count(drafter *d, int is_first, int is_left);   // an id was drawn, see `left`
void drafter_cut(gemel_session *s, int n_past);              // free what the cache has of later ids
void drafter_share(gemel_session *to, const gemel_session *from, int n_past);
void drafter_drop(gemel_session *s);
