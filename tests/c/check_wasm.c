// src/wasm, the libc of the threaded engine, against the system's: numbers as text, sorting, bytes, and a heap that is
// walked after every step.
#include "check.h"
#include <float.h>
#include <limits.h>
#include <math.h>   // INFINITY and NAN, macros
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#define malloc wasm_malloc
#define calloc wasm_calloc
#define realloc wasm_realloc
#define free wasm_free
#define qsort wasm_qsort
#define snprintf wasm_snprintf
#define vsnprintf wasm_vsnprintf
#define memchr wasm_memchr
#define memcmp wasm_memcmp
#define strlen wasm_strlen
#define strcmp wasm_strcmp
#define strncmp wasm_strncmp
#define strchr wasm_strchr
#define memcpy wasm_memcpy
#define memmove wasm_memmove
#define memset wasm_memset
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
int vsnprintf(char *text, size_t size, const char *format, va_list arguments);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *p, int byte, size_t n);
size_t strlen(const char *s);
#include "../../core_c/src/wasm/heap.c"
#include "../../core_c/src/wasm/print.c"
#include "../../core_c/src/wasm/sort.c"
#include "../../core_c/src/wasm/text.c"
#if defined __SIZEOF_INT128__
#define __multi3 multiply_wide
#include "../../core_c/src/wasm/wide.c"
#endif
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef qsort
#undef snprintf
#undef vsnprintf
#undef memchr
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr
#undef memcpy
#undef memmove
#undef memset

// ---- The heap ------------------------------------------------------------------------------------------------------

enum { ARENA = 24 << 20, FIRST = 65536, BLOCKS = 300 };
static _Alignas(16) char arena[ARENA];
static size_t arena_size = FIRST;

char *heap_start(size_t *room) {
    *room = arena_size;
    return arena;
}
size_t heap_grow(size_t least) {
    size_t more = (least + 65535) / 65536 * 65536;
    if (more > ARENA - arena_size) return 0;
    arena_size += more;
    return more;
}

// Every chunk, from the first to the end: sizes agree in both directions, no two free ones touch, lists hold the free.
static size_t walk(void) {
    size_t n_free = 0, n_listed = 0, before = 0, was_free = 0;
    chunk *c = (chunk *)arena;
    for (; c != heap.end && (char *)c < arena + arena_size; c = after(c)) {
        CHECK(c->before == before && size_of(c) >= LEAST && size_of(c) % 16 == 0);
        CHECK(is_used(c) || !was_free);
        was_free = !is_used(c);
        n_free += was_free;
        before = size_of(c);
        if (!before) break;
    }
    CHECK(c == heap.end && c->before == before && (char *)c == arena + arena_size - HEAD);
    for (int i = 0; i < LISTS; i++)
        for (chunk *f = heap.lists[i]; f; f = f->next, n_listed++) CHECK(!is_used(f) && list_of(f->size) == i);
    CHECK_EQ_INT(n_listed, n_free);
    for (char *p = (char *)heap.dirty; p < (char *)heap.end; p++)
        if (*p) {
            CHECK(!"what was never handed out is zero");
            break;
        }
    return n_free;
}

typedef struct block {
    unsigned char *p, mark;
    size_t n;
} block;

static int holds(const block *b) {
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] != b->mark) return 0;
    return 1;
}
static size_t some_size(uint64_t *seed) {
    uint64_t kind = check_random(seed) % 16, r = check_random(seed);
    return (size_t)(kind == 0 ? r % 400000 : kind < 4 ? r % 5000 : r % 200);
}

static void step(block *b, uint64_t *seed) {
    size_t n = some_size(seed);
    unsigned char mark = (unsigned char)check_random(seed);
    int is_kept = b->p && check_random(seed) % 3 == 0, is_zeroed = 0;
    if (is_kept) {
        unsigned char *moved = wasm_realloc(b->p, n);
        CHECK(moved != NULL);
        block old = {moved, b->mark, b->n < n ? b->n : n};
        CHECK(holds(&old));
        b->p = moved;
    } else {
        wasm_free(b->p);
        is_zeroed = (int)(check_random(seed) % 2);
        b->p = is_zeroed ? wasm_calloc(n ? n : 1, 1) : wasm_malloc(n);
    }
    CHECK(b->p && (uintptr_t)b->p % 16 == 0 && (char *)b->p >= arena && (char *)b->p + n <= arena + arena_size - HEAD);
    if (is_zeroed) {
        block zero = {b->p, 0, n};
        CHECK(holds(&zero));
    }
    b->mark = mark;
    b->n = n;
    memset(b->p, mark, n);
}

static void heap_keeps_blocks_apart_and_joins_what_is_freed(void) {
    static block blocks[BLOCKS];
    uint64_t seed = 11;
    for (int i = 0; i < 6000; i++) {
        block *b = &blocks[check_random(&seed) % BLOCKS];
        if (b->p) CHECK(holds(b));
        step(b, &seed);
        if (i % 50 == 0) walk();
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(!blocks[i].p || holds(&blocks[i]));
        wasm_free(blocks[i].p);
    }
    CHECK_EQ_INT(walk(), 1);   // one free chunk, as at the beginning
}

static void heap_refuses_what_it_cannot_hold(void) {
    size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, PTRDIFF_MAX, ARENA, ARENA - 16};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) CHECK(wasm_malloc(sizes[i]) == NULL);
    CHECK(wasm_calloc(SIZE_MAX / 2, 3) == NULL);
    void *p = wasm_malloc(100);
    CHECK(p && wasm_realloc(p, ARENA) == NULL);
    wasm_free(p);
    char *most = wasm_malloc(ARENA - 2 * HEAD);   // all there is: the arena grows to its end
    CHECK(most != NULL && wasm_malloc(1) == NULL);
    wasm_free(most);
    CHECK_EQ_INT(walk(), 1);
}

// ---- Numbers as text -----------------------------------------------------------------------------------------------

static void same(const char *format, ...) {
    char got[500], wanted[500];
    va_list a, b;
    va_start(a, format);
    va_copy(b, a);
    int n = wasm_vsnprintf(got, sizeof got, format, a), m = vsnprintf(wanted, sizeof wanted, format, b);
    va_end(a);
    va_end(b);
    CHECK_EQ_INT(n, m);
    CHECK_EQ_STR(got, wanted);
}

static void every_float_format_matches_the_systems(void) {
    static const char *formats[] = {"%g",   "%.17g",  "%.0f",   "%f",      "%.3f",  "%e",    "%.0e",
                                    "%.1g", "%12.4g", "%-12g|", "%012.2f", "%.40f", "%.25e", "%.2f"};
    static const double edges[] = {0.0,
                                   -0.0,
                                   0.5,
                                   1.5,
                                   2.5,
                                   0.125,
                                   0.375,
                                   9.5,
                                   9.995,
                                   99999.95,
                                   999999.5,
                                   1e5,
                                   1e6,
                                   123456789,
                                   1e-4,
                                   9.9999e-5,
                                   1e21,
                                   1e22,
                                   1e23,
                                   0.1,
                                   1.0 / 3,
                                   DBL_MAX,
                                   DBL_MIN,
                                   4.9406564584124654e-324,
                                   2.2250738585072009e-308,
                                   INFINITY,
                                   -INFINITY};
    uint64_t seed = 5;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) same(formats[f], edges[i]);
        for (int i = 0; i < 400; i++) {
            uint64_t bits = check_random(&seed);
            double any, near;
            memcpy(&any, &bits, sizeof any);
            near = (double)(int64_t)(bits >> 40) / (double)(1 << (bits & 15));   // many ties
            if (any == any) same(formats[f], any);
            same(formats[f], near);
        }
    }
    char text[8];
    wasm_snprintf(text, sizeof text, "%g", (double)NAN);
    CHECK(strstr(text, "nan") != NULL);
}

static void integers_and_text_match_the_systems(void) {
    uint64_t seed = 6;
    for (int i = 0; i < 500; i++) {
        uint64_t r = check_random(&seed) >> check_random(&seed) % 64;
        same("%d %i %u %x", (int)r, (int)-r, (unsigned)r, (unsigned)r);
        same("%lld %llu %zu %llx %ld %lu", (long long)r, (unsigned long long)r, (size_t)r, (unsigned long long)r,
             (long)r, (unsigned long)r);
        same("%02x %5d|%-5d|%05d %.4u", (unsigned)(r & 255), (int)r, (int)r, (int)r, (unsigned)r);
        same("%*d %.*s|", (int)(r % 20), (int)r, (int)(r % 5), "words");
    }
    same("%d %d %lld %lld", INT_MIN, INT_MAX, LLONG_MIN, LLONG_MAX);
    same("100%% of %s%c %8s|%-8s|%.2s", "text", '!', "right", "left", "cut");
}

static void text_is_cut_and_terminated(void) {
    char text[16];
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        CHECK_EQ_INT(wasm_snprintf(text, size, "%s-%d", "abcdef", 12345), 12);
        for (size_t i = size; i < sizeof text; i++) CHECK(text[i] == '#');
        if (size) CHECK(strncmp(text, "abcdef-12345", size - 1) == 0 && text[size - 1 < 12 ? size - 1 : 12] == 0);
    }
}

// ---- Bytes and order -----------------------------------------------------------------------------------------------

static int sign(int x) { return (x > 0) - (x < 0); }

static void bytes_compare_as_the_systems_do(void) {
    uint64_t seed = 7;
    char a[24], b[24];
    for (int i = 0; i < 4000; i++) {
        int n = (int)(check_random(&seed) % 12);
        for (int k = 0; k < n; k++)
            a[k] = (char)(1 + check_random(&seed) % 3 * 100), b[k] = (char)(1 + check_random(&seed) % 3 * 100);
        a[n] = b[n] = 0;
        int c = a[n / 2];
        CHECK_EQ_INT(wasm_strlen(a), strlen(a));
        CHECK_EQ_INT(sign(wasm_strcmp(a, b)), sign(strcmp(a, b)));
        CHECK_EQ_INT(sign(wasm_strncmp(a, b, (size_t)(n / 2))), sign(strncmp(a, b, (size_t)(n / 2))));
        CHECK_EQ_INT(sign(wasm_memcmp(a, b, (size_t)n)), sign(memcmp(a, b, (size_t)n)));
        CHECK(wasm_strchr(b, c) == strchr(b, c));
        CHECK(wasm_memchr(b, c, (size_t)n) == memchr(b, c, (size_t)n));
    }
}

static int by_number(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
static void sorting_gives_the_systems_order(void) {
    uint64_t seed = 8;
    static int got[2000], wanted[2000];
    for (int i = 0; i < 120; i++) {
        size_t n = i < 60 ? (size_t)i : check_random(&seed) % 2000, kinds = 1 + check_random(&seed) % 3000;
        for (size_t k = 0; k < n; k++) got[k] = wanted[k] = (int)(check_random(&seed) % kinds);
        qsort(wanted, n, sizeof *wanted, by_number);
        wasm_qsort(got, n, sizeof *got, by_number);
        CHECK(memcmp(got, wanted, n * sizeof *got) == 0);
    }
}

static void products_of_128_bits_are_exact(void) {
#if defined __SIZEOF_INT128__
    uint64_t seed = 9;
    for (int i = 0; i < 2000; i++) {
        unsigned __int128 a = check_random(&seed), b = check_random(&seed);
        a = (a << 64 | check_random(&seed)) >> check_random(&seed) % 128;
        b = (b << 64 | check_random(&seed)) >> check_random(&seed) % 128;
        CHECK((unsigned __int128)multiply_wide((__int128)a, (__int128)b) == a * b);
    }
#else
    CHECK_SKIP("the compiler has no 128-bit integers");
#endif
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(heap_keeps_blocks_apart_and_joins_what_is_freed),
        CHECK_ENTRY(heap_refuses_what_it_cannot_hold),
        CHECK_ENTRY(every_float_format_matches_the_systems),
        CHECK_ENTRY(integers_and_text_match_the_systems),
        CHECK_ENTRY(text_is_cut_and_terminated),
        CHECK_ENTRY(bytes_compare_as_the_systems_do),
        CHECK_ENTRY(sorting_gives_the_systems_order),
        CHECK_ENTRY(products_of_128_bits_are_exact),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
