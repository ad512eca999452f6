// A random grammar, and a random answer: compiling ends with an error that has a message, or every id is
// accepted that the mask allows, and no other; what is saved is the same place when it is restored.
//
//   input: source (1): GBNF made of the bytes that follow, GBNF, a regular expression, or choices | how many bytes the
//          source has (2), unless it is made | its bytes | what decides how the answer goes on
#include "fuzz.h"
#include "../c/grammar_checks.h"

enum { STEPS = 10, CHOICES = 20 };

static int compile_choices(gemel_grammar **g, const char *text, size_t size, errors *e) {
    int32_t sizes[CHOICES];
    size_t n = 0, from = 0;   // a line each
    for (size_t i = 0; i <= size && n < CHOICES; i++)
        if (i == size || text[i] == '\n') sizes[n++] = (int32_t)(i - from), from = i + 1;
    char *joined = malloc(size + 1), *at = joined;
    for (size_t i = 0, line = 0; i < n; line += (size_t)sizes[i++] + 1)
        memcpy(at, text + line, (size_t)sizes[i]), at += sizes[i];
    int code = grammar_choices(g, many_words()->o.t, many_words()->t, joined, sizes, n, e);
    free(joined);
    return code;
}

static int compile(gemel_grammar **g, input *in, errors *e) {
    const words *w = many_words();
    int kind = take(in) % 4;
    static drawn d;
    if (kind == 0) {
        source s = {in->at, in->end};
        draw_grammar(&s, &d);
        in->at = s.at;
    }
    size_t n = kind ? take_size(in, SIZE_MAX) : d.size;
    if (kind && n > left(in)) n = left(in);
    char *text = copy_of(kind ? (const char *)in->at : d.text, n);
    if (kind) in->at += n;
    int code = kind == 3
                   ? compile_choices(g, text, n, e)
                   : grammar_open(g, w->o.t, w->t, kind == 2 ? GEMEL_GRAMMAR_REGEX : GEMEL_GRAMMAR_GBNF, text, n, e);
    free(text);   // a grammar keeps nothing of it
    return code;
}

// Any bytes as an answer whose lists have each item once, and as the saved items of such an answer.
static void repeat_items(const input *in) {
    static gemel_grammar *g;
    static const char text[] =
        "root ::= v\nv ::= o | a | s | n | \"true\"\no ::= \"{\" (s \":\" v (\",\" s \":\" v)*)? \"}\"\n"
        "a ::= \"[\" (u (\",\" u)*)? \"]\"\nu @unique ::= v\n"
        "s ::= \"\\\"\" ([^\"\\\\] | \"\\\\\" [\"\\\\])* \"\\\"\"\nn ::= \"0\" | [1-9] [0-9]*";
    char said[600];
    errors e = {said, sizeof said};
    if (!g) CHECK_EQ_INT(grammar_open(&g, many_words()->o.t, many_words()->t, 1, text, sizeof text - 1, &e), GEMEL_OK);
    CHECK(gemel_grammar_match(g, (const char *)in->at, left(in)) >= GEMEL_E_GRAMMAR);
    seen lists = {0};
    if (seen_restore(&lists, in->at, left(in))) {
        size_t size = seen_save(&lists, NULL, 0);
        uint8_t *again = malloc(size);
        CHECK_EQ_INT(seen_save(&lists, again, size), left(in));
        free(again);
    }
    seen_close(&lists);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, data + size};
    repeat_items(&in);
    char said[1200] = "";
    errors e = {said, sizeof said};
    gemel_grammar *g = NULL;
    int code = compile(&g, &in, &e);
    CHECK_EQ_INT(code < 0, said[0] != 0);
    CHECK_EQ_INT(code < 0, g == NULL);
    if (code == GEMEL_OK) {
        source s = {in.at, in.end};
        (void)follow(g, &s, STEPS);
        CHECK(gemel_grammar_match(g, (const char *)in.at, left(&in)) >= GEMEL_E_GRAMMAR);
    }
    gemel_grammar_close(g);
    return judge();
}
