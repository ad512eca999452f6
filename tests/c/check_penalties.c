// Bias, repeat/frequency/presence penalties and DRY, through the sampler's public calls: which id is the most likely
// afterwards.
#include "sampler_checks.h"
#include <float.h>
#include <math.h>   // INFINITY, a macro

// ---- Bias and penalties ----

static void bias_moves_and_forbids(void) {
    gemel_sampler *s = plain_sampler(6);
    CHECK_EQ_INT(gemel_sampler_bias(s, 0, -INFINITY), GEMEL_OK);
    for (int i = 0; i < 100; i++) CHECK(gemel_sampler_sample(s, halves) > 0);
    CHECK_EQ_INT(greedy(s, halves), 1);
    CHECK_EQ_INT(gemel_sampler_bias(s, 5, 3), GEMEL_OK);
    CHECK_EQ_INT(greedy(s, halves), 5);
    CHECK_EQ_INT(gemel_sampler_bias(s, 0, 0), GEMEL_OK);   // it replaces the first
    CHECK_EQ_INT(gemel_sampler_bias(s, 5, -FLT_MAX), GEMEL_OK);
    CHECK_EQ_INT(greedy(s, halves), 0);
    for (int i = 0; i < 6; i++) CHECK_EQ_INT(gemel_sampler_bias(s, i, -INFINITY), GEMEL_OK);
    CHECK_EQ_INT(greedy(s, halves), GEMEL_E_ARGUMENT);
    set(s, GEMEL_SAMPLER_TEMPERATURE, 1);
    CHECK_EQ_INT(gemel_sampler_sample(s, halves), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_bias(s, 4, -FLT_MAX), GEMEL_OK);   // as low as can be, but allowed
    CHECK_EQ_INT(gemel_sampler_sample(s, halves), 4);
    gemel_sampler_close(s);
}

static void many_biases_are_kept(void) {
    enum { N = 3000 };
    static float row[N];
    gemel_sampler *s = plain_sampler(N);
    for (int i = 0; i < N; i++)
        if (i != 1234) CHECK_EQ_INT(gemel_sampler_bias(s, N - 1 - i, -INFINITY), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_sample(s, row), N - 1 - 1234);
    gemel_sampler_close(s);
}

static void repeat_penalty_divides_what_is_positive_and_multiplies_the_rest(void) {
    gemel_sampler *s = plain_sampler(4);
    set(s, GEMEL_SAMPLER_REPEAT_PENALTY, 2);
    CHECK_EQ_INT(greedy(s, (float[]){4, 3, -1, -1.5f}), 0);
    accept_all(s, "02");
    CHECK_EQ_INT(greedy(s, (float[]){4, 3, -1, -1.5f}), 1);     // 4 -> 2
    CHECK_EQ_INT(greedy(s, (float[]){-9, -9, -1, -1.5f}), 3);   // -1 -> -2
    accept_all(s, "0000");
    CHECK_EQ_INT(greedy(s, (float[]){6.5f, 3, -1, -1.5f}), 0);   // the count does not matter: 3.25
    gemel_sampler_close(s);
}

static void frequency_counts_and_presence_does_not(void) {
    gemel_sampler *s = plain_sampler(4);
    const float row[4] = {3, 2, 1, 0};
    set(s, GEMEL_SAMPLER_FREQUENCY_PENALTY, 0.6);
    accept_all(s, "0");
    CHECK_EQ_INT(greedy(s, row), 0);   // 2.4
    accept_all(s, "0");
    CHECK_EQ_INT(greedy(s, row), 1);   // 1.8
    set(s, GEMEL_SAMPLER_FREQUENCY_PENALTY, 0), set(s, GEMEL_SAMPLER_PRESENCE_PENALTY, 0.9);
    CHECK_EQ_INT(greedy(s, row), 0);   // 2.1, twice or not
    set(s, GEMEL_SAMPLER_PRESENCE_PENALTY, 1.1);
    CHECK_EQ_INT(greedy(s, row), 1);
    set(s, GEMEL_SAMPLER_PRESENCE_PENALTY, -2);
    accept_all(s, "3");
    CHECK_EQ_INT(greedy(s, (float[]){0, 2, 1, 1}), 3);
    gemel_sampler_close(s);
}

static void penalties_look_back_at_the_last_n_ids(void) {
    gemel_sampler *s = plain_sampler(10);
    float row[10] = {5, 4};
    set(s, GEMEL_SAMPLER_PRESENCE_PENALTY, 2), set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 3);
    accept_all(s, "0234");
    CHECK_EQ_INT(greedy(s, row), 0);
    accept_all(s, "056");
    CHECK_EQ_INT(greedy(s, row), 1);
    accept_all(s, "7");
    CHECK_EQ_INT(greedy(s, row), 0);
    set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 4);   // the ids are still held
    CHECK_EQ_INT(greedy(s, row), 1);
    set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 0);
    CHECK_EQ_INT(greedy(s, row), 0);
    set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 5000);   // a longer ring takes over what the shorter one held
    CHECK_EQ_INT(greedy(s, row), 1);
    for (int i = 0; i < 4999; i++) accept_all(s, "8");
    CHECK_EQ_INT(greedy(s, row), 0);
    gemel_sampler_close(s);
}

static void counts_forget_what_is_out_of_sight(void) {
    gemel_sampler *s = plain_sampler(4);
    set(s, GEMEL_SAMPLER_FREQUENCY_PENALTY, 1), set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 3);
    accept_all(s, "0010201");   // in sight: one 0, one 1, one 2
    accept_all(s, "0");         // two 0, one 1
    CHECK_EQ_INT(greedy(s, (float[]){5, 3.5f, 3.5f, 3.5f}), 2);
    CHECK_EQ_INT(greedy(s, (float[]){5, 0, 0, 2.5f}), 0);
    accept_all(s, "2");   // one 0
    CHECK_EQ_INT(greedy(s, (float[]){5, 0, 0, 3.5f}), 0);
    gemel_sampler_close(s);
}

static void penalties_saturate_and_forbid_nothing(void) {
    gemel_sampler *s = plain_sampler(3);
    set(s, GEMEL_SAMPLER_REPEAT_PENALTY, DBL_MAX);
    accept_all(s, "012");
    CHECK_EQ_INT(greedy(s, (float[]){-2, -1, -3}), 0);   // all of them at -FLT_MAX: the first
    set(s, GEMEL_SAMPLER_REPEAT_PENALTY, DBL_MIN);
    CHECK_EQ_INT(greedy(s, (float[]){-2, 2, 3}), 1);   // two of them at FLT_MAX
    CHECK_EQ_INT(greedy(s, (float[]){-INFINITY, -INFINITY, -1}), 2);
    set(s, GEMEL_SAMPLER_REPEAT_PENALTY, 1), set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, DBL_MAX);
    set(s, GEMEL_SAMPLER_DRY_BASE, DBL_MAX);
    for (int i = 0; i < 20; i++) accept_all(s, "012");
    CHECK_EQ_INT(greedy(s, (float[]){9, -INFINITY, -INFINITY}), 0);
    gemel_sampler_close(s);
}

// ---- DRY ----

typedef struct passage {
    const char *ids;
    int allowed;
    double last_n;
    int wanted;
} passage;   // multiplier 1, base 2

// Ids 0 to 9 have logit 0, except 3, which has 8. It loses 2^(length - allowed); id 9 has 8 - `wanted` + 0.5.
static void dry_takes_more_from_longer_repeats(void) {
    static const passage passages[] = {
        {"12", 2, 1024, 0},
        {"1231", 2, 1024, 0},    // "1" is shorter than allowed
        {"12312", 2, 1024, 1},   // "12" again: 2^0
        {"012312", 2, 1024, 1},
        {"4123512", 2, 1024, 1},
        {"412354123541", 2, 1024, 0},      // what comes next is 2, not 3
        {"41235412", 2, 1024, 2},          // "412": 2^1
        {"1241235412", 2, 1024, 2},        // the longest counts
        {"641235641206412", 2, 1024, 4},   // "6412" was followed by 3 and by 0
        {"12312", 3, 1024, 0},
        {"12312", 1, 1024, 2},
        {"12312", 2, 4, 0},   // the first "1" is out of sight
        {"12312", 2, 5, 1},
        {"12312", 2, 0, 0},
        {"3333", 2, 1024, 2},   // overlapping: "333"
        {"33333", 2, 1024, 4},
    };
    for (size_t i = 0; i < COUNT(passages); i++) {
        gemel_sampler *s = plain_sampler(10);
        set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 1), set(s, GEMEL_SAMPLER_DRY_BASE, 2);
        set(s, GEMEL_SAMPLER_DRY_ALLOWED_LENGTH, passages[i].allowed);
        set(s, GEMEL_SAMPLER_DRY_LAST_N, passages[i].last_n);
        accept_all(s, passages[i].ids);
        float row[10] = {[3] = 8};
        row[9] = 8.5f - (float)passages[i].wanted;
        if (greedy(s, row) != 9) printf("    %s loses less than %d\n", passages[i].ids, passages[i].wanted);
        CHECK_EQ_INT(greedy(s, row), 9);
        row[9] -= 1;
        if (greedy(s, row) != 3) printf("    %s loses more than %d\n", passages[i].ids, passages[i].wanted);
        CHECK_EQ_INT(greedy(s, row), 3);
        gemel_sampler_close(s);
    }
}

static void a_sequence_breaker_ends_a_repeat(void) {
    const float row[10] = {[3] = 8, [9] = 7.5f};
    static const struct {
        int32_t ids[3];
        size_t n;
        const char *past;
        int wanted;
    } cases[] = {
        {{7}, 1, "4123541", 3},       {{4}, 1, "4123412", 9},
        {{1}, 1, "4123412", 3},       {{2}, 1, "4123412", 3},
        {{4, 1}, 2, "4123412", 3},    {{0, 4}, 2, "41230412", 9},
        {{5, 4}, 2, "41230412", 9},   {{1, 2}, 2, "4123412", 3},
        {{3}, 1, "5412354123412", 3},   // an id that is a breaker by itself never loses
        {{3, 4}, 2, "4123412", 9},    {{4, 1, 2}, 3, "4123412", 3},
        {{2, 4, 1}, 3, "4123412", 9},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_sampler *s = plain_sampler(10);
        set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 1);
        CHECK_EQ_INT(gemel_sampler_dry_breaker(s, cases[i].ids, cases[i].n), GEMEL_OK);
        accept_all(s, cases[i].past);
        if (greedy(s, row) != cases[i].wanted) printf("    case %d\n", (int)i);
        CHECK_EQ_INT(greedy(s, row), cases[i].wanted);
        gemel_sampler_close(s);
    }
}

static void dry_is_linear_in_a_long_monotone_past(void) {
    enum { N = 1 << 20 };
    gemel_sampler *s = plain_sampler(4);
    set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 1), set(s, GEMEL_SAMPLER_DRY_LAST_N, N);
    for (int i = 0; i < N + 5; i++) CHECK(gemel_sampler_accept(s, 2) == GEMEL_OK);
    CHECK_EQ_INT(greedy(s, (float[]){0, 1, 1000, 1}), 1);
    gemel_sampler_close(s);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(bias_moves_and_forbids),
        CHECK_ENTRY(many_biases_are_kept),
        CHECK_ENTRY(repeat_penalty_divides_what_is_positive_and_multiplies_the_rest),
        CHECK_ENTRY(frequency_counts_and_presence_does_not),
        CHECK_ENTRY(penalties_look_back_at_the_last_n_ids),
        CHECK_ENTRY(counts_forget_what_is_out_of_sight),
        CHECK_ENTRY(penalties_saturate_and_forbid_nothing),
        CHECK_ENTRY(dry_takes_more_from_longer_repeats),
        CHECK_ENTRY(a_sequence_breaker_ends_a_repeat),
        CHECK_ENTRY(dry_is_linear_in_a_long_monotone_past),
    };
    return check_main(table, COUNT(table), argc, argv);
}
