// A sampler with a grammar: it is a mask and nothing else, and part of the saved state.
#include "grammar_of_numbers.h"
#include <math.h>   // INFINITY, a macro

enum { STEPS = 24 };

static float row[N];
static const float *random_row(uint64_t *seed) {
    for (int i = 0; i < N; i++) row[i] = (float)(check_random(seed) >> 40) * 0x1p-24f * 8 - 4;
    return row;
}

static gemel_sampler *drawing(const gemel_grammar *g, int penalty) {
    gemel_sampler *s = plain_sampler(N);
    set(s, GEMEL_SAMPLER_SEED, 11), set(s, GEMEL_SAMPLER_TOP_K, 9), set(s, GEMEL_SAMPLER_MIN_P, 0.01);
    set(s, GEMEL_SAMPLER_XTC_PROBABILITY, 0.5), set(s, GEMEL_SAMPLER_REPEAT_PENALTY, penalty ? 1.5 : 1);
    if (g) CHECK_EQ_INT(gemel_sampler_use(s, g, 0), GEMEL_OK);
    return s;
}

static void a_grammar_is_only_a_mask(void) {
    gemel_grammar *g = compiled("root ::= ([1-3]{2} \"0\")*");
    static uint8_t allowed[N];
    for (int penalty = 0; penalty < 2; penalty++) {
        gemel_sampler *a = drawing(g, penalty), *b = drawing(NULL, penalty);
        uint64_t seed = 3;
        for (int i = 0; i < 60; i++) {
            const float *logits = random_row(&seed);
            CHECK(gemel_sampler_allowed(a, allowed) > 0);
            for (int32_t id = 0; id < N; id++) gemel_sampler_bias(b, id, allowed[id] ? 0 : -INFINITY);
            int id = gemel_sampler_sample(a, logits);
            CHECK_EQ_INT(id, gemel_sampler_sample(b, logits));
            CHECK(id >= 0 && allowed[id]);
            CHECK_EQ_INT(gemel_sampler_accept(a, id), GEMEL_OK);
            CHECK_EQ_INT(gemel_sampler_accept(b, id), GEMEL_OK);
        }
        gemel_sampler_close(a), gemel_sampler_close(b);
    }
    gemel_grammar_close(g);
}

// The most likely id of all is taken without a mask where it is allowed: that is what a mask would give, too.
static void the_most_likely_id_is_that_of_a_mask(void) {
    static const char *const texts[] = {"root ::= ([1-3]{2} \"0\")*",
                                        "root ::= item*\nitem ::= \"1\" item* \"2\" | [3-9]?"};
    static uint8_t allowed[N];
    int n_peaks = 0, n = 0;
    for (int kind = 0; kind < 8; kind++) {
        gemel_grammar *g = compiled(texts[kind & 1]);
        gemel_sampler *s = drawing(g, kind & 2);
        set(s, GEMEL_SAMPLER_TEMPERATURE, 0);
        if (kind & 4) CHECK(gemel_sampler_close_within(s, 60) >= 0);
        uint64_t seed = 7;
        for (int i = 0; i < 50; i++, n++) {
            const float *logits = random_row(&seed);
            CHECK(gemel_sampler_allowed(s, allowed) > 0);
            if (i % 2)   // so that one that is allowed is often the most likely
                for (int id = 0; id < N; id++) row[id] += allowed[id] ? 6 : 0;
            logits_peak peak = {row[0], 0};
            for (int id = 1; id < N; id++)
                if (row[id] > peak.max) peak = (logits_peak){row[id], id};
            int id = sampler_sample(s, logits, &peak);
            CHECK_EQ_INT(id, gemel_sampler_sample(s, logits));
            CHECK(id >= 0 && allowed[id]);
            n_peaks += id == peak.at;
            CHECK_EQ_INT(gemel_sampler_accept(s, id), GEMEL_OK);
            if (gemel_sampler_ends(s) == 2) break;
        }
        gemel_sampler_close(s), gemel_grammar_close(g);
    }
    CHECK(n_peaks > n / 4 && n_peaks < n);
}

static void an_id_that_is_not_allowed_changes_nothing(void) {
    gemel_grammar *g = compiled("root ::= \"12\" [0-9]");
    gemel_sampler *s = drawing(g, 1);
    static uint8_t allowed[N];
    CHECK_EQ_INT(gemel_sampler_accept(s, 13), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_accept(s, N), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 1 + 1 + 10);   // 1, 12, 120..129
    CHECK_EQ_INT(gemel_sampler_accept(s, 12), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 10);
    CHECK_EQ_INT(gemel_sampler_ends(s), 0);
    CHECK_EQ_INT(gemel_sampler_accept(s, 7), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_ends(s), 2);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 1);   // what ends a generation: id 11, where a file says nothing
    CHECK(allowed[11]);
    CHECK_EQ_INT(gemel_sampler_reset(s), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 12);
    CHECK_EQ_INT(gemel_sampler_use(s, NULL, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_accept(s, 13), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_use(s, g, 4), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_use(NULL, g, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_ends(NULL), GEMEL_E_ARGUMENT);
    gemel_sampler *other = plain_sampler(7);
    CHECK_EQ_INT(gemel_sampler_use(other, g, 0), GEMEL_E_ARGUMENT);
    gemel_sampler_close(other), gemel_sampler_close(s), gemel_grammar_close(g);
}

static void a_vocabulary_that_lacks_what_must_follow_is_an_error(void) {
    gemel_grammar *g = compiled("root ::= \"1x\"");
    gemel_sampler *s = drawing(g, 0);
    uint64_t seed = 1;
    CHECK_EQ_INT(gemel_sampler_sample(s, random_row(&seed)), 1);
    CHECK_EQ_INT(gemel_sampler_accept(s, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_sample(s, random_row(&seed)), GEMEL_E_GRAMMAR);
    gemel_sampler_close(s), gemel_grammar_close(g);
}

// ---- Saving --------------------------------------------------------------------------------------------------------

static const char *const NESTED = "root ::= item*\nitem ::= \"1\" item* \"2\" | [3-9] [0-9]?";

static void go_on(gemel_sampler *s, uint64_t seed, int n, int *ids) {
    for (int i = 0; i < n; i++) {
        int id = gemel_sampler_sample(s, random_row(&seed));
        if (ids) ids[i] = id;
        CHECK_EQ_INT(gemel_sampler_accept(s, id), GEMEL_OK);
    }
}

static void a_restored_sampler_goes_on_in_its_grammar(void) {
    gemel_grammar *g = compiled(NESTED);
    for (int before = 0; before < 40; before += 3) {
        int wanted[STEPS], got[STEPS];
        gemel_sampler *a = drawing(g, 1), *b = drawing(g, 1);
        go_on(a, 5, before, NULL), go_on(b, 9, 30, NULL);
        size_t size = save(a);
        CHECK(size > HEADER);
        CHECK_EQ_INT(gemel_sampler_save(a, bytes_of, size - 1), GEMEL_E_ARGUMENT);
        go_on(a, 77, STEPS, wanted);
        CHECK_EQ_INT(restore(b, size), GEMEL_OK);
        go_on(b, 77, STEPS, got);
        CHECK(!memcmp(got, wanted, sizeof got));
        CHECK_EQ_INT(restore(a, size), GEMEL_OK);   // back in time
        CHECK_EQ_INT(gemel_sampler_save_size(a), size);
        go_on(a, 77, STEPS, got);
        CHECK(!memcmp(got, wanted, sizeof got));
        gemel_sampler_close(a), gemel_sampler_close(b);
    }
    gemel_grammar_close(g);
}

static void another_grammar_is_refused(void) {
    gemel_grammar *g = compiled(NESTED), *other = compiled("root ::= [0-9]*");
    gemel_sampler *s = drawing(g, 0), *one = drawing(other, 0), *none = drawing(NULL, 0);
    size_t size = save(s);
    CHECK_EQ_INT(restore(one, size), GEMEL_E_STATE);
    CHECK_EQ_STR(err, "the saved sampler has another grammar: use the same one");
    CHECK_EQ_INT(restore(none, size), GEMEL_E_STATE);
    CHECK_EQ_STR(err, "the saved sampler has a grammar, but this one has none: use the same grammar");
    CHECK_EQ_INT(restore(s, save(none)), GEMEL_E_STATE);
    CHECK_EQ_STR(err, "the saved sampler has no grammar, but this one has one: use the same grammar");
    gemel_sampler_close(s), gemel_sampler_close(one), gemel_sampler_close(none);
    gemel_grammar_close(g), gemel_grammar_close(other);
}

// Any word of the place may be forged: the bytes are refused, or they are a place of the grammar.
static void forged_places_are_refused_or_safe(void) {
    gemel_grammar *g = compiled(NESTED);
    gemel_sampler *s = drawing(g, 0), *victim = drawing(g, 0);
    go_on(s, 5, 30, NULL);
    size_t size = gemel_sampler_save_size(s);
    static uint8_t good[ROOM], allowed[N];
    CHECK_EQ_INT(gemel_sampler_save(s, good, ROOM), GEMEL_OK);
    static const uint32_t values[] = {0, 1, 2, 3, 7, 1000, 1u << 17, 1u << 31, UINT32_MAX};
    int n_refused = 0;
    for (size_t at = HEADER - 4; at < size; at += 4)
        for (size_t i = 0; i < COUNT(values); i++) {
            memcpy(bytes_of, good, size), memcpy(bytes_of + at, &values[i], 4);
            seal(size);
            if (restore(victim, size) < 0) n_refused++;
            else (void)gemel_sampler_allowed(victim, allowed);
        }
    CHECK(n_refused > 100);
    for (size_t n = HEADER; n < size; n += 8) {
        memcpy(bytes_of, good, n);
        seal(n);
        CHECK_EQ_INT(restore(victim, n), GEMEL_E_STATE);
    }
    gemel_sampler_close(s), gemel_sampler_close(victim), gemel_grammar_close(g);
}

// ---- The first space -----------------------------------------------------------------------------------------------

static void a_message_lacks_its_first_space(void) {
    opened o;
    text_tree *t = NULL;
    gemel_grammar *g = NULL;
    errors e = {err, sizeof err};
    const char *text = "root ::= \"{\" \" \"? \"a\"";
    static uint8_t allowed[COUNT(pieces)];
    open_pieces(&o, &t);
    CHECK_EQ_INT(grammar_open(&g, o.t, t, GEMEL_GRAMMAR_GBNF, text, strlen(text), &e), GEMEL_OK);
    gemel_sampler *s = NULL;
    CHECK_EQ_INT(sampler_open(&s, o.t), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_use(s, g, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 1);   // {
    CHECK_EQ_INT(gemel_sampler_use(s, g, GEMEL_USE_MESSAGE), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 3);   // also a space, and a space and {
    CHECK(allowed[3] && allowed[4] && allowed[5]);
    CHECK_EQ_INT(gemel_sampler_accept(s, 8), GEMEL_E_ARGUMENT);   // a byte is never left out
    CHECK_EQ_INT(gemel_sampler_accept(s, 3), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_accept(s, 5), GEMEL_E_ARGUMENT);   // only the first one
    CHECK_EQ_INT(gemel_sampler_accept(s, 4), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 4);
    CHECK_EQ_INT(gemel_sampler_accept(s, 7), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_reset(s), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_accept(s, 5), GEMEL_OK);
    gemel_sampler_close(s), gemel_grammar_close(g), text_tree_close(t), close_toy(&o);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(a_grammar_is_only_a_mask),
        CHECK_ENTRY(the_most_likely_id_is_that_of_a_mask),
        CHECK_ENTRY(an_id_that_is_not_allowed_changes_nothing),
        CHECK_ENTRY(a_vocabulary_that_lacks_what_must_follow_is_an_error),
        CHECK_ENTRY(a_restored_sampler_goes_on_in_its_grammar),
        CHECK_ENTRY(another_grammar_is_refused),
        CHECK_ENTRY(forged_places_are_refused_or_safe),
        CHECK_ENTRY(a_message_lacks_its_first_space),
    };
    return check_main(table, COUNT(table), argc, argv);
}
