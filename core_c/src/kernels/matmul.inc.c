// y = W x: a lane is an output row, blocks of 32 (sub-blocks of 16) ascend, and the order of the float operations below
// is the result: acc = acc + (d_w * d_x) * (float)isum, then for affine formats acc = acc + m_w * (d_x * (float)xsum).
// A tile is T tokens by P panels: the codes of a block are unpacked once (in H parts, to stay in registers) and used T
// times. Where tokens are a real loop (TILE_ANY) a tile takes any number of them up to TILE_T.

enum { TILE_MAX = TILE_T > 8 ? TILE_T : 8, VECTORS_MAX = 16 };

// Codes of step j (weights 4j..4j+3) of the vector that starts at byte o of each 64-byte group.
WORD vu code_step(const panel_kind *k, const uint8_t *q, int o, int j) {
    vu c;
    if (k->planes & P8) return vu_s8(vu_load(q + 64 * j + o));
    if (k->planes & P4) {
        c = vu_load(q + 64 * (j / 2) + o);
        c = j & 1 ? vu_and(vu_shr(c, 4), 15) : vu_and(c, 15);
    }
    if (k->planes & P2) {
        vu v = vu_load(q + kind_plane(k, P2) + 64 * (j / 4) + o);
        int up = kind_shift(k, P2), by = up - 2 * (j % 4);
        v = vu_and(by > 0 ? vu_shl(v, by) : vu_shr(v, -by), 3 << up);
        c = k->planes & P4 ? vu_or(c, v) : v;
    }
    if (k->planes & P1) {
        vu v = vu_load(q + kind_plane(k, P1) + o);
        int up = kind_shift(k, P1), by = up - j;
        c = vu_or(c, vu_and(by > 0 ? vu_shl(v, by) : vu_shr(v, -by), 1 << up));
    }
    if (k->book) c = vu_table(c, k->book);
    return k->dot >= DOT8 ? vu_s8(c) : c;
}

// Scales of sub-block s for the vector at lane `l`: d, and m with the sign that makes it `acc + m * sx` or, for
// super-blocks, `acc - m * sx`. p is the block, h the super-block's header.
WORD void block_scales(const panel_kind *k, const uint8_t *p, const uint8_t *h, int l, int s, vf *d, vf *m) {
    const uint16_t *p16 = (const uint16_t *)p + l, *h16 = (const uint16_t *)h + l;
    switch (k->scale) {
    case SCALE_D: *d = vf_f16(p16); break;
    case SCALE_BD: *d = vf_bf16(p16); break;
    case SCALE_DM: *d = vf_f16(p16), *m = vf_f16(p16 + LANES); break;
    case SCALE_SD: *d = vf_mul(vf_f16(h16), vf_cvt(vi_i8(p + LANES * s + l))); break;
    case SCALE_SDM:
        *d = vf_mul(vf_f16(h16), vf_cvt(vi_u8(p + LANES * s + l)));
        *m = vf_mul(vf_f16(h16 + LANES), vf_cvt(vi_u8(p + LANES * (32 / k->sub) + LANES * s + l)));
        break;
    case SCALE_SDN: {
        vi n = vi_u8(p + LANES * s + l);
        *d = vf_mul(vf_f16(h16), vf_cvt(vi_and(n, vi_set1(15))));
        *m = vf_mul(vf_f16(h16 + LANES), vf_cvt(vi_shr(n, 4)));
    }
    }
}

WORD vi dot_step(const panel_kind *k, vi s, vu c, const act *x) {
    return k->dot == DOT7 ? vi_dot7(s, c, x) : k->dot == DOT8 ? vi_dot8(s, c, x) : vi_dot8_full(s, c, x);
}

// A tile's shape: T tokens, P panels, G vectors of them at a time, a block's codes unpacked in H parts. Constant, as is
// the kind, wherever these functions are inlined.
typedef struct shape {
    int T, P, G, H;
} shape;

// Where the vectors g0.. of a block lie, and the tokens t0.. that meet them.
typedef struct block_view {
    const uint8_t *p, *h;   // the block, its super-block's header, in the first panel
    size_t panel_size;
    int g0;
    const acts *a;
    size_t at;   // activation entry of (block, t0)
} block_view;

typedef struct dots {   // integer sums of a sub-block so far
    vi i8[TILE_MAX][VECTORS_MAX];
    va4 i4[TILE_MAX][VECTORS_MAX];
} dots;

// Steps j0..j1-1 of token t.
WORD void add_dots(const panel_kind *k, const shape S, dots *i, vu c[8][VECTORS_MAX], const act *x, int t, int j0,
                   int j1) {
    TIMES (g, S.G)
        RANGE (j, j0, j1) {
            if (k->dot == DOT4) i->i4[t][g] = va4_dot(i->i4[t][g], c[j - j0][g], x + t * 32 + 4 * j);
            else i->i8[t][g] = dot_step(k, i->i8[t][g], c[j - j0][g], x + t * 32 + 4 * j);
        }
}

// The float part of sub-block s for token t.
WORD void add_floats(const panel_kind *k, const shape S, const block_view *v, dots *i, const vf *d, const vf *m, int t,
                     int s, vf *f) {
    const int zero = k->dot >= DOT8 ? DOT8_ZERO : k->zero;
    size_t at = v->at + (size_t)t, half = 2 * at + (size_t)s;
    int32_t z = k->sub == 32 ? v->a->z[at] : v->a->z2[half];
    float sx = k->sub == 32 ? v->a->s[at] : v->a->s2[half];
    TIMES (g, S.G) {
        vi isum = k->dot == DOT4 ? va4_sum(i->i4[t][g]) : i->i8[t][g];
        if (zero) isum = vi_sub(isum, vi_set1(zero * z));
        f[g] = vf_add(f[g], vf_mul(vf_mul(d[g], vf_set1(v->a->d[at])), vf_cvt(isum)));
        if (!kind_is_affine(k)) continue;
        vf mx = vf_mul(m[g], vf_set1(sx));
        f[g] = kind_is_super(k) ? vf_sub(f[g], mx) : vf_add(f[g], mx);
    }
}

WORD void add_sub_block(const panel_kind *k, const shape S, const block_view *v, int s, vf f[][VECTORS_MAX]) {
    const int parts = S.H * k->sub / 32 > 0 ? S.H * k->sub / 32 : 1, steps = k->sub / 4;
    const act *x = (const act *)v->a->q + v->at * 32;
    vf d[VECTORS_MAX], m[VECTORS_MAX];
    dots i;
    TIMES (g, S.G) {
        size_t o = (size_t)((v->g0 + g) / V) * v->panel_size;
        block_scales(k, v->p + o, v->h + o, (v->g0 + g) % V * W, s, &d[g], &m[g]);
    }
    TIMES (part, parts) {
        const int j0 = s * steps + steps * part / parts, j1 = s * steps + steps * (part + 1) / parts;
        vu c[8][VECTORS_MAX];
        RANGE (j, j0, j1)
            TIMES (g, S.G) {
                const uint8_t *q = v->p + (size_t)((v->g0 + g) / V) * v->panel_size + kind_scale_size(k);
                c[j - j0][g] = code_step(k, q, (v->g0 + g) % V * W * 4, j);
            }
        TOKENS(t, S.T) {
            if (part == 0)
                TIMES (g, S.G) i.i4[t][g] = va4_zero(), i.i8[t][g] = vi_set1(0);
            add_dots(k, S, &i, c, x, t, j0, j1);
            if (part == parts - 1) add_floats(k, S, v, &i, d, m, t, s, f[t]);
        }
    }
}

// One tile at panels w.., tokens t0..: y[t*ld + 16*panel + lane].
WORD void tile(const panel_kind *k, const shape S, const uint8_t *w, size_t panel_size, int nb, const acts *a, int t0,
               float *y, size_t ld) {
    for (int g0 = 0; g0 < S.P * V; g0 += S.G) {
        vf f[TILE_MAX][VECTORS_MAX];
        block_view v = {.p = w, .h = w, .panel_size = panel_size, .g0 = g0, .a = a, .at = (size_t)t0};
        TOKENS(t, S.T)
        TIMES (g, S.G) f[t][g] = vf_set1(0);
        for (int b = 0; b < nb; b++, v.p += kind_block_size(k), v.at += (size_t)a->n) {
            if (kind_is_super(k) && b % 8 == 0) v.h = v.p, v.p += kind_header_size(k);
            if (S.T == 1 && AHEAD > 0 && g0 == 0)
                TIMES (i, (kind_block_size(k) + 63) / 64) PREFETCH(v.p + AHEAD + 64 * i);
            TIMES (s, 32 / k->sub) add_sub_block(k, S, &v, s, f);
        }
        TOKENS(t, S.T)
        TIMES (g, S.G) {
            size_t row = (size_t)((g0 + g) / V * LANES + (g0 + g) % V * W);
            vf_store(y + (size_t)t * ld + row, f[t][g]);
        }
    }
}

typedef void tile_fn(const uint8_t *w, size_t panel_size, int nb, const acts *a, int t0, int n, float *y, size_t ld);
typedef struct tiles {
    tile_fn *full, *half, *row;   // n = TILE_T, TILE_T / 2 and 1 tokens; where TILE_ANY 2..TILE_T, none and 1
} tiles;

#define NAME_TILE(name, which, T, P, G, H)                                                                             \
    KERNEL void name##_##which(const uint8_t *w, size_t size, int nb, const acts *a, int t0, int n, float *y,          \
                               size_t ld) {                                                                            \
        tile(&kind_##name, (shape){TILE_ANY && T > 1 ? n : T, P, G, H}, w, size, nb, a, t0, y, ld);                    \
    }
#if !TILE_ANY
#define HALF_TILE(name) NAME_TILE(name, half, TILE_T / 2, 1, TILE_G, TILE_H)
#else
#define HALF_TILE(name) static tile_fn *const name##_half = NULL;
#endif
#define KIND(name, type, planes, dot, zero, book, scale, sub)                                                          \
    static const panel_kind kind_##name = {type, planes, dot, zero, book, SCALE_##scale, sub};                         \
    NAME_TILE(name, full, TILE_T, 1, TILE_G, TILE_H)                                                                   \
    HALF_TILE(name)                                                                                                    \
    NAME_TILE(name, row, 1, 1, ROW_G, 4)
#include "../panel/kinds.def"
#undef KIND

static const tiles *tiles_of(int type) {
#define KIND(name, type_, ...)                                                                                         \
    case type_: {                                                                                                      \
        static const tiles t = {name##_full, name##_half, name##_row};                                                 \
        return &t;                                                                                                     \
    }
    switch (type) {
#include "../panel/kinds.def"
    default: return NULL;
    }
#undef KIND
}

static void matmul_quantised(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    const tiles *f = tiles_of(w->type);
    int nb = w->n_in / 32;
    for (int c = 0; c < a->n; c += CHUNK) {
        size_t at = (size_t)c * (size_t)nb;
        int n = a->n - c < CHUNK ? a->n - c : CHUNK;
        const acts v = {.q = (act *)a->q + at * 32,
                        .d = a->d + at,
                        .s = a->s + at,
                        .s2 = a->s2 + 2 * at,
                        .z = a->z + at,
                        .z2 = a->z2 + 2 * at,
                        .n = n};
        float *row = y + (size_t)c * ld;
        for (int p = p0; p < p1; p++) {
            const uint8_t *panel = w->data + (size_t)p * w->panel_size;
            float *to = row + p * LANES;
            for (int t = 0, m; t < n; t += m) {
                tile_fn *g = f->row;
                m = 1;
                if (t + TILE_T <= n) m = TILE_T, g = f->full;
                else if (TILE_ANY && n - t > 1) m = n - t, g = f->full;
                else if (!TILE_ANY && t + TILE_T / 2 <= n) m = TILE_T / 2, g = f->half;
                g(panel, w->panel_size, nb, &v, t, m, to + (size_t)t * ld, ld);
            }
        }
    }
}

// Unquantised weights: acc = acc + w * x, k ascending, in float. Element [k][16] of type F32, F16 or BF16.
WORD vf load_weight(int type, const uint8_t *p, size_t i) {
    if (type == T_F16) return vf_f16((const uint16_t *)p + i);
    if (type == T_BF16) return vf_bf16((const uint16_t *)p + i);
    return vf_load((const float *)p + i);
}
WORD void float_tile(const int type, const int T, const uint8_t *w, int n_in, const float *x, size_t ldx, float *y,
                     size_t ld) {
    const int G = V < 4 ? V : 4;
    for (int g0 = 0; g0 < V; g0 += G) {
        vf f[TILE_MAX][4];
        TIMES (t, T)
            TIMES (g, G) f[t][g] = vf_set1(0);
        for (int k = 0; k < n_in; k++) {
            vf c[4];
            TIMES (g, G) c[g] = load_weight(type, w, (size_t)k * LANES + (size_t)((g0 + g) * W));
            TIMES (t, T) {
                vf v = vf_set1(x[(size_t)t * ldx + (size_t)k]);
                TIMES (g, G) f[t][g] = vf_add(f[t][g], vf_mul(c[g], v));
            }
        }
        TIMES (t, T)
            TIMES (g, G) vf_store(y + (size_t)t * ld + (size_t)((g0 + g) * W), f[t][g]);
    }
}
typedef void float_fn(const uint8_t *w, int n_in, const float *x, size_t ldx, float *y, size_t ld);
#define FLOAT_T (TILE_T < 4 ? TILE_T : W == 16 ? 8 : 4)
#define FLOATS(name, type)                                                                                             \
    KERNEL void name##_tile(const uint8_t *w, int n_in, const float *x, size_t ldx, float *y, size_t ld) {             \
        float_tile(type, FLOAT_T, w, n_in, x, ldx, y, ld);                                                             \
    }                                                                                                                  \
    KERNEL void name##_row(const uint8_t *w, int n_in, const float *x, size_t ldx, float *y, size_t ld) {              \
        float_tile(type, 1, w, n_in, x, ldx, y, ld);                                                                   \
    }
FLOATS(f32, T_F32)
FLOATS(f16, T_F16)
FLOATS(bf16, T_BF16)

static void matmul_float(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    static float_fn *const tiles[] = {f32_tile, f16_tile, bf16_tile}, *const rows[] = {f32_row, f16_row, bf16_row};
    int i = w->type == T_F32 ? 0 : w->type == T_F16 ? 1 : 2;
    for (int p = p0; p < p1; p++) {
        const uint8_t *panel = w->data + (size_t)p * w->panel_size;
        int t = 0;
        for (; t + FLOAT_T <= a->n; t += FLOAT_T)
            tiles[i](panel, w->n_in, a->x + (size_t)t * a->ldx, a->ldx, y + (size_t)t * ld + p * LANES, ld);
        for (; t < a->n; t++)
            rows[i](panel, w->n_in, a->x + (size_t)t * a->ldx, a->ldx, y + (size_t)t * ld + p * LANES, ld);
    }
}

static void matmul(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    if (w->type == T_F32 || w->type == T_F16 || w->type == T_BF16) matmul_float(w, a, p0, p1, y, ld);
    else matmul_quantised(w, a, p0, p1, y, ld);
}
