// All kernels, compiled for one instruction set. Included by isa_*.c, which choose the vocabulary and name the table.
// In a library that clang compiled, native/build/audit.py sees which code is theirs: it lies in a section of that name.
// Apple's format has one section of code, in which a function marks the start.
#if defined __clang__ && defined __APPLE__
#define MARK_OF(table) code_of_##table
#define MARK(table) MARK_OF(table)
__attribute__((used)) static void MARK(TABLE)(void) {}
#elif defined __clang__ && !defined __wasm__
#define PRAGMA(words) _Pragma(#words)
#define SECTION(name) PRAGMA(clang section text = name)
SECTION("." ISA_NAME)
#endif
#include "kernels.h"
#include <float.h>
#include <limits.h>
#include "../fmath.h"
#include "../simd/simd.h"
#include "tune.h"

#define LOG2_E 1.4426950408889634

#include "vector.inc.c"
#include "recurrent.inc.c"
#include "matmul_wide.inc.c"
#include "matmul.inc.c"
#include "bend.inc.c"
#include "attend_float.inc.c"
#include "attend_q8.inc.c"
#include "measure.inc.c"

const kernels TABLE = {
    .name = ISA_NAME,
    .act_size = sizeof(act),
    .has_wide = WIDE_ACTS,
    .quantise = quantise,
    .act_get = act_get,
    .matmul = matmul,
    .norm = {[NORM_RMS] = norm_rms, [NORM_LAYER] = norm_layer},
    .act = {[ACT_SILU] = silu,
            [ACT_GELU_TANH] = gelu_tanh,
            [ACT_GELU] = gelu,
            [ACT_CLAMPED] = clamped,
            [ACT_RELU2] = relu2,
            [ACT_XIELU] = xielu},
    .soft_cap = soft_cap,
    .add_to = add_to,
    .add_scaled = add_scaled,
    .exps = exps,
    .sigmoids = sigmoids,
    .rope = rope,
    .short_conv = short_conv,
    .delta_step = delta_step,
    .conv_silu = conv_silu,
    .scan_head = scan_head,
    .scan_channels = scan_channels,
    .wkv = wkv,
    .lerp = lerp,
    .kv = {[GEMEL_KV_F32] = {attend_f32, store_f32},
           [GEMEL_KV_F16] = {attend_f16, store_f16},
           [GEMEL_KV_Q8_0] = {attend_q8, store_q8}},
    .attend_q8_partials = attend_q8_partials,
    .attend_q8_join = attend_q8_join,
    .peak = peak,
    .exp_sum = exp_sum,
    .measure_read = measure_read,
    .measure_dot = measure_dot,
};
