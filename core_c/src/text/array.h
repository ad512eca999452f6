// Arrays whose size arithmetic can't overflow, from malloc and calloc.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Room for n items, not cleared; NULL when there is no memory, or when n * item is no size_t.
static inline void *array_new(size_t n, size_t item) { return n > SIZE_MAX / item ? NULL : malloc(n ? n * item : 1); }

// The system gives large ones zero, page by page as they are used.
static inline void *array_zero(size_t n, size_t item) { return n > SIZE_MAX / item ? NULL : calloc(n ? n : 1, item); }

// Make room for `need` items in an array of which `used` matter. Returns 0 when there is no memory (the array stays).
// The system moves a large one without copying it.
static inline int array_room(void **array, size_t used, size_t *capacity, size_t need, size_t item) {
    if (need <= *capacity) return 1;
    size_t wanted = need > SIZE_MAX / 2 ? need : need + need / 2 + 16;
    if (wanted > SIZE_MAX / item) return 0;
    void *bigger = used ? realloc(*array, wanted * item) : malloc(wanted * item);
    if (!bigger) return 0;
    if (!used) free(*array);
    *array = bigger;
    *capacity = wanted;
    return 1;
}
