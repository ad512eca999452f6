// AArch64.
#define ISA_NAME "neon"
#define SIMD_NEON
#define TABLE kernels_neon
#include "kernels.inc.c"
