// Which states of a grammar no short text distinguishes: those of a repetition whose counts are far from its end.
// Places that differ only in such states have equal masks, so that one of them is computed for all.
#pragma once
#include "rules.h"

// The first of the states that are alike, as the top of a stack and as what a rule returns to. NULL: each is alone.
typedef struct twins {
    uint32_t *top, *under;   // [n_states]
} twins;

// list[n]: texts of up to sizes[i] bytes lead from states that are alike in list[i] to the same, also past the rule's
// end; sizes ascend. 0, or GEMEL_E_MEMORY.
int twins_open(twins *list, const rules *r, const uint32_t *sizes, size_t n);
void twins_close(twins *t);
