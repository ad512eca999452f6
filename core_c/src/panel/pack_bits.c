// Rows of one and two bits per weight, without a grid, to panels: words as the file orders them are written to where
// the panel has them, and put into the lanes' order for 16 rows at a time. TQ1_0's digits are split for 16 rows, too.
#include "../quant/families.h"
#include "pack_words.h"

// ---- Words that are moved ------------------------------------------------------------------------------------------

static inline int one_q2_0(const uint8_t *src, uint8_t *to, int ir) {   // d, codes 16
    int bad = 0;
    for (int j = 0; j < 2; j++, to += 32 + P2_SIZE) {
        bad |= put_scale(src, to, ir);
        store32(to + 32 + 4 * ir, load32(src + 2 + 8 * j));
        store32(to + 96 + 4 * ir, load32(src + 6 + 8 * j));
    }
    return bad;
}
static void deal_q2_0(uint8_t *to) {
    for (int j = 0; j < 2; j++, to += 32 + P2_SIZE) deal_eights(to + 32), deal_eights(to + 96);
}

static inline int one_q1_0(const uint8_t *src, uint8_t *to, int ir) {   // d, codes 16
    int bad = 0;
    for (int j = 0; j < 4; j++, to += 32 + P1_SIZE) {
        bad |= put_scale(src, to, ir);
        store32(to + 32 + 4 * ir, load32(src + 2 + 4 * j));
    }
    return bad;
}
static void deal_q1_0(uint8_t *to) {
    for (int j = 0; j < 4; j++, to += 32 + P1_SIZE) deal_signs(to + 32);
}

// Rows that are not there have zeros, which stay zeros.
#define WORDS(name, format, weights, size)                                                                             \
    int pack_##name(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {                      \
        int flags = 0;                                                                                                 \
        for (int left = n_in / (weights); left > 0; left--, rows += SIZE_##format, panel += (size)) {                  \
            for (int ir = 0; ir < n_rows; ir++) flags |= one_##name(rows + (size_t)ir * row_size, panel, ir);          \
            deal_##name(panel);                                                                                        \
        }                                                                                                              \
        return flags;                                                                                                  \
    }
WORDS(q2_0, Q2_0, 64, 2 * (32 + P2_SIZE))
WORDS(q1_0, Q1_0, 128, 4 * (32 + P1_SIZE))

// ---- Base 3 --------------------------------------------------------------------------------------------------------

// Bytes of a word in 16-bit lanes: those of even and of odd places.
typedef struct lanes {
    uint32_t even[ROWS], odd[ROWS];
} lanes;

// The next digit of each byte of a word, for 16 rows, to the two bits `shift` of bytes. The digits that follow stay.
static inline void add_digits(lanes *x, int shift, uint32_t codes[ROWS]) {
    for (int ir = 0; ir < ROWS; ir++) {
        uint32_t e = x->even[ir] * 3, o = x->odd[ir] * 3;
        codes[ir] |= ((e >> 8 & 0x00030003) | (o & 0x03000300)) << shift;
        x->even[ir] = e & 0x00ff00ff, x->odd[ir] = o & 0x00ff00ff;
    }
}

enum { TQ1_WORDS = 13 };

// Weights 16 g to 16 g + 15 are the digits k of four words, or all four of the last one.
static void deal_tq1_0(lanes x[TQ1_WORDS], uint8_t *to) {
    for (int g = 0; g < 16; g++, to += 4 * ROWS) {
        uint32_t codes[ROWS] = {0};
        lanes *at = x + (g < 10 ? g % 2 * 4 : g < 15 ? 8 : 12);
        for (int j = 0; j < 4; j++) add_digits(g < 15 ? at + j : at, 2 * j, codes);
        memcpy(to, codes, sizeof codes);
    }
}

int pack_tq1_0(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {   // 52 bytes, d
    int flags = 0;
    lanes x[TQ1_WORDS] = {0};
    for (int left = n_in / 256; left > 0; left--, rows += SIZE_TQ1_0, panel += 32 + 8 * P2_SIZE) {
        for (int ir = 0; ir < n_rows; ir++) {
            const uint8_t *row = rows + (size_t)ir * row_size;
            flags |= put_scale(row + 4 * TQ1_WORDS, panel, ir);
            for (int i = 0; i < TQ1_WORDS; i++) {
                uint32_t word = load32(row + 4 * i);
                x[i].even[ir] = word & 0x00ff00ff, x[i].odd[ir] = word >> 8 & 0x00ff00ff;
            }
        }
        deal_tq1_0(x, panel + 32);
    }
    return flags;
}
