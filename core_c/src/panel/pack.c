// Rows of the file to panels, fast: what panel_pack_any defines, bytes equal. A row's part of a block is a few words:
// codes are moved within them, eight bytes at a time, and written where the row's lane is. Machine words are
// little-endian, as everywhere in the kernels.
#include "../quant/families.h"
#include "pack_words.h"
#include "panel.h"

// ---- Words ---------------------------------------------------------------------------------------------------------

// The eight low nibbles of x: of bytes 0..3 in the low, of bytes 4..7 in the high ones of the result.
static inline uint32_t low_nibbles(uint64_t x) {
    x &= 0x0f0f0f0f0f0f0f0fu;
    return (uint32_t)(x | x >> 28);
}
// Bits 2j, 2j+1 of 16 bytes: four bytes after four others, from the lowest bits up.
static inline uint32_t two_bits(const uint8_t *p, int j) {
    uint64_t a = load64(p) >> 2 * j & 0x0303030303030303u, b = load64(p + 8) >> 2 * j & 0x0303030303030303u;
    return (uint32_t)(a | a >> 30) | (uint32_t)(b | b >> 30) << 4;
}
// Bit j of 32 bytes: the same with one bit.
static inline uint32_t one_bit(const uint8_t *p, int j) {
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t x = load64(p + 8 * i) >> j & 0x0101010101010101u;
        out |= (uint32_t)(x | x >> 31) << 2 * i;
    }
    return out;
}
// Plane P4 of 32 weights whose nibbles lie in 16 bytes: weights 0..15 low, 16..31 high.
static inline void put_halves(const uint8_t *qs, uint8_t *to, int ir) {
    uint64_t a = load64(qs), b = load64(qs + 8);
    to += 4 * ir;
    store32(to, low_nibbles(a));
    store32(to + 64, low_nibbles(b));
    store32(to + 128, low_nibbles(a >> 4));
    store32(to + 192, low_nibbles(b >> 4));
}
// Planes P4 of two blocks whose nibbles lie in 32 bytes: the low ones are the first's, the high ones the second's.
static inline void put_twins(const uint8_t *qs, uint8_t *first, uint8_t *second, int ir) {
    for (int g = 0; g < 4; g++) {
        uint64_t x = load64(qs + 8 * g);
        store32(first + 64 * g + 4 * ir, low_nibbles(x));
        store32(second + 64 * g + 4 * ir, low_nibbles(x >> 4));
    }
}

// ---- A row's part of one block of the file. Returns PANEL_OK, or the flags below -----------------------------------

static inline int one_q4_0(const uint8_t *src, uint8_t *to, int ir) {
    put_halves(src + 2, to + 32, ir);
    return put_scale(src, to, ir);
}
static inline int one_q4_1(const uint8_t *src, uint8_t *to, int ir) {
    put_halves(src + 4, to + 64, ir);
    return put_scale(src, to, ir) | put_scale(src + 2, to + 32, ir);
}
static inline int one_q5_0(const uint8_t *src, uint8_t *to, int ir) {
    put_halves(src + 6, to + 32, ir);
    store32(to + 32 + P4_SIZE + 4 * ir, deal_bits(load32(src + 2)));
    return put_scale(src, to, ir);
}
static inline int one_q5_1(const uint8_t *src, uint8_t *to, int ir) {
    put_halves(src + 8, to + 64, ir);
    store32(to + 64 + P4_SIZE + 4 * ir, deal_bits(load32(src + 4)));
    return put_scale(src, to, ir) | put_scale(src + 2, to + 32, ir);
}
static inline int one_q8_0(const uint8_t *src, uint8_t *to, int ir) {
    uint64_t min8 = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t x = load64(src + 2 + 8 * i), y = x ^ 0x8080808080808080u;
        min8 |= (y - 0x0101010101010101u) & ~y & 0x8080808080808080u;   // where a byte of y is 0
        store32(to + 32 + 128 * i + 4 * ir, (uint32_t)x);
        store32(to + 96 + 128 * i + 4 * ir, (uint32_t)(x >> 32));
    }
    return put_scale(src, to, ir) | (min8 ? HAS_MIN8 : 0);
}
static inline int one_mxfp4(const uint8_t *src, uint8_t *to, int ir) {
    put_halves(src + 1, to + 32, ir);
    store16(to + 2 * ir, e8m0_half(src[0]));
    return src[0] == 255;
}

enum { Q2_K_BLOCK = 32 + P2_SIZE, Q3_K_BLOCK = 32 + P2_SIZE + P1_SIZE, Q4_K_BLOCK = 32 + P4_SIZE };
enum { Q5_K_BLOCK = 32 + P4_SIZE + P1_SIZE, Q6_K_BLOCK = 32 + P4_SIZE + P2_SIZE, IQ4_XS_BLOCK = 16 + P4_SIZE };

static inline int one_q2_k(const uint8_t *src, uint8_t *to, int ir) {   // scales 16, codes 64, d, dmin
    int bad = put_scale(src + 80, to, ir) | put_scale(src + 82, to + 32, ir);
    to += 64;
    for (int j = 0; j < 8; j++, to += Q2_K_BLOCK) {
        const uint8_t *qs = src + 16 + 32 * (j / 4);
        to[ir] = src[2 * j];
        to[ROWS + ir] = src[2 * j + 1];
        store32(to + 32 + 4 * ir, two_bits(qs, j % 4));
        store32(to + 96 + 4 * ir, two_bits(qs + 16, j % 4));
    }
    return bad;
}

static inline int one_q3_k(const uint8_t *src, uint8_t *to, int ir) {   // high bits 32, codes 64, scales 12, d
    uint64_t low = load64(src + 96), high = load32(src + 104), scales[2];
    for (int i = 0; i < 2; i++) {
        uint64_t two = (high >> 4 * i & 0x03030303) | (high >> (4 * i + 2) & 0x03030303) << 32;
        uint64_t v = (low >> 4 * i & 0x0f0f0f0f0f0f0f0fu) | two << 4;
        scales[i] = ((v | 0x8080808080808080u) - 0x2020202020202020u) ^ 0x8080808080808080u;   // each byte less 32
    }
    int bad = put_scale(src + 108, to, ir);
    to += 32;
    for (int j = 0; j < 8; j++, to += Q3_K_BLOCK) {
        const uint8_t *qs = src + 32 + 32 * (j / 4);
        to[ir] = (uint8_t)(scales[j / 4] >> 16 * (j % 4));
        to[ROWS + ir] = (uint8_t)(scales[j / 4] >> (16 * (j % 4) + 8));
        store32(to + 32 + 4 * ir, two_bits(qs, j % 4));
        store32(to + 96 + 4 * ir, two_bits(qs + 16, j % 4));
        store32(to + 160 + 4 * ir, one_bit(src, j));
    }
    return bad;
}

// The 6-bit scales and minima of Q4_K and Q5_K: see quant/kquants.c.
static inline void put_six_bits(const uint8_t *s, uint8_t *to, int block_size, int ir) {
    uint32_t a = load32(s), b = load32(s + 4), c = load32(s + 8);
    uint64_t scale = (a & 0x3f3f3f3f) | (uint64_t)((c & 0x0f0f0f0f) | (a >> 2 & 0x30303030)) << 32;
    uint64_t min = (b & 0x3f3f3f3f) | (uint64_t)((c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)) << 32;
    for (int j = 0; j < 8; j++, to += block_size) {
        to[ir] = (uint8_t)(scale >> 8 * j);
        to[ROWS + ir] = (uint8_t)(min >> 8 * j);
    }
}

static inline int one_q4_k(const uint8_t *src, uint8_t *to, int ir) {   // d, dmin, scales 12, codes 128
    int bad = put_scale(src, to, ir) | put_scale(src + 2, to + 32, ir);
    put_six_bits(src + 4, to + 64, Q4_K_BLOCK, ir);
    for (int j = 0; j < 8; j += 2) {
        uint8_t *p4 = to + 64 + j * Q4_K_BLOCK + 32;
        put_twins(src + 16 + 16 * j, p4, p4 + Q4_K_BLOCK, ir);
    }
    return bad;
}

static inline int one_q5_k(const uint8_t *src, uint8_t *to, int ir) {   // d, dmin, scales 12, high bits 32, codes 128
    int bad = put_scale(src, to, ir) | put_scale(src + 2, to + 32, ir);
    put_six_bits(src + 4, to + 64, Q5_K_BLOCK, ir);
    for (int j = 0; j < 8; j += 2) {
        uint8_t *p4 = to + 64 + j * Q5_K_BLOCK + 32;
        put_twins(src + 48 + 16 * j, p4, p4 + Q5_K_BLOCK, ir);
        store32(p4 + P4_SIZE + 4 * ir, one_bit(src + 16, j));
        store32(p4 + Q5_K_BLOCK + P4_SIZE + 4 * ir, one_bit(src + 16, j + 1));
    }
    return bad;
}

static inline int one_q6_k(const uint8_t *src, uint8_t *to, int ir) {   // low nibbles 128, high bits 64, scales 16, d
    int bad = put_scale(src + 208, to, ir);
    to += 32;
    for (int j = 0; j < 8; j++) {
        uint8_t *block = to + j * Q6_K_BLOCK;
        const uint8_t *high = src + 128 + 32 * (j / 4);
        block[ir] = src[192 + 2 * j];
        block[ROWS + ir] = src[193 + 2 * j];
        store32(block + 32 + P4_SIZE + 4 * ir, two_bits(high, j % 4));
        store32(block + 96 + P4_SIZE + 4 * ir, two_bits(high + 16, j % 4));
        if (j % 4 < 2) put_twins(src + 64 * (j / 4) + 32 * (j % 4), block + 32, block + 2 * Q6_K_BLOCK + 32, ir);
    }
    return bad;
}

static inline int one_iq4_xs(const uint8_t *src, uint8_t *to, int ir) {   // d, scales 2 + 4, codes 8 * 16
    uint32_t low = load32(src + 4), high = load_u16(src + 2);
    int bad = put_scale(src, to, ir);
    to += 32;
    for (int j = 0; j < 8; j++, to += IQ4_XS_BLOCK) {
        to[ir] = (uint8_t)(((low >> 4 * j & 15) | (high >> 2 * j & 3) << 4) - 32);
        put_halves(src + 8 + 16 * j, to + 16, ir);
    }
    return bad;
}

// ---- Formats of few bits: a plane's word is 16 codes, in the order of the lanes ------------------------------------

static inline int one_tq2_0(const uint8_t *src, uint8_t *to, int ir) {   // codes 64, d
    int bad = put_scale(src + 64, to, ir);
    to += 32 + 4 * ir;
    for (int j = 0; j < 8; j++, to += P2_SIZE) {
        const uint8_t *qs = src + 32 * (j / 4);
        store32(to, two_bits(qs, j % 4));
        store32(to + 64, two_bits(qs + 16, j % 4));
    }
    return bad;
}

static inline int one_nvfp4(const uint8_t *src, uint8_t *to, int ir) {   // scales 4, codes 32
    for (int s = 0; s < 4; s++) {
        uint64_t x = load64(src + 4 + 8 * s);
        uint8_t *block = to + s / 2 * (64 + P4_SIZE);
        store16(block + 32 * (s % 2) + 2 * ir, ue4m3_half(src[s]));
        store32(block + 64 + 128 * (s % 2) + 4 * ir, low_nibbles(x));
        store32(block + 128 + 128 * (s % 2) + 4 * ir, low_nibbles(x >> 4));
    }
    return 0;
}

// ---- A panel: blocks in the order in which they are written, of each the rows --------------------------------------

#define PACKER(name, format, weights, size)                                                                            \
    static int pack_##name(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {               \
        int flags = 0;                                                                                                 \
        for (int ib = 0; ib < n_in / (weights); ib++, rows += SIZE_##format, panel += (size))                          \
            for (int ir = 0; ir < n_rows; ir++) flags |= one_##name(rows + (size_t)ir * row_size, panel, ir);          \
        return flags;                                                                                                  \
    }
PACKER(q4_0, Q4_0, 32, 32 + P4_SIZE)
PACKER(q4_1, Q4_1, 32, 64 + P4_SIZE)
PACKER(q5_0, Q5_0, 32, 32 + P4_SIZE + P1_SIZE)
PACKER(q5_1, Q5_1, 32, 64 + P4_SIZE + P1_SIZE)
PACKER(q8_0, Q8_0, 32, 32 + 512)
PACKER(mxfp4, MXFP4, 32, 32 + P4_SIZE)
PACKER(q2_k, Q2_K, 256, 64 + 8 * Q2_K_BLOCK)
PACKER(q3_k, Q3_K, 256, 32 + 8 * Q3_K_BLOCK)
PACKER(q4_k, Q4_K, 256, 64 + 8 * Q4_K_BLOCK)
PACKER(q5_k, Q5_K, 256, 64 + 8 * Q5_K_BLOCK)
PACKER(q6_k, Q6_K, 256, 32 + 8 * Q6_K_BLOCK)
PACKER(iq4_xs, IQ4_XS, 256, 32 + 8 * IQ4_XS_BLOCK)
PACKER(tq2_0, TQ2_0, 256, 32 + 8 * P2_SIZE)
PACKER(nvfp4, NVFP4, 64, 2 * (64 + P4_SIZE))

// 16-bit floats, four of a row at a time; exponent: the bits that are all set in Inf and NaN.
static inline int pack_halves(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel,
                              uint16_t exponent) {
    uint64_t mask = exponent * 0x0001000100010001u, lowest = (uint16_t)(0x8000 - exponent) * 0x0001000100010001u;
    uint64_t bad = 0;
    int k = 0;
    for (; k + 4 <= n_in; k += 4, panel += 8 * ROWS)
        for (int ir = 0; ir < n_rows; ir++) {
            uint64_t x = load64(rows + (size_t)ir * row_size + 2 * (size_t)k);
            bad |= (x & mask) + lowest;
            for (int i = 0; i < 4; i++) store16(panel + 2 * (ROWS * i + ir), (uint16_t)(x >> 16 * i));
        }
    for (; k < n_in; k++, panel += 2 * ROWS)
        for (int ir = 0; ir < n_rows; ir++) {
            uint16_t x = load_u16(rows + (size_t)ir * row_size + 2 * (size_t)k);
            bad |= (x & mask) + lowest;
            store16(panel + 2 * ir, x);
        }
    return bad & 0x8000800080008000u ? IS_BAD : 0;
}
static int pack_f16(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    return pack_halves(n_in, rows, row_size, n_rows, panel, 0x7c00);
}
static int pack_bf16(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    return pack_halves(n_in, rows, row_size, n_rows, panel, 0x7f80);
}
static int pack_f32(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    uint32_t bad = 0;
    for (int k = 0; k < n_in; k++)
        for (int ir = 0; ir < n_rows; ir++) {
            uint32_t x = load32(rows + (size_t)ir * row_size + 4 * (size_t)k);
            bad |= (x & 0x7f800000) + 0x00800000;
            store32(panel + 4 * ((size_t)k * ROWS + (size_t)ir), x);
        }
    return bad >> 31 ? IS_BAD : 0;
}

static packer *const packers[FORMAT_COUNT] = {
    [T_F32] = pack_f32,         [T_F16] = pack_f16,         [T_BF16] = pack_bf16,     [T_Q4_0] = pack_q4_0,
    [T_Q4_1] = pack_q4_1,       [T_Q5_0] = pack_q5_0,       [T_Q5_1] = pack_q5_1,     [T_Q8_0] = pack_q8_0,
    [T_Q2_K] = pack_q2_k,       [T_Q3_K] = pack_q3_k,       [T_Q4_K] = pack_q4_k,     [T_Q5_K] = pack_q5_k,
    [T_Q6_K] = pack_q6_k,       [T_IQ4_NL] = pack_q4_0,     [T_IQ4_XS] = pack_iq4_xs, [T_MXFP4] = pack_mxfp4,
    [T_IQ2_XXS] = pack_iq2_xxs, [T_IQ2_XS] = pack_iq2_xs,   [T_IQ2_S] = pack_iq2_s,   [T_IQ1_S] = pack_iq1_s,
    [T_IQ1_M] = pack_iq1_m,     [T_IQ3_XXS] = pack_iq3_xxs, [T_IQ3_S] = pack_iq3_s,   [T_TQ1_0] = pack_tq1_0,
    [T_TQ2_0] = pack_tq2_0,     [T_Q2_0] = pack_q2_0,       [T_Q1_0] = pack_q1_0,     [T_NVFP4] = pack_nvfp4,
};

int panel_pack(int type, int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    if (type < 0 || type >= FORMAT_COUNT || !packers[type])
        return panel_pack_any(type, n_in, rows, row_size, n_rows, panel);
    int flags = packers[type](n_in, rows, row_size, n_rows, panel);
    return flags & IS_BAD ? PANEL_NOT_FINITE : flags & HAS_MIN8 ? PANEL_HAS_MIN8 : PANEL_OK;
}
