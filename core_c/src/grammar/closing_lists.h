// An answer that is closed within a limit and whose lists have each item once: a text that ends it is always known, and
// an id is allowed when a text that ends the answer after it is short enough, or when it is the first one of that text.
#pragma once
#include "witness.h"

typedef struct ending {      // what ends an answer from a set on, if the string that is open is new
    uint32_t n_ids, at, n;   // its steps: in closing_lists.steps
} ending;

typedef struct closing_lists {
    witness w;
    int32_t *text;   // [n_text] steps that end the answer from here on
    size_t n_text, text_room;
    // Of one mask
    uint32_t *outside, *inside;   // [SETS_MAX] 1 + the ending of a set without a watched list, in a string; 0: unknown
    uint32_t *met;                // [n_met] sets with one of them
    ending *endings;
    int32_t *steps;
    size_t n_endings, n_steps, n_met, endings_room, steps_room, met_room;
    uint32_t *special;   // [n_words] ids whose texts have to be read
    uint8_t *read;       // [depth + 1] the text that a walk has read
} closing_lists;

int closing_lists_open(closing_lists *l, const mask *k, const shortest *s);   // 0: no memory; close it then, too
void closing_lists_close(closing_lists *l);
// Find the text from where the answer is. Returns its ids; NEVER: none was found.
uint32_t closing_lists_find(closing_lists *l, mask *k);
// Of the ids in k->bits, write those to `kept` after whose texts the rest takes `left` ids at most. k->m may be stuck.
void closing_lists_keep(closing_lists *l, mask *k, uint32_t left, uint32_t *kept);
// The ids of the rest from a set behind an id as such.
uint32_t closing_lists_outside(closing_lists *l, mask *k, uint32_t set);
// Forget what is known of the sets of one mask.
void closing_lists_forget(closing_lists *l);
// An id that mask_after read leads to a set: take it if the rest takes `left` ids at most. Returns whether it does.
int closing_lists_take(closing_lists *l, mask *k, int32_t id, uint32_t set, uint32_t left);
// The first id of the text, or -1.
int32_t closing_lists_first(closing_lists *l);
// Steps that were saved; they are left out where they don't end the answer.
void closing_lists_restore(closing_lists *l, mask *k, const int32_t *steps, size_t n);
