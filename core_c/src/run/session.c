// A session's life: open, append, cut back, save, restore, generate. Micro-batches go to forward; between two of them,
// and between two layers, a cancellation is seen.
#include "session.h"
#include <stdlib.h>
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "../memory.h"

enum { LIKELIEST_MAX = 256 };

static int choose_rope(gemel_session *s) {
    const gemel_model *m = s->m;
    const float *factors = m->rope_freqs;
    if (m->h.scaling == SCALING_LONGROPE) factors = s->n_ctx > m->h.n_ctx_orig ? m->rope_long : m->rope_short;
    s->freq = calloc((size_t)m->h.n_rot / 2, sizeof *s->freq);
    if (!s->freq) return GEMEL_E_MEMORY;
    uint64_t mode = cpu_float_enter();
    rope_frequencies(&m->h, factors, s->freq, &s->rope_scale);
    cpu_float_leave(mode);
    return GEMEL_OK;
}

// The cache anew, empty. Scores over a Q8_0 cache are exponents of 2.
static int set_kv(gemel_session *s, int type) {
    const hparams *h = &s->m->h;
    kv_cache kv;
    int code = kv_open(&kv, type, h->n_layer, h->n_head_kv, h->head_dim, s->n_ctx);
    if (code < 0) return code;
    kv_close(&s->kv);
    s->kv = kv;
    uint64_t mode = cpu_float_enter();
    s->q_scale = (float)((type == GEMEL_KV_Q8_0 ? 1.4426950408889634 : 1.0) / fm_sqrt((double)h->head_dim));
    cpu_float_leave(mode);
    return GEMEL_OK;
}

int gemel_session_set(gemel_session *s, int option, int value) {
    if (!s || option != GEMEL_SESSION_KV_TYPE || s->n_past || s->ahead.n) return GEMEL_E_ARGUMENT;
    int is_type = value == GEMEL_KV_F32 || value == GEMEL_KV_F16 || value == GEMEL_KV_Q8_0;
    return is_type ? set_kv(s, value) : GEMEL_E_ARGUMENT;
}

int gemel_session_kv_type(const gemel_session *s) { return s ? s->kv.type : GEMEL_E_ARGUMENT; }

int gemel_session_open(gemel_model *m, int n_ctx, gemel_session **out) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    if (!m || n_ctx < 1 || n_ctx > m->h.n_ctx_train || atomic_load(&m->n_whole) < 0) return GEMEL_E_ARGUMENT;
    gemel_session *s = calloc(1, sizeof *s);
    if (!s) return GEMEL_E_MEMORY;
    s->m = m;
    s->n_ctx = n_ctx;
    s->dim = (m->h.head_dim + 31) / 32 * 32;
    s->ids = calloc((size_t)n_ctx, sizeof *s->ids);
    s->logits = memory_get((size_t)m->output.n_panels * 16 * sizeof(float));
    int code = s->ids && s->logits ? set_kv(s, GEMEL_KV_DEFAULT) : GEMEL_E_MEMORY;
    if (code == GEMEL_OK) code = choose_rope(s);
    if (code == GEMEL_OK) code = buffers_open(s);
    if (code < 0) {
        gemel_session_close(s);
        return code;
    }
    *out = s;
    return GEMEL_OK;
}

void gemel_session_close(gemel_session *s) {
    if (!s) return;
    ahead_drop(s);
    buffers_close(s);
    kv_close(&s->kv);
    memory_free(s->logits);
    free(s->freq);
    free(s->ids);
    free(s);
}

int gemel_session_n_past(const gemel_session *s) { return s ? s->n_past : GEMEL_E_ARGUMENT; }
int gemel_session_n_ctx(const gemel_session *s) { return s ? s->n_ctx : GEMEL_E_ARGUMENT; }
const int32_t *gemel_session_ids(const gemel_session *s) { return s ? s->ids : NULL; }
const float *gemel_session_logits(const gemel_session *s) { return s && s->has_logits ? s->logits : NULL; }

int gemel_session_log_probs(const gemel_session *s, const int32_t *ids, size_t n, double *log_probs) {
    if (!s || !s->has_logits || (n && (!ids || !log_probs))) return GEMEL_E_ARGUMENT;
    int n_vocab = s->m->h.n_vocab, best;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab) return GEMEL_E_ARGUMENT;
    uint64_t mode = cpu_float_enter();
    float max;
    (void)s->m->k->peak(s->logits, n_vocab, &max, &best);   // finite: has_logits
    double total = fm_log(s->m->k->exp_sum(s->logits, n_vocab, max));
    for (size_t i = 0; i < n; i++) log_probs[i] = (double)s->logits[ids[i]] - max - total;
    cpu_float_leave(mode);
    return GEMEL_OK;
}

int gemel_session_likeliest(const gemel_session *s, int32_t *ids, size_t n) {
    if (!s || !s->has_logits || !ids || n < 1 || n > LIKELIEST_MAX || n > (size_t)s->m->h.n_vocab)
        return GEMEL_E_ARGUMENT;
    size_t found = 0;
    for (int32_t id = 0; id < s->m->h.n_vocab; id++) {
        if (found == n && !(s->logits[id] > s->logits[ids[n - 1]])) continue;   // an equal one ranks behind
        size_t at = found < n ? found++ : n - 1;
        for (; at && s->logits[id] > s->logits[ids[at - 1]]; at--) ids[at] = ids[at - 1];
        ids[at] = id;
    }
    return (int)n;
}

void gemel_session_cancel(gemel_session *s, int on) {
    if (!s) return;
    atomic_store(&s->cancel, on != 0);
    if (s->flag && !on) atomic_store(s->flag, 0);
}

// ---- The timeline --------------------------------------------------------------------------------------------------

int gemel_session_truncate(gemel_session *s, int n_past) {
    if (!s || n_past < 0 || n_past > s->n_past) return GEMEL_E_ARGUMENT;
    if (n_past == s->n_past && !s->ahead.n) return GEMEL_OK;
    ahead_drop(s);
    s->n_past = n_past;
    s->has_logits = 0;
    s->n_carry = 0;
    kv_release(&s->kv, n_past);
    return GEMEL_OK;
}

int gemel_session_sync(gemel_session *s, const int32_t *ids, size_t n) {
    if (!s || (!ids && n)) return GEMEL_E_ARGUMENT;
    int keep = 0;
    while (keep < s->n_past && (size_t)keep < n && s->ids[keep] == ids[keep]) keep++;
    if (keep && (size_t)keep == n && !(keep == s->n_past && s->has_logits)) keep--;
    int code = gemel_session_truncate(s, keep);
    s->n_carry = 0;
    return code < 0 ? code : keep;
}

int session_check_ids(const gemel_session *s, const int32_t *ids, size_t n) {
    if (!s || (!ids && n) || n > INT32_MAX) return GEMEL_E_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->m->h.n_vocab) return GEMEL_E_ARGUMENT;
    return n > (size_t)(s->n_ctx - s->n_past) ? GEMEL_E_CONTEXT : GEMEL_OK;
}

// Rows to score into are large and seldom needed.
int session_reserve_rows(gemel_session *s) {
    if (s->b.rows) return GEMEL_OK;
    s->b.rows = memory_get((size_t)ROWS_SCORED * (size_t)s->m->output.n_panels * 16 * sizeof(float));
    return s->b.rows ? GEMEL_OK : GEMEL_E_MEMORY;
}

static int eval_batch(gemel_session *s, batch *b) {
    int code = kv_reserve(&s->kv, s->n_past + b->n);
    if (code == GEMEL_OK) code = buffers_open(s);
    if (code == GEMEL_OK && b->want == WANT_SCORE) code = session_reserve_rows(s);
    if (code < 0) return code;
    b->to = s->m->h.n_layer;
    b->n_kept = b->want == WANT_NOTHING ? 0 : b->want == WANT_LAST ? 1 : b->n;
    b->x = s->b.x;
    b->angles = s->b.angles;
    forward(b);
    if (b->stopped) return GEMEL_E_CANCELLED;
    s->has_logits = 0;
    if (b->not_finite) return GEMEL_E_NUMERIC;
    memcpy(s->ids + s->n_past, b->ids, (size_t)b->n * sizeof *b->ids);
    s->n_past += b->n;
    s->has_logits = b->want == WANT_LAST || b->want == WANT_SCORE;
    return GEMEL_OK;
}

// Append ids in micro-batches. `last` is what the last of them leaves, `each` the others.
static int append(gemel_session *s, const int32_t *ids, size_t n, want each, want last, float *hidden,
                  double *log_probs, int32_t *top) {
    int code = session_check_ids(s, ids, n);
    if (code < 0) return code;
    if (s->ahead.n || !model_is_whole(s->m)) return GEMEL_E_ARGUMENT;
    size_t n_embd = (size_t)s->m->h.n_embd, n_batch = (size_t)s->m->n_batch;
    for (size_t at = 0; at < n; at += n_batch) {
        if (session_cancelled(s)) return GEMEL_E_CANCELLED;
        int part = (int)(n - at < n_batch ? n - at : n_batch);
        batch b = {.s = s, .ids = ids + at, .n = part, .pos = s->n_past, .want = at + n_batch >= n ? last : each};
        b.hidden = hidden ? hidden + at * n_embd : NULL;
        b.log_probs = log_probs ? log_probs + at : NULL;
        b.top = top ? top + at : NULL;
        code = eval_batch(s, &b);
        if (code < 0) return code;
    }
    return (int)n;
}

int gemel_session_eval(gemel_session *s, const int32_t *ids, size_t n) {
    return append(s, ids, n, WANT_NOTHING, WANT_LAST, NULL, NULL, NULL);
}

int gemel_session_fill(gemel_session *s, const int32_t *ids, size_t n) {
    return append(s, ids, n, WANT_NOTHING, WANT_NOTHING, NULL, NULL, NULL);
}

int gemel_session_score(gemel_session *s, const int32_t *ids, size_t n, double *log_probs, int32_t *top) {
    if (s && n && !s->has_logits) {
        if (s->n_past) return GEMEL_E_ARGUMENT;
        if (log_probs) log_probs[0] = 0;
        if (top) top[0] = -1;
    }
    return append(s, ids, n, WANT_SCORE, WANT_SCORE, NULL, log_probs, top);
}

int gemel_session_hidden(gemel_session *s, const int32_t *ids, size_t n, float *rows) {
    if (!rows && n) return GEMEL_E_ARGUMENT;
    return append(s, ids, n, WANT_HIDDEN, WANT_HIDDEN, rows, NULL, NULL);
}

// ---- Generation ----------------------------------------------------------------------------------------------------

// Bytes that the character starting with c needs; 1 for what can't start one.
static int utf8_length(unsigned char c) {
    return c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 1;
}

// How many bytes at the end begin a character that may still be completed (0..3).
static int unfinished(const char *text, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text[n - back];
        if ((c & 0xc0) == 0x80) continue;
        return utf8_length(c) > (int)back ? (int)back : 0;
    }
    return 0;
}

int gemel_session_next(gemel_session *s, gemel_sampler *sampler, int32_t pending, int flags, char *text,
                       size_t capacity, size_t *text_size) {
    if (!s || !sampler || !text || !text_size || capacity < sizeof s->carry) return GEMEL_E_ARGUMENT;
    *text_size = 0;
    if (pending >= 0) {
        int code = gemel_session_eval(s, &pending, 1);
        if (code < 0) return code;
    } else if (pending != -1) return GEMEL_E_ARGUMENT;
    if (!s->has_logits) return GEMEL_E_ARGUMENT;
    stopwatch watch = stopwatch_start(&s->profile, 0);
    int32_t id = gemel_sampler_sample(sampler, s->logits);
    if (id < 0) return id;
    memcpy(text, s->carry, (size_t)s->n_carry);
    size_t room = capacity - (size_t)s->n_carry;
    int n = gemel_piece(s->m, id, flags, text + s->n_carry, room);
    if (n < 0) return n;
    if ((size_t)n > room) return GEMEL_E_ARGUMENT;
    int code = gemel_sampler_accept(sampler, id);
    if (code < 0) return code;
    size_t total = (size_t)(s->n_carry + n);
    s->n_carry = unfinished(text, total);
    *text_size = total - (size_t)s->n_carry;
    memcpy(s->carry, text + *text_size, (size_t)s->n_carry);
    stopwatch_mark(&watch, GEMEL_OP_SAMPLE, -1, 1);
    return id;
}

int gemel_session_flush(gemel_session *s, char *text, size_t capacity) {
    if (!s || (!text && capacity)) return GEMEL_E_ARGUMENT;
    int n = s->n_carry;
    if ((size_t)n > capacity) return n;
    if (n) memcpy(text, s->carry, (size_t)n);
    s->n_carry = 0;
    return n;
}
