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
double costs_known(const costs *c, int rows);   // units; 0: it isn't known
// Of a pass with this many rows, at least `from`, whose own time is known: between those that are known, on a line.
double costs_time(const costs *c, int from, int rows);

// How often ids that followed a repeat were drawn, by the repeat's length; those that a grammar forces, by their place
// in what it forces. All zeros at first.
enum { CHANCES = 8 };
typedef struct chances {
    float p[CHANCES];
    int is_begun;
} chances;

void chances_begin(chances *c, float p);                   // all alike
void chances_note(chances *c, int length, int is_drawn);   // of an id after a repeat of `length` ids

// How often ids were drawn that had some probability by what proposed them. All zeros at first. Any thread may use it.
enum { TRUSTS = 8 };
typedef struct trust {
    atomic_int p[TRUSTS], n[TRUSTS];   // chances, in millionths, 0: as the probability says; ids proposed
} trust;

int trust_kind(double p);                            // of an id's probability, 0..1
double trust_chance(const trust *t, int kind);       // that such an id is drawn
void trust_note(trust *t, int kind, int is_drawn);   // of an id
void trust_count(trust *t, int kind);                // one was proposed
double trust_mean(const trust *t);                   // of the next one, before it is known
double trust_gain(const trust *t, double reached,
                  double cost);   // what the next is worth, where a row costs `cost` ids
void trust_forget(trust *t);
void trust_recover(trust *t);   // an id was drawn, and nothing proposed

// The pass has `rows` rows, each of which gives an id, and `max` more are proposed. chance[k]: that the k-th is drawn,
// where those before it were. Returns how many of these to evaluate; 0 also while it is unknown how long the pass takes
// without them. *speed: ids per unit of time with them, 0: unknown. `spent` units are lost in any case, and each id
// evaluated takes `each` before the pass.
int draft_best(const costs *c, int rows, const double *chance, int max, double spent, double each, double *speed);
// The same of ids that follow a repeat of `length` ids.
int draft_length(const costs *c, chances *p, int rows, int length, int max, double *speed);
