// Words of the GGUF container: its value types, spans of its bytes, and a row of its table of tensors.
#pragma once
#include "gemel.h"

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
