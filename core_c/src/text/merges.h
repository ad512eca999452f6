// tokenizer.ggml.merges of a file, read into a tokenizer's table of pairs.
#pragma once
#include "encoder.h"

// Read them; `is_letter` says which single characters may be sides without being tokens.
int merges_read(struct tokenizer *t, int (*is_letter)(rune r), errors *e);
