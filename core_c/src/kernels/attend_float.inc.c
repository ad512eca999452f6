// Attention over an F16 or F32 cache: q.k with one SIMD lane per position, streaming softmax over blocks of 16
// positions in ascending order, p.v with one lane per channel. A query's result depends only on its own first and
// n_pos; queries are side by side only to share the loads. `type` is a constant wherever these words are inlined.

WORD vf att_load(const int type, const uint8_t *p, size_t i) {   // numbers i.. of those at p
    return type == GEMEL_KV_F16 ? vf_f16((const uint16_t *)p + i) : vf_load((const float *)p + i);
}

// ---- The cache -----------------------------------------------------------------------------------------------------

static int store_f16(const float *k, const float *v, const kv_layout *l, uint8_t *block, int in) {
    uint16_t row[ATTEND_DIM], *k_to = (uint16_t *)(block + kv_k_at(l, in)),
                              *v_to = (uint16_t *)(block + kv_v_at(l, in));
    if (!bounded(k, l->k_dim, ATTEND_BOUND_F16) || !bounded(v, l->v_dim, ATTEND_BOUND_F16)) return 0;
    to_f16(k, l->k_dim, row);
    to_f16(v, l->v_dim, v_to);
    for (int i = 0; i < l->k_dim; i++) k_to[i * LANES] = row[i];
    return 1;
}

static int store_f32(const float *k, const float *v, const kv_layout *l, uint8_t *block, int in) {
    float *k_to = (float *)(block + kv_k_at(l, in));
    if (!bounded(k, l->k_dim, ATTEND_BOUND) || !bounded(v, l->v_dim, ATTEND_BOUND)) return 0;
    for (int i = 0; i < l->k_dim; i++) k_to[i * LANES] = k[i];
    memcpy(block + kv_v_at(l, in), v, sizeof *v * (size_t)l->v_dim);
    return 1;
}

// ---- Scores, weights, values ---------------------------------------------------------------------------------------

typedef struct att_state {
    float top;
    float l[LANES];   // running sum of exp(score - top), one lane per position modulo 16
} att_state;

typedef struct att_view {   // a block of 16 positions, of which from..to-1 are seen
    const uint8_t *k, *v;   // [k_dim][16], [16][v_dim]
    int from, to;
    int p;            // the first one's position
    const cap *cap;   // a cap, slopes or biases for the scores (bend.inc.c); NULL: none
} att_view;

// Scores of Q queries against a block: even and odd dimensions in two chains. Runs of K and V are shorter than those of
// weights, and so is the distance of their prefetches.
WORD void att_scores(const int type, const int Q, const float *const *q, int k_dim, const uint8_t *k,
                     float s[][LANES]) {
    for (int g0 = 0; g0 < V; g0++) {
        vf e[ATTEND_Q], o[ATTEND_Q];
        TIMES (h, Q) e[h] = o[h] = vf_set1(0);
        for (int i = 0; i < k_dim; i += 2) {
            if (PREFETCH_BYTES > 0 && g0 == 0) PREFETCH(k + (size_t)(i * LANES) * kv_item(type) + PREFETCH_BYTES / 2);
            vf a = att_load(type, k, (size_t)(i * LANES + g0 * W));
            vf b = att_load(type, k, (size_t)((i + 1) * LANES + g0 * W));
            TIMES (h, Q) {
                e[h] = vf_add(e[h], vf_mul(a, vf_set1(q[h][i])));
                o[h] = vf_add(o[h], vf_mul(b, vf_set1(q[h][i + 1])));
            }
        }
        TIMES (h, Q) vf_store(s[h] + g0 * W, vf_add(e[h], o[h]));
    }
}

// Turn scores into weights against the running maximum; returns what earlier sums must be multiplied by (1 leaves
// them).
WORD float att_softmax(att_state *st, float s[LANES], int from, int to) {
    vf v[V];
    float fix = 1;
    for (int i = 0; i < from; i++) s[i] = -3e38f;
    for (int i = to; i < LANES; i++) s[i] = -3e38f;
    EACH (g) v[g] = vf_load(s + g * W);
    float m = fold_max(v);
    if (m > st->top && st->top > -3e38f) {
        float f[LANES];
        vf_store(f, vf_exp(vf_set1(st->top - m)));
        fix = f[0];
        EACH (g) vf_store(st->l + g * W, vf_mul(vf_load(st->l + g * W), vf_set1(fix)));
    }
    if (m > st->top) st->top = m;   // at first, the sums are 0, which nothing changes
    EACH (g) vf_store(s + g * W, vf_exp(vf_sub(v[g], vf_set1(st->top))));
    for (int i = 0; i < from; i++) s[i] = 0;
    for (int i = to; i < LANES; i++) s[i] = 0;
    EACH (g) vf_store(st->l + g * W, vf_add(vf_load(st->l + g * W), vf_load(s + g * W)));
    return fix;
}

// o = o * fix + sum of s[i] * v[i], positions ascending. exp(0) is 1, so a fix of 1 changes nothing and may be skipped.
WORD void att_values(const int type, const int Q, float *const *o, int v_dim, const att_view *b, float s[][LANES],
                     const float *fix) {
    int moved = 0;
    TIMES (h, Q) moved |= fix[h] != 1;
    for (int c = 0; c < v_dim; c += ATTEND_G * W) {
        vf a[ATTEND_Q][ATTEND_G];
        const int G = ATTEND_G * W <= LANES || c + ATTEND_G * W <= v_dim ? ATTEND_G : LANES / W;
        TIMES (h, Q)
            TIMES (g, ATTEND_G) {
                a[h][g] = g < G ? vf_load(o[h] + c + g * W) : vf_set1(0);
                if (moved) a[h][g] = vf_mul(a[h][g], vf_set1(fix[h]));
            }
        for (int i = b->from; i < b->to; i++) {
            if (PREFETCH_BYTES > 0 && c * 2 % 64 == 0)
                PREFETCH(b->v + (size_t)(i * v_dim + c) * kv_item(type) + PREFETCH_BYTES / 2);
            TIMES (g, ATTEND_G) {
                vf x = g < G ? att_load(type, b->v, (size_t)(i * v_dim + c + g * W)) : vf_set1(0);
                TIMES (h, Q) a[h][g] = vf_add(a[h][g], vf_mul(x, vf_set1(s[h][i])));
            }
        }
        TIMES (h, Q)
            TIMES (g, ATTEND_G)
                if (g < G) vf_store(o[h] + c + g * W, a[h][g]);
    }
}

// Scores of queries h0..h0+n-1, capped, sloped and biased.
KERNEL void att_bend(const attend_args *a, int h0, int n, const att_view *b, float s[][LANES]) {
    for (int h = 0; h < n; h++) {
        int far = b->p - (a->n_pos[h0 + h] - 1 - a->ahead[h0 + h]);
        if (a->soft_cap > 0 || a->has_slopes) bend(s[h], LANES, b->cap, slope_of(a, h0 + h), far);
        if (a->buckets) add_biases(s[h], a, h0 + h, far);
    }
}

WORD void att_block(const int type, const int Q, const attend_args *a, int h0, att_state *st, const att_view *b) {
    float s[ATTEND_Q][LANES], fix[ATTEND_Q];
    att_scores(type, Q, a->q + h0, a->k_dim, b->k, s);
    if (b->cap) att_bend(a, h0, Q, b, s);
    TIMES (h, Q) fix[h] = att_softmax(st + h0 + h, s[h], b->from, b->to);
    att_values(type, Q, a->o + h0, a->v_dim, b, s, fix);
}

// ---- Tiles ---------------------------------------------------------------------------------------------------------

typedef void att_fn(const attend_args *a, int h0, att_state *st, const att_view *b);
typedef struct att_type {
    int type;
    struct {
        int n;
        att_fn *f;   // n queries by a block of which they see the same positions
    } tiles[6];      // the largest first; the last is 1
} att_type;

#define ATT_TILE(name, type, Q)                                                                                        \
    KERNEL void att_##name##_##Q(const attend_args *a, int h0, att_state *st, const att_view *b) {                     \
        att_block(type, Q, a, h0, st, b);                                                                              \
    }
#if ATTEND_Q == 8
#define ATT_WIDE(name, type) ATT_TILE(name, type, 6) ATT_TILE(name, type, 8)
#define ATT_WIDE_ROWS(name) {8, att_##name##_8}, {6, att_##name##_6},
#else
#define ATT_WIDE(name, type)
#define ATT_WIDE_ROWS(name)
#endif
ATT_TILE(f16, GEMEL_KV_F16, 1)
ATT_TILE(f16, GEMEL_KV_F16, 2)
ATT_TILE(f16, GEMEL_KV_F16, 3)
ATT_TILE(f16, GEMEL_KV_F16, 4)
ATT_WIDE(f16, GEMEL_KV_F16)
static const att_type att_f16 = {GEMEL_KV_F16,
                                 {ATT_WIDE_ROWS(f16){4, att_f16_4}, {3, att_f16_3}, {2, att_f16_2}, {1, att_f16_1}}};
ATT_TILE(f32, GEMEL_KV_F32, 1)   // F32 is for comparisons: small code matters more than speed
static const att_type att_f32 = {GEMEL_KV_F32, {{1, att_f32_1}}};

// ---- A call --------------------------------------------------------------------------------------------------------

typedef struct att_range {   // positions that some query sees; that all of them see
    int some_from, some_to, all_from, all_to;
} att_range;

static att_range att_range_of(const attend_args *a) {
    att_range r = {a->first[0], a->n_pos[0], a->first[0], a->n_pos[0]};
    for (int h = 1; h < a->n; h++) {
        int first = a->first[h], n_pos = a->n_pos[h];
        r.some_from = r.some_from < first ? r.some_from : first;
        r.some_to = r.some_to > n_pos ? r.some_to : n_pos;
        r.all_from = r.all_from > first ? r.all_from : first;
        r.all_to = r.all_to < n_pos ? r.all_to : n_pos;
    }
    return r;
}

// Queries h0..h0+n-1, which see the same positions of the block at position p.
static void att_alike(const att_type *t, const attend_args *a, int h0, int n, att_state *st, att_view *b, int p) {
    b->from = a->first[h0] > p ? a->first[h0] - p : 0;
    b->to = a->n_pos[h0] - p < LANES ? a->n_pos[h0] - p : LANES;
    if (b->from >= b->to) return;
    for (int h = 0, i = 0; h < n; h += t->tiles[i].n) {
        while (t->tiles[i].n > n - h) i++;
        t->tiles[i].f(a, h0 + h, st, b);
    }
}

// Add the block at position p to every query that sees some of it.
static void att_block_step(const att_type *t, const attend_args *a, att_state *st, att_view *b, int p,
                           const att_range *r) {
    int n = (p >= r->all_from && p + LANES <= r->all_to) || (r->some_from == r->all_from && r->some_to == r->all_to)
                ? a->n
                : 1;
    for (int h = 0; h < a->n; h += n) att_alike(t, a, h, n, st, b, p);
}

// What a query's values are multiplied by at the end, where a sink joins the sum of its weights, relative to `top`.
KERNEL float att_with_sink(float sum, float top, float sink) {
    float most = top > sink ? top : sink, fix[LANES], one[LANES];
    vf_store(fix, vf_exp(vf_set1(top - most)));
    vf_store(one, vf_exp(vf_set1(sink - most)));
    float all = sum * fix[0];
    return fix[0] / (all + one[0]);
}

KERNEL int attend_floats(const att_type *t, const attend_args *a) {
    const kv_layout l = {t->type, a->k_dim, a->v_dim};
    const att_range r = att_range_of(a);
    const cap c = cap_of((double)a->soft_cap), *bent = is_bent(a) ? &c : NULL;
    att_state st[ATTEND_MAX];
    for (int h = 0; h < a->n; h++) {
        if (!bounded(a->q[h], a->k_dim, ATTEND_BOUND)) return 0;
        st[h].top = -3e38f;
        memset(st[h].l, 0, sizeof st[h].l);
        memset(a->o[h], 0, sizeof(float) * (size_t)a->v_dim);
    }
    for (int p = r.some_from / LANES * LANES; p < r.some_to; p += LANES) {
        const uint8_t *block = a->pages[p / KV_PAGE] + a->at;
        att_view b = {block + kv_k_at(&l, p % KV_BLOCK), block + kv_v_at(&l, p % KV_BLOCK), 0, LANES, p, bent};
        att_block_step(t, a, st, &b, p, &r);
    }
    for (int h = 0; h < a->n; h++) {
        vf sum[V];
        EACH (g) sum[g] = vf_load(st[h].l + g * W);
        float all = fold_add(sum);
        vf by = vf_set1(a->has_sinks ? att_with_sink(all, st[h].top, a->sink[h]) : 1.0f / all);
        for (int i = 0; i < a->v_dim; i += W) vf_store(a->o[h] + i, vf_mul(vf_load(a->o[h] + i), by));
    }
    return 1;
}
static int attend_f16(const attend_args *a) { return attend_floats(&att_f16, a); }
static int attend_f32(const attend_args *a) { return attend_floats(&att_f32, a); }
