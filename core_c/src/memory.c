#define _DEFAULT_SOURCE
#include "memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined __linux__
#include <sys/mman.h>
#endif

// HUGE: blocks of this size and more are aligned so that the system can use pages of this size.
enum { ALIGN = 64, HUGE = 2 << 20 };

// The block from malloc is kept just before the aligned one.
void *memory_get(size_t size) {
#if defined __linux__
    size_t align = size >= HUGE ? HUGE : ALIGN;
#else
    size_t align = ALIGN;
#endif
    if (size > SIZE_MAX - align - sizeof(void *)) return NULL;
    char *raw = calloc(1, size + align + sizeof(void *));
    if (!raw) return NULL;
    char *p = (char *)(((uintptr_t)raw + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1));
    memcpy(p - sizeof(void *), &raw, sizeof(void *));
#if defined __linux__ && defined MADV_HUGEPAGE
    if (align == HUGE)
        (void)madvise(p, size & ~(size_t)(HUGE - 1), MADV_HUGEPAGE);   // a hint: refusal costs speed only
#endif
    return p;
}

void memory_free(void *p) {
    void *raw;
    if (!p) return;
    memcpy(&raw, (char *)p - sizeof(void *), sizeof(void *));
    free(raw);
}

size_t memory_times(size_t a, size_t b, int *overflow) {
    if (b && a > SIZE_MAX / b) {
        *overflow = 1;
        return 0;
    }
    return a * b;
}
