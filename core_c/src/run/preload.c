// A prompt evaluated layer by layer while the model loads: the residual streams of all its tokens wait in the session
// between layers. It is the same forward pass, cut at layers too; each layer sees the same numbers in the same order,
// so the bits are those of eval.
#include <stdlib.h>
#include <string.h>
#include "../memory.h"
#include "session.h"

void preload_drop(gemel_session *s) {
    memory_free(s->preload.x);
    memory_free(s->preload.rope_cs);
    memory_free(s->preload.first);
    if (s->preload.n) states_unmake(&s->states);
    s->preload = (preload){0};
}

// Room for n ids: their streams, their cos and sin, their KV cache, their states.
static int start(gemel_session *s, const int32_t *ids, int n) {
    int overflow = 0;
    size_t n_x = memory_times((size_t)n, (size_t)s->m->n_embd, &overflow);
    size_t x_size = memory_times(n_x, sizeof(float), &overflow);
    size_t n_cs = memory_times((size_t)n, (size_t)s->m->rope_width, &overflow);
    size_t cs_size = memory_times(n_cs, sizeof(float), &overflow);
    size_t n_first = memory_times((size_t)n, (size_t)s->m->n_first, &overflow);
    size_t first_size = memory_times(n_first, sizeof(float), &overflow);
    if (overflow) return GEMEL_E_MEMORY;
    s->preload = (preload){.n = n, .x = memory_get(x_size), .rope_cs = memory_get(cs_size)};
    s->preload.first = memory_get(first_size);
    if (!s->preload.x || !s->preload.rope_cs || !s->preload.first || kv_reserve(&s->kv, 0, n) < 0 ||
        states_make(&s->states, 0, n) < 0) {
        preload_drop(s);
        kv_release(&s->kv, 0);
        return GEMEL_E_MEMORY;
    }
    memcpy(s->ids, ids, (size_t)n * sizeof *ids);
    return GEMEL_OK;
}

// Layer il for n tokens from index `at` on; il n_layer: the output of the last token. Numbers that are not finite
// discard the preload. After the last keys and values only the last token's stream is needed.
static int step_rows(gemel_session *s, int at, int n, int il, row *rows) {
    int is_out = il == s->m->n_layer, code = GEMEL_OK;
    for (int i = 0; i < n; i++) {
        float *x = s->preload.x + (size_t)(at + i) * (size_t)s->m->n_embd;
        row *r = &rows[i];
        *r = session_row(s, at + i, s->ids[at + i]);
        r->in = il ? x : NULL;
        r->stream = x;
        r->wanted = il < s->m->last_put || at + i == s->preload.n - 1 ? WANT_STREAM : 0;
    }
    if (is_out) code = session_keep_last(s, &rows[n - 1], 1);
    if (code < 0) return code;
    batch b = {.m = s->m, .rows = rows, .n = n, .from = il, .to = is_out ? il : il + 1, .profile = &s->profile};
    b.rope_cs = s->preload.rope_cs + (size_t)at * (size_t)s->m->rope_width;
    b.has_rope = il > 0;
    b.first = s->preload.first + (size_t)at * (size_t)s->m->n_first;
    forward(&b);
    if (b.code < 0) return b.code;
    for (int i = 0; i < n; i++) code = rows[i].bad ? GEMEL_E_NUMERIC : code;
    if (code < 0) {
        preload_drop(s);
        kv_release(&s->kv, 0);
    }
    return code;
}

static int step(gemel_session *s, int at, int n, int il) {
    row *rows = malloc((size_t)n * sizeof *rows);
    int code = rows ? step_rows(s, at, n, il, rows) : GEMEL_E_MEMORY;
    free(rows);
    return code;
}

// The streams have passed all layers: compute the last one's logits, and count the ids.
static int end(gemel_session *s) {
    int n = s->preload.n, code = step(s, n - 1, 1, s->m->n_layer);
    if (code < 0) return code;
    states_count(&s->states);
    preload_drop(s);
    s->n_past = n;
    s->has_stream = s->has_logits = 1;
    return GEMEL_OK;
}

static int check(const gemel_session *s, const int32_t *ids, size_t n, int n_layers) {
    int code = session_check_ids(s, ids, n);
    if (code < 0) return code;
    if (s->m->is_encoder) return GEMEL_E_UNSUPPORTED;
    if (!n || s->n_past || n_layers < 0 || n_layers > atomic_load(&s->m->n_whole)) return GEMEL_E_ARGUMENT;
    if (!s->preload.n) return GEMEL_OK;
    return n == (size_t)s->preload.n && !memcmp(s->ids, ids, n * sizeof *ids) ? GEMEL_OK : GEMEL_E_ARGUMENT;
}

int gemel_session_preload(gemel_session *s, const int32_t *ids, size_t n, int n_layers) {
    int code = check(s, ids, n, n_layers);
    if (code == GEMEL_OK && !s->preload.n) code = start(s, ids, (int)n);
    if (code < 0) return code;
    preload *p = &s->preload;
    while (p->il < n_layers) {
        if (session_cancelled(s)) return GEMEL_E_CANCELLED;
        if (p->il > s->m->last_put) p->at = p->n - 1;   // the streams of the others have ended
        int part = p->n - p->at < s->m->n_batch ? p->n - p->at : s->m->n_batch;
        code = step(s, p->at, part, p->il);
        if (code < 0) return code;
        p->at += part;
        if (p->at == p->n) p->il++, p->at = 0;
    }
    if (p->il < s->m->n_layer || !model_is_whole(s->m)) return p->il;
    if (session_cancelled(s)) return GEMEL_E_CANCELLED;
    code = end(s);
    return code < 0 ? code : s->m->n_layer;
}
