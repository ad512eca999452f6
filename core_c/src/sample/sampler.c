// Options, the order of the steps and the source of chance. Each step is a function of penalties.c or candidates.c.
// All memory that sampling needs is taken when the sampler opens or an option is set.
#include "sampler.h"
#include "candidates.h"
#include "penalties.h"
#include <float.h>
#include <math.h>   // INFINITY, a macro
#include <stdlib.h>
#include <string.h>

struct gemel_sampler {
    int n_vocab;
    double value[GEMEL_SAMPLER_SEED + 1];   // by gemel_sampler_option
    penalties past;
    candidates left;
    float *logits;     // [n_vocab] with penalties
    uint64_t chance;   // state of the generator
    double mu;         // mirostat 2: the surprise allowed, in bits
};

// ---- Options ----

enum { WHOLE = 1, ABOVE = 2, BELOW = 4 };   // an integer; `least` itself is out of range; `most` itself is

typedef struct option {
    double initial, least, most;
    int kind;
} option;

static const option options[GEMEL_SAMPLER_SEED + 1] = {
    [GEMEL_SAMPLER_TEMPERATURE] = {0.8, 0, DBL_MAX, 0},
    [GEMEL_SAMPLER_TOP_K] = {40, 0, INT32_MAX, WHOLE},
    [GEMEL_SAMPLER_TOP_P] = {0.95, 0, 1, ABOVE},
    [GEMEL_SAMPLER_MIN_P] = {0.05, 0, 1, BELOW},
    [GEMEL_SAMPLER_TYPICAL_P] = {1, 0, 1, ABOVE},
    [GEMEL_SAMPLER_REPEAT_PENALTY] = {1, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_FREQUENCY_PENALTY] = {0, -2, 2, 0},
    [GEMEL_SAMPLER_PRESENCE_PENALTY] = {0, -2, 2, 0},
    [GEMEL_SAMPLER_PENALTY_LAST_N] = {64, 0, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_DRY_MULTIPLIER] = {0, 0, DBL_MAX, 0},
    [GEMEL_SAMPLER_DRY_BASE] = {1.75, 1, DBL_MAX, 0},
    [GEMEL_SAMPLER_DRY_ALLOWED_LENGTH] = {2, 1, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_DRY_LAST_N] = {1024, 0, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_XTC_PROBABILITY] = {0, 0, 1, 0},
    [GEMEL_SAMPLER_XTC_THRESHOLD] = {0.1, 0, 0.5, 0},
    [GEMEL_SAMPLER_MIROSTAT] = {0, 0, 2, WHOLE},
    [GEMEL_SAMPLER_MIROSTAT_TAU] = {5, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_MIROSTAT_ETA] = {0.1, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_SEED] = {0, 0, 0x1p53, WHOLE},
};

static int in_range(int id, double value) {
    if (id < GEMEL_SAMPLER_TEMPERATURE || id > GEMEL_SAMPLER_SEED) return 0;
    const option *o = &options[id];
    if (!(value >= o->least && value <= o->most)) return 0;   // NaN, too
    if (((o->kind & ABOVE) && value == o->least) || ((o->kind & BELOW) && value == o->most)) return 0;
    if ((o->kind & WHOLE) && (double)(int64_t)value != value) return 0;
    return !(id == GEMEL_SAMPLER_MIROSTAT && value == 1);
}

// What follows from an option's value.
static int take_option(gemel_sampler *s, int id) {
    const double *v = s->value;
    penalties *past = &s->past;
    switch (id) {
    case GEMEL_SAMPLER_REPEAT_PENALTY: past->repeat = v[id]; break;
    case GEMEL_SAMPLER_FREQUENCY_PENALTY: past->frequency = v[id]; break;
    case GEMEL_SAMPLER_PRESENCE_PENALTY: past->presence = v[id]; break;
    case GEMEL_SAMPLER_DRY_MULTIPLIER: past->dry_multiplier = v[id]; break;
    case GEMEL_SAMPLER_DRY_BASE: past->dry_base = v[id]; break;
    case GEMEL_SAMPLER_DRY_ALLOWED_LENGTH: past->dry_allowed_length = (int)v[id]; break;
    case GEMEL_SAMPLER_PENALTY_LAST_N:
    case GEMEL_SAMPLER_DRY_LAST_N:
        return penalties_look_back(past, (int)v[GEMEL_SAMPLER_PENALTY_LAST_N], (int)v[GEMEL_SAMPLER_DRY_LAST_N]);
    case GEMEL_SAMPLER_MIROSTAT_TAU: s->mu = 2 * v[id]; break;
    case GEMEL_SAMPLER_SEED: s->chance = (uint64_t)v[id]; break;
    default: break;   // read where it is used
    }
    return GEMEL_OK;
}

int gemel_sampler_set(gemel_sampler *s, int option, double value) {
    if (!s || !in_range(option, value)) return GEMEL_E_ARGUMENT;
    double before = s->value[option];
    s->value[option] = value;
    int code = take_option(s, option);
    if (code) s->value[option] = before;
    return code;
}

// ---- Open, close, what it is told ----

static int open_parts(gemel_sampler *s) {
    int code = penalties_open(&s->past, s->n_vocab);
    if (!code) code = candidates_open(&s->left, s->n_vocab);
    if (!code && !(s->logits = malloc((size_t)s->n_vocab * sizeof *s->logits))) code = GEMEL_E_MEMORY;
    for (int id = 1; id <= GEMEL_SAMPLER_SEED; id++) s->value[id] = options[id].initial;
    for (int id = 1; !code && id <= GEMEL_SAMPLER_SEED; id++) code = take_option(s, id);
    return code;
}

int sampler_open(gemel_sampler **out, int n_vocab) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    if (n_vocab < 1) return GEMEL_E_ARGUMENT;
    if ((size_t)n_vocab > SIZE_MAX / sizeof(uint64_t)) return GEMEL_E_MEMORY;
    gemel_sampler *s = calloc(1, sizeof *s);
    if (!s) return GEMEL_E_MEMORY;
    s->n_vocab = n_vocab;
    int code = open_parts(s);
    if (code) gemel_sampler_close(s);
    else *out = s;
    return code;
}

void gemel_sampler_close(gemel_sampler *s) {
    if (!s) return;
    penalties_close(&s->past);
    candidates_close(&s->left);
    free(s->logits);
    free(s);
}

int gemel_sampler_bias(gemel_sampler *s, int32_t id, float bias) {
    return s ? penalties_bias(&s->past, id, bias) : GEMEL_E_ARGUMENT;
}

int gemel_sampler_dry_breaker(gemel_sampler *s, const int32_t *ids, size_t n) {
    return s ? penalties_breaker(&s->past, ids, n) : GEMEL_E_ARGUMENT;
}

int gemel_sampler_accept(gemel_sampler *s, int32_t id) { return s ? penalties_accept(&s->past, id) : GEMEL_E_ARGUMENT; }

int gemel_sampler_reset(gemel_sampler *s) {
    if (!s) return GEMEL_E_ARGUMENT;
    penalties_forget(&s->past);
    s->chance = (uint64_t)s->value[GEMEL_SAMPLER_SEED];
    s->mu = 2 * s->value[GEMEL_SAMPLER_MIROSTAT_TAU];
    return GEMEL_OK;
}

// ---- Sampling ----

// A multiple of 2^-53 in [0, 1), by splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014).
static double uniform(gemel_sampler *s) {
    uint64_t z = s->chance += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

// The first step reads all logits, so it also makes the list of candidates.
static void fill(gemel_sampler *s, const float *logits, float best) {
    const double *v = s->value;
    int alone = v[GEMEL_SAMPLER_TOP_P] == 1 && v[GEMEL_SAMPLER_TYPICAL_P] == 1;   // then min-p is the first step
    if (v[GEMEL_SAMPLER_MIROSTAT] != 0) candidates_fill(&s->left, logits);
    else if (v[GEMEL_SAMPLER_TOP_K] > 0) candidates_fill_top_k(&s->left, logits, (size_t)v[GEMEL_SAMPLER_TOP_K]);
    else if (v[GEMEL_SAMPLER_MIN_P] > 0 && alone) candidates_fill_min_p(&s->left, logits, best, v[GEMEL_SAMPLER_MIN_P]);
    else candidates_fill(&s->left, logits);
}

static void narrow(gemel_sampler *s) {
    const double *v = s->value;
    candidates *left = &s->left;
    if (v[GEMEL_SAMPLER_TYPICAL_P] < 1) candidates_keep_typical(left, v[GEMEL_SAMPLER_TYPICAL_P]);
    if (v[GEMEL_SAMPLER_TOP_P] < 1) candidates_keep_top_p(left, v[GEMEL_SAMPLER_TOP_P]);
    if (v[GEMEL_SAMPLER_MIN_P] > 0) candidates_keep_min_p(left, v[GEMEL_SAMPLER_MIN_P]);
    if (v[GEMEL_SAMPLER_XTC_PROBABILITY] > 0 && uniform(s) < v[GEMEL_SAMPLER_XTC_PROBABILITY]) {
        candidates_drop_top(left, v[GEMEL_SAMPLER_XTC_THRESHOLD]);
    }
}

int gemel_sampler_sample(gemel_sampler *s, const float *logits) {
    if (!s || !logits) return GEMEL_E_ARGUMENT;
    float best;
    int code = logits_best(logits, (size_t)s->n_vocab, &best);
    if (code) return code;
    if (penalties_active(&s->past)) {
        memcpy(s->logits, logits, (size_t)s->n_vocab * sizeof *logits);
        penalties_apply(&s->past, s->logits);
        logits = s->logits;
        (void)logits_best(logits, (size_t)s->n_vocab, &best);   // finite or -INFINITY by construction
    }
    if (best == -INFINITY) return GEMEL_E_ARGUMENT;
    double temperature = s->value[GEMEL_SAMPLER_TEMPERATURE], surprise;
    if (temperature == 0) return logits_find(logits, (size_t)s->n_vocab, best);

    fill(s, logits, best);
    int mirostat = s->value[GEMEL_SAMPLER_MIROSTAT] != 0;
    if (mirostat) candidates_keep_unsurprising(&s->left, s->mu);
    else narrow(s);
    int id = candidates_draw(&s->left, temperature, uniform(s), &surprise);
    if (mirostat) s->mu -= s->value[GEMEL_SAMPLER_MIROSTAT_ETA] * (surprise - s->value[GEMEL_SAMPLER_MIROSTAT_TAU]);
    return id;
}
