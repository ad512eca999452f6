// An answer is closed within a limit, and text that a grammar forces is proposed.
#include "grammar_of_numbers.h"
#include "../../core_c/src/grammar/forced.h"

enum { END = 11 };   // END: what ends a generation, where a file says nothing

static gemel_sampler *drawing(const gemel_grammar *g, int seed) {
    gemel_sampler *s = plain_sampler(N);
    set(s, GEMEL_SAMPLER_SEED, seed);
    CHECK_EQ_INT(gemel_sampler_use(s, g, 0), GEMEL_OK);
    return s;
}

static int draw(gemel_sampler *s, uint64_t *seed) {
    static float row[N];
    for (int i = 0; i < N; i++) row[i] = (float)(check_random(seed) >> 40) * 0x1p-24f * 8 - 4;
    int id = gemel_sampler_sample(s, row);
    if (id >= 0) CHECK_EQ_INT(gemel_sampler_accept(s, id), GEMEL_OK);
    return id;
}

typedef struct counted {
    const char *grammar;
    int n_ids;   // of the shortest answer
} counted;

static const counted cases[] = {
    {"root ::= \"7\"", 1},
    {"root ::= \"\"", 0},
    {"root ::= \"12\" [0-9]{5,9}", 5},   // 120 0 0 0 0
    {"root ::= \"2992991\"", 3},
    {"root ::= \"299\" | \"1\" \"2\" \"3\" | [5-9]", 1},
    {"root ::= \"11\"", 2},                                                   // the id of that text ends a generation
    {"root ::= a{3} \"1\"\na ::= \"9\" b | b b\nb ::= \"5\" | \"6\" a", 7},   // ids span no calls
    {"root ::= \"0\"? a\na ::= \"1\" a \"2\" | \"3\"", 1},
    {"root ::= <[250]> \"1\" !<[7]>", 3},
    {"root ::= ([0-4]{20} | \"5\"{30})", 15},
    {"root ::= (\"1\" | \"22\")* \"0\"", 1},
};

static void the_shortest_answer_is_counted(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = compiled(cases[i].grammar);
        gemel_sampler *s = drawing(g, 1);
        int n = cases[i].n_ids;
        CHECK_EQ_INT(gemel_sampler_close_within(s, 1000), n);
        CHECK_EQ_INT(gemel_sampler_close_within(s, n ? n : 1), n);
        gemel_sampler_close(s), gemel_grammar_close(g);
    }
}

// With any limit from the shortest answer on, every draw succeeds, and the answer is whole within it.
static void answers_end_within_the_limit(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = compiled(cases[i].grammar);
        for (int seed = 0; seed < 40; seed++) {
            int limit = cases[i].n_ids + seed % 8, ends = 0, id = 0;
            uint64_t random = (uint64_t)seed + 1;
            gemel_sampler *s = drawing(g, seed);
            if (!limit) limit = 1;
            CHECK_EQ_INT(gemel_sampler_close_within(s, limit), cases[i].n_ids);
            for (int n = 0; n < limit && ends < 2 && id != END; n++) {
                id = draw(s, &random);
                CHECK(id >= 0);
                ends = gemel_sampler_ends(s);
            }
            CHECK_EQ_INT(ends, 2);
            gemel_sampler_close(s);
        }
        gemel_grammar_close(g);
    }
}

static void deep_answers_are_closed(void) {
    gemel_grammar *g = compiled("root ::= \"1\" root root \"2\" | \"3\" root | \"4\"");
    for (int limit = 1; limit < 300; limit += 23) {
        gemel_sampler *s = drawing(g, limit);
        uint64_t random = (uint64_t)limit;
        for (int32_t id = 0; id < 100; id++) gemel_sampler_bias(s, id, id == 1 ? 9 : 0);   // it would never end
        CHECK_EQ_INT(gemel_sampler_close_within(s, limit), 1);
        for (int n = 0; n < limit && gemel_sampler_ends(s) < 2; n++) CHECK(draw(s, &random) >= 0);
        CHECK_EQ_INT(gemel_sampler_ends(s), 2);
        gemel_sampler_close(s);
    }
    gemel_grammar_close(g);
}

static void a_limit_that_is_too_short_changes_nothing(void) {
    gemel_grammar *g = compiled("root ::= [0-9]{9}"), *bad = compiled("root ::= \"1\" | \"2x\"+");
    gemel_grammar *worse = compiled("root ::= \"x\"");
    static uint8_t allowed[N];
    gemel_sampler *s = drawing(g, 1);
    int n = gemel_sampler_allowed(s, allowed);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 8), 9);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), n);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_close_within(NULL, 9), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_use(s, NULL, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 9), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_sampler_use(s, bad, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 9), 1);
    CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), 1);   // after a 2 the vocabulary lacks what must follow
    CHECK(allowed[1]);
    CHECK_EQ_INT(gemel_sampler_use(s, worse, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 9), GEMEL_E_GRAMMAR);
    gemel_sampler_close(s), gemel_grammar_close(g), gemel_grammar_close(bad), gemel_grammar_close(worse);
}

// Ids that are named, and exceptions: what is allowed within a limit.
static void ids_as_such_are_kept(void) {
    static const struct {
        const char *grammar;
        int needs, limit, n_allowed, not_allowed;   // -1: only the end
    } at[] = {
        {"root ::= !<[1]> \"2\"{9} | !<[1]> \"3\" | !<[5]> \"4\"{5}", 2, 2, N - 2, 1},
        {"root ::= !<[5]> \"4\"{5} | !<[1]> \"3\" | !<[1]> \"2\"{9}", 2, 3, N - 2, 1},
        {"root ::= !<[1]> \"3\" | !<[5]> \"4\"{5}", 2, 6, N - 1, -1},
        {"root ::= !<[1]> \"2\"{9} | !<[1]> \"3\"", 2, 9, N - 2, 1},
        {"root ::= !<[1]> \"3\" | <[1]> \"2\"{9} | <[6]> \"2\"{9}", 2, 3, N - 2, 1},
        {"root ::= !<[1]> \"3\" | <[1]> \"2\"{9} | <[1]> \"4\"{6}", 2, 7, N - 1, -1},
        {"root ::= <[7]> \"3\" | <[7]> \"2\"{9} | <[8]> \"4\"{6}", 2, 2, 1, 8},
        {"root ::= <[11]> \"3\" | !<[1]> \"3\"", 2, 2, N - 1, 1},   // the end, as such
    };
    static uint8_t allowed[N];
    for (size_t i = 0; i < COUNT(at); i++) {
        gemel_grammar *g = compiled(at[i].grammar);
        gemel_sampler *s = drawing(g, 1);
        CHECK_EQ_INT(gemel_sampler_close_within(s, at[i].limit), at[i].needs);
        CHECK_EQ_INT(gemel_sampler_allowed(s, allowed), at[i].n_allowed);
        CHECK(at[i].not_allowed < 0 || !allowed[at[i].not_allowed]);
        gemel_sampler_close(s), gemel_grammar_close(g);
    }
}

static void what_is_left_is_saved(void) {
    gemel_grammar *g = compiled("root ::= (\"1\" [0-9]* \"2\")+");
    gemel_sampler *s = drawing(g, 3), *other = drawing(g, 4), *free_one = drawing(g, 5);
    uint64_t random = 5;
    CHECK_EQ_INT(gemel_sampler_close_within(s, 12), 1);   // 12
    CHECK_EQ_INT(gemel_sampler_close_within(other, 12), 1);
    for (int i = 0; i < 7; i++) CHECK(draw(s, &random) >= 0);
    size_t size = gemel_sampler_save_size(s);
    CHECK_EQ_INT(gemel_sampler_save(s, bytes_of, ROOM), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_restore(other, bytes_of, size, err, sizeof err), GEMEL_OK);
    for (int i = 0; i < 5; i++) {
        uint64_t a = random, b = random;
        CHECK_EQ_INT(draw(s, &a), draw(other, &b));
        random = a;
    }
    CHECK_EQ_INT(gemel_sampler_ends(other), 2);
    CHECK_EQ_INT(gemel_sampler_restore(free_one, bytes_of, size, err, sizeof err), GEMEL_E_STATE);
    CHECK_EQ_STR(err, "the saved sampler closes its answer within a limit, but this one doesn't: set the same");
    CHECK_EQ_INT(gemel_sampler_reset(other), GEMEL_OK);   // ends the limit
    CHECK_EQ_INT(gemel_sampler_ends(other), 0);
    CHECK_EQ_INT(gemel_sampler_restore(other, bytes_of, size, err, sizeof err), GEMEL_E_STATE);
    CHECK_EQ_INT(gemel_sampler_close_within(other, 12), 1);
    CHECK_EQ_INT(gemel_sampler_restore(other, bytes_of, size, err, sizeof err), GEMEL_OK);
    gemel_sampler_close(s), gemel_sampler_close(other), gemel_sampler_close(free_one), gemel_grammar_close(g);
}

// With every number of ids left, a saved place is refused below what it needs, and with it the answer ends.
static void what_is_left_is_enough(void) {
    gemel_grammar *g = compiled("root ::= \"1\" [0-9]{6} a \"3\"\na ::= \"2\" a \"2\" | \"4\"");
    gemel_sampler *s = drawing(g, 3), *other = drawing(g, 4);
    uint64_t random = 5, left;
    CHECK(gemel_sampler_close_within(s, 30) > 0 && gemel_sampler_close_within(other, 30) > 0);
    for (int i = 0; i < 4; i++) gemel_sampler_accept(s, 1 + i % 2);   // 1212, then [0-9]{3} a 3
    size_t size = save(s), at = HEADER + 16;                          // no penalty looks back
    memcpy(&left, bytes_of + at, sizeof left);
    CHECK_EQ_INT((int)left, 27);
    for (left = 1; left <= 27; left++) {   // 1 + ids
        memcpy(bytes_of + at, &left, sizeof left);
        seal(size);
        if (left < 1 + 5) {
            CHECK_EQ_INT(restore(other, size), GEMEL_E_STATE);
            CHECK_EQ_STR(err, "the saved sampler is corrupt: its answer can't end within its limit");
            continue;
        }
        CHECK_EQ_INT(restore(other, size), GEMEL_OK);
        for (uint64_t i = 1; i < left && gemel_sampler_ends(other) < 2; i++) CHECK(draw(other, &random) >= 0);
        CHECK_EQ_INT(gemel_sampler_ends(other), 2);
    }
    gemel_sampler_close(s), gemel_sampler_close(other), gemel_grammar_close(g);
}

// What accept refuses is what no draw gives, so that each place that can be saved can be restored.
static void accepted_is_what_is_allowed(void) {
    static uint8_t allowed[N];
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = compiled(cases[i].grammar);
        gemel_sampler *s = drawing(g, 7), *other = drawing(g, 8);
        const int limit = cases[i].n_ids + (int)i % 3;
        uint64_t random = i;
        CHECK(gemel_sampler_close_within(s, limit + 1) >= 0 && gemel_sampler_close_within(other, limit + 1) >= 0);
        for (int n = 0; n <= limit && gemel_sampler_ends(s) < 2; n++) {
            CHECK(gemel_sampler_allowed(s, allowed) > 0);
            size_t size = save(s);
            for (int32_t id = 0; id < N; id++) {
                CHECK_EQ_INT(restore(other, size), GEMEL_OK);
                CHECK_EQ_INT(gemel_sampler_accept(other, id), allowed[id] ? GEMEL_OK : GEMEL_E_ARGUMENT);
            }
            CHECK(draw(s, &random) >= 0);
        }
        gemel_sampler_close(s), gemel_sampler_close(other), gemel_grammar_close(g);
    }
}

static void ids_beyond_the_limit_are_not_accepted(void) {
    gemel_grammar *g = compiled("root ::= \"1\" [0-9]* \"2\"");
    gemel_sampler *s = drawing(g, 3);
    CHECK_EQ_INT(gemel_sampler_close_within(s, 3), 1);   // 12
    CHECK_EQ_INT(gemel_sampler_accept(s, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_accept(s, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_accept(s, 0), GEMEL_E_ARGUMENT);   // then nothing is left for the 2
    CHECK_EQ_INT(restore(s, save(s)), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_accept(s, 2), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_ends(s), 2);
    gemel_sampler_close(s), gemel_grammar_close(g);
}

// ---- Messages ------------------------------------------------------------------------------------------------------

static gemel_sampler *message(const opened *o, const gemel_grammar *g, int flags) {
    gemel_sampler *s = NULL;
    CHECK_EQ_INT(sampler_open(&s, o->t), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_use(s, g, flags), GEMEL_OK);
    return s;
}

// The first id of a message may lack a space: what is counted is what can be drawn.
static void messages_end_within_the_limit(void) {
    static const struct {
        const char *grammar;
        int text, message;   // ids of the shortest
    } at[] = {
        {"root ::= \" a\"", 1, 2},      {"root ::= \"a\"", 1, 1},   {"root ::= \" {a\"", 2, 3},
        {"root ::= \" \"", 1, 1},       {"root ::= \"\"", 0, 0},    {"root ::= \" a{\" | \"a{a a\"", 2, 3},
        {"root ::= \"a\"*", 0, 0},      {"root ::= \" a\"+", 1, 2}, {"root ::= \"  a\"", 2, 2},
        {"root ::= <[7]> \"a\"", 2, 2},
    };
    opened o;
    text_tree *t = NULL;
    errors e = {err, sizeof err};
    open_pieces(&o, &t);
    for (size_t i = 0; i < COUNT(at); i++) {
        gemel_grammar *g = NULL;
        CHECK_EQ_INT(grammar_open(&g, o.t, t, GEMEL_GRAMMAR_GBNF, at[i].grammar, strlen(at[i].grammar), &e), GEMEL_OK);
        gemel_sampler *s = message(&o, g, 0);
        CHECK_EQ_INT(gemel_sampler_close_within(s, 9), at[i].text);
        gemel_sampler_close(s);
        for (int seed = 0; seed < 60; seed++) {
            float row[COUNT(pieces)];
            uint64_t random = (uint64_t)seed;
            int n = at[i].message, limit = n + seed % 4 + !n, id = 0;
            s = message(&o, g, GEMEL_USE_MESSAGE);
            set(s, GEMEL_SAMPLER_SEED, seed);
            if (n > 1) CHECK_EQ_INT(gemel_sampler_close_within(s, n - 1), n);
            CHECK_EQ_INT(gemel_sampler_close_within(s, limit), n);
            size_t size = save(s);
            for (uint64_t left = 1; left <= 1 + (uint64_t)limit; left++) {   // 1 + ids
                memcpy(bytes_of + HEADER + 16, &left, sizeof left), seal(size);
                CHECK_EQ_INT(restore(s, size), left > (uint64_t)n ? GEMEL_OK : GEMEL_E_STATE);
            }
            for (int k = 0; k < limit && id != 2 && gemel_sampler_ends(s) < 2; k++) {
                for (size_t j = 0; j < COUNT(row); j++) row[j] = (float)(check_random(&random) >> 40) * 0x1p-24f;
                id = gemel_sampler_sample(s, row);
                CHECK(id >= 0 && gemel_sampler_accept(s, id) == GEMEL_OK);
            }
            CHECK(gemel_sampler_ends(s) == 2);
            gemel_sampler_close(s);
        }
        gemel_grammar_close(g);
    }
    text_tree_close(t), close_toy(&o);
}

// ---- Forced text ---------------------------------------------------------------------------------------------------

static int forced(const char *grammar, const char *before, int flags, int max, int32_t *ids) {
    gemel_grammar *g = compiled(grammar);
    gemel_sampler *s = plain_sampler(N);
    CHECK_EQ_INT(gemel_sampler_use(s, g, flags), GEMEL_OK);
    accept_all(s, before);
    int n = sampler_forced(s, ids, max);
    gemel_sampler_close(s), gemel_grammar_close(g);
    return n;
}

static void forced_text_becomes_the_longest_ids(void) {
    int32_t ids[8];
    CHECK_EQ_INT(forced("root ::= \"2981234\" [0-9]", "", 0, 8, ids), 3);
    CHECK(ids[0] == 298 && ids[1] == 123 && ids[2] == 4);
    CHECK_EQ_INT(forced("root ::= \"2981234\" [0-9]", "", 0, 2, ids), 2);
    CHECK_EQ_INT(forced("root ::= \"2981234\" [0-9]", "", GEMEL_USE_MASK_ONLY, 8, ids), 0);
    CHECK_EQ_INT(forced("root ::= [12] \"98\"", "", 0, 8, ids), 0);
    CHECK_EQ_INT(forced("root ::= [12] \"98\"", "1", 0, 8, ids), 1);
    CHECK_EQ_INT(ids[0], 98);
    CHECK_EQ_INT(forced("root ::= \"1\" \"2\"?", "1", 0, 8, ids), 0);   // it may end
    CHECK_EQ_INT(forced("root ::= \"1\" <[9]>", "1", 0, 8, ids), 0);    // an id is no text
    CHECK_EQ_INT(forced("root ::= \"23\" | \"24\"", "", 0, 8, ids), 1);
    CHECK_EQ_INT(ids[0], 2);
    CHECK_EQ_INT(forced("root ::= \"23x\"", "", 0, 8, ids), 1);              // the vocabulary lacks the rest
    CHECK_EQ_INT(forced("root ::= \"5\" root | \"5\"", "", 0, 8, ids), 1);   // after it, it may end
    gemel_sampler *s = plain_sampler(N);
    CHECK_EQ_INT(sampler_forced(s, ids, 8), 0);
    gemel_sampler_close(s);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(the_shortest_answer_is_counted),
        CHECK_ENTRY(answers_end_within_the_limit),
        CHECK_ENTRY(deep_answers_are_closed),
        CHECK_ENTRY(a_limit_that_is_too_short_changes_nothing),
        CHECK_ENTRY(ids_as_such_are_kept),
        CHECK_ENTRY(what_is_left_is_enough),
        CHECK_ENTRY(accepted_is_what_is_allowed),
        CHECK_ENTRY(ids_beyond_the_limit_are_not_accepted),
        CHECK_ENTRY(messages_end_within_the_limit),
        CHECK_ENTRY(what_is_left_is_saved),
        CHECK_ENTRY(forced_text_becomes_the_longest_ids),
    };
    return check_main(table, COUNT(table), argc, argv);
}
