// Elementary functions in double that give the same bits on every machine: only + - * / and integer operations.
// Within 2 ulp of the true value over the ranges named. For tables and sampling; kernels have their own in simd.h.
#pragma once
#include <stddef.h>

double fm_exp(double x);   // 0 below -745.14, +Inf above 709.78
double fm_log(double x);   // x > 0; -Inf at 0, NaN below
double fm_sin(double x);   // |x| < 2^30; NaN beyond
double fm_cos(double x);
double fm_pow(double x, double y);   // x >= 0; NaN below
double fm_tanh(double x);
double fm_sqrt(double x);   // correctly rounded; NaN below 0

void fm_exp_row(double *x, size_t n);   // x[i] = fm_exp(x[i]), the same bits, faster
