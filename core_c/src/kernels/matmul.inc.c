// y = W x: one SIMD lane per output row; blocks of 32 (sub-blocks of 16) ascend, and the order of the float operations
// below is the result: acc = acc + (d_w * d_x) * (float)isum, then for affine formats acc = acc + m_w * (d_x *
// (float)xsum). A tile is T tokens by P panels: the codes of a block are unpacked once (in H parts, to stay in
// registers) and used T times. Many tokens are a real loop, their sums in memory; few are unrolled, and theirs stay in
// registers.

enum { TOKENS_MAX = TILE_T > FEW_T ? TILE_T : FEW_T, VECTORS_MAX = 4 };   // VECTORS: side by side, G

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
        v = vu_and(by > 0 ? vu_shl(v, by) : vu_shr(v, -by), 1 << up);
        c = k->planes & (P4 | P2) ? vu_or(c, v) : v;
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
    case SCALE_DD: *d = vf_f16(p16 + LANES * s); break;
    case SCALE_S: *d = vf_f16(h16); break;
    case SCALE_SF: *d = vf_mul(vf_load((const float *)h + l), vf_cvt(vi_i8(p + LANES * s + l))); break;
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
    return k->dot <= DOT7 ? vi_dot7(s, c, x) : k->dot == DOT8 ? vi_dot8(s, c, x) : vi_dot8_full(s, c, x);
}

// A tile's shape: T tokens, P panels, G vectors of them at a time, a block's codes unpacked in H parts, C chains in the
// integer sum of a token. All are constant, as is the kind, wherever these functions are inlined, except T of a tile of
// many tokens.
typedef struct shape {
    int many, T, P, G, H, C;
} shape;

// A statement for each token of a tile.
#define TOKENS(t, S, ...)                                                                                              \
    do {                                                                                                               \
        if ((S).many) NO_UNROLL                                                                                        \
        for (int t = 0; t < (S).T; t++) __VA_ARGS__;                                                                   \
        else TIMES (t, (S).T) __VA_ARGS__; } while (0)

// Vectors g0.. of a block, and tokens t0.. that they are multiplied by.
typedef struct block_view {
    const uint8_t *p, *h;   // the block, its super-block's header, in the first panel
    size_t panel_size;
    int g0;
    const acts *a;
    size_t at;   // activation entry of (block, t0)
} block_view;

typedef struct dots {                          // integer sums of a token's sub-block so far
    vi i8[VECTORS_MAX], second[VECTORS_MAX];   // chains
    va4 i4[VECTORS_MAX];
} dots;

// What codes that are stored with an offset add to a sub-block's sum: offset * z.
WORD int32_t zero_point_term(const panel_kind *k, const acts *a, size_t at, int s) {
    int zero = k->dot >= DOT8 ? DOT8_ZERO : k->zero;
    return zero ? zero * (k->sub == 32 ? a->z[at] : a->z2[2 * at + (size_t)s]) : 0;
}

// Steps whose sums a va4 holds in 16 bits before they are widened, of one sub-block; 0: this dot has no such sums here.
WORD int narrow_steps(const panel_kind *k, const shape S) {
    const int steps = S.C == 2 ? 0 : k->dot == DOT5 ? STEPS5 : k->dot == DOT6 ? STEPS6 : 0;
    return steps < k->sub / 4 ? steps : k->sub / 4;
}

WORD void add_narrow(const panel_kind *k, const shape S, dots *i, vu c[8][VECTORS_MAX], const act *x, int j0, int j1) {
    const int steps = narrow_steps(k, S);
    TIMES (g, S.G)
        RANGE (j, j0, j1) {
            i->i4[g] = va4_dot(i->i4[g], c[j - j0][g], x + 4 * j);
            if ((j + 1) % steps) continue;
            i->i8[g] = vi_add(i->i8[g], va4_sum(i->i4[g]));
            i->i4[g] = va4_zero();
        }
}

// Steps j0..j1-1 of the activations x. A second chain starts at -zero.
WORD void add_dots(const panel_kind *k, const shape S, dots *i, vu c[8][VECTORS_MAX], const act *x, int j0, int j1,
                   int32_t zero) {
    const int middle = S.C == 2 ? (j0 + j1) / 2 : j1;
    TIMES (g, S.G) {
        RANGE (j, j0, middle) {
            if (k->dot == DOT4) i->i4[g] = va4_dot(i->i4[g], c[j - j0][g], x + 4 * j);
            else i->i8[g] = dot_step(k, i->i8[g], c[j - j0][g], x + 4 * j);
        }
        if (S.C == 2) i->second[g] = vi_set1(-zero);
        RANGE (j, middle, j1) i->second[g] = dot_step(k, i->second[g], c[j - j0][g], x + 4 * j);
    }
}

// Scales of vector g of the view's sub-block s.
WORD void scales_of(const panel_kind *k, const block_view *v, int g, int s, vf *d, vf *m) {
    size_t o = (size_t)((v->g0 + g) / V) * v->panel_size;
    block_scales(k, v->p + o, v->h + o, (v->g0 + g) % V * W, s, d, m);
}
// One token uses scales once. Made at that moment, they take no registers from the integer sums.
WORD int are_scales_late(const shape S) { return !S.many && S.T == 1; }

// The float part of sub-block s for the token at activation entry `at`.
WORD void add_floats(const panel_kind *k, const shape S, const block_view *v, size_t at, const dots *i, vf *d, vf *m,
                     int s, int32_t zero, vf *f) {
    const acts *a = v->a;
    float sx = k->sub == 32 ? a->s[at] : a->s2[2 * at + (size_t)s];
    TIMES (g, S.G) {
        if (are_scales_late(S)) scales_of(k, v, g, s, &d[g], &m[g]);
        vi isum = k->dot == DOT4 ? va4_sum(i->i4[g]) : i->i8[g];
        if (S.C == 2) isum = vi_add(isum, i->second[g]);
        else if (k->zero || k->dot >= DOT8) isum = vi_sub(isum, vi_set1(zero));
        f[g] = vf_add(f[g], vf_mul(vf_mul(d[g], vf_set1(a->d[at])), vf_cvt(isum)));
        if (!kind_is_affine(k)) continue;
        vf mx = vf_mul(m[g], vf_set1(sx));
        f[g] = kind_is_super(k) ? vf_sub(f[g], mx) : vf_add(f[g], mx);
    }
}

typedef struct unpacked {   // of a sub-block: scales, and the codes of a part
    vf d[VECTORS_MAX], m[VECTORS_MAX];
    vu c[8][VECTORS_MAX];
} unpacked;
typedef struct kept_dots {   // between the parts: [token][G]
    vi i8[TOKENS_MAX * VECTORS_MAX];
    va4 i4[TOKENS_MAX * VECTORS_MAX];
} kept_dots;

WORD int part_start(const panel_kind *k, int s, int part, int parts) {   // its first step
    return (s * parts + part) * (k->sub / 4) / parts;
}

WORD void add_token(const panel_kind *k, const shape S, const block_view *v, unpacked *u, int s, int part, int parts,
                    int t, kept_dots *kept, vf *f) {
    size_t at = v->at + (size_t)t;
    int32_t zero = zero_point_term(k, v->a, at, s);
    const int from = part_start(k, s, part, parts), to = part_start(k, s, part + 1, parts), narrow = narrow_steps(k, S);
    dots i;
    TIMES (g, S.G) {
        i.i4[g] = va4_zero(), i.i8[g] = vi_set1(0);
        if (part && (k->dot == DOT4 || (narrow && from % narrow))) i.i4[g] = kept->i4[t * S.G + g];
        if (part && k->dot != DOT4) i.i8[g] = kept->i8[t * S.G + g];
    }
    const act *x = (const act *)v->a->q + at * 32;
    if (narrow) add_narrow(k, S, &i, u->c, x, from, to);
    else add_dots(k, S, &i, u->c, x, from, to, zero);
    TIMES (g, S.G)
        if (k->dot == DOT4) MADE_HERE(i.i4[g]);
        else MADE_HERE(i.i8[g]);
    if (part == parts - 1) add_floats(k, S, v, at, &i, u->d, u->m, s, zero, f + t * S.G);
    else
        TIMES (g, S.G) {
            if (k->dot == DOT4 || (narrow && to % narrow)) kept->i4[t * S.G + g] = i.i4[g];
            if (k->dot != DOT4) kept->i8[t * S.G + g] = i.i8[g];
        }
}

// One part of a sub-block, for all tokens.
WORD void add_part(const panel_kind *k, const shape S, const block_view *v, unpacked *u, int s, int part, int parts,
                   kept_dots *kept, vf *f) {
    const int j0 = part_start(k, s, part, parts), j1 = part_start(k, s, part + 1, parts);
    RANGE (j, j0, j1)
        TIMES (g, S.G) {
            const uint8_t *q = v->p + (size_t)((v->g0 + g) / V) * v->panel_size + kind_scale_size(k);
            u->c[j - j0][g] = code_step(k, q, (v->g0 + g) % V * W * 4, j);
        }
    TOKENS(t, S, add_token(k, S, v, u, s, part, parts, t, kept, f));
}

WORD void add_sub_block(const panel_kind *k, const shape S, const block_view *v, int s, vf *f) {
    const int parts = S.H * k->sub / 32 > 0 ? S.H * k->sub / 32 : 1;   // 1, 2 or 4
    unpacked u;
    kept_dots kept;
    TIMES (g, S.G)
        if (!are_scales_late(S)) scales_of(k, v, g, s, &u.d[g], &u.m[g]);
    // Not a loop: clang leaves some of them as they are, where the shifts of codes are then variables.
    add_part(k, S, v, &u, s, 0, parts, &kept, f);
    if (parts > 1) add_part(k, S, v, &u, s, 1, parts, &kept, f);
    if (parts > 2) add_part(k, S, v, &u, s, 2, parts, &kept, f);
    if (parts > 3) add_part(k, S, v, &u, s, 3, parts, &kept, f);
}

#include "matmul_pairs.inc.c"

// Prefetch: few tokens stream through a panel; many stay at a panel long enough to prefetch the next one.
WORD void prefetch(const panel_kind *k, const shape S, const uint8_t *p, size_t panel_size) {
    TIMES (i, S.P)
        TIMES (line, (kind_block_size(k) + 63) / 64)
            PREFETCH(p + 64 * line + (S.many ? (size_t)(S.P + i) * panel_size : PREFETCH_BYTES));
}

WORD void clear_token(const shape S, vf *f) {
    TIMES (g, S.G) f[g] = vf_set1(0);
}
WORD void store_token(const shape S, int g0, const vf *f, float *y) {
    TIMES (g, S.G) vf_store(y + (g0 + g) / V * LANES + (g0 + g) % V * W, f[g]);
}

// One tile at panels w.., tokens t0..: y[t*ld + 16*panel + lane].
WORD void tile(const panel_kind *k, const shape S, const uint8_t *w, size_t panel_size, int nb, const acts *a, int t0,
               float *y, size_t ld) {
    for (int g0 = 0; g0 < S.P * V; g0 += S.G) {
        vf f[TOKENS_MAX * VECTORS_MAX];
        block_view v = {.p = w, .h = w, .panel_size = panel_size, .g0 = g0, .a = a, .at = (size_t)t0};
        TOKENS(t, S, clear_token(S, f + t * S.G));
        for (int b = 0; b < nb; b++, v.p += kind_block_size(k), v.at += (size_t)a->n) {
            if (kind_is_super(k) && b % 8 == 0) v.h = v.p, v.p += kind_header_size(k);
            if (PREFETCH_BYTES > 0 && (S.many || S.T >= PREFETCH_T) && g0 == 0 && t0 == 0)
                prefetch(k, S, v.p, panel_size);
            TIMES (s, 32 / k->sub) {
                if (takes_pairs(S)) pair_sub_block(k, S, &v, s, f);
                else add_sub_block(k, S, &v, s, f);
            }
        }
        TOKENS(t, S, store_token(S, g0, f + t * S.G, y + (size_t)t * ld));
    }
}

// One token, STREAMS panels that are `apart` panels apart, a block of each in turn.
// w is the first panel, y its outputs.
WORD void streams(const panel_kind *k, const uint8_t *w, size_t panel_size, int apart, int nb, const acts *a,
                  float *y) {
    const shape S = {0, 1, 1, V, 4, 1};
    const size_t step = (size_t)apart * panel_size;
    vf f[STREAMS * V];
    TIMES (g, STREAMS * V) f[g] = vf_set1(0);
    size_t at = 0, header = 0;   // bytes into each panel
    for (int b = 0; b < nb; b++, at += kind_block_size(k)) {
        if (kind_is_super(k) && b % 8 == 0) header = at, at += kind_header_size(k);
        NO_UNROLL
        for (int i = 0; i < STREAMS; i++) {
            const uint8_t *panel = w + (size_t)i * step;
            block_view v = {.p = panel + at, .h = panel + header, .a = a, .at = (size_t)b};
            if (STREAM_BYTES > 0)
                TIMES (line, (kind_block_size(k) + 63) / 64) PREFETCH(v.p + 64 * line + STREAM_BYTES);
            TIMES (s, 32 / k->sub) add_sub_block(k, S, &v, s, f + i * V);
        }
    }
    TIMES (i, STREAMS) store_token(S, 0, f + i * V, y + (size_t)i * (size_t)apart * LANES);
}

typedef void tile_fn(const uint8_t *w, size_t panel_size, int nb, const acts *a, int t0, int n, float *y, size_t ld);
typedef void streams_fn(const uint8_t *w, size_t panel_size, int apart, int nb, const acts *a, float *y);
typedef struct tiles {
    tile_fn *many, *last;      // up to TILE_T tokens; TILE_P panels, one
    tile_fn *few[FEW_T + 1];   // that many tokens, from 1 on, one panel; NULL: `many` takes its place
    streams_fn *streams;       // NULL where STREAMS is 1
} tiles;

#define NAME_TILE(name, which, many, T, P, G, H, C)                                                                    \
    KERNEL void name##_##which(const uint8_t *w, size_t size, int nb, const acts *a, int t0, int n, float *y,          \
                               size_t ld) {                                                                            \
        tile(&kind_##name, (shape){many, many ? n : T, P, G, H, C}, w, size, nb, a, t0, y, ld);                        \
    }
#define NO_TILE(name, which) static tile_fn *const name##_##which = NULL;
#if TILE_T > 0
#define MANY_TILE(name) NAME_TILE(name, many, 1, 0, TILE_P, TILE_G, TILE_H, TILE_C)
#else
#define MANY_TILE(name) NO_TILE(name, many)
#endif
#if TILE_P > 1
#define LAST_TILE(name) NAME_TILE(name, last, 1, 0, 1, TILE_G / TILE_P, TILE_H, TILE_C)
#else
#define LAST_TILE(name) static tile_fn *const name##_last = name##_many;
#endif
#define FEW_TILE(T, name) NAME_TILE(name, f##T, 0, T, 1, T == 1 ? ONE_G : FEW_G, T == 1 ? 4 : FEW_H, 1)
#if STREAMS > 1
#define STREAMS_OF(name)                                                                                               \
    KERNEL void name##_streams(const uint8_t *w, size_t size, int apart, int nb, const acts *a, float *y) {            \
        streams(&kind_##name, w, size, apart, nb, a, y);                                                               \
    }
#else
#define STREAMS_OF(name) static streams_fn *const name##_streams = NULL;
#endif
#if TILE_T > 0
#define RARE_T 1   // most tokens of a rare kind's tiles of few
#else
#define RARE_T FEW_T
#endif
#define KERNELS(few, name, type, planes, dot, zero, book, scale, sub)                                                  \
    static const panel_kind kind_##name = {type, planes, dot, zero, book, SCALE_##scale, sub};                         \
    MANY_TILE(name)                                                                                                    \
    LAST_TILE(name)                                                                                                    \
    EACH_UP_TO(few, FEW_TILE, name)                                                                                    \
    STREAMS_OF(name)
#define KIND(...) KERNELS(FEW_T, __VA_ARGS__)
#define RARE(...) KERNELS(RARE_T, __VA_ARGS__)
#define SAME(...)
#include "../panel/kinds.def"
#undef KIND
#undef RARE
#undef SAME

static const tiles *tiles_of(int type) {
#define FEW_OF(T, name) [T] = name##_f##T,
#define TILES(few, name, type_, ...)                                                                                   \
    case type_: {                                                                                                      \
        static const tiles t = {name##_many, name##_last, {EACH_UP_TO(few, FEW_OF, name)}, name##_streams};            \
        return &t;                                                                                                     \
    }
#define KIND(...) TILES(FEW_T, __VA_ARGS__)
#define RARE(...) TILES(RARE_T, __VA_ARGS__)
#define SAME(as, type_, ...)                                                                                           \
    case type_: return tiles_of(as);
    switch (type) {
#include "../panel/kinds.def"
    default: return NULL;
    }
#undef KIND
#undef RARE
#undef SAME
}

// Tokens of the next tile, where `left` tokens are multiplied in as few tiles of up to `most` as possible. These tiles
// differ by one token at most: a tile of one token takes nearly as long as one of several.
static int few_next(int left, int most) {
    int tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

static void few_tokens(const tiles *f, const uint8_t *panel, size_t panel_size, int nb, const acts *a, float *y,
                       size_t ld) {
    for (int t = 0, T; t < a->n; t += T) {
        T = few_next(a->n - t, FEW_T);
        f->few[T](panel, panel_size, nb, a, t, T, y + (size_t)t * ld, ld);
    }
}

// The activations of tokens c.. of a chunk.
static acts chunk_of(const acts *a, int nb, int c) {
    size_t at = (size_t)c * (size_t)nb;
    return (acts){.q = (act *)a->q + at * 32,
                  .d = a->d + at,
                  .s = a->s + at,
                  .s2 = a->s2 ? a->s2 + 2 * at : NULL,
                  .z = a->z + at,
                  .z2 = a->z2 ? a->z2 + 2 * at : NULL,
                  .wide = a->wide ? a->wide + at * 32 : NULL,
                  .n = a->n - c < CHUNK ? a->n - c : CHUNK};
}

static void matmul_quantised(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    const tiles *f = tiles_of(w->type);
    int nb = w->n_in / 32;
    const int in_streams = STREAMS > 1 && nb >= STREAMS_NB(panel_kind_of(w->type));
    for (int c = 0; c < a->n; c += CHUNK) {
        const acts v = chunk_of(a, nb, c);
        const int n = v.n;
        if (is_wide(w, &v)) {
            const acts next = chunk_of(a, nb, c + CHUNK < a->n ? c + CHUNK : c), two[2] = {v, next};
            const int count = c + CHUNK < a->n && is_wide(w, &next) ? 2 : 1;
            wide_tokens(w, two, count, p0, p1, y + (size_t)c * ld, ld);
            c += CHUNK * (count - 1);
            continue;
        }
        int p = p0;
        if (in_streams && n == 1) {            // each stream is a STREAMS-th of the panels, one after another
            int apart = (p1 - p0) / STREAMS;   // panels of a stream
            for (; p < p0 + apart; p++)
                f->streams(w->data + (size_t)p * w->panel_size, w->panel_size, apart, nb, &v,
                           y + (size_t)c * ld + p * LANES);
            p = p0 + STREAMS * apart;
        }
        for (int count = 1; p < p1; p += count) {
            const uint8_t *panel = w->data + (size_t)p * w->panel_size;
            float *to = y + (size_t)c * ld + p * LANES;
            if (TILE_T == 0 || (n <= FEW_T && f->few[n])) {
                few_tokens(f, panel, w->panel_size, nb, &v, to, ld);
                continue;
            }
            count = p + TILE_P <= p1 ? TILE_P : 1;
            tile_fn *g = count == TILE_P ? f->many : f->last;
            for (int t = 0; t < n; t += TILE_T > 0 ? TILE_T : 1)
                g(panel, w->panel_size, nb, &v, t, n - t < TILE_T ? n - t : TILE_T, to + (size_t)t * ld, ld);
        }
    }
}

// ---- Unquantised weights: acc = acc + w * x, k ascending, in float; element [k][16] ---------------------------------

// Weights i.. of those at p: a word for each format.
WORD vf load_f32(const uint8_t *p, size_t i) { return vf_load((const float *)p + i); }
WORD vf load_f16(const uint8_t *p, size_t i) { return vf_f16((const uint16_t *)p + i); }
WORD vf load_bf16(const uint8_t *p, size_t i) { return vf_bf16((const uint16_t *)p + i); }
// The word for a type: one for each PLAIN row of formats.def. `type` is a constant wherever this is inlined.
#define CODED(number, name, lower, block, block_size)
#define KNOWN(number, name, block, block_size)
#define PLAIN(number, name, lower, block, block_size)                                                                  \
    if (type == T_##name) return load_##lower(p, i);
WORD vf load_weight(const int type, const uint8_t *p, size_t i) {
#include "../quant/formats.def"
    return vf_set1(0);
}
#undef PLAIN

// T tokens, one panel: several panels are slower, since streams of memory cost more than waiting for additions.
WORD void float_few(const int type, const int T, const uint8_t *w, int n_in, const float *x, size_t ldx, float *y,
                    size_t ld) {
    const size_t step = LANES * (size_t)format_float_size(type);
    vf f[FLOAT_FEW_T][V];
    TIMES (t, T)
        EACH (g) f[t][g] = vf_set1(0);
    for (int k = 0; k < n_in; k++, w += step) {
        vf c[V];
        if (PREFETCH_BYTES > 0 && T >= PREFETCH_T) PREFETCH(w + PREFETCH_BYTES);
        EACH (g) c[g] = load_weight(type, w, (size_t)(g * W));
        TIMES (t, T) {
            vf v = vf_set1(x[(size_t)t * ldx + (size_t)k]);
            EACH (g) f[t][g] = vf_add(f[t][g], vf_mul(c[g], v));
        }
    }
    TIMES (t, T)
        EACH (g) vf_store(y + (size_t)t * ld + g * W, f[t][g]);
}

// For many tokens, weights are first widened to floats, one piece [k][16] of a panel at a time, to stay in the cache.
enum { PIECE = 96 };
typedef struct piece {
    const float *w;   // [P][PIECE][16]
    int k, n;         // its elements are k..k+n-1
} piece;

// T tokens, P panels: add one piece to y, which counts as zero before the first.
WORD void float_tile(const int T, const int P, const piece *c, const float *x, size_t ldx, float *y, size_t ld) {
    vf f[FLOAT_T][FLOAT_P * V];
    TIMES (t, T)
        TIMES (g, P * V) f[t][g] = c->k ? vf_load(y + (size_t)t * ld + g * W) : vf_set1(0);
    for (int k = 0; k < c->n; k++) {
        vf w[FLOAT_P * V];
        TIMES (g, P * V) w[g] = vf_load(c->w + (g / V * PIECE + k) * LANES + g % V * W);
        TIMES (t, T) {
            vf v = vf_set1(x[(size_t)t * ldx + (size_t)(c->k + k)]);
            TIMES (g, P * V) f[t][g] = vf_add(f[t][g], vf_mul(w[g], v));
        }
    }
    TIMES (t, T)
        TIMES (g, P * V) vf_store(y + (size_t)t * ld + g * W, f[t][g]);
}

typedef void float_fn(const piece *c, const float *x, size_t ldx, float *y, size_t ld);
#define FLOAT_TILE(name, T, P)                                                                                         \
    KERNEL void float_##name(const piece *c, const float *x, size_t ldx, float *y, size_t ld) {                        \
        float_tile(T, P, c, x, ldx, y, ld);                                                                            \
    }
FLOAT_TILE(many_wide, FLOAT_T, FLOAT_P)
FLOAT_TILE(many, FLOAT_T, 1)
FLOAT_TILE(two_wide, 2, FLOAT_P)
FLOAT_TILE(two, 2, 1)
FLOAT_TILE(one_wide, 1, FLOAT_P)
FLOAT_TILE(one, 1, 1)

#define PLAIN(number, name, lower, block, block_size)                                                                  \
    case T_##name:                                                                                                     \
        for (size_t j = 0; j < n; j += W) vf_store(to + j, load_##lower(from, j));                                     \
        break;
WORD void take_floats(int type, const uint8_t *from, size_t n, float *to) {
    switch (type) {
#include "../quant/formats.def"
    }
}
#undef PLAIN

// Widen a piece of panels p..p+count-1 from element c->k on, to[count][PIECE][16], and prefetch what comes next: the
// panels' next piece, or the next panels' first.
WORD void take_piece(const weight *w, int p, int count, piece *c, float *to) {
    const size_t step = LANES * (size_t)format_float_size(w->type);
    c->n = w->n_in - c->k < PIECE ? w->n_in - c->k : PIECE;
    for (int i = 0; i < count; i++, to += PIECE * LANES) {
        const uint8_t *panel = w->data + (size_t)(p + i) * w->panel_size, *from = panel + (size_t)c->k * step;
        const uint8_t *next = c->k + c->n < w->n_in ? from + PIECE * step : panel + (size_t)count * w->panel_size;
        if (PREFETCH_BYTES > 0)
            for (size_t j = 0; j < PIECE * step; j += 64) PREFETCH(next + j);
        take_floats(w->type, from, (size_t)(c->n * LANES), to);
    }
}

static void float_tokens(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    float room[FLOAT_P * PIECE * LANES];
    for (int c = 0; c < a->n; c += CHUNK) {
        int end = a->n - c < CHUNK ? a->n : c + CHUNK;
        for (int p = p0, count; p < p1; p += count) {
            count = p + FLOAT_P <= p1 ? FLOAT_P : 1;
            for (piece e = {.w = room}; e.k < w->n_in; e.k += e.n) {
                take_piece(w, p, count, &e, room);
                for (int t = c, n; t < end; t += n) {
                    float_fn *f = count > 1 ? float_one_wide : float_one;
                    n = end - t >= FLOAT_T ? FLOAT_T : end - t >= 2 ? 2 : 1;
                    if (n == FLOAT_T) f = count > 1 ? float_many_wide : float_many;
                    else if (n == 2) f = count > 1 ? float_two_wide : float_two;
                    f(&e, a->x + (size_t)t * a->ldx, a->ldx, y + (size_t)t * ld + p * LANES, ld);
                }
            }
        }
    }
}

typedef void few_fn(const uint8_t *w, int n_in, const float *x, size_t ldx, float *y, size_t ld);
#define FLOAT_FEW(T, name, type)                                                                                       \
    KERNEL void name##_##T(const uint8_t *w, int n_in, const float *x, size_t ldx, float *y, size_t ld) {              \
        float_few(type, T, w, n_in, x, ldx, y, ld);                                                                    \
    }
#define FLOAT_FEW_OF(T, name) [T] = name##_##T,
#define PLAIN(number, name, lower, block, block_size)                                                                  \
    EACH_UP_TO(FLOAT_FEW_T, FLOAT_FEW, lower, T_##name)                                                                \
    static few_fn *const lower##_few[] = {EACH_UP_TO(FLOAT_FEW_T, FLOAT_FEW_OF, lower)};
#include "../quant/formats.def"
#undef PLAIN
#define PLAIN(number, name, lower, block, block_size) [T_##name] = lower##_few,
static few_fn *const *const floats_few[FORMAT_COUNT] = {
#include "../quant/formats.def"
};
#undef PLAIN
#undef CODED
#undef KNOWN

static void matmul_float(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    few_fn *const *few = floats_few[w->type];
    if (a->n > (FLOAT_FEW_T > 1 ? 2 * FLOAT_FEW_T : 1)) {
        float_tokens(w, a, p0, p1, y, ld);
        return;
    }
    for (int p = p0; p < p1; p++)
        for (int t = 0, T; t < a->n; t += T) {
            T = few_next(a->n - t, FLOAT_FEW_T);
            few[T](w->data + (size_t)p * w->panel_size, w->n_in, a->x + (size_t)t * a->ldx, a->ldx,
                   y + (size_t)t * ld + p * LANES, ld);
        }
}

static void matmul(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld) {
    if (weight_is_float(w)) matmul_float(w, a, p0, p1, y, ld);
    else matmul_quantised(w, a, p0, p1, y, ld);
}
