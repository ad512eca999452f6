// Attention over an F16 cache: q.k with a lane a position, streaming softmax over blocks of 16 positions in ascending
// order, p.v with a lane a channel. A query's result depends on its own n_pos alone; queries sit side by side only to
// share the loads.

typedef struct att_state {
    float top;
    float l[LANES];   // running sum of exp(score - top), a lane a position modulo 16
} att_state;

// Scores of Q queries against a block k[dim][16]: even and odd dimensions in two chains. Runs of K and
// V in a page are too short to fetch as far ahead as weights.
WORD void att_scores(const int Q, const float *const *q, int dim, const uint16_t *k, float s[][LANES]) {
    for (int g0 = 0; g0 < V; g0++) {
        vf e[ATTEND_Q], o[ATTEND_Q];
        TIMES (h, Q) e[h] = o[h] = vf_set1(0);
        for (int i = 0; i < dim; i += 2) {
            if (AHEAD > 0 && g0 == 0) PREFETCH((const uint8_t *)(k + i * LANES) + AHEAD / 2);
            vf a = vf_f16(k + i * LANES + g0 * W), b = vf_f16(k + (i + 1) * LANES + g0 * W);
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
WORD float att_softmax(att_state *st, float s[LANES], int count) {
    vf v[V];
    float fix = 1;
    for (int i = count; i < LANES; i++) s[i] = -3e38f;
    EACH (g) v[g] = vf_load(s + g * W);
    float m = fold_max(v);
    if (m > st->top) {
        float f[LANES];
        vf_store(f, vf_exp(vf_set1(st->top - m)));
        fix = f[0];
        st->top = m;
        EACH (g) vf_store(st->l + g * W, vf_mul(vf_load(st->l + g * W), vf_set1(fix)));
    }
    EACH (g) vf_store(s + g * W, vf_exp(vf_sub(v[g], vf_set1(st->top))));
    for (int i = count; i < LANES; i++) s[i] = 0;
    EACH (g) vf_store(st->l + g * W, vf_add(vf_load(st->l + g * W), vf_load(s + g * W)));
    return fix;
}

// o = o * fix + sum of s[i] * v[i], positions ascending. exp(0) is 1, so a fix of 1 changes nothing and may be skipped.
WORD void att_values(const int Q, float *const *o, int dim, const uint16_t *v, float s[][LANES], const float *fix,
                     int count) {
    int moved = 0;
    TIMES (h, Q) moved |= fix[h] != 1;
    for (int c = 0; c < dim; c += ATTEND_G * W) {
        vf a[ATTEND_Q][ATTEND_G];
        const int G = ATTEND_G * W <= LANES || c + ATTEND_G * W <= dim ? ATTEND_G : LANES / W;
        TIMES (h, Q)
            TIMES (g, ATTEND_G) {
                a[h][g] = g < G ? vf_load(o[h] + c + g * W) : vf_set1(0);
                if (moved) a[h][g] = vf_mul(a[h][g], vf_set1(fix[h]));
            }
        for (int i = 0; i < count; i++) {
            if (AHEAD > 0 && c * 2 % 64 == 0) PREFETCH((const uint8_t *)(v + i * dim + c) + AHEAD / 2);
            TIMES (g, ATTEND_G) {
                vf x = g < G ? vf_f16(v + i * dim + c + g * W) : vf_set1(0);
                TIMES (h, Q) a[h][g] = vf_add(a[h][g], vf_mul(x, vf_set1(s[h][i])));
            }
        }
        TIMES (h, Q)
            TIMES (g, ATTEND_G)
                if (g < G) vf_store(o[h] + c + g * W, a[h][g]);
    }
}

WORD void att_block(const int Q, const attend_args *a, int h0, att_state *st, const uint16_t *k, const uint16_t *v,
                    int count) {
    float s[ATTEND_Q][LANES], fix[ATTEND_Q];
    att_scores(Q, a->q + h0, a->dim, k, s);
    TIMES (h, Q) fix[h] = att_softmax(st + h0 + h, s[h], count);
    att_values(Q, a->o + h0, a->dim, v, s, fix, count);
}
#define ATT_BLOCK(Q)                                                                                                   \
    KERNEL void att_block_##Q(const attend_args *a, int h0, att_state *st, const uint16_t *k, const uint16_t *v) {     \
        att_block(Q, a, h0, st, k, v, LANES);                                                                          \
    }
ATT_BLOCK(1)
ATT_BLOCK(2)
ATT_BLOCK(3)
ATT_BLOCK(4)
#if ATTEND_Q == 8
ATT_BLOCK(6)
ATT_BLOCK(8)
#endif
KERNEL void att_block_part(const attend_args *a, int h, att_state *st, const uint16_t *k, const uint16_t *v,
                           int count) {
    att_block(1, a, h, st, k, v, count);
}

typedef void att_fn(const attend_args *, int, att_state *, const uint16_t *, const uint16_t *);
static int att_split(int left, att_fn **f) {   // the largest tile that fits
    static const struct {
        int n;
        att_fn *f;
    } t[] = {
#if ATTEND_Q == 8
        {8, att_block_8}, {6, att_block_6},
#endif
        {4, att_block_4}, {3, att_block_3}, {2, att_block_2}, {1, att_block_1},
    };
    int i = 0;
    while (t[i].n > left) i++;
    *f = t[i].f;
    return t[i].n;
}

KERNEL int attend_f16(const attend_args *a) {
    att_state st[ATTEND_MAX];
    int least = a->n_pos[0], most = a->n_pos[0];
    size_t dim = (size_t)a->dim;
    for (int h = 0; h < a->n; h++) {
        if (!bounded(a->q[h], a->dim)) return 0;
        st[h].top = -3e38f;
        memset(st[h].l, 0, sizeof st[h].l);
        memset(a->o[h], 0, dim * sizeof(float));
        least = least < a->n_pos[h] ? least : a->n_pos[h];
        most = most > a->n_pos[h] ? most : a->n_pos[h];
    }
    for (int p = 0; p < most; p += LANES) {
        const uint16_t *k = (const uint16_t *)(a->pages[p / KV_PAGE] + a->at) + (size_t)(p % KV_PAGE) * dim;
        const uint16_t *v = k + KV_PAGE * dim;
        if (p + LANES <= least) {
            att_fn *f;
            for (int h = 0, n; h < a->n; h += n) {
                n = att_split(a->n - h, &f);
                f(a, h, st, k, v);
            }
            continue;
        }
        for (int h = 0; h < a->n; h++) {
            int count = a->n_pos[h] - p;
            if (count > 0) att_block_part(a, h, st, k, v, count < LANES ? count : LANES);
        }
    }
    for (int h = 0; h < a->n; h++) {
        vf l[V];
        EACH (g) l[g] = vf_load(st[h].l + g * W);
        vf r = vf_set1(1.0f / fold_add(l));
        for (int i = 0; i < a->dim; i += W) vf_store(a->o[h] + i, vf_mul(vf_load(a->o[h] + i), r));
    }
    return 1;
}
