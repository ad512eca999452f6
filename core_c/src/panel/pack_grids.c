// Rows of IQ1, IQ2 and IQ3 to panels. Rows of IQ1 and IQ2 write tuples, signs and scales as the file orders them, to
// where the panel has them. Then these are put into the lanes' order, 16 rows at a time, in loops of which compilers
// make vectors. IQ3's words are found in tables.
#include "../quant/families.h"
#include "../quant/grids.h"
#include "pack_words.h"

enum { ONE_SCALE = ROWS, TWO_SCALES = 2 * ROWS, P21_SIZE = P2_SIZE + P1_SIZE, SIGNS = P2_SIZE };

// ---- 16 rows of a block --------------------------------------------------------------------------------------------

// Four times seven bits, to a byte each.
static inline uint32_t spread_sevens(uint32_t x) {
    return (x & 0x7f) | (x & 0x3f80) << 1 | (x & 0x1fc000) << 2 | (x & 0xfe00000) << 3;
}
// Seven signs of each byte, and an eighth that makes their number even.
static inline uint32_t even_signs(uint32_t x) {
    uint32_t p = x ^ x >> 4;
    p ^= p >> 2;
    return x | ((p ^ p >> 1) & 0x01010101) << 7;
}
// A sign for each of four tuples, in bits 3, 7, 11 and 15: to all their lanes.
static inline uint32_t deal_shared(uint32_t x) {
    x = (x >> 3 & 0x01) | (x >> 5 & 0x04) | (x >> 7 & 0x10) | (x >> 9 & 0x40);
    x |= x << 1;
    x |= x << 8;
    return x | x << 16;
}
DEAL(deal_even, deal_bits(even_signs(w)))
DEAL(deal_sevens, deal_bits(even_signs(spread_sevens(w))))
DEAL(deal_one, 0u - (w >> 15 & 1))
DEAL(deal_four, deal_shared(w))

// Scales 2 sc + 1: of two numbers in a byte; of words.
static inline void odd_pairs(uint8_t *to, int bits) {
    const int mask = (1 << bits) - 1;
    for (int ir = 0; ir < ROWS; ir++) {
        int two = to[ir];
        to[ir] = (uint8_t)(2 * (two & mask) + 1);
        to[ROWS + ir] = (uint8_t)(2 * (two >> bits & mask) + 1);
    }
}
static inline void odd_words(const uint8_t *words, int from, int mask, uint8_t *to) {
    for (int ir = 0; ir < ROWS; ir++) to[ir] = (uint8_t)(2 * (load32(words + 4 * ir) >> from & (uint32_t)mask) + 1);
}

static void deal_p2(uint8_t *planes) {
    deal_eights(planes);
    deal_eights(planes + 64);
}
static void deal_iq2_xxs(uint8_t *to) {
    uint8_t *planes = to + ONE_SCALE;
    odd_words(planes + SIGNS, 28, 15, to);
    deal_p2(planes);
    deal_sevens(planes + SIGNS);
}
static void deal_iq2_xs(uint8_t *to) {
    odd_pairs(to, 4);
    deal_p2(to + TWO_SCALES);
    deal_even(to + TWO_SCALES + SIGNS);
}
static void deal_iq2_s(uint8_t *to) {
    odd_pairs(to, 4);
    deal_p2(to + TWO_SCALES);
    deal_signs(to + TWO_SCALES + SIGNS);
}
static void deal_iq1_s(uint8_t *to) {
    uint8_t *planes = to + ONE_SCALE;
    odd_words(planes + SIGNS, 12, 7, to);
    deal_p2(planes);
    deal_one(planes + SIGNS);
}
static void deal_iq1_m(uint8_t *to) {
    odd_pairs(to, 3);
    deal_p2(to + TWO_SCALES);
    deal_four(to + TWO_SCALES + SIGNS);
}

// ---- A row's part of one super-block -------------------------------------------------------------------------------

// The header: d * part in float.
static inline int put_part(uint16_t d, float part, uint8_t *to, int ir) {
    float f = f16_to_f32(d) * part;
    memcpy(to + 4 * ir, &f, sizeof f);
    return f16_is_bad(d);
}
// A block's four tuples of eight codes, and their signs.
static inline void put_eights(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t signs, uint8_t *planes, int ir) {
    store32(planes + 4 * ir, a | b << 16);
    store32(planes + 64 + 4 * ir, c | d << 16);
    store32(planes + SIGNS + 4 * ir, signs);
}

static inline int one_iq2_xxs(const uint8_t *src, uint8_t *to, int ir) {   // d; 8 times indices 4, signs and scale 4
    int bad = put_part(load_u16(src), 0.125f, to, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += ONE_SCALE + P21_SIZE) {
        const uint8_t *at = src + 2 + 8 * j;
        put_eights(iq2_xxs_grid[at[0]], iq2_xxs_grid[at[1]], iq2_xxs_grid[at[2]], iq2_xxs_grid[at[3]], load32(at + 4),
                   to + ONE_SCALE, ir);
    }
    return bad;
}

static inline int one_iq2_xs(const uint8_t *src, uint8_t *to, int ir) {   // d, words 64, scales 8
    int bad = put_part(load_u16(src), 0.125f, to, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += TWO_SCALES + P21_SIZE) {
        uint64_t x = load64(src + 2 + 8 * j), s = x >> 9 & 0x007f007f007f007fu;
        s = (s | s >> 8) & 0x0000ffff0000ffffu;
        to[ir] = src[66 + j];
        put_eights(iq2_xs_grid[x & 511], iq2_xs_grid[x >> 16 & 511], iq2_xs_grid[x >> 32 & 511],
                   iq2_xs_grid[x >> 48 & 511], (uint32_t)(s | s >> 16), to + TWO_SCALES, ir);
    }
    return bad;
}

static inline int one_iq2_s(const uint8_t *src, uint8_t *to, int ir) {   // d, indices 32, signs 32, high 8, scales 8
    int bad = put_part(load_u16(src), 0.125f, to, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += TWO_SCALES + P21_SIZE) {
        const uint8_t *at = src + 2 + 4 * j;
        uint32_t high = src[66 + j];
        to[ir] = src[74 + j];
        put_eights(iq2_s_grid[at[0] | (high << 8 & 0x300)], iq2_s_grid[at[1] | (high << 6 & 0x300)],
                   iq2_s_grid[at[2] | (high << 4 & 0x300)], iq2_s_grid[at[3] | (high << 2 & 0x300)],
                   load32(src + 34 + 4 * j), to + TWO_SCALES, ir);
    }
    return bad;
}

static inline int one_iq1_s(const uint8_t *src, uint8_t *to, int ir) {   // d, indices 32, high 16
    int bad = put_part(load_u16(src), 0.125f, to, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += ONE_SCALE + P21_SIZE) {
        const uint8_t *at = src + 2 + 4 * j;
        uint32_t high = load_u16(src + 34 + 2 * j);
        put_eights(iq1_grid[at[0] | (high << 8 & 0x700)], iq1_grid[at[1] | (high << 5 & 0x700)],
                   iq1_grid[at[2] | (high << 2 & 0x700)], iq1_grid[at[3] | (high >> 1 & 0x700)], high, to + ONE_SCALE,
                   ir);
    }
    return bad;
}

static inline int one_iq1_m(const uint8_t *src, uint8_t *to, int ir) {   // indices 32, high 16, scales 8
    uint64_t scales = load64(src + 48);
    uint64_t d = (scales >> 12 & 15) | (scales >> 24 & 0xf0) | (scales >> 36 & 0xf00) | (scales >> 48 & 0xf000);
    int bad = put_part((uint16_t)d, 0.125f, to, ir);
    scales = (scales & 0x003f003f003f003fu) | (scales & 0x0fc00fc00fc00fc0u) << 2;   // a byte for each block
    to += 64;
    for (int j = 0; j < 8; j++, to += TWO_SCALES + P21_SIZE, scales >>= 8) {
        const uint8_t *at = src + 4 * j;
        uint32_t high = load_u16(src + 32 + 2 * j);
        to[ir] = (uint8_t)scales;
        put_eights(iq1_grid[at[0] | (high << 8 & 0x700)], iq1_grid[at[1] | (high << 4 & 0x700)],
                   iq1_grid[at[2] | (high & 0x700)], iq1_grid[at[3] | (high >> 4 & 0x700)], high, to + TWO_SCALES, ir);
    }
    return bad;
}

// What a tuple of four codes and the eight signs of two tuples are in a word of P4: code i in bits 8i to 8i + 2, its
// sign in bit 8i + 3; the second tuple four bits higher. Made for each panel, which reads them many times.
typedef struct fours {
    uint32_t codes[512], signs[256];
} fours;
static inline void open_fours(fours *f, const uint16_t *grid, int n, int n_signs) {
    for (int i = 0; i < n; i++) {
        uint32_t x = grid[i];
        f->codes[i] = (x & 7) | (x & 0x38) << 5 | (x & 0x1c0) << 10 | (x & 0xe00) << 15;
    }
    for (int i = 0; i < n_signs; i++) {
        uint32_t x = n_signs < 256 ? even_signs((uint32_t)i) : (uint32_t)i;
        x |= x << 7;
        f->signs[i] = ((x | x << 14) & 0x11111111) << 3;
    }
}

// d, indices 64, signs and scales 32
static inline int one_iq3_xxs(const fours *f, const uint8_t *src, uint8_t *to, int ir) {
    int bad = put_part(load_u16(src), 0.25f, to, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += ONE_SCALE + P4_SIZE) {
        uint32_t word = load32(src + 66 + 4 * j);
        to[ir] = (uint8_t)(2 * (word >> 28) + 1);
        for (int g = 0; g < 4; g++) {
            const uint8_t *at = src + 2 + 8 * j + 2 * g;
            store32(to + ONE_SCALE + 64 * g + 4 * ir,
                    f->codes[at[0]] | f->codes[at[1]] << 4 | f->signs[word >> 7 * g & 127]);
        }
    }
    return bad;
}

// d, indices 64, high 8, signs 32, scales 4
static inline int one_iq3_s(const fours *f, const uint8_t *src, uint8_t *to, int ir) {
    int bad = put_scale(src, to, ir);
    to += 32;
    for (int j = 0; j < 8; j++, to += ONE_SCALE + P4_SIZE) {
        uint32_t high = (uint32_t)src[66 + j] << 8;
        to[ir] = (uint8_t)(2 * (src[106 + j / 2] >> 4 * (j % 2) & 15) + 1);
        for (int g = 0; g < 4; g++, high >>= 2) {
            const uint8_t *at = src + 2 + 8 * j + 2 * g;
            store32(to + ONE_SCALE + 64 * g + 4 * ir, f->codes[at[0] | (high & 0x100)] |
                                                          f->codes[at[1] | (high >> 1 & 0x100)] << 4 |
                                                          f->signs[src[74 + 4 * j + g]]);
        }
    }
    return bad;
}

// ---- A panel: super-blocks in the order in which they are written, of each the rows ---------------------------------

// Rows that are not there have zeros, which stay zeros except in scales.
#define EIGHTS(name, format, n_scales)                                                                                 \
    int pack_##name(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {                      \
        enum { BLOCK = ROWS * (n_scales) + P21_SIZE };                                                                 \
        int flags = 0;                                                                                                 \
        for (int left = n_in / 256; left > 0; left--, rows += SIZE_##format, panel += 64 + 8 * BLOCK) {                \
            for (int ir = 0; ir < n_rows; ir++) {                                                                      \
                const uint8_t *row = rows + (size_t)ir * row_size;                                                     \
                fetch(row + (left > 1 ? SIZE_##format : 0), SIZE_##format);                                            \
                flags |= one_##name(row, panel, ir);                                                                   \
            }                                                                                                          \
            for (uint8_t *to = panel + 64; to < panel + 64 + 8 * BLOCK; to += BLOCK) {                                 \
                deal_##name(to);                                                                                       \
                for (int s = 0; n_rows < ROWS && s < (n_scales); s++)                                                  \
                    memset(to + ROWS * s + n_rows, 0, (size_t)(ROWS - n_rows));                                        \
            }                                                                                                          \
        }                                                                                                              \
        return flags;                                                                                                  \
    }
EIGHTS(iq2_xxs, IQ2_XXS, 1)
EIGHTS(iq2_xs, IQ2_XS, 2)
EIGHTS(iq2_s, IQ2_S, 2)
EIGHTS(iq1_s, IQ1_S, 1)
EIGHTS(iq1_m, IQ1_M, 2)

#define FOURS(name, format, header, n, n_signs)                                                                        \
    int pack_##name(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {                      \
        enum { SIZE = (header) + 8 * (ONE_SCALE + P4_SIZE) };                                                          \
        int flags = 0;                                                                                                 \
        fours f;                                                                                                       \
        open_fours(&f, name##_grid, n, n_signs);                                                                       \
        for (int left = n_in / 256; left > 0; left--, rows += SIZE_##format, panel += SIZE)                            \
            for (int ir = 0; ir < n_rows; ir++) {                                                                      \
                const uint8_t *row = rows + (size_t)ir * row_size;                                                     \
                fetch(row + (left > 1 ? SIZE_##format : 0), SIZE_##format);                                            \
                flags |= one_##name(&f, row, panel, ir);                                                               \
            }                                                                                                          \
        return flags;                                                                                                  \
    }
FOURS(iq3_xxs, IQ3_XXS, 64, 256, 128)
FOURS(iq3_s, IQ3_S, 32, 512, 256)
