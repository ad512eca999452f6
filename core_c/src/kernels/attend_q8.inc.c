// Attention over a Q8_0 cache, in integers. Blocks of 64 positions ascend. Queries of int8 codes are multiplied by a
// block's keys with one SIMD lane per position. The block's weights become codes 0..127 relative to its largest, and
// are multiplied by the values with one lane per channel, four positions at a time. A value's scale is part of its
// weight: weights are 2^(score + log2 of the scale); the sum that divides the result is of weights without it. Each
// block's result joins the running result in float. A query's result depends only on its own first and n_pos: other
// positions have weight 0, whatever memory holds.

// The queries of a call by ascending n_pos, so that those which see a block are a run that ends at the last.
typedef struct q8_queries {
    int n, nb, v_dim;                                 // nb: blocks of 32 channels of a key
    qact x[ATTEND_DIM / 32][ATTEND_MAX][32 * QACT];   // codes
    float d[ATTEND_DIM / 32][ATTEND_MAX];             // scales
    int32_t start[ATTEND_DIM / 32][ATTEND_MAX];       // where integer sums start: -DOT8_ZERO * sum of codes
    float *o[ATTEND_MAX];
    int first[ATTEND_MAX], n_pos[ATTEND_MAX];
    int is_bent;   // scores have a cap or slopes, in units of log2
    cap cap;
    float slope[ATTEND_MAX];
    int has_sinks;
    float sink[ATTEND_MAX];          // in units of log2
    float top[ATTEND_MAX + LANES];   // the largest weight's log2 so far
    float l[ATTEND_MAX][LANES];      // the sum of weights without scales of values
} q8_queries;

typedef struct q8_block {   // see layout.h
    const uint8_t *k, *v;
    const float *k_scale, *log_scale, *inv_scale;
    intptr_t to_next;   // bytes from here to the next one
} q8_block;
static q8_block q8_block_at(const attend_args *a, int p, int end) {
    const kv_layout l = {GEMEL_KV_Q8_0, a->k_dim, a->v_dim};
    const uint8_t *at = a->pages[p / KV_PAGE] + a->at;
    const uint8_t *next = p + KV_BLOCK < end ? a->pages[p / KV_PAGE + 1] + a->at : a->next;
    q8_block b = {at,
                  at + kv_v_part(&l),
                  (const float *)(at + kv_k_scales(&l)),
                  (const float *)(at + kv_log_scales(&l)),
                  (const float *)(at + kv_inv_scales(&l)),
                  0};
    if (PREFETCH_BYTES > 0 && next) b.to_next = (intptr_t)next - (intptr_t)at;
    return b;
}

// A block of 32 floats to codes -127..127; returns the largest magnitude, 127 times the scale.
WORD float q8_codes(const float *x, vi c[2 * V]) {
    vf m[V];
    EACH (g) m[g] = vf_amax(vf_load(x + g * W), vf_load(x + LANES + g * W));
    float amax = fold_amax(m);
    vf inv = vf_set1(amax < 1e-30f ? 0.0f : 127.0f / amax);
    TIMES (g, 2 * V) c[g] = vi_code(vf_mul(vf_load(x + g * W), inv));
    return amax;
}

// ---- The cache -----------------------------------------------------------------------------------------------------

// Codes x[n] in groups of four, `step` bytes from group to group and `item` from code to code.
WORD void q8_scatter(const int32_t *x, int n, uint8_t *to, size_t step, size_t item) {
    for (int i = 0; i < n; i += 4, to += step)
        for (size_t j = 0; j < 4; j++) to[j * item] = (uint8_t)x[i + (int)j];
}

static float log2_of(float x) { return (float)(fm_log((double)x) * LOG2_E); }

KERNEL int store_q8(const float *k, const float *v, const kv_layout *l, uint8_t *block, int in) {
    if (!bounded(k, l->k_dim, ATTEND_BOUND) || !bounded(v, l->v_dim, ATTEND_BOUND)) return 0;
    uint8_t *k_to = block + kv_k_at(l, in), *v_to = block + kv_v_at(l, in);
    float *scale = (float *)(block + kv_k_scales(l)) + in;
    int32_t row[32];
    vi c[2 * V];
    vf m[V];
    for (int b = 0; b < l->k_dim / 32; b++, scale += KV_BLOCK, k_to += 8 * 64) {
        *scale = q8_codes(k + 32 * b, c) / 127.0f;
        TIMES (g, 2 * V) vi_store(row + g * W, c[g]);
        q8_scatter(row, 32, k_to, 64, 1);
    }
    EACH (g) m[g] = vf_set1(1e-30f);
    for (int i = 0; i < l->v_dim; i += LANES)
        EACH (g) m[g] = vf_amax(m[g], vf_load(v + i + g * W));
    float amax = fold_amax(m), inv = 127.0f / amax;
    for (int i = 0; i < l->v_dim; i += LANES, v_to += 4 * LANES) {
        EACH (g) vi_store(row + g * W, vi_code(vf_mul(vf_load(v + i + g * W), vf_set1(inv))));
        q8_scatter(row, LANES, v_to, 16, 4);
    }
    ((float *)(block + kv_log_scales(l)))[in] = log2_of(amax / 127.0f);
    ((float *)(block + kv_inv_scales(l)))[in] = inv;
    return 1;
}

// ---- Scores, weights, values ---------------------------------------------------------------------------------------

// s[h][position] of Q queries from h0 on, over the first `groups` groups of 16 positions.
WORD void q8_scores(const int Q, const q8_queries *a, int h0, const q8_block *b, int groups, float (*s)[KV_BLOCK]) {
    const int G = Q > 4 ? 1 : SCORE_G;
    const size_t group = (size_t)a->nb * 512, next = V == 1 ? group : W * 4;
    for (int g0 = 0; g0 < groups * V; g0 += G) {
        const uint8_t *k = b->k + (size_t)(g0 / V) * group + (size_t)(g0 % V * W * 4);
        vf f[Q8_Q][SCORE_G];
        TIMES (h, Q)
            TIMES (g, G) f[h][g] = vf_set1(0);
        for (int ib = 0; ib < a->nb; ib++, k += 512) {
            const qact *x = a->x[ib][h0];
            vi i[Q8_Q][SCORE_G];
            TIMES (h, Q)
                TIMES (g, G) i[h][g] = vi_set1(a->start[ib][h0 + h]);
            STEPS(j, 8) {
                vkey c[SCORE_G];
                TIMES (g, G) {
                    c[g] = vkey_load(k + (size_t)g * next + 64 * j);
                    if (PREFETCH_BYTES > 0 && (g0 + g) % V == 0 && j % EVERY == 0)
                        PREFETCH(k + (size_t)g * next + 64 * j + b->to_next);
                }
                TIMES (h, Q)
                    TIMES (g, G) i[h][g] = vi_dotk(i[h][g], c[g], x + (h * 32 + 4 * j) * QACT);
            }
            TIMES (g, G) {
                vf d = vf_load(b->k_scale + ib * KV_BLOCK + (g0 + g) * W);
                TIMES (h, Q) f[h][g] = vf_add(f[h][g], vf_mul(vf_mul(d, vf_set1(a->d[ib][h0 + h])), vf_cvt(i[h][g])));
            }
        }
        TIMES (h, Q)
            TIMES (g, G) vf_store(s[h] + (g0 + g) * W, f[h][g]);
    }
}
_Static_assert(EVERY == 1 || EVERY == 2, "q8_prefetch takes every second line for the others");
_Static_assert(V == 1 || V % SCORE_G == 0, "the vectors of a tile are of one group, or each of another");

typedef struct q8_work {   // what a tile makes of a block
    float s[Q8_Q][KV_BLOCK];
    act p[Q8_Q][KV_BLOCK];
    float most[LANES];              // log2 of the largest weight
    float old[LANES], now[LANES];   // factors of the running result, of the block's
} q8_work;

typedef struct q8_span {   // positions of a block that a query sees: from..to-1
    int from, to;
} q8_span;
static q8_span q8_span_of(const q8_queries *a, int h, int p) {
    int from = a->first[h] - p, to = a->n_pos[h] - p;
    return (q8_span){from > 0 ? from : 0, to < KV_BLOCK ? to : KV_BLOCK};
}

// Scales of the positions seen, and zeros for the rest of the block.
static const float *q8_seen(const float *scale, q8_span seen, float *room) {
    if (seen.from == 0 && seen.to == KV_BLOCK) return scale;
    memset(room, 0, sizeof(float) * KV_BLOCK);
    memcpy(room + seen.from, scale + seen.from, sizeof(float) * (size_t)(seen.to - seen.from));
    return room;
}

// Cap and slope the scores, by groups of 16 positions of which some are seen.
static void q8_bend(const q8_queries *a, int h, int p, float *s) {
    q8_span seen = q8_span_of(a, h, p);
    int from = seen.from / LANES * LANES, to = (seen.to + LANES - 1) / LANES * LANES;
    bend(s + from, to - from, &a->cap, a->slope[h], p + from - (a->n_pos[h] - 1));
}

// Add the scales' log2 to the scores; *most is the largest. Positions that the query does not see get the least score.
static void q8_most(const q8_block *b, float *s, q8_span seen, float *most) {
    vf m[V];
    float room[KV_BLOCK];
    const float *log_scale = q8_seen(b->log_scale, seen, room);
    for (int i = 0; i < seen.from; i++) s[i] = -0x1.fffffep127f;
    for (int i = seen.to; i < KV_BLOCK; i++) s[i] = -0x1.fffffep127f;
    EACH (g) m[g] = vf_set1(-3e38f);
    RANGE (i, 0, KV_BLOCK / LANES)
        EACH (g) {
            vf t = vf_add(vf_load(s + i * LANES + g * W), vf_load(log_scale + i * LANES + g * W));
            vf_store(s + i * LANES + g * W, t);
            m[g] = vf_max(t, m[g]);   // with operands in this order never NaN
        }
    *most = fold_max(m);
}

// Update the running maxima of queries h0..h0+n-1 with those of a block; the factors of old and new results follow.
static void q8_factors(q8_queries *a, int h0, int n, const float *of_block, float *of_old, float *of_now) {
    for (int h = 0; h < n; h += W) {
        float top[LANES];
        vf old = vf_load(a->top + h0 + h), most = vf_load(of_block + h), now = vf_max(old, most);
        vf_store(of_old + h, vf_exp2(vf_sub(old, now)));
        vf_store(of_now + h, vf_exp2(vf_sub(most, now)));
        vf_store(top, now);
        for (int i = 0; i < W && h + i < n; i++) a->top[h0 + h + i] = top[i];
    }
}

// Scores to weights, as codes p (127 for the largest); their sum without scales joins l[16].
WORD void q8_codes_of(const float *s, const float *inv_scale, float most, float old, float now, act *p, float *l) {
    const int n = 4 * V < WEIGHTS_G ? 4 * V : WEIGHTS_G;
    vf sum[V];
    EACH (g) sum[g] = vf_set1(0);
    for (int i = 0; i < KV_BLOCK; i += n * W) {
        vf w[WEIGHTS_G];
        TIMES (g, n) w[g] = vf_sub(vf_load(s + i + g * W), vf_set1(most));
        exp2_all(n, w, 127.0f);
        TIMES (g, n) vi_store_act(p + i + g * W, vi_round(w[g]));
        TIMES (g, n) {
            vf x = vf_mul(w[g], vf_load(inv_scale + i + g * W));
            sum[(i / W + g) % V] = vf_add(sum[(i / W + g) % V], x);
        }
    }
    EACH (g) {
        vf x = vf_mul(vf_load(l + g * W), vf_set1(old));
        vf_store(l + g * W, vf_add(x, vf_mul(sum[g], vf_set1(now))));
    }
}

// The next block is prefetched evenly, since a CPU can wait for a limited number of lines only: one of EVERY lines of
// codes along with this block's codes, the others and the scales, some at a time, while weights are made.
typedef struct q8_prefetch {
    const uint8_t *codes, *scales;
    int i, n_codes, n, at_a_time;   // lines: prefetched, of codes, in all, by one call
} q8_prefetch;
static q8_prefetch q8_prefetch_of(const q8_block *b, int nb, int v_dim, int times) {
    int n_codes = EVERY > 1 ? (32 * nb + v_dim) / 2 : 0, n = n_codes + 4 * (nb + 2);
    return (q8_prefetch){b->k + 64 + b->to_next, (const uint8_t *)b->k_scale + b->to_next, 0, n_codes, n,
                         (n + times - 1) / times};
}
WORD void q8_prefetch_some(q8_prefetch *r) {   // inlined: compilers drop calls of functions that only prefetch
    int end = r->i + r->at_a_time < r->n ? r->i + r->at_a_time : r->n;
    for (; r->i < end && r->i < r->n_codes; r->i++) PREFETCH(r->codes + 128 * r->i);
    for (; r->i < end; r->i++) PREFETCH(r->scales + 64 * (r->i - r->n_codes));
}

// Scores of queries h0..h0+n-1 for the block at position p become codes, and the factors with which the block joins.
KERNEL void q8_weights(q8_queries *a, int h0, int n, const q8_block *b, int p, q8_work *t) {
    q8_prefetch rest = q8_prefetch_of(b, a->nb, a->v_dim, 2 * n);
    for (int h = 0; h < n; h++) {
        if (PREFETCH_BYTES > 0) q8_prefetch_some(&rest);
        if (a->is_bent) q8_bend(a, h0 + h, p, t->s[h]);
        q8_most(b, t->s[h], q8_span_of(a, h0 + h, p), t->most + h);
    }
    q8_factors(a, h0, n, t->most, t->old, t->now);
    for (int h = 0; h < n; h++) {
        float room[KV_BLOCK];
        if (PREFETCH_BYTES > 0) q8_prefetch_some(&rest);
        const float *inv = q8_seen(b->inv_scale, q8_span_of(a, h0 + h, p), room);
        q8_codes_of(t->s[h], inv, t->most[h], t->old[h], t->now[h], t->p[h], a->l[h0 + h]);
    }
}

// o = o * old + (sum of codes of weights and values, over the first 4 * steps positions) * now
WORD void q8_values(const int Q, const q8_queries *a, int h0, const q8_block *b, int steps, const q8_work *t) {
    const int dim = a->v_dim;
    for (int c = 0; c < dim; c += VALUES_G * W) {
        const uint8_t *v = b->v + c * 4;
        vi i[Q8_Q][VALUES_G];
        TIMES (h, Q)
            TIMES (g, VALUES_G) i[h][g] = vi_set1(0);
        for (int j = 0; j < steps; j++, v += 4 * dim) {
            vu x[VALUES_G];
            TIMES (g, VALUES_G) {
                x[g] = vu_load(v + g * W * 4);
                if (PREFETCH_BYTES > 0 && g * W % (16 * EVERY) == 0) PREFETCH(v + g * W * 4 + b->to_next);
            }
            TIMES (h, Q)
                TIMES (g, VALUES_G) i[h][g] = vi_dotp(i[h][g], x[g], t->p[h] + 4 * j);
        }
        TIMES (h, Q)
            TIMES (g, VALUES_G) {
                float *o = a->o[h0 + h] + c + g * W;
                vf_store(o,
                         vf_add(vf_mul(vf_load(o), vf_set1(t->old[h])), vf_mul(vf_cvt(i[h][g]), vf_set1(t->now[h]))));
            }
    }
}

// ---- Tiles ---------------------------------------------------------------------------------------------------------

typedef void q8_scores_fn(const q8_queries *a, int h0, const q8_block *b, int groups, float (*s)[KV_BLOCK]);
typedef void q8_values_fn(const q8_queries *a, int h0, const q8_block *b, int steps, const q8_work *t);
typedef struct q8_tile {
    int n;
    q8_scores_fn *scores;
    q8_values_fn *values;
} q8_tile;
#define Q8_TILE(Q)                                                                                                     \
    KERNEL void q8_scores_##Q(const q8_queries *a, int h0, const q8_block *b, int groups, float (*s)[KV_BLOCK]) {      \
        q8_scores(Q, a, h0, b, groups, s);                                                                             \
    }                                                                                                                  \
    KERNEL void q8_values_##Q(const q8_queries *a, int h0, const q8_block *b, int steps, const q8_work *t) {           \
        q8_values(Q, a, h0, b, steps, t);                                                                              \
    }
Q8_TILE(1)
Q8_TILE(2)
#if Q8_Q >= 3
Q8_TILE(3)
#endif
#if Q8_Q >= 4
Q8_TILE(4)
#endif
#if Q8_Q >= 8
Q8_TILE(6)
Q8_TILE(8)
#endif
static const q8_tile *q8_tile_for(int left) {   // the largest that fits
    static const q8_tile tiles[] = {
#if Q8_Q >= 8
        {8, q8_scores_8, q8_values_8}, {6, q8_scores_6, q8_values_6},
#endif
#if Q8_Q >= 4
        {4, q8_scores_4, q8_values_4},
#endif
#if Q8_Q >= 3
        {3, q8_scores_3, q8_values_3},
#endif
        {2, q8_scores_2, q8_values_2}, {1, q8_scores_1, q8_values_1},
    };
    const q8_tile *t = tiles;
    while (t->n > left) t++;
    return t;
}

static int q8_sees(const q8_queries *a, int h, int p) { return a->first[h] < p + KV_BLOCK && a->n_pos[h] > p; }

// Add the block at position p to the queries that see it, run by run; the last query of a run sees furthest.
static void q8_block_step(q8_queries *a, const q8_block *b, int p) {
    q8_work work;
    memset(work.most, 0, sizeof work.most);
    for (int h0 = 0, end; h0 < a->n; h0 = end + 1) {
        for (end = h0; end < a->n && q8_sees(a, end, p);) end++;
        if (h0 == end) continue;
        int most = a->n_pos[end - 1] - p < KV_BLOCK ? a->n_pos[end - 1] - p : KV_BLOCK;
        for (const q8_tile *t; h0 < end; h0 += t->n) {
            t = q8_tile_for(end - h0);
            t->scores(a, h0, b, (most + LANES - 1) / LANES, work.s);
            q8_weights(a, h0, t->n, b, p, &work);
            t->values(a, h0, b, (most + 3) / 4, &work);
        }
    }
}

// Quantise the call's queries in ascending order of n_pos; order[h] is the call's index of each, *least the least
// first. Returns the largest n_pos, or 0 when a query is out of bounds.
static int q8_quantise_queries(q8_queries *a, const attend_args *from, int *order, int *least) {
    int most = 0, is_good = 1;
    *least = from->first[0];
    for (int h = 0, i; h < from->n; order[i] = h++)
        for (i = h; i && from->n_pos[order[i - 1]] > from->n_pos[h]; i--) order[i] = order[i - 1];
    memset(a->top, 0, sizeof a->top);
    a->n = from->n, a->nb = from->k_dim / 32, a->v_dim = from->v_dim;
    a->is_bent = is_bent(from), a->cap = cap_of((double)from->soft_cap * LOG2_E);
    for (int h = 0; h < a->n; h++) {
        a->n_pos[h] = most = from->n_pos[order[h]];
        a->first[h] = from->first[order[h]];
        a->slope[h] = (float)((double)slope_of(from, order[h]) * LOG2_E);
        *least = *least < a->first[h] ? *least : a->first[h];
        for (int ib = 0; ib < a->nb; ib++) {
            vi c[2 * V];
            float amax = q8_codes(from->q[order[h]] + 32 * ib, c);
            is_good &= amax < ATTEND_BOUND;
            a->d[ib][h] = amax / 127.0f;
            TIMES (g, 2 * V) vi_store_query(a->x[ib][h] + g * W * QACT, c[g]);
            RANGE (g, 1, 2 * V) c[0] = vi_add(c[0], c[g]);
            a->start[ib][h] = -DOT8_ZERO * vi_fold(c[0]);
        }
    }
    return is_good ? most : 0;
}

static void q8_reset(q8_queries *a, int h, float *o) {   // before the first block
    a->top[h] = -3e38f;
    memset(a->l[h], 0, sizeof a->l[h]);
    memset(a->o[h] = o, 0, sizeof(float) * (size_t)a->v_dim);
}

static void q8_take_sink(q8_queries *a, int h, const attend_args *from, int of) {
    a->has_sinks = from->has_sinks;
    if (from->has_sinks) a->sink[h] = (float)((double)from->sink[of] * LOG2_E);
}

// What values are multiplied by where the sum of weights, 127 at `top`, gets a sink, too.
KERNEL float q8_with_sink(float sum, float top, float sink) {
    float most = top > sink ? top : sink, fix[LANES], one[LANES];
    vf x = vf_set1(sink - most);
    vf_store(fix, vf_exp2(vf_set1(top - most)));
    exp2_all(1, &x, 127.0f);
    vf_store(one, x);
    float all = sum * fix[0];
    return fix[0] / (all + one[0]);
}

// out / sum of weights
static void q8_finish(const q8_queries *a) {
    for (int h = 0; h < a->n; h++) {
        vf l[V];
        EACH (g) l[g] = vf_load(a->l[h] + g * W);
        float all = fold_add(l);
        vf r = vf_set1(a->has_sinks ? q8_with_sink(all, a->top[h], a->sink[h]) : 1.0f / all);
        for (int i = 0; i < a->v_dim; i += W) vf_store(a->o[h] + i, vf_mul(vf_load(a->o[h] + i), r));
    }
}

KERNEL int attend_q8(const attend_args *from) {
    q8_queries a;
    int order[ATTEND_MAX], least, most = q8_quantise_queries(&a, from, order, &least);
    if (!most) return 0;
    for (int h = 0; h < a.n; h++) {
        q8_reset(&a, h, from->o[order[h]]);
        q8_take_sink(&a, h, from, order[h]);
    }
    for (int p = least / KV_BLOCK * KV_BLOCK; p < most; p += KV_BLOCK) {
        q8_block b = q8_block_at(from, p, most);
        q8_block_step(&a, &b, p);
    }
    q8_finish(&a);
    return 1;
}

// ---- Blocks by several threads -------------------------------------------------------------------------------------

// As the first block after a reset, a block's out and sum are multiplied by exp2(0) = 1 and added to 0: partials are
// exact.
KERNEL int attend_q8_partials(const attend_args *from, int b0, int b1) {
    q8_queries a;
    int order[ATTEND_MAX], least;
    if (!q8_quantise_queries(&a, from, order, &least)) return 0;
    for (int at = b0; at < b1; at++) {
        q8_block b = q8_block_at(from, at * KV_BLOCK, b1 * KV_BLOCK);
        float *partial[ATTEND_MAX];
        for (int h = 0; h < a.n; h++) {
            partial[h] = from->partials[order[h]] + (size_t)at * (size_t)(KV_PARTIAL_HEAD + from->v_dim);
            q8_reset(&a, h, partial[h] + KV_PARTIAL_HEAD);
        }
        q8_block_step(&a, &b, at * KV_BLOCK);
        for (int h = 0; h < a.n; h++) {
            partial[h][0] = a.top[h];
            memcpy(partial[h] + LANES, a.l[h], sizeof a.l[h]);
        }
    }
    return 1;
}

WORD void q8_join(float *x, const float *y, int n, float old, float now) {   // x = x * old + y * now
    for (int i = 0; i < n; i += W) {
        vf t = vf_mul(vf_load(x + i), vf_set1(old));
        vf_store(x + i, vf_add(t, vf_mul(vf_load(y + i), vf_set1(now))));
    }
}

KERNEL void attend_q8_join(const attend_args *from) {
    q8_queries a;
    float most[ATTEND_MAX + LANES] = {0}, old[ATTEND_MAX + LANES], now[ATTEND_MAX + LANES];
    a.n = from->n, a.v_dim = from->v_dim;
    memset(a.top, 0, sizeof a.top);
    for (int h = 0; h < a.n; h++) {
        q8_reset(&a, h, from->o[h]);
        q8_take_sink(&a, h, from, h);
    }
    for (int at = from->first[0] / KV_BLOCK; at * KV_BLOCK < from->n_pos[0]; at++) {
        size_t to = (size_t)at * (size_t)(KV_PARTIAL_HEAD + from->v_dim);
        for (int h = 0; h < a.n; h++) most[h] = from->partials[h][to];
        q8_factors(&a, 0, a.n, most, old, now);
        for (int h = 0; h < a.n; h++) {
            const float *partial = from->partials[h] + to;
            q8_join(a.l[h], partial + LANES, LANES, old[h], now[h]);
            q8_join(a.o[h], partial + KV_PARTIAL_HEAD, from->v_dim, old[h], now[h]);
        }
    }
    q8_finish(&a);
}
