// The next token of several sessions of one model, in one pass: the weights are read once for all of them.
#include <stdlib.h>
#include <string.h>
#include "session.h"

enum { ROWS_MAX = 1024 };   // no model's micro-batch is larger

static int check_row(const gemel_model *m, const gemel_session *s, int32_t id) {
    if (s->ahead.n || id < 0 || id >= m->h.n_vocab) return GEMEL_E_ARGUMENT;
    if (s->n_past >= s->n_ctx) return GEMEL_E_CONTEXT;
    return session_cancelled(s) ? GEMEL_E_CANCELLED : GEMEL_OK;
}

// All are sessions of the model, none stands there twice.
static int check_sessions(const gemel_model *m, gemel_session *const *sessions, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!sessions[i] || sessions[i]->m != m) return GEMEL_E_ARGUMENT;
        for (size_t k = 0; k < i; k++)
            if (sessions[k] == sessions[i]) return GEMEL_E_ARGUMENT;
    }
    return GEMEL_OK;
}

static void keep_token(gemel_session *s, int32_t id, int bad) {
    s->has_logits = !bad;
    if (!bad) s->ids[s->n_past++] = id;
}

int gemel_model_decode(gemel_model *m, gemel_session *const *sessions, const int32_t *ids, size_t n, int32_t *codes) {
    if (!m || !sessions || !ids || !codes || n < 1 || n > (size_t)m->n_batch || n > ROWS_MAX || !model_is_whole(m))
        return GEMEL_E_ARGUMENT;
    int code = check_sessions(m, sessions, n), rows = 0;
    if (code < 0) return code;
    gemel_session *each[ROWS_MAX];
    int32_t row_ids[ROWS_MAX];
    size_t at[ROWS_MAX];
    for (size_t i = 0; i < n; i++) {
        codes[i] = check_row(m, sessions[i], ids[i]);
        if (codes[i] == GEMEL_OK) codes[i] = kv_reserve(&sessions[i]->kv, sessions[i]->n_past + 1);
        if (codes[i] < 0) continue;
        each[rows] = sessions[i];
        row_ids[rows] = ids[i];
        at[rows++] = i;
    }
    if (!rows) return 0;
    code = buffers_open(each[0]);
    if (code == GEMEL_OK) code = session_reserve_rows(each[0]);
    if (code < 0) return code;
    atomic_int bad[ROWS_MAX];
    for (int t = 0; t < rows; t++) atomic_init(&bad[t], 0);
    batch b = {.s = each[0], .each = each, .bad = bad, .ids = row_ids, .n = rows, .to = m->h.n_layer};
    b.want = WANT_EACH;
    b.n_kept = rows;
    b.x = each[0]->b.x;
    b.angles = each[0]->b.angles;
    forward(&b);
    int kept = 0;
    for (int t = 0; t < rows; t++) {
        keep_token(each[t], row_ids[t], bad[t]);
        codes[at[t]] = bad[t] ? GEMEL_E_NUMERIC : GEMEL_OK;
        kept += !bad[t];
    }
    return kept;
}
