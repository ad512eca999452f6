// What a tensor type IS: name, block, bytes, and the scalar code that reads one block. Knows no layout but the file's.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "../errors.h"

// One source block (32 to 256 weights) taken apart, sub-scales as integers: w = d*(q - zero) or d*q + m;
// K formats w = (d*scale)*(q - zero) or (d*scale)*q - m*min; code-book formats w = (d*scale)*values[q], or
// (f*scale)*values[q] where d is a part of the file's f16.
enum { BLOCK_MAX = 256, SUB_MAX = 16 };
typedef struct block_codes {
    uint16_t d, m;           // f16 bits (bf16 for MXFP4) as in the file; m only where the format has one
    float f;                 // what d/8 and d/4 are, which an f16 may not hold: IQ1, IQ2, IQ3_XXS; else 0
    int8_t scale[SUB_MAX];   // integer scale of each sub-block (NVFP4: UE4M3); unused: 1
    uint8_t min[SUB_MAX];    // integer min of each sub-block; unused: 0
    uint8_t q[BLOCK_MAX];    // codes in weight order; s8 formats as their two's-complement byte
} block_codes;

typedef struct format {
    const char *name;                                      // "Q4_1"
    int block, block_size;                                 // weights, bytes
    void (*codes)(const uint8_t *src, block_codes *out);   // of supported quantised formats; else NULL
    void (*unpack)(const uint8_t *src, float *dst);        // one block to floats; NULL: not supported
    int (*finite)(const uint8_t *src);                     // 1 when no scale is Inf or NaN; NULL: not supported
} format;

enum { FORMAT_COUNT = 64 };   // type numbers are below this
enum {                        // T_F32, T_Q4_0 and so on: the number of each supported format
#define PLAIN(number, name, lower, block, block_size) T_##name = number,
#define CODED(number, name, lower, block, block_size) T_##name = number,
#define KNOWN(number, name, block, block_size)
#include "formats.def"
#undef PLAIN
#undef CODED
#undef KNOWN
};
extern const int8_t iq4nl_values[16];   // codebook of IQ4_NL and IQ4_XS
extern const int8_t iq2_values[8], iq3_xxs_values[16], iq3_s_values[16], iq1_values[8];
extern const int8_t mxfp4_values[16];   // twice the FP4 values: 0 1 2 3 4 6 8 12 and their negatives
