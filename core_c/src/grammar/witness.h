// A text that ends an answer whose lists have each item once: a short one, found by trying. Outside of items it is
// the shortest text; an item is the first one that is new, among those with the fewest bytes more than its shortest.
#pragma once
#include "mask.h"
#include "shortest.h"

enum { STEP_ID = 256 };   // a step is a byte, or STEP_ID + an id as such

typedef struct witness_place {   // of the search for an item that is new
    uint32_t set, next, spent;   // next: which byte is tried next; spent: bytes more than the shortest text takes
} witness_place;

typedef struct witness {
    const shortest *shortest;
    const text_tree *t;
    const tokenizer *tok;
    uint32_t *size_of;   // [SETS_MAX] bytes of the shortest text from a set, of the first n_sets sets
    uint16_t *next_of;   // [SETS_MAX] its first step, or one of NEXT_
    uint32_t n_sets, age;
    uint8_t has_byte[256];   // an id has this byte alone as its text
    int32_t *steps;          // [n] the latest text
    uint32_t *n_ids;         // [n + 1] ids of its rest from each step on, and those of them that are written first
    int32_t *first;
    size_t n, steps_room, ids_room, first_room;
    witness_place *path;
    size_t path_room;
    uint64_t work, work_max;   // tries, and how many there may be
} witness;

int witness_open(witness *w, const mask *k, const shortest *s);   // 0: no memory; close it then, too
void witness_close(witness *w);
// Write w->steps from a set on, at which k->unique is. Only in a trial, which reads on. Returns how many ids the text
// takes; NEVER: none was found, or k->m is stuck.
uint32_t witness_find(witness *w, mask *k, uint32_t set);
// The ids of n steps, in w->n_ids[0]; w->first[0] is the first one. NEVER: no memory, or the vocabulary can't write it.
uint32_t witness_cut(witness *w, const int32_t *steps, size_t n);
// The set behind steps that are read in a trial; NO_SET: they can't be.
uint32_t witness_read(mask *k, uint32_t set, const int32_t *steps, size_t n);
