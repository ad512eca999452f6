// 8 lanes: one ymm. With SIMD_VNNI vpdpbusd does the dot step, else vpmaddubsw: eight steps of 4-bit codes stay within
// 16 bits (8 * 2 * 15 * 127 = 30480), so they are widened once.
#include <immintrin.h>
#define W 8
#if defined SIMD_VNNI
#define STEPS5 0
#define STEPS6 0
#else
#define STEPS5 4   // 4 * 2 * 31 * 127 = 31496
#define STEPS6 2   // 2 * 2 * 63 * 127 = 32004
#endif
typedef __m256 vf;
typedef __m256i vi, vu, va4;
typedef int8_t act;

WORD vf vf_bits(vi a) { return _mm256_castsi256_ps(a); }
WORD vi vi_bits(vf a) { return _mm256_castps_si256(a); }
WORD vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
WORD vf vf_load_swapped(const float *p, int i) { return _mm256_permute_ps(vf_load(p + i), 0xb1); }
WORD void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
WORD vf vf_set1(float a) { return _mm256_set1_ps(a); }
WORD vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
WORD vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
WORD vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
WORD vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
WORD vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
WORD vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
WORD vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
WORD vf vf_abs(vf a) { return _mm256_and_ps(a, vf_bits(_mm256_set1_epi32(0x7fffffff))); }
WORD vf vf_cvt(vi a) { return _mm256_cvtepi32_ps(a); }
WORD vf vf_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
WORD vf vf_bf16(const uint16_t *p) {
    return vf_bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
WORD void vf_store_f16(uint16_t *p, vf a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
WORD float vf_most(vf a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
WORD vi vi_set1(int32_t a) { return _mm256_set1_epi32(a); }
WORD vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
WORD vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
WORD vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
WORD vi vi_shl(vi a, int n) { return _mm256_slli_epi32(a, n); }
WORD vi vi_shr(vi a, int n) { return _mm256_srli_epi32(a, n); }
WORD float vf_fold_add(vf a) {
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
WORD vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
WORD int32_t vi_most(vi a) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}
WORD int32_t vi_fold(vi a) {
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(q, _mm_shuffle_epi32(q, 0xb1)));
}
WORD void vi_store(int32_t *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
WORD void vi_store_act(act *p, vi a) {
    __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(w, w));
}
WORD vi vi_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
WORD vi vi_i8(const uint8_t *p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
WORD vu vu_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
WORD vu vu_and(vu a, int byte) { return _mm256_and_si256(a, _mm256_set1_epi8((char)byte)); }
WORD vu vu_or(vu a, vu b) { return _mm256_or_si256(a, b); }
WORD vu vu_shl(vu a, int n) { return _mm256_slli_epi16(a, n); }
WORD vu vu_shr(vu a, int n) { return _mm256_srli_epi16(a, n); }
WORD vu vu_table(vu a, const uint8_t table[16]) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), a);
}
WORD vi act_splat(const act *x) {
    int32_t i;
    memcpy(&i, x, 4);
    return _mm256_set1_epi32(i);
}
WORD va4 va4_zero(void) { return _mm256_setzero_si256(); }
#if defined SIMD_VNNI
#define DOT8_ZERO 128
WORD vu vu_s8(vu a) { return _mm256_xor_si256(a, _mm256_set1_epi8(-128)); }
WORD vi vi_dot7(vi s, vu c, const act *x) { return _mm256_dpbusd_avx_epi32(s, c, act_splat(x)); }
WORD va4 va4_dot(va4 s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi va4_sum(va4 s) { return s; }
WORD vi vi_dot8(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi vi_dotp(vi s, vu c, const act *x) { return _mm256_dpbusd_avx_epi32(s, act_splat(x), c); }
#else
#define DOT8_ZERO 0
WORD vu vu_s8(vu a) { return a; }
WORD vi widen(vi pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
WORD vi vi_dot7(vi s, vu c, const act *x) {   // 2 * 127 * 127 fits in 16 bits
    return _mm256_add_epi32(s, widen(_mm256_maddubs_epi16(c, act_splat(x))));
}
WORD vi vi_dotp(vi s, vu c, const act *x) {   // 2 * 127 * 127 fits in 16 bits
    return _mm256_add_epi32(s, widen(_mm256_maddubs_epi16(act_splat(x), c)));
}
WORD va4 va4_dot(va4 s, vu c, const act *x) { return _mm256_add_epi16(s, _mm256_maddubs_epi16(c, act_splat(x))); }
WORD vi va4_sum(va4 s) { return widen(s); }
WORD vi vi_dot8(vi s, vu c,
                const act *x) {   // |w| is the unsigned side, x takes w's sign: 2 * 128 * 127 fits in 16 bits
    return _mm256_add_epi32(s, widen(_mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(act_splat(x), c))));
}
#endif
WORD vi vi_dot8_full(vi s, vu c, const act *x) { return vi_dot8(s, c, x); }
