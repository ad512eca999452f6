// An answer that is closed within a limit: of the ids that a mask allows, those after which enough ids are left to end
// it. It never leaves the state without an id: the next one of the shortest text is always allowed.
#pragma once
#include "mask.h"
#include "shortest.h"

enum { CLOSING_WORST = 256 };

typedef struct closing_worst {   // a set, and ids that are enough for the rest after any id that it allows
    uint32_t set, age, n_ids;
} closing_worst;

typedef struct closing {
    shortest to_end;
    uint32_t *of_set;   // [SETS_MAX] ids that the rest of an answer takes, of the first n_sets sets
    uint32_t n_sets, age;
    uint32_t n_ids;   // of the whole answer; 0: it had begun when they would have been counted
    uint32_t *kept;   // [n_words] scratch: ids that stay allowed
    closing_worst worst[CLOSING_WORST];
} closing;

int closing_open(closing *c, const mask *k);   // GEMEL_E_MEMORY: close it, too
void closing_close(closing *c);
// The ids that the rest of the answer takes, at most; NEVER: the vocabulary can't write it.
// GEMEL_E_GRAMMAR: as mask_fill.
int closing_needs(closing *c, mask *k, uint32_t *n_ids);
// The same after an id that leads to a set.
uint32_t closing_needs_after(closing *c, const mask *k, uint32_t set);
// The same of a place that matcher_check took, unless it is the start of a message.
uint32_t closing_needs_at(closing *c, const uint8_t *place);
// Of the ids in k->bits, keep those after which the rest takes `left` at most. 0, or GEMEL_E_GRAMMAR: none is kept, or
// it takes more memory or time than there is.
int closing_limit(closing *c, mask *k, uint32_t left);
