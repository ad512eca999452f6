// A prompt evaluated a layer at a time, so that it can ride on a model's arrival: the residual streams of all its
// tokens wait in the session between layers. The same forward, cut at layers and not only at micro-batches; each layer
// meets the same numbers in the same order, so the bits are those of eval.
#include <string.h>
#include "../memory.h"
#include "session.h"

void ahead_drop(gemel_session *s) {
    memory_free(s->ahead.x);
    memory_free(s->ahead.angles);
    s->ahead = (ahead){0};
}

// Room for n ids: their streams, their angles, their KV cache.
static int start(gemel_session *s, const int32_t *ids, int n) {
    const hparams *h = &s->m->h;
    int overflow = 0;
    size_t n_x = memory_times((size_t)n, (size_t)h->n_embd, &overflow);
    size_t x_size = memory_times(n_x, sizeof(float), &overflow);
    size_t n_angles = memory_times((size_t)n, 2 * (size_t)h->n_rot, &overflow);
    size_t angles_size = memory_times(n_angles, sizeof(float), &overflow);
    if (overflow) return GEMEL_E_MEMORY;
    s->ahead = (ahead){.n = n, .x = memory_get(x_size), .angles = memory_get(angles_size)};
    if (!s->ahead.x || !s->ahead.angles || kv_reserve(&s->kv, n) < 0) {
        ahead_drop(s);
        kv_release(&s->kv, 0);
        return GEMEL_E_MEMORY;
    }
    memcpy(s->ids, ids, (size_t)n * sizeof *ids);
    return GEMEL_OK;
}

// Layers [from, to) for n tokens from place `at` on; what was begun is dropped where the numbers are not finite.
static int step(gemel_session *s, int at, int n, int from, int to, want want) {
    const hparams *h = &s->m->h;
    batch b = {.s = s, .ids = s->ids + at, .n = n, .pos = at, .from = from, .to = to, .want = want};
    b.n_kept = at + n < s->ahead.n ? 0 : n;
    b.x = s->ahead.x + (size_t)at * (size_t)h->n_embd;
    b.angles = s->ahead.angles + (size_t)at * 2 * (size_t)h->n_rot;
    int code = buffers_open(s);
    if (code < 0) return code;
    forward(&b);
    if (!b.not_finite) return GEMEL_OK;
    ahead_drop(s);
    kv_release(&s->kv, 0);
    return GEMEL_E_NUMERIC;
}

// The streams have passed all layers: the logits of the last, and the ids count.
static int end(gemel_session *s) {
    int n = s->ahead.n, n_layer = s->m->h.n_layer, code = step(s, n - 1, 1, n_layer, n_layer, WANT_LAST);
    if (code < 0) return code;
    ahead_drop(s);
    s->n_past = n;
    s->has_logits = 1;
    return GEMEL_OK;
}

static int check(const gemel_session *s, const int32_t *ids, size_t n, int n_layers) {
    int code = session_check_ids(s, ids, n);
    if (code < 0) return code;
    if (!n || s->n_past || n_layers < 0 || n_layers > atomic_load(&s->m->n_whole)) return GEMEL_E_ARGUMENT;
    if (!s->ahead.n) return GEMEL_OK;
    return n == (size_t)s->ahead.n && !memcmp(s->ids, ids, n * sizeof *ids) ? GEMEL_OK : GEMEL_E_ARGUMENT;
}

int gemel_session_ahead(gemel_session *s, const int32_t *ids, size_t n, int n_layers) {
    int code = check(s, ids, n, n_layers);
    if (code == GEMEL_OK && !s->ahead.n) code = start(s, ids, (int)n);
    if (code < 0) return code;
    ahead *a = &s->ahead;
    while (a->il < n_layers) {
        if (session_cancelled(s)) return GEMEL_E_CANCELLED;
        int part = a->n - a->at < s->m->n_batch ? a->n - a->at : s->m->n_batch;
        code = step(s, a->at, part, a->il, a->il + 1, WANT_NOTHING);
        if (code < 0) return code;
        a->at += part;
        if (a->at == a->n) a->il++, a->at = 0;
    }
    if (a->il < s->m->h.n_layer || !model_is_whole(s->m)) return a->il;
    if (session_cancelled(s)) return GEMEL_E_CANCELLED;
    code = end(s);
    return code < 0 ? code : s->m->h.n_layer;
}
