// Drafts: where the end of a text occurred before, against a search through it; how many ids are worth evaluating.
#include "check.h"
#include "../../core_c/src/draft/length.h"
#include "../../core_c/src/draft/repeats.h"

// ---- Repeats ----------------------------------------------------------------------------------------------------

// Whether the `length` ids before `end` and the last ones of n are equal.
static int same_end(const int32_t *ids, int n, int end, int length) {
    for (int i = 1; i <= length; i++)
        if (end - i < 0 || ids[end - i] < 0 || ids[end - i] != ids[n - i]) return 0;
    return 1;
}
static int longest(const int32_t *ids, int n) {
    int most = 0;
    for (int end = 1; end < n; end++)
        while (same_end(ids, n, end, most + 1)) most++;
    return most;
}

static void follow_is_what_followed(const repeats *r, const int32_t *ids, int n) {
    int32_t next[12];
    int found = repeats_follow(r, next, 12);
    for (int i = 0; i < found; i++)
        CHECK_EQ_INT(next[i], r->at + 1 + i < n ? ids[r->at + 1 + i] : next[r->at + 1 + i - n]);
    int is_end = found < 12 && r->length;
    if (is_end) CHECK(ids[r->at + 1 + found] < 0);
    if (!r->length) CHECK_EQ_INT(found, 0);
}

static void ends_that_occurred_before_are_found(void) {
    enum { N = 300 };
    int32_t ids[N];
    uint64_t random = 7;
    for (int kinds = 1; kinds <= 40; kinds += kinds < 4 ? 1 : 9)
        for (int round = 0; round < 4; round++) {
            repeats r = {0};
            for (int n = 1; n <= N; n++) {
                int copied = n > 20 && round & 1 && n % 50 < 30;   // a long repeat now and then
                ids[n - 1] = copied ? ids[n - 18] : (int32_t)(check_random(&random) % (uint64_t)kinds);
                if (round == 3 && check_random(&random) % 20 == 0) ids[n - 1] = -1;
                CHECK(repeats_add(&r, ids[n - 1]));
                CHECK_EQ_INT(r.n, n);
                CHECK(repeats_has(&r, n - 1, ids[n - 1]) && !repeats_has(&r, n - 1, ids[n - 1] + 1));
                CHECK_EQ_INT(r.length, longest(ids, n));
                CHECK(r.at < n - 1 || !r.length);
                CHECK(same_end(ids, n, r.at + 1, r.length));
                follow_is_what_followed(&r, ids, n);
            }
            CHECK(r.n_states <= 2 * N && r.n_edges <= 3 * N);
            repeats_close(&r);
        }
}

static void a_repeat_that_reaches_the_end_goes_on(void) {
    repeats r = {0};
    int32_t next[7];
    static const int32_t ids[] = {9, 1, 2, 3, 1, 2, 3, 1};
    for (int i = 0; i < 8; i++) CHECK(repeats_add(&r, ids[i]));
    CHECK_EQ_INT(r.length, 4);
    CHECK_EQ_INT(repeats_follow(&r, next, 7), 7);
    CHECK(!memcmp(next, (int32_t[]){2, 3, 1, 2, 3, 1, 2}, sizeof next));
    repeats_close(&r);
}

static void of_several_places_a_late_one_is_taken(void) {
    repeats r = {0};
    int32_t next;
    for (int i = 0; i < 20; i++) CHECK(repeats_add(&r, 5) && repeats_add(&r, 100 + i));
    CHECK(repeats_add(&r, 5));
    CHECK_EQ_INT(repeats_follow(&r, &next, 1), 1);
    CHECK_EQ_INT(next, 119);
    repeats_close(&r);
}

static void long_texts_take_memory_in_proportion(void) {
    enum { N = 200000 };
    repeats r = {0};
    for (int i = 0; i < N; i++) CHECK(repeats_add(&r, i % 3 ? i % 1000 : 0));
    CHECK(r.n_states <= 2 * N && r.n_edges <= 3 * N && r.n_slots <= 16 * N);
    CHECK_EQ_INT(r.length, N - 3000);
    repeats_close(&r);
}

// ---- Length -----------------------------------------------------------------------------------------------------

// Passes of 1..16 rows: the first takes `seconds`, each row more `row`.
static costs costs_of(double seconds, double row) {
    costs c = {0};
    for (int n = 1; n <= 16; n++) costs_note(&c, n, seconds + row * (n - 1));
    return c;
}
static int length_of(const costs *c, chances *p, int rows, int length, int max) {
    double speed;
    return draft_length(c, p, rows, length, max, &speed);
}
static chances chances_of(int length, int is_drawn) {
    chances c = {0};
    for (int i = 0; i < 100; i++) chances_note(&c, length, is_drawn);
    return c;
}

static void nothing_is_tried_before_a_pass_was_measured(void) {
    costs c = {0};
    chances p = {0};
    CHECK_EQ_INT(length_of(&c, &p, 1, 40, 15), 0);
    costs_note(&c, 1, 0.02);
    CHECK(length_of(&c, &p, 1, 40, 15) > 4);
    CHECK_EQ_INT(length_of(&c, &p, 2, 40, 15), 0);
    costs_forget(&c);
    CHECK_EQ_INT(length_of(&c, &p, 1, 40, 15), 0);
}

static void many_are_tried_where_rows_cost_little_and_are_drawn(void) {
    costs cheap = costs_of(0.02, 0.0002), expensive = costs_of(0.02, 0.02);
    chances good = chances_of(40, 1), bad = chances_of(40, 0);
    CHECK_EQ_INT(length_of(&cheap, &good, 1, 40, 15), 15);
    CHECK_EQ_INT(length_of(&cheap, &good, 1, 40, 4), 4);
    CHECK_EQ_INT(length_of(&cheap, &bad, 1, 40, 15), 0);
    CHECK_EQ_INT(length_of(&expensive, &good, 1, 40, 15), 0);
    chances some = chances_of(1, 1);   // what follows is as likely as after longer repeats
    for (int i = 0; i < 100; i++) chances_note(&some, 2 + i % 3, i % 2);
    int n = length_of(&cheap, &some, 1, 1, 15);
    CHECK(n >= 1 && n < 15);
    CHECK(length_of(&expensive, &some, 1, 1, 15) == 0);
}

static void a_full_pass_gets_none(void) {
    costs c = {0};
    chances good = chances_of(40, 1);
    for (int n = 1; n <= COSTS_MAX; n++) costs_note(&c, n, 0.02);
    CHECK_EQ_INT(length_of(&c, &good, COSTS_MAX - 3, 40, 15), 3);
    for (int rows = COSTS_MAX; rows < 600; rows += 77) CHECK_EQ_INT(length_of(&c, &good, rows, 40, 15), 0);
    CHECK_EQ_INT(length_of(&c, &good, 0, 40, 15), 0);
}

static void old_times_are_measured_again(void) {
    costs c = costs_of(0.02, 0.02);   // long ago the machine was busy
    chances good = chances_of(40, 1);
    int most = 0;
    for (int i = 0; i < 1000; i++) {
        int n = length_of(&c, &good, 1, 40, 15);
        most = n > most ? n : most;
        costs_note(&c, 1 + n, 0.02 + 0.0002 * n);
    }
    CHECK_EQ_INT(most, 15);
}

static void chances_that_begin_alike_are_learnt(void) {
    costs cheap = costs_of(0.02, 0.0002), half = costs_of(0.02, 0.01);
    chances p = {0};
    CHECK(costs_has(&cheap, 1) && costs_has(&cheap, 16) && !costs_has(&cheap, 17) && !costs_has(&cheap, 0));
    chances_begin(&p, 0.9f);
    CHECK_EQ_INT(length_of(&cheap, &p, 1, 1, 3), 3);
    CHECK_EQ_INT(length_of(&half, &p, 1, 1, 3), 3);
    for (int i = 0; i < 60; i++) chances_note(&p, 1, i % 2);
    CHECK_EQ_INT(length_of(&half, &p, 1, 1, 3), 0);
}

static void times_that_are_none_are_ignored(void) {
    costs c = {0};
    chances p = {0};
    costs_note(&c, 1, -1), costs_note(&c, 1, 0), costs_note(&c, 1, 1e9), costs_note(&c, 0, 1), costs_note(&c, 65, 1);
    costs_note(&c, -3, 1);
    CHECK_EQ_INT(length_of(&c, &p, 1, 40, 15), 0);
}

// ---- Trust ------------------------------------------------------------------------------------------------------

static void chances_are_learnt_and_forgotten(void) {
    trust t = {0};
    CHECK_EQ_INT(trust_kind(0), 0);
    CHECK_EQ_INT(trust_kind(1), TRUSTS - 1);
    for (int i = 1; i < TRUSTS; i++) CHECK(trust_chance(&t, i) > trust_chance(&t, i - 1));
    double first = trust_chance(&t, 5), mean = trust_mean(&t);
    for (int i = 0; i < 300; i++) trust_note(&t, 5, 0), trust_count(&t, 5);
    CHECK(trust_chance(&t, 5) < 0.01);
    CHECK(trust_mean(&t) < mean);
    for (int i = 0; i < 3000; i++) trust_recover(&t);
    CHECK(trust_chance(&t, 5) > 0.98 * first && trust_chance(&t, 5) < 1.02 * first);
    for (int i = 0; i < 300; i++) trust_note(&t, 5, 1);
    CHECK(trust_chance(&t, 5) > 0.99);
    for (int i = 0; i < 100000; i++) trust_count(&t, 5);
    CHECK(atomic_load(&t.n[5]) <= 4097);
    trust_forget(&t);
    CHECK(trust_chance(&t, 5) == first && trust_mean(&t) == mean);
}

static void one_more_is_worth_its_chance_less_its_row(void) {
    trust t = {0};
    CHECK(trust_gain(&t, 1, 0) > 0.99 * trust_mean(&t) && trust_gain(&t, 1, 0) < 1.01 * trust_mean(&t));
    CHECK(trust_gain(&t, 0.5, 0.1) < trust_gain(&t, 1, 0.1));
    CHECK(trust_gain(&t, 1, 1) == 0);
}

static void drafts_that_take_time_are_fewer(void) {
    costs c = costs_of(0.02, 0.002);
    double speed, chance[15];
    for (int i = 0; i < 15; i++) chance[i] = 0.9;
    int all = draft_best(&c, 1, chance, 15, 0, 0, &speed), some = draft_best(&c, 1, chance, 15, 0, 60000, &speed);
    CHECK(all > some && some > 0);
    CHECK_EQ_INT(draft_best(&c, 1, chance, 15, 0, 300000, &speed), 0);
    CHECK(speed > 0);
    CHECK(draft_best(&c, 1, chance, 15, 300000, 0, &speed) >= all);   // time that is lost in any case
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(ends_that_occurred_before_are_found),
        CHECK_ENTRY(a_repeat_that_reaches_the_end_goes_on),
        CHECK_ENTRY(of_several_places_a_late_one_is_taken),
        CHECK_ENTRY(long_texts_take_memory_in_proportion),
        CHECK_ENTRY(nothing_is_tried_before_a_pass_was_measured),
        CHECK_ENTRY(many_are_tried_where_rows_cost_little_and_are_drawn),
        CHECK_ENTRY(a_full_pass_gets_none),
        CHECK_ENTRY(old_times_are_measured_again),
        CHECK_ENTRY(chances_that_begin_alike_are_learnt),
        CHECK_ENTRY(times_that_are_none_are_ignored),
        CHECK_ENTRY(chances_are_learnt_and_forgotten),
        CHECK_ENTRY(one_more_is_worth_its_chance_less_its_row),
        CHECK_ENTRY(drafts_that_take_time_are_fewer),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
