// A complete header becomes a model without its weights: numbers, tokenizer, places, memory, threads.
#pragma once
#include "place.h"

// On success the model owns g, and p says where each tensor goes. On an error everything is freed except g, which stays
// the caller's. pool NULL: the model opens a pool of n_threads; else it uses n_threads of the pool.
int model_open(gemel_model **out, gguf *g, threads *pool, int n_threads, int isa, placement *p, errors *e);
// The same numbers and checks without memory for weights or threads: what gemel_loader_plan counts.
int model_measure(gemel_model **out, const gguf *g, int n_threads, placement *p, errors *e);
// The tokenizer of a header, with warnings of its vocabulary.
int words_open(tokenizer **out, const gguf *g, warnings *said, errors *e);
