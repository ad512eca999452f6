// How fast this machine reads memory and multiplies: the limits that a measured speed is compared with.
#include "model.h"

typedef struct limit {   // one measurement, shared by the threads
    gemel_model *m;
    int what;
    double seconds, best;   // for how long; the best of its rounds, of all threads together
    double start;
    int rounds, is_over;
    atomic_int sink;   // uses the results, so that the compiler keeps the work
} limit;
enum { DOT_STEPS = 1 << 16 };   // a round of multiplying takes some tenths of a millisecond

// One round on one thread; returns bytes or multiply-adds.
static double round_of(limit *l, int ith, int nth) {
    if (l->what == GEMEL_MEASURE_DOT) {
        double macs;
        atomic_fetch_xor(&l->sink, l->m->k->measure_dot(DOT_STEPS, &macs));
        return macs;
    }
    size_t lines = l->m->memory_size / 64, from = lines * (size_t)ith / (size_t)nth * 64,
           to = lines * ((size_t)ith + 1) / (size_t)nth * 64;
    atomic_fetch_xor(&l->sink, l->m->k->measure_read(l->m->memory + from, to - from));
    return (double)(to - from);
}

static void measure_share(void *arg, int ith, int nth) {
    limit *l = arg;
    threads *pool = l->m->pool;
    double begin = threads_now();
    for (int is_over = 0; !is_over;) {
        if (ith == 0)
            l->start = threads_now();   // before any of them begins: another may have ended when this one does
        threads_meet(pool);
        double done = round_of(l, ith, nth);
        threads_meet(pool);
        if (ith == 0) {
            double now = threads_now(), speed = now > l->start ? done * nth / (now - l->start) : 0;
            if (speed > l->best) l->best = speed;
            l->is_over = now - begin >= l->seconds;
        }
        threads_meet(pool);
        is_over = l->is_over;
    }
}

int gemel_model_measure(gemel_model *m, int what, double seconds, double *out) {
    if (!m || !out || !(seconds >= 0.001 && seconds <= 60) || !model_is_whole(m)) return GEMEL_E_ARGUMENT;
    if (what != GEMEL_MEASURE_READ && what != GEMEL_MEASURE_DOT) return GEMEL_E_ARGUMENT;
    if (threads_now() < 0) return GEMEL_E_UNSUPPORTED;
    limit l = {.m = m, .what = what, .seconds = seconds};
    threads_run(m->pool, m->n_threads, measure_share, &l, NULL);
    *out = l.best;
    return GEMEL_OK;
}
