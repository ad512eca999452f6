// The splitting rules. [at, end) is a stretch of text between special tokens, or a piece of it that an earlier pass
// cut; for the lookahead of `\s+(?!\S)` its end is the end of the text.
#include "pretok.h"
#include <string.h>

enum { U_WORD = U_LETTER | U_NUMBER, U_NOT_OTHER = U_LETTER | U_NUMBER | U_SPACE };   // other: [^\s\p{L}\p{N}]

static int is_newline(rune r) { return r.code == '\n' || r.code == '\r'; }
static int is_number(rune r) { return r.classes & U_NUMBER; }
static int is_other(rune r, int inside) { return r.size && !(r.classes & (inside | U_NOT_OTHER)); }

int is_in(const char_set *set, rune r) {
    if (!r.size) return 0;
    size_t low = 0, high = set->n_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < r.code) low = middle + 1;
        else high = middle;
    }
    int in_range = low < set->n_ranges && set->ranges[low].first <= r.code;
    return (in_range || (r.classes & set->classes)) != set->all_but;
}

// Past the run of characters that have one of the classes.
static const char *run_of(const char *at, const char *end, int classes) {
    for (rune r; (r = rune_at(at, end)).classes & classes; at += r.size) {}
    return at;
}

static const char *run_of_other(const char *at, const char *end, int inside) {
    for (rune r; is_other(r = rune_at(at, end), inside); at += r.size) {}
    return at;
}

static const char *run_of_bytes(const char *at, const char *end, const char *bytes) {
    while (at < end && *at && strchr(bytes, *at)) at++;
    return at;
}

static int byte_is(const char *at, const char *end, char lower, int any_case) {
    return at < end && (*at == lower || (any_case && *at == (char)(lower - 32)));
}

// 's|'t|'re|'ve|'m|'ll|'d: bytes, or 0. With either case, `s` also means U+017F, which folds to it.
static size_t contraction(const char *at, const char *end, int any_case) {
    static const char one[] = "stmd", two[][3] = {"re", "ve", "ll"};
    if (at == end || *at != '\'') return 0;
    for (int i = 0; i < 4; i++)
        if (byte_is(at + 1, end, one[i], any_case)) return 2;
    if (any_case && end - at >= 3 && !memcmp(at + 1, "\xC5\xBF", 2)) return 3;
    for (int i = 0; i < 3; i++)
        if (byte_is(at + 1, end, two[i][0], any_case) && byte_is(at + 2, end, two[i][1], any_case)) return 3;
    return 0;
}

// \s+(?!\S)|\s+ where `stop` is the end of the run of white space at `at`: all of the run when it ends the text, else
// all but its last character, which is left to the word that follows, unless there is no other.
static size_t blanks(const char *at, const char *stop, const char *end) {
    if (stop == end) return (size_t)(stop - at);
    const char *last = stop - 1;
    while (last > at && ((unsigned char)*last & 0xC0) == 0x80) last--;
    return (size_t)((last > at ? last : stop) - at);
}

// \s*[\r\n]+|\s+(?!\S)|\s+
static size_t lines_or_blanks(const char *at, const char *end) {
    const char *newline = NULL, *stop = at;
    for (rune r; (r = rune_at(stop, end)).classes & U_SPACE;) {
        stop += r.size;
        if (is_newline(r)) newline = stop;
    }
    return newline ? (size_t)(newline - at) : blanks(at, stop, end);
}

// ---- Runs of characters of a set -----------------------------------------------------------------------------------

// [lead]?[set]{least,most}: its end, or NULL.
static const char *run_end(const pass *p, const char *at, const char *end) {
    rune first = rune_at(at, end);
    if (p->lead && is_in(p->lead, first) && is_in(p->set, rune_at(at + first.size, end))) at += first.size;
    int n = 0;
    for (rune r; (!p->most || n < p->most) && is_in(p->set, r = rune_at(at, end)); at += r.size) n++;
    return n && n >= p->least ? at : NULL;
}

size_t next_run(const pass *p, const char *at, const char *end) {
    const char *stop = run_end(p, at, end);
    if (!stop)
        for (stop = at; stop < end && !run_end(p, stop, end);) stop += rune_at(stop, end).size;
    return (size_t)(stop - at);
}

// \s+$
size_t next_last_blanks(const pass *p, const char *at, const char *end) {
    (void)p;
    const char *tail = at;   // where white space that may be the last begins
    for (const char *stop = at; stop < end;) {
        rune r = rune_at(stop, end);
        stop += r.size;
        if (!(r.classes & U_SPACE)) tail = stop;
    }
    return (size_t)((tail > at ? tail : end) - at);
}

// ---- gpt-2 ---------------------------------------------------------------------------------------------------------

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t next_gpt2(const pass *p, const char *at, const char *end) {
    (void)p;
    size_t size = contraction(at, end, 0);
    if (size) return size;
    rune first = rune_at(at, end);
    const char *body = at;
    if (first.classes & U_SPACE) {
        rune next = rune_at(at + 1, end);
        if (first.code != ' ' || !next.size || (next.classes & U_SPACE))
            return blanks(at, run_of(at, end, U_SPACE), end);
        body++;
        first = next;
    }
    if (first.classes & U_WORD) return (size_t)(run_of(body, end, first.classes & U_WORD) - at);
    return (size_t)(run_of_other(body, end, 0) - at);
}

// ---- llama-bpe, qwen2 ----------------------------------------------------------------------------------------------

// ` ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+`, the last alternatives of the newer rules
static size_t other_or_blanks(const char *at, const char *end, int inside, const char *tail) {
    const char *body = at + (*at == ' ' && is_other(rune_at(at + 1, end), inside));
    const char *stop = run_of_other(body, end, inside);
    return stop > body ? (size_t)(run_of_bytes(stop, end, tail) - at) : lines_or_blanks(at, end);
}

// \p{N}{1,most}
static size_t numbers(const char *at, const char *end, int most) {
    const char *stop = at;
    rune r;
    for (int n = 0; (!most || n < most) && is_number(r = rune_at(stop, end)); n++) stop += r.size;
    return (size_t)(stop - at);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[letters]+|\p{N}{1,most}
// | ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+
// letters: \p{L}, or \p{L}\p{M}, which then are not in [^\s\p{L}\p{N}] either
size_t next_llama(const pass *p, const char *at, const char *end) {
    size_t size = p->is_bare ? 0 : contraction(at, end, 1);
    if (size) return size;
    rune first = rune_at(at, end);
    if (is_number(first)) return numbers(at, end, p->most);
    const char *body = at;
    if (!(first.classes & p->letters) && !is_newline(first)) body += first.size;
    const char *stop = run_of(body, end, p->letters);
    return stop > body ? (size_t)(stop - at) : other_or_blanks(at, end, p->letters, p->tail);
}

// \p{L}\p{M}* and more of it, joined or after a space
static const char *phrase_end(const char *at, const char *end) {
    for (rune r; (r = rune_at(at, end)).classes & U_LETTER;) {
        at = run_of(at + r.size, end, U_MARK);
        if (at < end && *at == ' ' && (rune_at(at + 1, end).classes & U_LETTER)) at++;
    }
    return at;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}
// | ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+
size_t next_phrases(const pass *p, const char *at, const char *end) {
    (void)p;
    size_t size = contraction(at, end, 1);
    if (size) return size;
    rune first = rune_at(at, end);
    if (is_number(first)) return first.size;
    const char *body = at;
    if (!(first.classes & U_LETTER) && !is_newline(first)) body += first.size;
    const char *stop = phrase_end(body, end);
    if (stop > body) return (size_t)(stop - at);
    body = at + (*at == ' ');
    stop = run_of_other(body, end, 0);
    if (stop == body) return lines_or_blanks(at, end);
    return (size_t)(stop - at) + is_newline(rune_at(stop, end));
}

// ---- gpt-4o, tekken, kimi-k2: words also end where lower case turns to upper ---------------------------------------

// high: [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], low: [\p{Ll}\p{Lm}\p{Lo}\p{M}], both without the characters of `apart`
static int is_cased(rune r, int other_case, const char_set *apart) {
    return (r.classes & (U_LETTER | U_MARK)) && !(r.classes & other_case) && !(apart && is_in(apart, r));
}
static int is_high(rune r, const char_set *apart) { return is_cased(r, U_LOWER, apart); }
static int is_low(rune r, const char_set *apart) { return is_cased(r, U_UPPER, apart); }

// [high]*[low]+ at `at`: its end, or NULL. Greedy: the high run gives back only what the low run needs to start.
static const char *high_then_low(const char *at, const char *end, const char_set *apart) {
    const char *both = NULL, *stop = at;   // both: past the last character of the high run that is low too
    rune r;
    for (; is_high(r = rune_at(stop, end), apart); stop += r.size)
        if (is_low(r, apart)) both = stop + r.size;
    if (!is_low(r, apart)) return both;
    for (; is_low(r, apart); r = rune_at(stop, end)) stop += r.size;
    return stop;
}

// [high]+[low]*
static const char *high_or_none(const char *at, const char *end, const char_set *apart) {
    const char *stop = at;
    for (rune r; is_high(r = rune_at(stop, end), apart); stop += r.size) {}
    if (stop == at) return NULL;
    for (rune r; is_low(r = rune_at(stop, end), apart); stop += r.size) {}
    return stop;
}

// [set]+|[^\r\n\p{L}\p{N}]?[high]*[low]+C?|[^\r\n\p{L}\p{N}]?[high]+[low]*C?|\p{N}{1,most}
// | ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+
// C: (?i:'s|'t|'re|'ve|'m|'ll|'d), or nothing where words are bare; no set: none
size_t next_cased(const pass *p, const char *at, const char *end) {
    static const char *(*const forms[])(const char *, const char *, const char_set *) = {high_then_low, high_or_none};
    const char *stop = at;
    for (rune r; p->set && is_in(p->set, r = rune_at(stop, end)); stop += r.size) {}
    if (stop > at) return (size_t)(stop - at);
    rune first = rune_at(at, end);
    if (is_number(first)) return numbers(at, end, p->most);
    int has_lead = !(first.classes & U_LETTER) && !is_newline(first);
    for (int form = 0; form < 2; form++) {
        stop = has_lead ? forms[form](at + first.size, end, p->set) : NULL;
        if (!stop) stop = forms[form](at, end, p->set);
        if (stop) return (size_t)(stop - at) + (p->is_bare ? 0 : contraction(stop, end, 1));
    }
    return other_or_blanks(at, end, 0, p->tail);
}

// ---- deepseek-v3 ---------------------------------------------------------------------------------------------------

static int is_ascii_letter(const char *at, const char *end) {
    return at < end && (*at | 32) >= 'a' && (*at | 32) <= 'z';
}

// A match at `at`: its end, or NULL.
static const char *deepseek_end(const pass *p, const char *at, const char *end) {
    enum { WORD = U_LETTER | U_MARK, SIGN = U_PUNCT | U_SYMBOL };
    rune first = rune_at(at, end);
    if (first.code < 128 && (first.classes & SIGN) && is_ascii_letter(at + 1, end)) {
        while (is_ascii_letter(++at, end)) {}
        return at;
    }
    if (first.classes &WORD) return run_of(at, end, WORD);
    if (!(first.classes & SIGN) && !is_newline(first)) {
        const char *stop = run_of(at + first.size, end, WORD);
        if (stop > at + first.size) return stop;
    }
    const char *stop = run_of(at + (*at == ' '), end, SIGN);
    if (stop > at + (*at == ' ')) return run_of_bytes(stop, end, p->tail);
    if (!(first.classes & U_SPACE)) return NULL;
    if (!p->is_line) return at + lines_or_blanks(at, end);
    return at + (is_newline(first) ? 1 : blanks(at, run_of(at, end, U_SPACE), end));
}

// [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[tail]*|B|\s+(?!\S)|\s+
// B: \s*[\r\n]+, or [\r\n] where a line break is a word
size_t next_deepseek(const pass *p, const char *at, const char *end) {
    const char *stop = deepseek_end(p, at, end);
    if (!stop)
        for (stop = at; stop < end && !deepseek_end(p, stop, end);) stop += rune_at(stop, end).size;
    return (size_t)(stop - at);
}

// ---- A walk through a text -----------------------------------------------------------------------------------------

splitter split_begin(const pretok *row, const char *at, const char *end) {
    splitter s = {row->passes, 0, {end}};
    while (row->passes[s.n].next) s.ends[++s.n] = at;
    return s;
}

size_t split_next(splitter *s, const char *at) {
    int i = 0;
    while (i < s->n && s->ends[i + 1] > at) i++;   // the passes whose pieces go on
    for (; i < s->n; i++) s->ends[i + 1] = at + s->passes[i].next(&s->passes[i], at, s->ends[i]);
    return (size_t)(s->ends[s->n] - at);
}
