// The norms and activations that kernels compute: docs/bits.md has their formulas.
#pragma once

typedef enum norm_kind { NORM_RMS, NORM_LAYER, N_NORMS } norm_kind;
typedef enum act_kind {   // what they compute: docs/bits.md
    ACT_SILU,
    ACT_GELU_TANH,
    ACT_GELU,   // by erf
    ACT_CLAMPED,
    ACT_RELU2,
    ACT_XIELU,   // each layer has its own numbers
    N_ACTS
} act_kind;
enum { ACT_NUMBERS = 4 };   // of xIELU: alpha above 0, alpha below 0, beta, eps
