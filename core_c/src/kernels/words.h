// The norms and activations that kernels compute: docs/bits.md has their formulas.
#pragma once

typedef enum norm_kind { NORM_RMS, NORM_LAYER, N_NORMS } norm_kind;
typedef enum act_kind {   // GELU by tanh, and by erf; the one of gpt-oss, which clamps what it reads
    ACT_SILU,
    ACT_GELU_TANH,
    ACT_GELU,
    ACT_CLAMPED,
    N_ACTS
} act_kind;
