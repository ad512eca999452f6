// Fork and join over a pool of threads, and a barrier inside; nothing else. Several users may share a pool: their runs
// take turns, and each run says how many of the threads it uses. One file a platform implements it.
#pragma once
#include "gemel.h"

typedef gemel_threads threads;
typedef void threads_fn(void *arg, int ith, int nth);   // thread ith of nth; the caller is thread 0

enum { THREADS_MAX = 256 };

// How long a user's short runs take by the whole team and by the caller alone. Zeros at first; the pool's after that.
typedef struct pace {
    double seconds[2];   // of late, by way: 0 the team, 1 alone; 0: never tried
    int way;             // taken now
    int runs;            // since the way was last changed
    int is_trial;
    int left;   // runs until the next trial
} pace;

int threads_open(threads **out, int n);   // n - 1 workers, 1 <= n <= THREADS_MAX; GEMEL_E_THREADS when refused
int threads_count(const threads *t);
// Waits for the run that goes on. On failure the number stays. Workers that are ended are free for another pool.
int threads_resize(threads *t, int n);
// Run fn on the first n threads, on all where the pool has fewer, and return when all have. Calls from several threads
// take turns, in the order in which they came; fn does not call it on the same pool. A run with a pace is short
// (milliseconds with many barriers, such as decoding a token) and may be given to the caller alone, as thread 0 of 1:
// on a machine where others want the CPUs, threads that must meet wait for each other's time slices, and one is faster.
// A pace belongs to one pool and one n.
void threads_run(threads *t, int n, threads_fn *fn, void *arg, pace *pace);
double threads_now(void);             // seconds since some moment; negative: this host has no clock
void threads_meet(threads *t);        // within fn: wait until all of the run are here
int threads_after_fork(threads *t);   // in a forked child, which has no workers: on failure, one thread is left
void threads_close(threads *t);       // accepts NULL
