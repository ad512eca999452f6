// Where a session's time goes, as events that the host asked for. When off, an operation costs one branch.
#pragma once
#include <stdatomic.h>
#include <stddef.h>

typedef struct profile {
    double *events;   // the host's: [capacity][GEMEL_EVENT_SIZE]; NULL: off
    size_t capacity;
    atomic_size_t count;   // events that happened
} profile;

// One thread's clock: an event begins where the one before ended.
typedef struct stopwatch {
    profile *to;   // NULL: off
    double start, since;
    int ith;   // the thread
} stopwatch;

stopwatch stopwatch_start(profile *p, int ith);
void stopwatch_note(stopwatch *w, int op, int il, int n, double from);   // an event from `from` until now

// What was done since the last mark was `op`, in layer il (-1: in none), for n tokens.
static inline void stopwatch_mark(stopwatch *w, int op, int il, int n) {
    if (w->to) stopwatch_note(w, op, il, n, w->since);
}
// The same for all since the start.
static inline void stopwatch_stop(stopwatch *w, int op, int il, int n) {
    if (w->to) stopwatch_note(w, op, il, n, w->start);
}
