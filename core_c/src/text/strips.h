// Special tokens that take the white space beside them away, as llama.cpp knows them by the names of models: GGUF has
// no key that says so.
#pragma once
#include "vocab.h"

enum { STRIPS_BEFORE = 1, STRIPS_AFTER = 2 };

// *strips: [n] bits for each id, which the caller frees, or NULL: no token does.
int strips_open(uint8_t **strips, const vocab *v, errors *e);
// The end of a text before, the start of a text after such a token.
const char *strip_end(const char *at, const char *end);
const char *strip_start(const char *at, const char *end);
