// The vocabulary in which every kernel is written, once. A panel is 16 lanes; a machine vector holds W of them (1, 4,
// 8 or 16), so V = 16/W vectors make a panel. Only vf_load_swapped and the folds (most, fold) cross lanes, in a fixed
// order, so W can't change a bit. Each instruction set implements the words in one file; simd_scalar.h defines them,
// and every other file must equal it. How large tiles are is not decided here: kernels/tune.h.
//
//   types   vf  W floats            vi  W int32           vu  W groups of 4 bytes: four consecutive k of a lane
//           va4 running 4-bit dot   act a stored activation (int8; wasm128 widens to int16 pairs)
//           qact, vkey: a query's stored code and a key of attention: act and vu, unless an ISA has better ones
//   vf_     load load_swapped store set1 add sub mul div max min sqrt abs bits cvt f16 bf16 store_f16 most fold_add
//   vi_     set1 add sub max and shl shr bits store store_act u8 i8 round most fold dot7 dot8 dotp dotk store_query
//   vu_     load and or shl shr table s8
//   va4_    zero dot sum
//   vu_even, vu_odd, vu_pair, vi_dot16, vi_store_wide: where tune.h has a WIDE_T
//   vu_rows_lo, vu_rows_hi, vu_tokens, vi_dot_pairs, vi_first, vi_second: where tune.h has PAIRS
// and, made of those in this file: vf_amax vf_exp vf_exp2 vi_round fold_add fold_max fold_amax. Rounding is to nearest
// even; a multiply and an add round separately. A word gives the same on NaN and Inf everywhere, except which NaN.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "../quant/half.h"

#define LANES 16
#define WORD static inline __attribute__((always_inline, unused))
// A vector is made before what follows. Engines of WebAssembly keep the order of instructions, and clang's order has
// more vectors at a time than a CPU has registers. The others are on the stack, which costs a sixth of decoding, and
// more where the stack is not aligned.
#if defined __wasm__
#define MADE_HERE(v) __asm__ volatile("" : "+r"(v)::"memory")
#else
#define MADE_HERE(v) (void)0
#endif
#define KERNEL static __attribute__((noinline))
#if defined GEMEL_NO_UNROLL   // sanitized builds, in which bounds are not constants
#define UNROLL
#elif defined __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif
#if defined __clang__
#define NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define NO_UNROLL _Pragma("GCC unroll 1")
#endif
// Loops that are unrolled in full: their bounds are constants once the function is inlined.
#define RANGE(i, from, to) UNROLL for (int i = (from); i < (to); i++)
#define TIMES(i, n) RANGE (i, 0, n)
#define EACH(g) TIMES (g, V)

#if defined SIMD_AVX512
#include "simd_avx512.h"
#elif defined SIMD_AVX2
#include "simd_avx2.h"
#elif defined SIMD_NEON
#include "simd_neon.h"
#elif defined SIMD_WASM
#include "simd_wasm.h"
#else
#include "simd_scalar.h"
#endif
#define V (LANES / W)
#if !defined QACT   // where keys and queries of attention are stored as weights and activations are
#define QACT 1      // elements of a stored code
typedef act qact;
typedef vu vkey;
WORD void vi_store_query(qact *p, vi a) { vi_store_act(p, a); }
WORD vkey vkey_load(const uint8_t *p) { return vu_s8(vu_load(p)); }
WORD vi vi_dotk(vi s, vkey c, const qact *x) { return vi_dot8(s, c, x); }
#endif

#if !defined WIDE_ACTS   // whether activations are stored in 16 bits, too
#define WIDE_ACTS 0
WORD void vi_store_wide(int16_t *p, vi a) { (void)p, (void)a; }
#endif

#if defined SIMD_WASM   // WASM has no prefetch, and a load could leave the memory
#define PREFETCH(p) ((void)(p))
#else
#define PREFETCH(p) __builtin_prefetch(p, 0, 3)
#endif

// Nearest integer, ties to even, for |x| < 2^22: the sum's low mantissa bits are the integer.
WORD vi vi_round(vf x) { return vi_sub(vi_bits(vf_add(x, vf_set1(12582912.0f))), vi_set1(0x4B400000)); }

// e^x within 2 ulp on [-87, 88], clamped to it; exp(0) is exactly 1. Cephes' degree-5 polynomial after x = n ln2 + r.
WORD vf vf_exp(vf x) {
    x = vf_min(vf_max(x, vf_set1(-87.0f)), vf_set1(88.0f));
    vf t = vf_add(vf_mul(x, vf_set1(1.44269504f)), vf_set1(12582912.0f)), n = vf_sub(t, vf_set1(12582912.0f));
    vf r = vf_sub(vf_sub(x, vf_mul(n, vf_set1(0.693359375f))), vf_mul(n, vf_set1(-2.12194440e-4f)));
    vf p = vf_set1(1.9875691e-4f);
    p = vf_add(vf_mul(p, r), vf_set1(1.3981999e-3f));
    p = vf_add(vf_mul(p, r), vf_set1(8.3334519e-3f));
    p = vf_add(vf_mul(p, r), vf_set1(4.1665796e-2f));
    p = vf_add(vf_mul(p, r), vf_set1(1.6666665e-1f));
    p = vf_add(vf_mul(p, r), vf_set1(0.5f));
    p = vf_add(vf_add(vf_mul(vf_mul(r, r), p), r), vf_set1(1.0f));
    return vf_bits(vi_add(vi_bits(p), vi_shl(vi_bits(t), 23)));   // the low bits of t are n
}

// y * 2^x within 3e-6 for x in [-126, 120], clamped to -126; exact where x is an integer. y is an integer of 1..127. A
// minimax polynomial of degree 4. n of them side by side, since the steps of each wait for each other.
WORD void exp2_all(const int n, vf *x, const float y) {
    static const float c[] = {9.58285317e-3f, 5.5906425e-2f, 0.240240986f, 0.693124193f, 1.0f};
    vf t[16], p[16];
    TIMES (i, n) x[i] = vf_max(x[i], vf_set1(-126.0f));
    TIMES (i, n) t[i] = vf_add(x[i], vf_set1(12582912.0f));
    TIMES (i, n) x[i] = vf_sub(x[i], vf_sub(t[i], vf_set1(12582912.0f)));
    TIMES (i, n) p[i] = vf_set1(c[0] * y);
    RANGE (k, 1, 5)
        TIMES (i, n) p[i] = vf_add(vf_mul(p[i], x[i]), vf_set1(c[k] * y));
    TIMES (i, n)
        x[i] = vf_bits(vi_add(vi_bits(p[i]), vi_shl(vi_bits(t[i]), 23)));   // the low bits of t are the integer
}
WORD vf vf_exp2(vf x) {
    exp2_all(1, &x, 1.0f);
    return x;
}

// The larger of |a| and |b|, or NaN where one is: as integers, magnitudes are ordered as floats, and NaN is above all.
WORD vf vf_amax(vf a, vf b) { return vf_bits(vi_max(vi_bits(vf_abs(a)), vi_bits(vf_abs(b)))); }

// The one fold tree: lane i with i+8, then i+4, i+2, i+1. Within a vector it is the ISA's word.
WORD float fold_add(const vf a[V]) {
    vf f[V];
    EACH (g) f[g] = a[g];
    for (int h = V / 2; h; h /= 2)
        TIMES (g, h) f[g] = vf_add(f[g], f[g + h]);
    return vf_fold_add(f[0]);
}
WORD float fold_max(const vf a[V]) {
    vf f[V];
    EACH (g) f[g] = a[g];
    for (int h = V / 2; h; h /= 2)
        TIMES (g, h) f[g] = vf_max(f[g], f[g + h]);
    return vf_most(f[0]);
}
WORD float fold_amax(const vf a[V]) {   // of magnitudes
    vf f = a[0];
    RANGE (g, 1, V) f = vf_amax(f, a[g]);
    return bits_to_f32((uint32_t)vi_most(vi_bits(f)));
}
