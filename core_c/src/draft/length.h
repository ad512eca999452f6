// How many proposed ids to evaluate: as many as make most ids per second, by how often such ids were drawn, and by how
// long passes took. It decides about time alone, never about results.
#pragma once
#include <stdatomic.h>

enum { COSTS_MAX = 64 };   // rows of a pass, at most

// How long passes of a model take, by rows. All zeros at first. Any thread may use it.
typedef struct costs {
    atomic_int n;                     // passes
    atomic_int took[COSTS_MAX + 1];   // units of 0.1 us; 0: unknown
    atomic_int when[COSTS_MAX + 1];   // n of the last one
} costs;

void costs_note(costs *c, int rows, double seconds);
int costs_has(const costs *c, int rows);   // whether it is known how long such a pass takes
void costs_forget(costs *c);

// How often ids that followed a repeat were drawn, by the repeat's length; those that a grammar forces, by their place
// in what it forces. All zeros at first.
enum { CHANCES = 8 };
typedef struct chances {
    float p[CHANCES];
    int is_begun;
} chances;

void chances_begin(chances *c, float p);                   // all alike
void chances_note(chances *c, int length, int is_drawn);   // of an id after a repeat of `length` ids

// The pass has `rows` rows, each of which gives an id, and `max` more are proposed, after a repeat of `length` ids.
// Returns how many of these to evaluate; 0 also while it is unknown how long the pass takes without them.
int draft_length(const costs *c, chances *p, int rows, int length, int max);
