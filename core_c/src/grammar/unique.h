// Steps of a matcher where a list may have each item once: what the answer's lists have so far decides whether a unique
// rule may end. Its lists must be JSON.
#pragma once
#include "matcher.h"
#include "seen.h"

typedef struct unique_place {   // of the search for an item that is new
    uint32_t set, next;         // next: which byte is tried next
} unique_place;

typedef struct unique {
    seen lists;
    uint8_t *flags;   // [stacks_sets_max] of the first n_flags sets
    uint32_t n_flags, age;
    int was_repeat;   // of the last step
    unique_place *path;
    size_t path_room;
} unique;

int unique_open(unique *u, const matcher *m);   // 0: no memory; close it then, too
void unique_close(unique *u);
void unique_begin(unique *u);
// Whether some stack of a set is within a unique rule.
int unique_has_rule(unique *u, const matcher *m, uint32_t set);
// The set after a byte; u->lists read it. NO_SET: none, or m is stuck.
uint32_t unique_step(unique *u, matcher *m, uint32_t set, uint8_t byte);
// Whether an item that is new can be read on from a set, at which u->lists are. Only in a trial.
int unique_is_alive(unique *u, matcher *m, uint32_t set);
// Without unique rules, u is NULL. The set after a text, which u->lists read; after one that is only tried: they don't.
uint32_t unique_read(unique *u, matcher *m, uint32_t set, const uint8_t *text, size_t size);
uint32_t unique_try(unique *u, matcher *m, uint32_t set, const uint8_t *text, size_t size);
