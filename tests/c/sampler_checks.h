// What checks of the sampler share: one with every step off, and a row of known probabilities.
#pragma once
#include "check.h"
#include "../../core_c/src/sample/sampler.h"

#define COUNT(array) (sizeof array / sizeof *array)

static inline gemel_sampler *opened(int n_vocab)   // with every step off and temperature 1
{
    gemel_sampler *s = NULL;
    CHECK_EQ_INT(sampler_open(&s, n_vocab), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TEMPERATURE, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TOP_K, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TOP_P, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_MIN_P, 0), GEMEL_OK);
    return s;
}

static inline void set(gemel_sampler *s, int option, double value) {
    CHECK_EQ_INT(gemel_sampler_set(s, option, value), GEMEL_OK);
}

static inline void accept_all(gemel_sampler *s, const char *digits)   // one id a digit
{
    for (; *digits; digits++) CHECK_EQ_INT(gemel_sampler_accept(s, *digits - '0'), GEMEL_OK);
}

static inline int greedy(gemel_sampler *s, const float *logits) {
    set(s, GEMEL_SAMPLER_TEMPERATURE, 0);
    return gemel_sampler_sample(s, logits);
}

// Logits of the probabilities 1/2, 1/4, 1/8, ..., the last one twice, at ids 0, 1, 2, ...
#define LN2 0.693147180559945f
static const float halves[6] = {-1 * LN2, -2 * LN2, -3 * LN2, -4 * LN2, -5 * LN2, -5 * LN2};
