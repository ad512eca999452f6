// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 weights under one f16 scale d, the _1 formats with an f16 minimum m.
//
//   symmetric   w = d * (q - zero)        zero 8 (Q4_0), 16 (Q5_0), 0 (Q8_0, whose codes are signed)
//   affine      w = d * q + m
//
// Source: the block structs of ggml-common.h.
#include "families.h"

typedef struct block_q4_0 {
    uint8_t d[2], qs[16];
} block_q4_0;   // | d | 16 bytes of nibbles |   4.5 bits
typedef struct block_q4_1 {
    uint8_t d[2], m[2], qs[16];
} block_q4_1;   // | d | m | nibbles |               5
typedef struct block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} block_q5_0;   // | d | fifth bits | nibbles |      5.5
typedef struct block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} block_q5_1;   // | d | m | fifth bits | nibbles |  6
typedef struct block_q8_0 {
    uint8_t d[2], qs[32];
} block_q8_0;   // | d | 32 signed bytes |           8.5
_Static_assert(sizeof(block_q4_0) == SIZE_Q4_0, "Q4_0");
_Static_assert(sizeof(block_q4_1) == SIZE_Q4_1, "Q4_1");
_Static_assert(sizeof(block_q5_0) == SIZE_Q5_0, "Q5_0");
_Static_assert(sizeof(block_q5_1) == SIZE_Q5_1, "Q5_1");
_Static_assert(sizeof(block_q8_0) == SIZE_Q8_0, "Q8_0");

// Bit i of the little-endian word qh is the fifth bit of weight i.
static void add_fifth_bits(const uint8_t qh[4], uint8_t q[32]) {
    uint32_t bits = load_u32(qh);
    for (int i = 0; i < 32; i++) q[i] |= (uint8_t)((bits >> i & 1) << 4);
}

void codes_q4_0(const uint8_t *src, block_codes *out) {
    const block_q4_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    codes_nibbles(b->qs, out->q);
}

void codes_q4_1(const uint8_t *src, block_codes *out) {
    const block_q4_1 *b = (const void *)src;
    codes_start(out, load_u16(b->d), load_u16(b->m));
    codes_nibbles(b->qs, out->q);
}

void codes_q5_0(const uint8_t *src, block_codes *out) {
    const block_q5_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    codes_nibbles(b->qs, out->q);
    add_fifth_bits(b->qh, out->q);
}

void codes_q5_1(const uint8_t *src, block_codes *out) {
    const block_q5_1 *b = (const void *)src;
    codes_start(out, load_u16(b->d), load_u16(b->m));
    codes_nibbles(b->qs, out->q);
    add_fifth_bits(b->qh, out->q);
}

void codes_q8_0(const uint8_t *src, block_codes *out) {
    const block_q8_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    memcpy(out->q, b->qs, sizeof b->qs);
}

static void unpack_symmetric(const block_codes *c, int zero, float *dst) {
    float d = f16_to_f32(c->d);
    for (int i = 0; i < 32; i++) dst[i] = d * (float)(c->q[i] - zero);
}

static void unpack_affine(const block_codes *c, float *dst) {
    float d = f16_to_f32(c->d), m = f16_to_f32(c->m);
    for (int i = 0; i < 32; i++) dst[i] = d * (float)c->q[i] + m;
}

void unpack_q4_0(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q4_0(src, &c);
    unpack_symmetric(&c, 8, dst);
}
void unpack_q4_1(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q4_1(src, &c);
    unpack_affine(&c, dst);
}
void unpack_q5_0(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q5_0(src, &c);
    unpack_symmetric(&c, 16, dst);
}
void unpack_q5_1(const uint8_t *src, float *dst) {
    block_codes c;
    codes_q5_1(src, &c);
    unpack_affine(&c, dst);
}

void unpack_q8_0(const uint8_t *src, float *dst) {
    const block_q8_0 *b = (const void *)src;
    float d = load_f16(b->d);
    for (int i = 0; i < 32; i++) dst[i] = d * (float)(int8_t)b->qs[i];
}

// d is a block's first half-word, m its second.
int finite_q4_0(const uint8_t *src) { return f16_is_finite(src); }
int finite_q4_1(const uint8_t *src) { return f16_is_finite(src) && f16_is_finite(src + 2); }
int finite_q5_0(const uint8_t *src) { return f16_is_finite(src); }
int finite_q5_1(const uint8_t *src) { return f16_is_finite(src) && f16_is_finite(src + 2); }
int finite_q8_0(const uint8_t *src) { return f16_is_finite(src); }
