// A split model: several GGUF files, the first with all the metadata, each with its own tensor table. Knows the three
// keys that say which part a file is, and joins the tables; knows no bytes of tensors.
#pragma once
#include "gguf.h"

typedef struct split {
    gguf *first, *last;   // parts read so far; each owns the next
    int n_parts, count;   // parts read so far, and in all; count 1: the model is not split
    size_t n_tensors;     // of the parts read so far
    uint32_t n_claimed;   // of all parts, as the first one claims
} split;

// A model begins with this file: it must be the first part, or the whole.
int split_open(split *s, gguf *first, errors *e);
// Add `part`, whose file begins at virtual offset `base`: its keys must say that it is the next. The last part makes
// the first one's tensor table that of all parts. The first part owns the others, also after an error.
int split_add(split *s, gguf *part, uint64_t base, errors *e);
