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

typedef struct lane {   // what passes need, one after another
    kv_cache *caches;   // [n_caches] of the texts of a pass
    int n_caches;
    row *rows;       // of a pass
    float *hidden;   // [rows][n_embd]
} lane;

typedef struct embedding {
    gemel_model *m;
    int pooling, kv_type;
    const text *texts;
    size_t *starts;   // [n_passes + 1] the first text of each pass
    size_t n_passes;
    int most;      // rows of a pass that a thread runs alone; others are run by all threads
    lane *lanes;   // [n_lanes] of each thread
    int n_lanes;
    atomic_size_t next;   // pass that no thread has
} embedding;

static int n_rows(const embedding *e, size_t pass) {
    int n = 0;
    for (size_t i = e->starts[pass]; i < e->starts[pass + 1]; i++) n += e->texts[i].n;
    return n;
}

static int is_wanted(const embedding *e, const text *t, int i) {
    return e->pooling == GEMEL_POOLING_MEAN || (e->pooling == GEMEL_POOLING_CLS ? i == 0 : i == t->n - 1);
}

static void add_rows(const embedding *e, const lane *l, const text *t, kv_cache *cache, int at) {
    cache->is_long = rope_is_long(e->m, t->n);
    for (int i = 0; i < t->n; i++) {
        row *r = &l->rows[at + i];
        *r = (row){.cache = cache, .id = t->ids[i], .at = i, .pos = {i, i, i}, .seen_to = t->n};
        if (t->types) r->type = t->types[i];
        if (!is_wanted(e, t, i)) continue;
        r->wanted = WANT_HIDDEN;
        r->hidden = l->hidden + (size_t)(at + i) * (size_t)e->m->n_embd;
    }
}

// Add up the wanted rows of a text in doubles, in the order of its ids, and divide by their number.
static void pool(const embedding *e, const lane *l, const text *t, int at) {
    int n_embd = e->m->n_embd, n = 0;
    for (int k = 0; k < n_embd; k++) t->out[k] = 0;
    for (int i = 0; i < t->n; i++) {
        const row *r = &l->rows[at + i];
        if (r->bad) *t->code = GEMEL_E_NUMERIC;
        if (!r->wanted) continue;
        n++;
        for (int k = 0; k < n_embd; k++) t->out[k] += r->hidden[k];
    }
    for (int k = 0; k < n_embd && n > 1; k++) t->out[k] /= n;
}

// A pass of thread ith alone; -1: of all threads.
static int run(const embedding *e, const lane *l, size_t pass, int ith) {
    const text *texts = e->texts + e->starts[pass];
    int n = (int)(e->starts[pass + 1] - e->starts[pass]);
    batch b = {.m = e->m, .rows = l->rows, .to = e->m->n_layer};
    for (int i = 0; i < n; b.n += texts[i++].n) add_rows(e, l, &texts[i], &l->caches[i], b.n);
    b.is_short = b.n == 1;
    if (ith < 0) forward(&b);
    else forward_alone(&b, ith);
    if (b.code < 0) return b.code;
    for (int i = 0, at = 0; i < n; at += texts[i++].n) pool(e, l, &texts[i], at);
    return GEMEL_OK;
}

static void run_lane(void *arg, int ith) {
    embedding *e = arg;
    for (size_t pass; (pass = atomic_fetch_add(&e->next, 1)) < e->n_passes;)
        if (n_rows(e, pass) <= e->most) run(e, &e->lanes[ith], pass, ith);
}

static int run_all(embedding *e) {
    int code = GEMEL_OK;
    for (size_t pass = 0; pass < e->n_passes && code == GEMEL_OK; pass++)
        if (n_rows(e, pass) > e->most) code = run(e, &e->lanes[0], pass, -1);
    return code == GEMEL_OK && e->most ? forward_apart(e->m, run_lane, e) : code;
}

// ---- Before the passes ---------------------------------------------------------------------------------------------

// Cut texts into passes of at most `most` rows, or of one text that is longer.
static void cut(embedding *e, size_t n, int most) {
    e->n_passes = 0;
    for (size_t at = 0, end; at < n; at = end) {
        int rows = e->texts[at].n;
        for (end = at + 1; end < n && e->texts[end].n <= most - rows; end++) rows += e->texts[end].n;
        e->starts[e->n_passes++] = at;
    }
    e->starts[e->n_passes] = n;
}

// Threads run passes alone where each has enough rows: as many passes for each, of about the same size.
static void choose_passes(embedding *e, size_t n) {
    int most = forward_rows(e->m), nth = e->m->n_threads;
    size_t rows = 0;
    for (size_t i = 0; i < n && most; i++) rows += e->texts[i].n <= most ? (size_t)e->texts[i].n : 0;
    e->most = rows >= (size_t)(most * nth) ? most : 0;
    e->n_lanes = e->most ? nth : 1;
    cut(e, n, e->most ? e->most : e->m->n_batch);
}

// Room for the pass in a lane.
static int grow_caches(const embedding *e, lane *l, size_t pass) {
    const gemel_model *m = e->m;
    for (size_t i = 0, first = e->starts[pass]; i < e->starts[pass + 1] - first; i++) {
        int code = GEMEL_OK;
        if ((int)i == l->n_caches) {
            code = kv_open(&l->caches[i], m->classes, m->n_classes, e->kv_type, m->n_ctx_train);
            if (code < 0) return code;
            l->n_caches++;
        }
        code = kv_reserve(&l->caches[i], 0, e->texts[first + i].n);
        if (code < 0) return code;
    }
    return GEMEL_OK;
}

static int open_lane(const embedding *e, lane *l, int is_first) {
    int rows = 1, texts = 1;
    for (size_t pass = 0; pass < e->n_passes; pass++) {
        int n = n_rows(e, pass), count = (int)(e->starts[pass + 1] - e->starts[pass]);
        if (n > e->most && !is_first) continue;
        rows = n > rows ? n : rows;
        texts = count > texts ? count : texts;
    }
    l->rows = malloc((size_t)rows * sizeof *l->rows);
    l->hidden = malloc((size_t)rows * (size_t)e->m->n_embd * sizeof *l->hidden);
    l->caches = calloc((size_t)texts, sizeof *l->caches);
    int code = l->rows && l->hidden && l->caches ? GEMEL_OK : GEMEL_E_MEMORY;
    for (size_t pass = 0; pass < e->n_passes && code == GEMEL_OK; pass++)
        if (is_first || n_rows(e, pass) <= e->most) code = grow_caches(e, l, pass);
    return code;
}

static int open_lanes(embedding *e, size_t n) {
    e->starts = malloc((n + 1) * sizeof *e->starts);
    if (!e->starts) return GEMEL_E_MEMORY;
    choose_passes(e, n);
    e->lanes = calloc((size_t)e->n_lanes, sizeof *e->lanes);
    int code = e->lanes ? GEMEL_OK : GEMEL_E_MEMORY;
    for (int i = 0; i < e->n_lanes && code == GEMEL_OK; i++) code = open_lane(e, &e->lanes[i], i == 0);
    return code;
}

static void close_lanes(embedding *e) {
    for (int i = 0; e->lanes && i < e->n_lanes; i++) {
        lane *l = &e->lanes[i];
        for (int k = 0; k < l->n_caches; k++) kv_close(&l->caches[k]);
        free(l->caches), free(l->rows), free(l->hidden);
    }
    free(e->lanes), free(e->starts);
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
    int code = texts ? GEMEL_OK : GEMEL_E_MEMORY;
    for (size_t i = 0; i < n && code == GEMEL_OK; i++) {
        texts[i] = (text){ids, types, n_ids[i], rows + i * (size_t)m->n_embd, &codes[i]};
        codes[i] = GEMEL_OK;
        code = check_text(m, &texts[i]);
        if (code < 0) break;
        ids += n_ids[i];
        if (types) types += n_ids[i];
    }
    e.texts = texts;
    if (code == GEMEL_OK) code = open_lanes(&e, n);
    if (code == GEMEL_OK) code = run_all(&e);
    close_lanes(&e);
    free(texts);
    return code;
}
