// What is read from a session's logits: log-probabilities, the most likely ids, the next id and its text.
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "../forward/output.h"
#include "session.h"

enum { LIKELIEST_MAX = 256 };

const float *gemel_session_logits(gemel_session *s) {
    return s && session_make_logits(s) == GEMEL_OK ? s->logits : NULL;
}

int gemel_session_log_probs(gemel_session *s, const int32_t *ids, size_t n, double *log_probs) {
    if (!s || (n && (!ids || !log_probs))) return GEMEL_E_ARGUMENT;
    int code = session_make_logits(s), n_vocab = s->m->n_vocab;
    if (code < 0) return code;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab) return GEMEL_E_ARGUMENT;
    uint64_t mode = cpu_float_enter();
    float max = s->peak.max;
    double total = fm_log(s->m->k->exp_sum(s->logits, n_vocab, max));
    for (size_t i = 0; i < n; i++) log_probs[i] = (double)s->logits[ids[i]] - max - total;
    cpu_float_leave(mode);
    return GEMEL_OK;
}

int gemel_session_likeliest(gemel_session *s, int32_t *ids, size_t n) {
    if (!s || !ids || n < 1 || n > LIKELIEST_MAX || n > (size_t)s->m->n_vocab) return GEMEL_E_ARGUMENT;
    int code = session_make_logits(s);
    if (code < 0) return code;
    size_t found = 0;
    for (int32_t id = 0; id < s->m->n_vocab; id++) {
        if (found == n && !(s->logits[id] > s->logits[ids[n - 1]])) continue;   // an equal one ranks behind
        size_t at = found < n ? found++ : n - 1;
        for (; at && s->logits[id] > s->logits[ids[at - 1]]; at--) ids[at] = ids[at - 1];
        ids[at] = id;
    }
    return (int)n;
}

// ---- Generation ----------------------------------------------------------------------------------------------------

static int32_t next(gemel_session *s, gemel_sampler *sampler, int32_t pending, text_out *to) {
    if (pending < 0) {
        int code = session_make_logits(s);
        if (code < 0) return code;
        stopwatch watch = stopwatch_start(&s->profile, 0);
        int32_t id = draw_from(s->m->tok, sampler, s->logits, &s->peak, to);
        stopwatch_mark(&watch, GEMEL_OP_SAMPLE, -1, 1);
        (void)ahead_settle(s, id);
        return id;
    }
    int code = session_eval_next(s, pending, sampler);
    return code < 0 ? code : next(s, sampler, -1, to);
}

int gemel_session_next(gemel_session *s, gemel_sampler *sampler, int32_t pending, int flags, char *text,
                       size_t capacity, size_t *text_size) {
    if (!s || !sampler || !text || !text_size || capacity < sizeof s->carry || pending < -1 ||
        sampler_n_vocab(sampler) != s->m->n_vocab)
        return GEMEL_E_ARGUMENT;
    text_out to = {.text = text, .carry = s->carry, .n_carry = &s->n_carry, .flags = flags};
    to.capacity = capacity > INT32_MAX ? INT32_MAX : (int32_t)capacity;
    int32_t id = next(s, sampler, pending, &to);
    *text_size = (size_t)to.size;
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
