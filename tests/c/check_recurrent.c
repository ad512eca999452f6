// Kernels of recurrent layers: every usable instruction set against the formulas of docs/bits.md, to the bit.
#include "kernel_checks.h"

enum { MOST = 80, TAPS = 5, ROWS = 4, AHEAD = 3 };   // AHEAD: channels of the state beside those that are computed

// Of a position, whose earlier products are before[taps - 1][MOST + AHEAD].
static void conv_by_definition(const float *w, int taps, const float *b, const float *c, const float *x, int n,
                               float *before, float *y) {
    const int ld = MOST + AHEAD;
    for (int i = 0; i < n; i++) {
        float u = b[i] * x[i], sum = 0;
        for (int k = 0; k < taps; k++) {
            float part = w[i * taps + k] * (k + 1 < taps ? before[k * ld + i] : u);
            sum = k ? sum + part : part;
        }
        for (int k = 0; k + 1 < taps; k++) before[k * ld + i] = k + 2 < taps ? before[(k + 1) * ld + i] : u;
        y[i] = c[i] * sum;
    }
}

static void check_conv(int taps, int n, const float *w, const float *rows) {
    const size_t size = sizeof(float) * TAPS * (MOST + AHEAD);
    for (int isa = 0; isa < isa_count(); isa++) {
        const kernels *k = usable(isa);
        float want[TAPS * (MOST + AHEAD)], got[TAPS * (MOST + AHEAD)], y[MOST + 1], z[MOST + 1];
        for (int i = 0; i < TAPS * (MOST + AHEAD); i++) want[i] = got[i] = (float)i;
        for (int t = 0; t < ROWS && k; t++) {
            const float *b = rows + 3 * t * MOST, *c = b + MOST, *x = c + MOST;
            y[n] = z[n] = 7;
            conv_by_definition(w, taps, b, c, x, n, want, y);
            CHECK_EQ_INT(k->short_conv(w, taps, b, c, x, n, MOST + AHEAD, got, z), 1);
            same(k->name, "a short convolution", y, z, sizeof *y * (size_t)(n + 1));
            same(k->name, "its state", want, got, size);
        }
    }
}

static void short_convolutions_are_the_definition_on_every_isa(void) {
    static const int sizes[] = {1, 5, 15, 16, 17, 31, 32, 64, 77, 80};
    seed = 5;
    float *w = random_floats(MOST * TAPS), *rows = random_floats(3 * ROWS * MOST);
    for (int taps = 2; taps <= TAPS; taps++)
        for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) check_conv(taps, sizes[i], w, rows);
    memory_free(w), memory_free(rows);
}

static void a_convolution_may_have_no_gates_on_any_isa(void) {
    seed = 8;
    float *w = random_floats(MOST * 4), *rows = random_floats(3 * MOST), ones[MOST];
    for (int i = 0; i < MOST; i++) ones[i] = 1;
    for (int isa = 0; isa < isa_count(); isa++)
        for (int n = 1; n <= MOST && usable(isa); n += 13) {
            float want[3 * MOST], got[3 * MOST], y[MOST], x[MOST];
            for (int i = 0; i < 3 * MOST; i++) want[i] = got[i] = rows[i];
            memcpy(x, rows + MOST, sizeof x);
            CHECK_EQ_INT(usable(isa)->short_conv(w, 4, ones, ones, x, n, MOST, want, y), 1);
            CHECK_EQ_INT(usable(isa)->short_conv(w, 4, NULL, NULL, x, n, MOST, got, x), 1);   // in its place
            same(usable(isa)->name, "a bare convolution", y, x, sizeof *y * (size_t)n);
            same(usable(isa)->name, "its state", want, got, sizeof want);
        }
    memory_free(w), memory_free(rows);
}

static void delta_by_definition(const delta_args *a) {
    for (int j = 0; j < a->v_dim; j++) {
        float read = 0, out = 0;
        for (int i = 0; i < a->k_dim; i++) {
            float part = a->from[i * a->v_dim + j] * a->k[i];
            read = read + part;
        }
        float less = read * a->decay, moved = (a->v[j] - less) * a->beta;
        for (int i = 0; i < a->k_dim; i++) {
            float old = a->from[i * a->v_dim + j] * a->decay, now = moved * a->k[i];
            a->to[i * a->v_dim + j] = old + now;
            float part = a->to[i * a->v_dim + j] * a->q[i];
            out = out + part;
        }
        a->o[j] = out;
    }
}

static void check_delta(int k_dim, int v_dim, const float *x) {
    const size_t size = sizeof(float) * (size_t)(k_dim * v_dim);
    float want[2 * MOST], got[2 * MOST], *before = memory_get(size + 64), *a = memory_get(size + 64),
                                         *b = memory_get(size + 64);
    for (int isa = 0; isa < isa_count(); isa++) {
        if (!usable(isa)) continue;
        memcpy(before, x + 3 * 2 * MOST, size);
        for (int t = 0; t < ROWS; t++) {
            delta_args args = {.k_dim = k_dim, .v_dim = v_dim, .q = x + t, .k = x + 100 + t, .v = x + 200 + t};
            args.decay = 0.25f * (float)(t + 1), args.beta = 0.7f, args.from = before, args.to = a, args.o = want;
            a[k_dim * v_dim] = b[k_dim * v_dim] = want[v_dim] = got[v_dim] = 7;
            delta_by_definition(&args);
            args.to = b, args.o = got;
            if (t % 2) memcpy(b, before, size), args.from = b;   // in its place
            usable(isa)->delta_step(&args);
            same(usable(isa)->name, "a step of a delta rule", want, got, sizeof *want * (size_t)(v_dim + 1));
            same(usable(isa)->name, "its state", a, b, size + sizeof(float));
            memcpy(before, a, size);
        }
    }
    memory_free(before), memory_free(a), memory_free(b);
}

static void delta_rules_are_the_definition_on_every_isa(void) {
    static const int sizes[][2] = {{1, 1}, {3, 15}, {16, 16}, {5, 33}, {32, 64}, {7, 80}, {64, 96}, {24, 127}};
    seed = 9;
    float *x = random_floats(3 * 2 * MOST + 64 * 128);
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) check_delta(sizes[i][0], sizes[i][1], x);
    memory_free(x);
}

static void what_is_not_finite_is_said_on_every_isa(void) {
    static const float odd[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    seed = 6;
    float *w = random_floats(MOST * 3), *rows = random_floats(3 * MOST);
    for (int isa = 0; isa < isa_count(); isa++)
        for (int i = 0; i < 3 * 3 * 33 && usable(isa); i++) {
            float state[2 * MOST] = {0}, y[MOST], one[3 * MOST];
            int part = i / 33 % 3, at = i % 33;
            memcpy(one, rows, sizeof one);
            one[part * MOST + at] = odd[i / 99];
            CHECK_EQ_INT(usable(isa)->short_conv(w, 3, one, one + MOST, one + 2 * MOST, 33, MOST, state, y), 0);
        }
    memory_free(w), memory_free(rows);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(short_convolutions_are_the_definition_on_every_isa),
        CHECK_ENTRY(a_convolution_may_have_no_gates_on_any_isa),
        CHECK_ENTRY(delta_rules_are_the_definition_on_every_isa),
        CHECK_ENTRY(what_is_not_finite_is_said_on_every_isa),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
