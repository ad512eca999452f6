// What tokenizers whose pieces are text have in common: U+2581 for a space, <0xNN> for a byte.
#pragma once
#include "encoder.h"

// The tokens <0x00>..<0xFF>, of any kind, and a token of kind UNKNOWN if the file names none. `must`: bytes without a
// token need the latter.
int read_byte_tokens(struct tokenizer *t, int must, errors *e);
// Note after which bytes a piece reaches into a space.
void note_spaces(struct tokenizer *t, gguf_span piece);
// Fill t->symbol; marks: a space is U+2581.
void note_symbols(struct tokenizer *t, int marks);
// Where merging starts for the character r at `at`.
int32_t symbol_of(const struct tokenizer *t, const char *at, rune r);
// Where the stretch that merges within itself ends: before a space after something else, if no piece spans that.
const char *word_end(const struct tokenizer *t, const char *at, const char *end);
void marked_piece(gguf_span text, byte_sink *out);   // a text_model's piece
