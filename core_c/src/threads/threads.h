// Fork and join over a fixed set of threads, and a barrier inside; nothing else. One file a platform implements it.
#pragma once

typedef struct threads threads;
typedef void threads_fn(void *arg, int it, int n);   // thread it of n; the caller is thread 0

enum { THREADS_MAX = 256 };

int threads_open(threads **out, int n);   // n - 1 workers, 1 <= n <= THREADS_MAX; GEMEL_E_THREADS when refused
int threads_count(const threads *t);
// Run fn on all n threads and return when all have. Calls from several threads take turns. A short run (milliseconds
// with many barriers, such as decoding a token) may be given to the caller alone, as thread 0 of 1: on a machine where
// others want the CPUs, threads that must meet wait for each other's time slices, and one is faster.
void threads_run(threads *t, threads_fn *fn, void *arg, int is_short);
double threads_now(void);          // seconds since some moment; negative: this host has no clock
void threads_meet(threads *t);     // within fn: wait until all n are here
void threads_close(threads *t);    // accepts NULL
void threads_forget(threads *t);   // in a forked child, where the workers do not exist: give the memory back
