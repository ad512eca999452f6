// The sampler through its public calls: truncation steps alone on small rows, all of them together against golden ids,
// the calling rules, and distributions by chi-square.
#include "../../core_c/src/fmath.h"
#include "sampler_checks.h"
#include <float.h>
#include <math.h>   // INFINITY and NAN: macros only
#include <stdlib.h>

// The ids (below 64) that 600 draws from a row give, as bits.
static uint64_t support(gemel_sampler *s, const float *logits) {
    uint64_t seen = 0;
    for (int i = 0; i < 600; i++) {
        int id = gemel_sampler_sample(s, logits);
        CHECK(id >= 0 && id < 64);
        seen |= (uint64_t)1 << (id & 63);
    }
    return seen;
}

// ---- Greedy ----

static void greedy_takes_the_most_likely_and_the_first_of_equals(void) {
    enum { N = 200 };
    gemel_sampler *s = plain_sampler(N);
    float row[N];
    for (int place = 0; place < N; place++) {
        for (int i = 0; i < N; i++) row[i] = -3.0f - (float)(i % 7);
        for (int i = place; i < N; i += 3) row[i] = -1;
        CHECK_EQ_INT(greedy(s, row), place);
    }
    for (int i = 0; i < N; i++) row[i] = i % 2 ? 0.0f : -0.0f;
    CHECK_EQ_INT(greedy(s, row), 0);
    for (int i = 0; i < N; i++) row[i] = -FLT_MAX;
    CHECK_EQ_INT(greedy(s, row), 0);
    gemel_sampler_close(s);
}

static void greedy_draws_nothing(void) {
    gemel_sampler *a = plain_sampler(6), *b = plain_sampler(6);
    for (int i = 0; i < 5; i++) (void)greedy(a, halves);
    set(a, GEMEL_SAMPLER_TEMPERATURE, 1);
    for (int i = 0; i < 50; i++) CHECK_EQ_INT(gemel_sampler_sample(a, halves), gemel_sampler_sample(b, halves));
    gemel_sampler_close(a), gemel_sampler_close(b);
}

// ---- Truncation, one step at a time ----

typedef struct step {
    double top_k, typical, top_p, min_p;
    uint64_t kept;
} step;

static void truncation_keeps_these_ids(void) {
    static const step steps[] = {
        // of halves: probabilities .5 .25 .125 .0625 .03125 .03125
        {0, 1, 1, 0, 0x3f},
        {1, 1, 1, 0, 0x01},
        {2, 1, 1, 0, 0x03},
        {5, 1, 1, 0, 0x1f},
        {6, 1, 1, 0, 0x3f},
        {1e6, 1, 1, 0, 0x3f},
        {0, 1, 0.0001, 0, 0x01},
        {0, 1, 0.49, 0, 0x01},
        {0, 1, 0.51, 0, 0x03},
        {0, 1, 0.74, 0, 0x03},
        {0, 1, 0.76, 0, 0x07},
        {0, 1, 0.96, 0, 0x1f},
        {0, 1, 0.98, 0, 0x3f},
        {0, 1, 1, 0.99, 0x01},
        {0, 1, 1, 0.51, 0x01},
        {0, 1, 1, 0.49, 0x03},
        {0, 1, 1, 0.24, 0x07},
        {0, 1, 1, 0.01, 0x3f},
        // the entropy is 1.9375 bits: nearest to it come id 1 (2 bits), 0 (1), 2 (3), 3 (4), 4 and 5 (5)
        {0, 0.2, 1, 0, 0x02},
        {0, 0.3, 1, 0, 0x03},
        {0, 0.8, 1, 0, 0x07},
        {0, 0.9, 1, 0, 0x0f},
        {0, 0.95, 1, 0, 0x1f},
        // together: top-k 3 makes .57 .29 .14, then each step sees what the one before left
        {3, 1, 0.6, 0, 0x03},
        {3, 1, 0.99, 0.3, 0x03},
        {4, 0.9, 1, 0, 0x07},
        {5, 1, 0.9, 0.2, 0x07},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        gemel_sampler *s = plain_sampler(6);
        set(s, GEMEL_SAMPLER_TOP_K, steps[i].top_k), set(s, GEMEL_SAMPLER_TYPICAL_P, steps[i].typical);
        set(s, GEMEL_SAMPLER_TOP_P, steps[i].top_p), set(s, GEMEL_SAMPLER_MIN_P, steps[i].min_p);
        uint64_t kept = support(s, halves);
        if (kept != steps[i].kept) printf("    step %d\n", (int)i);
        CHECK_EQ_INT(kept, steps[i].kept);
        gemel_sampler_close(s);
    }
}

static void equal_logits_rank_by_id(void) {
    float row[64];
    for (int i = 0; i < 64; i++) row[i] = i % 2 ? 0.0f : -0.0f;
    gemel_sampler *s = plain_sampler(64);
    for (int k = 1; k < 64; k += 9) {
        set(s, GEMEL_SAMPLER_TOP_K, k), set(s, GEMEL_SAMPLER_TOP_P, 1);
        CHECK((support(s, row) >> k) == 0);
        set(s, GEMEL_SAMPLER_TOP_K, 0), set(s, GEMEL_SAMPLER_TOP_P, (k - 0.5) / 64);
        CHECK((support(s, row) >> k) == 0);
    }
    gemel_sampler_close(s);
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

// A row longer than a stride of the scan, and a k on either side of where selection becomes sorting.
static void top_k_of_a_long_row_is_that_of_a_sort(void) {
    enum { N = 5000 };
    static float row[N], sorted[N];
    gemel_sampler *s = plain_sampler(N);
    uint64_t seed = 5;
    for (int order = 0; order < 3; order++) {
        for (int i = 0; i < N; i++) row[i] = (float)(check_random(&seed) >> 40) * 0x1p-22f;
        memcpy(sorted, row, sizeof row);
        qsort(sorted, N, sizeof *sorted, compare_floats);
        if (order == 1) memcpy(row, sorted, sizeof row);
        if (order == 2)
            for (int i = 0; i < N; i++) row[i] = sorted[N - 1 - i];
        for (int k = 1; k < N; k = k * 3 + 1) {
            set(s, GEMEL_SAMPLER_TOP_K, k);
            float lowest = FLT_MAX;
            for (int i = 0; i < 300; i++) {
                int id = gemel_sampler_sample(s, row);
                if (row[id] < lowest) lowest = row[id];
            }
            CHECK(lowest >= sorted[k - 1]);
        }
    }
    gemel_sampler_close(s);
}

static void xtc_leaves_the_least_likely_of_those_over_the_threshold(void) {
    gemel_sampler *s = plain_sampler(6);
    set(s, GEMEL_SAMPLER_XTC_PROBABILITY, 1);
    static const double thresholds[] = {0.5, 0.4, 0.2, 0.1, 0.05, 0};
    static const uint64_t kept[] = {0x3f, 0x3f, 0x3e, 0x3c, 0x38, 0x20};
    for (size_t i = 1; i < COUNT(kept); i++) {
        set(s, GEMEL_SAMPLER_XTC_THRESHOLD, thresholds[i]);
        CHECK_EQ_INT(support(s, halves), kept[i]);
    }
    set(s, GEMEL_SAMPLER_XTC_THRESHOLD, 0.2), set(s, GEMEL_SAMPLER_XTC_PROBABILITY, 0.25);
    int first = 0;   // id 0 comes only when the step stays out: 3/4 of the time, and then at 1/2
    for (int i = 0; i < 8000; i++) first += gemel_sampler_sample(s, halves) == 0;
    CHECK(first > 2850 && first < 3150);
    gemel_sampler_close(s);
}

// Of ids whose probabilities fall as 1/rank: 9 bits of entropy when nothing is truncated.
static void mirostat_holds_the_surprise_near_tau(void) {
    enum { N = 4000, DRAWS = 6000 };
    static float row[N];
    for (int i = 0; i < N; i++) row[i] = (float)-fm_log(i + 1);
    for (int tau = 1; tau < 7; tau += 2) {
        static int count[N];
        memset(count, 0, sizeof count);
        gemel_sampler *s = plain_sampler(N);
        set(s, GEMEL_SAMPLER_MIROSTAT, 2), set(s, GEMEL_SAMPLER_MIROSTAT_TAU, tau);
        for (int i = 0; i < 200; i++) (void)gemel_sampler_sample(s, row);
        for (int i = 0; i < DRAWS; i++) count[gemel_sampler_sample(s, row)]++;
        double entropy = 0;   // of what was drawn, in bits
        for (int i = 0; i < N; i++) {
            double p = count[i] / (double)DRAWS;
            if (p > 0) entropy -= p * fm_log(p) / LN2;
        }
        printf("     tau %d: %.2f bits\n", tau, entropy);
        CHECK(entropy > tau - 0.5 && entropy < tau + 0.5);
        gemel_sampler_close(s);
    }
}

static void mirostat_falls_back_to_the_most_likely(void) {
    float row[64] = {0};
    row[40] = 0.001f;
    gemel_sampler *s = plain_sampler(64);   // every id surprises by 6 bits, twice tau is 2
    set(s, GEMEL_SAMPLER_MIROSTAT, 2), set(s, GEMEL_SAMPLER_MIROSTAT_TAU, 1);
    CHECK_EQ_INT(gemel_sampler_sample(s, row), 40);
    gemel_sampler_close(s);
}

// ---- The draw ----

// Pearson's statistic of n draws, against probabilities p[k].
static double chi_square(gemel_sampler *s, const float *logits, const double *p, int k, int n) {
    int count[64] = {0};
    for (int i = 0; i < n; i++) count[gemel_sampler_sample(s, logits) & 63]++;
    double sum = 0;
    for (int i = 0; i < k; i++) sum += (count[i] - n * p[i]) * (count[i] - n * p[i]) / (n * p[i]);
    return sum;
}

static void draws_follow_the_softmax(void) {
    const double p[6] = {0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125};
    const double warm[4] = {8 / 15.0, 4 / 15.0, 2 / 15.0, 1 / 15.0};   // top-k 4
    const double hot[2] = {0.585786437626905, 0.414213562373095};      // two halves at temperature 2: sqrt(2) to 1
    for (int seed = 0; seed < 5; seed++) {
        gemel_sampler *s = plain_sampler(6);
        set(s, GEMEL_SAMPLER_SEED, seed);
        CHECK(chi_square(s, halves, p, 6, 20000) < 20.5);   // 5 degrees of freedom: 0.1 %
        set(s, GEMEL_SAMPLER_TOP_K, 4);
        CHECK(chi_square(s, halves, warm, 4, 20000) < 16.3);
        set(s, GEMEL_SAMPLER_TOP_K, 2), set(s, GEMEL_SAMPLER_TEMPERATURE, 2);
        CHECK(chi_square(s, halves, hot, 2, 20000) < 10.8);
        gemel_sampler_close(s);
    }
}

static void extreme_temperatures_and_logits_draw(void) {
    gemel_sampler *s = plain_sampler(4);
    set(s, GEMEL_SAMPLER_TEMPERATURE, 0x1p-1074);
    for (int i = 0; i < 50; i++) CHECK_EQ_INT(gemel_sampler_sample(s, (float[]){1, 3, 2, 3}) & 1, 1);
    set(s, GEMEL_SAMPLER_TEMPERATURE, DBL_MAX);
    CHECK_EQ_INT(support(s, (float[]){-FLT_MAX, 0, FLT_MAX, 1}), 0xf);
    set(s, GEMEL_SAMPLER_TEMPERATURE, 1);
    CHECK_EQ_INT(support(s, (float[]){-FLT_MAX, 0, FLT_MAX, 1}), 0x4);
    set(s, GEMEL_SAMPLER_TYPICAL_P, 0.5), set(s, GEMEL_SAMPLER_MIN_P, 1e-300);
    set(s, GEMEL_SAMPLER_TOP_P, 0.999999999999);
    CHECK_EQ_INT(support(s, (float[]){-FLT_MAX, 0, FLT_MAX, 1}), 0x4);
    gemel_sampler_close(s);
}

// ---- The same ids everywhere ----

enum { GOLDEN_VOCAB = 1000, GOLDEN_N = 12 };

typedef struct golden {
    struct {
        int option;
        double value;
    } set[4];
    int ids[GOLDEN_N];
} golden;

static const golden goldens[] = {
    {{{0, 0}}, {754, 165, 288, 364, 55, 898, 220, 809, 364, 631, 199, 487}},
    {{{GEMEL_SAMPLER_TOP_K, 0}, {GEMEL_SAMPLER_TOP_P, 1}, {GEMEL_SAMPLER_MIN_P, 0}, {GEMEL_SAMPLER_TEMPERATURE, 1}},
     {749, 163, 288, 346, 42, 872, 220, 809, 343, 626, 205, 495}},
    {{{GEMEL_SAMPLER_TOP_K, 0}, {GEMEL_SAMPLER_TYPICAL_P, 0.5}},
     {749, 173, 283, 364, 42, 872, 220, 817, 359, 618, 220, 495}},
    {{{GEMEL_SAMPLER_XTC_PROBABILITY, 0.5}, {GEMEL_SAMPLER_TOP_K, 200}, {GEMEL_SAMPLER_TEMPERATURE, 1.3}},
     {160, 346, 872, 809, 626, 495, 521, 202, 495, 694, 76, 631}},
    {{{GEMEL_SAMPLER_MIROSTAT, 2}, {GEMEL_SAMPLER_MIROSTAT_TAU, 3}},
     {987, 987, 288, 377, 144, 898, 288, 898, 377, 665, 288, 521}},
    {{{GEMEL_SAMPLER_TOP_K, 2}, {GEMEL_SAMPLER_DRY_MULTIPLIER, 0.02}, {GEMEL_SAMPLER_DRY_ALLOWED_LENGTH, 1}},
     {987, 377, 377, 754, 377, 987, 754, 987, 377, 987, 377, 144}},
    {{{GEMEL_SAMPLER_TEMPERATURE, 0}, {GEMEL_SAMPLER_REPEAT_PENALTY, 1.5}},
     {987, 377, 754, 144, 521, 898, 288, 665, 55, 432, 809, 199}},
};

static void a_seed_gives_these_ids_on_every_machine(void) {
    static float row[GOLDEN_VOCAB];
    for (uint32_t i = 0; i < GOLDEN_VOCAB; i++) row[i] = (float)(i * 2654435761u >> 8) * 0x1p-24f * 12 - 6;
    for (size_t g = 0; g < COUNT(goldens); g++) {
        gemel_sampler *s = NULL;
        CHECK_EQ_INT(sampler_open(&s, vocabulary(GOLDEN_VOCAB)), GEMEL_OK);
        set(s, GEMEL_SAMPLER_SEED, 42);
        for (int i = 0; i < 4; i++) {
            if (goldens[g].set[i].option) set(s, goldens[g].set[i].option, goldens[g].set[i].value);
        }
        for (int i = 0; i < GOLDEN_N; i++) {
            int id = gemel_sampler_sample(s, row);
            CHECK_EQ_INT(id, goldens[g].ids[i]);
            gemel_sampler_accept(s, id);
        }
        gemel_sampler_close(s);
    }
}

static void reset_brings_back_the_state_after_the_options(void) {
    gemel_sampler *s = plain_sampler(6);
    int first[40], equal = 0;
    set(s, GEMEL_SAMPLER_SEED, 9), set(s, GEMEL_SAMPLER_MIROSTAT, 2), set(s, GEMEL_SAMPLER_MIROSTAT_TAU, 1.5);
    set(s, GEMEL_SAMPLER_FREQUENCY_PENALTY, 0.3), set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 1);
    CHECK_EQ_INT(gemel_sampler_bias(s, 2, 1), GEMEL_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40; i++) {
            int id = gemel_sampler_sample(s, halves);
            if (round == 0) first[i] = id;
            equal += round == 1 && first[i] == id;
            gemel_sampler_accept(s, id);
        }
        CHECK_EQ_INT(gemel_sampler_reset(s), GEMEL_OK);
    }
    CHECK_EQ_INT(equal, 40);
    gemel_sampler_close(s);
}

static void seeds_differ(void) {
    gemel_sampler *s = plain_sampler(64);
    float row[64] = {0};
    int equal = 0;
    for (int seed = 0; seed < 200; seed++) {
        set(s, GEMEL_SAMPLER_SEED, seed);
        int a = gemel_sampler_sample(s, row);
        set(s, GEMEL_SAMPLER_SEED, 0x1p53 - seed);
        equal += a == gemel_sampler_sample(s, row);
    }
    CHECK(equal < 12);
    gemel_sampler_close(s);
}

// ---- The calling rules ----

static void values_out_of_range_are_refused(void) {
    static const struct {
        int option;
        double value;
    } bad[] = {
        {0, 1},
        {-1, 1},
        {20, 1},
        {1 << 30, 1},
        {GEMEL_SAMPLER_TEMPERATURE, -0.1},
        {GEMEL_SAMPLER_TOP_K, -1},
        {GEMEL_SAMPLER_TOP_K, 1.5},
        {GEMEL_SAMPLER_TOP_K, 3e9},
        {GEMEL_SAMPLER_TOP_P, 0},
        {GEMEL_SAMPLER_TOP_P, 1.01},
        {GEMEL_SAMPLER_MIN_P, 1},
        {GEMEL_SAMPLER_MIN_P, -0.1},
        {GEMEL_SAMPLER_TYPICAL_P, 0},
        {GEMEL_SAMPLER_TYPICAL_P, 2},
        {GEMEL_SAMPLER_REPEAT_PENALTY, 0},
        {GEMEL_SAMPLER_FREQUENCY_PENALTY, 2.1},
        {GEMEL_SAMPLER_PRESENCE_PENALTY, -2.1},
        {GEMEL_SAMPLER_PENALTY_LAST_N, -1},
        {GEMEL_SAMPLER_PENALTY_LAST_N, 0.5},
        {GEMEL_SAMPLER_PENALTY_LAST_N, (1 << 20) + 1},
        {GEMEL_SAMPLER_DRY_MULTIPLIER, -1},
        {GEMEL_SAMPLER_DRY_BASE, 0.9},
        {GEMEL_SAMPLER_DRY_ALLOWED_LENGTH, 0},
        {GEMEL_SAMPLER_DRY_LAST_N, 1e9},
        {GEMEL_SAMPLER_XTC_PROBABILITY, 1.1},
        {GEMEL_SAMPLER_XTC_THRESHOLD, 0.6},
        {GEMEL_SAMPLER_MIROSTAT, 1},
        {GEMEL_SAMPLER_MIROSTAT, 3},
        {GEMEL_SAMPLER_MIROSTAT_TAU, 0},
        {GEMEL_SAMPLER_MIROSTAT_ETA, 0},
        {GEMEL_SAMPLER_SEED, -1},
        {GEMEL_SAMPLER_SEED, 1.5},
        {GEMEL_SAMPLER_SEED, 0x1.1p53},
    };
    gemel_sampler *s = plain_sampler(6);
    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_EQ_INT(gemel_sampler_set(s, bad[i].option, bad[i].value), GEMEL_E_ARGUMENT);
    }
    for (int option = 1; option <= GEMEL_SAMPLER_SEED; option++) {
        CHECK_EQ_INT(gemel_sampler_set(s, option, NAN), GEMEL_E_ARGUMENT);
        CHECK_EQ_INT(gemel_sampler_set(s, option, INFINITY), GEMEL_E_ARGUMENT);
        CHECK_EQ_INT(gemel_sampler_set(s, option, -INFINITY), GEMEL_E_ARGUMENT);
    }
    CHECK_EQ_INT(support(s, halves), 0x3f);   // as it was
    gemel_sampler_close(s);
}

static void ids_and_sizes_out_of_range_are_refused(void) {
    gemel_sampler *s = plain_sampler(6), *none = NULL;
    int32_t ids[21] = {0};
    CHECK_EQ_INT(sampler_open(&none, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(sampler_open(NULL, vocabulary(6)), GEMEL_E_ARGUMENT);
    CHECK(none == NULL);
    CHECK_EQ_INT(gemel_sampler_accept(s, -1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_accept(s, 6), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_bias(s, -1, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_bias(s, 6, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_bias(s, 0, NAN), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_bias(s, 0, INFINITY), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_dry_breaker(s, ids, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_dry_breaker(s, ids, 21), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_dry_breaker(s, ids, 20), GEMEL_OK);
    ids[1] = 6;
    CHECK_EQ_INT(gemel_sampler_dry_breaker(s, ids, 2), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_dry_breaker(s, NULL, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_sample(s, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_sample(NULL, halves), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_set(NULL, 1, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_reset(NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_seed(NULL, 1, 1), GEMEL_E_ARGUMENT);
    gemel_sampler_close(s), gemel_sampler_close(NULL);
}

static void logits_that_are_not_numbers_are_refused(void) {
    enum { N = 131 };
    float row[N] = {0};
    gemel_sampler *s = plain_sampler(N);
    for (int greedy_too = 0; greedy_too < 2; greedy_too++) {
        set(s, GEMEL_SAMPLER_TEMPERATURE, !greedy_too);
        for (int i = 0; i < N; i++) {
            row[i] = NAN;
            CHECK_EQ_INT(gemel_sampler_sample(s, row), GEMEL_E_NUMERIC);
            row[i] = INFINITY;
            CHECK_EQ_INT(gemel_sampler_sample(s, row), GEMEL_E_NUMERIC);
            row[i] = 0;
        }
    }
    CHECK_EQ_INT(gemel_sampler_bias(s, 3, -INFINITY), GEMEL_OK);
    row[3] = NAN;   // the logit of a forbidden id must be a number, too
    CHECK_EQ_INT(gemel_sampler_sample(s, row), GEMEL_E_NUMERIC);
    for (int i = 0; i < N; i++) row[i] = -INFINITY;
    CHECK_EQ_INT(gemel_sampler_sample(s, row), GEMEL_E_ARGUMENT);
    row[100] = -FLT_MAX;
    CHECK_EQ_INT(gemel_sampler_sample(s, row), 100);
    gemel_sampler_close(s);
}

static void a_vocabulary_of_one_is_drawn(void) {
    gemel_sampler *s = NULL;
    CHECK_EQ_INT(sampler_open(&s, vocabulary(1)), GEMEL_OK);
    set(s, GEMEL_SAMPLER_TYPICAL_P, 0.1), set(s, GEMEL_SAMPLER_XTC_PROBABILITY, 1);
    set(s, GEMEL_SAMPLER_XTC_THRESHOLD, 0);
    for (int i = 0; i < 10; i++) CHECK_EQ_INT(gemel_sampler_sample(s, (float[]){-7}), 0);
    gemel_sampler_close(s);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(greedy_takes_the_most_likely_and_the_first_of_equals),
        CHECK_ENTRY(greedy_draws_nothing),
        CHECK_ENTRY(truncation_keeps_these_ids),
        CHECK_ENTRY(equal_logits_rank_by_id),
        CHECK_ENTRY(top_k_of_a_long_row_is_that_of_a_sort),
        CHECK_ENTRY(xtc_leaves_the_least_likely_of_those_over_the_threshold),
        CHECK_ENTRY(mirostat_holds_the_surprise_near_tau),
        CHECK_ENTRY(mirostat_falls_back_to_the_most_likely),
        CHECK_ENTRY(draws_follow_the_softmax),
        CHECK_ENTRY(extreme_temperatures_and_logits_draw),
        CHECK_ENTRY(a_seed_gives_these_ids_on_every_machine),
        CHECK_ENTRY(reset_brings_back_the_state_after_the_options),
        CHECK_ENTRY(seeds_differ),
        CHECK_ENTRY(values_out_of_range_are_refused),
        CHECK_ENTRY(ids_and_sizes_out_of_range_are_refused),
        CHECK_ENTRY(logits_that_are_not_numbers_are_refused),
        CHECK_ENTRY(a_vocabulary_of_one_is_drawn),
    };
    return check_main(table, COUNT(table), argc, argv);
}
