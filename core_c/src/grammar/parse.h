// What the parsers share: a text with a place in it, groups that are open (a list, so that depth needs no recursion),
// and errors that name line and column.
#pragma once
#include "builder.h"

typedef struct group {
    part whole;      // in and out of its alternatives
    uint32_t tail;   // where the alternative that is being read goes on
    part last;       // its last item, not joined to the tail yet
    int has_last;
    const char *at;   // where it was opened
} group;

typedef struct parser {
    const char *text, *at, *end;
    builder *b;
    errors *e;
    group *groups;
    size_t n_groups, groups_room;
    ranges chars;   // of a class
} parser;

void parser_close(parser *p);
// A sentence that begins with the place, a pointer into the text. Returns GEMEL_E_GRAMMAR.
__attribute__((format(printf, 3, 4))) int parser_fail(parser *p, const char *at, const char *format, ...);
int parser_no_memory(parser *p);

int parser_open_group(parser *p);         // 0 or an error
void parser_join(parser *p);              // before an item is made: what is made last stays together, to be repeated
void parser_item(parser *p, part item);   // the next of an alternative
void parser_next_alternative(parser *p);
part parser_end_group(parser *p);   // of the group opened last, which is an item now
static inline group *parser_group(parser *p) { return &p->groups[p->n_groups - 1]; }

// A code point of the text, which is UTF-8. 0 at the end; an error where it is not UTF-8.
int parser_code(parser *p, uint32_t *code);
int hex_digit(char c);                                   // its value, or -1
int parser_hex(parser *p, int digits, uint32_t *code);   // exactly this many, at `at`
// A decimal number up to 2^24, behind the spaces at `at`. 0: there is none.
int parser_number(parser *p, uint32_t *number);
int parser_repeat(parser *p, const char *at, uint32_t least, uint32_t most, int is_open);   // the last item
int parser_chars(parser *p, const char *at, int is_negated);   // p->chars becomes an item, and is empty again
