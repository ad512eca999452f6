#include "states.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "../memory.h"
#include "gemel.h"

struct state {
    atomic_int holders;
    int n_pos;
    float *x;
};

static size_t size_of(const states *s) { return s->n * sizeof(float); }

// ---- One state -----------------------------------------------------------------------------------------------------

float *state_floats(state *x) { return x->x; }

static state *new_state(const states *s) {
    state *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    x->x = memory_get(size_of(s));
    if (!x->x) {
        free(x);
        return NULL;
    }
    if (s->in_use) atomic_fetch_add(s->in_use, size_of(s));
    return x;
}

state *states_get(states *s, int n_pos) {
    state *x = s->spare ? s->spare : new_state(s);
    s->spare = NULL;
    if (!x) return NULL;
    atomic_store(&x->holders, 1);
    x->n_pos = n_pos;
    return x;
}

static state *hold(state *x) {
    if (x) atomic_fetch_add(&x->holders, 1);
    return x;
}

static void free_state(const states *s, state *x) {
    if (!x) return;
    if (s->in_use) atomic_fetch_sub(s->in_use, size_of(s));
    memory_free(x->x);
    free(x);
}

void states_drop(states *s, state *x) {
    if (!x || atomic_fetch_sub(&x->holders, 1) > 1) return;
    if (s->spare) free_state(s, x);
    else s->spare = x;
}

// ---- Checkpoints ---------------------------------------------------------------------------------------------------

// Drop the checkpoint without which the rest are closest together; the last one stays.
static void thin(states *s) {
    int worst = 0, least = INT_MAX;
    for (int i = 0; i + 1 < s->n_kept; i++) {
        int gap = s->kept[i + 1]->n_pos - (i ? s->kept[i - 1]->n_pos : 0);
        if (gap < least) worst = i, least = gap;
    }
    states_drop(s, s->kept[worst]);
    s->n_kept--;
    memmove(s->kept + worst, s->kept + worst + 1, sizeof(state *) * (size_t)(s->n_kept - worst));
}

// Keep a state that the caller gives away; no checkpoint is of more ids.
static void keep(states *s, state *x) {
    if (s->n_kept && s->kept[s->n_kept - 1]->n_pos == x->n_pos) {
        states_drop(s, x);
        return;
    }
    s->kept[s->n_kept++] = x;
    if (s->n_kept > s->most) thin(s);
}

// The checkpoint of the most ids, up to n; -1: there is none.
static int find_kept(const states *s, int n) {
    int i = s->n_kept - 1;
    while (i >= 0 && s->kept[i]->n_pos > n) i--;
    return i;
}

int states_at(const states *s) { return s->now ? s->now->n_pos : 0; }

int states_find(const states *s, int n) {
    if (states_at(s) <= n) return states_at(s);
    int i = find_kept(s, n);
    return i < 0 ? 0 : s->kept[i]->n_pos;
}

void states_back(states *s, int n) {
    int last = find_kept(s, n);
    if (states_at(s) > n) {
        state *x = last < 0 ? NULL : hold(s->kept[last]);
        states_drop(s, s->now);
        s->now = x;
    }
    while (s->n_kept > last + 1) states_drop(s, s->kept[--s->n_kept]);
}

void states_share(states *to, const states *from, int n) {
    int last = find_kept(from, n);
    for (int i = 0; i <= last; i++) to->kept[to->n_kept++] = hold(from->kept[i]);
    if (states_at(from) <= n) to->now = hold(from->now);
    else to->now = last < 0 ? NULL : hold(from->kept[last]);
    if (to->now) keep(to, hold(to->now));
}

// ---- Life ----------------------------------------------------------------------------------------------------------

int states_most(size_t n) {
    size_t fit = n ? STATES_SIZE / sizeof(float) / n : 0;
    return fit > STATES_MOST ? STATES_MOST : fit < STATES_LEAST ? STATES_LEAST : (int)fit;
}

int states_open(states *s, size_t n, atomic_size_t *in_use) {
    *s = (states){.n = n, .most = states_most(n), .in_use = in_use};
    if (!n) return GEMEL_OK;
    s->kept = calloc((size_t)s->most + 1, sizeof(state *));
    s->made = calloc((size_t)s->most + STATES_BESIDE, sizeof(state *));
    if (s->kept && s->made) return GEMEL_OK;
    states_close(s);
    return GEMEL_E_MEMORY;
}

void states_close(states *s) {
    states_unmake(s);
    states_drop(s, s->now);
    s->now = NULL;
    while (s->n_kept) states_drop(s, s->kept[--s->n_kept]);
    free_state(s, s->spare);
    free(s->kept);
    free(s->made);
    *s = (states){0};
}

// ---- A pass --------------------------------------------------------------------------------------------------------

void states_unmake(states *s) {
    while (s->n_made) states_drop(s, s->made[--s->n_made]);
}

static int make(states *s, int n_pos) {
    state *x = states_get(s, n_pos);
    if (!x) {
        states_unmake(s);
        return GEMEL_E_MEMORY;
    }
    s->made[s->n_made++] = x;
    return GEMEL_OK;
}

int states_make(states *s, int from, int n) {
    int step = STATES_STEP * (1 + n / STATES_STEP / s->most), code = GEMEL_OK, end = from + n;
    states_unmake(s);
    if (!s->n || n < 1) return GEMEL_OK;
    for (int at = from / step * step + step; at < end - 1 && code == GEMEL_OK; at += step) code = make(s, at);
    if (n > 1 && code == GEMEL_OK) code = make(s, end - 1);
    return code == GEMEL_OK ? make(s, end) : code;
}

void states_fill(states *s) {
    for (int i = 0; i < s->n_made; i++) {
        if (s->now) memcpy(s->made[i]->x, s->now->x, size_of(s));
        else memset(s->made[i]->x, 0, size_of(s));
    }
}

void states_take(states *s, state *x, int is_kept) {
    states_drop(s, s->now);
    s->now = x;
    if (is_kept || x->n_pos % STATES_STEP == 0) keep(s, hold(x));
}

void states_count(states *s) {
    int n = s->n_made;
    for (int i = 0; i + 1 < n; i++) keep(s, s->made[i]);
    s->n_made = 0;
    if (n) states_take(s, s->made[n - 1], n > 1);
}

float *states_out(const states *s, int at) {
    for (int i = 0; i < s->n_made; i++)
        if (s->made[i]->n_pos > at) return s->made[i]->x;
    return NULL;
}

const float *states_in(const states *s, int at) {
    if (at > states_at(s)) return states_out(s, at - 1);
    return s->now ? s->now->x : NULL;
}
