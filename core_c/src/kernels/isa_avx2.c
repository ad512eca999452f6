// x86-64 with AVX2 and F16C.
#define ISA_NAME "avx2"
#define SIMD_AVX2
#define TABLE kernels_avx2
#include "kernels.inc.c"
