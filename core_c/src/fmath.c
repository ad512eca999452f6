// Doubles to their elementary functions, by range reduction and polynomials (Chebyshev fits, made in 200-bit
// arithmetic). No libm, no table, no fused multiply-add: one fixed expression each, so every machine rounds alike.
// The square root is worked out on integers: __builtin_sqrt would call libm for errno on some targets.
#include "fmath.h"
#include <float.h>
#include <stdint.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "doubles must be computed as doubles: no x87, no fast-math");

#define LN2_HI 0x1.62e42fefa2p-1   // ln 2 in three parts, the first two of 40 bits: exact times an exponent
#define LN2_MID 0x1.9ef35793c6p-41
#define LN2_LO 0x1.673007e5ed5e8p-81
#define LN2_REST 0x1.9ef35793c7673p-41   // LN2_MID + LN2_LO
#define ROUNDER 0x1.8p52                 // x + ROUNDER - ROUNDER is x rounded to an integer, for |x| < 2^51

typedef struct wide {
    double hi, lo;
} wide;   // an unevaluated sum, |lo| <= half an ulp of hi

static uint64_t bits_of(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double from_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static double infinity(void) { return from_bits(0x7ff0000000000000u); }
static double not_a_number(void) { return from_bits(0x7ff8000000000000u); }
static double power_of_two(int64_t k) { return from_bits((uint64_t)(k + 1023) << 52); }   // -1022 <= k <= 1023

static wide two_sum(double a, double b)   // exact
{
    double s = a + b, t = s - a;
    return (wide){s, (a - (s - t)) + (b - t)};
}

static wide two_product(double a, double b)   // exact, by splitting into halves of 26 bits; |a|, |b| < 2^990
{
    double ta = a * 134217729.0, tb = b * 134217729.0;
    double ah = ta - (ta - a), bh = tb - (tb - b), al = a - ah, bl = b - bh;
    double p = a * b;
    return (wide){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

static wide wide_add(wide a, wide b) {
    wide s = two_sum(a.hi, b.hi);
    return two_sum(s.hi, s.lo + (a.lo + b.lo));
}

static wide wide_mul(wide a, wide b) {
    wide p = two_product(a.hi, b.hi);
    return two_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

// c0 + c1 x + c2 x^2 + c3 x^3
static inline double cubic(double x, double x2, double c0, double c1, double c2, double c3) {
    return (c0 + c1 * x) + x2 * (c2 + c3 * x);
}

// ---- exp, log, pow ----

// exp(r) for |r| <= ln(2)/2: 1 + r + r^2 q(r).
static inline double exp_reduced(double r) {
    double r2 = r * r, r4 = r2 * r2;
    double a = cubic(r, r2, 0x1.0000000000001p-1, 0x1.5555555555556p-3, 0x1.5555555553d68p-5, 0x1.11111111109b5p-7);
    double b = cubic(r, r2, 0x1.6c16c17889f3cp-10, 0x1.a01a01a7c2f2cp-13, 0x1.a019b914881bap-16, 0x1.71de0db2eb873p-19);
    double q = a + r4 * (b + r4 * (0x1.28917c9f3a495p-22 + 0x1.af389eea54156p-26 * r));
    return 1.0 + (r + r2 * q);
}

// exp(x + lo), |lo| far below |x|.
static double exp_wide(double x, double lo) {
    if (x != x) return x;
    if (x > 710.0) return infinity();
    if (x < -746.0) return 0.0;
    double k = (x * 0x1.71547652b82fep+0 + ROUNDER) - ROUNDER;
    double y = exp_reduced(((x - k * LN2_HI) - k * LN2_REST) + lo);
    int64_t half = (int64_t)k / 2;   // in two steps: 2^k itself may be out of range
    return y * power_of_two(half) * power_of_two((int64_t)k - half);
}

double fm_exp(double x) { return exp_wide(x, 0.0); }

void fm_exp_row(double *x, size_t n) {
    enum { BLOCK = 8 };   // a size the compiler turns into vectors
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        int plain = 1;   // all of them in the range where 2^k is one normal number
        for (int j = 0; j < BLOCK; j++) plain &= (x[i + j] >= -708.0) & (x[i + j] <= 709.0);
        for (int j = 0; !plain && j < BLOCK; j++) x[i + j] = fm_exp(x[i + j]);
        if (!plain) continue;
        for (int j = 0; j < BLOCK; j++) {
            double shifted = x[i + j] * 0x1.71547652b82fep+0 + ROUNDER, k = shifted - ROUNDER;
            double y = exp_reduced((x[i + j] - k * LN2_HI) - k * LN2_REST);
            x[i + j] = y * from_bits((bits_of(shifted) + 1023) << 52);   // the low bits of `shifted` are k
        }
    }
    for (; i < n; i++) x[i] = fm_exp(x[i]);
}

// A positive finite x = m * 2^e, with m in sqrt(1/2)..sqrt(2).
static double split_exponent(double x, double *e) {
    double extra = 0;
    if (x < DBL_MIN) x *= 0x1p54, extra = -54;
    uint64_t u = bits_of(x);
    uint64_t biased = (u + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;
    *e = (double)((int)biased - 1023) + extra;
    return from_bits(u - ((biased - 1023) << 52));
}

// log(1 + f) = 2 atanh(s), s = f / (2 + f): the series 2 (s + s^3/3 + s^5/5 + ...), arranged so that f leads.
double fm_log(double x) {
    if (x != x || x == infinity()) return x;
    if (x <= 0) return x == 0 ? -infinity() : not_a_number();
    double e, f = split_exponent(x, &e) - 1.0;
    double s = f / (2.0 + f), z = s * s, z2 = z * z;
    double a = cubic(z, z2, 0x1.5555555555558p-1, 0x1.99999999952e1p-2, 0x1.2492492df1681p-2, 0x1.c71c62e558272p-3);
    double b = (0x1.7462b4b689086p-3 + 0x1.39fe5eebedfa5p-3 * z) + 0x1.2b585ce66ecd3p-3 * z2;
    double rest = z * (a + z2 * z2 * b), half_square = 0.5 * f * f;
    return e * LN2_HI - ((half_square - (s * (half_square + rest) + e * LN2_REST)) - f);
}

// log(x) to about 2^-65: what a power needs, since y multiplies the error by up to 745.
static wide log_wide(double x) {
    double e, m = split_exponent(x, &e), f = m - 1.0;
    wide d = two_sum(m, 1.0);
    double s0 = f / d.hi;
    wide p = two_product(s0, d.hi);
    wide s = two_sum(s0, ((f - p.hi) - p.lo - s0 * d.lo) / d.hi);
    wide z = wide_mul(s, s);
    double t = z.hi, t2 = t * t;
    double a = cubic(t, t2, 0x1.2492492492492p-2, 0x1.c71c71c71c822p-3, 0x1.745d1745a3f56p-3, 0x1.3b13b16b45d72p-3);
    double b = cubic(t, t2, 0x1.1110f807a56acp-3, 0x1.e1eff9bac08d5p-4, 0x1.acf85f80ba021p-4, 0x1.b2dfba17f7e19p-4);
    wide sum = wide_mul(z, (wide){a + t2 * t2 * b, 0});
    sum = wide_mul(z, wide_add((wide){0x1.999999999999ap-2, -0x1.999999999999ap-56}, sum));   // 2/5
    sum = wide_mul(z, wide_add((wide){0x1.5555555555555p-1, 0x1.5555555555555p-55}, sum));    // 2/3
    sum = wide_mul(s, wide_add((wide){2.0, 0}, sum));
    wide exponent = two_sum(e * LN2_HI, e * LN2_MID);
    exponent.lo += e * LN2_LO;
    return wide_add(exponent, sum);
}

double fm_pow(double x, double y) {
    if (y == 0 || x == 1) return 1.0;
    if (x != x || y != y || x < 0) return not_a_number();
    double limit = ((x > 1) == (y > 0)) ? infinity() : 0.0;   // where y leads x in the end
    if (x == 0 || x == infinity() || y > 0x1p64 || y < -0x1p64) return limit;
    wide l = log_wide(x), p = two_product(y, l.hi);
    if (p.hi > 800 || p.hi < -800) return limit;
    return exp_wide(p.hi, p.lo + y * l.lo);
}

// ---- sin, cos ----

// x less the nearest multiple of pi/2; *quadrant counts the multiples, mod 4. pi/2 is taken in four parts of 23 bits,
// exact times a count below 2^30, and a fifth: 2^-148 in all, past the worst cancellation of a double below 2^30.
static wide reduce_quadrant(double x, int *quadrant) {
    double n = (x * 0x1.45f306dc9c883p-1 + ROUNDER) - ROUNDER;
    *quadrant = (int)((int64_t)n & 3);
    wide a = two_sum(x, -n * 0x1.921fb4p+0);
    wide b = two_sum(a.hi, -n * 0x1.4442dp-24);
    wide c = two_sum(b.hi, -n * 0x1.846988p-48);
    wide d = two_sum(c.hi, -n * 0x1.8cc514p-72);
    return two_sum(d.hi, (((a.lo + b.lo) + c.lo) + d.lo) - n * 0x1.80dc1cd129025p-95);
}

static double sin_reduced(wide r)   // |r| <= pi/4
{
    double z = r.hi * r.hi, z2 = z * z;
    double a = -0x1.5555555555555p-3 + 0x1.1111111110bb2p-7 * z;
    double b = -0x1.a01a019e83816p-13 + 0x1.71de379654304p-19 * z;
    double s = a + z2 * (b + z2 * (-0x1.ae600aca92c64p-26 + 0x1.5e0b05bff20f2p-33 * z));
    return r.hi + (r.hi * z * s + r.lo * (1.0 - 0.5 * z));
}

static double cos_reduced(wide r) {
    double z = r.hi * r.hi, z2 = z * z, half = 0.5 * z, lead = 1.0 - half;
    double a = 0x1.5555555555555p-5 - 0x1.6c16c16c16967p-10 * z;
    double b = 0x1.a01a019f4e9b4p-16 - 0x1.27e4fa17bf139p-22 * z;
    double c = a + z2 * (b + z2 * (0x1.1eeb68cd22f56p-29 - 0x1.907d8f29fe831p-37 * z));
    return lead + (((1.0 - lead) - half) + (z2 * c - r.hi * r.lo));
}

static double sin_quadrant(double x, int quarters)   // sin(x + quarters * pi/2)
{
    if (!(x > -0x1p30 && x < 0x1p30)) return not_a_number();
    int quadrant;
    wide r = reduce_quadrant(x, &quadrant);
    quadrant = (quadrant + quarters) & 3;
    double y = quadrant & 1 ? cos_reduced(r) : sin_reduced(r);
    return quadrant & 2 ? -y : y;
}

double fm_sin(double x) { return sin_quadrant(x, 0); }
double fm_cos(double x) { return sin_quadrant(x, 1); }

// ---- tanh, sqrt ----

static double tanh_small(double x)   // |x| <= 0.625
{
    double z = x * x, z2 = z * z, z4 = z2 * z2;
    double a = cubic(z, z2, -0x1.5555555555555p-2, 0x1.11111111110a8p-3, -0x1.ba1ba1ba0f126p-5, 0x1.664f487e0a749p-6);
    double b = cubic(z, z2, -0x1.226e3473dce5cp-7, 0x1.d6d39ae3905e2p-9, -0x1.7d9f6f23e8682p-10, 0x1.3526e9ed54da1p-11);
    double c = cubic(z, z2, -0x1.f243823c8c98p-13, 0x1.8445870f6fe4p-14, -0x1.05bbdae89629p-15, 0x1.b33642a122cddp-18);
    return x + x * z * (a + z4 * (b + z4 * c));
}

double fm_tanh(double x) {
    double a = x < 0 ? -x : x;
    if (x != x || a <= 0.625) return tanh_small(x);
    double y = a > 22 ? 1.0 : 1.0 - 2.0 / (fm_exp(2.0 * a) + 1.0);
    return x < 0 ? -y : y;
}

// The root of a 106-bit integer M * 2^52, M in 2^52..2^54, is a whole mantissa. Newton comes within a few units; the
// remainder, which fits 64 bits although the squares do not, settles the last ones and the rounding.
double fm_sqrt(double x) {
    if (x != x || x == 0 || x == infinity()) return x;
    if (x < 0) return not_a_number();
    int e = 0;
    if (x < DBL_MIN) x *= 0x1p54, e = -54;
    uint64_t u = bits_of(x);
    e += (int)(u >> 52) - 1023;
    uint64_t m = (u & 0xfffffffffffffu) | 0x10000000000000u;   // x = m * 2^(e-52)
    int odd = e & 1;
    m <<= odd;
    double v = (double)m * 0x1p-52, y = 0.5 + 0.5 * v;   // v in 1..4
    for (int i = 0; i < 5; i++) y = 0.5 * (y + v / y);
    uint64_t root = (uint64_t)(y * 0x1p52);
    int64_t rest = (int64_t)((m << 52) - root * root);   // modulo 2^64, and small
    while (rest < 0) root--, rest += (int64_t)(2 * root + 1);
    while (rest > (int64_t)(2 * root)) rest -= (int64_t)(2 * root + 1), root++;
    root += rest > (int64_t)root;
    return (double)root * power_of_two((e - odd) / 2 - 52);
}
