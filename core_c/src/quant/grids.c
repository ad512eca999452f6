// IQ1, IQ2, IQ3: an index names a tuple of 8 or 4 magnitudes, of those that a grid has; signs are apart.
//
//   IQ2_XXS  8 sub-blocks of 32    w = (d / 8 * (2 sc + 1)) * v     v = 8, 25, 43 and their negatives      sc = 0..15
//   IQ2_XS   16 sub-blocks of 16   the same
//   IQ2_S    16 sub-blocks of 16   the same
//   IQ3_XXS  8 sub-blocks of 32    w = (d / 4 * (2 sc + 1)) * v     v = 4, 12, 20, 28, 36, 44, 52, 62 ...  sc = 0..15
//   IQ3_S    8 sub-blocks of 32    w = (d * (2 sc + 1)) * v         v = 1, 3, 5, 7, 9, 11, 13, 15 ...      sc = 0..15
//   IQ1_S    8 sub-blocks of 32    w = (d / 8 * (2 sc + 1)) * v     v = 8 g + 1 or 8 g - 1, g = -1, 0, 1   sc = 0..7
//   IQ1_M    16 sub-blocks of 16   the same
//
// A code is the place of a value in the format's table. Every product is exact in float, so its order does not matter.
// Source: the block structs and dequantize_row_* of ggml's ggml-common.h and ggml-quants.c.
#include "families.h"
#include "grids.h"

typedef struct block_iq2_xxs {   // 2.06 bits per weight
    uint8_t d[2], qs[8][8];      // f16; of a sub-block: 4 indices, a word of 4 times 7 bits of signs and sc
} block_iq2_xxs;
typedef struct block_iq2_xs {             // 2.31
    uint8_t d[2], qs[32][2], scales[8];   // 9 bits of index, 7 of signs; nibbles of sc
} block_iq2_xs;
typedef struct block_iq2_s {                             // 2.56
    uint8_t d[2], qs[32], signs[32], qh[8], scales[8];   // the index's lower 8 bits; signs; its upper 2; nibbles of sc
} block_iq2_s;
typedef struct block_iq3_xxs {           // 3.06
    uint8_t d[2], qs[64], signs[8][4];   // indices; as the words of IQ2_XXS
} block_iq3_xxs;
typedef struct block_iq3_s {   // 3.44
    uint8_t d[2], qs[64], qh[8], signs[32],
        scales[4];   // the index's lower 8 bits; its upper one; signs; nibbles of sc
} block_iq3_s;
typedef struct block_iq1_s {          // 1.56
    uint8_t d[2], qs[32], qh[8][2];   // the index's lower 8 bits; 4 times 3 bits, sc, the sign of 1
} block_iq1_s;
typedef struct block_iq1_m {                // 1.75
    uint8_t qs[32], qh[16], scales[4][2];   // nibbles: 3 bits of index, the sign of 1; 4 times sc, 4 bits of d
} block_iq1_m;
_Static_assert(sizeof(block_iq2_xxs) == SIZE_IQ2_XXS, "IQ2_XXS");
_Static_assert(sizeof(block_iq2_xs) == SIZE_IQ2_XS, "IQ2_XS");
_Static_assert(sizeof(block_iq2_s) == SIZE_IQ2_S, "IQ2_S");
_Static_assert(sizeof(block_iq3_xxs) == SIZE_IQ3_XXS, "IQ3_XXS");
_Static_assert(sizeof(block_iq3_s) == SIZE_IQ3_S, "IQ3_S");
_Static_assert(sizeof(block_iq1_s) == SIZE_IQ1_S, "IQ1_S");
_Static_assert(sizeof(block_iq1_m) == SIZE_IQ1_M, "IQ1_M");

const int8_t iq2_values[8] = {8, 25, 43, 0, -8, -25, -43, 0};   // 3 and 7: not used
const int8_t iq3_xxs_values[16] = {4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
const int8_t iq3_s_values[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};
const int8_t iq1_values[8] = {-7, 1, 9, 0, -9, -1, 7, 0};   // with +1, with -1

// Eight signs of which seven are written: their number is even.
static uint32_t even_signs(uint32_t seven) {
    uint32_t x = seven ^ seven >> 4;
    x ^= x >> 2;
    return seven | ((x ^ x >> 1) & 1) << 7;
}

// The codes of n values (8, 4) of a tuple: its bits, and the sign above them.
static void put_tuple(uint32_t tuple, int n, uint32_t signs, uint8_t *q) {
    const int bits = 16 / n < 4 ? 2 : 3;
    for (int i = 0; i < n; i++) q[i] = (uint8_t)((tuple >> bits * i & ((1u << bits) - 1)) | (signs >> i & 1) << bits);
}

static int8_t odd(uint32_t sc) { return (int8_t)(2 * sc + 1); }
static void odd_nibbles(const uint8_t *scales, int n, int8_t *to) {
    for (int i = 0; i < n; i++) to[i] = odd(scales[i / 2] >> 4 * (i % 2) & 15);
}

void codes_iq2_xxs(const uint8_t *src, block_codes *out) {
    const block_iq2_xxs *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    out->f = load_f16(b->d) / 8;
    for (int ib = 0; ib < 8; ib++) {
        uint32_t word = load_u32(b->qs[ib] + 4);
        out->scale[ib] = odd(word >> 28);
        for (int i = 0; i < 4; i++)
            put_tuple(iq2_xxs_grid[b->qs[ib][i]], 8, even_signs(word >> 7 * i & 127), out->q + 32 * ib + 8 * i);
    }
}

void codes_iq2_xs(const uint8_t *src, block_codes *out) {
    const block_iq2_xs *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    out->f = load_f16(b->d) / 8;
    odd_nibbles(b->scales, 16, out->scale);
    for (int i = 0; i < 32; i++) {
        uint32_t word = load_u16(b->qs[i]);
        put_tuple(iq2_xs_grid[word & 511], 8, even_signs(word >> 9), out->q + 8 * i);
    }
}

void codes_iq2_s(const uint8_t *src, block_codes *out) {
    const block_iq2_s *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    out->f = load_f16(b->d) / 8;
    odd_nibbles(b->scales, 16, out->scale);
    for (int i = 0; i < 32; i++)
        put_tuple(iq2_s_grid[b->qs[i] | (b->qh[i / 4] >> 2 * (i % 4) & 3) << 8], 8, b->signs[i], out->q + 8 * i);
}

void codes_iq3_xxs(const uint8_t *src, block_codes *out) {
    const block_iq3_xxs *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    out->f = load_f16(b->d) / 4;
    for (int ib = 0; ib < 8; ib++) {
        uint32_t word = load_u32(b->signs[ib]);
        out->scale[ib] = odd(word >> 28);
        for (int i = 0; i < 8; i++) {
            uint32_t signs = even_signs(word >> 7 * (i / 2) & 127) >> 4 * (i % 2);
            put_tuple(iq3_xxs_grid[b->qs[8 * ib + i]], 4, signs, out->q + 32 * ib + 4 * i);
        }
    }
}

void codes_iq3_s(const uint8_t *src, block_codes *out) {
    const block_iq3_s *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    odd_nibbles(b->scales, 8, out->scale);
    for (int i = 0; i < 64; i++) {
        int at = b->qs[i] | (b->qh[i / 8] >> i % 8 & 1) << 8;
        put_tuple(iq3_s_grid[at], 4, (uint32_t)b->signs[i / 2] >> 4 * (i % 2), out->q + 4 * i);
    }
}

void codes_iq1_s(const uint8_t *src, block_codes *out) {
    const block_iq1_s *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    out->f = load_f16(b->d) / 8;
    for (int i = 0; i < 32; i++) {
        uint32_t high = load_u16(b->qh[i / 4]);
        out->scale[i / 4] = odd(high >> 12 & 7);
        put_tuple(iq1_grid[b->qs[i] | (high >> 3 * (i % 4) & 7) << 8], 8, high >> 15 ? 255 : 0, out->q + 8 * i);
    }
}

static uint16_t iq1_m_d(const block_iq1_m *b) {   // the f16 whose bits are in four places
    uint32_t d = 0;
    for (int i = 0; i < 4; i++) d |= (uint32_t)(b->scales[i][1] >> 4) << 4 * i;
    return (uint16_t)d;
}

void codes_iq1_m(const uint8_t *src, block_codes *out) {
    const block_iq1_m *b = (const void *)src;
    codes_start(out, iq1_m_d(b), 0);
    out->f = f16_to_f32(out->d) / 8;
    for (int i = 0; i < 16; i++) out->scale[i] = odd(load_u16(b->scales[i / 4]) >> 3 * (i % 4) & 7);
    for (int i = 0; i < 32; i++) {
        uint32_t high = b->qh[i / 2] >> 4 * (i % 2);
        put_tuple(iq1_grid[b->qs[i] | (high & 7) << 8], 8, high & 8 ? 255 : 0, out->q + 8 * i);
    }
}

static void unpack(const block_codes *c, float d, int sub, const int8_t *values, float *dst) {
    for (int i = 0; i < 256; i++) dst[i] = d * (float)c->scale[i / sub] * (float)values[c->q[i]];
}
#define GRID(lower, d, sub, values)                                                                                    \
    void unpack_##lower(const uint8_t *src, float *dst) {                                                              \
        block_codes c;                                                                                                 \
        codes_##lower(src, &c);                                                                                        \
        unpack(&c, d, sub, values, dst);                                                                               \
    }
GRID(iq2_xxs, c.f, 32, iq2_values)
GRID(iq2_xs, c.f, 16, iq2_values)
GRID(iq2_s, c.f, 16, iq2_values)
GRID(iq3_xxs, c.f, 32, iq3_xxs_values)
GRID(iq3_s, f16_to_f32(c.d), 32, iq3_s_values)
GRID(iq1_s, c.f, 32, iq1_values)
GRID(iq1_m, c.f, 16, iq1_values)

int finite_iq2_xxs(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq2_xs(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq2_s(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq3_xxs(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq3_s(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq1_s(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq1_m(const uint8_t *src) { return (iq1_m_d((const void *)src) & 0x7c00) != 0x7c00; }
