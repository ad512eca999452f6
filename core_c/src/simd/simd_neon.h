// 4 lanes: one q register. With SIMD_DOT sdot does the dot step; without it smull and pairwise adds do. With SIMD_I8MM
// smmla multiplies two rows by two tokens.
#include <arm_neon.h>
#define W 4
#define DOT8_ZERO 0
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint8x16_t vu;
typedef int8_t act;

WORD vf vf_bits(vi a) { return vreinterpretq_f32_s32(a); }
WORD vi vi_bits(vf a) { return vreinterpretq_s32_f32(a); }
WORD vf vf_load(const float *p) { return vld1q_f32(p); }
WORD vf vf_load_swapped(const float *p, int i) { return vrev64q_f32(vf_load(p + i)); }
WORD void vf_store(float *p, vf a) { vst1q_f32(p, a); }
WORD vf vf_set1(float a) { return vdupq_n_f32(a); }
WORD vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
WORD vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
WORD vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
WORD vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
WORD vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }   // fmax differs on NaN
WORD vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
WORD vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
WORD vf vf_abs(vf a) { return vabsq_f32(a); }
WORD vf vf_cvt(vi a) { return vcvtq_f32_s32(a); }
WORD vf vf_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
WORD vf vf_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
WORD void vf_store_f16(uint16_t *p, vf a) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
WORD float vf_most(vf a) {   // fmaxv differs on NaN
    a = vf_max(a, vextq_f32(a, a, 2));
    return vgetq_lane_f32(vf_max(a, vextq_f32(a, a, 1)), 0);
}
WORD vi vi_set1(int32_t a) { return vdupq_n_s32(a); }
WORD vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
WORD vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
WORD vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
WORD vi vi_shl(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
WORD vi vi_shr(vi a, int n) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n))); }
WORD float vf_fold_add(vf a) {
    float32x2_t h = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
WORD vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
WORD int32_t vi_most(vi a) { return vmaxvq_s32(a); }
WORD int32_t vi_fold(vi a) { return vaddvq_s32(a); }
WORD void vi_store(int32_t *p, vi a) { vst1q_s32(p, a); }
WORD void vi_store_act(act *p, vi a) {
    int16x4_t h = vmovn_s32(a);
    vst1_lane_s32((void *)p, vreinterpret_s32_s8(vmovn_s16(vcombine_s16(h, h))), 0);
}
WORD vi vi_u8(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, 4);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(w))))));
}
WORD vi vi_i8(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, 4);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(w)))));
}
WORD vu vu_load(const uint8_t *p) { return vld1q_u8(p); }
WORD vu vu_and(vu a, int byte) { return vandq_u8(a, vdupq_n_u8((uint8_t)byte)); }
WORD vu vu_or(vu a, vu b) { return vorrq_u8(a, b); }
WORD vu vu_shl(vu a, int n) { return vshlq_u8(a, vdupq_n_s8((int8_t)n)); }
WORD vu vu_shr(vu a, int n) { return vshlq_u8(a, vdupq_n_s8((int8_t)-n)); }
WORD vu vu_table(vu a, const uint8_t table[16]) { return vqtbl1q_u8(vld1q_u8(table), a); }
WORD vu vu_s8(vu a) { return a; }
WORD int8x16_t act_splat(const act *x) {
    int32_t i;
    memcpy(&i, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(i));
}
#if defined SIMD_DOT
#define STEPS5 0
#define STEPS6 0
typedef int32x4_t va4;
WORD vi vi_dot7(vi s, vu c, const act *x) { return vdotq_s32(s, vreinterpretq_s8_u8(c), act_splat(x)); }
WORD va4 va4_zero(void) { return vdupq_n_s32(0); }
WORD va4 va4_dot(va4 s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi va4_sum(va4 s) { return s; }
#else
#define STEPS5 8   // 8 * 31 * 127 = 31496
#define STEPS6 4   // 4 * 63 * 127 = 32004
typedef int16x8x2_t va4;   // lanes 0-1 and 2-3, four 16-bit sums per lane
WORD vi lanes_of(int16x8_t lo, int16x8_t hi) { return vpaddq_s32(vpaddlq_s16(lo), vpaddlq_s16(hi)); }
WORD vi vi_dot7(vi s, vu c, const act *x) {   // 128 * 127 fits in 16 bits
    int8x16_t w = vreinterpretq_s8_u8(c), a = act_splat(x);
    return vaddq_s32(s, lanes_of(vmull_s8(vget_low_s8(w), vget_low_s8(a)), vmull_high_s8(w, a)));
}
WORD va4 va4_zero(void) { return (va4){{vdupq_n_s16(0), vdupq_n_s16(0)}}; }
WORD va4 va4_dot(va4 s, vu c, const act *x) {
    int8x16_t w = vreinterpretq_s8_u8(c), a = act_splat(x);
    s.val[0] = vmlal_s8(s.val[0], vget_low_s8(w), vget_low_s8(a));
    s.val[1] = vmlal_high_s8(s.val[1], w, a);
    return s;
}
WORD vi va4_sum(va4 s) { return lanes_of(s.val[0], s.val[1]); }
#endif
#if defined SIMD_I8MM
WORD vu vu_rows_lo(vu a, vu b) {   // eight bytes of rows 0 and 1: four of a, four of b
    return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
}
WORD vu vu_rows_hi(vu a, vu b) {   // of rows 2 and 3
    return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
}
WORD vu vu_tokens(const act *x, const act *y) { return vreinterpretq_u8_s8(vcombine_s8(vld1_s8(x), vld1_s8(y))); }
WORD vi vi_dot_pairs(vi s, vu c, vu a) { return vmmlaq_s32(s, vreinterpretq_s8_u8(c), vreinterpretq_s8_u8(a)); }
WORD vi vi_first(vi lo, vi hi) { return vuzp1q_s32(lo, hi); }
WORD vi vi_second(vi lo, vi hi) { return vuzp2q_s32(lo, hi); }
#endif
WORD vi vi_dot8(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi vi_dotp(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi vi_dot8_full(vi s, vu c, const act *x) { return vi_dot7(s, c, x); }
