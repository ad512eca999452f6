// WebAssembly with relaxed SIMD, of which only the dot of pairs is used: for CPUs without a dot of four.
#define ISA_NAME "wasmpairs"
#define SIMD_WASM
#define SIMD_RELAXED
#define SIMD_PAIRS
#define TABLE kernels_wasmpairs
#include "kernels.inc.c"
