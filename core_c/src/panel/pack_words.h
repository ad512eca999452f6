// Words of a row, and how packers move bits within them: for the files of packers alone. Machine words are
// little-endian, as everywhere in the kernels.
#pragma once
#include <string.h>
#include "../quant/half.h"

enum { ROWS = 16, P4_SIZE = 256, P2_SIZE = 128, P1_SIZE = 64 };
enum { IS_BAD = 1, HAS_MIN8 = 2 };   // what a packer returns, beside PANEL_OK

static inline uint32_t load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store16(uint8_t *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static inline void store32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }

// Exchange the bits of x that a mask names with those n places above them.
static inline uint32_t exchange(uint32_t x, uint32_t mask, int n) {
    uint32_t t = (x ^ x >> n) & mask;
    return x ^ t ^ t << n;
}
// Bit 4r + i of x to bit 8i + r.
static inline uint32_t deal_bits(uint32_t x) {
    x = exchange(exchange(x, 0x0000cccc, 14), 0x00aa00aa, 7);
    return exchange(exchange(x, 0x0c0c0c0c, 2), 0x22222222, 1);
}
// Two bits each: those at 8r + 2i to 2r + 8i.
static inline uint32_t deal_twos(uint32_t x) { return exchange(exchange(x, 0x00cc00cc, 6), 0x0000f0f0, 12); }

static inline int f16_is_bad(uint16_t h) { return ((h & 0x7c00) + 0x0400) >> 15; }

// An f16 scale of row ir; 1 when it is Inf or NaN.
static inline int put_scale(const uint8_t *src, uint8_t *to, int ir) {
    uint16_t h = load_u16(src);
    store16(to + 2 * ir, h);
    return f16_is_bad(h);
}

// Words of 16 rows, in their place: a loop of which compilers make vectors.
#define DEAL(name, x)                                                                                                  \
    static inline void name(uint8_t *words) {                                                                          \
        for (int ir = 0; ir < ROWS; ir++) {                                                                            \
            uint32_t w = load32(words + 4 * ir);                                                                       \
            store32(words + 4 * ir, x);                                                                                \
        }                                                                                                              \
    }
DEAL(deal_eights, deal_twos(w))
DEAL(deal_signs, deal_bits(w))

// A row keeps the processor busy for longer than it looks ahead: the row's next super-block is fetched early.
static inline void fetch(const uint8_t *next, size_t size) {
    __builtin_prefetch(next + size / 2);
    __builtin_prefetch(next + size - 1);
}

// n_rows rows of n_in weights, row_size bytes apart, to a panel. Returns the flags above.
typedef int packer(int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel);
packer pack_iq2_xxs, pack_iq2_xs, pack_iq2_s, pack_iq1_s, pack_iq1_m, pack_iq3_xxs, pack_iq3_s;   // pack_grids.c
packer pack_tq1_0, pack_q2_0, pack_q1_0;                                                          // pack_bits.c
