// Products with weights that are bytes (Q8_0), for many tokens, where a CPU has no dot of signed bytes: in 16 bits, as
// the activations were stored (acts.wide). Codes of some vectors and blocks are widened once for many tokens, to memory
// that stays in the cache. A tile is WIDE_T tokens, whose sums stay in registers. The order of the float operations is
// that of matmul.inc.c.

#if WIDE_T > 0
enum { WIDE_BLOCKS = 12, WIDE_CHUNKS = 2, WIDE_TILES = WIDE_CHUNKS * ((CHUNK + WIDE_T - 1) / WIDE_T) };

// WIDE_G vectors of a panel, blocks b..b+n-1 of nb.
typedef struct wide_piece {
    int b, n, nb;
    vf scales[WIDE_BLOCKS][WIDE_G];
    vu codes[WIDE_BLOCKS][8][2][WIDE_G];   // weights 4j and 4j + 2, then the odd ones
    vf sums[WIDE_TILES][WIDE_T][WIDE_G];   // of the blocks before b, by tile
} wide_piece;

// panel: where block b of the vectors is.
KERNEL void wide_take(const uint8_t *panel, size_t block_size, int g0, wide_piece *c) {
    NO_UNROLL
    for (int b = 0; b < c->n; b++, panel += block_size) {
        const uint8_t *codes = panel + 2 * LANES + 4 * W * g0;
        TIMES (g, WIDE_G) c->scales[b][g] = vf_f16((const uint16_t *)panel + W * (g0 + g));
        NO_UNROLL
        for (int j = 0; j < 8; j++)
            TIMES (g, WIDE_G) {
                vu four = vu_load(codes + 64 * j + 4 * W * g);
                c->codes[b][j][0][g] = vu_even(four);
                c->codes[b][j][1][g] = vu_odd(four);
            }
    }
}

// Two weights of each lane, by the activations at x.
WORD void wide_step(vi s[WIDE_T][WIDE_G], const vu two[WIDE_G], const int16_t *x) {
    vu c[WIDE_G];
    TIMES (g, WIDE_G) {
        c[g] = two[g];
        MADE_HERE(c[g]);
    }
    TIMES (t, WIDE_T) {
        vu a = vu_pair(x + 32 * t);
        MADE_HERE(a);
        TIMES (g, WIDE_G) {
            s[t][g] = vi_dot16(s[t][g], c[g], a);
            MADE_HERE(s[t][g]);
        }
    }
}

// Tokens t.. of a chunk; `at` counts the tiles of all chunks: y[token * ld + lane], once all blocks are added up.
KERNEL void wide_tile(wide_piece *c, int at, const acts *a, const int16_t *x, int t, float *y, size_t ld) {
    const float *d = a->d + (size_t)c->b * (size_t)a->n + t;
    vf f[WIDE_T][WIDE_G];
    x += 32 * ((size_t)c->b * (size_t)a->n + (size_t)t);
    TIMES (i, WIDE_T)
        TIMES (g, WIDE_G) f[i][g] = c->b ? c->sums[at][i][g] : vf_set1(0);
    NO_UNROLL
    for (int b = 0; b < c->n; b++, x += 32 * a->n, d += a->n) {
        vi s[WIDE_T][WIDE_G];
        TIMES (i, WIDE_T)
            TIMES (g, WIDE_G) s[i][g] = vi_set1(0);
        TIMES (j, 8)
            TIMES (half, 2) wide_step(s, c->codes[b][j][half], x + 4 * j + 2 * half);
        TIMES (i, WIDE_T)
            TIMES (g, WIDE_G)
                f[i][g] = vf_add(f[i][g], vf_mul(vf_mul(c->scales[b][g], vf_set1(d[i])), vf_cvt(s[i][g])));
    }
    TIMES (i, WIDE_T)
        TIMES (g, WIDE_G) {
            if (c->b + c->n < c->nb) c->sums[at][i][g] = f[i][g];
            else vf_store(y + (size_t)(t + i) * ld + g * W, f[i][g]);
        }
}
#endif

static const int16_t *wide_codes(const acts *a) { return sizeof(act) == 2 ? a->q : a->wide; }

// Whether these are products of this file.
static int is_wide(const weight *w, const acts *a) {
    return WIDE_T > 0 && panel_kind_of(w->type)->planes & P8 && a->n >= WIDE_T && wide_codes(a);
}

// The tokens of n_chunks chunks, of which only the last may have fewer than CHUNK. The last tile of each begins earlier
// than the one before it ends, if it must: the outputs that both make are the same.
static void wide_tokens(const weight *w, const acts *a, int n_chunks, int p0, int p1, float *y, size_t ld) {
#if WIDE_T > 0
    const size_t block_size = w->panel_size / (size_t)(w->n_in / 32);
    wide_piece c;   // not cleared: wide_take writes what is read
    c.nb = w->n_in / 32;
    for (int i = p0 * V; i < p1 * V; i += WIDE_G)   // vectors
        for (c.b = 0; c.b < c.nb; c.b += c.n) {
            c.n = c.nb - c.b < WIDE_BLOCKS ? c.nb - c.b : WIDE_BLOCKS;
            wide_take(w->data + (size_t)(i / V) * w->panel_size + (size_t)c.b * block_size, block_size, i % V, &c);
            for (int k = 0, at = 0; k < n_chunks; k++)
                for (int done = 0; done < a[k].n; done += WIDE_T, at++) {
                    int t = done < a[k].n - WIDE_T ? done : a[k].n - WIDE_T;
                    wide_tile(&c, at, &a[k], wide_codes(&a[k]), t, y + (size_t)(k * CHUNK) * ld + i * W, ld);
                }
        }
#else
    (void)w, (void)a, (void)n_chunks, (void)p0, (void)p1, (void)y, (void)ld;
#endif
}
