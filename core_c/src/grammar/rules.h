// A compiled grammar: an automaton over bytes whose edges may call rules. Immutable; knows no vocabulary and no text.
//
//   root ::= "[" item ("," item)* "]"        q0 -[-> q1 -item-> q2 -,-> q1
//                                                               q2 -]-> end of root
//
// A state has edges of four kinds: a byte of a range; an id; nothing (skip); a rule, of which a non-empty text is read
// before `to` (where the rule matches the empty text, there is a skip beside the call). A rule ends in its state `end`,
// which has no edges. Every rule can end, and no rule calls itself before it has read a byte.
#pragma once
#include "../errors.h"
#include <stddef.h>

// States without edges that belong to no rule: the answer may end; what follows depends on what is not known.
enum { STATE_ENDED = 0, STATE_HOLE = 1, STATES_FIRST = 2 };

typedef struct byte_edge {
    uint32_t to;
    uint8_t low, high;
} byte_edge;
typedef struct id_edge {
    uint32_t to;
    int32_t id;
    int is_negated;   // any id except this one
} id_edge;
typedef struct call_edge {
    uint32_t rule, to;
} call_edge;

typedef struct state {   // its edges end where those of the next state begin
    uint32_t bytes, ids, skips, calls;
    uint32_t rule;
} state;

typedef struct rule {
    uint32_t start, end;
    uint32_t order;   // a rule that another one may begin with has a larger one
    int is_unique;    // its text is an item of a list that has each item once
} rule;

typedef struct rules {
    uint32_t n_states, n_rules;
    state *states;   // [n_states + 1]
    rule *list;      // [n_rules]; the first is the root
    byte_edge *bytes;
    id_edge *ids;
    uint32_t *skips;
    call_edge *calls;
    uint8_t class_of[256];   // bytes of a class are on the same edges
    uint8_t byte_in[256];    // [n_classes] the first byte of each
    int n_classes, has_ids;
    uint8_t *is_endless;   // [n_states] infinitely many texts lead from it to the rule's end; NULL: no rule is unique
    uint64_t fingerprint;
} rules;

size_t rules_size(const rules *r);   // bytes of its arrays
void rules_close(rules *r);          // what builder_finish made
