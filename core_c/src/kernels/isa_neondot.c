// AArch64 with the dot product extension.
#define ISA_NAME "neondot"
#define SIMD_NEON
#define SIMD_DOT
#define TABLE kernels_neondot
#include "kernels.inc.c"
