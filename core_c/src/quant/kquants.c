// Q2_K .. Q6_K: super-blocks of 256 weights; sub-blocks of 16 or 32 have integer scales under one f16 scale d (and
// integer minima under one f16 dmin).
//
//   affine      w = (d * sc) * q - (dmin * mn)     Q2_K, Q4_K, Q5_K
//   symmetric   w = (d * sc) * (q - zero)          Q3_K zero 4, Q6_K zero 32
//
// The low bits of codes lie in planes: a byte holds weights that are 32 (2-bit: four of them; 4-bit of Q4_K, Q5_K: two)
// or 64 (4-bit of Q6_K) apart. Source: the block structs and comments of ggml-common.h.
#include "families.h"

typedef struct block_q2_k {   // 2.625 bits per weight; 16 sub-blocks of 16
    uint8_t scales[16];       // sc in the low, mn in the high nibble
    uint8_t qs[64];           // 2 bits: weight 128h + 32j + l is bits 2j of byte 32h + l
    uint8_t d[2], dmin[2];
} block_q2_k;
typedef struct block_q3_k {   // 3.4375 bits per weight; 16 sub-blocks of 16
    uint8_t hmask[32];        // third bit: weight 32j + l is bit j of byte l
    uint8_t qs[64];           // lower two, as in Q2_K
    uint8_t scales[12];       // sc + 32, 6 bits: see codes_q3_k
    uint8_t d[2];
} block_q3_k;
typedef struct block_q4_k {   // 4.5 bits per weight; 8 sub-blocks of 32
    uint8_t d[2], dmin[2];
    uint8_t scales[12];   // sc and mn, 6 bits each: see scales_and_mins
    uint8_t qs[128];      // nibbles: weight 64j + l in the low, 64j + 32 + l in the high one of byte 32j + l
} block_q4_k;
typedef struct block_q5_k {   // 5.5 bits per weight; 8 sub-blocks of 32
    uint8_t d[2], dmin[2];
    uint8_t scales[12];   // as in Q4_K
    uint8_t qh[32];       // fifth bit: weight 32j + l is bit j of byte l
    uint8_t qs[128];      // as in Q4_K
} block_q5_k;
typedef struct block_q6_k {   // 6.5625 bits per weight; 16 sub-blocks of 16
    uint8_t ql[128];          // nibbles: weight 128h + l in the low, 128h + 64 + l in the high one of byte 64h + l
    uint8_t qh[64];           // upper two bits: weight 128h + 32j + l is bits 2j of byte 32h + l
    uint8_t scales[16];       // signed bytes
    uint8_t d[2];
} block_q6_k;
_Static_assert(sizeof(block_q2_k) == SIZE_Q2_K, "Q2_K");
_Static_assert(sizeof(block_q3_k) == SIZE_Q3_K, "Q3_K");
_Static_assert(sizeof(block_q4_k) == SIZE_Q4_K, "Q4_K");
_Static_assert(sizeof(block_q5_k) == SIZE_Q5_K, "Q5_K");
_Static_assert(sizeof(block_q6_k) == SIZE_Q6_K, "Q6_K");

// The plane of two bits that Q2_K, Q3_K (low) and Q6_K (high) share: qs[64], put at bit `at` of the codes q[256].
static void add_two_bits(const uint8_t *restrict qs, int at, uint8_t *restrict q) {
    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 4; j++)
            for (int l = 0; l < 32; l++) q[128 * h + 32 * j + l] |= (uint8_t)((qs[32 * h + l] >> 2 * j & 3) << at);
}

// The plane of one bit that Q3_K and Q5_K share: qh[32].
static void add_one_bit(const uint8_t *restrict qh, int at, uint8_t *restrict q) {
    for (int j = 0; j < 8; j++)
        for (int l = 0; l < 32; l++) q[32 * j + l] |= (uint8_t)((qh[l] >> j & 1) << at);
}

// Nibbles: of every `n` bytes of qs[128] the low ones first, then the high ones. n is 32 (Q4_K, Q5_K) or 64 (Q6_K).
static void put_nibbles(const uint8_t *restrict qs, int n, uint8_t *restrict q) {
    for (int j = 0; j < 128; j += n)
        for (int l = 0; l < n; l++) q[2 * j + l] = qs[j + l] & 15, q[2 * j + n + l] = qs[j + l] >> 4;
}

void codes_q2_k(const uint8_t *src, block_codes *out) {
    const block_q2_k *b = (const void *)src;
    codes_start(out, load_u16(b->d), load_u16(b->dmin));
    for (int i = 0; i < 16; i++) {
        out->scale[i] = (int8_t)(b->scales[i] & 15);
        out->min[i] = b->scales[i] >> 4;
    }
    memset(out->q, 0, sizeof out->q);
    add_two_bits(b->qs, 0, out->q);
}

//   byte of scales   0 .. 7                                  8 .. 11
//   bits             3-0 low of sc[i], 7-4 low of sc[8+i]    pairs: high of sc[i], sc[4+i], sc[8+i], sc[12+i]
void codes_q3_k(const uint8_t *src, block_codes *out) {
    const block_q3_k *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    for (int i = 0; i < 16; i++) {
        int low = b->scales[i % 8] >> 4 * (i / 8) & 15, high = b->scales[8 + i % 4] >> 2 * (i / 4) & 3;
        out->scale[i] = (int8_t)((low | high << 4) - 32);
    }
    memset(out->q, 0, sizeof out->q);
    add_two_bits(b->qs, 0, out->q);
    add_one_bit(b->hmask, 2, out->q);
}

//   byte of scales   0 .. 3                        4 .. 7                        8 .. 11
//   bits             5-0 sc[i], 7-6 high of        5-0 mn[i], 7-6 high of        3-0 low of sc[4+i],
//                    sc[4+i]                       mn[4+i]                       7-4 low of mn[4+i]
static void scales_and_mins(const uint8_t s[12], block_codes *out) {
    for (int i = 0; i < 4; i++) {
        out->scale[i] = (int8_t)(s[i] & 63);
        out->min[i] = s[4 + i] & 63;
        out->scale[4 + i] = (int8_t)((s[8 + i] & 15) | s[i] >> 6 << 4);
        out->min[4 + i] = (uint8_t)(s[8 + i] >> 4 | s[4 + i] >> 6 << 4);
    }
}

void codes_q4_k(const uint8_t *src, block_codes *out) {
    const block_q4_k *b = (const void *)src;
    codes_start(out, load_u16(b->d), load_u16(b->dmin));
    scales_and_mins(b->scales, out);
    put_nibbles(b->qs, 32, out->q);
}

void codes_q5_k(const uint8_t *src, block_codes *out) {
    const block_q5_k *b = (const void *)src;
    codes_start(out, load_u16(b->d), load_u16(b->dmin));
    scales_and_mins(b->scales, out);
    put_nibbles(b->qs, 32, out->q);
    add_one_bit(b->qh, 4, out->q);
}

void codes_q6_k(const uint8_t *src, block_codes *out) {
    const block_q6_k *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    memcpy(out->scale, b->scales, sizeof b->scales);
    put_nibbles(b->ql, 64, out->q);
    add_two_bits(b->qh, 4, out->q);
}

static void unpack_symmetric(const block_codes *c, int zero, float *dst) {
    float d = f16_to_f32(c->d);
    for (int i = 0; i < 256; i++) dst[i] = d * (float)c->scale[i / 16] * (float)(c->q[i] - zero);
}

static void unpack_affine(const block_codes *c, int sub, float *dst) {
    float d = f16_to_f32(c->d), dmin = f16_to_f32(c->m);
    for (int i = 0; i < 256; i++)
        dst[i] = d * (float)c->scale[i / sub] * (float)c->q[i] - dmin * (float)c->min[i / sub];
}

void unpack_q2_k(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q2_k(src, &c);
    unpack_affine(&c, 16, dst);
}
void unpack_q3_k(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q3_k(src, &c);
    unpack_symmetric(&c, 4, dst);
}
void unpack_q4_k(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q4_k(src, &c);
    unpack_affine(&c, 32, dst);
}
void unpack_q5_k(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q5_k(src, &c);
    unpack_affine(&c, 32, dst);
}
void unpack_q6_k(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q6_k(src, &c);
    unpack_symmetric(&c, 32, dst);
}

int finite_q2_k(const uint8_t *src) {
    const block_q2_k *b = (const void *)src;
    return f16_is_finite(b->d) && f16_is_finite(b->dmin);
}
int finite_q3_k(const uint8_t *src) { return f16_is_finite(((const block_q3_k *)(const void *)src)->d); }
int finite_q4_k(const uint8_t *src) {
    const block_q4_k *b = (const void *)src;
    return f16_is_finite(b->d) && f16_is_finite(b->dmin);
}
int finite_q5_k(const uint8_t *src) {
    const block_q5_k *b = (const void *)src;
    return f16_is_finite(b->d) && f16_is_finite(b->dmin);
}
int finite_q6_k(const uint8_t *src) { return f16_is_finite(((const block_q6_k *)(const void *)src)->d); }
