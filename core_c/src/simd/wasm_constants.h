// Constants that WebAssembly's kernels load. A v128.const costs V8 three instructions on x86-64 at each use, in loops,
// too. A loaded value stays in a register, or is one load: clang knows that const memory never changes, so it loads
// before a loop, but not which values another file has, so it writes no v128.const.
#pragma once
#include <stdint.h>

enum { F16_MASK, F16_SCALE, ONES16, WORD_CONSTANTS };
extern __attribute__((visibility("hidden"))) const uint8_t wasm_bytes[256];   // byte i is i
extern __attribute__((visibility("hidden"))) const uint32_t wasm_words[WORD_CONSTANTS];
