// Pooled rows become embeddings of length 1. The sum of a row's squares is rounded once, however long the row is: it is
// what Python's math.fsum gives.
#include "../cpu.h"
#include "../fmath.h"
#include "session.h"

#define MOST 1e140              // whose square, many times, is no Inf
enum { PARTIALS_MAX = 2098 };   // the bits that doubles can have: no two parts share one

// An exact sum: numbers without common bits, the least first.
typedef struct exact {
    double part[PARTIALS_MAX];
    int n;
} exact;

static double size(double x) { return x < 0 ? -x : x; }

// The sum, and in *rest what it lacks.
static double add_exactly(double a, double b, double *rest) {
    double most = size(a) < size(b) ? b : a, least = most == a ? b : a, sum = most + least;
    *rest = least - (sum - most);
    return sum;
}

static int exact_add(exact *e, double x) {   // 0: no room, which no row comes to
    int n = 0;
    for (int i = 0; i < e->n; i++) {
        double rest;
        x = add_exactly(x, e->part[i], &rest);
        if (rest != 0) e->part[n++] = rest;
    }
    if (n == PARTIALS_MAX) return 0;
    e->part[n] = x;
    e->n = n + 1;
    return 1;
}

// The sum, rounded to nearest even. What lies half way between two doubles is decided by the next smaller part.
static double exact_value(const exact *e) {
    int i = e->n - 1;
    double sum = i < 0 ? 0 : e->part[i], rest = 0;
    while (i > 0 && rest == 0) sum = add_exactly(sum, e->part[--i], &rest);
    if (i > 0 && (rest < 0) == (e->part[i - 1] < 0)) {
        double further = sum + 2 * rest;
        if (further - sum == 2 * rest) sum = further;
    }
    return sum;
}

// The length of x[n]; 0 where all are, or where one is too large.
static double length_of(const double *x, size_t n) {
    exact e;
    e.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(size(x[i]) <= MOST) || !exact_add(&e, x[i] * x[i])) return 0;
    }
    return fm_sqrt(exact_value(&e));
}

int gemel_unit_rows(const double *rows, size_t n, size_t n_dim, float *made, int32_t *codes) {
    if (!rows || !made || !codes || n_dim < 1) return GEMEL_E_ARGUMENT;
    uint64_t mode = cpu_float_enter();
    for (size_t i = 0; i < n; i++, rows += n_dim, made += n_dim) {
        double length = length_of(rows, n_dim);
        codes[i] = length > 0 ? GEMEL_OK : GEMEL_E_NUMERIC;
        for (size_t k = 0; k < n_dim && codes[i] == GEMEL_OK; k++) made[k] = (float)(rows[k] / length);
    }
    cpu_float_leave(mode);
    return GEMEL_OK;
}
