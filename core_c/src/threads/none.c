// No threads: hosts that have none run everything on the caller's.
#include <stdlib.h>
#include "../errors.h"
#include "threads.h"

struct threads {
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
void threads_run(threads *t, threads_fn *fn, void *arg, int is_short) {
    (void)is_short;
    fn(arg, 0, t->n);
}
double threads_now(void) { return -1; }
void threads_meet(threads *t) { (void)t; }
void threads_close(threads *t) { free(t); }
void threads_forget(threads *t) { free(t); }
