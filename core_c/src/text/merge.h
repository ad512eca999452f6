// Merging: which neighbours join into what, best first, until none do. One engine serves byte-level BPE (a table of
// pairs, whose ranks are indices of the file's list) and SentencePiece (pairs are looked up by their text, ranks are
// positions among the sorted scores). Of equal ranks the leftmost pair merges first.
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

// Add: `left` and `right` join into `result`. When a pair is added twice, the first counts.
int merge_table_add(merge_table *t, int32_t left, int32_t right, merge value, errors *e);
void merge_table_close(merge_table *t);

// What one call needs for long runs, kept between them. Zero it first.
typedef struct merge_scratch {
    void *memory;
    size_t capacity;
} merge_scratch;

// What says whether two symbols merge.
typedef struct merge_rule {
    merge (*find)(const void *of, int32_t left, int32_t right);
    const void *of;
} merge_rule;

// The rule of a merge_table: a negative symbol merges with nothing.
merge merge_table_find(const void *table, int32_t left, int32_t right);
// Merge symbols[n] in place, without gaps. *n becomes their number. 0 or GEMEL_E_MEMORY.
int merge_run(merge_rule rule, merge_scratch *scratch, int32_t *symbols, size_t *n);
