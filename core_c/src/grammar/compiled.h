// A compiled grammar for answers of one vocabulary: rules, and the trees of the vocabulary's texts. Immutable.
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
