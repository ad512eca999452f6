// The definition: one lane at a time. Every other file of the vocabulary gives the same with more lanes.
#define W 1
#define DOT8_ZERO 0   // what vu_s8 adds to an s8 weight; the kernel subtracts DOT8_ZERO * sum(x)
#define STEPS5 0      // steps of codes < 32 that a va4 holds, of codes < 64; 0: its sums are no narrower than vi's
#define STEPS6 0
typedef float vf;
typedef int32_t vi;
typedef uint32_t vu;
typedef int32_t va4;
typedef int8_t act;

WORD vf vf_bits(vi a) {
    vf f;
    memcpy(&f, &a, 4);
    return f;
}
WORD vi vi_bits(vf a) {
    vi i;
    memcpy(&i, &a, 4);
    return i;
}
WORD vf vf_load(const float *p) { return *p; }
WORD vf vf_load_swapped(const float *p, int i) { return p[i ^ 1]; }   // lanes from p[i] on, neighbours exchanged
WORD void vf_store(float *p, vf a) { *p = a; }
WORD vf vf_set1(float a) { return a; }
WORD vf vf_add(vf a, vf b) { return a + b; }
WORD vf vf_sub(vf a, vf b) { return a - b; }
WORD vf vf_mul(vf a, vf b) { return a * b; }
WORD vf vf_div(vf a, vf b) { return a / b; }
WORD vf vf_max(vf a, vf b) { return a > b ? a : b; }   // to the NaN: b when unordered
WORD vf vf_min(vf a, vf b) { return a < b ? a : b; }
WORD vf vf_sqrt(vf a) { return __builtin_sqrtf(a); }   // one instruction: the file is built with -fno-math-errno
WORD vf vf_abs(vf a) { return vf_bits(vi_bits(a) & 0x7fffffff); }
WORD vf vf_cvt(vi a) { return (float)a; }
WORD vf vf_f16(const uint16_t *p) { return f16_to_f32(*p); }   // finite values only
WORD vf vf_bf16(const uint16_t *p) { return vf_bits((vi)((uint32_t)*p << 16)); }
WORD void vf_store_f16(uint16_t *p, vf a) { *p = f32_to_f16(a); }   // nearest even; too large becomes infinity
WORD float vf_most(vf a) { return a; }   // lane i with i + W/2, then i + W/4, ... down to one, by vf_max
WORD vi vi_set1(int32_t a) { return a; }
WORD vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
WORD vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
WORD vi vi_and(vi a, vi b) { return a & b; }
WORD vi vi_shl(vi a, int n) { return (vi)((uint32_t)a << n); }
WORD vi vi_shr(vi a, int n) { return (vi)((uint32_t)a >> n); }   // zeros come in
// The fold tree within a vector: lane i with i + W/2, then i + W/4, ... down to one.
WORD float vf_fold_add(vf a) { return a; }
WORD vi vi_max(vi a, vi b) { return a > b ? a : b; }
WORD int32_t vi_most(vi a) { return a; }   // the largest lane
WORD int32_t vi_fold(vi a) { return a; }   // the sum of all lanes
WORD void vi_store(int32_t *p, vi a) { *p = a; }
WORD void vi_store_act(act *p, vi a) { *p = (act)a; }   // -127..127
WORD vi vi_u8(const uint8_t *p) { return *p; }
WORD vi vi_i8(const uint8_t *p) { return (int8_t)*p; }
WORD vu vu_load(const uint8_t *p) {
    vu v;
    memcpy(&v, p, 4);
    return v;
}
WORD vu vu_and(vu a, int byte) { return a & (uint32_t)byte * 0x01010101u; }
WORD vu vu_or(vu a, vu b) { return a | b; }
// Shifts may carry bits between bytes: an `and` with a byte mask always follows.
WORD vu vu_shl(vu a, int n) { return a << n; }
WORD vu vu_shr(vu a, int n) { return a >> n; }
WORD vu vu_table(vu a, const uint8_t table[16]) {   // each byte (< 16) becomes table[byte]
    vu v = 0;
    for (int i = 0; i < 32; i += 8) v |= (uint32_t)table[a >> i & 255] << i;
    return v;
}
WORD vu vu_s8(vu a) { return a; }   // s8 weights made ready for vi_dot8: DOT8_ZERO added to each
// Dots of a lane's four codes with four activations. va4: codes < 16, at most 8 steps between va4_zero and va4_sum.
WORD va4 va4_zero(void) { return 0; }
WORD vi vi_dot7(vi s, vu c, const act *x) {   // codes < 128
    for (int i = 0; i < 4; i++) s += (int)(c >> 8 * i & 255) * x[i];
    return s;
}
WORD va4 va4_dot(va4 s, vu c, const act *x) { return vi_dot7(s, c, x); }
WORD vi va4_sum(va4 s) { return s; }
WORD vi vi_dot8(vi s, vu c, const act *x) {   // s8 weights after vu_s8, -127..127
    for (int i = 0; i < 4; i++) s += (int8_t)(c >> 8 * i) * x[i];
    return s;
}
WORD vi vi_dotp(vi s, vu c, const act *x) {   // s8 codes as in memory, activations 0..127
    for (int i = 0; i < 4; i++) s += (int8_t)(c >> 8 * i) * x[i];
    return s;
}
WORD vi vi_dot8_full(vi s, vu c, const act *x) { return vi_dot8(s, c, x); }   // -128 too
