// How text is cut into words before pieces merge: one row for each supported tokenizer.ggml.pre. A row is one or more
// passes, and a pass cuts what the passes before it left. Each is a rule written by hand over the classes of unicode.h,
// equivalent to the regular expression that defines it: linear in the text that it reads, without recursion.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "unicode.h"

typedef struct char_range {
    uint32_t first, last;
} char_range;

// A set of characters: those with one of the class bits and those of the ranges.
typedef struct char_set {
    int classes;
    const char_range *ranges;   // ascending
    size_t n_ranges;
    int all_but;   // all other characters instead
} char_set;

typedef struct pass {
    // Size of the first piece of a text that is not empty: a match of the pattern, or all before the next match.
    size_t (*next)(const struct pass *p, const char *at, const char *end);
    const char_set *set;    // runs: their characters; words: characters that are not letters and make separate words
    const char_set *lead;   // runs: one such character may go before
    int least, most;        // characters in a run, numbers in a word; most 0: any number
    int letters;            // words: class bits that make up a word of letters
    int is_bare;            // words: 's and the like are not split off; threes: other numbers may be in a piece
    int is_line;            // words: a line break is a separate one
    const char *tail;       // words: the bytes that may follow punctuation in the same word
} pass;

enum { PASSES_MAX = 8 };

// What the pieces of a vocabulary are written in.
enum { PIECES_OF_BYTES, PIECES_OF_CHARACTERS, PIECES_WITH_MARKS };   // with marks: characters, and U+2581 for a space
// Which words become their ids without merging, if the vocabulary has them.
enum { WHOLE_NONE, WHOLE_WORDS, WHOLE_BREAKS };   // breaks: words of line breaks

typedef struct pretok {
    const char *name;     // tokenizer.ggml.pre
    const pass *passes;   // the last one has no `next`
    int whole;            // WHOLE_...
    int add_bos;          // when the file does not say; -1: nor does such a file have a BOS that it does not say
    int pieces;           // PIECES_...
} pretok;

// The row of a name; NULL: there is none.
const pretok *pretok_find(const char *name, size_t size);
const pretok *pretok_at(size_t i);   // NULL past the last row

// A walk through a text.
typedef struct splitter {
    const pass *passes;
    int n;                              // passes
    const char *ends[PASSES_MAX + 1];   // where the pieces of all passes end; first the text
} splitter;

splitter split_begin(const pretok *row, const char *at, const char *end);
// Size of the word at `at`, where the last one ended, which is below `end`.
size_t split_next(splitter *s, const char *at);

int is_in(const char_set *set, rune r);   // 0 at the end of the text
// The rules (pretok.c, pretok_groups.c) that rows (pretok_rows.c) are made of.
size_t next_run(const pass *p, const char *at, const char *end);
size_t next_last_blanks(const pass *p, const char *at, const char *end);
size_t next_halves(const pass *p, const char *at, const char *end);
size_t next_indent(const pass *p, const char *at, const char *end);
size_t next_marker(const pass *p, const char *at, const char *end);
size_t next_bounded(const pass *p, const char *at, const char *end);
size_t next_head(const pass *p, const char *at, const char *end);
size_t next_before_threes(const pass *p, const char *at, const char *end);
size_t next_threes(const pass *p, const char *at, const char *end);
size_t next_gpt2(const pass *p, const char *at, const char *end);
size_t next_llama(const pass *p, const char *at, const char *end);
size_t next_phrases(const pass *p, const char *at, const char *end);
size_t next_cased(const pass *p, const char *at, const char *end);
size_t next_deepseek(const pass *p, const char *at, const char *end);
