// An answer that is closed within a limit: of the ids that a mask allows, those after which enough ids are left to end
// it. It never leaves the state without an id: the next one of the shortest text is always allowed.
#pragma once
#include "closing_lists.h"

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
    closing_lists *lists;   // NULL: no list has each item once
} closing;

int closing_open(closing *c, const mask *k);   // GEMEL_E_MEMORY: close it, too
void closing_close(closing *c);
// The ids that the rest of the answer takes, at most; NEVER: the vocabulary can't write it.
// GEMEL_E_GRAMMAR: as mask_fill. GEMEL_E_UNSUPPORTED: no text was found whose lists have each item once.
int closing_needs(closing *c, mask *k, uint32_t *n_ids);
// Take an id that mask_after read, which leads to a set. GEMEL_E_ARGUMENT: the rest takes more than `left`.
int closing_take(closing *c, mask *k, int32_t id, uint32_t set, uint32_t left);
// Whether closing_take would take an id that leads to this set, without lists that have each item once; 0: they are.
int closing_allows(closing *c, mask *k, uint32_t set, uint32_t left);
// What closing_needs says of a place that matcher_check took, unless it is the start of a message.
uint32_t closing_needs_at(closing *c, const uint8_t *place);
// What is known of the rest besides, as bytes, a multiple of 8: nothing, unless lists have each item once. Returns how
// many; writes them when that is at most `capacity`.
size_t closing_save(const closing *c, uint8_t *data, size_t capacity);
int closing_check(const closing *c, const uint8_t *data, size_t size);   // 1: `restore` takes it
void closing_restore(closing *c, mask *k, const uint8_t *data);          // once the mask was restored
// Of the ids in k->bits, keep those after which the rest takes `left` at most. 0, or GEMEL_E_GRAMMAR: none is kept, or
// it takes more memory or time than there is.
int closing_limit(closing *c, mask *k, uint32_t left);
