// WebAssembly with relaxed SIMD, of which only the dot of four is used.
#define ISA_NAME "wasmrelaxed"
#define SIMD_WASM
#define SIMD_RELAXED
#define TABLE kernels_wasmrelaxed
#include "kernels.inc.c"
