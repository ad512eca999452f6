// A model in memory: its numbers, each layer's own numbers and weights, tokenizer, and the threads it computes on.
// Immutable once loaded, except for the number of threads, the instruction set and the workspace of the running pass.
// After arch_read no code asks which architecture a model is: whatever a layer needs is in its struct.
#pragma once
#include <stdatomic.h>
#include "../kernels/kernels.h"
#include "kinds.h"
#include "../cache/kv.h"
#include "../draft/length.h"
#include "../draft/ngrams.h"
#include "../file/gguf.h"
#include "../text/tokenizer.h"
#include "../threads/threads.h"

enum { N_BATCH_LEAST = 128, N_BATCH_MAX = 512 };   // rows of a micro-batch: of a dense model, at most

enum { N_EXPERT_MAX = 1024, N_USED_MAX = 64 };   // experts of a layer, and of a row, at most
enum { N_FF_MAX = 1 << 22 };                     // the longest feed-forward, also of an expert

typedef struct norm {
    float *w, *b;   // [n]; NULL: no weights, no bias
    int is_on;      // 0: there is no norm here
    norm_kind kind;
} norm;
typedef struct linear {
    weight w;
    float *b;   // [n_out]; NULL: no bias
} linear;

typedef struct attention {
    int n_head, n_head_kv, k_dim, v_dim, n_rot;
    int rope;                      // which of the model's RoPE tables; -1: none
    int window;                    // positions a query sees, its own included; 0: all
    int reach;                     // of an encoder: positions that are less far away are seen; 0: all
    int is_chunked;                // windows lie side by side: a query sees its own, up to itself
    double score_div;              // scores are divided by it
    float q_scale, q_scale_log2;   // 1 / score_div, log2(e) / score_div: what a query is multiplied by
    float soft_cap;                // of scores; 0: none
    float clamp;                   // q, k and v lie within +-clamp; 0: anywhere
    linear q, k, v, output;
    norm q_norm, k_norm;
    int is_gated;       // q has a gate beside each head, whose sigmoid multiplies what the head makes
    int is_wide_norm;   // they norm all heads of a row together: else each head alone
    norm v_norm;        // without weights
    int is_k_v;         // values are what keys are before norm and RoPE: there is no v
    int is_late_norm;   // q_norm and k_norm follow RoPE
    int norm_stride;    // between the weights of one head and the next; 0: all heads share them
    // Queries are multiplied by 1 + heat * ln(1 + floor((position + heat_ahead) / heat_span)). heat_span 0: they aren't
    double heat;
    int heat_span, heat_ahead;
    const float *slopes;         // [n_head] of ALiBi; NULL: none
    float *sinks;                // [n_head] scores that belong to no position; NULL: none
    int kv_of;                   // the earlier layer whose keys and values it reads; -1: it makes its own
    int cache_class, cache_at;   // its class of the cache; the place of its first KV head in a page of that class
} attention;

// Latent attention: `attention` has the numbers of its absorbed form, in which all heads share one KV head. Its key is
// the latent and the rotated key, its value the latent. These are the numbers of a head outside that form.
typedef struct mla {
    int q_rank;         // of the queries' two matrices; 0: they have one
    int k_dim, v_dim;   // of a head; a key's last attention.n_rot channels are rotated
    linear q, q_a, q_b, kv_a;
    norm q_a_norm, kv_a_norm;
    linear k_b, v_b;   // [n_head] matrices: from a query to the latent, from the latent to an output
} mla;

// A convolution of each channel over its last n_taps positions, between two gates. Its state: what came before the
// position, [n_taps - 1][n_embd].
typedef struct short_conv {
    int n_taps;   // 0: the layer has none
    linear in;    // [3 * n_embd][n_embd]: what is multiplied before, after it, and what it reads
    float *w;     // [n_embd][n_taps]
    linear out;
} short_conv;

// A gated delta net (arXiv:2412.06464). Rows of qkv are the queries and keys of n_k heads, then the values of n_v; each
// channel is convolved over its last n_taps positions. Its state: what came before the position, [n_taps - 1][n], and a
// matrix [k_dim][v_dim] of each head of values.
typedef struct delta_net {
    int n_taps;     // 0: the layer has none
    int n_k, n_v;   // heads: n_v is a multiple of n_k
    int k_dim, v_dim;
    int n;            // channels of qkv
    int is_grouped;   // values' heads that share a key are adjacent, and beta has alpha's rows, too: else every n_k-th
    linear qkv, z;    // z: the gate of what heads make
    linear beta, alpha;
    float *conv;     // [n][n_taps]
    float *a, *dt;   // [n_v]
    norm norm;       // of what a head makes
    linear out;
} delta_net;

// A selective state space (arXiv:2312.00752; Mamba-2: arXiv:2405.21060). A convolution of each channel, as above; then
// each channel has n_state numbers, which decay, take in what the position gives, and are added up into what it makes.
// Its state: the convolution's, then those numbers. Mamba-2 has heads, whose channels decay alike.
typedef struct mamba {
    int n_taps;             // of the convolution; 0: the layer has none of this
    int n_inner;            // channels
    int n_state;            // numbers of a channel
    int n_head, n_group;    // of Mamba-2; heads of a group share what goes in and out of their states. 0: Mamba-1
    int rank;               // of Mamba-1: the step of a channel is a product with so many numbers
    int is_normed;          // of Mamba-1: steps, and what goes in and out, are normed first
    linear in;              // what is convolved; what gates; of Mamba-2 also steps
    float *conv, *conv_b;   // [channels][n_taps]; NULL: no biases
    linear x, dt;           // of Mamba-1. dt.b is of both
    float *a, *d;           // how fast states decay: [n_head] or [n_inner][n_state]; [n_head] or [n_inner]
    norm norm;              // of each group of channels
    linear out;
} mamba;

// RWKV-7's time mix (arXiv:2503.14456). Six mixes of a row with the one before give what heads receive, keep, and write
// at which keys, how fast, and what gates them; four of these by two matrices with few numbers between. A head keeps a
// matrix [n][n], keys by values. Its state: the row before, normed, [n_embd], and the matrices; with a channel mix also
// the row before as feed-forward reads it, [n_embd].
typedef struct time_mix {
    int n;                                              // channels of a head; 0: the layer has none of this
    int decay_rank, rate_rank, value_rank, gate_rank;   // gate_rank 0: nothing gates
    float *mixes;                                       // [time_mixes][n_embd] of r, decay, k, v, rate, gate
    linear r, k, v, out;
    linear decay[2], rate[2], value[2], gate[2];   // of the first layer no `value`
    float *k_k, *k_a, *r_k;                        // [n_embd]
    norm norm;                                     // of what a head makes
    float *channel_mix;                            // [n_embd] of feed-forward; NULL: it reads rows as they are
} time_mix;
static inline int time_mixes(const time_mix *t) { return t->n ? 5 + (t->gate_rank > 0) : 0; }

// Rows of `in`: what gates, what is convolved, and of Mamba-2 a step for each head.
static inline int mamba_convolved(const mamba *m) { return m->n_inner + 2 * m->n_group * m->n_state; }
static inline int mamba_width(const mamba *m) { return m->n_inner + mamba_convolved(m) + m->n_head; }

typedef struct feed_forward {
    int n_ff;
    act_kind act;
    float by[ACT_NUMBERS];   // the numbers of the activation
    linear gate, up, down;
    norm out;   // of what it makes, beside experts
} feed_forward;

// A mixture: a router chooses n_used of n feed-forwards for each row. A linear of it holds n matrices of equal shape,
// one after the other: its w and b are the first one's (see expert_linear).
typedef struct experts {
    int n, n_used;                 // 0: the layer has none
    int n_groups, n_groups_used;   // experts are chosen from the best groups only; 1, 1: from all
    int group_top;                 // a group is as good as its best experts together: 1 or 2 of them
    int n_ff, n_ff_shared;         // of an expert; of the shared one, 0: there is none
    route_kind route;
    int is_normed;         // weights of the chosen sum to 1
    float weights_scale;   // weights are then multiplied by it
    int is_before;         // what an expert reads is multiplied by its weight: else what it makes
    act_kind act;
    linear router;        // [n][n_embd]
    float router_scale;   // its logits are multiplied by it; 1 of ROUTE_MIXER
    float *choice_bias;   // [n] added to scores, only to choose by them; NULL: none
    float *scales;        // [n] the weight of an expert is multiplied by its own; NULL: it isn't
    norm in, router_in;   // beside a dense feed-forward: what experts and routers read by; else all read by ffn_in
    norm out;             // there: of the sum over experts
    linear gate, up, down;
    linear shared_gate, shared_up, shared_down;
    linear shared_router;   // [1][n_embd] its sigmoid is the shared expert's weight; no panels: the weight is 1
} experts;

// An embedding of the layer's own: x grows by norm(proj (act(gate x) * embedding)) after feed-forward.
typedef struct per_layer {
    linear gate, proj;   // [n_per_layer][n_embd], [n_embd][n_per_layer]
    norm out;
} per_layer;

typedef struct layer {
    norm in, out, ffn_in, ffn_out;   // before and after each half
    norm mid, end;                   // of the stream itself, after attention and after feed-forward
    mixer_kind mixer;
    ffn_kind ffn;
    int is_parallel;        // both halves read the residual stream as it enters the layer
    float residual_scale;   // what a half adds is multiplied by it
    float *out_scale;       // [1] the stream after the layer is multiplied by it; NULL: it isn't
    int heads_width;        // floats of a row between the mixer's phases, in workspace.heads
    size_t state_at;        // where its part of a session's state begins, in floats
    attention attn;         // of a layer without attention: no heads
    mla mla;
    short_conv conv;
    delta_net delta;
    mamba mamba;
    time_mix time;
    feed_forward ff;
    experts experts;
    per_layer own;
} layer;

// Expert e's own matrix and bias.
static inline linear expert_linear(const linear *all, int e) {
    return (linear){weight_at(&all->w, e), all->b ? all->b + (size_t)e * (size_t)all->w.n_out : NULL};
}

// One RoPE table: an angle per position and pair. A file may give two tables, and the context's length chooses.
typedef struct rope_table {
    int n_rot, far;   // rotated channels of a head; how far apart the two of a pair are: 1, or n_rot / 2
    rope_scaling scaling;
    double base, factor, attn_factor, beta_fast, beta_slow;
    int has_whole_bounds;   // of YaRN: the first and the last pair it changes are rounded, away from each other
    int n_ctx_orig;         // context length before scaling
    double *freq[2];        // [n_rot / 2] of sessions up to n_ctx_orig, and of longer ones
    float scale[2];         // of cos and sin
    int at;                 // where its cos and sin begin in a row's rope_cs
} rope_table;

// A classifier's scores of a text: out(tanh(dense x)), in doubles. See gemel_model_rank.
typedef struct classifier {
    int n;                    // scores: the file's labels, or one
    int pooling;              // a gemel_pooling: which hidden state of a text is x
    float *dense, *dense_b;   // [n_embd][n_embd], [n_embd]; NULL: x itself; no biases
    float *out, *out_b;       // [n][n_embd], [n]; NULL: the file has no classifier; no biases
} classifier;

typedef struct model_totals {
    double n_params, decode_size, decode_macs, prefill_macs;
    int has_halves;   // some weight has sub-blocks of 16 and needs the sums of activations' half blocks
    int has_bytes;    // some weight's codes are bytes
    int has_parallel, has_beside;
    // The widest of all layers: rows of q, k, v; heads padded side by side; n_ff, of all experts of a row side by side
    int q, k, v, k_heads, v_heads, n_head, n_ff;
    int inner;                                     // rows of what Mamba makes
    int mixed;                                     // rows that RWKV-7's matrices read
    int n_expert, n_expert_used, gathers_floats;   // the last: some expert reads floats, not codes
} model_totals;

struct gemel_ngrams {
    ngrams file;
    uint64_t vocab_hash;
};

struct workspace;
struct text_tree;
struct gemel_model {
    const arch *arch;
    int n_vocab, n_ctx_train, n_embd, n_layer;
    int n_spare_layers;   // of the file, after the others: not loaded
    int last_put;         // the last layer that puts keys and values into the cache
    float norm_eps;
    float embd_scale, logit_scale, logit_soft_cap;   // 1, 1, 0: neutral
    float *slopes;                                   // of all layers; NULL: none
    layer *layers;                                   // [n_layer]
    weight token_embd;                               // [n_vocab][n_embd]
    weight position_embd;                            // [n_ctx_train][n_embd]; no panels: none
    weight token_types;                              // [n_types][n_embd]; no panels: none
    int n_types;                                     // of a text's parts
    float *rel_bias;                                 // [n_buckets][n_head] added to scores; NULL: none
    int n_buckets;                                   // of distances
    uint8_t buckets[BIAS_WIDTH];                     // of the distances from -BIAS_FAR - 16 on
    int is_encoder;                                  // a position sees its whole text; there is no head
    int pooling;                                     // a gemel_pooling, of the file; 0: it says none
    classifier rank;
    int n_per_layer;               // floats of the embedding that each layer has; 0: none has one
    weight per_layer_embd;         // [n_vocab][n_layer * n_per_layer]
    linear per_layer_proj;         // [n_layer * n_per_layer][n_embd]
    norm per_layer_norm;           // of a layer's part of the projection
    norm embd_norm, output_norm;   // an encoder's embd_norm follows the embeddings of types and positions
    linear output;                 // where the file ties it to the embedding: a weight over token_embd's data
    float *rope_factors[3];        // per-pair divisors: of all contexts, of long, of short ones; NULL: none
    rope_table *ropes;             // [n_ropes]
    int n_ropes, rope_width;       // floats of a row's cos and sin, of all tables
    kv_class *classes;             // [n_classes]
    int n_classes;
    int n_first;                // floats of a row that layer 0 makes, and all layers of RWKV-7 read; 0: none
    size_t n_state;             // floats of a session's state, of all layers; 0: none has one
    atomic_size_t cache_size;   // bytes that the caches and states of all sessions take
    uint8_t *memory;            // all weights, in the order in which a pass uses them
    size_t memory_size;
    model_totals totals;
    int is_tied, n_batch;   // n_batch: rows of a micro-batch
    int kv_type;            // the default type of caches
    gguf *gguf;
    tokenizer *tok;
    warnings said;                       // of the file's vocabulary
    _Atomic(struct text_tree *) words;   // the vocabulary's texts as a tree, made for the first grammar; NULL before

    threads *pool;
    pace pace;
    costs costs;
    atomic_int draft;                       // a gemel_draft
    _Atomic(gemel_model *) drafter;         // the draft model, or NULL
    costs drafter_costs;                    // of it: rows, and an id drawn
    _Atomic(const gemel_ngrams *) ngrams;   // or NULL
    trust drafter_trust[2], ngrams_trust;   // of the draft model: where ids are the most likely, where they are drawn
    int n_threads, owns_pool;
    const kernels *k;
    int isa;
    struct workspace *workspace;   // the running pass's: used while running on the pool
    // Layers that have arrived, up to the first that has not; -1: not even what sessions need. Then: all has. The
    // loader writes both when the weights are in place, and sessions read them before they touch a weight.
    atomic_int n_whole, is_whole;
};
// Of the first layer that has attention; of the first layer, which has no heads, if none has.
const attention *model_attention(const gemel_model *m);
static inline int model_is_whole(gemel_model *m) { return atomic_load(&m->is_whole); }
