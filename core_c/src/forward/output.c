// After the last layer: norm, logits, and what is made of them in the same pass, so that a step is one call.
#include "output.h"
#include <float.h>
#include <string.h>
#include "../fmath.h"
#include "worker.h"

double log_prob_of(const kernels *k, const float *logits, int n_vocab, int32_t id, float max) {
    return (double)logits[id] - max - fm_log(k->exp_sum(logits, n_vocab, max));
}

// ---- Drawing -------------------------------------------------------------------------------------------------------

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

// Append the bytes of id to those that wait, and put out complete characters. GEMEL_E_ARGUMENT: no room.
static int put_text(const tokenizer *tok, text_out *to, int32_t id) {
    memcpy(to->text, to->carry, (size_t)*to->n_carry);
    int n = tokenizer_piece(tok, id, to->flags, to->text + *to->n_carry, to->capacity - *to->n_carry);
    if (n < 0) return n;
    if (n > to->capacity - *to->n_carry) return GEMEL_E_ARGUMENT;
    size_t total = (size_t)(*to->n_carry + n);
    *to->n_carry = unfinished(to->text, total);
    to->size = (int32_t)total - *to->n_carry;
    memcpy(to->carry, to->text + to->size, (size_t)*to->n_carry);
    return GEMEL_OK;
}

int draw_from(const tokenizer *tok, gemel_sampler *sampler, const float *logits, const logits_peak *peak,
              text_out *to) {
    to->size = 0;
    int32_t id = sampler_sample(sampler, logits, peak);
    int code = id < 0 ? id : put_text(tok, to, id);
    if (code == GEMEL_OK) code = gemel_sampler_accept(sampler, id);
    return code < 0 ? code : id;
}

// ---- Rows ----------------------------------------------------------------------------------------------------------

static void hidden_row(const worker *w, int t) {
    row *r = row_at(w, t);
    float max;
    int best, n = w->m->n_embd;
    if (w->m->output_norm.is_on) norm_row(w, &w->m->output_norm, t, stream_at(w, t), n, r->hidden);
    else memcpy(r->hidden, stream_at(w, t), sizeof(float) * (size_t)n);
    if (!w->k->peak(r->hidden, n, &max, &best)) row_is_bad(w, t);
}

static void streams(const worker *w) {
    for (int t = w->ith; t < w->n; t += w->nth) {
        row *r = row_at(w, t);
        if (r->wanted & WANT_STREAM) memcpy(r->stream, stream_at(w, t), sizeof(float) * (size_t)w->m->n_embd);
        if (r->wanted & WANT_HIDDEN && w->b->to == w->m->n_layer) hidden_row(w, t);
    }
}

// Of equal logits, the first: which thread made it does not matter.
static void join_peak(peak_seen *to, peak_seen x) {
    to->is_good = to->is_good && x.is_good;
    if (x.peak.max > to->peak.max || (x.peak.max == to->peak.max && x.peak.at < to->peak.at)) to->peak = x.peak;
}
static void note_peak(const worker *w, int t, const float *logits, int from, int to) {
    peak_seen x;
    x.is_good = w->k->peak(logits + from, to - from, &x.peak.max, &x.peak.at);
    x.peak.at += from;
    join_peak(&w->s->peaks[w->ith * ROWS_AT_ONCE + t], x);
}
static peak_seen peak_of(const worker *w, int t) {
    peak_seen all = w->s->peaks[t];
    for (int i = 1; i < w->nth; i++) join_peak(&all, w->s->peaks[i * ROWS_AT_ONCE + t]);
    return all;
}

static void use_logits(const worker *w, int t, const float *logits) {
    row *r = row_at(w, t);
    const peak_seen seen = peak_of(w, t);
    if (r->wanted & WANT_SCORE && r->log_prob)
        *r->log_prob = log_prob_of(w->k, logits, w->m->n_vocab, r->target, seen.peak.max);
    if (r->wanted & WANT_SCORE && r->top) *r->top = seen.peak.at;
    if (!seen.is_good) row_is_bad(w, t);
    if (r->wanted & WANT_LOGITS) *r->peak = seen.peak;
    if (r->wanted & WANT_LOGITS && r->logits != logits)
        memcpy(r->logits, logits, sizeof(float) * (size_t)(w->m->output.w.n_panels * 16));
    if (!(r->wanted & WANT_DRAW)) return;
    *r->drawn = atomic_load(&r->bad) ? GEMEL_E_NUMERIC : draw_from(w->m->tok, r->sampler, logits, &seen.peak, r->text);
    mark(w, GEMEL_OP_SAMPLE);
}

// Logits [n][ld] of panels dealt out to this thread, scaled and capped, and their peaks while they are in its cache.
static void make_logits(const worker *w, const acts *a, size_t ld, float *logits) {
    const gemel_model *m = w->m;
    for (int t = 0; t < w->n; t++) w->s->peaks[w->ith * ROWS_AT_ONCE + t] = (peak_seen){{-FLT_MAX, m->n_vocab - 1}, 1};
    for (deal d = deal_out(w, m->output.w.n_panels, 1); deal_take(&d);) {
        int from = d.from * 16, to = d.to * 16 < m->n_vocab ? d.to * 16 : m->n_vocab;
        multiply(w, &m->output, a, d.from, d.to, logits);
        for (int t = 0; t < w->n; t++) {
            float *x = logits + (size_t)t * ld;
            for (int i = from; m->logit_scale != 1 && i < to; i++) x[i] = x[i] * m->logit_scale;
            if (m->logit_soft_cap > 0) w->k->soft_cap(x + from, d.to * 16 - from, m->logit_soft_cap);
            note_peak(w, t, x, from, to);
        }
    }
    mark(w, GEMEL_OP_HEAD);
}

enum { NEEDS_LOGITS = WANT_LOGITS | WANT_SCORE | WANT_DRAW };

// Rows t0..t0+n-1, all of which need logits.
static void logits_of(const worker *w, int t0, int n) {
    worker part = *w;
    int rows[ROWS_AT_ONCE];
    for (int i = 0; i < n; i++) rows[i] = w->kept ? w->kept[t0 + i] : t0 + i;
    part.n = n;
    part.kept = rows;
    size_t ld = (size_t)w->m->output.w.n_panels * 16;
    const row *first = row_at(&part, 0);
    float *logits = n == 1 && first->wanted & WANT_LOGITS ? first->logits : w->s->logits;
    acts a = prepare(&part, stream_at(w, t0), (size_t)w->m->n_embd, w->m->n_embd, &w->m->output_norm,
                     !weight_is_float(&w->m->output.w));
    make_logits(&part, &a, ld, logits);
    meet(&part);
    for (int i = w->ith; i < n; i += w->nth) use_logits(&part, i, logits + (size_t)i * ld);
    mark(&part, GEMEL_OP_HEAD);
    meet(&part);
}

void output(worker *w) {
    streams(w);
    mark(w, GEMEL_OP_HEAD);
    for (int t = 0, n; t < w->n && w->b->to == w->m->n_layer; t += n > 0 ? n : 1) {
        for (n = 0; t + n < w->n && n < w->s->n_logits && row_at(w, t + n)->wanted & NEEDS_LOGITS; n++) {}
        if (n > 0) logits_of(w, t, n);
    }
}
