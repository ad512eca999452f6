// A session's life and its timeline: open, append, truncate, fork. Micro-batches go to forward; cancellation is checked
// between micro-batches and between layers.
#include "session.h"
#include <stdlib.h>
#include <string.h>
#include "../arch/rope.h"
#include "../cpu.h"
#include "../forward/output.h"
#include "../memory.h"

// ---- Life ----------------------------------------------------------------------------------------------------------

static int set_kv(gemel_session *s, int type) {   // the cache again, empty
    kv_cache kv;
    int code = kv_open(&kv, s->m->classes, s->m->n_classes, type, s->n_ctx);
    if (code < 0) return code;
    kv_close(&s->kv);
    s->kv = kv;
    s->kv.is_long = rope_is_long(s->m, s->n_ctx);
    return GEMEL_OK;
}

int gemel_session_set(gemel_session *s, int option, int value) {
    if (!s || option != GEMEL_SESSION_KV_TYPE || s->n_past || s->preload.n) return GEMEL_E_ARGUMENT;
    if (value == GEMEL_KV_DEFAULT) value = s->m->kv_type;
    if (value != GEMEL_KV_F32 && value != GEMEL_KV_F16 && value != GEMEL_KV_Q8_0) return GEMEL_E_ARGUMENT;
    if (value == GEMEL_KV_Q8_0 && s->m->is_encoder) return GEMEL_E_UNSUPPORTED;
    return set_kv(s, value);
}

int gemel_session_kv_type(const gemel_session *s) { return s ? s->kv.type : GEMEL_E_ARGUMENT; }

int gemel_session_open(gemel_model *m, int n_ctx, gemel_session **out) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    if (!m || n_ctx < 1 || n_ctx > m->n_ctx_train || atomic_load(&m->n_whole) < 0) return GEMEL_E_ARGUMENT;
    gemel_session *s = calloc(1, sizeof *s);
    if (!s) return GEMEL_E_MEMORY;
    s->m = m;
    s->n_ctx = n_ctx;
    atomic_init(&s->holders, 1);
    s->ids = calloc((size_t)n_ctx, sizeof *s->ids);
    s->stream = memory_get((size_t)m->n_embd * sizeof *s->stream);
    int code = s->ids && s->stream ? set_kv(s, m->kv_type) : GEMEL_E_MEMORY;
    if (code == GEMEL_OK) code = states_open(&s->states, m->n_state, &m->cache_size);
    if (code < 0) {
        gemel_session_close(s);
        return code;
    }
    *out = s;
    return GEMEL_OK;
}

void session_hold(gemel_session *s) { atomic_fetch_add(&s->holders, 1); }

void session_drop(gemel_session *s) {
    if (atomic_fetch_sub(&s->holders, 1) > 1) return;
    preload_drop(s);
    ahead_drop(s);
    drafter_drop(s);
    kv_close(&s->kv);
    states_close(&s->states);
    memory_free(s->logits);
    memory_free(s->stream);
    free(s->ids);
    free(s);
}

void gemel_session_close(gemel_session *s) {
    if (s) session_drop(s);
}

// How many of n positions can be kept: n or 0. An encoder's positions have seen all others. Ids that follow the last
// checkpoint are evaluated again, which embeddings and pages that a window freed don't allow.
static int kept_of(const gemel_session *s, int n) {
    if (s->m->is_encoder && n < s->n_past) return 0;
    int from = s->states.n ? states_find(&s->states, n) : n;
    for (int i = from; i < n; i++)
        if (s->ids[i] < 0) return 0;
    return kv_keep(&s->kv, from) < from ? 0 : kv_keep(&s->kv, n);
}

int gemel_session_fork(const gemel_session *s, int n_past, gemel_session **out) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    if (!s || n_past < 0 || n_past > s->n_past || s->preload.n) return GEMEL_E_ARGUMENT;
    if (kept_of(s, n_past) < n_past) return GEMEL_E_UNSUPPORTED;
    gemel_session *to;
    int code = gemel_session_open(s->m, s->n_ctx, &to);
    if (code == GEMEL_OK && to->kv.type != s->kv.type) code = set_kv(to, s->kv.type);
    int is_end = n_past == s->n_past, needs_logits = is_end && s->has_logits && !s->has_stream;
    size_t logits_size = (size_t)s->m->output.w.n_panels * 16 * sizeof(float);
    if (code == GEMEL_OK && needs_logits && !(to->logits = memory_get(logits_size))) code = GEMEL_E_MEMORY;
    if (code < 0) {
        gemel_session_close(to);
        return code;
    }
    kv_share(&to->kv, &s->kv, n_past);
    states_share(&to->states, &s->states, n_past);
    drafter_share(to, s, n_past);
    memcpy(to->ids, s->ids, (size_t)n_past * sizeof *s->ids);
    to->n_past = n_past;
    to->has_stream = is_end && s->has_stream;
    to->has_logits = needs_logits;
    if (to->has_stream) memcpy(to->stream, s->stream, (size_t)s->m->n_embd * sizeof(float));
    if (needs_logits) memcpy(to->logits, s->logits, logits_size), to->peak = s->peak;
    if (is_end) memcpy(to->carry, s->carry, sizeof s->carry), to->n_carry = s->n_carry;
    *out = to;
    return GEMEL_OK;
}

int gemel_session_n_past(const gemel_session *s) { return s ? s->n_past : GEMEL_E_ARGUMENT; }
int gemel_session_n_ctx(const gemel_session *s) { return s ? s->n_ctx : GEMEL_E_ARGUMENT; }
const int32_t *gemel_session_ids(const gemel_session *s) { return s ? s->ids : NULL; }

int gemel_session_pages(const gemel_session *s, int *n_shared) {
    int shared;
    if (!s) return GEMEL_E_ARGUMENT;
    int n = kv_pages_held(&s->kv, &shared);
    if (n_shared) *n_shared = shared;
    return n;
}

int gemel_session_rope_table(const gemel_session *s) { return s ? s->kv.is_long : GEMEL_E_ARGUMENT; }

void gemel_session_cancel(gemel_session *s, int on) {
    if (!s) return;
    atomic_store(&s->cancel, on != 0);
    if (s->flag && !on) atomic_store(s->flag, 0);
}

int gemel_session_profile(gemel_session *s, double *events, size_t capacity) {
    if (!s || !events != !capacity) return GEMEL_E_ARGUMENT;
    if (events && threads_now() < 0) return GEMEL_E_UNSUPPORTED;
    s->profile.events = events;
    s->profile.capacity = capacity;
    atomic_store(&s->profile.count, 0);
    return GEMEL_OK;
}

size_t gemel_session_profile_count(const gemel_session *s) { return s ? atomic_load(&s->profile.count) : 0; }

// ---- Cutting back --------------------------------------------------------------------------------------------------

void session_forget_last(gemel_session *s) { s->has_stream = s->has_logits = 0; }

int gemel_session_truncate(gemel_session *s, int n_past) {
    if (!s || n_past < 0 || n_past > s->n_past) return GEMEL_E_ARGUMENT;
    if (kept_of(s, n_past) < n_past) return GEMEL_E_UNSUPPORTED;
    ahead_drop(s);
    drafter_cut(s, n_past);
    if (n_past == s->n_past && !s->preload.n) return GEMEL_OK;
    preload_drop(s);
    s->n_past = n_past;
    session_forget_last(s);
    s->n_carry = 0;
    kv_release(&s->kv, n_past);
    states_back(&s->states, n_past);
    return GEMEL_OK;
}

int gemel_session_keeps(const gemel_session *s, int n) {
    if (!s || n < 0 || n > s->n_past) return GEMEL_E_ARGUMENT;
    return kept_of(s, s->states.n ? states_find(&s->states, n) : n);
}

int gemel_session_sync(gemel_session *s, const int32_t *ids, size_t n) {
    if (!s || (!ids && n)) return GEMEL_E_ARGUMENT;
    int keep = 0, has_last = s->has_stream || s->has_logits;
    while (keep < s->n_past && (size_t)keep < n && s->ids[keep] == ids[keep] && ids[keep] >= 0) keep++;
    if (keep && (size_t)keep == n && !(keep == s->n_past && has_last)) keep--;
    keep = gemel_session_keeps(s, keep);
    int code = gemel_session_truncate(s, keep);
    s->n_carry = 0;
    return code < 0 ? code : keep;
}

// ---- Appending -----------------------------------------------------------------------------------------------------

int session_check_ids(const gemel_session *s, const int32_t *ids, size_t n) {
    if (!s || (!ids && n) || n > INT32_MAX) return GEMEL_E_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->m->n_vocab) return GEMEL_E_ARGUMENT;
    return n > (size_t)(s->n_ctx - s->n_past) ? GEMEL_E_CONTEXT : GEMEL_OK;
}

int session_reserve(gemel_session *s, int n) {
    ahead_forget(s);
    if (s->preload.n || !model_is_whole(s->m)) return GEMEL_E_ARGUMENT;
    kv_drop(&s->kv, s->n_past, s->m->n_batch);
    int code = kv_reserve(&s->kv, s->n_past, s->n_past + n);
    if (code == GEMEL_OK && (code = states_make(&s->states, s->n_past, n)) < 0) kv_release(&s->kv, s->n_past);
    return code;
}

row session_row(gemel_session *s, int i, int32_t id) {
    int at = s->n_past + i;
    row r = {.cache = &s->kv, .id = id, .at = at, .pos = {at, at, at}, .seen_to = at + 1};
    if (s->states.n) r.state_in = states_in(&s->states, at), r.state_out = states_out(&s->states, at);
    return r;
}

int session_keep_last(gemel_session *s, row *r, int logits) {
    r->wanted |= WANT_STREAM;
    r->stream = s->stream;
    if (!logits) return GEMEL_OK;
    if (!s->logits) s->logits = memory_get((size_t)s->m->output.w.n_panels * 16 * sizeof *s->logits);
    r->wanted |= WANT_LOGITS;
    r->logits = s->logits;
    r->peak = &s->peak;
    return s->logits ? GEMEL_OK : GEMEL_E_MEMORY;
}

void session_count(gemel_session *s, const int32_t *ids, int n, const row *last) {
    for (int i = 0; i < n; i++) s->ids[s->n_past + i] = ids ? ids[i] : -1;
    s->n_past += n;
    states_count(&s->states);
    s->has_stream = (last->wanted & WANT_STREAM) != 0;
    s->has_logits = (last->wanted & WANT_LOGITS) != 0;
}

int session_make_logits(gemel_session *s) {
    if (s->has_logits) return GEMEL_OK;
    if (s->m->is_encoder) return GEMEL_E_UNSUPPORTED;
    if (!s->has_stream || !model_is_whole(s->m)) return GEMEL_E_ARGUMENT;
    row r = {.cache = &s->kv, .id = -1, .in = s->stream, .seen_to = s->n_past};
    int code = session_keep_last(s, &r, 1);
    r.wanted = WANT_LOGITS;
    if (code < 0) return code;
    batch b = {.m = s->m, .rows = &r, .n = 1, .from = s->m->n_layer, .to = s->m->n_layer, .has_rope = 1};
    b.profile = &s->profile;
    forward(&b);
    if (b.code < 0) return b.code;
    s->has_logits = !r.bad;
    return r.bad ? GEMEL_E_NUMERIC : GEMEL_OK;
}

void session_ask_hidden(const gemel_session *s, row *rows, int n, float *hidden) {
    for (int i = 0; i < n; i++) {
        rows[i].wanted |= WANT_HIDDEN;
        rows[i].hidden = hidden + (size_t)i * (size_t)s->m->n_embd;
    }
}

void session_ask_scores(row *rows, const int32_t *ids, int n, double *log_probs, int32_t *top) {
    for (int i = 0; i + 1 < n; i++) {
        rows[i].wanted |= WANT_SCORE;
        rows[i].target = ids[i + 1];
        rows[i].log_prob = log_probs ? &log_probs[i + 1] : NULL;
        rows[i].top = top ? &top[i + 1] : NULL;
    }
}

int session_score_first(gemel_session *s, int32_t id, double *log_prob, int32_t *top) {
    int code = s->has_logits ? GEMEL_OK : session_make_logits(s);
    if (code < 0) {
        if (s->n_past) return code;
        if (log_prob) *log_prob = 0;
        if (top) *top = -1;
        return GEMEL_OK;
    }
    uint64_t mode = cpu_float_enter();
    if (log_prob) *log_prob = log_prob_of(s->m->k, s->logits, s->m->n_vocab, id, s->peak.max);
    if (top) *top = s->peak.at;
    cpu_float_leave(mode);
    return GEMEL_OK;
}

// What append makes of each id.
typedef struct asked {
    int last_logits;     // logits of the last
    float *hidden;       // [n][n_embd]; or NULL
    double *log_probs;   // [n] of each id after the first; or NULL
    int32_t *top;        // likewise
    int is_score;
    const float *in;   // [n][n_embd] in place of ids; or NULL
    float *streams;    // [n][n_embd] after layer `to`; or NULL
    int from, to;
    gemel_sampler *sampler;   // what its grammar forces after the last id is evaluated, too; or NULL
} asked;

static int evaluate(gemel_session *s, const int32_t *ids, const asked *a, size_t at, int n, int is_end, row *rows) {
    size_t n_embd = (size_t)s->m->n_embd;
    int code = session_reserve(s, n);
    for (int i = 0; i < n; i++) {
        row *r = &rows[i];
        size_t k = at + (size_t)i;
        *r = session_row(s, i, ids ? ids[k] : -1);
        if (s->m->is_encoder) r->seen_to = s->n_past + n;
        if (a->in) r->in = a->in + k * n_embd;
        if (a->streams) r->wanted |= WANT_STREAM, r->stream = a->streams + k * n_embd;
    }
    double *log_probs = a->log_probs ? a->log_probs + at : NULL;
    int32_t *top = a->top ? a->top + at : NULL;
    if (a->hidden) session_ask_hidden(s, rows, n, a->hidden + at * n_embd);
    if (a->is_score) session_ask_scores(rows, ids + at, n, log_probs, top);
    // A batch's last row leaves logits, which score the next one's first.
    int needs_last = a->is_score || (is_end && a->last_logits);
    if (code == GEMEL_OK && needs_last) code = session_keep_last(s, &rows[n - 1], 1);
    if (code == GEMEL_OK && a->is_score) code = session_score_first(s, ids[at], log_probs, top);
    if (code < 0) return code;
    if (a->to - a->from < s->m->n_layer) states_fill(&s->states);
    int n_ahead = a->sampler && is_end ? ahead_add(s, a->sampler, rows, n, s->m->n_batch - n) : 0;
    batch b = {.m = s->m, .rows = rows, .n = n + n_ahead, .from = a->from, .to = a->to, .is_short = n + n_ahead == 1};
    b.cancel = &s->cancel, b.flag = s->flag, b.profile = &s->profile;
    forward(&b);
    if (b.code < 0) return b.code;
    if (b.stopped) return GEMEL_E_CANCELLED;
    session_forget_last(s);
    for (int i = 0; i < n; i++)
        if (rows[i].bad) return GEMEL_E_NUMERIC;
    session_count(s, ids ? ids + at : NULL, n, &rows[n - 1]);
    if (needs_last) ahead_keep(s, rows + n, n_ahead);
    else session_forget_last(s);
    return GEMEL_OK;
}

static int one_batch(gemel_session *s, const int32_t *ids, const asked *a, size_t at, int n, int is_end) {
    row *rows = malloc(((size_t)n + AHEAD_MAX) * sizeof *rows);
    int code = rows ? evaluate(s, ids, a, at, n, is_end, rows) : GEMEL_E_MEMORY;
    free(rows);
    return code;
}

int session_catch_up(gemel_session *s) {
    int end = s->n_past, code = GEMEL_OK;
    if (!s->states.n || s->preload.n || !model_is_whole(s->m)) return GEMEL_OK;
    s->n_past = states_at(&s->states);
    while (s->n_past < end && code == GEMEL_OK) {
        int left = end - s->n_past, n = left < s->m->n_batch ? left : s->m->n_batch;
        code = session_cancelled(s) ? GEMEL_E_CANCELLED : GEMEL_OK;
        if (code == GEMEL_OK) code = one_batch(s, s->ids + s->n_past, &(asked){.to = s->m->n_layer}, 0, n, 0);
    }
    s->n_past = end;
    return code;
}

// An encoder reads a text whole, in an empty session, and gives hidden states.
static int check_encoder(const gemel_session *s, const asked *a) {
    return a->last_logits || a->is_score || s->n_past || !(a->hidden || a->streams) ? GEMEL_E_UNSUPPORTED : GEMEL_OK;
}

static int append(gemel_session *s, const int32_t *ids, size_t n, const asked *a) {
    int code = a->in ? (n > (size_t)(s->n_ctx - s->n_past) ? GEMEL_E_CONTEXT : GEMEL_OK) : session_check_ids(s, ids, n);
    if (code < 0) return code;
    if (s->preload.n || !model_is_whole(s->m)) return GEMEL_E_ARGUMENT;
    if (a->in && s->m->n_per_layer && a->from < a->to) return GEMEL_E_UNSUPPORTED;   // layers read ids
    if (s->m->is_encoder && (code = check_encoder(s, a)) < 0) return code;
    if ((code = session_catch_up(s)) < 0) return code;
    for (size_t at = 0, n_batch = s->m->is_encoder ? n : (size_t)s->m->n_batch; at < n; at += n_batch) {
        if (session_cancelled(s)) return GEMEL_E_CANCELLED;
        int part = (int)(n - at < n_batch ? n - at : n_batch);
        code = one_batch(s, ids, a, at, part, at + n_batch >= n);
        if (code < 0) return code;
    }
    return (int)n;
}

int gemel_session_eval(gemel_session *s, const int32_t *ids, size_t n) {
    if (!s) return GEMEL_E_ARGUMENT;
    return append(s, ids, n, &(asked){.last_logits = 1, .to = s->m->n_layer});
}

int session_eval_next(gemel_session *s, int32_t id, gemel_sampler *sampler) {
    int code = session_check_ids(s, &id, 1);
    if (code == GEMEL_OK && session_cancelled(s)) code = GEMEL_E_CANCELLED;
    if (code < 0) return code;
    if (ahead_take(s, id)) return 1;
    return append(s, &id, 1, &(asked){.last_logits = 1, .to = s->m->n_layer, .sampler = sampler});
}

int gemel_session_fill(gemel_session *s, const int32_t *ids, size_t n) {
    if (!s) return GEMEL_E_ARGUMENT;
    return append(s, ids, n, &(asked){.to = s->m->n_layer});
}

int gemel_session_score(gemel_session *s, const int32_t *ids, size_t n, double *log_probs, int32_t *top) {
    if (!s) return GEMEL_E_ARGUMENT;
    return append(s, ids, n, &(asked){.is_score = 1, .log_probs = log_probs, .top = top, .to = s->m->n_layer});
}

int gemel_session_hidden(gemel_session *s, const int32_t *ids, size_t n, float *rows) {
    if (!s || (!rows && n)) return GEMEL_E_ARGUMENT;
    return append(s, ids, n, &(asked){.hidden = rows, .to = s->m->n_layer});
}

int gemel_session_eval_rows(gemel_session *s, const float *rows, size_t n) {
    if (!s || (!rows && n) || n > INT32_MAX) return GEMEL_E_ARGUMENT;
    return append(s, NULL, n, &(asked){.in = rows, .last_logits = 1, .to = s->m->n_layer});
}

int gemel_session_layers(gemel_session *s, const float *rows, size_t n, int from, int to, float *out) {
    if (!s || ((!rows || !out) && n) || n > INT32_MAX || from < 0 || from > to || to > s->m->n_layer)
        return GEMEL_E_ARGUMENT;
    if (s->m->n_first && from > 0 && from < to) return GEMEL_E_UNSUPPORTED;   // all layers read what layer 0 makes
    for (int il = from, of; il < to; il++)
        if ((of = s->m->layers[il].attn.kv_of) >= 0 && of < from) return GEMEL_E_UNSUPPORTED;
    return append(s, NULL, n, &(asked){.in = rows, .streams = out, .from = from, .to = to});
}
