// F32, F16, BF16: a block is one number, little-endian. Nothing to take apart; widening to f32 is exact.
#include "families.h"

void unpack_f32(const uint8_t *src, float *dst) { *dst = bits_to_f32(load_u32(src)); }
void unpack_f16(const uint8_t *src, float *dst) { *dst = load_f16(src); }
void unpack_bf16(const uint8_t *src, float *dst) { *dst = bf16_to_f32(load_u16(src)); }

int finite_f32(const uint8_t *src) { return (load_u32(src) & 0x7f800000) != 0x7f800000; }
int finite_f16(const uint8_t *src) { return f16_is_finite(src); }
int finite_bf16(const uint8_t *src) { return (load_u16(src) & 0x7f80) != 0x7f80; }
