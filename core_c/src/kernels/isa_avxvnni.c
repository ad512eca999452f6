// x86-64 with AVX-VNNI.
#define ISA_NAME "avxvnni"
#define SIMD_AVX2
#define SIMD_VNNI
#define TABLE kernels_avxvnni
#include "kernels.inc.c"
