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
        CHECK_ENTRY(what_is_not_finite_is_said_on_every_isa),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
