// Where the end of a text occurred before: a suffix automaton of its ids, which grows by one id at a time. All n ids
// together take time and memory in proportion to n. Knows ids; knows no model.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct repeat_state {   // some ends of the text so far, which occurred at the same places
    int32_t length, link;       // of the longest of them; the state of the longest shorter one that occurred elsewhere
    int32_t met;                // where one of its occurrences ends, among the latest
    int32_t edges;              // a list; -1: none
} repeat_state;
typedef struct repeat_edge {
    int32_t from, id, to, next;   // states; the id between them; the next edge of `from`
} repeat_edge;

typedef struct repeats {
    int n, last;            // ids; the state of all of them
    int length, at;         // how many ids at the end occurred before, and where they ended; 0: none
    int32_t *ids;           // [n]
    repeat_state *states;   // [n_states]; the first one is the empty text
    repeat_edge *edges;     // [n_edges]
    int32_t *slots;         // [n_slots] 1 + edge by its state and id, a power of two; 0: free
    size_t n_states, n_edges, n_slots, ids_capacity, states_capacity, edges_capacity;
} repeats;

void repeats_close(repeats *r);                         // it is then empty, as one of zeros
int repeats_add(repeats *r, int32_t id);                // a negative id equals no other; 0: no memory, close it
int repeats_has(const repeats *r, int i, int32_t id);   // whether id i of the n is this one
// The ids that followed when the end occurred before, up to `max`; where these reach the end, they go on from ids[0].
// A negative one ends them. Returns their number.
int repeats_follow(const repeats *r, int32_t *ids, int max);
