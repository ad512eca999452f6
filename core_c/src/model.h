// A model in memory: hyper-parameters, tokenizer, weights as panels, a pool of threads. Immutable once loaded, except
// for the pool and the ISA row.
#pragma once
#include <stdatomic.h>
#include "arch/arch.h"
#include "kernels/kernels.h"
#include "text/tokenizer.h"
#include "threads/threads.h"

typedef struct layer {
    float *attn_norm, *ffn_norm;                             // [n_embd]
    float *attn_q_b, *attn_k_b, *attn_v_b, *attn_output_b;   // biases; NULL: none
    weight attn_q, attn_k, attn_v, attn_output;
    weight ffn_gate, ffn_up, ffn_down;
} layer;

struct gemel_model {
    hparams h;
    gguf *gguf;
    tokenizer *tok;
    layer *layers;                                // [n_layer]
    weight token_embd, output;                    // output is token_embd's twin when the file ties them
    float *output_norm;                           // [n_embd]
    float *rope_freqs, *rope_long, *rope_short;   // per-pair divisors; NULL: none
    uint8_t *memory;                              // all of the above, in the order in which it is used
    size_t memory_size;
    double n_params, decode_size, decode_macs, prefill_macs;
    threads *pool;
    int owns_pool;   // else it is the host's, and others may use it
    int n_threads;   // of the pool's; as many as it has, should it have fewer
    pace pace;       // of passes over one token
    const kernels *k;
    int isa;
    int is_tied;
    int has_halves;   // some weight's sub-blocks are of 16: it needs the sums of activations' half blocks
    int n_batch;      // tokens of a micro-batch
    // Layers that have arrived, up to the first that has not; -1: not even what sessions need. Then: all has. The
    // loader writes both when the weights are in place, and sessions read them before they touch a weight.
    atomic_int n_whole, is_whole;
};
static inline int model_is_whole(gemel_model *m) { return atomic_load(&m->is_whole); }

// Of `slots`, the i-th slot's place in `base`.
static inline weight *slot_weight(void *base, const tensor_slot *s) { return (weight *)((char *)base + s->at); }
static inline float **slot_vector(void *base, const tensor_slot *s) { return (float **)((char *)base + s->at); }
