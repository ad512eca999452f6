// Texts become rows: the hidden states of each are pooled. Rows of many texts go through a pass together, each text in
// a separate cache, so that none is padded and none changes the bits of another.
#include <stdlib.h>
#include "../arch/rope.h"
#include "session.h"

typedef struct text {
    const int32_t *ids, *types;   // [n]; types NULL: all 0
    int n;
    double *out;   // [n_embd]
    int32_t *code;
} text;

typedef struct embedding {
    gemel_model *m;
    int pooling, kv_type;
    kv_cache *caches;   // [n_caches] of the texts of a pass; later passes use them again
    int n_caches;
    row *rows;       // [n_rows] of a pass
    float *hidden;   // [n_rows][n_embd]
    int n_rows;
} embedding;

static void close_caches(embedding *e) {
    for (int i = 0; i < e->n_caches; i++) kv_close(&e->caches[i]);
    e->n_caches = 0;
}

static int is_wanted(const embedding *e, const text *t, int i) {
    return e->pooling == GEMEL_POOLING_MEAN || (e->pooling == GEMEL_POOLING_CLS ? i == 0 : i == t->n - 1);
}

// Room for the positions of a text in cache i.
static int take_cache(embedding *e, int i, int n) {
    const gemel_model *m = e->m;
    if (i == e->n_caches) {
        int code = kv_open(&e->caches[i], m->classes, m->n_classes, e->kv_type, m->n_ctx_train);
        if (code < 0) return code;
        e->n_caches++;
    }
    e->caches[i].is_long = rope_is_long(m, n);
    return kv_reserve(&e->caches[i], 0, n);
}

static void add_rows(const embedding *e, const text *t, kv_cache *cache, int at) {
    for (int i = 0; i < t->n; i++) {
        row *r = &e->rows[at + i];
        *r = (row){.cache = cache, .id = t->ids[i], .at = i, .pos = {i, i, i}, .seen_to = t->n};
        if (t->types) r->type = t->types[i];
        if (!is_wanted(e, t, i)) continue;
        r->wanted = WANT_HIDDEN;
        r->hidden = e->hidden + (size_t)(at + i) * (size_t)e->m->n_embd;
    }
}

// Add up the wanted rows of a text in doubles, in the order of its ids, and divide by their number.
static void pool(const embedding *e, const text *t, int at) {
    int n_embd = e->m->n_embd, n = 0;
    for (int k = 0; k < n_embd; k++) t->out[k] = 0;
    for (int i = 0; i < t->n; i++) {
        const row *r = &e->rows[at + i];
        if (r->bad) *t->code = GEMEL_E_NUMERIC;
        if (!r->wanted) continue;
        n++;
        for (int k = 0; k < n_embd; k++) t->out[k] += r->hidden[k];
    }
    for (int k = 0; k < n_embd && n > 1; k++) t->out[k] /= n;
}

// One pass of n texts.
static int run(embedding *e, const text *texts, int n) {
    int n_rows = 0;
    for (int i = 0; i < n; i++) {
        int code = take_cache(e, i, texts[i].n);
        if (code < 0) return code;
        add_rows(e, &texts[i], &e->caches[i], n_rows);
        n_rows += texts[i].n;
    }
    batch b = {.m = e->m, .rows = e->rows, .n = n_rows, .to = e->m->n_layer, .is_short = n_rows == 1};
    forward(&b);
    if (b.code < 0) return b.code;
    for (int i = 0, at = 0; i < n; at += texts[i].n, i++) pool(e, &texts[i], at);
    return GEMEL_OK;
}

// As many texts as a pass takes: n_batch rows, or one text that is longer.
static int texts_of_pass(const embedding *e, const text *texts, size_t n) {
    int rows = texts[0].n, count = 1;
    while ((size_t)count < n && rows + texts[count].n <= e->m->n_batch) rows += texts[count++].n;
    return count;
}

static int grow_rows(embedding *e, int n) {
    if (n <= e->n_rows) return GEMEL_OK;
    free(e->rows), free(e->hidden);
    e->rows = malloc((size_t)n * sizeof *e->rows);
    e->hidden = malloc((size_t)n * (size_t)e->m->n_embd * sizeof *e->hidden);
    e->n_rows = e->rows && e->hidden ? n : 0;
    return e->n_rows ? GEMEL_OK : GEMEL_E_MEMORY;
}

static int check_text(const gemel_model *m, const text *t) {
    if (t->n < 1) return GEMEL_E_ARGUMENT;
    if (t->n > m->n_ctx_train) return GEMEL_E_CONTEXT;
    for (int i = 0; i < t->n; i++) {
        if (t->ids[i] < 0 || t->ids[i] >= m->n_vocab) return GEMEL_E_ARGUMENT;
        if (t->types && (t->types[i] < 0 || t->types[i] >= (m->n_types ? m->n_types : 1))) return GEMEL_E_ARGUMENT;
    }
    return GEMEL_OK;
}

static int run_all(embedding *e, const text *texts, size_t n) {
    for (size_t at = 0; at < n;) {
        int count = texts_of_pass(e, texts + at, n - at);
        int code = grow_rows(e, count == 1 && texts[at].n > e->m->n_batch ? texts[at].n : e->m->n_batch);
        if (code == GEMEL_OK) code = run(e, texts + at, count);
        if (code < 0) return code;
        at += (size_t)count;
    }
    return GEMEL_OK;
}

int gemel_model_embed(gemel_model *m, const int32_t *ids, const int32_t *types, const int32_t *n_ids, size_t n,
                      int pooling, int kv_type, double *rows, int32_t *codes) {
    if (!m || !ids || !n_ids || n < 1 || !rows || !codes || !model_is_whole(m)) return GEMEL_E_ARGUMENT;
    if (kv_type == GEMEL_KV_DEFAULT) kv_type = m->kv_type;
    if ((kv_type != GEMEL_KV_F16 && kv_type != GEMEL_KV_F32) ||
        (pooling != GEMEL_POOLING_MEAN && pooling != GEMEL_POOLING_CLS && pooling != GEMEL_POOLING_LAST))
        return GEMEL_E_ARGUMENT;
    if (!m->is_encoder) return GEMEL_E_UNSUPPORTED;
    embedding e = {.m = m, .pooling = pooling, .kv_type = kv_type};
    text *texts = calloc(n, sizeof *texts);
    e.caches = calloc((size_t)m->n_batch, sizeof *e.caches);
    int code = texts && e.caches ? GEMEL_OK : GEMEL_E_MEMORY;
    for (size_t i = 0; i < n && code == GEMEL_OK; i++) {
        texts[i] = (text){ids, types, n_ids[i], rows + i * (size_t)m->n_embd, &codes[i]};
        codes[i] = GEMEL_OK;
        code = check_text(m, &texts[i]);
        if (code < 0) break;
        ids += n_ids[i];
        if (types) types += n_ids[i];
    }
    if (code == GEMEL_OK) code = run_all(&e, texts, n);
    close_caches(&e);
    free(e.caches), free(e.rows), free(e.hidden), free(texts);
    return code;
}
