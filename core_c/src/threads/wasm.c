// WebAssembly threads: web workers that JavaScript starts, and that wait here, on shared memory, for a pool.
//
//   a worker's seat: VACANT -> FREE (its worker waits) -> TAKEN (a pool's thread) -> FREE ...
//
// A synchronous call can't start a worker, so a pool takes workers that wait, or fails; a pool that shrinks gives them
// back. The caller never waits forever: when a worker fails, or nothing changes for `patience` seconds (the only sign
// of a worker that was terminated), it traps, and JavaScript discards the whole engine.
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include "gemel.h"

typedef _Atomic(uint32_t) word;
typedef struct os_lock {
    word state;   // 0 free, 1 taken, 2 taken and waited for
} os_lock;
typedef struct os_cond {
    word changes;
} os_cond;
typedef int os_thread;   // its seat

enum { SEATS = 255, STACK_SIZE = 128 << 10, SLICE_MS = 100 };
enum seat_state { VACANT, FREE, TAKEN, LOST };
enum fault { NONE, WORKER_FAILED, NO_ANSWER, STACK_SPENT };

static struct seat {
    word state;
    void *worker;      // struct worker of the pool that took it
    uint32_t *stack;   // STACK_SIZE bytes; its lowest word is a mark that must stay
} seats[SEATS];
static word fault;
static int cpus = 1;
static double patience = 20;

__attribute__((import_module("env"), import_name("now"))) double os_milliseconds(void);
extern char __heap_base;

static double os_now(void) { return 1e-3 * os_milliseconds(); }
static int os_cpus(void) { return cpus; }

// Workers' stacks are the heap's, the caller's lies below it.
static int is_caller(void) { return (uintptr_t)__builtin_frame_address(0) < (uintptr_t)&__heap_base; }

static _Noreturn void give_up(enum fault why) {
    uint32_t none = NONE;
    atomic_compare_exchange_strong(&fault, &none, why);
    __builtin_trap();
}

// Sleep while *w is `seen`. May return early; the calling thread traps when *w has not changed for too long.
static void wait_word(word *w, uint32_t seen) {
    if (!is_caller()) {
        __builtin_wasm_memory_atomic_wait32((int *)w, (int)seen, -1);
        return;
    }
    for (double waited = 0; atomic_load(w) == seen; waited += 1e-3 * SLICE_MS) {   // a machine that slept counts as one
        if (atomic_load(&fault)) __builtin_trap();
        if (waited >= patience) give_up(NO_ANSWER);
        if (__builtin_wasm_memory_atomic_wait32((int *)w, (int)seen, SLICE_MS * 1000000LL) != 2) return;
    }
}
static void wake(word *w, unsigned n) { __builtin_wasm_memory_atomic_notify((int *)w, n); }

static void os_lock_open(os_lock *l) { atomic_store(&l->state, 0); }
static void os_lock_take(os_lock *l) {
    uint32_t is = 0;
    if (atomic_compare_exchange_strong(&l->state, &is, 1)) return;
    while (atomic_exchange(&l->state, 2)) wait_word(&l->state, 2);
}
static void os_lock_give(os_lock *l) {
    if (atomic_exchange(&l->state, 0) == 2) wake(&l->state, 1);
}
static void os_lock_destroy(os_lock *l) { (void)l; }
static void os_cond_open(os_cond *c) { atomic_store(&c->changes, 0); }
static void os_cond_wait(os_cond *c, os_lock *l) {
    uint32_t seen = atomic_load(&c->changes);
    os_lock_give(l);
    wait_word(&c->changes, seen);
    os_lock_take(l);
}
static void os_cond_wake_all(os_cond *c) {
    atomic_fetch_add(&c->changes, 1);
    wake(&c->changes, UINT32_MAX);
}
static void os_cond_destroy(os_cond *c) { (void)c; }

static int os_thread_start(os_thread *t, void *worker) {
    for (int i = 0; i < SEATS; i++) {
        if (atomic_load(&seats[i].state) != FREE) continue;
        seats[i].worker = worker;
        atomic_store(&seats[i].state, TAKEN);
        wake(&seats[i].state, 1);
        *t = i;
        return 0;
    }
    return -1;
}
static void os_thread_join(os_thread *t) {
    while (atomic_load(&seats[*t].state) == TAKEN) wait_word(&seats[*t].state, TAKEN);
}

#include "pool.inc.c"

// ---- What JavaScript calls -----------------------------------------------------------------------------------------

GEMEL_API void gemel_engine_cpus(int n) { cpus = n; }
GEMEL_API void gemel_engine_patience(double seconds) { patience = seconds; }
GEMEL_API int gemel_engine_fault(void) { return (int)atomic_load(&fault); }

// A seat for a worker that will come, with its stack; -1: there is none, or no memory.
GEMEL_API int gemel_engine_seat(void) {
    for (int i = 0; i < SEATS; i++) {
        if (seats[i].stack) continue;   // a seat keeps its worker
        seats[i].stack = malloc(STACK_SIZE);
        if (!seats[i].stack) return -1;
        seats[i].stack[0] = (uint32_t)i + 1;
        atomic_store(&seats[i].state, VACANT);
        return i;
    }
    return -1;
}
// Give up a seat's worker. The stack of a worker that had arrived may still be in use.
GEMEL_API void gemel_engine_unseat(int seat) {
    uint32_t vacant = VACANT;
    if (!atomic_compare_exchange_strong(&seats[seat].state, &vacant, LOST)) atomic_store(&seats[seat].state, LOST);
    else {
        free(seats[seat].stack);
        seats[seat].stack = NULL;
    }
}
// Where its worker's stack begins; it grows down. Called by the calling thread: the worker has no stack before.
GEMEL_API void *gemel_engine_stack(int seat) { return (char *)seats[seat].stack + STACK_SIZE; }

GEMEL_API int gemel_engine_parked(void) {
    int n = 0;
    for (int i = 0; i < SEATS; i++) n += atomic_load(&seats[i].state) == FREE;
    return n;
}
// The seat's worker has arrived: from now on a pool may take it.
GEMEL_API void gemel_engine_arrive(int seat) {
    uint32_t vacant = VACANT;
    if (!atomic_compare_exchange_strong(&seats[seat].state, &vacant, FREE)) __builtin_trap();   // it was given up
}
// A worker runs this and never returns.
GEMEL_API void gemel_engine_work(int seat) {
    struct seat *s = &seats[seat];
    for (;;) {
        while (atomic_load(&s->state) == FREE) wait_word(&s->state, FREE);
        work(s->worker);
        if (s->stack[0] != (uint32_t)seat + 1) give_up(STACK_SPENT);
        atomic_store(&s->state, FREE);
        wake(&s->state, UINT32_MAX);
    }
}
// It ended by a trap: the calling thread, which may wait for it, gives up.
GEMEL_API void gemel_engine_failed(void) {
    uint32_t none = NONE;
    atomic_compare_exchange_strong(&fault, &none, WORKER_FAILED);
}
