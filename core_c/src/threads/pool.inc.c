// The pool itself, over a platform's lock, condition and thread (os_lock, os_cond, os_thread and their words).
// Waiting is spinning for some microseconds, then sleeping. Within a run threads meet every few microseconds, and a
// sleep costs more than that; but with more threads than CPUs a spinning thread keeps another from its work, so they
// sleep soon. Workers that a run leaves out sleep apart, and nothing wakes them until a run wants them.
//
//   run = | number : 55 | threads called : 9 |     one load tells a worker both that a run began and whether it takes
//                                                  part. Who is called has not met the others, so that run goes on.
#include "threads.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 3000, SPINS_CROWDED = 100, RUN_BITS = 9 };
typedef _Atomic(uint64_t) counter;

typedef struct fair_lock {   // first come, first served
    os_lock lock;
    os_cond changed;
    unsigned next, serving;   // numbers drawn by those who wait
} fair_lock;

struct gemel_threads {
    fair_lock run_lock;        // held by the caller for the length of a run
    os_lock lock;              // guards sleeping
    os_cond wake, wake_idle;   // of threads that wait for a run or a barrier; of workers that the last run left out
    counter run;
    counter barriers;   // finished
    atomic_int sleepers, arrived;
    threads_fn *fn;
    void *arg;
    int active;     // threads that meet in the current run
    atomic_int n;   // the caller's included
    int cpus;
    struct worker {
        threads *pool;
        int ith;
        uint64_t seen;   // the run before its first
        os_thread thread;
    } workers[THREADS_MAX];   // [n], the first unused
};

static void pause_cpu(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#elif defined __wasm__
    for (int i = 0; i < 96; i++) __asm__ volatile("");   // it has no such instruction; sleeping is slow here
#endif
}

// ---- Turns ---------------------------------------------------------------------------------------------------------
// Unlike a plain lock, it does not let a user with many consecutive runs keep another out.

static void fair_take(fair_lock *l) {
    os_lock_take(&l->lock);
    for (unsigned mine = l->next++; l->serving != mine;) os_cond_wait(&l->changed, &l->lock);
    os_lock_give(&l->lock);
}
static void fair_give(fair_lock *l) {
    os_lock_take(&l->lock);
    if (++l->serving != l->next) os_cond_wake_all(&l->changed);
    os_lock_give(&l->lock);
}
static void fair_open(fair_lock *l) {
    os_lock_open(&l->lock);
    os_cond_open(&l->changed);
    l->next = l->serving = 0;
}
static void fair_destroy(fair_lock *l) {
    os_cond_destroy(&l->changed);
    os_lock_destroy(&l->lock);
}

// ---- Waiting -------------------------------------------------------------------------------------------------------

// Wait until *c differs from `seen`; returns what it is then.
static uint64_t wait_change(threads *t, counter *c, uint64_t seen, int spins) {
    uint64_t now;
    for (int i = 0; i < spins; i++) {
        if ((now = atomic_load(c)) != seen) return now;
        pause_cpu();
    }
    os_lock_take(&t->lock);
    atomic_fetch_add(&t->sleepers, 1);
    while ((now = atomic_load(c)) == seen) os_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->sleepers, 1);
    os_lock_give(&t->lock);
    return now;
}
static void wake_all(threads *t, int idle_too) {
    if (!idle_too && !atomic_load(&t->sleepers)) return;
    os_lock_take(&t->lock);
    os_cond_wake_all(&t->wake);
    if (idle_too) os_cond_wake_all(&t->wake_idle);
    os_lock_give(&t->lock);
}

// The number of threads is read before this one arrives: after that, the last one may end the run, and another begins.
void threads_meet(threads *t) {
    int active = t->active;
    if (active == 1) return;
    uint64_t barriers = atomic_load(&t->barriers);
    if (atomic_fetch_add(&t->arrived, 1) == active - 1) {
        atomic_store(&t->arrived, 0);
        atomic_fetch_add(&t->barriers, 1);
        wake_all(t, 0);
        return;
    }
    wait_change(t, &t->barriers, barriers, active > t->cpus ? SPINS_CROWDED : SPINS);
}

// ---- Workers -------------------------------------------------------------------------------------------------------

static int called(uint64_t run) { return (int)(run & ((1 << RUN_BITS) - 1)); }

// Wait for a run after `seen` that calls this worker.
static uint64_t wait_run(const struct worker *w, uint64_t seen) {
    threads *t = w->pool;
    uint64_t run = wait_change(t, &t->run, seen, SPINS);
    if (called(run) > w->ith) return run;
    os_lock_take(&t->lock);
    while (called(run = atomic_load(&t->run)) <= w->ith) os_cond_wait(&t->wake_idle, &t->lock);
    os_lock_give(&t->lock);
    return run;
}

static void work(struct worker *w) {
    threads *t = w->pool;
    for (uint64_t run = w->seen;;) {
        run = wait_run(w, run);
        int active = t->active;
        if (w->ith >= active) return;   // beyond the run's threads: this worker ends
        t->fn(t->arg, w->ith, active);
        threads_meet(t);
    }
}

// A run of fn begins. n threads are called, of which the first `active` meet.
static void begin_run(threads *t, int n, int active, threads_fn *fn, void *arg) {
    uint64_t before = atomic_load(&t->run);
    t->fn = fn;
    t->arg = arg;
    t->active = active;
    if (n == 1) return;
    atomic_store(&t->run, ((before >> RUN_BITS) + 1) << RUN_BITS | (uint64_t)n);
    wake_all(t, n > called(before));
}

static void do_nothing(void *arg, int ith, int nth) { (void)arg, (void)ith, (void)nth; }
// Of `started` threads only the first n go on.
static void end_workers(threads *t, int n, int started) {
    begin_run(t, started, n, do_nothing, NULL);
    threads_meet(t);
    for (int i = n; i < started; i++) os_thread_join(&t->workers[i].thread);
}
// All up to n, or none.
static int start_workers(threads *t, int n) {
    int before = atomic_load(&t->n);
    for (int i = before; i < n; i++) {
        struct worker *w = &t->workers[i];
        *w = (struct worker){.pool = t, .ith = i, .seen = atomic_load(&t->run)};
        if (!os_thread_start(&w->thread, w)) continue;
        end_workers(t, before, i);
        return GEMEL_E_THREADS;
    }
    return GEMEL_OK;
}

// ---- The pool ------------------------------------------------------------------------------------------------------

void threads_run(threads *t, int n, threads_fn *fn, void *arg, pace *pace) {
    fair_take(&t->run_lock);
    int most = atomic_load(&t->n);
    if (n > most) n = most;
    int measured = pace && n > 1;
    if (measured && pace_is_alone(pace)) n = 1;
    double start = measured ? os_now() : 0;
    begin_run(t, n, n, fn, arg);
    fn(arg, 0, n);
    threads_meet(t);
    if (measured) pace_note(pace, os_now() - start);
    fair_give(&t->run_lock);
}

int threads_count(const threads *t) { return atomic_load(&t->n); }
double threads_now(void) { return os_now(); }

int threads_resize(threads *t, int n) {
    fair_take(&t->run_lock);
    int before = atomic_load(&t->n), code = start_workers(t, n);
    if (n < before) end_workers(t, n, before);
    if (code == GEMEL_OK) atomic_store(&t->n, n);
    fair_give(&t->run_lock);
    return code;
}

static void open_locks(threads *t) {
    fair_open(&t->run_lock);
    os_lock_open(&t->lock);
    os_cond_open(&t->wake);
    os_cond_open(&t->wake_idle);
    atomic_store(&t->sleepers, 0);
    atomic_store(&t->arrived, 0);
}

// The fork may have happened during another thread's run: reset all locks and counters.
int threads_after_fork(threads *t) {
    int n = atomic_load(&t->n);
    open_locks(t);
    atomic_store(&t->n, 1);
    return threads_resize(t, n);
}

int threads_open(threads **out, int n) {
    threads *t = calloc(1, sizeof *t);
    if (!t) return GEMEL_E_MEMORY;
    t->cpus = os_cpus();
    open_locks(t);
    atomic_store(&t->n, 1);
    int code = threads_resize(t, n);
    if (code < 0) threads_close(t);
    else *out = t;
    return code;
}

void threads_close(threads *t) {
    if (!t) return;
    end_workers(t, 1, atomic_load(&t->n));
    os_cond_destroy(&t->wake_idle);
    os_cond_destroy(&t->wake);
    os_lock_destroy(&t->lock);
    fair_destroy(&t->run_lock);
    free(t);
}
