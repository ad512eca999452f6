#include "gguf_index.h"
#include <stdlib.h>
#include <string.h>

// clang-format off
static const struct { const char *name; uint8_t size; } types[GGUF_F64 + 1] = {
    [GGUF_U8] = {"U8", 1}, [GGUF_I8] = {"I8", 1}, [GGUF_U16] = {"U16", 2}, [GGUF_I16] = {"I16", 2},
    [GGUF_U32] = {"U32", 4}, [GGUF_I32] = {"I32", 4}, [GGUF_F32] = {"F32", 4}, [GGUF_BOOL] = {"BOOL", 1},
    [GGUF_STRING] = {"STRING", 0}, [GGUF_ARRAY] = {"ARRAY", 0}, [GGUF_U64] = {"U64", 8}, [GGUF_I64] = {"I64", 8},
    [GGUF_F64] = {"F64", 8},
};
// clang-format on

const char *gguf_type_name(int type) { return type >= 0 && type <= GGUF_F64 ? types[type].name : NULL; }
size_t gguf_type_size(int type) { return type >= 0 && type <= GGUF_F64 ? types[type].size : 0; }

// ---- Growing -----------------------------------------------------------------------------------------------------

void *gguf_grow(gguf_table *t, size_t more, size_t item_size, errors *e) {
    if (more > t->capacity - t->count) {
        size_t capacity = t->capacity ? t->capacity : 4096 / item_size + 1;
        while (capacity < t->count + more) {
            if (capacity > SIZE_MAX / 2 / item_size) {
                fail(e, GEMEL_E_MEMORY, "the header's tables don't fit the address space");
                return NULL;
            }
            capacity *= 2;
        }
        void *at = malloc(capacity * item_size);
        if (!at) {
            fail(e, GEMEL_E_MEMORY, "no memory for the header: %zu bytes", capacity * item_size);
            return NULL;
        }
        if (t->count) memcpy(at, t->at, t->count * item_size);
        free(t->at);
        t->at = at;
        t->capacity = capacity;
    }
    return (uint8_t *)t->at + t->count * item_size;
}

uint64_t gguf_hash(uint64_t hash, const void *data, size_t size) {
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001B3u;
    return hash;
}

// ---- Names --------------------------------------------------------------------------------------------------------

gguf_span gguf_key_of(const gguf *g, size_t i) {
    const gguf_kv *kv = gguf_kv_at(g, i);
    return (gguf_span){(const char *)gguf_bytes(g) + kv->key_at, kv->key_size};
}

gguf_span gguf_name_of(const gguf *g, size_t i) {
    const gguf_entry *entry = gguf_entry_at(g, i);
    if (entry->tensor.name.at) return entry->tensor.name;
    return (gguf_span){(const char *)gguf_bytes(g) + entry->name_at, entry->tensor.name.size};
}

int gguf_compare(gguf_span a, gguf_span b) {
    int order = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);
    return order ? order : a.size < b.size ? -1 : a.size > b.size;
}

int gguf_search(const gguf *g, const uint32_t *order, size_t n, gguf_span (*name_of)(const gguf *, size_t),
                gguf_span name) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int compared = gguf_compare(name_of(g, order[middle]), name);
        if (compared == 0) return (int)order[middle];
        if (compared < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

// ---- Sorting: names are found and compared in n log n, whatever they are ------------------------------------------

int gguf_by_key(const gguf *g, uint32_t a, uint32_t b) { return gguf_compare(gguf_key_of(g, a), gguf_key_of(g, b)); }

static int by_name(const gguf *g, uint32_t a, uint32_t b) {
    return gguf_compare(gguf_name_of(g, a), gguf_name_of(g, b));
}

// from[low..middle) and from[middle..high), each in order, to to[low..high).
static void merge(const gguf *g, gguf_order *compare, const uint32_t *from, uint32_t *to, size_t low, size_t middle,
                  size_t high) {
    size_t left = low, right = middle;
    for (size_t i = low; i < high; i++) {
        int take_left = left < middle && (right >= high || compare(g, from[left], from[right]) <= 0);
        to[i] = take_left ? from[left++] : from[right++];
    }
}

// A merge sort, bottom up.
uint32_t *gguf_sorted(const gguf *g, size_t n, gguf_order *compare, errors *e) {
    uint32_t *from = malloc((n + 1) * sizeof *from), *to = malloc((n + 1) * sizeof *to);
    if (!from || !to) {
        free(from);
        free(to);
        fail(e, GEMEL_E_MEMORY, "no memory to sort %zu names", n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) from[i] = (uint32_t)i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n, high = middle + width < n ? middle + width : n;
            merge(g, compare, from, to, low, middle, high);
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    free(to);
    return from;
}

int gguf_sort_names(const gguf *g, uint32_t **order, size_t *twice, errors *e) {
    *order = gguf_sorted(g, g->entries.count, by_name, e);
    if (!*order) return GEMEL_E_MEMORY;
    for (size_t i = 1; i < g->entries.count; i++)
        if (by_name(g, (*order)[i - 1], (*order)[i]) == 0) {
            *twice = i - 1;
            return GEMEL_E_FORMAT;
        }
    return GEMEL_OK;
}
