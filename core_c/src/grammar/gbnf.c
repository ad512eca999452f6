//   rule     name ::= alternatives, up to the end of the line; lines go on inside ( ) and after |
//            name @unique ::= alternatives: each item of a JSON list once
//            name @tree ::= "text" | "text" ...: one of these texts
//            name @others ::= "text" | "text" ...: the text of a JSON string, except these
//   item     "text"  [a-z]  [^a-z]  .  name  ( alternatives )  <[id]>  <token>  !<token>
//   repeat   item ?  *  +  {m}  {m,}  {m,n}
//   comment  # to the end of the line
#include "gbnf.h"
#include <string.h>
#include "../text/array.h"
#include "../text/unicode.h"
#include "names.h"
#include "parse.h"
#include "texts.h"

typedef struct gbnf {
    parser p;
    const tokenizer *t;
    names names;            // of rules
    const char **used_at;   // [n_rules] where a rule was first named
    size_t used_room;
} gbnf;

enum { PLAIN, UNIQUE, TREE, OTHERS };   // kinds of rules
static const char *const marks[] = {"", "@unique", "@tree", "@others"};

// ---- Names ---------------------------------------------------------------------------------------------------------

static int is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// The rule of a name, made when it is new.
static int rule_of(gbnf *g, const char *at, size_t size, uint32_t *out) {
    builder *b = g->p.b;
    int rc = names_number(&g->names, at, size, out);
    if (rc < 0) return parser_no_memory(&g->p);
    if (rc == 0) return GEMEL_OK;
    (void)builder_rule(b, at, size);
    if (b->code) return builder_failed(b, g->p.e);
    if (!array_room((void **)&g->used_at, *out, &g->used_room, *out + 1, sizeof *g->used_at))
        return parser_no_memory(&g->p);
    g->used_at[*out] = at;
    return GEMEL_OK;
}

static size_t name_size(const gbnf *g) {
    const char *at = g->p.at;
    while (at < g->p.end && is_name(*at)) at++;
    return (size_t)(at - g->p.at);
}

// ---- Space ---------------------------------------------------------------------------------------------------------

static void skip_space(gbnf *g, int with_lines) {
    parser *p = &g->p;
    for (; p->at < p->end; p->at++) {
        if (*p->at == '#') {
            while (p->at < p->end && *p->at != '\n' && *p->at != '\r') p->at++;
            if (p->at == p->end) return;
        }
        int is_line = *p->at == '\n' || *p->at == '\r';
        if (is_line ? !with_lines : *p->at != ' ' && *p->at != '\t') return;
    }
}

static char here(const gbnf *g) { return g->p.at < g->p.end ? *g->p.at : 0; }

static int starts(const gbnf *g, const char *text) {
    size_t size = strlen(text);
    return (size_t)(g->p.end - g->p.at) >= size && !memcmp(g->p.at, text, size);
}

// ---- Items ---------------------------------------------------------------------------------------------------------

// A character of a text or a class, which may be escaped.
static int read_code(gbnf *g, uint32_t *code) {
    parser *p = &g->p;
    if (here(g) != '\\') return parser_code(p, code);
    const char *at = p->at;
    char escaped = p->at + 1 < p->end ? p->at[1] : 0;
    p->at += escaped ? 2 : 1;
    switch (escaped) {
    case 'x': return parser_hex(p, 2, code);
    case 'u': return parser_hex(p, 4, code);
    case 'U': return parser_hex(p, 8, code);
    case 't': *code = '\t'; return GEMEL_OK;
    case 'r': *code = '\r'; return GEMEL_OK;
    case 'n': *code = '\n'; return GEMEL_OK;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^': *code = (uint8_t)escaped; return GEMEL_OK;
    default:
        return parser_fail(p, at,
                           "unknown escape: \\x41, \\u0041, \\U00000041, \\t, \\r, \\n, \\\\, \\\", \\[, \\], \\- "
                           "and \\^ are known");
    }
}

static int read_text(gbnf *g) {
    parser *p = &g->p;
    const char *from = p->at++;
    parser_join(p);
    part item = builder_begin(p->b);
    while (here(g) != '"') {
        uint32_t code;
        if (p->at >= p->end) return parser_fail(p, from, "this text has no closing quote");
        int rc = read_code(g, &code);
        if (rc < 0) return rc;
        builder_add_code(p->b, &item, code);
        if (p->b->code) return builder_failed(p->b, p->e);
    }
    p->at++;
    parser_item(p, item);
    return GEMEL_OK;
}

static int read_class(gbnf *g) {
    parser *p = &g->p;
    const char *from = p->at++;
    int is_negated = here(g) == '^';
    p->at += is_negated;
    p->chars.n = 0;
    while (here(g) != ']') {
        uint32_t low, high;
        const char *at = p->at;
        if (p->at >= p->end) return parser_fail(p, from, "this class has no closing bracket");
        int rc = read_code(g, &low);
        high = low;
        if (rc == 0 && here(g) == '-' && p->at + 1 < p->end && p->at[1] != ']') {
            p->at++;
            rc = read_code(g, &high);
        }
        if (rc < 0) return rc;
        if (high < low) return parser_fail(p, at, "the range ends before it begins");
        if (!ranges_add(&p->chars, low, high)) return parser_no_memory(p);
    }
    p->at++;
    return parser_chars(p, from, is_negated);
}

// <[1000]>, <think>: one id.
static int read_token(gbnf *g) {
    parser *p = &g->p;
    const char *from = p->at;
    int is_negated = here(g) == '!';
    p->at += is_negated;
    if (here(g) != '<') return parser_fail(p, p->at, "a < is expected behind !");
    uint32_t id;
    const char *name = p->at, *close = memchr(p->at, '>', (size_t)(p->end - p->at));
    if (starts(g, "<[")) {
        p->at += 2;
        int is_number = parser_number(p, &id);
        if (!is_number || !starts(g, "]>")) return parser_fail(p, from, "an id is written as <[1000]>");
        p->at += 2;
        if (id >= (uint32_t)tokenizer_n_vocab(g->t))
            return parser_fail(p, from, "id %u is not in the vocabulary, which has %d ids", (unsigned)id,
                               tokenizer_n_vocab(g->t));
    } else {
        if (!close) return parser_fail(p, from, "this token has no closing >");
        size_t size = (size_t)(close + 1 - name);
        int32_t ids[2];
        int n = tokenizer_encode(g->t, name, size, GEMEL_TEXT_SPECIAL, ids, 2);
        if (n != 1)
            return parser_fail(p, from, "%s is not one token of this vocabulary: write its text as \"...\"",
                               printable_name(name, size).text);
        id = (uint32_t)ids[0];
        p->at = close + 1;
    }
    parser_join(p);
    parser_item(p, builder_id(p->b, (int32_t)id, is_negated));
    return GEMEL_OK;
}

static int read_braces(gbnf *g, int with_lines) {
    parser *p = &g->p;
    const char *from = p->at++;
    uint32_t least, most;
    int is_open = 0;
    skip_space(g, with_lines);
    if (!parser_number(p, &least)) return parser_fail(p, p->at, "a number is expected: {m}, {m,} or {m,n}");
    most = least;
    skip_space(g, with_lines);
    if (here(g) == ',') {
        p->at++;
        skip_space(g, with_lines);
        is_open = !parser_number(p, &most);
        skip_space(g, with_lines);
    }
    if (here(g) != '}') return parser_fail(p, p->at, "a } is expected: {m}, {m,} or {m,n}");
    p->at++;
    return parser_repeat(p, from, least, most, is_open);
}

static int read_name(gbnf *g) {
    parser *p = &g->p;
    size_t size = name_size(g);
    uint32_t rule;
    int rc = rule_of(g, p->at, size, &rule);
    if (rc < 0) return rc;
    p->at += size;
    parser_join(p);
    parser_item(p, builder_call(p->b, rule));
    return GEMEL_OK;
}

// ---- Rules ---------------------------------------------------------------------------------------------------------

// One item, repetition or sign of a rule's right side. Returns 1 at its end.
static int read_next(gbnf *g) {
    parser *p = &g->p;
    const char *from = p->at;
    int rc, is_nested = p->n_groups > 1;
    switch (here(g)) {
    case '"': rc = read_text(g); break;
    case '[': rc = read_class(g); break;
    case '<':
    case '!': rc = read_token(g); break;
    case '{': rc = read_braces(g, is_nested); break;
    case '*': p->at++, rc = parser_repeat(p, from, 0, 0, 1); break;
    case '+': p->at++, rc = parser_repeat(p, from, 1, 1, 1); break;
    case '?': p->at++, rc = parser_repeat(p, from, 0, 1, 0); break;
    case '.':
        p->at++, p->chars.n = 0;
        rc = ranges_add(&p->chars, 0, 0x10FFFF) ? parser_chars(p, from, 0) : parser_no_memory(p);
        break;
    case '(':
        rc = parser_open_group(p);
        p->at++, is_nested = 1;
        break;
    case ')':
        if (!is_nested) return parser_fail(p, from, "no parenthesis is open here");
        p->at++, rc = GEMEL_OK;
        part whole = parser_end_group(p);
        is_nested = p->n_groups > 1;
        parser_item(p, whole);
        break;
    case '|': p->at++, parser_next_alternative(p), rc = GEMEL_OK, is_nested = 1; break;
    default:
        if (!is_name(here(g))) return 1;
        rc = read_name(g);
    }
    if (rc == 0 && p->b->code) rc = builder_failed(p->b, p->e);
    skip_space(g, is_nested);
    return rc;
}

// The right side of a rule that is a list of texts.
static int read_texts(gbnf *g, texts *list) {
    parser *p = &g->p;
    for (;;) {
        const char *from = p->at;
        if (here(g) != '"') return parser_fail(p, from, "a text is expected: this rule is a list of texts");
        if (!texts_begin(list)) return parser_no_memory(p);
        for (p->at++; here(g) != '"';) {
            uint32_t code;
            uint8_t bytes[4];
            if (p->at >= p->end) return parser_fail(p, from, "this text has no closing quote");
            int rc = read_code(g, &code);
            if (rc < 0) return rc;
            if (!texts_add(list, bytes, (size_t)rune_write(code, (char *)bytes))) return parser_no_memory(p);
        }
        p->at++;
        skip_space(g, 0);
        if (here(g) != '|') return GEMEL_OK;
        p->at++;
        skip_space(g, 1);
    }
}

static int read_list(gbnf *g, uint32_t rule, int is_others) {
    const char *from = g->p.at;
    texts list = {0};
    int rc = read_texts(g, &list);
    if (rc == 0 && !is_others) texts_put(&list, g->p.b, rule);
    if (rc == 0 && is_others && !texts_put_others(&list, g->p.b, rule))
        rc = parser_fail(&g->p, from, "a text of this rule can't be between the quotes of a JSON string");
    texts_close(&list);
    return rc;
}

// The right side of any other rule.
static int read_alternatives(gbnf *g, uint32_t rule) {
    parser *p = &g->p;
    builder *b = p->b;
    int rc = parser_open_group(p);
    while (rc == 0) rc = read_next(g);
    if (rc < 0) return rc;
    if (p->n_groups > 1) return parser_fail(p, parser_group(p)->at, "this parenthesis is not closed");
    part whole = parser_end_group(p);
    builder_skip(b, b->list[rule].start, whole.in), builder_skip(b, whole.out, b->list[rule].end);
    return GEMEL_OK;
}

// The mark behind a rule's name: its kind.
static int read_mark(gbnf *g) {
    int kind = OTHERS;
    while (kind > PLAIN && !starts(g, marks[kind])) kind--;
    g->p.at += strlen(marks[kind]);
    skip_space(g, 0);
    return kind;
}

static int read_rule(gbnf *g) {
    parser *p = &g->p;
    builder *b = p->b;
    const char *name = p->at;
    size_t size = name_size(g);
    uint32_t rule;
    if (!size) return parser_fail(p, p->at, "a rule is expected: name ::= ...");
    int rc = rule_of(g, name, size, &rule);
    if (rc < 0) return rc;
    if (b->list[rule].start)
        return parser_fail(p, name, "rule \"%s\" is defined twice", printable_name(name, size).text);
    builder_define(b, rule);
    p->at += size;
    skip_space(g, 0);
    int kind = read_mark(g);
    if (kind == UNIQUE && b->code == 0) b->list[rule].is_unique = 1;
    if (!starts(g, "::=")) return parser_fail(p, p->at, "::= is expected behind the rule's name");
    p->at += 3;
    skip_space(g, 1);
    rc = kind >= TREE ? read_list(g, rule, kind == OTHERS) : read_alternatives(g, rule);
    if (rc < 0) return rc;
    if (p->at < p->end && here(g) != '\n' && here(g) != '\r')
        return parser_fail(p, p->at, "unexpected %s: an item, | or the end of the line is expected",
                           printable_name(p->at, 1).text);
    skip_space(g, 1);
    return b->code ? builder_failed(b, p->e) : GEMEL_OK;
}

static int check_defined(gbnf *g) {
    const builder *b = g->p.b;
    if (!b->list[0].start) return fail(g->p.e, GEMEL_E_GRAMMAR, "there is no rule \"root\", where a grammar begins");
    for (size_t i = 1; i < b->n_rules; i++)
        if (!b->list[i].start)
            return parser_fail(&g->p, g->used_at[i], "there is no rule \"%s\"",
                               printable_name(b->names[i], b->names_size[i]).text);
    return GEMEL_OK;
}

int gbnf_parse(builder *b, const tokenizer *t, const char *text, size_t size, errors *e) {
    gbnf g = {.p = {.text = text, .at = text, .end = text + size, .b = b, .e = e}, .t = t};
    uint32_t root;
    int rc = rule_of(&g, "root", 4, &root);
    skip_space(&g, 1);
    while (rc == 0 && g.p.at < g.p.end) rc = read_rule(&g);
    if (rc == 0) rc = check_defined(&g);
    parser_close(&g.p);
    names_close(&g.names), free(g.used_at);
    return rc;
}
