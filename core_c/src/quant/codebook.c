// IQ4_NL, IQ4_XS, MXFP4, NVFP4: a 4-bit code is an index into a table of 16 values.
//
//   IQ4_NL   blocks of 32      w = d * iq4nl_values[q]
//   IQ4_XS   8 blocks of 32    w = (d * sc) * iq4nl_values[q]       sc = -32..31
//   MXFP4    blocks of 32      w = 2^(e-128) * mxfp4_values[q]      the table holds twice the FP4 values
//   NVFP4    4 blocks of 16    w = (s / 2) * mxfp4_values[q]        s: an unsigned E4M3 for each
//
// Source: the block structs and tables of ggml-common.h; OCP Microscaling Formats 1.0 for E2M1 and E8M0.
#include "families.h"

typedef struct block_iq4_nl {
    uint8_t d[2], qs[16];
} block_iq4_nl;                 // | d | 16 bytes of nibbles |  4.5 bits per weight
typedef struct block_iq4_xs {   // 4.25 bits per weight; 8 sub-blocks of 32
    uint8_t d[2];               // f16
    uint8_t scales_h[2];        // bits 4-5 of sc + 32: a 16-bit word, sub-block 0 in its lowest two
    uint8_t scales_l[4];        // bits 0-3: nibbles, sub-block 0 in the low one of byte 0
    uint8_t qs[8][16];          // nibbles, as in IQ4_NL
} block_iq4_xs;
typedef struct block_mxfp4 {
    uint8_t e, qs[16];
} block_mxfp4;   // | e (E8M0) | nibbles |           4.25
typedef struct block_nvfp4 {
    uint8_t d[4], qs[4][8];
} block_nvfp4;   // | 4 times UE4M3 | nibbles |    4.5
_Static_assert(sizeof(block_nvfp4) == SIZE_NVFP4, "NVFP4");
_Static_assert(sizeof(block_iq4_nl) == SIZE_IQ4_NL, "IQ4_NL");
_Static_assert(sizeof(block_iq4_xs) == SIZE_IQ4_XS, "IQ4_XS");
_Static_assert(sizeof(block_mxfp4) == SIZE_MXFP4, "MXFP4");

const int8_t iq4nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void codes_iq4_nl(const uint8_t *src, block_codes *out) {
    const block_iq4_nl *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    codes_nibbles(b->qs, out->q);
}

void codes_iq4_xs(const uint8_t *src, block_codes *out) {
    const block_iq4_xs *b = (const void *)src;
    codes_start(out, load_u16(b->d), 0);
    for (int ib = 0; ib < 8; ib++) {
        int low = b->scales_l[ib / 2] >> 4 * (ib % 2) & 15, high = load_u16(b->scales_h) >> 2 * ib & 3;
        out->scale[ib] = (int8_t)((low | high << 4) - 32);
        codes_nibbles(b->qs[ib], out->q + 32 * ib);
    }
}

void codes_mxfp4(const uint8_t *src, block_codes *out) {
    const block_mxfp4 *b = (const void *)src;
    codes_start(out, e8m0_half(b->e), 0);
    codes_nibbles(b->qs, out->q);
}

void codes_nvfp4(const uint8_t *src, block_codes *out) {
    const block_nvfp4 *b = (const void *)src;
    codes_start(out, 0, 0);
    for (int s = 0; s < 4; s++) {
        out->scale[s] = (int8_t)b->d[s];
        for (int i = 0; i < 8; i++) out->q[16 * s + i] = b->qs[s][i] & 15, out->q[16 * s + 8 + i] = b->qs[s][i] >> 4;
    }
}

void unpack_iq4_nl(const uint8_t *src, float *dst) {
    block_codes c;
    codes_iq4_nl(src, &c);
    float d = f16_to_f32(c.d);
    for (int i = 0; i < 32; i++) dst[i] = d * (float)iq4nl_values[c.q[i]];
}

void unpack_iq4_xs(const uint8_t *src, float *dst) {
    block_codes c;
    codes_iq4_xs(src, &c);
    float d = f16_to_f32(c.d);
    for (int i = 0; i < 256; i++) dst[i] = d * (float)c.scale[i / 32] * (float)iq4nl_values[c.q[i]];
}

void unpack_mxfp4(const uint8_t *src, float *dst) {
    block_codes c;
    codes_mxfp4(src, &c);
    float d = bf16_to_f32(c.d);
    for (int i = 0; i < 32; i++) dst[i] = d * (float)mxfp4_values[c.q[i]];
}

void unpack_nvfp4(const uint8_t *src, float *dst) {
    block_codes c;
    codes_nvfp4(src, &c);
    for (int i = 0; i < 64; i++)
        dst[i] = f16_to_f32(ue4m3_half((uint8_t)c.scale[i / 16])) * (float)mxfp4_values[c.q[i]];
}

int finite_iq4_nl(const uint8_t *src) { return f16_is_finite(src); }
int finite_iq4_xs(const uint8_t *src) { return f16_is_finite(src); }
int finite_mxfp4(const uint8_t *src) { return *src != 255; }
int finite_nvfp4(const uint8_t *src) {
    (void)src;
    return 1;
}
