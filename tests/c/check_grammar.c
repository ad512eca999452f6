// Grammars: which texts and ids they allow, what is refused and where, and that neither a grammar nor an answer can
// take much time or memory. tests/python/test_grammar.py compares masks with a slow reference.
#include "toy.h"
#include "../../core_c/src/grammar/grammar.h"
#include "../../core_c/src/grammar/mask.h"
#include "../../core_c/src/grammar/names.h"
#include "../../core_c/src/sample/sampler.h"

#define COUNT(array) (sizeof array / sizeof *array)

static char err[600];

// Ids 0..255 are bytes; then these.
static const char *const more[] = {
    "<|end|>", "<think>",   "ab",
    "abc",     "\"}",       "\",",
    "true",    "1\xC4\xA0", "\xC3\x83\xC2\xA9\xC3\xA2"};   // the bytes C3 A9 E2 in BPE's alphabet
static const int kinds_of_more[] = {3, 3, 1, 1, 1, 1, 1, 1, 1};
enum { END = 256, THINK, AB, ABC, CLOSE, COMMA, TRUE, ONE_SPACE, SPLIT, N_VOCAB };

typedef struct words {
    opened o;
    text_tree *t;
} words;

static words *bytes_and_more(void) {
    static words w;
    static int kinds[N_VOCAB];
    if (w.t) return &w;
    toy v = byte_toy("gpt-2", NULL, 0, more, COUNT(more));
    static const char *const no_merges[] = {"a b"};
    v.merges = no_merges, v.n_merges = 1;
    for (int i = 0; i < N_VOCAB; i++) kinds[i] = i < 256 ? 1 : kinds_of_more[i - 256];
    v.kinds = kinds, v.n_kinds = N_VOCAB, v.eos = END;
    errors e = {err, sizeof err};
    CHECK_EQ_INT(open_toy(&w.o, &v), GEMEL_OK);
    CHECK_EQ_INT(text_tree_open(&w.t, w.o.t, &e), GEMEL_OK);
    return &w;
}

static int compile(gemel_grammar **g, int source, const char *text, size_t size) {
    words *w = bytes_and_more();
    errors e = {err, sizeof err};
    err[0] = 0;
    int code = grammar_open(g, w->o.t, w->t, source, text, size, &e);
    CHECK((code == 0) == (err[0] == 0));
    return code;
}

static gemel_grammar *gbnf(const char *text) {
    gemel_grammar *g = NULL;
    CHECK_EQ_INT(compile(&g, GEMEL_GRAMMAR_GBNF, text, strlen(text)), GEMEL_OK);
    CHECK_EQ_STR(err, "");
    return g;
}

static int match(const gemel_grammar *g, const char *text) { return gemel_grammar_match(g, text, strlen(text)); }

enum { NO = 0, BEGINS = GEMEL_MATCH_BEGINS, WHOLE = GEMEL_MATCH_BEGINS | GEMEL_MATCH_WHOLE };

typedef struct matched {
    int source;
    const char *grammar, *text;
    int wanted;
} matched;

static void texts_are_matched(void) {
    enum { G = GEMEL_GRAMMAR_GBNF, R = GEMEL_GRAMMAR_REGEX };
    static const matched cases[] = {
        {G, "root ::= \"ab\" | [0-9]{2,3}", "ab", WHOLE},
        {G, "root ::= \"ab\" | [0-9]{2,3}", "a", BEGINS},
        {G, "root ::= \"ab\" | [0-9]{2,3}", "12", WHOLE},
        {G, "root ::= \"ab\" | [0-9]{2,3}", "1234", NO},
        {G, "root ::= (\n\"a\" # one\n\n | # none\n)", "", WHOLE},
        {G, "# rules\r\nroot ::= x |\r\n  \"z\"\r\nx ::= \"y\"", "z", WHOLE},
        {G, "root ::= \"\\x41\\u00e9\\U0001F600\\t\\\\\\\"\"", "A\xC3\xA9\xF0\x9F\x98\x80\t\\\"", WHOLE},
        {G, "root ::= [^a-y\\]^-]+", "z-", NO},
        {G, "root ::= [a^-]+", "a^-", WHOLE},
        {G, "root ::= .", "\n", WHOLE},
        {G, "root ::= .", "\xED\xA0", NO},   // a surrogate
        {G, "root ::= .", "\xF4\x90", NO},   // over U+10FFFF
        {G, "root ::= .", "\xC0", NO},       // too long
        {G, "root ::= [^\xC3\xA9]", "\xC3", BEGINS},
        {G, "root ::= [^\xC3\xA9]", "\xC3\xA9", NO},
        {G, "root ::= a{0} \"b\"\na ::= \"a\"", "b", WHOLE},
        {G, "root ::= (\"a\"?)* \"b\"", "aab", WHOLE},
        {G, "root ::= \"a\" root? \"b\"", "aabb", WHOLE},
        {G, "root ::= \"a\" root? \"b\"", "aab", BEGINS},
        {G, "root ::= \"a\"{2,}", "aaa", WHOLE},
        {G, "root ::= <think> \"a\"", "<think>a", NO},
        {G, "root ::= t \"x\"\nt @tree ::= \"ab\" | \"abc\" |\n \"\\x41\"", "abx", WHOLE},
        {G, "root ::= t \"x\"\nt @tree ::= \"ab\" | \"abc\" |\n \"\\x41\"", "abcx", WHOLE},
        {G, "root ::= t \"x\"\nt @tree ::= \"ab\" | \"abc\" |\n \"\\x41\"", "Ax", WHOLE},
        {G, "root ::= t \"x\"\nt @tree ::= \"ab\" | \"abc\" |\n \"\\x41\"", "ax", NO},
        {G, "root ::= t?\nt @tree ::= \"\" | \"\" | \"a\"", "", WHOLE},
        {R, "a|bc", "bc", WHOLE},
        {R, "^a$|^bc$", "bc", WHOLE},
        {R, "\\d+\\.\\d{2}", "12.50", WHOLE},
        {R, "[^\\d\\s]+?", "x\xC2\xA0", NO},
        {R, "(?:a|(?<n>b))*", "abba", WHOLE},
        {R, ".", "\n", NO},
        {R, "\\u{1F600}\\uD83D\\uDE00", "\xF0\x9F\x98\x80\xF0\x9F\x98\x80", WHOLE},
        {R, "[\\w-]+", "a-b", WHOLE},
        {R, "[\\uD83D\\uDE00](?<_a1>b)(?<a1>c)",
         "\xF0\x9F\x98\x80"
         "bc",
         WHOLE},
        {R, "\\S\\W\\D", "a a", WHOLE},
        {R, "", "", WHOLE},
        {R, "\\x41\\cJ\\0?[\\b]", "A\n\b", WHOLE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = NULL;
        CHECK_EQ_INT(compile(&g, cases[i].source, cases[i].grammar, strlen(cases[i].grammar)), GEMEL_OK);
        int got = g ? match(g, cases[i].text) : -1;
        if (got != cases[i].wanted) printf("    %s: %s\n", cases[i].grammar, cases[i].text);
        CHECK_EQ_INT(got, cases[i].wanted);
        gemel_grammar_close(g);
    }
}

// Between the quotes of a JSON string: all texts except some, of any characters and escapes.
static void other_texts_are_those_that_are_not_listed(void) {
    static const char *const listed[] = {"ab", "abc", "b", "\\n", "\\u001f", "\xC3\xA9", "\xF0\x9F\x98\x80-", "a\\\"b"};
    static const char *const more[] = {"",
                                       "a",
                                       "abd",
                                       "ac",
                                       "bb",
                                       "c",
                                       "\\r",
                                       "\\\\",
                                       "\\\"",
                                       "\\u0000",
                                       "\\u001e",
                                       "\\u0010x",
                                       "\xC3\xA8",
                                       "\xC3\xA9x",
                                       "\xE2\x82\xAC",
                                       "\xF0\x9F\x98\x80",
                                       "\xF0\x9F\x98\x81-",
                                       "\x7F",
                                       "\\na",
                                       "a\\\"c",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "ab\xC3\xA9"};
    static const char *const none[] = {"\"",      "\n",      "\\x",          "\\/",     "\\u0020",
                                       "\\u001F", "\\u0008", "\xED\xA0\x80", "\xC0\x80"};
    gemel_grammar *g =
        gbnf("root ::= o\no @others ::= \"ab\" | \"abc\" | \"b\" | \"\\\\n\" | \"\\\\u001f\" | \"\\xE9\" | "
             "\"\\U0001F600-\" | \"a\\\\\\\"b\"");
    for (size_t i = 0; i < COUNT(listed); i++) CHECK_EQ_INT(match(g, listed[i]), BEGINS);
    for (size_t i = 0; i < COUNT(more); i++) CHECK_EQ_INT(match(g, more[i]), WHOLE);
    for (size_t i = 0; i < COUNT(none); i++) CHECK_EQ_INT(match(g, none[i]), NO);
    gemel_grammar_close(g);
    g = gbnf("root ::= \"<\" o \">\"\no @others ::= \"\"");
    CHECK_EQ_INT(match(g, "<"), BEGINS);
    CHECK_EQ_INT(match(g, "<a>"), WHOLE);
    CHECK_EQ_INT(match(g, "<>"), BEGINS);   // as the beginning of a text with >
    gemel_grammar_close(g);
}

typedef struct refused {
    int source;
    const char *grammar, *why;
} refused;

static void mistakes_are_named_with_their_place(void) {
    enum { G = GEMEL_GRAMMAR_GBNF, R = GEMEL_GRAMMAR_REGEX };
    static const refused cases[] = {
        {G, "", "there is no rule \"root\", where a grammar begins"},
        {G, "a ::= \"b\"", "there is no rule \"root\", where a grammar begins"},
        {G, "root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule \"root\" is defined twice"},
        {G, "root ::= a\nb ::= \"c\"", "line 1, column 10: there is no rule \"a\""},
        {G, "root = \"a\"", "line 1, column 6: ::= is expected behind the rule's name"},
        {G, "root ::= \"a\"{5,1}", "line 1, column 13: {5,1}: the least number is over the most"},
        {G, "root ::= {2}", "line 1, column 10: there is nothing to repeat before this"},
        {G, "root ::= \"[\" u \"]\" <[5]>\nu @unique ::= x\nx ::= !<[5]>",
         "rule \"x\": @unique compares texts: leave out tokens such as <[1000]>"},
        {G, "root ::= \"a\"{x}", "line 1, column 14: a number is expected: {m}, {m,} or {m,n}"},
        {G, "root ::= \"a\"{1,2", "line 1, column 17: a } is expected: {m}, {m,} or {m,n}"},
        {G, "root ::= \"\xC3\xA9\" \"a", "line 1, column 14: this text has no closing quote"},
        {G, "root ::= [a", "line 1, column 10: this class has no closing bracket"},
        {G, "root ::= []", "line 1, column 10: this class has no character"},
        {G, "root ::= [z-a]", "line 1, column 11: the range ends before it begins"},
        {G, "root ::= \"\\q\"", NULL},
        {G, "root ::= \"\\ud800\"", "line 1, column 13: U+d800 is not a character"},
        {G, "root ::= \"\\x4\"", "line 1, column 13: the escape needs 2 hexadecimal digits"},
        {G, "root ::= \"a\" )", "line 1, column 14: no parenthesis is open here"},
        {G, "root ::= (\"a\"\n", "line 1, column 10: this parenthesis is not closed"},
        {G, "root ::= \"a\" ; \"b\"", "line 1, column 14: unexpected ;: an item, | or the end of the line is expected"},
        {G, "root ::= \"a\xFF\"", "line 1, column 12: byte 0xff is not UTF-8"},
        {G, "root ::= <[9999]>", "line 1, column 10: id 9999 is not in the vocabulary, which has 265 ids"},
        {G, "root ::= <ab cd>",
         "line 1, column 10: <ab cd> is not one token of this vocabulary: write its text as "
         "\"...\""},
        {G, "root @tree ::= \"a\" | [b]", "line 1, column 22: a text is expected: this rule is a list of texts"},
        {G, "root @tree ::= \"a\" \"b\"",
         "line 1, column 20: unexpected \": an item, | or the end of the line is expected"},
        {G, "root @others ::= \"a\" | \"\\\"\"",
         "line 1, column 18: a text of this rule can't be between the quotes of a JSON string"},
        {G, "root @others ::= \"\\\\\"",
         "line 1, column 18: a text of this rule can't be between the quotes of a JSON string"},
        {G, "root @tree ::= \"a", "line 1, column 16: this text has no closing quote"},
        {G, "root ::= !\"a\"", "line 1, column 11: a < is expected behind !"},
        {G, "root ::= a\na ::= b\nb ::= \"x\"? a \"y\" | \"z\"",
         "rule \"a\" calls itself before it reads a character (a -> b -> a): put what repeats behind, as in a ::= b "
         "(\",\" b)*"},
        {G, "root ::= \"z\" a | \"b\"\na ::= \"x\" a",
         "rule \"a\" never ends: each of its alternatives needs it again"},
        {R, "(a", "line 1, column 1: this parenthesis is not closed"},
        {R, "a)", "line 1, column 2: no parenthesis is open here"},
        {R, "a(?=b)", "line 1, column 2: look-around is not supported"},
        {R, "(a)\\1", "line 1, column 4: back references (\\1) are not supported"},
        {R, "\\bx", "line 1, column 1: word boundaries (\\b) are not supported"},
        {R, "\\pL", "line 1, column 1: Unicode properties (\\p{...}) are not supported"},
        {R, "a**", "line 1, column 3: a repetition can't be repeated: put the first one in a group"},
        {R, "a{2", "line 1, column 2: a repetition is {m}, {m,} or {m,n}; a brace is \\{"},
        {R, "^a{5,1}$", "line 1, column 3: {5,1}: the least number is over the most"},
        {R, "a^b",
         "line 1, column 2: ^ is supported only at the beginning of the expression, which matches the whole "
         "answer anyway"},
        {R, "[a-\\d]", "line 1, column 2: a range can't end with a set of characters"},
        {R, "[]", "line 1, column 1: this class has no character"},
        {R, "\\", "line 1, column 1: nothing follows this backslash"},
        {R, "\\q", "line 1, column 1: unknown escape"},
        {R, "\\ud8zz\\udc00", "line 1, column 3: the escape needs 4 hexadecimal digits"},
        {R, "\\uD83D\\uDCxx", "line 1, column 3: U+d83d is not a character"},
        {R, "\\uD83D\\u0041", "line 1, column 3: U+d83d is not a character"},
        {R, "(?<>a)", NULL},
        {R, "(?<1a>a)", NULL},
        {R, "(?<a-b>a)", NULL},
        {R, "a(?<b",
         "line 1, column 2: the name of a group is letters, digits and _, without a digit first, and then >"},
        {R, "(?<ab>a)(?<b>a)(?<ab>a)", "line 1, column 16: two groups are called ab"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = NULL;
        CHECK_EQ_INT(compile(&g, cases[i].source, cases[i].grammar, strlen(cases[i].grammar)), GEMEL_E_GRAMMAR);
        if (cases[i].why) CHECK_EQ_STR(err, cases[i].why);
        CHECK(!g);
    }
}

// ---- Ids -----------------------------------------------------------------------------------------------------------

static mask *begin(const gemel_grammar *g) {
    mask *k = malloc(sizeof *k);
    CHECK_EQ_INT(mask_open(k, g, 0), GEMEL_OK);
    return k;
}
static void end(mask *k, gemel_grammar *g) {
    mask_close(k);
    free(k);
    gemel_grammar_close(g);
}
static void allows_only(mask *k, const int32_t *ids, size_t n) {
    size_t found = 0, listed = 0;
    CHECK_EQ_INT(mask_fill(k), GEMEL_OK);
    for (int32_t id = 0; id < N_VOCAB; id++) found += (size_t)mask_allows(k, id);
    for (size_t i = 0; i < n; i++) listed += (size_t)mask_allows(k, ids[i]);
    CHECK_EQ_INT(found, n);
    CHECK_EQ_INT(listed, n);
}
#define ALLOWS_ONLY(k, ...)                                                                                            \
    do {                                                                                                               \
        const int32_t ids[] = {__VA_ARGS__};                                                                           \
        allows_only(k, ids, COUNT(ids));                                                                               \
    } while (0)

static void tokens_may_span_the_ends_of_rules(void) {
    gemel_grammar *g = gbnf("root ::= \"{\" name \"}\"\nname ::= \"\\\"\" [ab]* \"\\\"\"");
    mask *k = begin(g);
    ALLOWS_ONLY(k, '{');
    CHECK_EQ_INT(mask_take(k, '{'), GEMEL_OK);
    ALLOWS_ONLY(k, '"');
    CHECK_EQ_INT(mask_take(k, '"'), GEMEL_OK);
    ALLOWS_ONLY(k, 'a', 'b', AB, '"', CLOSE);
    CHECK_EQ_INT(mask_take(k, ABC), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(mask_take(k, AB), GEMEL_OK);
    CHECK_EQ_INT(mask_take(k, CLOSE), GEMEL_OK);
    ALLOWS_ONLY(k, END);
    CHECK_EQ_INT(mask_take(k, END), GEMEL_OK);
    ALLOWS_ONLY(k, END);
    end(k, g);
}

static void characters_may_be_split_over_tokens(void) {
    gemel_grammar *g = gbnf("root ::= [\xC3\xA0-\xC3\xAF] \"\xE2\x82\xAC\"");   // SPLIT: a character and a first byte
    mask *k = begin(g);
    ALLOWS_ONLY(k, 0xC3, SPLIT);
    CHECK_EQ_INT(mask_take(k, SPLIT), GEMEL_OK);
    ALLOWS_ONLY(k, 0x82);
    CHECK_EQ_INT(mask_take(k, 0x82), GEMEL_OK);
    ALLOWS_ONLY(k, 0xAC);
    end(k, g);
}

static void special_tokens_are_terminals_by_id(void) {
    gemel_grammar *g = gbnf("root ::= <think> !<think>{2} <[256]>? \"<think>\"");
    mask *k = begin(g);
    ALLOWS_ONLY(k, THINK);
    CHECK_EQ_INT(mask_take(k, THINK), GEMEL_OK);
    CHECK_EQ_INT(mask_fill(k), GEMEL_OK);
    for (int32_t id = 0; id < N_VOCAB; id++) CHECK_EQ_INT(mask_allows(k, id), id != THINK && id != END);
    CHECK_EQ_INT(mask_take(k, END), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(mask_take(k, 'x'), GEMEL_OK);
    CHECK_EQ_INT(mask_take(k, ABC), GEMEL_OK);
    ALLOWS_ONLY(k, '<', END);
    CHECK_EQ_INT(mask_take(k, END), GEMEL_OK);
    ALLOWS_ONLY(k, '<');   // the text of a special token is not the token
    end(k, g);
}

static void choices_share_what_they_begin_with(void) {
    static const int32_t sizes[] = {2, 3, 0, 3, 4};
    words *w = bytes_and_more();
    errors e = {err, sizeof err};
    gemel_grammar *g = NULL;
    CHECK_EQ_INT(grammar_choices(&g, w->o.t, w->t, "ababcabctrue", sizes, COUNT(sizes), &e), GEMEL_OK);
    mask *k = begin(g);
    ALLOWS_ONLY(k, 'a', AB, ABC, 't', TRUE, END);
    CHECK_EQ_INT(mask_take(k, AB), GEMEL_OK);
    ALLOWS_ONLY(k, 'c', END);
    CHECK_EQ_INT(match(g, "abc"), WHOLE);
    CHECK_EQ_INT(match(g, "tru"), BEGINS);
    end(k, g);
}

static void a_choice_may_be_empty_alone(void) {
    static const int32_t sizes[] = {0, 0};
    words *w = bytes_and_more();
    errors e = {err, sizeof err};
    gemel_grammar *g = NULL;
    CHECK_EQ_INT(grammar_choices(&g, w->o.t, w->t, "", sizes, COUNT(sizes), &e), GEMEL_OK);
    mask *k = begin(g);
    ALLOWS_ONLY(k, END);
    CHECK_EQ_INT(match(g, ""), WHOLE);
    end(k, g);
}

// ---- Much of everything --------------------------------------------------------------------------------------------

static char *repeated(const char *before, const char *text, size_t n, const char *after) {
    size_t size = strlen(text);
    char *all = malloc(strlen(before) + n * size + strlen(after) + 1), *at = all + strlen(before);
    strcpy(all, before);
    for (size_t i = 0; i < n; i++, at += size) memcpy(at, text, size);
    strcpy(at, after);
    return all;
}

static void large_grammars_are_taken_or_refused(void) {
    static const struct {
        const char *before, *text, *after;
        size_t n;
        const char *why;   // NULL: it is taken
    } cases[] = {
        {"root ::= ", "(", "", 50000, "line 1, column 50009: this parenthesis is not closed"},
        {"root ::= ", "\"a\" | ", "\"b\"", 1000000, "the grammar is too large: it has over 262144 states or "},
        {"root ::= \"a\"", "{1000}", "", 10, "line 1, column 19: this repetition makes the grammar larger than "},
        {"root ::= \"a\"", "?", "", 50000, NULL},
        {"root ::= ", "\"a\"? ", "", 20000, NULL},
        {"root ::= ", "a ", "\na ::= \"b\"?", 400, NULL},
        {"root ::= ", "a ", "\na ::= \"b\"?", 440, "the grammar reads a text in too many ways at once: "},
        {"root ::= ", "a ", "\na ::= \"b\"?", 20000, "the grammar reads a text in too many ways at once: "},
        {"root ::= \"b\" ", "a ", "\na ::= \"c\"?", 100000, "the grammar reads a text in too many ways at once: "},
        {"root ::= \"b\" ", "a ", "", 100000, "line 1, column 14: there is no rule \"a\""},
        // 2^15 states and as many edges, 2^17 times more: 0 in 32 bits
        {"root ::= (\"", "a", "\" | \"b\"){131073}", 32763, "line 1, column 32783: this repetition makes the grammar "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = repeated(cases[i].before, cases[i].text, cases[i].n, cases[i].after);
        gemel_grammar *g = NULL;
        int code = compile(&g, GEMEL_GRAMMAR_GBNF, text, strlen(text)), failures = check_failures;
        CHECK_EQ_INT(code, cases[i].why ? GEMEL_E_GRAMMAR : GEMEL_OK);
        CHECK(!cases[i].why || !strncmp(err, cases[i].why, strlen(cases[i].why)));
        if (check_failures > failures) printf("    %s, %zu times: %s\n", cases[i].text, cases[i].n, err);
        gemel_grammar_close(g);
        free(text);
    }
    char *open = repeated("root ::= ", "(", 50000, "\"a\""), *nested = repeated(open, ")", 50000, "");
    gemel_grammar *g = gbnf(nested);
    CHECK_EQ_INT(match(g, "a"), WHOLE);
    gemel_grammar_close(g);
    free(open), free(nested);
}

// What looks expensive takes few steps of work, and forgets nothing.
static void large_grammars_are_followed_in_few_steps(void) {
    char *open = repeated("root ::= ", "(", 50000, "\"a\""), *nested = repeated(open, ")", 50000, "");
    char *chain = malloc(20000 * 32), *at = chain;
    at += sprintf(at, "root ::= a0\na20000 ::= \"a\"\n");
    for (int i = 0; i < 20000; i++) at += sprintf(at, "a%d ::= a%d | \"x\"\n", i, i + 1);
    const struct {
        const char *grammar;
        int n_ids;
        uint64_t most;   // steps of each call
    } cases[] = {
        {nested, 1, 2000},
        {chain, 1, 200000},
        {"root ::= ((\"a\" | \"a\" \"a\")* ){50} \"b\"", 3, 3000},
        {"root ::= \"a\" root root | \"a\"", 3, 1000},
        {"root ::= (\"a\"? ){1000} \"b\"", 3, 16000},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        gemel_grammar *g = gbnf(cases[i].grammar);
        mask *k = begin(g);
        const matcher *m = &k->m;
        for (int n = 0; n < cases[i].n_ids; n++) {
            CHECK_EQ_INT(mask_fill(k), GEMEL_OK);
            CHECK(mask_allows(k, 'a') && m->work + m->s.work <= cases[i].most);
            CHECK_EQ_INT(mask_take(k, 'a'), GEMEL_OK);
            CHECK(m->work + m->s.work <= cases[i].most);
        }
        CHECK_EQ_INT(m->age, 0);
        end(k, g);
    }
    free(open), free(nested), free(chain);
}

// With a place that does not fit into the memory for sets, no answer can be followed.
static void what_is_too_ambiguous_is_refused_when_it_is_compiled(void) {
    gemel_grammar *g = NULL;
    const char *text = "root ::= x{1,15000}\nx ::= [a-z]? [0-9]? \"b\"?";
    CHECK_EQ_INT(compile(&g, GEMEL_GRAMMAR_GBNF, text, strlen(text)), GEMEL_E_GRAMMAR);
    CHECK(strstr(err, "too many ways at once") != NULL);
    if (check_failures) printf("%s\n", err);
    gemel_grammar_close(g);
}

// Many names, and names that begin as all others do.
static void names_that_are_alike_are_found(void) {
    enum { N = 15000 };
    char *text = malloc(N * 64), *at = text;
    at += sprintf(at, "root ::= ");
    for (int i = 0; i < N; i++) at += sprintf(at, "a%0*d ", 1 + i % 30, i);
    at += sprintf(at, "\n");
    for (int i = 0; i < N; i++) at += sprintf(at, "a%0*d ::= \"x\"?\n", 1 + i % 30, i);
    gemel_grammar *g = gbnf(text);
    CHECK_EQ_INT(match(g, "xx"), WHOLE);
    gemel_grammar_close(g);
    free(text);
    names n = {0};
    uint32_t number, again;
    static char xs[2000];
    memset(xs, 'x', sizeof xs);
    for (uint32_t size = 0; size < sizeof xs; size++) {
        CHECK_EQ_INT(names_number(&n, xs, size, &number), 1);
        CHECK_EQ_INT(number, size);
    }
    for (uint32_t size = 0; size < sizeof xs; size += 7) {
        CHECK_EQ_INT(names_number(&n, xs, size, &again), 0);
        CHECK_EQ_INT(again, size);
    }
    names_close(&n);
}

static void a_size_grows_with_the_states(void) {
    gemel_grammar *small = gbnf("root ::= \"a\"{10}"), *large = gbnf("root ::= \"a\"{1000}");
    CHECK(gemel_grammar_size(small) > 0);
    CHECK(gemel_grammar_size(large) >= gemel_grammar_size(small) + 990 * sizeof(state));
    CHECK_EQ_INT(gemel_grammar_size(NULL), 0);
    gemel_grammar_close(small), gemel_grammar_close(large);
}

static void deep_answers_are_followed(void) {
    gemel_grammar *g = gbnf("root ::= \"[\" root? \"]\"");
    char *open = repeated("", "[", 20000, ""), *whole = repeated(open, "]", 20000, "");
    CHECK_EQ_INT(match(g, open), BEGINS);
    CHECK_EQ_INT(match(g, whole), WHOLE);
    gemel_grammar_close(g);
    free(open), free(whole);
}

// A place takes at most half of the memory for sets, so that a walk finds room, and forgetting makes much.
static void an_answer_that_is_too_deep_is_refused(void) {
    gemel_grammar *g = gbnf("root ::= \"[\" root? \"]\"");
    mask *k = begin(g), *other = begin(g);
    int n = 0, code;
    uint32_t ages = k->m.age;
    while (n < SETS_MAX && (code = mask_take(k, '[')) == GEMEL_OK)
        if (++n == SETS_MAX / 2 + 1000) {   // what can be saved can be restored
            size_t size = matcher_save(&k->m, NULL, 0);
            uint8_t *data = malloc(size);
            CHECK_EQ_INT(matcher_save(&k->m, data, size - 1), size);
            CHECK_EQ_INT(matcher_save(&k->m, data, size), size);
            CHECK_EQ_INT(matcher_check(&other->m, data, size), 1);
            matcher_restore(&other->m, data);
            ALLOWS_ONLY(other, '[', ']');
            for (int i = 0; i < 2000; i++) CHECK_EQ_INT(mask_take(other, ']'), GEMEL_OK);
            free(data);
        }
    CHECK_EQ_INT(code, GEMEL_E_GRAMMAR);
    CHECK(n > SETS_MAX / 2 && n < SETS_MAX);
    CHECK(k->m.age - ages < 4);
    CHECK_EQ_INT(mask_fill(k), GEMEL_E_GRAMMAR);
    mask_begin(k);
    ALLOWS_ONLY(k, '[');
    mask_close(other), free(other);
    end(k, g);
}

static void repetition_by_recursion_needs_no_memory(void) {
    gemel_grammar *g = gbnf("root ::= \"a\" root | \"b\"");
    mask *k = begin(g);
    for (int i = 0; i < 100000; i++) CHECK_EQ_INT(mask_take(k, 'a'), GEMEL_OK);
    CHECK(k->m.s.n_sets < 10);
    ALLOWS_ONLY(k, 'a', 'b', AB);
    end(k, g);
}

// Stacks of every depth at the same time: they are few sets, and what is not needed is forgotten.
static void ambiguous_grammars_do_not_grow(void) {
    gemel_grammar *g = gbnf("root ::= \"a\" root root | \"a\" | \"a\" root \"b\"?");
    mask *k = begin(g);
    for (int i = 0; i < 3000; i++) {
        CHECK_EQ_INT(mask_take(k, 'a'), GEMEL_OK);
        if (i % 100 == 1) ALLOWS_ONLY(k, 'a', 'b', AB, END);
        if (check_failures) break;
    }
    end(k, g);
}

// With all memory in use, the walk begins again with the one set that it needs.
static void forgetting_changes_no_mask(void) {
    gemel_grammar *g = gbnf("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | \"\\\"\" [a-z]* \"\\\"\" | \"true\"");
    mask *a = begin(g), *b = begin(g);
    uint64_t seed = 7;
    for (int i = 0; i < 400; i++) {
        CHECK_EQ_INT(mask_fill(a), GEMEL_OK);
        matcher_tidy(&b->m, 1);
        CHECK_EQ_INT(mask_fill(b), GEMEL_OK);
        CHECK(!memcmp(a->bits, b->bits, a->n_words * sizeof *a->bits));
        int32_t ids[N_VOCAB], n = 0;
        for (int32_t id = 0; id < N_VOCAB; id++)
            if (mask_allows(a, id)) ids[n++] = id;
        int32_t id = ids[check_random(&seed) % (uint64_t)n];
        if (id == END) break;
        CHECK_EQ_INT(mask_take(a, id), GEMEL_OK);
        CHECK_EQ_INT(mask_take(b, id), GEMEL_OK);
    }
    mask_close(a), free(a);
    end(b, g);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(texts_are_matched),
        CHECK_ENTRY(other_texts_are_those_that_are_not_listed),
        CHECK_ENTRY(mistakes_are_named_with_their_place),
        CHECK_ENTRY(tokens_may_span_the_ends_of_rules),
        CHECK_ENTRY(characters_may_be_split_over_tokens),
        CHECK_ENTRY(special_tokens_are_terminals_by_id),
        CHECK_ENTRY(choices_share_what_they_begin_with),
        CHECK_ENTRY(a_choice_may_be_empty_alone),
        CHECK_ENTRY(large_grammars_are_taken_or_refused),
        CHECK_ENTRY(large_grammars_are_followed_in_few_steps),
        CHECK_ENTRY(what_is_too_ambiguous_is_refused_when_it_is_compiled),
        CHECK_ENTRY(names_that_are_alike_are_found),
        CHECK_ENTRY(a_size_grows_with_the_states),
        CHECK_ENTRY(deep_answers_are_followed),
        CHECK_ENTRY(an_answer_that_is_too_deep_is_refused),
        CHECK_ENTRY(repetition_by_recursion_needs_no_memory),
        CHECK_ENTRY(ambiguous_grammars_do_not_grow),
        CHECK_ENTRY(forgetting_changes_no_mask),
    };
    return check_main(table, COUNT(table), argc, argv);
}
