// WebAssembly with simd128.
#define ISA_NAME "wasm128"
#define SIMD_WASM
#define TABLE kernels_wasm128
#include "kernels.inc.c"
