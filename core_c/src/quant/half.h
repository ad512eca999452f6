// 16-bit floats by integers alone: the same bits whatever the CPU's rounding and denormal modes are.
//
//   f16    s eeeee mmmmmmmmmm       (-1)^s * 2^(e-15) * 1.m     e = 0: 2^-14 * 0.m    e = 31: Inf, NaN
//   bf16   s eeeeeeee mmmmmmm       the upper half of an f32
#pragma once
#include <stdint.h>
#include <string.h>

static inline float bits_to_f32(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline uint32_t f32_to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

// Exact. A NaN keeps its payload.
static inline float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31) return bits_to_f32(sign | 0x7f800000 | m << 13);
    if (e) return bits_to_f32(sign | (e + 112) << 23 | m << 13);
    return bits_to_f32(sign | f32_to_bits((float)m * 0x1p-24f));   // m * 2^-24 is a normal f32
}

// Round to nearest, ties to even; past 65519.99 to Inf; a NaN stays one.
static inline uint16_t f32_to_f16(float f) {
    uint32_t bits = f32_to_bits(f), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
    if (a >= 0x47800000) return (uint16_t)(sign | 0x7c00);   // 2^16 and more
    if (a >= 0x38800000)                                     // 2^-14 and more: normal; a carry may reach Inf
        return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
    if (a <= 0x33000000) return (uint16_t)sign;   // 2^-25, half of the least, ties to even: 0
    uint32_t m = (a & 0x7fffff) | 0x800000, shift = 126 - (a >> 23), rest = m & ((1u << shift) - 1);
    uint32_t q = m >> shift, half = 1u << (shift - 1);   // the value is m * 2^-shift * 2^-24
    return (uint16_t)(sign | (q + (rest > half || (rest == half && (q & 1)))));
}

// Exact.
static inline float bf16_to_f32(uint16_t h) { return bits_to_f32((uint32_t)h << 16); }

// Round to nearest, ties to even; a NaN stays one.
static inline uint16_t f32_to_bf16(float f) {
    uint32_t bits = f32_to_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
