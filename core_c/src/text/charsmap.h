// SentencePiece's normaliser: tokenizer.ggml.precompiled_charsmap, which replaces characters and sequences of them.
//
//   size of the units (u32) | units (u32) | texts, each ends with a zero byte
//
// The units are a double array: a node's children are at (base ^ byte), and a child has its byte in bits 0..7. Bit 8:
// a sequence ends here, and the unit at the node's base has, with bit 31, where its replacement starts. Bits 10..30,
// times 256 if bit 9 is set: what the place of a node is xored with to get its base.
#pragma once
#include "../file/gguf.h"

typedef struct charsmap {
    uint32_t *units;   // NULL: nothing is replaced
    size_t n_units;
    char *texts;
    size_t n_texts;   // bytes
} charsmap;

// Reads and checks it, so that no look-up leaves it. A file without one replaces nothing.
int charsmap_open(charsmap *m, const gguf *g, errors *e);
void charsmap_close(charsmap *m);
// The longest sequence at `at` that is replaced: its size, and by what; 0: none is.
size_t charsmap_match(const charsmap *m, const char *at, const char *end, gguf_span *replacement);
