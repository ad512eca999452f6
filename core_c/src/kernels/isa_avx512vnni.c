// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
#define ISA_NAME "avx512vnni"
#define SIMD_AVX512
#define TABLE kernels_avx512vnni
#include "kernels.inc.c"
