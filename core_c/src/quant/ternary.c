// TQ1_0, TQ2_0, Q2_0, Q1_0: codes of few values, one scale per block.
//
//   TQ1_0   blocks of 256   w = d * (q - 1)       q = 0..2, five in a byte: digits of base 3
//   TQ2_0   blocks of 256   w = d * (q - 1)       q = 0..3
//   Q2_0    blocks of 64    w = d * (q - 1)       q = 0..3
//   Q1_0    blocks of 128   w = d * (2 q - 1)     q = 0, 1
//
// Source: the block structs and dequantize_row_* of ggml's ggml-common.h and ggml-quants.c.
#include "families.h"

typedef struct block_tq1_0 {
    uint8_t qs[48], qh[4], d[2];
} block_tq1_0;   // | 240 digits | 16 digits | d |    1.69 bits per weight
typedef struct block_tq2_0 {
    uint8_t qs[64], d[2];
} block_tq2_0;   // | 256 codes | d |                 2.06
typedef struct block_q2_0 {
    uint8_t d[2], qs[16];
} block_q2_0;   // | d | 64 codes |                   2.25
typedef struct block_q1_0 {
    uint8_t d[2], qs[16];
} block_q1_0;   // | d | 128 bits |                   1.125
_Static_assert(sizeof(block_tq1_0) == SIZE_TQ1_0, "TQ1_0");
_Static_assert(sizeof(block_tq2_0) == SIZE_TQ2_0, "TQ2_0");
_Static_assert(sizeof(block_q2_0) == SIZE_Q2_0, "Q2_0");
_Static_assert(sizeof(block_q1_0) == SIZE_Q1_0, "Q1_0");

// Digits 0..digits-1 of n bytes, the first digits of all bytes first. A byte is a fraction of 256, rounded up.
static uint8_t *put_digits(const uint8_t *bytes, int n, int digits, uint8_t *q) {
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    for (int k = 0; k < digits; k++)
        for (int i = 0; i < n; i++) *q++ = (uint8_t)((uint8_t)(bytes[i] * powers[k]) * 3 >> 8);
    return q;
}

void codes_tq1_0(const uint8_t *src, block_codes *out) {
    const block_tq1_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    uint8_t *q = put_digits(b->qs, 32, 5, out->q);
    q = put_digits(b->qs + 32, 16, 5, q);
    put_digits(b->qh, 4, 4, q);
}

void codes_tq2_0(const uint8_t *src, block_codes *out) {
    const block_tq2_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    for (int i = 0; i < 256; i++) out->q[i] = b->qs[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

void codes_q2_0(const uint8_t *src, block_codes *out) {
    const block_q2_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    for (int i = 0; i < 64; i++) out->q[i] = b->qs[i / 4] >> i % 4 * 2 & 3;
}

void codes_q1_0(const uint8_t *src, block_codes *out) {
    const block_q1_0 *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    for (int i = 0; i < 128; i++) out->q[i] = b->qs[i / 8] >> i % 8 & 1;
}

#define FEW(lower, n, value)                                                                                           \
    void unpack_##lower(const uint8_t *src, float *dst) {                                                              \
        block_codes c;                                                                                                 \
        codes_##lower(src, &c);                                                                                        \
        float d = f16_to_f32(c.d);                                                                                     \
        for (int i = 0; i < n; i++) dst[i] = d * (float)(value);                                                       \
    }
FEW(tq1_0, 256, c.q[i] - 1)
FEW(tq2_0, 256, c.q[i] - 1)
FEW(q2_0, 64, c.q[i] - 1)
FEW(q1_0, 128, 2 * c.q[i] - 1)

int finite_tq1_0(const uint8_t *src) { return f16_is_finite(src + 52); }
int finite_tq2_0(const uint8_t *src) { return f16_is_finite(src + 64); }
int finite_q2_0(const uint8_t *src) { return f16_is_finite(src); }
int finite_q1_0(const uint8_t *src) { return f16_is_finite(src); }
