// Grammars over a vocabulary whose ids are the texts of their numbers, and a small one with spaces, for checks of the
// sampler.
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

// ---- A vocabulary with spaces --------------------------------------------------------------------------------------

static const char *const pieces[] = {
    "<unk>", "<s>", "</s>", "\xE2\x96\x81", "{", "\xE2\x96\x81{", "a", "\xE2\x96\x81\x61", "<0x20>"};

static inline void open_pieces(opened *o, text_tree **t) {
    static const int kinds[COUNT(pieces)] = {2, 3, 3, 1, 1, 1, 1, 1, 6};
    static const float scores[COUNT(pieces)];
    errors e = {err, sizeof err};
    toy v = NOTHING;
    v.model = "llama", v.tokens = pieces, v.n_tokens = COUNT(pieces), v.kinds = kinds, v.n_kinds = COUNT(pieces);
    v.scores = scores, v.n_scores = COUNT(pieces);
    CHECK_EQ_INT(open_toy(o, &v), GEMEL_OK);
    CHECK_EQ_INT(text_tree_open(t, o->t, &e), GEMEL_OK);
}
