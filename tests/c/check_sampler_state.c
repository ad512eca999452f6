// Samplers saved and restored, and their seeds: a restored one goes on as the saved one; other bytes are refused.
#include "sampler_checks.h"

enum { N = 300 };

static float rows[7][N];   // different logits for each step
static void fill_rows(void) {
    uint64_t seed = 4;
    for (int r = 0; r < 7; r++)
        for (int i = 0; i < N; i++) rows[r][i] = (float)(check_random(&seed) >> 40) * 0x1p-24f * 8 - 4;
}
// Draw and accept n ids, the first of which is the step-th; ids: where they go, or NULL.
static void go_on(gemel_sampler *s, int step, int n, int *ids) {
    for (int i = 0; i < n; i++) {
        int id = gemel_sampler_sample(s, rows[(step + i) % 7]);
        if (ids) ids[i] = id;
        CHECK_EQ_INT(gemel_sampler_accept(s, id), GEMEL_OK);
    }
}
static gemel_sampler *every_penalty(int last_n, int dry_last_n) {
    gemel_sampler *s = plain_sampler(N);
    set(s, GEMEL_SAMPLER_SEED, 11), set(s, GEMEL_SAMPLER_TOP_K, 9);
    set(s, GEMEL_SAMPLER_REPEAT_PENALTY, 1.2), set(s, GEMEL_SAMPLER_FREQUENCY_PENALTY, 0.4);
    set(s, GEMEL_SAMPLER_PENALTY_LAST_N, last_n), set(s, GEMEL_SAMPLER_DRY_LAST_N, dry_last_n);
    set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 0.8), set(s, GEMEL_SAMPLER_DRY_ALLOWED_LENGTH, 1);
    return s;
}

static void a_restored_sampler_goes_on_as_if_it_had_never_stopped(void) {
    int wanted[60], got[60];
    for (int before = 0; before < 200; before += 13)
        for (int mirostat = 0; mirostat <= 2; mirostat += 2) {
            gemel_sampler *a = every_penalty(20, 70), *b = every_penalty(20, 70);
            set(a, GEMEL_SAMPLER_MIROSTAT, mirostat), set(b, GEMEL_SAMPLER_MIROSTAT, mirostat);
            go_on(a, 0, before, NULL);
            size_t size = save(a);
            CHECK_EQ_INT(size, HEADER + 8 * (((before < 70 ? before : 70) + 1) / 2));
            go_on(a, before, 60, wanted);
            go_on(b, 3, 90, NULL);   // what it was before is gone
            CHECK_EQ_INT(restore(b, size), GEMEL_OK);
            go_on(b, before, 60, got);
            CHECK(!memcmp(got, wanted, sizeof got));
            CHECK_EQ_INT(restore(a, size), GEMEL_OK);   // back in time
            go_on(a, before, 60, got);
            CHECK(!memcmp(got, wanted, sizeof got));
            gemel_sampler_close(a), gemel_sampler_close(b);
        }
}

static void without_penalties_no_ids_are_saved(void) {
    gemel_sampler *s = plain_sampler(N);
    go_on(s, 0, 500, NULL);
    CHECK_EQ_INT(gemel_sampler_save_size(s), HEADER);
    set(s, GEMEL_SAMPLER_DRY_MULTIPLIER, 1), set(s, GEMEL_SAMPLER_DRY_LAST_N, 0);
    CHECK_EQ_INT(gemel_sampler_save_size(s), HEADER);
    set(s, GEMEL_SAMPLER_PRESENCE_PENALTY, 1), set(s, GEMEL_SAMPLER_PENALTY_LAST_N, 3);
    CHECK_EQ_INT(gemel_sampler_save_size(s), HEADER + 16);
    CHECK_EQ_INT(gemel_sampler_save(s, bytes_of, HEADER + 15), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_save(s, NULL, ROOM), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_save(NULL, bytes_of, ROOM), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_save_size(NULL), 0);
    CHECK_EQ_INT(gemel_sampler_restore(s, NULL, HEADER, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_restore(NULL, bytes_of, HEADER, err, sizeof err), GEMEL_E_ARGUMENT);
    gemel_sampler_close(s);
}

static void damaged_bytes_are_refused_and_change_nothing(void) {
    int wanted[30], got[30];
    gemel_sampler *s = every_penalty(8, 5);
    go_on(s, 0, 50, NULL);
    size_t size = save(s);
    CHECK_EQ_INT(size, HEADER + 32);
    for (size_t n = 0; n < size; n++) CHECK_EQ_INT(restore(s, n), GEMEL_E_STATE);
    CHECK_EQ_INT(restore(s, size + 8), GEMEL_E_STATE);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes_of[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ_INT(restore(s, size), GEMEL_E_STATE);
        bytes_of[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    gemel_sampler *twin = every_penalty(8, 5);
    CHECK_EQ_INT(restore(twin, size), GEMEL_OK);
    go_on(s, 50, 30, wanted);
    go_on(twin, 50, 30, got);
    CHECK(!memcmp(got, wanted, sizeof got));
    gemel_sampler_close(s), gemel_sampler_close(twin);
}

static void forged_numbers_are_refused(void) {
    static const struct {
        size_t at;
        int32_t value;
    } forged[] = {
        {32, N + 1}, {32, -1}, {36, 7},      {36, -1},    {36, (1 << 20) + 1},      {40, 6},       {40, 9},
        {40, -1},    {44, 1},  {HEADER, -1}, {HEADER, N}, {HEADER + 28, INT32_MAX}, {40, 1 << 30}, {40, INT32_MIN},
    };
    gemel_sampler *s = every_penalty(8, 5);
    go_on(s, 0, 50, NULL);
    for (size_t i = 0; i < COUNT(forged); i++) {
        size_t size = save(s);
        memcpy(bytes_of + forged[i].at, &forged[i].value, 4);
        seal(size);
        CHECK_EQ_INT(restore(s, size), GEMEL_E_STATE);
    }
    size_t size = save(s);
    memset(bytes_of + 16, 0xff, 16);   // any state of the generator and any surprise are good: NaN, too
    seal(size);
    CHECK_EQ_INT(restore(s, size), GEMEL_OK);
    set(s, GEMEL_SAMPLER_MIROSTAT, 2);
    go_on(s, 0, 20, NULL);
    bytes_of[7]++;
    CHECK_EQ_INT(restore(s, size), GEMEL_E_STATE);
    CHECK(strstr(err, "another version"));
    gemel_sampler_close(s);
}

static void penalties_that_look_back_further_are_refused(void) {
    int wanted[30], got[30];
    gemel_sampler *shorter = every_penalty(8, 5), *longer = every_penalty(8, 2000);
    go_on(shorter, 0, 7, NULL);
    size_t size = save(shorter);
    CHECK_EQ_INT(restore(longer, size), GEMEL_OK);   // all ids that there were
    go_on(shorter, 0, 1, NULL);
    size = save(shorter);
    CHECK_EQ_INT(restore(longer, size), GEMEL_E_STATE);
    CHECK(strstr(err, "look back at 8 ids, but this one's at 2000"));
    go_on(longer, 0, 1500, NULL);
    size_t long_size = gemel_sampler_save_size(longer);
    uint8_t *data = malloc(long_size);
    CHECK_EQ_INT(gemel_sampler_save(longer, data, long_size), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_restore(shorter, data, long_size, err, sizeof err), GEMEL_OK);   // it takes the latest
    set(longer, GEMEL_SAMPLER_DRY_LAST_N, 5);
    go_on(longer, 0, 30, wanted);
    go_on(shorter, 0, 30, got);
    CHECK(!memcmp(got, wanted, sizeof got));
    free(data);
    gemel_sampler_close(shorter), gemel_sampler_close(longer);
    gemel_sampler *other = plain_sampler(6);
    gemel_sampler *s = plain_sampler(N);
    CHECK_EQ_INT(restore(other, save(s)), GEMEL_E_STATE);
    CHECK(strstr(err, "a vocabulary of 300 ids, but this one has 6"));
    gemel_sampler_close(s), gemel_sampler_close(other);
}

static void seeds_have_64_bits(void) {
    int wanted[30], got[30], equal = 0;
    gemel_sampler *s = plain_sampler(N);
    static const uint64_t seeds[] = {0, 1, 0xffffffffu, 0x100000000u, (uint64_t)1 << 53};
    for (size_t i = 0; i < COUNT(seeds); i++) {
        set(s, GEMEL_SAMPLER_SEED, (double)seeds[i]);
        go_on(s, 0, 30, wanted);
        CHECK_EQ_INT(gemel_sampler_seed(s, (uint32_t)seeds[i], (uint32_t)(seeds[i] >> 32)), GEMEL_OK);
        go_on(s, 0, 30, got);
        CHECK(!memcmp(got, wanted, sizeof got));
    }
    for (int bit = 0; bit < 64; bit++) {
        uint64_t seed = ((uint64_t)1 << 53) ^ (uint64_t)1 << bit;
        gemel_sampler_seed(s, (uint32_t)seed, (uint32_t)(seed >> 32));
        go_on(s, 0, 30, got);
        equal += !memcmp(got, wanted, sizeof got);
        CHECK_EQ_INT(gemel_sampler_reset(s), GEMEL_OK);   // to the same seed
        go_on(s, 0, 30, wanted);
        CHECK(!memcmp(got, wanted, sizeof got));
    }
    CHECK_EQ_INT(equal, 0);
    gemel_sampler_close(s);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(a_restored_sampler_goes_on_as_if_it_had_never_stopped),
        CHECK_ENTRY(without_penalties_no_ids_are_saved),
        CHECK_ENTRY(damaged_bytes_are_refused_and_change_nothing),
        CHECK_ENTRY(forged_numbers_are_refused),
        CHECK_ENTRY(penalties_that_look_back_further_are_refused),
        CHECK_ENTRY(seeds_have_64_bits),
    };
    fill_rows();
    return check_main(table, COUNT(table), argc, argv);
}
