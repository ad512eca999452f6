// Grammars over a vocabulary whose ids are the texts of their numbers, for checks of the sampler.
#pragma once
#include "sampler_checks.h"
#include "../../core_c/src/grammar/grammar.h"

enum { N = 300 };   // ids of the vocabulary

static inline const text_tree *words(void) {
    static text_tree *t;
    errors e = {err, sizeof err};
    if (!t) CHECK_EQ_INT(text_tree_open(&t, vocabulary(N), &e), GEMEL_OK);
    return t;
}

static inline gemel_grammar *compiled(const char *text) {
    gemel_grammar *g = NULL;
    errors e = {err, sizeof err};
    CHECK_EQ_INT(grammar_open(&g, vocabulary(N), words(), GEMEL_GRAMMAR_GBNF, text, strlen(text), &e), GEMEL_OK);
    return g;
}
