// Where each tensor of a file goes: from its table of tensors to places in a model's memory. Walked once to measure
// and to check, and once to hand out.
#pragma once
#include "../arch/slots.h"

// A run of rows of one tensor on its way into one slot. A fused tensor is several, one after the other.
typedef struct destination {
    int tensor;         // of the file
    uint64_t from;      // bytes of the tensor before it
    uint64_t size;      // bytes
    weight *w, *tied;   // a matrix's panels; the tied head, whose type follows; else
    float *v;           // a vector's floats
    int is_factors;     // its numbers are over 0
    int n_in, n_out;    // n_out 1: a vector
    int il;             // its layer; -1: sessions need it from the start, n_layer: at the end
} destination;

typedef struct placement {
    destination *to;   // [n]
    int n, capacity;
    uint64_t size;   // bytes of memory that the model's weights need
} placement;

// Find every tensor its place in m, whose numbers are known, and check shapes and formats. Weights get their sizes;
// with m->memory they get their data, too. GEMEL_E_FORMAT, _UNSUPPORTED: a tensor is missing, unexpected, of another
// shape.
int place_tensors(placement *p, gemel_model *m, const gguf *g, errors *e);
void place_close(placement *p);
