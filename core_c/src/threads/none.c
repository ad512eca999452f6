// Hosts without threads: everything runs on the caller's.
#include "threads.h"
#include <stdlib.h>

struct gemel_threads {
    int n;
};

int threads_open(threads **out, int n) {
    if (n > 1) return GEMEL_E_THREADS;
    *out = calloc(1, sizeof **out);
    if (!*out) return GEMEL_E_MEMORY;
    (*out)->n = 1;
    return GEMEL_OK;
}
int threads_count(const threads *t) { return t->n; }
int threads_resize(threads *t, int n) { return n > t->n ? GEMEL_E_THREADS : GEMEL_OK; }
void threads_run(threads *t, int n, threads_fn *fn, void *arg, pace *pace) {
    (void)n, (void)pace;
    fn(arg, 0, t->n);
}
double threads_now(void) { return -1; }
void threads_meet(threads *t) { (void)t; }
int threads_after_fork(threads *t) {
    (void)t;
    return GEMEL_OK;
}
void threads_close(threads *t) { free(t); }
