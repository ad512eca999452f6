// Memory for weights, caches and buffers: zeroed, 64-byte aligned, with up to 2 MB more than asked for where they are
// large.
#pragma once
#include <stddef.h>

void *memory_get(size_t size);   // NULL when refused; size 0 gives a valid pointer
void memory_free(void *p);       // accepts NULL
// a * b, or 0 with *overflow set.
size_t memory_times(size_t a, size_t b, int *overflow);
