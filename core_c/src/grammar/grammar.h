// Makes a grammar from a source.
#pragma once
#include "compiled.h"

// `t` and `words` must outlive the grammar.
int grammar_open(struct gemel_grammar **out, const tokenizer *t, const text_tree *words, int source, const char *text,
                 size_t size, errors *e);
// The texts follow each other in `text`; sizes[n].
int grammar_choices(struct gemel_grammar **out, const tokenizer *t, const text_tree *words, const char *text,
                    const int32_t *sizes, size_t n, errors *e);
