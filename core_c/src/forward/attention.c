// Attention: projections, RoPE and the cache in the first phase; scores, values and the output projection in the
// second.
#include "attention.h"
#include <string.h>
#include "../fmath.h"

// ---- Keys and values into the cache --------------------------------------------------------------------------------

void rope_head(const worker *w, const attention *a, int t, const float *x, int n, float scale, float *y, int padded) {
    static const rope_table still = {.far = 1};
    const rope_table *r = a->rope < 0 ? &still : &w->m->ropes[a->rope];
    const float *cs = w->b->rope_cs + (size_t)row_of(w, t) * (size_t)w->m->rope_width + r->at;
    w->k->rope(x, cs, r->n_rot, r->far, n, scale, y);
    if (padded > n) memset(y + n, 0, sizeof(float) * (size_t)(padded - n));
}

// x[n] of row t into +-most. What is Inf is still an error, and NaN stays.
static void clamp(const worker *w, int t, float *x, int n, float most) {
    float zero = 0;
    for (int i = 0; i < n; i++) {
        zero = zero + x[i] * 0;
        x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
    }
    if (zero != 0) row_is_bad(w, t);
}

// A head of q or k, x[k_dim], before RoPE: in place, unless all heads of a row are normed together.
static void shape_head(const worker *w, const attention *a, int t, int ih, norm norm, float *x) {
    if (a->is_wide_norm) return;
    if (a->clamp > 0) clamp(w, t, x, a->k_dim, a->clamp);
    if (!norm.is_on || a->is_late_norm) return;
    norm.w += ih * a->norm_stride;
    norm_row(w, &norm, t, x, a->k_dim, x);
}

// The same head after RoPE, y[k_dim]: norm it, then scale it, where the norm comes last.
static void norm_late(const worker *w, const attention *a, int t, const norm *norm, float scale, float *y) {
    norm_row(w, norm, t, y, a->k_dim, y);
    for (int i = 0; i < a->k_dim; i++) y[i] = y[i] * scale;
}

// What a query at a position is multiplied by, on top of its scale.
static float heat_of(const attention *a, int pos) {
    int spans = a->heat_span ? (pos + a->heat_ahead) / a->heat_span : 0;
    return spans ? (float)(1 + a->heat * fm_log(1 + (double)spans)) : 1;
}

// All heads of rows of q and k, [n_head * k_dim] and [n_head_kv * k_dim] wide.
static void shape_rows(const worker *w, const attention *a) {
    for (int i = w->ith; i < 2 * w->n; i += w->nth) {
        int t = i / 2, is_key = i % 2, n = (is_key ? a->n_head_kv : a->n_head) * a->k_dim;
        const linear *p = is_key ? &a->k : &a->q;
        float *x = (is_key ? w->s->k : w->s->q) + (size_t)t * (size_t)(p->w.n_panels * 16);
        if (a->clamp > 0) clamp(w, t, x, n, a->clamp);
        norm_row(w, is_key ? &a->k_norm : &a->q_norm, t, x, n, x);
    }
    mark(w, GEMEL_OP_NORM);
    meet(w);
}

float scale_of(const worker *w, const attention *a, int t) {
    const row *r = row_at(w, t);
    float scale = r->cache->type == GEMEL_KV_Q8_0 ? a->q_scale_log2 : a->q_scale;
    return a->heat_span ? scale * heat_of(a, r->pos[0]) : scale;
}

// What a row has in s->heads: queries, and after them their gates.
static size_t heads_of(const attention *a, int t) { return (size_t)t * (size_t)(a->n_head * (a->is_gated ? 2 : 1)); }
static float *gate_at(const worker *w, const attention *a, int t, int ih) {
    return w->s->heads + (heads_of(a, t) + (size_t)(a->n_head + ih)) * (size_t)pad_to(a->v_dim, 32);
}

// The sigmoids of a head's gate, which follows its query.
static void place_gate(const worker *w, const attention *a, int t, int ih, const float *x) {
    float *to = gate_at(w, a, t, ih), zero = 0;
    memset(to, 0, sizeof(float) * (size_t)pad_to(a->v_dim, 32));
    memcpy(to, x, sizeof(float) * (size_t)a->v_dim);
    for (int i = 0; i < a->v_dim; i++) zero = zero + x[i] * 0;
    if (zero != 0) row_is_bad(w, t);
    w->k->sigmoids(to, pad_to(a->v_dim, 16), to);
}

static void place_query(const worker *w, const attention *a, int t, int ih) {
    int stride = pad_to(a->k_dim, 32), rows = a->is_gated ? 2 * a->k_dim : a->k_dim;
    float *from = w->s->q + (size_t)t * (size_t)(a->q.w.n_panels * 16) + ih * rows;
    float *to = w->s->heads + (heads_of(a, t) + (size_t)ih) * (size_t)stride;
    float scale = scale_of(w, a, t);
    shape_head(w, a, t, ih, a->q_norm, from);
    rope_head(w, a, t, from, a->k_dim, a->is_late_norm ? 1 : scale, to, stride);
    if (a->is_late_norm) norm_late(w, a, t, &a->q_norm, scale, to);
    if (a->is_gated) place_gate(w, a, t, ih, from + a->k_dim);
}

void store_key_value(const worker *w, const attention *a, int t, int ih, const float *key, const float *v) {
    float padded[ATTEND_DIM];
    row *r = row_at(w, t);
    const kv_layout *layout = kv_layout_at(r->cache, a->cache_class);
    if (layout->v_dim > a->v_dim) {
        v = memcpy(padded, v, sizeof(float) * (size_t)a->v_dim);
        memset(padded + a->v_dim, 0, sizeof(float) * (size_t)(layout->v_dim - a->v_dim));
    }
    uint8_t *block = kv_block_at(r->cache, a->cache_class, a->cache_at + ih, r->at);
    if (!w->k->kv[r->cache->type].store(key, v, layout, block, r->at % KV_BLOCK)) row_is_bad(w, t);
}

void expect_key_values(const worker *w, const attention *a, int t) {
    const row *r = row_at(w, t);
    for (int g = 0; g < a->n_head_kv && w->n > 1; g++)
        kv_block_expect(kv_layout_at(r->cache, a->cache_class),
                        kv_block_at(r->cache, a->cache_class, a->cache_at + g, r->at), r->at % KV_BLOCK);
}

// K after RoPE and V, rounded to the cache's type.
static void place_key_value(const worker *w, const attention *a, int t, int ih) {
    float key[ATTEND_DIM], own[ATTEND_DIM];
    const kv_layout *layout = kv_layout_at(row_at(w, t)->cache, a->cache_class);
    float *k = w->s->k + (size_t)t * (size_t)(a->k.w.n_panels * 16) + ih * a->k_dim;
    float *v = w->s->v + (size_t)t * (size_t)(a->v.w.n_panels * 16) + ih * a->v_dim;
    if (a->is_k_v) v = memcpy(own, k, sizeof(float) * (size_t)a->k_dim);
    shape_head(w, a, t, ih, a->k_norm, k);
    if (a->clamp > 0) clamp(w, t, v, a->v_dim, a->clamp);
    if (a->v_norm.is_on) norm_row(w, &a->v_norm, t, v, a->v_dim, v);
    rope_head(w, a, t, k, a->k_dim, 1.0f, key, layout->k_dim);
    if (a->is_late_norm) norm_late(w, a, t, &a->k_norm, 1.0f, key);
    store_key_value(w, a, t, ih, key, v);
}

static void place_heads(const worker *w, const attention *a) {
    int has_keys = a->kv_of < 0, each = a->n_head + (has_keys ? a->n_head_kv : 0), total = w->n * each;
    for (int i = share(total, w->ith, w->nth); i < share(total, w->ith + 1, w->nth); i++) {
        int t = i / each, ih = i % each;
        if (ih == 0 && has_keys && !w->m->is_encoder) expect_key_values(w, a, t);   // an encoder's were just used
        if (ih < a->n_head) place_query(w, a, t, ih);
        else place_key_value(w, a, t, ih - a->n_head);
    }
}

static void attention_put(worker *w, const layer *l) {
    const attention *a = &l->attn;
    int floats = weight_is_float(&a->q.w) && weight_is_float(&a->k.w) && weight_is_float(&a->v.w);
    keep_stream(w, l);
    acts in = prepare(w, w->s->x, (size_t)w->m->n_embd, w->m->n_embd, &l->in, !floats);
    const product p[] = {{&a->q, w->s->q}, {&a->k, w->s->k}, {&a->v, w->s->v}};
    multiply_all(w, &in, p, a->kv_of >= 0 ? 1 : a->is_k_v ? 2 : 3, GEMEL_OP_ATTENTION_IN);
    meet(w);
    if (a->is_wide_norm) shape_rows(w, a);
    place_heads(w, a);
    mark(w, GEMEL_OP_ATTENTION_PUT);
    meet(w);
}

// ---- Scores and values ---------------------------------------------------------------------------------------------

// Rows t0..t1-1 of one cache by query heads h0..h1-1, all of one KV group, at most ATTEND_MAX pairs.
typedef struct tile {
    int t0, t1, h0, h1;
} tile;

static int group_of(const attention *a) { return a->n_head / a->n_head_kv; }
static int first_seen(const attention *a, const row *r) {
    if (a->reach) return r->at >= a->reach ? r->at - a->reach + 1 : 0;
    return kv_first_seen(a->window, a->is_chunked, r->seen_to - 1);
}

static int seen_to(const attention *a, const row *r) {
    return a->reach && r->at + a->reach < r->seen_to ? r->at + a->reach : r->seen_to;
}

// A tile's queries as the kernels' arguments; each sees the positions up to its row's.
static attend_args args_of(const worker *w, const attention *a, const tile *i) {
    const kv_cache *kv = row_at(w, i->t0)->cache;
    const kv_table *table = &kv->tables[a->cache_class];
    size_t k_stride = (size_t)pad_to(a->k_dim, 32), v_stride = (size_t)pad_to(a->v_dim, 32);
    attend_args args = {.k_dim = table->layout.k_dim, .v_dim = table->layout.v_dim, .pages = table->pages};
    args.soft_cap = a->soft_cap;
    args.has_slopes = a->slopes != NULL;
    args.has_sinks = a->sinks != NULL;
    if (w->m->rel_bias) args.buckets = w->m->buckets, args.bias_stride = a->n_head;
    args.at = kv_head_at(kv, a->cache_class, a->cache_at + i->h0 / group_of(a));
    for (int t = i->t0; t < i->t1; t++)
        for (int h = i->h0; h < i->h1; h++) {
            size_t head = (size_t)t * (size_t)a->n_head + (size_t)h;
            if (a->slopes) args.slope[args.n] = a->slopes[h];
            if (args.buckets) args.bias[args.n] = w->m->rel_bias + h;
            if (a->sinks) args.sink[args.n] = a->sinks[h];
            args.q[args.n] = w->s->heads + (heads_of(a, t) + (size_t)h) * k_stride;
            args.o[args.n] = w->s->att + head * v_stride;
            args.first[args.n] = first_seen(a, row_at(w, t));
            args.n_pos[args.n] = seen_to(a, row_at(w, t));
            args.ahead[args.n] = args.n_pos[args.n] - 1 - row_at(w, t)->at;
            args.n++;
        }
    return args;
}

// Where a tile's keys begin, so that they can be prefetched.
static const uint8_t *first_key(const worker *w, const attention *a, const tile *i) {
    const row *r = row_at(w, i->t0);
    return kv_block_at(r->cache, a->cache_class, a->cache_at + i->h0 / group_of(a), first_seen(a, r));
}

// next: the thread's next tile, or NULL.
static void attend_tile(const worker *w, const attention *a, const tile *i, const tile *next) {
    attend_args args = args_of(w, a, i);
    args.next = next ? first_key(w, a, next) : NULL;
    if (w->k->kv[row_at(w, i->t0)->cache->type].attend(&args)) return;
    for (int t = i->t0; t < i->t1; t++) row_is_bad(w, t);
}

static tile heads_of_one(int h, int to, int group) {
    int end = (h / group + 1) * group < to ? (h / group + 1) * group : to;
    return (tile){0, 1, h, end - h > ATTEND_MAX ? h + ATTEND_MAX : end};
}

// One row: its heads are split among the threads, those of a KV group together.
static void attend_one_row(const worker *w, const attention *a) {
    int group = group_of(a), h = share(a->n_head, w->ith, w->nth), to = share(a->n_head, w->ith + 1, w->nth);
    while (h < to) {
        tile i = heads_of_one(h, to, group), next = heads_of_one(h = i.h1, to, group);
        attend_tile(w, a, &i, h < to ? &next : NULL);
    }
}

// One row that sees many positions: blocks of positions by KV heads are split among the threads, and their partials
// joined head by head. The last row of a prompt is such a row, too.
enum { BLOCKS_SHARED = 4 };   // at least this many blocks

static int first_block(const attention *a, const row *r) { return first_seen(a, r) / KV_BLOCK; }
static int is_shared(const worker *w, const attention *a) {
    const row *r = row_at(w, 0);
    return w->nth > 1 && r->cache->type == GEMEL_KV_Q8_0 &&
           (r->seen_to - 1) / KV_BLOCK + 1 - first_block(a, r) >= BLOCKS_SHARED;
}

// Query heads h0..h1-1 of the row, and where each block's partials go.
static attend_args shared_args(const worker *w, const attention *a, int h0, int h1) {
    tile i = {0, 1, h0, h1};
    attend_args args = args_of(w, a, &i);
    size_t blocks = (size_t)((row_at(w, 0)->seen_to - 1) / KV_BLOCK + 1);
    for (int k = 0; k < args.n; k++)
        args.partials[k] = w->s->partials + (size_t)(h0 + k) * blocks * (size_t)(KV_PARTIAL_HEAD + args.v_dim);
    return args;
}

// KV groups' query heads, in pieces of at most ATTEND_MAX: piece i.
static tile piece_at(const attention *a, int i) {
    int group = group_of(a), heads = group < ATTEND_MAX ? group : ATTEND_MAX, pieces = (group + heads - 1) / heads;
    int g = i / pieces * group, h = g + i % pieces * heads;
    return (tile){0, 1, h, h + heads < g + group ? h + heads : g + group};
}

static void attend_shared(const worker *w, const attention *a) {
    const row *r = row_at(w, 0);
    int group = group_of(a), heads = group < ATTEND_MAX ? group : ATTEND_MAX, first = first_block(a, r);
    int pieces = a->n_head_kv * ((group + heads - 1) / heads), blocks = (r->seen_to - 1) / KV_BLOCK + 1 - first;
    int from = share(pieces * blocks, w->ith, w->nth), to = share(pieces * blocks, w->ith + 1, w->nth);
    for (int at = from, end; at < to; at = end) {
        tile i = piece_at(a, at / blocks), next = piece_at(a, at / blocks + 1);
        attend_args args = shared_args(w, a, i.h0, i.h1);
        end = (at / blocks + 1) * blocks < to ? (at / blocks + 1) * blocks : to;
        args.next = end < to ? first_key(w, a, &next) : NULL;
        if (!w->k->attend_q8_partials(&args, first + at % blocks, first + (end - 1) % blocks + 1)) row_is_bad(w, 0);
    }
    meet(w);
    for (int h = share(a->n_head, w->ith, w->nth), end = share(a->n_head, w->ith + 1, w->nth); h < end;) {
        int h1 = h + ATTEND_MAX < end ? h + ATTEND_MAX : end;
        attend_args args = shared_args(w, a, h, h1);
        w->k->attend_q8_join(&args);
        h = h1;
    }
}

// Where tiles of up to `rows` rows of one cache begin, then the end of the last. Returns their number.
static int cut_tiles(const worker *w, int rows, int *starts) {
    int n = 0;
    for (int t = 0; t < w->n; t++)
        if (t == 0 || row_at(w, t)->cache != row_at(w, t - 1)->cache || t - starts[n - 1] == rows) starts[n++] = t;
    starts[n] = w->n;
    return n;
}

static tile tile_at(const attention *a, const int *starts, int n, int i) {
    int pieces = a->n_head_kv * ((group_of(a) - 1) / ATTEND_MAX + 1);
    tile t = piece_at(a, i % pieces);
    if (i / pieces >= n) return t;
    t.t0 = starts[i / pieces], t.t1 = starts[i / pieces + 1];
    return t;
}

// Many rows: tiles of rows by KV groups are dealt out to the threads.
static void attend_rows(const worker *w, const attention *a) {
    int starts[N_BATCH_MAX + 1], group = group_of(a), heads = group < ATTEND_MAX ? group : ATTEND_MAX;
    // Rows of a tile. Fewer over a float cache, where blocks that only some queries see are slow.
    int most = row_at(w, 0)->cache->type == GEMEL_KV_Q8_0 ? ATTEND_MAX : 8, rows = most > heads ? most / heads : 1;
    while (rows > 1 && w->n * a->n_head_kv < 4 * w->nth * rows) rows--;   // enough to deal out evenly
    int n = cut_tiles(w, rows, starts), total = n * a->n_head_kv * ((group - 1) / ATTEND_MAX + 1);
    for (int i = w->ith; i < total; i += w->nth) {
        tile now = tile_at(a, starts, n, i), next = tile_at(a, starts, n, i + w->nth);
        attend_tile(w, a, &now, i + w->nth < total ? &next : NULL);
    }
}

void attend(const worker *w, const attention *a) {
    if (w->n > 1) attend_rows(w, a);
    else if (is_shared(w, a)) attend_shared(w, a);
    else attend_one_row(w, a);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

// Heads side by side without their padding; by each thread for its share of rows.
static const float *compact_heads(const worker *w, const float *heads, int n_head, int dim, size_t *ld) {
    int stride = pad_to(dim, 32), width = pad_to(n_head * dim, 16);
    *ld = (size_t)(n_head * stride);
    if (stride == dim) return heads;
    for (int t = w->ith; t < w->n; t += w->nth)
        for (int ih = 0; ih < n_head; ih++)
            memcpy(w->s->q + (size_t)t * (size_t)width + ih * dim, heads + (size_t)t * *ld + ih * stride,
                   sizeof(float) * (size_t)dim);
    meet(w);
    *ld = (size_t)width;
    return w->s->q;
}

void add_heads(const worker *w, const layer *l, const float *heads, int dim) {
    static const norm none = {0};
    const attention *a = &l->attn;
    size_t ld;
    heads = compact_heads(w, heads, a->n_head, dim, &ld);
    acts in = prepare(w, heads, ld, a->n_head * dim, &none, !weight_is_float(&a->output.w));
    add_half(w, l, &a->output, &in, &l->out, GEMEL_OP_ATTENTION_OUT);
    meet(w);
}

// What heads make times their gates.
static void gate_heads(const worker *w, const attention *a) {
    int total = w->n * a->n_head, stride = pad_to(a->v_dim, 32);
    for (int i = share(total, w->ith, w->nth); i < share(total, w->ith + 1, w->nth); i++) {
        const float *by = gate_at(w, a, i / a->n_head, i % a->n_head);
        float *x = w->s->att + (size_t)i * (size_t)stride;
        for (int j = 0; j < a->v_dim; j++) x[j] = x[j] * by[j];
    }
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

static void attention_take(worker *w, const layer *l) {
    attend(w, &l->attn);
    if (l->attn.is_gated) gate_heads(w, &l->attn);
    add_heads(w, l, w->s->att, l->attn.v_dim);
}

const block attention_block = {attention_put, attention_take};
