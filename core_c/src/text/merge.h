// Merging: which neighbours join into what, best first, until none do. One table and one engine serve byte-level BPE
// (ranks are places in the file's list) and SentencePiece (ranks are places of scores). Symbols are ids or parts of
// the vocabulary; a negative symbol merges with nothing. Of equal ranks the leftmost pair goes first.
#pragma once
#include "../errors.h"

typedef struct merge {
    int32_t rank;   // -1: the pair does not merge
    int32_t result;
} merge;

typedef struct merge_table {
    uint64_t *keys;   // open addressing: left symbol in the high half, right one in the low
    merge *values;    // beside keys
    size_t mask, used;
} merge_table;

// Say that `left` and `right` join into `result`. Of a pair that is said twice the first counts.
int merge_table_add(merge_table *t, int32_t left, int32_t right, merge value, errors *e);
void merge_table_close(merge_table *t);

// What one call needs for long runs, kept between them. Zero it first.
typedef struct merge_scratch {
    void *memory;
    size_t capacity;
} merge_scratch;

// Merge symbols[n] in place and close the gaps. *n becomes the count that is left. 0 or GEMEL_E_MEMORY.
int merge_run(const merge_table *t, merge_scratch *scratch, int32_t *symbols, size_t *n);
