// What the family files (floats.c, legacy.c, kquants.c, codebook.c, grids.c, ternary.c) define and formats.c gathers:
// for each supported type of formats.def, codes_<lower>, unpack_<lower>, finite_<lower>. Also the helpers with which
// they read a block.
#pragma once
#include "format.h"
#include "half.h"

#define PLAIN(number, name, lower, block, block_size)                                                                  \
    void unpack_##lower(const uint8_t *src, float *dst);                                                               \
    int finite_##lower(const uint8_t *src);
#define CODED(number, name, lower, block, block_size)                                                                  \
    void codes_##lower(const uint8_t *src, block_codes *out);                                                          \
    PLAIN(number, name, lower, block, block_size)
#define KNOWN(number, name, block, block_size)
#include "formats.def"
#undef PLAIN
#undef CODED
#undef KNOWN

// Bytes of a block, as formats.def gives them; each drawing of a block is asserted against its SIZE_<name>.
enum {
#define PLAIN(number, name, lower, block, block_size) SIZE_##name = block_size,
#define CODED(number, name, lower, block, block_size) SIZE_##name = block_size,
#define KNOWN(number, name, block, block_size) SIZE_##name = block_size,
#include "formats.def"
#undef PLAIN
#undef CODED
#undef KNOWN
};

// Blocks are structs of bytes: no padding, no alignment, little-endian whatever the machine is.
static inline uint16_t load_u16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }
static inline uint32_t load_u32(const uint8_t *at) { return load_u16(at) | (uint32_t)load_u16(at + 2) << 16; }
static inline float load_f16(const uint8_t *at) { return f16_to_f32(load_u16(at)); }
// 2^(e-128) as bf16: exact, the two least as subnormals. e = 255, which E8M0 calls NaN, becomes one.
static inline uint16_t e8m0_half(uint8_t e) {
    if (e == 255) return 0x7fc0;
    return e < 2 ? (uint16_t)(0x20 << e) : (uint16_t)((e - 1) << 7);
}
// Half of an unsigned E4M3 as f16: exact. 0x7f is 0, and the highest bit does not count.
static inline uint16_t ue4m3_half(uint8_t x) {
    static const uint16_t small[8] = {0, 0x1400, 0x1800, 0x1a00, 0x1c00, 0x1d00, 0x1e00, 0x1f00};   // m * 2^-10
    uint32_t e = x >> 3 & 15, m = x & 7, half = e ? (e + 7) << 10 | m << 7 : small[m];              // 2^(e-8) * 1.m
    return (uint16_t)(x == 0x7f ? 0 : half);
}
static inline int f16_is_finite(const uint8_t *at) { return (load_u16(at) & 0x7c00) != 0x7c00; }

// The neutral sub-scales, for formats that have none or fewer than SUB_MAX.
static inline void codes_start(block_codes *out, uint16_t d, uint16_t m) {
    out->d = d;
    out->m = m;
    out->f = 0;
    for (int i = 0; i < SUB_MAX; i++) out->scale[i] = 1, out->min[i] = 0;
}

// The order of 4-bit codes in every format of 32: weight i in the low nibble of byte i, weight 16 + i in the high one.
static inline void codes_nibbles(const uint8_t qs[16], uint8_t q[32]) {
    for (int i = 0; i < 16; i++) q[i] = qs[i] & 15, q[16 + i] = qs[i] >> 4;
}
