#include "rope.h"
#include <stdlib.h>
#include "../cpu.h"
#include "../fmath.h"

static double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

// YaRN (arXiv:2309.00071): the pair at which a wave makes `turns` turns within the original context.
static double yarn_pair(const rope_table *t, double turns) {
    double two_pi = 6.283185307179586;
    return t->n_rot * fm_log(t->n_ctx_orig / (turns * two_pi)) / (2 * fm_log(t->base));
}
static double floor_of(double x) { return (double)(long)x > x ? (double)(long)x - 1 : (double)(long)x; }

// Angle per position of each rotated pair, freq[n_rot/2], and what cos and sin are multiplied by. `factors` (or NULL)
// are the file's per-pair divisors.
static void frequencies(const rope_table *t, const float *factors, double *freq, float *scale) {
    double low = 0, high = 0, shrink = t->scaling == SCALING_LINEAR || t->scaling == SCALING_YARN ? 1 / t->factor : 1;
    double mscale = t->attn_factor;
    if (t->scaling == SCALING_YARN) {
        low = clamp(yarn_pair(t, t->beta_fast), 0, t->n_rot - 1);
        high = clamp(yarn_pair(t, t->beta_slow), 0, t->n_rot - 1);
        if (t->has_whole_bounds) low = floor_of(low), high = -floor_of(-high);
        mscale *= 1 + 0.1 * fm_log(t->factor);
    }
    for (int i = 0; i < t->n_rot / 2; i++) {
        double f = fm_pow(t->base, -2.0 * i / t->n_rot) / (factors ? factors[i] : 1.0);
        double keep = 0;   // share of the unscaled frequency
        if (t->scaling == SCALING_YARN) keep = 1 - clamp((i - low) / (high - low > 0.001 ? high - low : 0.001), 0, 1);
        freq[i] = f * shrink * (1 - keep) + f * keep;
    }
    *scale = (float)mscale;
}

int rope_fill(gemel_model *m) {
    uint64_t mode = cpu_float_enter();
    int code = GEMEL_OK;
    for (int i = 0; i < m->n_ropes; i++)
        for (int is_long = 0; is_long < 2; is_long++) {
            rope_table *t = &m->ropes[i];
            const float *factors = t->scaling == SCALING_LONGROPE ? m->rope_factors[is_long ? 1 : 2]
                                   : i == 0                       ? m->rope_factors[0]
                                                                  : NULL;
            t->freq[is_long] = calloc((size_t)t->n_rot / 2, sizeof *t->freq[is_long]);
            if (t->freq[is_long]) frequencies(t, factors, t->freq[is_long], &t->scale[is_long]);
            else code = GEMEL_E_MEMORY;
        }
    cpu_float_leave(mode);
    return code;
}

void rope_close(gemel_model *m) {
    for (int i = 0; m->ropes && i < m->n_ropes; i++) {
        free(m->ropes[i].freq[0]);
        free(m->ropes[i].freq[1]);
    }
    free(m->ropes);
}

int rope_is_long(const gemel_model *m, int n_ctx) {
    const rope_table *t = &m->ropes[0];
    return t->scaling == SCALING_LONGROPE && n_ctx > t->n_ctx_orig;
}
