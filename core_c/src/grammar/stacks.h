// Sets of stacks, each kept once. A stack is a list of states, the top first; a set of stacks is a list of (state, set
// of the stacks under it), one entry per state, ascending. Equal sets have equal numbers, so that what follows from a
// set can be remembered by its number. All memory is taken at once; where little is read, a 2^shift-th of it is enough.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    SETS_MAX = 1 << 17,
    ENTRIES_MAX = 1 << 18,
    NO_SET = 0,   // the empty set
};

typedef struct entry {
    uint32_t state, under;
} entry;

typedef struct joined {
    uint32_t a, b, set;   // a < b; a 0: free
} joined;

typedef struct stacks {
    entry *entries;
    int shift;
    uint32_t *first;   // [stacks_sets_max + 1] the entries of a set: entries[first[set]..first[set + 1])
    uint32_t *slots;   // by hash; 0: free
    joined *unions;    // by hash
    uint32_t *pairs;   // scratch of stacks_join
    uint32_t n_sets, n_unions;
    uint64_t work;   // entries that unions looked at; the caller sets it back
    int is_full;     // a call found no room: its result and all later ones are NO_SET until stacks_keep
} stacks;

static inline uint32_t stacks_sets_max(const stacks *s) { return SETS_MAX >> s->shift; }
static inline uint32_t stacks_entries_max(const stacks *s) { return ENTRIES_MAX >> s->shift; }
int stacks_open(stacks *s, int shift);   // 0: no memory; close it also then
void stacks_close(stacks *s);
// The set of n entries, in ascending order of states.
uint32_t stacks_set(stacks *s, const entry *entries, size_t n);
uint32_t stacks_join(stacks *s, uint32_t a, uint32_t b);
// Forget all sets except this one and those under it. Returns its new number.
uint32_t stacks_keep(stacks *s, uint32_t set);
// Number `set` and all sets under it from 1 on in numbers[set + 1], in ascending order; the others get 0. Returns how
// many.
uint32_t stacks_number(const stacks *s, uint32_t set, uint32_t *numbers);
static inline const entry *stacks_at(const stacks *s, uint32_t set) { return s->entries + s->first[set]; }
static inline uint32_t stacks_count(const stacks *s, uint32_t set) { return s->first[set + 1] - s->first[set]; }
