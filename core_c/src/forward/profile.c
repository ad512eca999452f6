#include "profile.h"
#include "../threads/threads.h"

stopwatch stopwatch_start(profile *p, int ith) {
    if (!p || !p->events) return (stopwatch){0};
    double now = threads_now();
    return (stopwatch){p, now, now, ith};
}

void stopwatch_note(stopwatch *w, int op, int il, int n, double from) {
    size_t i = atomic_fetch_add(&w->to->count, 1);
    w->since = threads_now();
    if (i >= w->to->capacity) return;
    const double event[GEMEL_EVENT_SIZE] = {from, w->since, op, il, w->ith, n};
    for (int k = 0; k < GEMEL_EVENT_SIZE; k++) w->to->events[i * GEMEL_EVENT_SIZE + (size_t)k] = event[k];
}
