// What the checks of kernels share: seeded floats, quantised activations, loops over instruction sets; and benchmarks
// of each instruction set: `check_kernels --bench`, `check_attention --bench`.
#pragma once
#include <time.h>
#include "check.h"
#include "../../core_c/src/kernels/kernels.h"
#include "../../core_c/src/memory.h"

static uint64_t seed;
static inline uint32_t random_bits(void) { return (uint32_t)check_random(&seed); }
static inline int random_below(int n) { return (int)(random_bits() % (uint32_t)n); }
static inline float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }
static inline float *random_floats(size_t n) {
    float *x = memory_get(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_float();
    return x;
}

// Inf, NaN, floats near the ends of the range.
static inline float odd_float(void) {
    static const uint32_t odd[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000,
                                   0x7f7fffff, 0xff61b1e6, 0x7e800000, 1};
    float x;
    memcpy(&x, &odd[random_below(8)], 4);
    return x;
}

static inline acts take_acts(int n, int nb) {
    size_t e = (size_t)n * (size_t)nb;
    return (acts){.q = memory_get(e * 64),
                  .d = memory_get(e * 4),
                  .s = memory_get(e * 4),
                  .z = memory_get(e * 4),
                  .s2 = memory_get(e * 8),
                  .z2 = memory_get(e * 8),
                  .wide = memory_get(e * 64),
                  .n = n};
}
static inline void free_acts(acts *a) {
    memory_free(a->q), memory_free(a->d), memory_free(a->s), memory_free(a->z), memory_free(a->s2), memory_free(a->z2);
    memory_free(a->wide);
}
static inline acts quantised(const kernels *k, const float *x, int n, int n_in) {
    acts a = take_acts(n, n_in / 32);
    for (int t = 0; t < n && n_in % 32 == 0; t++)
        k->quantise(x + (size_t)t * (size_t)n_in, n_in / 32, 0, n_in / 32, &a, t);
    a.x = x;
    a.ldx = (size_t)n_in;
    return a;
}

static inline void same(const char *isa, const char *what, const void *a, const void *b, size_t size) {
    char text[200];
    if (!memcmp(a, b, size)) return;
    snprintf(text, sizeof text, "%s differs from scalar on %s", isa, what);
    check_note(__FILE__, __LINE__, text);
}
// The same, but any NaN equals any other.
static inline void same_but_nan(const char *isa, const char *what, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) && !(a[i] != a[i] && b[i] != b[i])) {
            same(isa, what, a + i, b + i, sizeof *a);
            return;
        }
}
// An instruction set's kernels; NULL: not on this machine. Asked once: a virtual machine or emulator answers slowly.
static inline const kernels *usable(int i) {
    enum { UNKNOWN, YES, NO };
    static char known[32];
    if (i >= (int)sizeof known) return isa_at(i)->usable() ? isa_at(i)->k : NULL;
    if (known[i] == UNKNOWN) known[i] = isa_at(i)->usable() ? YES : NO;
    return known[i] == YES ? isa_at(i)->k : NULL;
}
#define EACH_ISA(k)                                                                                                    \
    for (int i_ = 1; i_ < isa_count(); i_++)                                                                           \
        for (const kernels *k = usable(i_); k; k = NULL)
static inline const kernels *scalar(void) { return isa_at(0)->k; }

static inline int is_finite(const float *x, int n) {
    for (int i = 0; i < n; i++)
        if (x[i] * 0.0f != 0) return 0;
    return 1;
}

// In every second row of x[n][n_in], one of 64 numbers is odd: Inf, NaN or extreme.
static inline float *odd_rows(int n, int n_in) {
    float *x = random_floats((size_t)n * (size_t)n_in);
    for (int i = 0; i < n * n_in; i++)
        if (i / n_in % 2 && !random_below(64)) x[i] = odd_float();
    return x;
}

// ---- Formulas of docs/bits.md --------------------------------------------------------------------------------------

static inline float by_horner(const float *c, int n, float scale, float x) {
    float p = c[0] * scale;
    for (int i = 1; i < n; i++) {
        float product = p * x, term = c[i] * scale;
        p = product + term;
    }
    return p;
}
static inline float exp_by_definition(float x) {
    static const float c[] = {1.9875691e-4f, 1.3981999e-3f, 8.3334519e-3f, 4.1665796e-2f, 1.6666665e-1f, 0.5f};
    x = x > -87 ? x : -87;
    x = x < 88 ? x : 88;
    float scaled = x * 1.44269504f, n = (scaled + 12582912.0f) - 12582912.0f;
    float high = n * 0.693359375f, low = n * -2.12194440e-4f, r = x - high;
    r = r - low;
    float square = r * r, most = square * by_horner(c, 6, 1, r), p = most + r;
    p = p + 1.0f;
    for (int i = 0; i > (int)n; i--) p *= 0.5f;
    for (int i = 0; i < (int)n; i++) p *= 2;
    return p;
}
static inline float cap_by_definition(float s, double cap) {
    float c = (float)cap, twice = (float)(2 * cap), by = (float)(2 / cap);
    float e = 1.0f + exp_by_definition(s * by), less = twice / e;
    return c - less;
}

// ---- Benchmarks ----------------------------------------------------------------------------------------------------

typedef void bench_fn(const kernels *k, void *arg);   // one call of a kernel

static inline double bench_clock(void) {   // seconds
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline double bench_once(const kernels *k, bench_fn *f, void *arg, int times) {
    double start = bench_clock();
    for (int i = 0; i < times; i++) f(k, arg);
    return (bench_clock() - start) / times;
}
// Print microseconds per call on each instruction set: the best of several runs of some milliseconds.
static inline void bench(const char *what, bench_fn *f, void *arg) {
    printf("%-40s", what);
    for (int isa = 0; isa < isa_count(); isa++) {
        const kernels *k = usable(isa);
        if (!k) continue;
        double once = bench_once(k, f, arg, 1), best = 1e9;
        int times = once < 5e-3 ? (int)(5e-3 / (once > 1e-8 ? once : 1e-8)) : 1;
        for (int run = 0; run < 7; run++) {
            double now = bench_once(k, f, arg, times);
            best = now < best ? now : best;
        }
        printf("  %s %9.2f us", k->name, best * 1e6);
    }
    printf("\n");
    fflush(stdout);
}
static inline int is_bench(int argc, char **argv) { return argc > 1 && !strcmp(argv[1], "--bench"); }
