// Kernels over rows of floats: norms, activations, soft caps, rotations, sums. Every usable instruction set
// against the formulas of docs/bits.md, or against scalar, to the bit; and the formulas against exact ones in double.
#include "kernel_checks.h"
#include "../../core_c/src/fmath.h"

static const int sizes[] = {1, 5, 15, 16, 17, 31, 32, 33, 48, 63, 64, 100, 576, 1000};
enum { MOST = 1024, N_SIZES = sizeof sizes / sizeof *sizes };

// ---- Norms ---------------------------------------------------------------------------------------------------------

// Of x - less, or of its squares.
static float mean_by_definition(const float *x, int n, float less, int squares) {
    float sum[32] = {0};
    for (int i = 0; i < n; i++) {
        float d = x[i] - less, square = d * d;
        sum[i % 32] = sum[i % 32] + (squares ? square : d);
    }
    for (int h = 16; h; h /= 2)
        for (int i = 0; i < h; i++) sum[i] = sum[i] + sum[i + h];
    return sum[0] / (float)n;
}

static void norm_by_definition(int kind, const float *x, const float *w, const float *b, int n, float *y) {
    float less = kind == NORM_LAYER ? mean_by_definition(x, n, 0, 0) : 0;
    float mean = mean_by_definition(x, n, less, 1) + 1e-5f, r = 1.0f / (float)fm_sqrt((double)mean);
    for (int i = 0; i < n; i++) {
        float d = x[i] - less;
        y[i] = d * r;
        if (w) y[i] = y[i] * w[i];
        if (b) y[i] = y[i] + b[i];
    }
}

// All instruction sets, into another array and into x itself; what lies behind stays.
static void check_norm(int kind, const float *x, const float *w, const float *b, int n) {
    float want[MOST + 1], got[MOST + 1];
    norm_by_definition(kind, x, w, b, n, want);
    for (int isa = 0; isa < isa_count(); isa++)
        for (int in_place = 0; in_place < 2 && usable(isa); in_place++) {
            const kernels *k = usable(isa);
            want[n] = got[n] = 7;
            if (in_place) memcpy(got, x, sizeof *x * (size_t)n);
            CHECK_EQ_INT(k->norm[kind](in_place ? got : x, w, b, n, 1e-5f, got), 1);
            same(k->name, kind == NORM_RMS ? "an RMS norm" : "a layer norm", want, got, sizeof *want * (size_t)(n + 1));
        }
}

static void norms_are_the_definition_on_every_isa(void) {
    static const float scales[] = {1, 300, 1e-20f, 1e-41f, 1e15f}, beside[] = {0, 0, 50, -1000, 1e6f};
    seed = 3;
    float *x = random_floats(MOST), *w = random_floats(MOST), *b = random_floats(MOST), y[MOST];
    for (int kind = 0; kind < N_NORMS; kind++)
        for (int s = 0; s < N_SIZES; s++)
            for (int i = 0; i < 5; i++) {
                for (int j = 0; j < MOST; j++) y[j] = x[(j + 7 * s) % MOST] * scales[i] * (j % 5 ? 1 : 10) + beside[i];
                for (int has = 0; has < 4; has++) check_norm(kind, y, has & 1 ? w : NULL, has & 2 ? b : NULL, sizes[s]);
            }
    memory_free(x), memory_free(w), memory_free(b);
}

// The largest error of a row's norm, beside the same in double.
static double norm_error(int kind, const float *x, int n) {
    float y[MOST];
    double mean = 0, square = 0, worst = 0;
    for (int i = 0; i < n && kind == NORM_LAYER; i++) mean += (double)x[i] / n;
    for (int i = 0; i < n; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
    CHECK_EQ_INT(scalar()->norm[kind](x, NULL, NULL, n, 1e-5f, y), 1);
    for (int i = 0; i < n; i++) {
        double off = (double)y[i] - ((double)x[i] - mean) / fm_sqrt(square + (double)1e-5f);
        off = off < 0 ? -off : off;
        worst = off > worst ? off : worst;
    }
    return worst;
}

static void norms_are_within_rounding_of_the_exact_ones(void) {
    seed = 4;
    float *x = random_floats(MOST), y[MOST];
    for (int s = 0; s < N_SIZES; s++) {
        CHECK(norm_error(NORM_RMS, x, sizes[s]) < 5e-7);
        CHECK(norm_error(NORM_LAYER, x, sizes[s]) < 1e-6);
        for (int i = 0; i < MOST; i++) y[i] = x[i] + 100;   // of which 1e-5 is a rounding
        CHECK(norm_error(NORM_LAYER, y, sizes[s]) < 2e-3);
        CHECK(norm_error(NORM_RMS, y, sizes[s]) < 5e-7);
    }
    memory_free(x);
}

static void constant_rows_have_a_finite_norm(void) {
    static const float all[] = {0, 1, -3.3f, 1e-30f, 1e18f};
    float x[100], y[100], b[100];
    for (int c = 0; c < 5; c++)
        for (int n = 1; n <= 100; n++) {
            for (int i = 0; i < n; i++) x[i] = all[c], b[i] = (float)i;
            CHECK_EQ_INT(scalar()->norm[NORM_RMS](x, NULL, b, n, 1e-5f, y), 1);
            CHECK(is_finite(y, n));
            CHECK_EQ_INT(scalar()->norm[NORM_LAYER](x, NULL, b, n, 1e-5f, y), 1);
            CHECK(is_finite(y, n));
            for (int i = 0; i < n && (c == 0 || n == 32); i++) CHECK(y[i] == b[i]);   // their mean is exact
        }
}

// ---- Activations and soft caps -------------------------------------------------------------------------------------

static float gate_by_definition(float x, float z) {
    float e = 1.0f + exp_by_definition(0 - z);
    return x / e;
}
static float gelu_tanh_by_definition(float x) {
    float t = x * x, a = t * 0.0713548162726f;
    a = a + 1.5957691216057308f;
    return gate_by_definition(x, x * a);
}
static float gelu_by_definition(float x) {
    static const float c[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    float p = x < 0 ? 0 - x : x, z = p * 0.70710678f, scaled = z * 0.3275911f, t = 1.0f / (1.0f + scaled);
    float h = by_horner(c, 5, 1, t) * t, square = z * z;
    h = (h * exp_by_definition(0 - square)) * 0.5f;
    float less = p * h;
    return (x > 0 ? x : 0) - less;
}
static float clamped_by_definition(float x, const float *up) {
    float g = x < 7 ? x : 7, v = gate_by_definition(g, g * 1.702f), odd = x * 0;
    if (up) {
        float u = *up < 7 ? *up : 7, more = (u > -7 ? u : -7) + 1, none = *up * 0;
        v = v * more;
        odd = odd + none;
    }
    return v + odd;
}
static float relu2_by_definition(float x) {
    float r = x > 0 ? x : 0, square = r * r;
    return square + x * 0;
}
static const float numbers_of_xielu[ACT_NUMBERS] = {0.8f, 1.3f, 0.5f, -1e-6f};
static float xielu_by_definition(float x) {
    const float *by = numbers_of_xielu;
    float above = x * by[0], below = exp_by_definition(x < by[3] ? x : by[3]) - 1, line = x * by[2];
    above = above * x;
    below = below - x;
    below = below * by[1];
    return (x > 0 ? above : below) + line;
}
static float act_by_definition(int kind, float x, const float *up) {
    if (kind == ACT_CLAMPED) return clamped_by_definition(x, up);
    float y = kind == ACT_SILU    ? gate_by_definition(x, x)
              : kind == ACT_GELU  ? gelu_by_definition(x)
              : kind == ACT_RELU2 ? relu2_by_definition(x)
              : kind == ACT_XIELU ? xielu_by_definition(x)
                                  : gelu_tanh_by_definition(x);
    return up ? y * *up : y;
}
static const char *const act_names[N_ACTS] = {"SiLU",         "GELU by tanh", "GELU", "the clamped activation",
                                              "ReLU squared", "xIELU"};

// Numbers of every size and sign, Inf and NaN among them where odd.
static float *numbers(size_t n, int odd) {
    static const float scales[] = {1, 10, 100, 1e-3f, 1e-20f, 1e-42f, 1e20f, 1e37f};
    float *x = random_floats(n);
    for (size_t i = 0; i < n; i++) x[i] = odd && !random_below(8) ? odd_float() : x[i] * scales[i / 3 % 8];
    x[0] = -0.0f;
    return x;
}

static void activations_are_the_definition_on_every_isa(void) {
    seed = 5;
    for (int odd = 0; odd < 2; odd++) {
        float *x = numbers(MOST, odd), *up = numbers(MOST, odd), want[MOST], got[MOST];
        for (int kind = 0; kind < N_ACTS; kind++)
            for (int n = 16; n <= MOST; n += n % 64 ? 16 : 192)
                for (int has = 0; has < 2; has++) {
                    for (int i = 0; i < n; i++) {
                        want[i] = act_by_definition(kind, x[i], has ? up + i : NULL);
                        CHECK(is_finite(x + i, 1) || !is_finite(want + i, 1));
                    }
                    for (int isa = 0; isa < isa_count(); isa++) {
                        if (!usable(isa)) continue;
                        usable(isa)->act[kind](x, has ? up : NULL, numbers_of_xielu, n, got);
                        same_but_nan(usable(isa)->name, act_names[kind], want, got, (size_t)n);
                        memcpy(got, x, sizeof got);
                        usable(isa)->act[kind](got, has ? up : NULL, numbers_of_xielu, n, got);
                        same_but_nan(usable(isa)->name, act_names[kind], want, got, (size_t)n);
                        CHECK(n == MOST || !memcmp(got + n, x + n, sizeof *x));
                    }
                }
        memory_free(x), memory_free(up);
    }
}

static void soft_caps_are_the_definition_on_every_isa(void) {
    static const float caps[] = {30, 50, 1, 1e-3f, 1e6f};
    seed = 6;
    for (int odd = 0; odd < 2; odd++)
        for (int c = 0; c < 5; c++) {
            float *x = numbers(MOST, odd), want[MOST], got[MOST];
            for (int i = 0; i < MOST; i++) {
                want[i] = cap_by_definition(x[i], (double)caps[c]) + x[i] * 0.0f;
                CHECK_EQ_INT(is_finite(want + i, 1), is_finite(x + i, 1));
                CHECK(!is_finite(x + i, 1) || (want[i] <= caps[c] && -want[i] <= caps[c]));
            }
            for (int isa = 0; isa < isa_count(); isa++)
                for (int s = 0; s < N_SIZES && usable(isa); s++) {
                    size_t n = (size_t)sizes[s];
                    memcpy(got, x, sizeof got);
                    usable(isa)->soft_cap(got, sizes[s], caps[c]);
                    same_but_nan(usable(isa)->name, "a soft cap", want, got, n);
                    CHECK(!memcmp(got + n, x + n, sizeof *x));
                }
            memory_free(x);
        }
}

// Within 1e-15: a series of which all terms have one sign.
static double erf_of(double x) {
    double sum = x, term = x;
    if (x < 0) return -erf_of(-x);
    if (x > 6.5) return 1;
    for (int i = 1; i < 300; i++) sum += term *= 2 * x * x / (2 * i + 1);
    return 1.1283791670955126 * fm_exp(-x * x) * sum;
}
static double exact_xielu(double x) {
    const float *by = numbers_of_xielu;
    double line = (double)by[2] * x, eps = (double)by[3];
    if (x > 0) return (double)by[0] * x * x + line;
    return (fm_exp(x < eps ? x : eps) - 1 - x) * (double)by[1] + line;
}
static double exact_act(int kind, double x) {
    if (kind == ACT_CLAMPED) return (x < 7 ? x : 7) / (1 + fm_exp(-1.702 * (x < 7 ? x : 7)));
    if (kind == ACT_SILU) return x / (1 + fm_exp(-x));
    if (kind == ACT_RELU2) return x > 0 ? x * x : 0;
    if (kind == ACT_XIELU) return exact_xielu(x);
    if (kind == ACT_GELU) return 0.5 * x * (1 + erf_of(x * 0.7071067811865476));
    return x / (1 + fm_exp(-2 * 0.7978845608028654 * (x + 0.044715 * x * x * x)));
}
static double error(double got, double want) { return got > want ? got - want : want - got; }

static void activations_are_within_rounding_of_the_exact_ones(void) {
    static const double of_one[] = {1.2e-7, 1.2e-7, 1.7e-7, 1.2e-7, 1.2e-7, 2.4e-7};   // of max(1, |x|, |y|)
    static const double of_x[] = {1.3e-7, 1.5e-7, 3.8e-7, 1.3e-7, 1e-8, 0};   // of |x| below 0.1; 0: no such bound
    for (int kind = 0; kind < N_ACTS; kind++)
        for (int at = -4000; at < 4000; at++) {
            float x[16], y[16];
            for (int i = 0; i < 16; i++) x[i] = ((float)at + (float)i / 16.0f) * (at % 3 ? 0.003f : 0.00001f);
            scalar()->act[kind](x, NULL, numbers_of_xielu, 16, y);
            for (int i = 0; i < 16; i++) {
                double v = (double)x[i], size = v < 0 ? -v : v, want = exact_act(kind, v),
                       off = error((double)y[i], want);
                double most = size > 1 ? size : 1;
                CHECK(off <= of_one[kind] * (want > most ? want : most));
                CHECK(size >= 0.1 || of_x[kind] == 0 || off <= of_x[kind] * size);
            }
        }
}

static void activations_of_huge_and_tiny_values_are_theirs(void) {
    static const float huge[] = {20, 88, 200, 1e4f, 1e20f, 1e25f}, tiny[] = {1e-10f, 1e-20f, 1e-37f, 0};
    for (int kind = ACT_SILU; kind <= ACT_CLAMPED; kind++) {   // the others: powers_of_huge_values_are_within_rounding
        float x[16] = {0}, y[16];
        for (int i = 0; i < 6; i++) x[i] = huge[i], x[8 + i] = -huge[i];
        scalar()->act[kind](x, NULL, numbers_of_xielu, 16, y);
        const int is_clamped = kind == ACT_CLAMPED;   // then x is 7
        for (int i = 0; i < 6; i++)
            CHECK(is_clamped ? error((double)y[i], exact_act(kind, 7)) <= 1e-6 : y[i] == huge[i]);
        for (int i = 0; i < 6; i++) CHECK(y[8 + i] <= 0 && y[8 + i] >= -1e-7f);
        for (int i = 0; i < 4; i++) x[i] = tiny[i], x[8 + i] = -tiny[i];
        scalar()->act[kind](x, NULL, numbers_of_xielu, 16, y);
        for (int i = 0; i < 4; i++) {
            CHECK(error((double)y[i], (double)tiny[i] / 2) <= 4e-7 * (double)tiny[i]);
            CHECK(error((double)y[8 + i], (double)tiny[i] / -2) <= 4e-7 * (double)tiny[i]);
        }
    }
}

static void powers_of_huge_values_are_within_rounding(void) {
    static const float huge[] = {20, 88, 200, 1e4f, 1e15f};
    float x[16] = {0}, relu2[16], xielu[16];
    for (int i = 0; i < 5; i++) x[i] = huge[i], x[8 + i] = -huge[i];
    scalar()->act[ACT_RELU2](x, NULL, numbers_of_xielu, 16, relu2);
    scalar()->act[ACT_XIELU](x, NULL, numbers_of_xielu, 16, xielu);
    for (int i = 0; i < 16; i++) {
        double v = (double)x[i], want = exact_xielu(v), size = want < 0 ? -want : want;
        CHECK(relu2[i] == (x[i] > 0 ? x[i] * x[i] : 0));
        CHECK(x[i] == 0 || error((double)xielu[i], want) <= 2.4e-7 * size);
    }
}

static void soft_caps_are_within_rounding_of_tanh(void) {
    static const float caps[] = {30, 50, 1, 1e-3f, 1e6f};
    for (int c = 0; c < 5; c++)
        for (int i = -20000; i <= 20000; i++) {
            float x = (float)i * 0.0005f * caps[c], y = x;
            scalar()->soft_cap(&y, 1, caps[c]);
            double cap = (double)caps[c];
            CHECK(error((double)y, cap * fm_tanh((double)x / cap)) <= 2.5e-7 * cap);
            CHECK(i || y == 0);
        }
}

static void exps_and_sigmoids_are_within_rounding_and_the_same_on_every_isa(void) {
    float x[512], e[512], s[512], got[512];
    for (int i = 0; i < 512; i++) x[i] = (float)(i - 256) * 0.32f;   // router logits
    scalar()->exps(x, 3.5f, 512, e), scalar()->sigmoids(x, 512, s);
    for (int i = 0; i < 512; i++) {
        CHECK(error((double)e[i] / fm_exp((double)(x[i] - 3.5f)), 1) <= 3e-7);
        CHECK(error((double)s[i] * (1 + fm_exp(-(double)x[i])), 1) <= 3e-7);
    }
    EACH_ISA(k) {
        k->exps(x, 3.5f, 512, got);
        same(k->name, "exps", e, got, sizeof e);
        k->sigmoids(x, 512, got);
        same(k->name, "sigmoids", s, got, sizeof s);
    }
}

// ---- Rotations and sums --------------------------------------------------------------------------------------------

static void sums_and_rotations_are_the_same_on_every_isa(void) {
    static const int widths[] = {2, 6, 16, 22, 32, 62, 64, 80, 128};   // rotated channels
    seed = 9;
    float *x = random_floats(256), *y = random_floats(256), *cs = random_floats(512), a[256], b[256];
    EACH_ISA(k)
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        int n = widths[i];
        for (int far = 1; far; far = far == 1 && n > 2 ? n / 2 : 0) {
            scalar()->rope(x, cs, n, far, 200, 0.3f, a), k->rope(x, cs, n, far, 200, 0.3f, b);
            same(k->name, "rope", a, b, 200 * 4);
            CHECK(a[0] == (x[0] * cs[0] + x[far] * cs[n]) * 0.3f);
            CHECK(a[n - 1] == (x[n - 1] * cs[n - 1] + x[n - 1 - far] * cs[2 * n - 1]) * 0.3f);
            CHECK(a[n] == x[n] * 0.3f);
        }
        memcpy(a, x, sizeof a), memcpy(b, x, sizeof b);
        scalar()->add_to(a, y, n), k->add_to(b, y, n);
        same(k->name, "add_to", a, b, sizeof a);
        CHECK(a[n - 1] == x[n - 1] + y[n - 1] && a[n] == x[n]);
        memcpy(a, x, sizeof a), memcpy(b, x, sizeof b);
        scalar()->add_scaled(a, y, 0.3f, n), k->add_scaled(b, y, 0.3f, n);
        same(k->name, "add_scaled", a, b, sizeof a);
        float scaled = y[n - 1] * 0.3f;
        CHECK(a[n - 1] == x[n - 1] + scaled && a[n] == x[n]);
    }
    memory_free(x), memory_free(y), memory_free(cs);
}

static void peaks_and_sums_are_the_same_on_every_isa(void) {
    static const int lengths[] = {1, 7, 16, 100, 1024, 5000};
    seed = 6;
    float *x = random_floats(5000);
    for (int i = 0; i < 5000; i++) x[i] *= 20;
    x[4000] = x[3000];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int n = lengths[i], best, other;
        float max, top;
        CHECK_EQ_INT(scalar()->peak(x, n, &max, &best), 1);
        double sum = scalar()->exp_sum(x, n, max);
        int first = 0;
        for (int j = 1; j < n; j++)
            if (x[j] > x[first]) first = j;
        CHECK_EQ_INT(best, first);
        EACH_ISA(k) {
            CHECK_EQ_INT(k->peak(x, n, &top, &other), 1);
            double got = k->exp_sum(x, n, max);
            same(k->name, "peak", &top, &max, 4), same(k->name, "peak's place", &best, &other, 4),
                same(k->name, "exp_sum", &sum, &got, 8);
        }
    }
    uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000};
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < isa_count(); i++) {
            if (!usable(i)) continue;
            float keep = x[17 + j], max;
            int best;
            memcpy(&x[17 + j], &bad[j], 4);
            CHECK_EQ_INT(usable(i)->peak(x, 40, &max, &best), 0);
            x[17 + j] = keep;
        }
    memory_free(x);
}

// ---- Inf and NaN ---------------------------------------------------------------------------------------------------

// x[n] has Inf or NaN, or squares that overflow: a norm says so.
static void check_odd_norm(int kind, const float *x, const float *w, const float *b, int n, int must_be_good) {
    float want[MOST], got[MOST];
    int is_good = scalar()->norm[kind](x, w, b, n, 1e-5f, want);
    if (!is_finite(x, n)) CHECK_EQ_INT(is_good, 0);
    else if (must_be_good) CHECK_EQ_INT(is_good, 1);
    EACH_ISA(k) {
        CHECK_EQ_INT(k->norm[kind](x, w, b, n, 1e-5f, got), is_good);
        same_but_nan(k->name, "a norm of Inf or NaN", want, got, (size_t)n);
    }
}

static void norms_and_gates_of_inf_and_nan_are_the_same_on_every_isa(void) {
    enum { N = 400, WIDTH = 80 };
    seed = 14;
    float *x = odd_rows(N, WIDTH), *w = odd_rows(N, WIDTH), a[WIDTH], b[WIDTH];
    for (int t = 0; t < N; t++) {
        const float *row = x + t * WIDTH, *by = w + (t * 7 + 3) % N * WIDTH;
        float max, top;
        int best, other, is_good;
        for (int kind = 0; kind < N_NORMS; kind++)
            check_odd_norm(kind, row, t % 3 ? by : NULL, t % 5 ? NULL : by, WIDTH - t % 20, t % 2 == 0);
        for (int kind = 0; kind < N_ACTS; kind++) {
            scalar()->act[kind](row, by, numbers_of_xielu, WIDTH, a);
            for (int i = 0; i < WIDTH; i++)
                if (!is_finite(row + i, 1) || !is_finite(by + i, 1)) CHECK(!is_finite(a + i, 1));
            EACH_ISA(k) {
                k->act[kind](row, by, numbers_of_xielu, WIDTH, b);
                same_but_nan(k->name, act_names[kind], a, b, WIDTH);
            }
        }
        is_good = scalar()->peak(row, WIDTH, &max, &best);
        CHECK_EQ_INT(is_good, is_finite(row, WIDTH));
        double sum = scalar()->exp_sum(row, WIDTH, max);
        EACH_ISA(k) {
            CHECK_EQ_INT(k->peak(row, WIDTH, &top, &other), is_good);
            same_but_nan(k->name, "peak of Inf or NaN", &max, &top, 1);
            double got = k->exp_sum(row, WIDTH, max);
            CHECK(got == sum && other == best);
        }
    }
    memory_free(x), memory_free(w);
}

// ---- Benchmarks ----------------------------------------------------------------------------------------------------

static float *bench_x, *bench_y;
static void run_norm(const kernels *k, void *arg) {
    k->norm[*(const int *)arg](bench_x, bench_x, NULL, MOST, 1e-5f, bench_y);
}
static void run_act(const kernels *k, void *arg) {
    k->act[*(const int *)arg](bench_x, bench_x, numbers_of_xielu, MOST, bench_y);
}
static void run_soft_cap(const kernels *k, void *arg) { k->soft_cap(arg, MOST, 30); }
static int benchmarks(void) {
    bench_x = random_floats(MOST), bench_y = random_floats(MOST);
    for (int kind = 0; kind < N_NORMS; kind++)
        bench(kind == NORM_RMS ? "RMS norm [1024]" : "layer norm [1024]", run_norm, &kind);
    for (int kind = 0; kind < N_ACTS; kind++) bench(act_names[kind], run_act, &kind);
    bench("soft_cap [1024]", run_soft_cap, bench_y);
    memory_free(bench_x), memory_free(bench_y);
    return 0;
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(norms_are_the_definition_on_every_isa),
        CHECK_ENTRY(norms_are_within_rounding_of_the_exact_ones),
        CHECK_ENTRY(constant_rows_have_a_finite_norm),
        CHECK_ENTRY(activations_are_the_definition_on_every_isa),
        CHECK_ENTRY(soft_caps_are_the_definition_on_every_isa),
        CHECK_ENTRY(activations_are_within_rounding_of_the_exact_ones),
        CHECK_ENTRY(activations_of_huge_and_tiny_values_are_theirs),
        CHECK_ENTRY(powers_of_huge_values_are_within_rounding),
        CHECK_ENTRY(soft_caps_are_within_rounding_of_tanh),
        CHECK_ENTRY(exps_and_sigmoids_are_within_rounding_and_the_same_on_every_isa),
        CHECK_ENTRY(sums_and_rotations_are_the_same_on_every_isa),
        CHECK_ENTRY(peaks_and_sums_are_the_same_on_every_isa),
        CHECK_ENTRY(norms_and_gates_of_inf_and_nan_are_the_same_on_every_isa),
    };
    if (is_bench(argc, argv)) return benchmarks();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
