// How many ids it takes at most to read on from a state to the end of its rule: those of its shortest text, cut into
// the fewest ids. An id spans no call of a rule here, so an answer may need fewer. Immutable.
#pragma once
#include "../text/tokenizer.h"
#include "rules.h"
#include "text_tree.h"

enum { NEVER = 1 << 30 };   // the vocabulary lacks a byte that must be read; sums saturate here

enum { READS_BYTE, READS_ID, SKIPS, CALLS, ENDS };   // how the shortest text of a state goes on

typedef struct shortest {
    uint32_t *n_ids;       // [n_states]
    uint32_t *size, *to;   // [n_states] bytes of the text, NEVER: there is none; the next state of it
    uint8_t *how, *byte;   // [n_states]
} shortest;

int shortest_open(shortest *s, const rules *r, const text_tree *t);   // GEMEL_E_MEMORY: close it, too
void shortest_close(shortest *s);
static inline uint32_t shortest_sum(uint32_t a, uint32_t b) { return a < NEVER - b ? a + b : NEVER; }
