// The kinds of parts that architectures are made of, and one architecture's row: what its files take for granted.
#pragma once
#include <stdint.h>

typedef enum rope_kind { ROPE_NORM, ROPE_NEOX } rope_kind;   // pairs (2i, 2i+1), or (i, i + n_rot/2)
typedef enum rope_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_YARN, SCALING_LONGROPE } rope_scaling;
typedef enum norm_kind { NORM_RMS, NORM_LAYER, N_NORMS } norm_kind;
typedef enum act_kind { ACT_SILU, ACT_GELU_TANH, ACT_GELU, N_ACTS } act_kind;
typedef enum mixer_kind { MIXER_ATTENTION, N_MIXERS } mixer_kind;   // what joins positions
typedef enum ffn_kind { FFN_GATED, N_FFNS } ffn_kind;               // what follows it, row by row

// Properties: tensors that are required of an architecture's files, or allowed there.
enum {
    HAS_ALL = 1,   // of every architecture
    QKV_BIAS = 2,
    MAY_QKV_BIAS = 4,
    MAY_OUT_BIAS = 8,
    MAY_FFN_BIAS = 16,
    LARGE_KEYS = 32,   // some channels of keys are so large that Q8_0 loses the rest: caches default to F16
};

struct gemel_model;
typedef struct arch {
    const char *name;   // of general.architecture
    rope_kind rope;
    norm_kind norm;
    act_kind act;
    mixer_kind mixer;
    ffn_kind ffn;
    unsigned properties;
    void (*tune)(struct gemel_model *m);   // sets what no key of the file says; NULL: nothing
} arch;
