#include "wasm_constants.h"

#define FOUR(i) i, i + 1, i + 2, i + 3
#define SIXTEEN(i) FOUR(i), FOUR(i + 4), FOUR(i + 8), FOUR(i + 12)
#define SIXTY_FOUR(i) SIXTEEN(i), SIXTEEN(i + 16), SIXTEEN(i + 32), SIXTEEN(i + 48)
const uint8_t wasm_bytes[256] = {SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192)};
const uint32_t wasm_words[WORD_CONSTANTS] = {
    [F16_MASK] = 0x8fffe000,    // sign, and the bits of an f16 moved up by 13
    [F16_SCALE] = 0x77800000,   // 0x1p112f
    [ONES16] = 0x00010001,
};
