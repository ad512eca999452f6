// The pool itself, over a platform's lock, condition and thread (os_lock, os_cond, os_thread and their words).
// Waiting is spinning for some microseconds, then sleeping. Within a run threads meet every few microseconds, and a
// sleep costs more than that; but with more threads than CPUs a spinning thread keeps another from its work, so they
// sleep soon.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "../errors.h"
#include "threads.h"

enum { SPINS = 3000, SPINS_CROWDED = 100 };

// How long short runs take by the whole team and by the caller alone. The faster way is taken; the other is tried for
// some runs now and then, and at once when the way taken becomes much slower than the other was.
typedef struct pace {
    double seconds[2];   // of late, by way: 0 the team, 1 alone; 0: never tried
    int way;             // taken now
    int runs;            // since the way was last changed
    int is_trial;
    int left;   // runs until the next trial
} pace;
enum {
    TRIAL_RUNS = 4,
    TRIAL_EVERY = 200,
    TRIAL_SELDOM = 500
};   // seldom: where the other way took more than twice as long

struct threads {
    os_lock turn;   // held by the caller for the length of a run
    os_lock lock;   // guards sleeping
    os_cond wake;
    atomic_uint epoch;   // counts runs and barriers that ended: what everybody waits on
    atomic_int sleepers, arrived, left;
    atomic_int quit;
    atomic_uint run;   // number of the current run
    threads_fn *fn;
    void *arg;
    int n, started;
    int spins;    // of a barrier
    int active;   // threads of the current run: n, or 1
    pace pace;
    struct worker {
        threads *pool;
        int it;
        os_thread thread;
    } *workers;   // [n], the first unused
};

static void pause_cpu(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#elif defined __wasm__
    for (int i = 0; i < 16; i++) __asm__ volatile("");   // it has no such instruction; sleeping is dear here
#endif
}

// Wait until *word differs from `seen`.
static void wait_change(threads *t, atomic_uint *word, unsigned seen, int spins) {
    for (int i = 0; i < spins; i++) {
        if (atomic_load(word) != seen) return;
        pause_cpu();
    }
    os_lock_take(&t->lock);
    atomic_fetch_add(&t->sleepers, 1);
    while (atomic_load(word) == seen) os_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->sleepers, 1);
    os_lock_give(&t->lock);
}
static void change(threads *t, atomic_uint *word) {
    atomic_fetch_add(word, 1);
    if (!atomic_load(&t->sleepers)) return;
    os_lock_take(&t->lock);
    os_cond_wake_all(&t->wake);
    os_lock_give(&t->lock);
}

void threads_meet(threads *t) {
    if (t->active == 1) return;
    unsigned epoch = atomic_load(&t->epoch);
    if (atomic_fetch_add(&t->arrived, 1) == t->n - 1) {
        atomic_store(&t->arrived, 0);
        change(t, &t->epoch);
        return;
    }
    wait_change(t, &t->epoch, epoch, t->spins);
}

static void work(struct worker *w) {
    threads *t = w->pool;
    unsigned run = 0;
    for (;;) {
        wait_change(t, &t->run, run, SPINS);
        run++;
        if (atomic_load(&t->quit)) return;
        t->fn(t->arg, w->it, t->n);
        threads_meet(t);
    }
}

static void turn_to(pace *p, int way, int is_trial) {
    p->way = way;
    p->runs = 0;
    p->is_trial = is_trial;
}
static int choose_alone(pace *p) {
    double *mine = &p->seconds[p->way], *other = &p->seconds[!p->way];
    if (p->runs < TRIAL_RUNS) return p->way;
    if (*other == 0) turn_to(p, !p->way, 1);
    else if (p->is_trial) {
        p->left = *mine > 2 * *other || *other > 2 * *mine ? TRIAL_SELDOM : TRIAL_EVERY;
        p->is_trial = 0;
        if (*mine > *other) turn_to(p, !p->way, 0);
    } else if (p->left-- <= 0 || *mine > 1.5 * *other) turn_to(p, !p->way, 1);
    return p->way;
}
// The first run after a change pays for waking and for cold caches, and does not count.
static void note_pace(pace *p, double seconds) {
    double *s = &p->seconds[p->way];
    if (p->runs < TRIAL_RUNS) p->runs++;
    if (p->runs == 2) *s = seconds;
    else if (p->runs > 2) *s += (seconds - *s) / 4;
}

void threads_run(threads *t, threads_fn *fn, void *arg, int is_short) {
    os_lock_take(&t->turn);
    int measured = is_short && t->n > 1, alone = measured && choose_alone(&t->pace);
    double start = measured ? os_now() : 0;
    t->fn = fn;
    t->arg = arg;
    t->active = alone ? 1 : t->n;
    if (t->active > 1) change(t, &t->run);
    fn(arg, 0, t->active);
    threads_meet(t);
    if (measured) note_pace(&t->pace, os_now() - start);
    os_lock_give(&t->turn);
}

int threads_count(const threads *t) { return t->n; }
double threads_now(void) { return os_now(); }

static void free_pool(threads *t) {
    free(t->workers);
    free(t);
}

void threads_close(threads *t) {
    if (!t) return;
    atomic_store(&t->quit, 1);
    change(t, &t->run);
    for (int i = 1; i < t->started; i++) os_thread_join(&t->workers[i].thread);
    os_cond_destroy(&t->wake);
    os_lock_destroy(&t->lock);
    os_lock_destroy(&t->turn);
    free_pool(t);
}

void threads_forget(threads *t) {
    if (t) free_pool(t);
}

int threads_open(threads **out, int n) {
    threads *t = calloc(1, sizeof *t);
    if (!t) return GEMEL_E_MEMORY;
    t->n = n;
    t->spins = n > os_cpus() ? SPINS_CROWDED : SPINS;
    t->workers = calloc((size_t)n, sizeof *t->workers);
    if (!t->workers) {
        free(t);
        return GEMEL_E_MEMORY;
    }
    os_lock_open(&t->turn);
    os_lock_open(&t->lock);
    os_cond_open(&t->wake);
    for (t->started = 1; t->started < n; t->started++) {
        struct worker *w = &t->workers[t->started];
        w->pool = t;
        w->it = t->started;
        if (os_thread_start(&w->thread, w)) {
            threads_close(t);
            return GEMEL_E_THREADS;
        }
    }
    *out = t;
    return GEMEL_OK;
}
