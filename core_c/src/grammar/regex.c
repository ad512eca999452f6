//   item     x  .  [a-z]  [^a-z]  \d \D \w \W \s \S  ( )  (?: )  (?<name> )
//   escapes  \t \n \r \f \v \0 \x41 \u0041 \u{1F600} \cA, and \ before punctuation
//   repeat   item ?  *  +  {m}  {m,}  {m,n}, each also with ? behind: an answer is one of the same texts
//   anchors  ^ at the beginning and $ at the end: they change nothing
#include "regex.h"
#include <string.h>
#include "names.h"
#include "parse.h"

typedef struct regex {
    parser p;
    names names;   // of groups
} regex;

static const range DIGITS[] = {{'0', '9'}};
static const range WORDS[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const range SPACES[] = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                               {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                               {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
static const range LINE_ENDS[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static int here(const parser *p) { return p->at < p->end ? (uint8_t)*p->at : -1; }

// Add the set, or all that is not in it, to the class.
static int add_set(parser *p, const range *set, size_t n, int is_negated) {
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        int ok = !is_negated ? ranges_add(&p->chars, set[i].low, set[i].high)
                             : set[i].low == next || ranges_add(&p->chars, next, set[i].low - 1);
        if (!ok) return parser_no_memory(p);
        next = set[i].high + 1;
    }
    return !is_negated || ranges_add(&p->chars, next, 0x10FFFF) ? GEMEL_OK : parser_no_memory(p);
}

#define SET(name) name, sizeof name / sizeof *name

// \d and the like. 1: the set was added; 0: `letter` is another one.
static int add_named(parser *p, char letter) {
    int code;
    switch (letter) {
    case 'd': code = add_set(p, SET(DIGITS), 0); break;
    case 'D': code = add_set(p, SET(DIGITS), 1); break;
    case 'w': code = add_set(p, SET(WORDS), 0); break;
    case 'W': code = add_set(p, SET(WORDS), 1); break;
    case 's': code = add_set(p, SET(SPACES), 0); break;
    case 'S': code = add_set(p, SET(SPACES), 1); break;
    default: return 0;
    }
    return code < 0 ? code : 1;
}

static int read_braced_hex(parser *p, uint32_t *code) {   // behind \u{
    const char *from = p->at, *close = memchr(p->at, '}', (size_t)(p->end - p->at));
    int digits = close ? (int)(close - p->at > 7 ? 7 : close - p->at) : 0;
    if (digits < 1 || digits > 6) return parser_fail(p, from, "\\u{...} needs 1 to 6 hexadecimal digits");
    int rc = parser_hex(p, digits, code);
    p->at++;
    return rc;
}

// The value of the escape \uXXXX at `at`, or -1 if there is no such escape.
static int32_t half_at(const parser *p, const char *at) {
    int32_t value = 0;
    if (p->end - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

// \uD83D\uDE00 is one character.
static int read_u(parser *p, uint32_t *code) {
    if (here(p) == '{') {
        p->at++;
        return read_braced_hex(p, code);
    }
    int32_t high = half_at(p, p->at - 2), low = half_at(p, p->at + 4);
    if (high < 0xD800 || high > 0xDBFF || low < 0xDC00 || low > 0xDFFF) return parser_hex(p, 4, code);
    p->at += 10;
    *code = 0x10000 + ((uint32_t)(high & 0x3FF) << 10 | (uint32_t)(low & 0x3FF));
    return GEMEL_OK;
}

// The character that a backslash before `at` escapes.
static int read_escape(parser *p, const char *from, uint32_t *code) {
    int c = here(p);
    if (c < 0) return parser_fail(p, from, "nothing follows this backslash");
    p->at++;
    switch (c) {
    case 't': *code = '\t'; return GEMEL_OK;
    case 'n': *code = '\n'; return GEMEL_OK;
    case 'r': *code = '\r'; return GEMEL_OK;
    case 'f': *code = '\f'; return GEMEL_OK;
    case 'v': *code = '\v'; return GEMEL_OK;
    case 'x': return parser_hex(p, 2, code);
    case 'u': return read_u(p, code);
    case '0':
        if (here(p) >= '0' && here(p) <= '9') break;
        *code = 0;
        return GEMEL_OK;
    case 'c':
        if (here(p) < 0 || !((*p->at | 32) >= 'a' && (*p->at | 32) <= 'z')) break;
        *code = (uint32_t)(*p->at++ & 31);
        return GEMEL_OK;
    default:
        if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z')) {
            *code = (uint32_t)c;
            return GEMEL_OK;
        }
    }
    if (c >= '1' && c <= '9') return parser_fail(p, from, "back references (\\%c) are not supported", c);
    if (c == 'b' || c == 'B') return parser_fail(p, from, "word boundaries (\\%c) are not supported", c);
    if (c == 'p' || c == 'P') return parser_fail(p, from, "Unicode properties (\\%c{...}) are not supported", c);
    return parser_fail(p, from, "unknown escape");
}

// A character of a class, or a set such as \d, which is added. 1: it was a set.
static int read_member(parser *p, uint32_t *code) {
    const char *from = p->at;
    if (here(p) != '\\') return parser_code(p, code);
    p->at++;
    if (here(p) == 'b') {   // in a class it is a backspace
        p->at++, *code = '\b';
        return GEMEL_OK;
    }
    int is_set = here(p) < 0 ? 0 : add_named(p, *p->at);
    if (is_set) {
        p->at += is_set > 0;
        return is_set;
    }
    return read_escape(p, from, code);
}

static int read_class(parser *p) {
    const char *from = p->at++;
    int is_negated = here(p) == '^';
    p->at += is_negated;
    p->chars.n = 0;
    while (here(p) != ']') {
        const char *at = p->at;
        uint32_t low, high;
        if (here(p) < 0) return parser_fail(p, from, "this class has no closing bracket");
        int rc = read_member(p, &low);
        if (rc < 0) return rc;
        int is_range = here(p) == '-' && p->at + 1 < p->end && p->at[1] != ']';
        if (rc == 1 && is_range) return parser_fail(p, at, "a range can't begin with a set of characters");
        if (rc == 1) continue;
        high = low;
        if (is_range) {
            p->at++;
            rc = read_member(p, &high);
            if (rc == 1) return parser_fail(p, at, "a range can't end with a set of characters");
            if (rc < 0) return rc;
        }
        if (high < low) return parser_fail(p, at, "the range ends before it begins");
        if (!ranges_add(&p->chars, low, high)) return parser_no_memory(p);
    }
    p->at++;
    return parser_chars(p, from, is_negated);
}

static int is_name(char c, int is_first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!is_first && c >= '0' && c <= '9');
}

// Behind (?<
static int read_group_name(regex *r, const char *from) {
    parser *p = &r->p;
    const char *name = p->at;
    uint32_t number;
    while (p->at < p->end && is_name(*p->at, p->at == name)) p->at++;
    size_t size = (size_t)(p->at - name);
    if (!size || here(p) != '>')
        return parser_fail(p, from, "the name of a group is letters, digits and _, without a digit first, and then >");
    p->at++;
    int rc = names_number(&r->names, name, size, &number);
    if (rc == 0) return parser_fail(p, from, "two groups are called %s", printable_name(name, size).text);
    return rc < 0 ? parser_no_memory(p) : GEMEL_OK;
}

static int read_group(regex *r) {
    parser *p = &r->p;
    const char *from = p->at;
    int rc = parser_open_group(p);
    if (rc < 0) return rc;
    p->at++;
    if (here(p) != '?') return GEMEL_OK;
    const char *kind = p->at + 1;
    size_t left = (size_t)(p->end - kind);
    if (left >= 1 && *kind == ':') {
        p->at += 2;
        return GEMEL_OK;
    }
    if (left >= 2 && *kind == '<' && kind[1] != '=' && kind[1] != '!') {
        p->at += 2;
        return read_group_name(r, from);
    }
    if (left >= 1 && (*kind == '=' || *kind == '!' || *kind == '<'))
        return parser_fail(p, from, "look-around is not supported");
    return parser_fail(p, from, "only (...), (?:...) and (?<name>...) are supported");
}

// {m}, {m,} or {m,n}
static int read_braces(parser *p) {
    const char *from = p->at++;
    uint32_t least, most;
    int is_number = parser_number(p, &least), is_open = 0;
    most = least;
    if (is_number && here(p) == ',') p->at++, is_open = !parser_number(p, &most);
    if (!is_number || here(p) != '}') return parser_fail(p, from, "a repetition is {m}, {m,} or {m,n}; a brace is \\{");
    p->at++;
    return parser_repeat(p, from, least, most, is_open);
}

static int read_repeat(parser *p) {
    const char *from = p->at;
    int rc;
    switch (here(p)) {
    case '*': p->at++, rc = parser_repeat(p, from, 0, 0, 1); break;
    case '+': p->at++, rc = parser_repeat(p, from, 1, 1, 1); break;
    case '?': p->at++, rc = parser_repeat(p, from, 0, 1, 0); break;
    default: rc = read_braces(p);
    }
    if (rc < 0) return rc;
    if (here(p) == '?') p->at++;
    int c = here(p);
    if (c == '*' || c == '+' || c == '?' || c == '{')
        return parser_fail(p, p->at, "a repetition can't be repeated: put the first one in a group");
    return GEMEL_OK;
}

static int read_char(parser *p) {
    uint32_t code;
    const char *from = p->at;
    int rc = here(p) == '\\' ? 0 : parser_code(p, &code);
    if (rc < 0) return rc;
    if (p->at == from) {
        p->at++;
        p->chars.n = 0;
        int is_set = here(p) < 0 ? 0 : add_named(p, *p->at);
        if (is_set < 0) return is_set;
        if (is_set) {
            p->at++;
            return parser_chars(p, from, 0);
        }
        rc = read_escape(p, from, &code);
        if (rc < 0) return rc;
    }
    parser_join(p);
    part item = builder_begin(p->b);
    builder_add_code(p->b, &item, code);
    parser_item(p, item);
    return GEMEL_OK;
}

// An anchor reads nothing. It is allowed where it says what is so anyway: at both ends of an alternative of the whole.
static int read_anchor(parser *p) {
    const char *from = p->at++;
    group *g = parser_group(p);
    int is_outside = p->n_groups == 1;
    int is_first = is_outside && !g->has_last && g->tail == g->whole.in;
    int is_last = is_outside && (here(p) < 0 || here(p) == '|');
    if (*from == '^' ? is_first : is_last) return GEMEL_OK;
    return parser_fail(p, from,
                       "%c is supported only at the %s of the expression, which matches the whole answer anyway", *from,
                       *from == '^' ? "beginning" : "end");
}

// One item or sign. Returns 1 at the end.
static int read_next(regex *r) {
    parser *p = &r->p;
    const char *from = p->at;
    switch (here(p)) {
    case -1: return 1;
    case '[': return read_class(p);
    case '(': return read_group(r);
    case ')':
        if (p->n_groups == 1) return parser_fail(p, from, "no parenthesis is open here");
        p->at++;
        parser_item(p, parser_end_group(p));
        return GEMEL_OK;
    case '|': p->at++, parser_next_alternative(p); return GEMEL_OK;
    case '*':
    case '+':
    case '?':
    case '{': return read_repeat(p);
    case '.':
        p->at++, p->chars.n = 0;
        int rc = add_set(p, SET(LINE_ENDS), 1);
        return rc < 0 ? rc : parser_chars(p, from, 0);
    case '^':
    case '$': return read_anchor(p);
    default: return read_char(p);
    }
}

int regex_parse(builder *b, const char *text, size_t size, errors *e) {
    regex r = {.p = {.text = text, .at = text, .end = text + size, .b = b, .e = e}};
    parser *p = &r.p;
    uint32_t root = builder_rule(b, "the expression", 14);
    builder_define(b, root);
    int rc = parser_open_group(p);
    while (rc == 0) rc = b->code ? builder_failed(b, e) : read_next(&r);
    if (rc == 1 && p->n_groups > 1) rc = parser_fail(p, parser_group(p)->at, "this parenthesis is not closed");
    if (rc == 1) {
        part whole = parser_end_group(p);
        builder_skip(b, b->list[root].start, whole.in), builder_skip(b, whole.out, b->list[root].end);
        rc = b->code ? builder_failed(b, e) : GEMEL_OK;
    }
    parser_close(p);
    names_close(&r.names);
    return rc;
}
