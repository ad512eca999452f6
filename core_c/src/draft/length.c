#include "length.h"
#include <string.h>

#define UNITS 1e7         // of time in a second
#define LEAST_GAIN 1.03   // of ids per second: less is not worth it
#define ROW_SHARE 0.2     // of a pass's time, what one more row is taken for until it was tried

enum {
    KEPT = 256,         // passes after which a time is forgotten, and tried again
    CHANCE_RATE = 12,   // a chance is about that of the last ids of its kind
    RECOVERY = 512,     // ids after which a chance that was bad is believed in again
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

double costs_known(const costs *c, int rows) {
    int age = (atomic_load(&c->n) - atomic_load(&c->when[rows])) & 0x3fffffff;
    return age < KEPT ? atomic_load(&c->took[rows]) : 0;
}

int costs_has(const costs *c, int rows) { return rows >= 1 && rows < COSTS_MAX && costs_known(c, rows) > 0; }

double costs_time(const costs *c, int from, int rows) {
    int low = rows, high = rows;
    while (low > from && !costs_known(c, low)) low--;
    double below = costs_known(c, low), above = 0;
    if (low == rows) return below;
    while (high < COSTS_MAX && !above) above = costs_known(c, ++high);
    if (!above) return below + (rows - low) * ROW_SHARE * costs_known(c, from);
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

// ---- Trust ---------------------------------------------------------------------------------------------------------

#define SURE 1e6    // the unit of a chance
#define SEEN 4096   // how many are counted, before all counts are halved

static const double bounds[TRUSTS] = {0.2, 0.4, 0.6, 0.75, 0.87, 0.95, 0.985, 1.0};   // where each kind ends

int trust_kind(double p) {
    int kind = 0;
    while (kind < TRUSTS - 1 && p >= bounds[kind]) kind++;
    return kind;
}

double trust_chance(const trust *t, int kind) {
    int p = atomic_load(&t->p[kind]);
    return p ? p / SURE : ((kind ? bounds[kind - 1] : 0) + bounds[kind]) / 2;
}

void trust_note(trust *t, int kind, int is_drawn) {
    double p = trust_chance(t, kind);
    p += ((is_drawn ? 1.0 : 0.0) - p) / (2 * CHANCE_RATE);
    atomic_store(&t->p[kind], (int)(p * SURE) + 1);
}

void trust_count(trust *t, int kind) {
    if (atomic_fetch_add(&t->n[kind], 1) < SEEN) return;
    for (int i = 0; i < TRUSTS; i++) atomic_store(&t->n[i], atomic_load(&t->n[i]) / 2);
}

void trust_forget(trust *t) {
    for (int i = 0; i < TRUSTS; i++) atomic_store(&t->p[i], 0), atomic_store(&t->n[i], 0);
}

// As if one id of each kind, and more of the best, had been seen before.
static double share_of(const trust *t, int kind) {
    double all = 0;
    for (int i = 0; i < TRUSTS; i++) all += 1 + i + atomic_load(&t->n[i]);
    return (1 + kind + atomic_load(&t->n[kind])) / all;
}

double trust_mean(const trust *t) {
    double mean = 0;
    for (int i = 0; i < TRUSTS; i++) mean += share_of(t, i) * trust_chance(t, i);
    return mean;
}

double trust_gain(const trust *t, double reached, double cost) {
    double gain = 0;
    for (int i = 0; i < TRUSTS; i++) {
        double own = reached * trust_chance(t, i) - cost;
        if (own > 0) gain += share_of(t, i) * own;
    }
    return gain;
}

void trust_recover(trust *t) {
    for (int i = 0; i < TRUSTS; i++) {
        double p = trust_chance(t, i), first = ((i ? bounds[i - 1] : 0) + bounds[i]) / 2;
        if (p < first) atomic_store(&t->p[i], (int)((p + (first - p) / RECOVERY) * SURE) + 1);
    }
}

// ---- Length --------------------------------------------------------------------------------------------------------

int draft_best(const costs *c, int rows, const double *chance, int max, double spent, double each, double *speed) {
    double base = rows >= 1 && rows < COSTS_MAX ? costs_known(c, rows) : 0, ids = rows, reached = 1;
    int n = 0;
    *speed = 0;
    if (!base) return 0;
    *speed = ids / (base + spent);
    double best = spent > 0 ? *speed : *speed * LEAST_GAIN;
    for (int k = 1; k <= max && rows + k <= COSTS_MAX; k++) {
        reached *= chance[k - 1];
        ids += reached;
        double now = ids / (spent + k * each + costs_time(c, rows, rows + k));
        if (now > best) *speed = best = now, n = k;
    }
    return n;
}

int draft_length(const costs *c, chances *p, int rows, int length, int max, double *speed) {
    double chance[COSTS_MAX];
    if (max > COSTS_MAX) max = COSTS_MAX;
    for (int k = 0; k < max; k++) chance[k] = *chance_of(p, length + k);
    return draft_best(c, rows, chance, max, 0, 0, speed);
}
