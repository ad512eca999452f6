// Which ids may come next: the walk of a matcher over a vocabulary's tree. What a state allows with any stacks under it
// is computed once and kept; what depends on the stacks is walked again.
#pragma once
#include "compiled.h"
#include "matcher.h"
#include "unique.h"

enum { MASK_SLOTS = 64, MASK_HOLES = 4096, MASK_WHOLES = 24, MASK_LOOP_FROM = 2048, LOOP_MAX = 20 };

// Of a state that returns to `frame`, with any stacks under that: the ids that it allows by their texts, and the nodes
// of the tree at which the rule of `frame` may have ended. The frame STATE_HOLE: any frame, and the state's own rule.
typedef struct mask_slot {
    uint32_t *bits, *holes;   // [n_words], [MASK_HOLES]
    uint32_t state, frame;    // state 0: free
    int part;                 // which tree
    uint32_t n_holes;         // over MASK_HOLES, not all are listed, and bits are missing
    uint32_t n_under;         // nodes under holes
} mask_slot;
// Of a place: all that it allows by the texts of a tree. Places return, as in the middle of a text.
typedef struct mask_whole {
    uint32_t *bits;
    uint32_t set, age;
    int part;
} mask_whole;

// What a walk finds out about the set that it begins with: all of some characters lead to the same set, and on from
// there, as within a string. Whether texts of them alone are allowed depends on their length, and needs no walk.
typedef struct mask_loop {
    uint32_t others;             // groups of the other texts
    uint32_t again;              // the set that the characters don't leave; NO_SET: they do, after some bytes
    uint32_t most;               // characters that may follow each other
    uint32_t at[LOOP_MAX + 1];   // [n] the sets that they lead to, one after another
    uint32_t n;
    uint8_t is_in[256];   // by the class of an ASCII byte: whether it is one of the characters
} mask_loop;

typedef struct mask {
    matcher m;
    const text_tree *t;
    const tokenizer *tok;
    const twins *twins;
    int drops_space, is_begun;   // the first id's text may lack a space; an id was taken
    size_t n_words;              // 32-bit words of a row of bits
    uint32_t *bits, *row;        // [n_words] of the latest mask_fill; of one tree
    mask_slot slots[MASK_SLOTS], scratch;
    mask_whole wholes[MASK_WHOLES];
    uint32_t next_slot, next_whole;
    uint32_t n_met;                  // nodes that the walks of a fill met
    uint8_t *is_wide;                // [n_states] a bit for each tree: much of it is under its holes
    uint32_t *twin_of[TREE_PARTS];   // [SETS_MAX] a set with the first states that are alike, 0: unknown; of twin_age
    uint32_t twin_age[TREE_PARTS];
    uint32_t *memory;         // of the slots
    uint32_t *path, **rows;   // [depth + 1] the set at each depth of a walk, and its row
    uint8_t *loops,
        *starts;          // [depth + 1] 1 + the characters of the loop that alone led there, and to the start of one
    mask_loop loop;       // of a walk
    uint32_t loop_from;   // nodes that a walk meets before it looks for a loop
    uint8_t *text;        // [depth]
    unique *unique;       // NULL: the grammar has no unique rule
    int text_from, text_end;   // what mask_after read of `text`
} mask;

// is_message: the answer's first text lacks the space that the tokenizer puts before a text.
int mask_open(mask *k, const struct gemel_grammar *g, int is_message);   // close it on an error, too
void mask_close(mask *k);
void mask_begin(mask *k);
// Fill k->bits. GEMEL_E_GRAMMAR: no id is allowed, or it takes more memory or time than there is.
int mask_fill(mask *k);
// The set after an id, to go on with. GEMEL_E_ARGUMENT: it is not allowed. GEMEL_E_GRAMMAR: as above.
int mask_after(mask *k, int32_t id, uint32_t *set);
void mask_go_on(mask *k, uint32_t set);
int mask_take(mask *k, int32_t id);   // both; on an error nothing changed
static inline int mask_allows(const mask *k, int32_t id) { return (int)(k->bits[id >> 5] >> (id & 31) & 1); }
