// One ISA's row: all kernels compiled in its vocabulary. Included by isa_*.c, which name the row and the vocabulary.
#include "kernels.h"
#include "../simd/simd.h"

#include "vector.inc.c"
#include "matmul.inc.c"
#include "attend.inc.c"
#include "measure.inc.c"

const kernels TABLE = {
    .name = ISA_NAME,
    .act_size = sizeof(act),
    .quantise = quantise,
    .act_get = act_get,
    .matmul = matmul,
    .rmsnorm = rmsnorm,
    .swiglu = swiglu,
    .attend = attend,
    .store_f16 = store_f16,
    .peak = peak,
    .exp_sum = exp_sum,
    .measure_read = measure_read,
    .measure_dot = measure_dot,
};
