// POSIX threads.
#define _GNU_SOURCE   // CPU_COUNT
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

typedef pthread_mutex_t os_lock;
typedef pthread_cond_t os_cond;
typedef pthread_t os_thread;

static void os_lock_open(os_lock *l) { pthread_mutex_init(l, 0); }
static void os_lock_take(os_lock *l) { pthread_mutex_lock(l); }
static void os_lock_give(os_lock *l) { pthread_mutex_unlock(l); }
static void os_lock_destroy(os_lock *l) { pthread_mutex_destroy(l); }
static void os_cond_open(os_cond *c) { pthread_cond_init(c, 0); }
static void os_cond_wait(os_cond *c, os_lock *l) { pthread_cond_wait(c, l); }
static void os_cond_wake_all(os_cond *c) { pthread_cond_broadcast(c); }
static void os_cond_destroy(os_cond *c) { pthread_cond_destroy(c); }
static int os_cpus(void) {   // that this process may use
#if defined CPU_COUNT
    cpu_set_t mine;
    if (!sched_getaffinity(0, sizeof mine, &mine)) return CPU_COUNT(&mine);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
static double os_now(void) {   // seconds
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
static int os_thread_start(os_thread *t, void *worker);
static void os_thread_join(os_thread *t) { pthread_join(*t, 0); }

#include "pool.inc.c"

static void *entry(void *worker) {
    work(worker);
    return 0;
}
static int os_thread_start(os_thread *t, void *worker) { return pthread_create(t, 0, entry, worker); }
