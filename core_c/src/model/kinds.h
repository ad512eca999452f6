// The kinds of parts that architectures are made of, and one architecture's row: what its files take for granted.
#pragma once
#include "../kernels/words.h"

typedef enum rope_kind {   // pairs (2i, 2i+1); (i, i + n_rot/2); no rotation
    ROPE_NORM,
    ROPE_NEOX,
    ROPE_NONE,
} rope_kind;
typedef enum rope_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_YARN, SCALING_LONGROPE } rope_scaling;
typedef enum mixer_kind {   // what joins positions
    MIXER_ATTENTION,
    MIXER_MLA,
    MIXER_CONV,
    MIXER_DELTA,   // gated delta nets
    MIXER_MAMBA,   // Mamba-1
    MIXER_MAMBA2,
    MIXER_BOTH,   // attention and Mamba-2, side by side
    MIXER_RWKV,   // RWKV-7's time mix
    MIXER_NONE,
    N_MIXERS
} mixer_kind;
typedef enum ffn_kind {   // what follows it, row by row
    FFN_GATED,
    FFN_PLAIN,
    FFN_EXPERTS,
    FFN_BESIDE,    // a gated one and experts, side by side
    FFN_CHANNEL,   // RWKV-7's channel mix: a plain one, which reads a row mixed with the one before
    FFN_NONE,
    N_FFNS,
} ffn_kind;
typedef enum route_kind {   // what a router's logits mean
    ROUTE_SOFTMAX,          // scores are the softmax of all logits
    ROUTE_SIGMOID,          // scores are the sigmoids
    ROUTE_CHOSEN,           // weights are the softmax of the chosen experts' logits
    ROUTE_MIXER,            // two experts, each by the softmax of logits near its own
} route_kind;

// Properties of an architecture. Those that name a tensor mean that its files must have it; with MAY_, may have it.
// Bits are 0 to 127, each of one property.
__extension__ typedef unsigned __int128 properties;
#define PROPERTY(i) ((properties)1 << (i))
#define HAS_ALL PROPERTY(0)     // of every architecture
#define HAS_PLAIN PROPERTY(1)   // of every architecture whose ffn is PLAIN
#define QKV_BIAS PROPERTY(2)
#define MAY_QKV_BIAS PROPERTY(3)
#define OUT_BIAS PROPERTY(4)   // of attention's output projection
#define MAY_OUT_BIAS PROPERTY(5)
#define FFN_BIAS PROPERTY(6)
#define MAY_FFN_BIAS PROPERTY(7)
#define HEAD_BIAS PROPERTY(8)
#define NORM_BIAS PROPERTY(9)   // of every norm
#define MAY_NORM_BIAS PROPERTY(10)
#define QK_NORM PROPERTY(11)        // each head of q and k is normed alone
#define QK_NORM_WIDE PROPERTY(12)   // all heads of a row together
#define POST_NORM PROPERTY(13)      // what a half adds is normed first
#define NORM_AFTER PROPERTY(14)     // only what a half adds: the halves read the residual stream itself
#define NORM_BARE PROPERTY(15)      // norms have neither weights nor biases, and files no tensors of them
#define ONE_NORM PROPERTY(16)       // both halves read the same normed rows
#define MAY_ONE_NORM PROPERTY(17)   // in files without ffn_norm
#define MAY_PARALLEL PROPERTY(18)   // the key use_parallel_residual says whether both halves read the same rows
#define FALCON_NORMS PROPERTY(19)   // parallel; attn_norm is feed-forward's; attention's is attn_norm_2, or the same
#define EMBD_SQRT PROPERTY(20)      // embeddings are multiplied by sqrt(n_embd)
#define EMBD_NORM PROPERTY(21)
#define POSITIONS PROPERTY(22)    // learned embeddings of positions
#define ALIBI PROPERTY(23)        // scores fall with the distance
#define REL_BIAS PROPERTY(73)     // scores are added what the file has for the distance
#define WINDOWS PROPERTY(24)      // layers may see a window only
#define SINKS PROPERTY(59)        // heads have sinks
#define HAS_MLA PROPERTY(60)      // of every architecture whose mixer is MLA
#define LARGE_KEYS PROPERTY(25)   // keys have channels so large that Q8_0 loses the rest: caches default to F16
// Of layers: what a layer is by its numbers. See layer_has.
#define HAS_DENSE PROPERTY(32)     // one feed-forward for all rows
#define HAS_EXPERTS PROPERTY(33)   // a mixture of experts
#define HAS_SHARED PROPERTY(34)    // and an expert that all rows have
#define HAS_BESIDE PROPERTY(61)    // a feed-forward and experts beside it, each with its own norms
// Mixtures of experts. Without EXPERTS or MAY_EXPERTS, a file that has experts is refused.
#define EXPERTS PROPERTY(35)
#define MAY_EXPERTS PROPERTY(36)
#define WEIGHTS_NORMED PROPERTY(37)    // weights of the chosen experts sum to 1, where the file says nothing
#define SIGMOID_ROUTER PROPERTY(38)    // the router is of sigmoids, where the file says nothing
#define MAY_CHOICE_BIAS PROPERTY(39)   // added to scores, only to choose experts by them
#define SHARED_GATE PROPERTY(40)       // the shared expert has a router, too
#define SHARED_ALIKE PROPERTY(47)      // there is a shared expert as long as the others, where the file says nothing
#define ROUTER_BIAS PROPERTY(41)
#define EXPERT_BIAS PROPERTY(42)     // of every expert's projections
#define CHOSEN_ROUTER PROPERTY(43)   // weights are the softmax of the chosen experts, where the file says nothing
#define SPLIT_EXPERTS PROPERTY(46)   // without a length, experts share feed_forward_length among a row's
#define DENSE_BESIDE PROPERTY(62)    // layers with experts have a dense feed-forward beside them: HAS_BESIDE
#define MAY_QK_NORM PROPERTY(45)     // files may have QK_NORM's tensors
#define RMS_EPSILON PROPERTY(44)     // of LayerNorms: files have it in the key of RMS norms

#define MAY_QK_NORM_HEADS PROPERTY(31)   // each head of q and k is normed alone, by its own weights
#define MAY_OUT_SCALE PROPERTY(57)       // the stream is multiplied by a number after a layer
#define FFN_NORM_POST PROPERTY(30)       // feed-forward's norm is named post_attention_norm

#define K_IS_V PROPERTY(58)            // of a layer: values are the keys, before their norm and RoPE
#define PER_LAYER_EMBDS PROPERTY(49)   // layers may have embeddings of ids for themselves: a key says how long
#define SHARES_KV PROPERTY(48)         // of a layer: it reads an earlier layer's keys and values, and has none

#define SHORT_CONV PROPERTY(50)   // layers without KV heads have a short convolution instead of attention
#define MAMBA PROPERTY(55)        // layers, or those without KV heads, are selective state spaces
#define CONV_BIAS PROPERTY(64)    // of their convolution
#define MAY_CONV_BIAS PROPERTY(65)
#define GROUP_NORM PROPERTY(66)   // what they make is normed, each group of channels alone
#define MAY_GROUP_NORM PROPERTY(67)
#define ONE_HALF PROPERTY(68)        // a layer has a mixer or a feed-forward, and one norm: attn_norm
#define FFN_NORM_STEM PROPERTY(71)   // feed-forward's norm is named ffn_norm, and no more
#define LAYER_EPSILON PROPERTY(72)   // of RMS norms: files may have it in the key of LayerNorms
#define TIME_MIX PROPERTY(74)        // layers are RWKV-7's
#define TIME_NORM PROPERTY(75)       // what their heads make is normed, each head alone
#define MAY_TIME_NORM PROPERTY(76)
#define CHANNEL_MIX PROPERTY(77)        // their feed-forward reads a mix, too; its norm is attn_norm_2
#define LACKS_MIX PROPERTY(78)          // of a layer: values are mixed with no others. RWKV-7's first layer
#define LACKS_HEADS PROPERTY(69)        // of a layer: no attention
#define LACKS_FFN PROPERTY(70)          // of a layer: no feed-forward
#define OUTPUT_NORM_EMBD PROPERTY(54)   // the output norm is named token_embd_norm
#define DELTA_NET PROPERTY(56)          // most layers have a gated delta net; the others' attention has output gates

#define ENCODER PROPERTY(26)          // a position sees its whole text, and files have no head
#define STREAM_NORM PROPERTY(27)      // the residual stream itself is normed after each half, and by no other norm
#define TOKEN_TYPES PROPERTY(28)      // files may have embeddings of the parts that a text has
#define NO_FIRST_NORM PROPERTY(51)    // layer 0 has no attn_norm: LACKS_NORM
#define LACKS_NORM PROPERTY(52)       // of a layer: attention reads the residual stream itself
#define EMBD_NORM_BARE PROPERTY(53)   // EMBD_NORM has no bias
#define MAY_RANK PROPERTY(29)         // files may have a classifier, which scores texts

struct gemel_model;
struct keys;
typedef struct arch {
    const char *name;   // of general.architecture
    rope_kind rope;
    norm_kind norm;
    act_kind act;
    mixer_kind mixer;
    ffn_kind ffn;
    properties has;
    void (*tune)(struct gemel_model *m, struct keys *r);   // what only its files take for granted; NULL: nothing
} arch;
static inline int arch_has(const arch *a, properties any) { return (a->has & any) != 0; }
