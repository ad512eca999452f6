// What a model is: the numbers in a file's metadata, and which tensors it must hold. An architecture is a row of a
// table. Knows the file's table of contents; knows no memory and no arithmetic but the RoPE frequencies.
#pragma once
#include "../file/gguf.h"

typedef enum rope_kind { ROPE_NORM, ROPE_NEOX } rope_kind;   // pairs (2i, 2i+1), or (i, i + n_rot/2)
typedef enum rope_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_YARN, SCALING_LONGROPE } rope_scaling;

typedef struct arch {
    const char *name;
    rope_kind rope;
} arch;

typedef struct hparams {
    const arch *arch;
    int n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, head_dim, n_rot, n_ff;
    float norm_eps;
    rope_scaling scaling;
    double rope_base, rope_factor, rope_attn_factor, beta_fast, beta_slow;
    int n_ctx_orig;   // context length before scaling
} hparams;

int hparams_read(hparams *h, const gguf *g, errors *e);

// Where a tensor goes. Vectors become floats, matrices panels.
enum { SLOT_VECTOR, SLOT_MATRIX };
typedef struct tensor_slot {
    const char *name;   // "attn_q.weight"; of a layer: without "blk.N."
    size_t at;          // offset of its float pointer (vector) or weight (matrix) in struct layer or gemel_model
    int kind, is_required;
    int n_in, n_out;   // shape, as DIM_*: see arch.c; a vector has n_in only
} tensor_slot;
extern const tensor_slot model_slots[], layer_slots[];   // each ends with a NULL name
int slot_dim(const hparams *h, int dim);

// Angle per position of each rotated pair, freq[n_rot/2], and what cos and sin are multiplied by. `factors` (or NULL)
// are the file's per-pair divisors.
void rope_frequencies(const hparams *h, const float *factors, double *freq, float *scale);
