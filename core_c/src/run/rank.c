// A text's pooled row becomes a classifier's scores: see docs/bits.md. Doubles, one sum after the other: it is a small
// part of the work for a text.
#include <stdlib.h>
#include "../cpu.h"
#include "../fmath.h"
#include "session.h"

// y[n] = w[n][n_in] x + b. Each sum ascends, from 0.
static void multiply(const float *w, const float *b, const double *x, int n_in, int n, double *y) {
    for (int i = 0; i < n; i++, w += n_in) {
        double sum = 0;
        for (int k = 0; k < n_in; k++) sum = sum + (double)w[k] * x[k];
        y[i] = b ? sum + (double)b[i] : sum;
    }
}

static void make_chances(double *x, int n) {
    if (n == 1) {
        x[0] = 1 / (1 + fm_exp(0 - x[0]));
        return;
    }
    double most = x[0], sum = 0;
    for (int i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; i++) x[i] = fm_exp(x[i] - most), sum = sum + x[i];
    for (int i = 0; i < n; i++) x[i] = x[i] / sum;
}

static int all_finite(const double *x, int n) {
    double zero = 0;
    for (int i = 0; i < n; i++) zero = zero + x[i] * 0;
    return zero == 0;
}

int gemel_model_rank(gemel_model *m, const double *row, int as_chances, double *scores) {
    if (!m || !row || !scores || as_chances < 0 || as_chances > 1 || !model_is_whole(m)) return GEMEL_E_ARGUMENT;
    const classifier *c = &m->rank;
    if (!c->out) return GEMEL_E_UNSUPPORTED;
    double *middle = malloc((size_t)m->n_embd * sizeof *middle);
    if (!middle) return GEMEL_E_MEMORY;
    uint64_t mode = cpu_float_enter();
    if (c->dense) {
        multiply(c->dense, c->dense_b, row, m->n_embd, m->n_embd, middle);
        for (int i = 0; i < m->n_embd; i++) middle[i] = fm_tanh(middle[i]);
    }
    multiply(c->out, c->out_b, c->dense ? middle : row, m->n_embd, c->n, scores);
    int is_finite = all_finite(row, m->n_embd) && all_finite(scores, c->n);
    if (is_finite && as_chances) make_chances(scores, c->n);
    cpu_float_leave(mode);
    free(middle);
    return is_finite ? GEMEL_OK : GEMEL_E_NUMERIC;
}
