// What the core uses of <stdlib.h>, without a libc: src/wasm/heap.c, sort.c.
#pragma once
#include <stddef.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);
void qsort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *));
