// Products of several tokens where an instruction multiplies two rows by two tokens, eight weights at a time (smmla).
// Codes of two steps are put side by side: rows 0-1 of a vector, and rows 2-3. Many tokens use the codes of a sub-block
// from memory, four at a time; those of few tokens stay in registers. The last of an odd number of tokens is paired
// with itself. The order of the float operations is that of matmul.inc.c.

WORD int takes_pairs(const shape S) { return PAIRS && (S.many || S.T > 1); }

#if PAIRS
enum { PAIR_STEPS = 4 };   // of a block: eight weights each

// Up to four tokens of a tile, and their integer sums of a sub-block.
typedef struct pair_tokens {
    size_t at[4];       // activation entries
    const act *x[4];    // codes
    vi sums[2][V][2];   // of two tokens: [row][token] of two rows
} pair_tokens;

// n tokens from t on.
WORD void pair_open(const panel_kind *k, const block_view *v, int s, int t, const int n, pair_tokens *p) {
    TIMES (i, (n + 1) / 2 * 2) {
        p->at[i] = v->at + (size_t)(t + (i < n ? i : n - 1));
        p->x[i] = (const act *)v->a->q + p->at[i] * 32 + k->sub * s;
    }
    TIMES (i, (n + 1) / 2)
        TIMES (g, V)
            TIMES (h, 2) p->sums[i][g][h] = vi_set1(0);
}

// The codes of a step of a block.
WORD void pair_codes(const panel_kind *k, const block_view *v, int step, vu c[V][2]) {
    const uint8_t *q = v->p + kind_scale_size(k);
    TIMES (g, V) {
        vu even = code_step(k, q, 4 * W * g, 2 * step), odd = code_step(k, q, 4 * W * g, 2 * step + 1);
        c[g][0] = vu_rows_lo(even, odd), c[g][1] = vu_rows_hi(even, odd);
    }
}

// Add a step of the sub-block.
WORD void pair_dots(pair_tokens *p, const int n, vu c[V][2], int step) {
    TIMES (i, (n + 1) / 2) {
        vu a = vu_tokens(p->x[2 * i] + 8 * step, p->x[2 * i + 1] + 8 * step);
        TIMES (g, V)
            TIMES (h, 2) p->sums[i][g][h] = vi_dot_pairs(p->sums[i][g][h], c[g][h], a);
    }
}

WORD void pair_floats(const panel_kind *k, const shape S, const block_view *v, unpacked *u, int s, pair_tokens *p,
                      const int n, vf *f) {
    TIMES (i, n) {
        dots sums;
        TIMES (g, V) {
            vi lo = p->sums[i / 2][g][0], hi = p->sums[i / 2][g][1];
            sums.i8[g] = sums.i4[g] = i & 1 ? vi_second(lo, hi) : vi_first(lo, hi);
        }
        add_floats(k, S, v, p->at[i], &sums, u->d, u->m, s, zero_point_term(k, v->a, p->at[i], s), f + i * V);
    }
}

// n tokens from t on, with codes from memory.
WORD void pair_add(const panel_kind *k, const shape S, const block_view *v, unpacked *u, vu c[PAIR_STEPS][V][2], int s,
                   int t, const int n, vf *f) {
    pair_tokens p;
    pair_open(k, v, s, t, n, &p);
    TIMES (step, k->sub / 8) pair_dots(&p, n, c[step], step);
    pair_floats(k, S, v, u, s, &p, n, f + t * V);
}

WORD void pair_sub_block(const panel_kind *k, const shape S, const block_view *v, int s, vf *f) {
    const int first = k->sub / 8 * s;
    unpacked u;
    vu c[PAIR_STEPS][V][2];
    TIMES (g, V) scales_of(k, v, g, s, &u.d[g], &u.m[g]);
    if (!S.many) {
        pair_tokens p;
        pair_open(k, v, s, 0, S.T, &p);
        TIMES (step, k->sub / 8) {
            pair_codes(k, v, first + step, c[step]);
            pair_dots(&p, S.T, c[step], step);
        }
        pair_floats(k, S, v, &u, s, &p, S.T, f);
        return;
    }
    TIMES (step, k->sub / 8) pair_codes(k, v, first + step, c[step]);
    int t = 0;
    NO_UNROLL
    for (; t + 4 <= S.T; t += 4) pair_add(k, S, v, &u, c, s, t, 4, f);
    if (t + 2 <= S.T) pair_add(k, S, v, &u, c, s, t, 2, f), t += 2;
    if (t < S.T) pair_add(k, S, v, &u, c, s, t, 1, f);
}
#else
WORD void pair_sub_block(const panel_kind *k, const shape S, const block_view *v, int s, vf *f) {
    (void)k, (void)S, (void)v, (void)s, (void)f;
}
#endif
