// fmath.c against values of a high-precision library: the error in units of the last place, and the edges.
#include "check.h"
#include "../../core_c/src/fmath.h"
#include "fmath_vectors.h"
#include <math.h>   // INFINITY, NAN and isnan: macros only

typedef double (*function2)(double, double);

static double exp2_(double x, double y) {
    (void)y;
    return fm_exp(x);
}
static double log2_(double x, double y) {
    (void)y;
    return fm_log(x);
}
static double sin2_(double x, double y) {
    (void)y;
    return fm_sin(x);
}
static double cos2_(double x, double y) {
    (void)y;
    return fm_cos(x);
}
static double tanh2_(double x, double y) {
    (void)y;
    return fm_tanh(x);
}
static double sqrt2_(double x, double y) {
    (void)y;
    return fm_sqrt(x);
}

static double last_place(double x)   // the distance to the next larger double
{
    uint64_t u;
    double next;
    x = x < 0 ? -x : x;
    memcpy(&u, &x, sizeof u);
    u += 1;
    memcpy(&next, &u, sizeof next);
    return next - x;
}

static void compare(const char *name, function2 f, const fmath_vector *v, size_t n, double allowed) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = ((f(v[i].x, v[i].y) - v[i].hi) - v[i].lo) / last_place(v[i].hi);
        error = error < 0 ? -error : error;
        if (!(error <= allowed)) printf("    %s(%a, %a) is off by %.2f ulp\n", name, v[i].x, v[i].y, error);
        CHECK(error <= allowed);
        if (error > worst) worst = error;
    }
    printf("     %s: %zu vectors, at most %.3f ulp\n", name, n, worst);
}

#define COUNT(array) (sizeof array / sizeof *array)
#define COMPARE(name, f, allowed) compare(#name, f, name##_vectors, COUNT(name##_vectors), allowed)

static void every_function_is_within_two_units_of_the_last_place(void) {
    COMPARE(exp, exp2_, 2.0);
    COMPARE(log, log2_, 2.0);
    COMPARE(sin, sin2_, 2.0);
    COMPARE(cos, cos2_, 2.0);
    COMPARE(pow, fm_pow, 2.0);
    COMPARE(tanh, tanh2_, 2.0);
}

static void the_square_root_is_rounded_correctly(void) {
    COMPARE(sqrt, sqrt2_, 0.5);
    for (double x = 0; x < 2000; x += 1) CHECK(fm_sqrt(x * x) == x);
}

static void exp_is_right_at_its_edges(void) {
    CHECK(fm_exp(0.0) == 1.0 && fm_exp(-0.0) == 1.0);
    CHECK(fm_exp(-745.2) == 0.0 && fm_exp(-INFINITY) == 0.0 && fm_exp(-1e308) == 0.0);
    CHECK(fm_exp(-745.0) == 0x1p-1074);
    CHECK(fm_exp(709.79) == INFINITY && fm_exp(INFINITY) == INFINITY);
    CHECK(isnan(fm_exp(NAN)));
}

static void log_is_right_at_its_edges(void) {
    CHECK(fm_log(1.0) == 0.0);
    CHECK(fm_log(0.0) == -INFINITY && fm_log(-0.0) == -INFINITY);
    CHECK(fm_log(INFINITY) == INFINITY);
    CHECK(isnan(fm_log(-1.0)) && isnan(fm_log(NAN)) && isnan(fm_log(-INFINITY)));
}

static void pow_is_right_at_its_edges(void) {
    CHECK(fm_pow(0.0, 0.0) == 1.0 && fm_pow(NAN, 0.0) == 1.0 && fm_pow(1.0, INFINITY) == 1.0);
    CHECK(fm_pow(0.0, 2.0) == 0.0 && fm_pow(0.0, -2.0) == INFINITY);
    CHECK(fm_pow(2.0, 1024.0) == INFINITY && fm_pow(2.0, 1023.0) == 0x1p1023 && fm_pow(2.0, -1074.0) == 0x1p-1074);
    CHECK(fm_pow(0.5, 1e300) == 0.0 && fm_pow(0.5, -1e300) == INFINITY && fm_pow(2.0, -INFINITY) == 0.0);
    CHECK(fm_pow(INFINITY, 0.5) == INFINITY && fm_pow(INFINITY, -0.5) == 0.0);
    CHECK(isnan(fm_pow(-1.0, 2.0)) && isnan(fm_pow(2.0, NAN)));
    for (int n = 0; n < 60; n++) {
        double power = (double)((uint64_t)1 << n);
        CHECK(fm_pow(2.0, n) == power && fm_pow(4.0, -0.5 * n) == 1 / power);
    }
}

static void sin_and_cos_are_right_at_their_edges(void) {
    CHECK(fm_sin(0.0) == 0.0 && fm_cos(0.0) == 1.0);
    CHECK(isnan(fm_sin(0x1p30)) && isnan(fm_cos(-0x1p30)) && isnan(fm_sin(INFINITY)) && isnan(fm_cos(NAN)));
    for (int i = 0; i < 1000; i++) {
        double x = i * 0.37 - 185, s = fm_sin(x), c = fm_cos(x), rest = s * s + c * c - 1.0;
        CHECK(rest < 1e-15 && rest > -1e-15);
        CHECK(fm_sin(-x) == -s && fm_cos(-x) == c);
    }
}

static void tanh_is_right_at_its_edges(void) {
    CHECK(fm_tanh(0.0) == 0.0 && fm_tanh(1e300) == 1.0 && fm_tanh(-INFINITY) == -1.0 && isnan(fm_tanh(NAN)));
    for (int i = 0; i < 1000; i++) CHECK(fm_tanh(i * 0.03) == -fm_tanh(-i * 0.03) && fm_tanh(i * 0.03) <= 1.0);
}

static void the_square_root_is_right_at_its_edges(void) {
    CHECK(fm_sqrt(0.0) == 0.0 && fm_sqrt(INFINITY) == INFINITY);
    CHECK(isnan(fm_sqrt(-1.0)) && isnan(fm_sqrt(NAN)) && isnan(fm_sqrt(-INFINITY)));
}

static void a_row_of_exp_has_the_bits_of_single_ones(void) {
    double row[1001];
    uint64_t seed = 3;
    for (int n = 0; n < 1001; n += 77) {
        for (int i = 0; i < n; i++) row[i] = (double)(int64_t)check_random(&seed) * 0x1p-63 * (i % 100 < 90 ? 40 : 900);
        if (n > 500) row[400] = -INFINITY, row[100] = NAN;
        double copy[1001];
        memcpy(copy, row, sizeof row);
        fm_exp_row(row, (size_t)n);
        for (int i = 0; i < n; i++) copy[i] = fm_exp(copy[i]);
        CHECK(memcmp(row, copy, (size_t)n * sizeof *row) == 0);
    }
}

// The whole table in one number: equal on every machine and compiler.
static void all_bits_are_the_same_on_every_machine(void) {
    uint64_t seed = 1, hash = 0xcbf29ce484222325u;
    for (int i = 0; i < 20000; i++) {
        double x = (double)(int64_t)check_random(&seed) * 0x1p-63;
        double y[7] = {fm_exp(x * 700),     fm_log(x * x * 1e9 + 1e-9),        fm_sin(x * 1e9),
                       fm_cos(x * 1e4),     fm_pow(x * x * 1e6 + 0.1, x * 40), fm_tanh(x * 20),
                       fm_sqrt(x * x * 1e9)};
        for (int j = 0; j < 7; j++) {
            uint64_t u;
            memcpy(&u, &y[j], sizeof u);
            hash = (hash ^ u) * 0x100000001b3u;
        }
    }
    printf("     hash %016llx\n", (unsigned long long)hash);
    CHECK(hash == 0x47f2da30871b4cc2u);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(every_function_is_within_two_units_of_the_last_place),
        CHECK_ENTRY(the_square_root_is_rounded_correctly),
        CHECK_ENTRY(exp_is_right_at_its_edges),
        CHECK_ENTRY(log_is_right_at_its_edges),
        CHECK_ENTRY(pow_is_right_at_its_edges),
        CHECK_ENTRY(sin_and_cos_are_right_at_their_edges),
        CHECK_ENTRY(tanh_is_right_at_its_edges),
        CHECK_ENTRY(the_square_root_is_right_at_its_edges),
        CHECK_ENTRY(a_row_of_exp_has_the_bits_of_single_ones),
        CHECK_ENTRY(all_bits_are_the_same_on_every_machine),
    };
    return check_main(table, COUNT(table), argc, argv);
}
