// A split model: several GGUF files, the first with all the metadata, each with a tensor table of its own. Knows the
// three keys that say which part a file is, and joins the tables; knows no bytes of tensors.
#pragma once
#include "gguf.h"

typedef struct split {
    gguf *first, *last;   // parts that are here; each owns the next
    int n_parts, count;   // how many are here, of how many; count 1: the model is not split
    size_t n_tensors;     // of the parts that are here
    uint32_t n_claimed;   // of all, says the first
} split;

// A model begins with this file: it must be the first part, or the whole.
int split_open(split *s, gguf *first, errors *e);
// `part`, whose file lies at virtual offset `base`, comes next: its keys must say so. The last part's arrival makes the
// first's tensor table that of all parts. The parts are the first's, also after an error.
int split_add(split *s, gguf *part, uint64_t base, errors *e);
