// The GGUF reader: bytes fed in pieces become metadata and a table of tensors, each claim checked against the file's
// size before memory is taken for it. Knows the container and the sizes of tensor types; knows no architecture.
#pragma once
#include "gemel.h"
#include "../errors.h"

typedef enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
} gguf_type;

typedef struct gguf_span {
    const char *at;
    size_t size;
} gguf_span;   // not terminated

typedef struct gguf_tensor {
    gguf_span name;
    int type;   // GGUF tensor type, see quant/formats.h
    int n_dims;
    uint64_t ne[4];    // ne[0] is the contiguous one; unused ones are 1
    uint64_t offset;   // in the file
    uint64_t size;     // bytes
} gguf_tensor;

typedef gemel_gguf gguf;

// Feed header bytes in file order; *used of `size` were taken. Returns 1 when the header is whole, 0 for more, or an
// error. Linear in the bytes fed, however small the pieces.
int gguf_open(gguf **out, uint64_t file_size, errors *e);
int gguf_feed(gguf *g, const uint8_t *data, size_t size, size_t *used, errors *e);
void gguf_close(gguf *g);

uint64_t gguf_header_size(const gguf *g);   // bytes up to the tensor data
uint64_t gguf_fingerprint(const gguf *g);   // FNV-1a of the header's bytes
int gguf_n_tensors(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, int i);
int gguf_tensor_find(const gguf *g, const char *name);   // index, or -1: none. Logarithmic time
// Typed look-ups by key. Return 1 found, 0 absent, GEMEL_E_FORMAT when present with a type or value that does not fit.
int gguf_find(const gguf *g, const char *key);                                // index of the pair or -1
int gguf_get_u32(const gguf *g, const char *key, uint32_t *out, errors *e);   // any integer type whose value fits
int gguf_get_f32(const gguf *g, const char *key, float *out, errors *e);      // F32 or F64; finite
int gguf_is_array(const gguf *g, const char *key);                            // 1 when present, and an array
int gguf_get_bool(const gguf *g, const char *key, int *out, errors *e);
int gguf_get_string(const gguf *g, const char *key, gguf_span *out, errors *e);
// Arrays: *n items, then items by index without checks on type again. `type` is the wanted item type: every item is a
// value of it, though the file may store integers as another integer type, and floats as the other float type.
int gguf_get_array(const gguf *g, const char *key, gguf_type type, int *index, size_t *n, errors *e);
gguf_span gguf_array_string(const gguf *g, int index, size_t j);   // constant time
double gguf_array_number(const gguf *g, int index, size_t j);
