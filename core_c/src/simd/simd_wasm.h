// 4 lanes: one v128. With SIMD_RELAXED the dot step is i32x4.relaxed_dot_i8x16_i7x16_add, which is the same on every
// engine while one side stays below 128. It is one instruction where the CPU has such a dot (AVX-VNNI, ARM's dotprod),
// else five in V8. With SIMD_PAIRS it is i16x8.relaxed_dot_i8x16_i7x16, one instruction of any x86-64: sums of two
// products fit in 16 bits, as do several of them for codes of few bits. Without SIMD_RELAXED, i32x4.dot_i16x8 on
// activations that are stored as 16-bit pairs.
#include <wasm_simd128.h>
#include "wasm_constants.h"
#define W 4
#if defined SIMD_PAIRS
#define STEPS5 4   // 4 * 2 * 31 * 127 = 31496
#define STEPS6 2   // 2 * 2 * 63 * 127 = 32004
#else
#define STEPS5 0
#define STEPS6 0
#endif
typedef v128_t vf, vi, vu, va4;

WORD v128_t constant_bytes(int byte) { return wasm_v128_load8_splat(&wasm_bytes[byte]); }
WORD v128_t constant_words(int i) { return wasm_v128_load32_splat(&wasm_words[i]); }

WORD vf vf_bits(vi a) { return a; }
WORD vi vi_bits(vf a) { return a; }
WORD vf vf_load(const float *p) { return wasm_v128_load(p); }
WORD vf vf_load_swapped(const float *p, int i) {
    vf a = vf_load(p + i);
    return wasm_i32x4_shuffle(a, a, 1, 0, 3, 2);
}
WORD void vf_store(float *p, vf a) { wasm_v128_store(p, a); }
// A constant is made once, before a loop: see wasm_constants.h. An asm without effects can be moved there.
WORD v128_t held(v128_t a) {
    __asm__("" : "+r"(a));
    return a;
}
WORD vf vf_set1(float a) { return __builtin_constant_p(a) ? held(wasm_f32x4_splat(a)) : wasm_f32x4_splat(a); }
WORD vf vf_add(vf a, vf b) { return wasm_f32x4_add(a, b); }
WORD vf vf_sub(vf a, vf b) { return wasm_f32x4_sub(a, b); }
WORD vf vf_mul(vf a, vf b) { return wasm_f32x4_mul(a, b); }
WORD vf vf_div(vf a, vf b) { return wasm_f32x4_div(a, b); }
WORD vf vf_max(vf a, vf b) { return wasm_f32x4_pmax(b, a); }   // operands swapped: b < a ? a : b
WORD vf vf_min(vf a, vf b) { return wasm_f32x4_pmin(b, a); }
WORD vf vf_sqrt(vf a) { return wasm_f32x4_sqrt(a); }
WORD vf vf_abs(vf a) { return wasm_f32x4_abs(a); }
WORD vf vf_cvt(vi a) { return wasm_f32x4_convert_i32x4(a); }
WORD vf vf_f16(const uint16_t *p) {   // exact, subnormals too: the exponent is moved, then rebiased by a multiplication
    v128_t h = wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(p), 13), constant_words(F16_MASK));
    return wasm_f32x4_mul(h, constant_words(F16_SCALE));
}
WORD vf vf_bf16(const uint16_t *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
// f32_to_f16 of each: below 2^-14 an addition of 1/2 rounds to the multiples of 2^-24.
WORD void vf_store_f16(uint16_t *p, vf x) {
    v128_t a = wasm_v128_and(x, wasm_i32x4_splat(0x7fffffff)), sign = wasm_u32x4_shr(wasm_v128_xor(x, a), 16);
    v128_t high = wasm_u32x4_shr(a, 13), odd = wasm_v128_and(high, wasm_i32x4_splat(1));
    v128_t h = wasm_u32x4_shr(wasm_i32x4_add(wasm_i32x4_add(a, odd), wasm_i32x4_splat(0xfff - 0x38000000)), 13);
    v128_t half = wasm_f32x4_splat(0.5f), small = wasm_i32x4_sub(wasm_f32x4_add(a, half), half);
    v128_t nan = wasm_v128_or(wasm_v128_and(high, wasm_i32x4_splat(0x1ff)), wasm_i32x4_splat(0x7e00));
    h = wasm_v128_bitselect(small, h, wasm_i32x4_lt(a, wasm_i32x4_splat(0x38800000)));
    h = wasm_v128_bitselect(wasm_i32x4_splat(0x7c00), h, wasm_i32x4_ge(a, wasm_i32x4_splat(0x47800000)));   // 2^16
    h = wasm_v128_or(wasm_v128_bitselect(nan, h, wasm_i32x4_gt(a, wasm_i32x4_splat(0x7f800000))), sign);
    wasm_v128_store64_lane(p, wasm_u16x8_narrow_i32x4(h, h), 0);
}
WORD float vf_most(vf a) {
    a = vf_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(vf_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2)), 0);
}
WORD vi vi_set1(int32_t a) { return wasm_i32x4_splat(a); }
WORD vi vi_add(vi a, vi b) { return wasm_i32x4_add(a, b); }
WORD vi vi_sub(vi a, vi b) { return wasm_i32x4_sub(a, b); }
WORD vi vi_and(vi a, vi b) { return wasm_v128_and(a, b); }
WORD vi vi_shl(vi a, int n) { return wasm_i32x4_shl(a, (uint32_t)n); }
WORD vi vi_shr(vi a, int n) { return wasm_u32x4_shr(a, (uint32_t)n); }
WORD float vf_fold_add(vf a) {
    v128_t h = wasm_f32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(h, 0) + wasm_f32x4_extract_lane(h, 1);
}
WORD vi vi_max(vi a, vi b) { return wasm_i32x4_max(a, b); }
WORD int32_t vi_most(vi a) {
    a = vi_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(vi_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2)), 0);
}
WORD int32_t vi_fold(vi a) {
    v128_t h = wasm_i32x4_add(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    return wasm_i32x4_extract_lane(h, 0) + wasm_i32x4_extract_lane(h, 1);
}
WORD void vi_store(int32_t *p, vi a) { wasm_v128_store(p, a); }
WORD vi vi_u8(const uint8_t *p) {
    return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
WORD vi vi_i8(const uint8_t *p) {
    return wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}
WORD vu vu_load(const uint8_t *p) { return wasm_v128_load(p); }
WORD vu vu_and(vu a, int byte) { return wasm_v128_and(a, constant_bytes(byte)); }
WORD vu vu_or(vu a, vu b) { return wasm_v128_or(a, b); }
WORD vu vu_shl(vu a, int n) { return wasm_i16x8_shl(a, (uint32_t)n); }
WORD vu vu_shr(vu a, int n) { return wasm_u16x8_shr(a, (uint32_t)n); }
WORD vu vu_table(vu a, const uint8_t table[16]) { return wasm_i8x16_swizzle(wasm_v128_load(table), a); }
WORD va4 va4_zero(void) { return wasm_i32x4_splat(0); }

// Four activations in 16 bits lie as the pairs (0,2) (1,3): codes then widen by shifts.
WORD void store_pairs(int16_t *p, vi a) {
    v128_t w = wasm_i16x8_narrow_i32x4(a, a);
    wasm_v128_store64_lane(p, wasm_i16x8_shuffle(w, w, 0, 2, 1, 3, 0, 2, 1, 3), 0);
}
WORD vu vu_even(vu c) { return wasm_i16x8_shr(wasm_i16x8_shl(c, 8), 8); }   // of signed codes
WORD vu vu_odd(vu c) { return wasm_i16x8_shr(c, 8); }
WORD vu vu_pair(const int16_t *x) { return wasm_v128_load32_splat(x); }
WORD vi vi_dot16(vi s, vu c, vu pair) { return wasm_i32x4_add(s, wasm_i32x4_dot_i16x8(c, pair)); }

#if defined SIMD_RELAXED
#define DOT8_ZERO 0
typedef int8_t act;
WORD void vi_store_act(act *p, vi a) {
    v128_t w = wasm_i16x8_narrow_i32x4(a, a);
    wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(w, w), 0);
}
WORD vu vu_s8(vu a) { return a; }
#if defined SIMD_PAIRS
#define WIDE_ACTS 1
WORD void vi_store_wide(int16_t *p, vi a) { store_pairs(p, a); }
WORD v128_t add_pairs(vi s, v128_t pairs) {
    return wasm_i32x4_add(s, wasm_i32x4_dot_i16x8(pairs, constant_words(ONES16)));
}
WORD v128_t relaxed_dot(v128_t a, v128_t b, vi s) { return add_pairs(s, wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b)); }
WORD va4 va4_dot(va4 s, vu c, const act *x) {
    return wasm_i16x8_add(s, wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load32_splat(x), c));
}
WORD vi va4_sum(va4 s) { return wasm_i32x4_dot_i16x8(s, constant_words(ONES16)); }
#else
WORD v128_t relaxed_dot(v128_t a, v128_t b, vi s) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, s); }
WORD va4 va4_dot(va4 s, vu c, const act *x) { return relaxed_dot(wasm_v128_load32_splat(x), c, s); }
WORD vi va4_sum(va4 s) { return s; }
#endif
WORD vi vi_dot7(vi s, vu c, const act *x) { return relaxed_dot(wasm_v128_load32_splat(x), c, s); }
WORD vi vi_dot8(vi s, vu c, const act *x) {   // |x| is the 7-bit side, w takes x's sign
    v128_t a = wasm_v128_load32_splat(x), m = wasm_i8x16_lt(a, wasm_i8x16_splat(0));
    return relaxed_dot(wasm_i8x16_sub(wasm_v128_xor(c, m), m), wasm_i8x16_abs(a), s);
}
#define QACT 2   // queries: four codes' positive parts, then the negative ones', so that no sign moves
typedef int8_t qact;
typedef struct vkey {
    v128_t c, minus;
} vkey;
WORD void vi_store_query(qact *p, vi a) {
    v128_t zero = wasm_i32x4_splat(0), minus = wasm_i32x4_max(wasm_i32x4_neg(a), zero);
    v128_t w = wasm_i16x8_narrow_i32x4(wasm_i32x4_max(a, zero), minus);
    wasm_v128_store64_lane(p, wasm_i8x16_narrow_i16x8(w, w), 0);
}
WORD vkey vkey_load(const uint8_t *p) {
    v128_t c = wasm_v128_load(p);
    return (vkey){c, wasm_i8x16_neg(c)};
}
#if defined SIMD_PAIRS
WORD vi vi_dotk(vi s, vkey c, const qact *x) {   // each code is in one of the two parts: 2 * 127 * 127 fits in 16 bits
    v128_t plus = wasm_i16x8_relaxed_dot_i8x16_i7x16(c.c, wasm_v128_load32_splat(x));
    v128_t minus = wasm_i16x8_relaxed_dot_i8x16_i7x16(c.minus, wasm_v128_load32_splat(x + 4));
    return add_pairs(s, wasm_i16x8_add(plus, minus));
}
#else
WORD vi vi_dotk(vi s, vkey c, const qact *x) {
    s = relaxed_dot(c.c, wasm_v128_load32_splat(x), s);
    return relaxed_dot(c.minus, wasm_v128_load32_splat(x + 4), s);
}
#endif
WORD vi vi_dotp(vi s, vu c, const act *x) { return relaxed_dot(c, wasm_v128_load32_splat(x), s); }
WORD vi vi_dot8_full(vi s, vu c, const act *x) {   // w = low seven bits - 2 * (sign bit as 64): two 7-bit planes
    v128_t a = wasm_v128_load32_splat(x), h = wasm_v128_and(wasm_u16x8_shr(c, 1), constant_bytes(64));
    h = relaxed_dot(a, h, wasm_i32x4_splat(0));
    s = relaxed_dot(a, wasm_v128_and(c, constant_bytes(127)), s);
    return wasm_i32x4_sub(s, wasm_i32x4_shl(h, 1));
}
#else
#define DOT8_ZERO 128
typedef int16_t act;
WORD void vi_store_act(act *p, vi a) { store_pairs(p, a); }
WORD vu vu_s8(vu a) { return wasm_v128_xor(a, constant_bytes(128)); }
WORD vi vi_dot7(vi s, vu c, const act *x) {   // any u8 codes
    v128_t even = wasm_v128_and(c, wasm_i16x8_splat(255)), odd = wasm_u16x8_shr(c, 8);
    s = wasm_i32x4_add(s, wasm_i32x4_dot_i16x8(even, wasm_v128_load32_splat(x)));
    return wasm_i32x4_add(s, wasm_i32x4_dot_i16x8(odd, wasm_v128_load32_splat(x + 2)));
}
WORD va4 va4_dot(va4 s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi va4_sum(va4 s) { return s; }
WORD vi vi_dot8(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi vi_dotp(vi s, vu c, const act *x) {
    return vi_dot16(vi_dot16(s, vu_even(c), vu_pair(x)), vu_odd(c), vu_pair(x + 2));
}
WORD vi vi_dot8_full(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
#endif
