// The ids that a mask has to lose where a list may have each item once.
#pragma once
#include "text_tree.h"
#include "unique.h"

typedef struct repeats {
    matcher *m;
    unique *u;
    const text_tree *t;
    const tokenizer *tok;
    int drops_space;   // the space before the answer's first text is not in it
    uint32_t *bits;    // [n_words] of the mask
    uint32_t *path;    // [depth + 1] scratch
    uint8_t *text;     // [depth] scratch
} repeats;

// Forbid those of p->bits after which a list has an item twice, or can't help it. p->m may be stuck afterwards.
void repeats_forbid(const repeats *p);
