// Fork and join over a pool of threads, with a barrier, a clock, and a choice between all threads and one for short
// runs. Several users may share a pool: their runs take turns, and each run says how many threads it uses. There is one
// implementation per platform.
#pragma once
#include "gemel.h"
#include "pace.h"

typedef gemel_threads threads;
typedef void threads_fn(void *arg, int ith, int nth);   // thread ith of nth; the caller is thread 0

enum { THREADS_MAX = 256 };

int threads_open(threads **out, int n);   // n - 1 workers, 1 <= n <= THREADS_MAX; GEMEL_E_THREADS when refused
int threads_count(const threads *t);
// Waits for the running run. On failure the number stays. Workers that end are free for another pool.
int threads_resize(threads *t, int n);
// Run fn on the first n threads (on all when the pool has fewer), and return when all have finished. Calls from several
// threads take turns in order of arrival; fn must not call it on the same pool. A run with a pace is short
// (milliseconds with many barriers, such as decoding a token) and may run on the caller alone, as thread 0 of 1: on a
// busy machine, threads with barriers wait for each other's time slices, and one thread is faster. A pace belongs to
// one pool and n.
void threads_run(threads *t, int n, threads_fn *fn, void *arg, pace *pace);
double threads_now(void);             // seconds since an arbitrary moment; negative: no clock
void threads_meet(threads *t);        // within fn: a barrier for all threads of the run
int threads_after_fork(threads *t);   // in a forked child: starts the workers again; on failure, one thread remains
void threads_close(threads *t);       // accepts NULL
