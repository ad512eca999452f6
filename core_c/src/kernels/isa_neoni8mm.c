// AArch64 with the dot product and the int8 matrix multiply extension.
#define ISA_NAME "neoni8mm"
#define SIMD_NEON
#define SIMD_DOT
#define SIMD_I8MM
#define TABLE kernels_neoni8mm
#include "kernels.inc.c"
