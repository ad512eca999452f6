// How the loader makes a model: shape it from the header, fill it, finish it.
#pragma once
#include "model.h"

typedef struct destination {   // of one tensor of the file
    weight *w;                 // a matrix's, its data allocated and zeroed; else
    float *v;                  // a vector's floats
    int il;                    // its layer; -1: sessions need it from the start, n_layer: at the end
} destination;

// Check the header against the architecture, take memory, open the tokenizer; to[n_tensors] says where each tensor
// goes. On success the model owns g; on an error nothing is left behind and g stays the caller's.
// pool: whose n_threads threads it uses; NULL: it opens its own.
int model_open(gemel_model **out, gguf *g, threads *pool, int n_threads, int isa, destination *to, errors *e);
void model_tie(gemel_model *m);   // token_embd is in: where the file has no output, it is that, too
