// One pass for several sessions: the next id of each, or a chunk of its prompt, and the id drawn after it, or what its
// ids give: hidden states, log-probabilities. The weights are read once for all of them.
#include <stdlib.h>
#include <string.h>
#include "../forward/output.h"
#include "session.h"

typedef struct part {   // one session's part of the pass
    gemel_session *s;
    gemel_sampler *sampler;
    const int32_t *ids;
    int n, first;        // its ids; its first row
    int n_ahead;         // rows behind its ids' rows, evaluated ahead
    int is_ready;        // its id was evaluated ahead: no rows
    float *hidden;       // [n][n_embd]; NULL: not wanted
    double *log_probs;   // [n]; NULL: not wanted
    text_out text;
} part;

// Check that all are different sessions of the model and samplers of its vocabulary, and that the rows fit a batch.
static int check_all(const gemel_model *m, gemel_session *const *sessions, const int32_t *n_ids,
                     gemel_sampler *const *samplers, size_t n) {
    int64_t rows = 0;
    if (m->is_encoder) return GEMEL_E_UNSUPPORTED;
    for (size_t i = 0; i < n; i++) {
        if (!sessions[i] || sessions[i]->m != m || n_ids[i] < 0) return GEMEL_E_ARGUMENT;
        rows += n_ids[i];
        const gemel_sampler *sampler = samplers ? samplers[i] : NULL;
        if (sampler && sampler_n_vocab(sampler) != m->n_vocab) return GEMEL_E_ARGUMENT;
        for (size_t k = 0; k < i; k++)
            if (sessions[k] == sessions[i] || (sampler && samplers[k] == sampler)) return GEMEL_E_ARGUMENT;
    }
    return rows > m->n_batch ? GEMEL_E_ARGUMENT : GEMEL_OK;
}

// Whether the session can take part: 0 or why not. An id that was evaluated ahead is counted.
static int begin_part(part *p) {
    gemel_session *s = p->s;
    int code = session_check_ids(s, p->ids, (size_t)p->n);
    if (code == GEMEL_OK && p->n && session_cancelled(s)) code = GEMEL_E_CANCELLED;
    if (code == GEMEL_OK && p->n) code = session_catch_up(s);
    if (code == GEMEL_OK && p->n == 1 && !p->hidden && !p->log_probs) p->is_ready = ahead_take(s, p->ids[0]);
    return code;
}

// Add the session's rows. Returns 0 or why it can't take part. spare: rows that the batch has left beside all ids.
static int add_rows(part *p, row *rows, int n_rows, int spare, int keeps_logits, int32_t *drawn) {
    gemel_session *s = p->s;
    int code = session_reserve(s, p->n);
    if (code < 0) return code;
    p->first = n_rows;
    for (int i = 0; i < p->n; i++) rows[n_rows + i] = session_row(s, i, p->ids[i]);
    row *last = &rows[n_rows + p->n - 1];
    if (p->hidden) session_ask_hidden(s, &rows[n_rows], p->n, p->hidden);
    if (p->log_probs) {   // the last id's logits score the first id of the next step
        session_ask_scores(&rows[n_rows], p->ids, p->n, p->log_probs, NULL);
        code = session_score_first(s, p->ids[0], p->log_probs, NULL);
    }
    if (code == GEMEL_OK) code = session_keep_last(s, last, keeps_logits || p->log_probs);
    if (!p->sampler || code < 0) return code;
    p->n_ahead = ahead_add(s, p->sampler, rows + n_rows, p->n, spare);
    last->wanted |= WANT_DRAW;
    last->sampler = p->sampler;
    last->drawn = drawn;
    last->text = &p->text;
    return code;
}

// What the draw gave is the session's code: 1 if the id was evaluated ahead. An error is no id.
static int end_draw(part *p, int32_t *drawn) {
    int code = *drawn < 0 ? *drawn : ahead_settle(p->s, *drawn);
    if (code < 0) *drawn = -1;
    return code;
}

// After the pass. Returns the session's code; the id drawn is in *drawn.
static int end_part(part *p, const row *rows, int32_t *drawn) {
    const row *last = &rows[p->first + p->n - 1];
    session_forget_last(p->s);
    for (int i = 0; i < p->n; i++)
        if (rows[p->first + i].bad) {
            *drawn = -1;
            return GEMEL_E_NUMERIC;
        }
    session_count(p->s, p->ids, p->n, last);
    ahead_keep(p->s, last + 1, p->n_ahead);
    return p->sampler ? end_draw(p, drawn) : GEMEL_OK;
}

// Nothing to evaluate: draw an id from the session's logits.
static int draw_only(part *p, int32_t *drawn) {
    if (p->is_ready && !p->sampler) return GEMEL_OK;
    int code = p->s->preload.n || !p->sampler ? GEMEL_E_ARGUMENT : session_make_logits(p->s);
    if (code < 0) return code;
    *drawn = draw_from(p->s->m->tok, p->sampler, p->s->logits, &p->s->peak, &p->text);
    return end_draw(p, drawn);
}

static int has_rows(const part *p) { return p->n && !p->is_ready; }

// Sessions that can't take part, and those without rows, are done before the pass.
static int run(gemel_model *m, part *parts, row *rows, size_t n, int flags, int32_t *drawn, int32_t *codes) {
    int n_rows = 0, went_on = 0, spare = m->n_batch;
    profile *profile = NULL;
    for (size_t i = 0; i < n; i++) {
        part *p = &parts[i];
        codes[i] = begin_part(p);
        if (codes[i] == GEMEL_OK && has_rows(p)) spare -= p->n;
    }
    for (size_t i = 0; i < n; i++) {
        part *p = &parts[i];
        if (codes[i] < 0) continue;
        codes[i] = has_rows(p) ? add_rows(p, rows, n_rows, spare, flags & GEMEL_STEP_LOGITS, &drawn[i])
                               : draw_only(p, &drawn[i]);
        if (codes[i] < 0 || !has_rows(p)) continue;
        if (!profile) profile = &p->s->profile;
        n_rows += p->n + p->n_ahead, spare -= p->n_ahead;
    }
    batch b = {.m = m, .rows = rows, .n = n_rows, .to = m->n_layer, .is_short = n_rows == 1, .profile = profile};
    if (n_rows) forward(&b);
    for (size_t i = 0; i < n; i++) {
        if (codes[i] == GEMEL_OK && has_rows(&parts[i]))
            codes[i] = b.code < 0 ? b.code : end_part(&parts[i], rows, &drawn[i]);
        went_on += codes[i] >= GEMEL_OK;
    }
    return went_on;
}

// Give the parts that want them their places in `hidden` and `log_probs`, one after another.
static int place_wants(part *parts, size_t n, const int32_t *wants, float *hidden, double *log_probs) {
    for (size_t i = 0; i < n; i++) {
        part *p = &parts[i];
        size_t n_ids = (size_t)p->n;
        if (wants[i] & ~(GEMEL_WANT_HIDDEN | GEMEL_WANT_SCORES)) return GEMEL_E_ARGUMENT;
        if (wants[i] & GEMEL_WANT_HIDDEN) {
            if (!hidden || !p->n) return GEMEL_E_ARGUMENT;
            p->hidden = hidden;
            hidden += n_ids * (size_t)p->s->m->n_embd;
        }
        if (wants[i] & GEMEL_WANT_SCORES) {
            if (!log_probs || !p->n) return GEMEL_E_ARGUMENT;
            p->log_probs = log_probs;
            log_probs += n_ids;
        }
    }
    return GEMEL_OK;
}

int gemel_model_step(gemel_model *m, gemel_session *const *sessions, const int32_t *n_ids, const int32_t *ids,
                     gemel_sampler *const *samplers, size_t n, int flags, int32_t *drawn, char *text, size_t capacity,
                     int32_t *text_sizes, int32_t *codes, const int32_t *wants, float *hidden, double *log_probs) {
    if (!m || !sessions || !n_ids || !codes || n < 1 || n > (size_t)m->n_batch || !model_is_whole(m) ||
        (samplers && (!drawn || !text || !text_sizes || capacity < 4 || capacity > INT32_MAX)) ||
        (flags & ~(GEMEL_TEXT_SPECIAL | GEMEL_STEP_LOGITS)))
        return GEMEL_E_ARGUMENT;
    int code = check_all(m, sessions, n_ids, samplers, n);
    if (code < 0) return code;
    part *parts = calloc(n, sizeof *parts);
    row *rows = malloc((size_t)m->n_batch * sizeof *rows);
    int32_t unused[N_BATCH_MAX];
    if (!parts || !rows) {
        free(parts), free(rows);
        return GEMEL_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        gemel_session *s = sessions[i];
        session_hold(s);   // it may be closed meanwhile
        parts[i] = (part){.s = s, .sampler = samplers ? samplers[i] : NULL, .ids = ids, .n = n_ids[i]};
        parts[i].text = (text_out){.carry = s->carry, .n_carry = &s->n_carry, .flags = flags & GEMEL_TEXT_SPECIAL};
        if (samplers) parts[i].text.text = text + i * capacity, parts[i].text.capacity = (int32_t)capacity;
        (samplers ? drawn : unused)[i] = -1;
        if (ids) ids += n_ids[i];
    }
    code = wants ? place_wants(parts, n, wants, hidden, log_probs) : GEMEL_OK;
    if (code == GEMEL_OK) code = run(m, parts, rows, n, flags, samplers ? drawn : unused, codes);
    for (size_t i = 0; i < n; i++) {
        if (samplers) text_sizes[i] = parts[i].text.size;
        session_drop(parts[i].s);
    }
    free(parts), free(rows);
    return code;
}
