#include "parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "../text/array.h"
#include "../text/unicode.h"

enum { NUMBER_MAX = 1 << 24 };

void parser_close(parser *p) { free(p->groups), free(p->chars.at); }

int parser_fail(parser *p, const char *at, const char *format, ...) {
    char sentence[700];
    size_t line = 1, column = 1;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    for (const char *c = p->text; c < at; c++) {
        if (*c == '\n') line++, column = 1;
        else column += ((uint8_t)*c & 0xC0) != 0x80;
    }
    return fail(p->e, GEMEL_E_GRAMMAR, "line %zu, column %zu: %s", line, column, sentence);
}

int parser_no_memory(parser *p) { return fail(p->e, GEMEL_E_MEMORY, "no memory for the grammar"); }

// ---- Groups --------------------------------------------------------------------------------------------------------

int parser_open_group(parser *p) {
    if (p->n_groups) parser_join(p);
    if (!array_room((void **)&p->groups, p->n_groups, &p->groups_room, p->n_groups + 1, sizeof *p->groups))
        return parser_no_memory(p);
    part whole = builder_begin(p->b);
    whole.out = builder_state(p->b);
    p->groups[p->n_groups++] = (group){.whole = whole, .tail = whole.in, .at = p->at};
    return p->b->code ? builder_failed(p->b, p->e) : GEMEL_OK;
}

void parser_join(parser *p) {
    group *g = parser_group(p);
    if (!g->has_last) return;
    builder_skip(p->b, g->tail, g->last.in);
    g->tail = g->last.out, g->has_last = 0;
}

void parser_item(parser *p, part item) { parser_group(p)->last = item, parser_group(p)->has_last = 1; }

void parser_next_alternative(parser *p) {
    parser_join(p);
    builder_skip(p->b, parser_group(p)->tail, parser_group(p)->whole.out);
    parser_group(p)->tail = parser_group(p)->whole.in;
}

part parser_end_group(parser *p) {
    parser_next_alternative(p);
    return p->groups[--p->n_groups].whole;
}

// ---- Characters and numbers ----------------------------------------------------------------------------------------

int parser_code(parser *p, uint32_t *code) {
    rune r = rune_at(p->at, p->end);
    *code = r.code;
    if (r.code >= RUNE_BAD) return parser_fail(p, p->at, "byte 0x%02x is not UTF-8", (unsigned)(uint8_t)*p->at);
    p->at += r.size;
    return GEMEL_OK;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int parser_hex(parser *p, int digits, uint32_t *code) {
    *code = 0;
    const char *at = p->at;
    for (int i = 0; i < digits; i++, p->at++) {
        int value = p->at < p->end ? hex_digit(*p->at) : -1;
        if (value < 0) return parser_fail(p, at, "the escape needs %d hexadecimal digits", digits);
        *code = *code << 4 | (uint32_t)value;
    }
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF))
        return parser_fail(p, at, "U+%04x is not a character", (unsigned)*code);
    return GEMEL_OK;
}

int parser_number(parser *p, uint32_t *number) {
    const char *from = p->at;
    *number = 0;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        if (*number < NUMBER_MAX) *number = *number * 10 + (uint32_t)(*p->at - '0');
    return p->at > from;
}

int parser_repeat(parser *p, const char *at, uint32_t least, uint32_t most, int is_open) {
    group *g = parser_group(p);
    if (!g->has_last) return parser_fail(p, at, "there is nothing to repeat before this");
    if (!is_open && least > most)
        return parser_fail(p, at, "{%u,%u}: the least number is over the most", (unsigned)least, (unsigned)most);
    g->last = builder_repeat(p->b, g->last, least, most, is_open);
    if (p->b->code != GEMEL_E_GRAMMAR) return p->b->code ? builder_failed(p->b, p->e) : GEMEL_OK;
    return parser_fail(p, at, "this repetition makes the grammar larger than %d states or %d edges: repeat less often",
                       STATES_MAX, EDGES_MAX);
}

int parser_chars(parser *p, const char *at, int is_negated) {
    parser_join(p);
    part item = builder_chars(p->b, &p->chars, is_negated);
    p->chars.n = 0;
    if (p->b->code) return builder_failed(p->b, p->e);
    if (item.in == item.out) return parser_fail(p, at, "this class has no character");
    parser_item(p, item);
    return GEMEL_OK;
}
