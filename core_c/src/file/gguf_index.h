// What is kept of a GGUF header: its bytes, once, and small tables of offsets into them, with names in order. The
// reader fills it; look-ups and the joining of split files read it. No file outside of file/ includes it.
//
//   bytes   | GGUF ver n n | key type value | key type [items] | ... | name dims type offset | ...
//   kv                       ^key_at  ^value_at
//   items                                              ^ ^ ^ where each string of an array of strings starts
//   entries                                                            ^name_at
//
// The buffer moves as it grows: pointers into it are made when the header is complete.
#pragma once
#include "../errors.h"
#include "gguf_types.h"

typedef struct gguf_kv {
    uint32_t key_at, key_size;
    uint32_t value_at;     // a scalar's bytes, a string's length field, or an array's first item
    uint32_t count;        // items of an array; 1 for a scalar
    uint32_t first_item;   // of an array of strings: index into items[]
    uint8_t type, item_type;
    uint8_t is_read;   // of an override: it was looked up
} gguf_kv;

typedef struct gguf_entry {
    gguf_tensor tensor;
    uint32_t name_at;   // tensor.name.at once the header is complete
} gguf_entry;

// A table that grows by doubling to what has been read, never to what is claimed.
typedef struct gguf_table {
    void *at;
    size_t count, capacity;
} gguf_table;

struct gemel_gguf {
    uint64_t file_size;
    gguf_table bytes;           // of uint8_t
    gguf_table kv;              // of gguf_kv
    gguf_table items;           // of uint32_t: the length fields of strings in arrays
    gguf_table entries;         // of gguf_entry
    uint32_t *kv_order;         // [kv.count] indices sorted by key
    uint32_t *entry_order;      // [entries.count] indices sorted by name
    uint64_t n_kv, n_tensors;   // as claimed
    uint64_t alignment;
    uint64_t data_offset;
    uint64_t fingerprint;
    int version;
    uint64_t base;             // of a part of a split model: where its file lies
    struct gemel_gguf *next;   // the part after it, its owner's
    struct gemel_gguf *over;   // pairs that come before the file's (override.h), its owner's; NULL: none
    int is_over;               // this is such a table: bytes, kv and kv_order, and nothing else

    // The parser's state: `state` waits for a token of `need` bytes from `at` on.
    int state;
    size_t at, need;
    size_t token_at;       // where the token of an error message starts
    int place;             // what error messages name: nothing, a key, a tensor
    uint64_t items_left;   // of the array of strings being read
    uint64_t padding;      // bytes left between the tables and the tensor data
};

static inline gguf_kv *gguf_kv_at(const gguf *g, size_t i) { return (gguf_kv *)g->kv.at + i; }
static inline gguf_entry *gguf_entry_at(const gguf *g, size_t i) { return (gguf_entry *)g->entries.at + i; }
static inline const uint8_t *gguf_bytes(const gguf *g) { return g->bytes.at; }

// Room for `more` items of item_size bytes at the end of a table. Sizes stay far below 2^32: the reader bounds those of
// a header, override.c those that a host gives. NULL: no memory.
void *gguf_grow(gguf_table *t, size_t more, size_t item_size, errors *e);
#define GGUF_HASH_START 0xCBF29CE484222325u   // FNV-1a
uint64_t gguf_hash(uint64_t hash, const void *data, size_t size);
gguf_span gguf_key_of(const gguf *g, size_t i);
gguf_span gguf_name_of(const gguf *g, size_t i);   // of a tensor, also while the header is being read
// Sort the entries' names into *order, which the caller frees. GEMEL_E_FORMAT: *twice and the entry after it in that
// order have the same name; *order stays the caller's.
int gguf_sort_names(const gguf *g, uint32_t **order, size_t *twice, errors *e);
int gguf_compare(gguf_span a, gguf_span b);   // by bytes, then by size: <0, 0, >0
// Indices 0..n-1 in the order of `compare`, equal ones by index; the caller frees them. NULL: no memory.
typedef int gguf_order(const gguf *g, uint32_t a, uint32_t b);
uint32_t *gguf_sorted(const gguf *g, size_t n, gguf_order *compare, errors *e);
gguf_order gguf_by_key;
// Index of the name in a table of n names that `order` sorts, or -1.
int gguf_search(const gguf *g, const uint32_t *order, size_t n, gguf_span (*name_of)(const gguf *, size_t),
                gguf_span name);
const char *gguf_type_name(int type);   // "U32"; NULL when there is no such value type
size_t gguf_type_size(int type);        // bytes of a number or boolean; 0 for strings and arrays
// Little-endian bytes, at any alignment, to integers.
static inline uint32_t gguf_load32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t gguf_load64(const uint8_t *p) { return gguf_load32(p) | (uint64_t)gguf_load32(p + 4) << 32; }

// override.c, of a table of overrides: its pairs hashed onto a fingerprint; the error for a pair of the wrong type.
uint64_t gguf_overrides_hash(const gguf *over, uint64_t hash);
int gguf_override_mistyped(const gguf *over, const gguf_kv *kv, const char *wanted, errors *e);
