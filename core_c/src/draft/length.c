#include "length.h"
#include <string.h>

#define UNITS 1e7         // of time in a second
#define LEAST_GAIN 1.03   // of ids per second: less is not worth it
#define ROW_SHARE 0.2     // of a pass's time, what one more row is taken for until it was tried

enum {
    KEPT = 256,         // passes after which a time is forgotten, and tried again
    CHANCE_RATE = 12,   // a chance is about that of the last ids of its kind
};

// ---- Time ----------------------------------------------------------------------------------------------------------

// Slow passes are often other programs' fault: the estimate falls faster than it rises.
void costs_note(costs *c, int rows, double seconds) {
    double units = seconds * UNITS;
    if (rows < 1 || rows > COSTS_MAX || !(units >= 1 && units < 0x1p30)) return;
    int n = atomic_fetch_add(&c->n, 1) & 0x3fffffff, now = (int)units, old = atomic_load(&c->took[rows]);
    if (old) now = now < old ? (now + old) / 2 : old + (now - old) / 8;
    atomic_store(&c->took[rows], now);
    atomic_store(&c->when[rows], n);
}

void costs_forget(costs *c) {
    for (int i = 0; i <= COSTS_MAX; i++) atomic_store(&c->took[i], 0);
}

static double known(const costs *c, int rows) {   // 0: it isn't
    int age = (atomic_load(&c->n) - atomic_load(&c->when[rows])) & 0x3fffffff;
    return age < KEPT ? atomic_load(&c->took[rows]) : 0;
}

int costs_has(const costs *c, int rows) { return rows >= 1 && rows < COSTS_MAX && known(c, rows) > 0; }

// Of a pass with this many rows, at least `from`, whose own time is known: between those that are known, on a line.
static double time_of(const costs *c, int from, int rows) {
    int low = rows, high = rows;
    while (low > from && !known(c, low)) low--;
    double below = known(c, low), above = 0;
    if (low == rows) return below;
    while (high < COSTS_MAX && !above) above = known(c, ++high);
    if (!above) return below + (rows - low) * ROW_SHARE * known(c, from);
    return below + (above - below) * (rows - low) / (high - low);
}

// ---- Chances -------------------------------------------------------------------------------------------------------

static int kind_of(int length) {
    int kind = 0;
    if (length <= 4) return length - 1;
    for (int most = 8; kind < CHANCES - 5 && length > most; most *= 2) kind++;
    return 4 + kind;   // 5..8, 9..16, 17..32, more
}

static float *chance_of(chances *c, int length) {
    static const float first[CHANCES] = {0.15f, 0.3f, 0.45f, 0.6f, 0.75f, 0.85f, 0.92f, 0.95f};
    if (!c->is_begun) memcpy(c->p, first, sizeof first), c->is_begun = 1;
    return &c->p[kind_of(length)];
}

void chances_begin(chances *c, float p) {
    for (int i = 0; i < CHANCES; i++) c->p[i] = p;
    c->is_begun = 1;
}

void chances_note(chances *c, int length, int is_drawn) {
    float *p = chance_of(c, length);
    *p += ((is_drawn ? 1.0f : 0.0f) - *p) / CHANCE_RATE;
}

// ---- Length --------------------------------------------------------------------------------------------------------

int draft_length(const costs *c, chances *p, int rows, int length, int max) {
    double ids = rows, reached = 1;
    if (!costs_has(c, rows)) return 0;
    double best = ids / known(c, rows) * LEAST_GAIN;
    int n = 0;
    for (int k = 1; k <= max && rows + k <= COSTS_MAX; k++) {
        reached *= *chance_of(p, length + k - 1);
        ids += reached;
        double speed = ids / time_of(c, rows, rows + k);
        if (speed > best) best = speed, n = k;
    }
    return n;
}
