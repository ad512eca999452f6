// Where each tensor of a file goes in a model's memory. The table of tensors is walked once to measure and check, and
// once to hand out places.
#pragma once
#include "../arch/slots.h"

// A run of rows of one tensor on its way into one slot. A fused tensor is several, one after the other.
typedef struct destination {
    int tensor;         // of the file
    uint64_t from;      // bytes of the tensor before it
    uint64_t size;      // bytes
    weight *w, *tied;   // a matrix's panels; the tied head, whose type follows; else
    float *v;           // a vector's floats
    int first_panel;    // of w, where the run's rows begin
    int kind;           // enum slot_kind: a vector's numbers are checked by it
    int n_in, n_out;    // n_out 1: a vector
    int il;             // its layer; -1: sessions need it from the start, n_layer: at the end
} destination;

typedef struct placement {
    destination *to;   // [n]
    int n, capacity;
    uint64_t size;   // bytes of memory that the model's weights need
} placement;

// Find each tensor's place in m, whose numbers are known, and check shapes and formats. Weights get their sizes and,
// with m->memory, their data. GEMEL_E_FORMAT, _UNSUPPORTED: a tensor is missing, unexpected, or of another shape.
int place_tensors(placement *p, gemel_model *m, const gguf *g, errors *e);
void place_close(placement *p);
