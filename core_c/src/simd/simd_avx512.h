// 16 lanes: one zmm is a panel. vpdpbusd does the dot step.
#include <immintrin.h>
#define W 16
#define DOT8_ZERO 128
#define STEPS5 0
#define STEPS6 0
typedef __m512 vf;
typedef __m512i vi, vu, va4;
typedef int8_t act;

WORD vf vf_bits(vi a) { return _mm512_castsi512_ps(a); }
WORD vi vi_bits(vf a) { return _mm512_castps_si512(a); }
WORD vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
WORD vf vf_load_swapped(const float *p, int i) { return _mm512_permute_ps(vf_load(p + i), 0xb1); }
WORD void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
WORD vf vf_set1(float a) { return _mm512_set1_ps(a); }
WORD vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
WORD vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
WORD vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
WORD vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
WORD vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
WORD vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
WORD vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
WORD vf vf_abs(vf a) { return _mm512_abs_ps(a); }
WORD vf vf_cvt(vi a) { return _mm512_cvtepi32_ps(a); }
WORD vf vf_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
WORD vf vf_bf16(const uint16_t *p) {
    return vf_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
WORD void vf_store_f16(uint16_t *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
WORD float vf_most(vf a) {   // the compiler's own reduction takes the halves the other way round
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
WORD vi vi_set1(int32_t a) { return _mm512_set1_epi32(a); }
WORD vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
WORD vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
WORD vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
WORD vi vi_shl(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
WORD vi vi_shr(vi a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
WORD float vf_fold_add(vf a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
WORD vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
WORD int32_t vi_most(vi a) { return _mm512_reduce_max_epi32(a); }
WORD int32_t vi_fold(vi a) { return _mm512_reduce_add_epi32(a); }
WORD void vi_store(int32_t *p, vi a) { _mm512_storeu_si512(p, a); }
WORD void vi_store_act(act *p, vi a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }
WORD vi vi_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
WORD vi vi_i8(const uint8_t *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)); }
WORD vu vu_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
WORD vu vu_and(vu a, int byte) { return _mm512_and_si512(a, _mm512_set1_epi8((char)byte)); }
WORD vu vu_or(vu a, vu b) { return _mm512_or_si512(a, b); }
WORD vu vu_shl(vu a, int n) { return _mm512_slli_epi16(a, (unsigned)n); }
WORD vu vu_shr(vu a, int n) { return _mm512_srli_epi16(a, (unsigned)n); }
WORD vu vu_table(vu a, const uint8_t table[16]) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), a);
}
WORD vu vu_s8(vu a) { return _mm512_xor_si512(a, _mm512_set1_epi8(-128)); }
WORD vi act_splat(const act *x) {
    int32_t i;
    memcpy(&i, x, 4);
    return _mm512_set1_epi32(i);
}
WORD vi vi_dot7(vi s, vu c, const act *x) { return _mm512_dpbusd_epi32(s, c, act_splat(x)); }
WORD va4 va4_zero(void) { return _mm512_setzero_si512(); }
WORD va4 va4_dot(va4 s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi va4_sum(va4 s) { return s; }
WORD vi vi_dot8(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi vi_dotp(vi s, vu c, const act *x) { return _mm512_dpbusd_epi32(s, act_splat(x), c); }
WORD vi vi_dot8_full(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
