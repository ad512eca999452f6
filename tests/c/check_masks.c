// Masks are computed by state, kept, and shared by places that are alike: they equal what is accepted id by id.
#include "grammar_checks.h"

static void masks_of_random_grammars_are_what_is_accepted(void) {
    uint64_t seed = 17;
    int n_masks = 0, n_compiled = 0, rounds = check_rounds(1200);
    for (int round = 0; round < rounds && !check_failures; round++) {
        uint8_t data[300];
        char said[600];
        errors e = {said, sizeof said};
        gemel_grammar *g;
        static drawn d;
        for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)check_random(&seed);
        source s = {data, data + sizeof data};
        draw_grammar(&s, &d);
        int code = grammar_open(&g, many_words()->o.t, many_words()->t, GEMEL_GRAMMAR_GBNF, d.text, d.size, &e);
        if (code == GEMEL_OK) n_compiled++, n_masks += follow(g, &s, 12);
        if (check_failures) printf("%.*s\n", (int)d.size, d.text);
        gemel_grammar_close(g);
    }
    printf("    %d grammars, %d masks\n", n_compiled, n_masks);
    CHECK(n_compiled > rounds / 12 && n_masks > rounds * 5 / 6);
}

// Random answers of up to `steps` ids to each of n grammars, `rounds` times.
static void follow_each(const char *const *grammars, size_t n, int rounds, int steps, int has_twins) {
    const size_t times = n * (size_t)check_rounds(rounds);
    uint64_t seed = 3;
    char said[600];
    errors e = {said, sizeof said};
    for (size_t i = 0; i < times && !check_failures; i++) {
        const char *text = grammars[i % n];
        uint8_t data[400];
        gemel_grammar *g;
        for (size_t k = 0; k < sizeof data; k++) data[k] = (uint8_t)check_random(&seed);
        source s = {data, data + sizeof data};
        CHECK_EQ_INT(grammar_open(&g, many_words()->o.t, many_words()->t, 1, text, strlen(text), &e), GEMEL_OK);
        if (has_twins) CHECK(g->twins[0].top != NULL);
        CHECK(follow(g, &s, steps) > 0);
        if (check_failures) printf("%s\n", text);
        gemel_grammar_close(g);
    }
}

// From the beginning of a repetition to its end, where ever shorter texts distinguish the counts.
static void masks_are_exact_near_the_end_of_a_repetition(void) {
    static const char *const grammars[] = {
        "root ::= [a-z]{0,60} \"\\\"\"",
        "root ::= ([a-z]{30,60} \"\\\"\")*",
        "root ::= \"\\\"\" c{0,60} \"\\\"\" (\",\\\"\" c{10,50} \"\\\"\"){0,40}\nc ::= [^\"\\\\] | \"\\\\\" [a-z]",
        "root ::= (x{0,30} \",\"){0,30}\nx ::= \"a\" | \"b\" y{0,40}\ny ::= \"a\" | \"(\" y{0,9} \")\"",
        "root ::= .{0,100} !<think>{0,3} (\"a\" | <think>){0,3}",
    };
    follow_each(grammars, COUNT(grammars), 6, 60, 1);
}

// Characters that loop in one place and not in another; rules that may end within the loop.
static void masks_are_exact_where_texts_loop(void) {
    static const char *const grammars[] = {
        "root ::= [a-z\xC3\xA0-\xC3\xBF]* \"\\\"\"",
        "root ::= ([a-z] | [\xC3\xA0-\xC3\xBF]){0,60} \"\\\"\"",
        "root ::= [a-z]{0,9} [a-b\xC3\xA0-\xC3\xBF]{0,9} .{0,9}",
        "root ::= .{0,7} [a-z]{0,9} .*",
        "root ::= (x \"1\" | x \"2\")*\nx ::= [a-z]*",
        "root ::= (x \"1\" | x \",\")*\nx ::= [a-z]{3} [a-z]{0,9}",
        "root ::= (x \"1\" | x .)*\nx ::= [a-b]{0,12}",
        "root ::= [^a]* | [a-b]*",
        "root ::= (. [a-z]* \",\")*",
    };
    follow_each(grammars, COUNT(grammars), 40, 12, 0);
}

// Lists that have each item once: strings without end, few strings, numbers, objects in any order, lists in lists.
static void masks_forbid_items_that_come_again(void) {
    static const char *const grammars[] = {
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= s\ns ::= \"\\\"\" [a-b,]* \"\\\"\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"\\\"\" [ab]{0,2} \"\\\"\"",
        "root ::= \"[\" u (\",\" u)* \"]\"\nu @unique ::= \"\\\"a\\\"\" | \"\\\"ab\\\"\" | \"true\" | \"12\" | \"1\" | "
        "\"\\\"\\\"\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"-\"? ([1-2] [1-2]* | \"0.\" [0-1]* \"1\")",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"\\\"\" [ab]* \"b\\\"\"",
        "root ::= v | w\nv ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= s\ns ::= \"\\\"\" [ab]{0,2} \"\\\"\"\n"
        "w ::= \"[\" s \",\" s \",\" s \"]\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"{\" (p (\",\" p)*)? \"}\"\np ::= s \":\" [1-2]+\n"
        "s ::= \"\\\"\" [a-b}]* \"\\\"\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"{\\\"a\\\":\" s \",\\\"b\\\":\" (s | \"[\" s \"]\") "
        "\"}\"\n"
        "s ::= \"\\\"\" [a-b]* \"\\\"\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"[\" (x (\",\" x)*)? \"]\"\nx @unique ::= \"\\\"\" "
        "[a-b]* \"\\\"\"",
        "root ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= \"[\" x \"]\"\nx @unique ::= \"\\\"\" [a-b]* \"\\\"\"",
        "root ::= \"{\\\"a\\\":[\" u (\",\" u)* \"],\\\"\" [ab]* \"\\\":[\" s (\",\" s)* \"]}\"\nu @unique ::= s\n"
        "s ::= \"\\\"\" [a-b]* \"\\\"\"",
        "root ::= ([a-b\"[,]* <think> \"[\" u (\",\" u)* \"]\"){1,3} !<think>?\n"
        "u @unique ::= \"\\\"\" [ab]* \"\\\"\"",
    };
    follow_each(grammars, COUNT(grammars), 60, 30, 0);
}

// A place far from the end of a repetition costs no walk of the tree, wherever it is.
static void places_that_are_alike_share_a_mask(void) {
    const char *text = "root ::= (\"\\\"\" c{0,2000} \"\\\"\"){0,20}\nc ::= [^\"\\\\] | \"\\\\\" [a-z]";
    char said[600];
    errors e = {said, sizeof said};
    gemel_grammar *g;
    mask *k = malloc(sizeof *k);
    CHECK_EQ_INT(grammar_open(&g, many_words()->o.t, many_words()->t, 1, text, strlen(text), &e), GEMEL_OK);
    CHECK_EQ_INT(mask_open(k, g, 0), GEMEL_OK);
    CHECK_EQ_INT(mask_take(k, '"'), GEMEL_OK);
    for (int i = 0; i < 1500; i++) {
        uint32_t n_rows = k->m.n_rows;
        CHECK_EQ_INT(mask_fill(k), GEMEL_OK);
        if (i > 2) CHECK(k->m.n_rows <= n_rows + 2);   // a walk makes one for each depth
        CHECK_EQ_INT(mask_take(k, 'a'), GEMEL_OK);
    }
    mask_close(k), free(k), gemel_grammar_close(g);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(masks_of_random_grammars_are_what_is_accepted),
        CHECK_ENTRY(masks_are_exact_near_the_end_of_a_repetition),
        CHECK_ENTRY(masks_are_exact_where_texts_loop),
        CHECK_ENTRY(masks_forbid_items_that_come_again),
        CHECK_ENTRY(places_that_are_alike_share_a_mask),
    };
    return check_main(table, COUNT(table), argc, argv);
}
