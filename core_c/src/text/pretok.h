// How text is cut into words before pieces merge: one row for each tokenizer.ggml.pre that is known, each a rule
// written out by hand over the classes of unicode.h, in place of the regular expression that defines it. A rule takes
// time linear in the word that it reads (what it looks ahead at is in the next word or two); nothing recurs.
#pragma once
#include <stddef.h>

typedef struct pretok {
    const char *name;                                                            // tokenizer.ggml.pre
    size_t (*next)(const struct pretok *row, const char *at, const char *end);   // size of the first word
    int digits;        // the most numbers in a word (rules that count them)
    int letters;       // class bits that make up a word of letters (rules that vary them)
    int whole_words;   // a word that is in the vocabulary is not merged but taken
    int add_bos;       // when the file does not say
} pretok;

// The row of a name; NULL: there is none.
const pretok *pretok_find(const char *name, size_t size);
