// The harness of the C checks: a table of named functions, macros that record failures, one line per check.
//
//   static void sums_are_exact(void) { CHECK_EQ_INT(1 + 1, 2); }
//   int main(int argc, char **argv)
//   {
//       static const check table[] = {CHECK_ENTRY(sums_are_exact)};
//       return check_main(table, sizeof table / sizeof *table, argc, argv);
//   }
//
// Arguments choose the checks whose names contain one of them. Exit codes: 0 none failed, 1 some did, 77 all skipped.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct check {
    const char *name;
    void (*run)(void);
} check;
#define CHECK_ENTRY(function) {#function, function}

static int check_failures;          // of the current check
static const char *check_skipped;   // why the current check was skipped

static inline void check_note(const char *file, int line, const char *what) {
    if (check_failures++ < 10) printf("    %s:%d: %s\n", file, line, what);
}

static inline void check_eq_int(const char *file, int line, const char *what, long long got, long long wanted) {
    if (got == wanted) return;
    char text[400];
    snprintf(text, sizeof text, "%s is %lld, not %lld", what, got, wanted);
    check_note(file, line, text);
}

static inline void check_eq_str(const char *file, int line, const char *what, const char *got, const char *wanted) {
    if (got && wanted && strcmp(got, wanted) == 0) return;
    char text[1200];
    snprintf(text, sizeof text, "%s is \"%s\", not \"%s\"", what, got ? got : "(NULL)", wanted ? wanted : "(NULL)");
    check_note(file, line, text);
}

#define CHECK(cond) ((cond) ? (void)0 : check_note(__FILE__, __LINE__, #cond))
#define CHECK_EQ_INT(got, wanted) check_eq_int(__FILE__, __LINE__, #got, (long long)(got), (long long)(wanted))
#define CHECK_EQ_STR(got, wanted) check_eq_str(__FILE__, __LINE__, #got, (got), (wanted))
// Inside a check: skip the rest, and say why.
#define CHECK_SKIP(why)                                                                                                \
    do {                                                                                                               \
        check_skipped = (why);                                                                                         \
        return;                                                                                                        \
    } while (0)

// splitmix64: the checks' only random numbers, so that a seed is a test case.
static inline uint64_t check_random(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// How many of n rounds of chance are run: under qemu, which takes forty times as long, a quarter. For code that is the
// same C for every processor: all rounds run on the others.
static inline int check_rounds(int n) { return getenv("GEMEL_CHECK_QEMU") ? (n + 3) / 4 : n; }

static inline int check_main(const check *table, size_t n, int argc, char **argv) {
    int failed = 0, ran = 0, skipped = 0;
    for (size_t i = 0; i < n; i++) {
        int chosen = argc < 2;
        for (int a = 1; a < argc; a++) chosen |= strstr(table[i].name, argv[a]) != NULL;
        if (!chosen) continue;
        check_failures = 0, check_skipped = NULL, ran++;
        table[i].run();
        if (check_failures) failed++, printf("FAIL %s (%d)\n", table[i].name, check_failures);
        else if (check_skipped) skipped++, printf("skipped: %s: %s\n", table[i].name, check_skipped);
        else printf("ok   %s\n", table[i].name);
        fflush(stdout);
    }
    printf("%d checks, %d failed, %d skipped\n", ran, failed, skipped);
    return failed ? 1 : ran && skipped == ran ? 77 : 0;
}
