// GBNF, the language of grammars that llama.cpp documents, becomes parts.
#pragma once
#include "builder.h"
#include "../text/tokenizer.h"

// Fill `b`; the root is rule 0. `t` finds the ids of <tokens>.
int gbnf_parse(builder *b, const tokenizer *t, const char *text, size_t size, errors *e);
