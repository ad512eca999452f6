// Look-ups in a GGUF header that has been read: metadata by key or index, tensors by name or index; typed and checked.
// Knows how values are stored; knows no key's meaning.
#pragma once
#include "../errors.h"
#include "gguf_types.h"

uint64_t gguf_header_size(const gguf *g);   // bytes up to the tensor data
uint64_t gguf_fingerprint(const gguf *g);   // FNV-1a of the header's bytes, and of overrides
int gguf_n_tensors(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, int i);
int gguf_tensor_find(const gguf *g, const char *name);   // index, or -1: none. Logarithmic time
int gguf_find(const gguf *g, const char *key);           // index of the file's pair, or -1
// Typed look-ups by key, of what the host gave (override.h) before what the file says. Return 1 found, 0 absent,
// GEMEL_E_FORMAT when its type or value does not fit, GEMEL_E_ARGUMENT when an override's type doesn't.
int gguf_get_u32(const gguf *g, const char *key, uint32_t *out, errors *e);   // any integer type whose value fits
int gguf_is_given(const gguf *g, const char *key);                            // 1: the host overrides it
// The file's own value, whatever the host gave: 1 and a double, rounded if it has over 53 bits; 0: no integer is there.
int gguf_own_integer(const gguf *g, const char *key, double *out);
int gguf_get_f32(const gguf *g, const char *key, float *out, errors *e);   // F32 or F64; finite
int gguf_is_array(const gguf *g, const char *key);                         // 1 when present, and an array
int gguf_get_bool(const gguf *g, const char *key, int *out, errors *e);
int gguf_get_string(const gguf *g, const char *key, gguf_span *out, errors *e);
// Arrays: *n items, then items by index, without another check of the type. `type` is the expected item type: every
// item is a value of it, though the file may store integers as another integer type and floats as the other float type.
int gguf_get_array(const gguf *g, const char *key, gguf_type type, int *index, size_t *n, errors *e);
gguf_span gguf_array_string(const gguf *g, int index, size_t j);   // constant time
double gguf_array_number(const gguf *g, int index, size_t j);
