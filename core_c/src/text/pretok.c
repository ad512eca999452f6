// The splitting rules. [at, end) is a stretch of text between special tokens; for the lookahead of `\s+(?!\S)` its end
// is the end of the text. Where a tokenizer splits in several passes, each pass sees the stretches that earlier ones
// left: the rules below fold the passes into one by letting a character of an earlier pass count as the end.
#include "pretok.h"
#include <string.h>
#include "unicode.h"

enum { U_WORD = U_LETTER | U_NUMBER, U_NOT_OTHER = U_LETTER | U_NUMBER | U_SPACE };   // other: [^\s\p{L}\p{N}]

static int is_newline(rune r) { return r.code == '\n' || r.code == '\r'; }
static int is_other(rune r, int inside) { return r.size && !(r.classes & (inside | U_NOT_OTHER)); }

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

// 's|'t|'re|'ve|'m|'ll|'d: bytes, 0 when it is none. In any case, `s` also means U+017F, which folds to it.
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
static size_t blanks(const char *at, const char *stop, int ends_text) {
    if (ends_text) return (size_t)(stop - at);
    const char *last = stop - 1;
    while (last > at && ((unsigned char)*last & 0xC0) == 0x80) last--;
    return (size_t)((last > at ? last : stop) - at);
}

// ---- gpt-2, and the rules that cut numbers or punctuation out first ------------------------------------------------

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// where a character for which is_cut says so stands for the end of the text.
static size_t gpt2_word(const char *at, const char *end, int (*is_cut)(rune)) {
    size_t size = contraction(at, end, 0);
    if (size) return size;
    rune first = rune_at(at, end);
    const char *body = at;
    if (first.classes & U_SPACE) {
        rune next = rune_at(at + 1, end);
        int joins = first.code == ' ' && next.size && !(next.classes & U_SPACE) && !(is_cut && is_cut(next));
        if (!joins) {
            const char *stop = run_of(at, end, U_SPACE);
            rune after = rune_at(stop, end);
            return blanks(at, stop, !after.size || (is_cut && is_cut(after)));
        }
        body++;
        first = next;
    }
    if (first.classes & U_WORD) return (size_t)(run_of(body, end, first.classes & U_WORD) - at);
    for (rune r; is_other(r = rune_at(body, end), 0) && !(is_cut && is_cut(r)); body += r.size) {}
    return (size_t)(body - at);
}

static size_t next_gpt2(const pretok *row, const char *at, const char *end) {
    (void)row;
    return gpt2_word(at, end, NULL);
}

static int is_number(rune r) { return r.classes & U_NUMBER; }

// First \p{N}, one by one; then gpt-2 on what lies between.
static size_t next_smollm(const pretok *row, const char *at, const char *end) {
    (void)row;
    rune first = rune_at(at, end);
    return is_number(first) ? first.size : gpt2_word(at, end, is_number);
}

// [\p{P}$+<=>^~|], the first pass of `default`
static int is_default_mark(rune r) {
    return (r.classes & U_PUNCT) || (r.code < 0x80 && r.size && r.code && strchr("$+<=>^~|", (int)r.code));
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int has_three_digits(const char *at, const char *end) {
    return end - at >= 3 && is_digit(at[0]) && is_digit(at[1]) && is_digit(at[2]);
}

// Of four passes, [\p{P}$+<=>^~|]+ then gpt-2 then \p{N}+ then [0-9][0-9][0-9].
static size_t next_default(const pretok *row, const char *at, const char *end) {
    (void)row;
    rune first = rune_at(at, end);
    const char *stop = at;
    if (is_default_mark(first)) {
        for (rune r; (r = rune_at(stop, end)).size && is_default_mark(r); stop += r.size) {}
        return (size_t)(stop - at);
    }
    if (is_number(first)) {
        if (has_three_digits(at, end)) return 3;
        for (rune r; is_number(r = rune_at(stop, end)) && !has_three_digits(stop, end); stop += r.size) {}
        return (size_t)(stop - at);
    }
    if (first.code == ' ' && is_number(rune_at(at + 1, end))) return 1;   // joined, then parted by the third
    return gpt2_word(at, end, is_default_mark);
}

// ---- llama-bpe, qwen2 ----------------------------------------------------------------------------------------------

// ` ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+`, the last alternatives of the newer rules
static size_t other_or_blanks(const char *at, const char *end, int inside, const char *tail) {
    const char *body = at + (*at == ' ' && is_other(rune_at(at + 1, end), inside));
    const char *stop = run_of_other(body, end, inside);
    if (stop > body) return (size_t)(run_of_bytes(stop, end, tail) - at);
    const char *newline = NULL;
    stop = at;
    for (rune r; (r = rune_at(stop, end)).classes & U_SPACE;) {
        stop += r.size;
        if (is_newline(r)) newline = stop;
    }
    if (newline) return (size_t)(newline - at);
    return blanks(at, stop, stop == end);
}

// \p{N}{1,most}
static size_t numbers(const char *at, const char *end, int most) {
    const char *stop = at;
    for (rune r; most-- > 0 && is_number(r = rune_at(stop, end)); stop += r.size) {}
    return (size_t)(stop - at);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[letters]+|\p{N}{1,digits}
// | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// letters: \p{L}, or \p{L}\p{M}, which then are not in [^\s\p{L}\p{N}] either
static size_t next_llama(const pretok *row, const char *at, const char *end) {
    size_t size = contraction(at, end, 1);
    if (size) return size;
    rune first = rune_at(at, end);
    if (is_number(first)) return numbers(at, end, row->digits);
    const char *body = at;
    if (!(first.classes & row->letters) && !is_newline(first)) body += first.size;
    const char *stop = run_of(body, end, row->letters);
    return stop > body ? (size_t)(stop - at) : other_or_blanks(at, end, row->letters, "\r\n");
}

// ---- gpt-4o, tekken: words also end where lower case turns to upper ------------------------------------------------

// high: [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], low: [\p{Ll}\p{Lm}\p{Lo}\p{M}]
static int is_high(rune r) { return (r.classes & (U_LETTER | U_MARK)) && !(r.classes & U_LOWER); }
static int is_low(rune r) { return (r.classes & (U_LETTER | U_MARK)) && !(r.classes & U_UPPER); }

// [high]*[low]+ at `at`: its end, or NULL. Greedy: the high run gives back only what the low run needs to start.
static const char *high_then_low(const char *at, const char *end) {
    const char *both = NULL, *stop = at;   // both: past the last character of the high run that is low too
    rune r;
    for (; is_high(r = rune_at(stop, end)); stop += r.size)
        if (is_low(r)) both = stop + r.size;
    if (!is_low(r)) return both;
    for (; is_low(r); r = rune_at(stop, end)) stop += r.size;
    return stop;
}

// [high]+[low]*
static const char *high_or_none(const char *at, const char *end) {
    const char *stop = at;
    for (rune r; is_high(r = rune_at(stop, end)); stop += r.size) {}
    if (stop == at) return NULL;
    for (rune r; is_low(r = rune_at(stop, end)); stop += r.size) {}
    return stop;
}

// [^\r\n\p{L}\p{N}]?[high]*[low]+C?|[^\r\n\p{L}\p{N}]?[high]+[low]*C?|\p{N}{1,digits}
// | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// C: (?i:'s|'t|'re|'ve|'m|'ll|'d), or nothing
static size_t cased_word(const pretok *row, const char *at, const char *end, int has_contractions) {
    static const char *(*const forms[])(const char *, const char *) = {high_then_low, high_or_none};
    rune first = rune_at(at, end);
    if (is_number(first)) return numbers(at, end, row->digits);
    int has_lead = !(first.classes & U_LETTER) && !is_newline(first);
    for (int form = 0; form < 2; form++) {
        const char *stop = has_lead ? forms[form](at + first.size, end) : NULL;
        if (!stop) stop = forms[form](at, end);
        if (stop) return (size_t)(stop - at) + (has_contractions ? contraction(stop, end, 1) : 0);
    }
    return other_or_blanks(at, end, 0, "\r\n/");
}

static size_t next_gpt4o(const pretok *row, const char *at, const char *end) { return cased_word(row, at, end, 1); }
static size_t next_tekken(const pretok *row, const char *at, const char *end) { return cased_word(row, at, end, 0); }

// ---- The table -----------------------------------------------------------------------------------------------------

static const pretok rows[] = {
    {"default", next_default, 0, 0, 0, 0},
    {"gpt-2", next_gpt2, 0, 0, 0, 0},
    {"phi-2", next_gpt2, 0, 0, 0, 0},
    {"mpt", next_gpt2, 0, 0, 0, 0},
    {"olmo", next_gpt2, 0, 0, 0, 0},
    {"jais", next_gpt2, 0, 0, 0, 0},
    {"trillion", next_gpt2, 0, 0, 0, 0},
    {"gigachat", next_gpt2, 0, 0, 0, 0},
    {"a.x-4.0", next_gpt2, 0, 0, 0, 0},
    {"mellum", next_gpt2, 0, 0, 0, 0},
    {"exaone4", next_gpt2, 0, 0, 0, 0},
    {"granite-docling", next_gpt2, 0, 0, 0, 0},
    {"smollm", next_smollm, 0, 0, 0, 0},
    {"starcoder", next_smollm, 0, 0, 0, 0},
    {"refact", next_smollm, 0, 0, 0, 0},
    {"command-r", next_smollm, 0, 0, 0, 0},
    {"codeshell", next_smollm, 0, 0, 0, 0},
    {"exaone", next_smollm, 0, 0, 0, 0},
    {"minerva-7b", next_smollm, 0, 0, 0, 0},
    {"mellum2", next_smollm, 0, 0, 0, 0},
    {"llama-bpe", next_llama, 3, U_LETTER, 1, 1},
    {"llama-v3", next_llama, 3, U_LETTER, 1, 1},
    {"llama3", next_llama, 3, U_LETTER, 1, 1},
    {"falcon3", next_llama, 3, U_LETTER, 1, 1},
    {"falcon-h1", next_llama, 3, U_LETTER, 1, 1},
    {"pixtral", next_llama, 3, U_LETTER, 1, 1},
    {"lfm2", next_llama, 3, U_LETTER, 1, 1},
    {"midm-2.0", next_llama, 3, U_LETTER, 1, 1},
    {"dbrx", next_llama, 3, U_LETTER, 0, 0},
    {"smaug-bpe", next_llama, 3, U_LETTER, 0, 0},
    {"glm4", next_llama, 3, U_LETTER, 0, 0},
    {"chatglm-bpe", next_llama, 3, U_LETTER, 0, 0},
    {"qwen2", next_llama, 1, U_LETTER, 0, 0},
    {"deepseek-r1-qwen", next_llama, 1, U_LETTER, 0, 0},
    {"stablelm2", next_llama, 1, U_LETTER, 0, 0},
    {"megrez", next_llama, 1, U_LETTER, 0, 0},
    {"hunyuan", next_llama, 1, U_LETTER, 0, 0},
    {"solar-open", next_llama, 1, U_LETTER, 0, 0},
    {"grok-2", next_llama, 1, U_LETTER, 0, 0},
    {"qwen35", next_llama, 1, U_LETTER | U_MARK, 0, 0},
    {"gpt-4o", next_gpt4o, 3, 0, 0, 0},
    {"llama4", next_gpt4o, 3, 0, 0, 0},
    {"kanana2", next_gpt4o, 3, 0, 0, 0},
    {"tekken", next_tekken, 1, 0, 1, 1},
};

const pretok *pretok_find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == size && !memcmp(rows[i].name, name, size)) return &rows[i];
    return NULL;
}
