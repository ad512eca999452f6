// A grammar for answers of one vocabulary: rules made from a source, and the tree of the vocabulary's texts. Immutable.
#pragma once
#include "rules.h"
#include "text_tree.h"
#include "twins.h"

struct gemel_grammar {
    rules rules;
    twins twins[TREE_PARTS];   // for the texts of each tree
    const text_tree *words;
    const tokenizer *tok;
};

// `t` and `words` must outlive the grammar.
int grammar_open(struct gemel_grammar **out, const tokenizer *t, const text_tree *words, int source, const char *text,
                 size_t size, errors *e);
// The texts follow each other in `text`; sizes[n].
int grammar_choices(struct gemel_grammar **out, const tokenizer *t, const text_tree *words, const char *text,
                    const int32_t *sizes, size_t n, errors *e);
