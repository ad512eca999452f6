// Splitting rules of few rows: digits in threes from the right, white space in halves, markers. A group of digits
// depends on how many digits follow. So one pass finds the runs, the next one cuts off what is over, and the last one
// cuts the rest in threes: each run is counted twice, not once per group.
#include <string.h>
#include "pretok.h"

static int is_decimal(rune r) { return (r.classes & U_NUMBER) && (r.classes & U_DECIMAL); }
static int is_newline(rune r) { return r.code == '\n' || r.code == '\r'; }

static rune last_of(const char *at, const char *end) { return rune_at(rune_before(at, end), end); }

// Past the decimal digits at `at`; *n: how many.
static const char *decimals(const char *at, const char *end, size_t *n) {
    *n = 0;
    for (rune r; is_decimal(r = rune_at(at, end)); at += r.size) ++*n;
    return at;
}

static const char *past(const char *at, const char *end, size_t n) {
    while (n--) at += rune_at(at, end).size;
    return at;
}

// ---- Digits --------------------------------------------------------------------------------------------------------

// The runs of \d{1,3}(?=(?:\d{3})*\b): digits that a character of a word, which the set has, does not follow.
size_t next_bounded(const pass *p, const char *at, const char *end) {
    for (const char *run = at; run < end;) {
        size_t n;
        const char *stop = decimals(run, end, &n);
        if (!n) run += rune_at(run, end).size;
        else if (is_in(p->set, rune_at(stop, end))) run = stop;
        else return (size_t)((run > at ? run : stop) - at);
    }
    return (size_t)(end - at);
}

static int counts(const pass *p, rune r) { return p->set ? is_in(p->set, r) : is_decimal(r); }

// Of a piece that is a run of the set or of decimal digits, as its last character shows: what threes leave over.
size_t next_head(const pass *p, const char *at, const char *end) {
    size_t n = 0;
    if (!counts(p, last_of(at, end))) return (size_t)(end - at);
    for (const char *stop = at; stop < end; stop += rune_at(stop, end).size) n++;
    return (size_t)((n % 3 ? past(at, end, n % 3) : end) - at);
}

// Up to the next place that (?=(\d{3})+(?!\d)) finds, but whole threes are one piece.
size_t next_before_threes(const pass *p, const char *at, const char *end) {
    (void)p;
    const char *stop = at;
    while (stop < end) {
        size_t n;
        const char *run = stop;
        stop = decimals(run, end, &n);
        const char *first = past(run, end, n % 3);
        if (n >= 3 && first > at) return (size_t)(first - at);
        if (!n) stop += rune_at(stop, end).size;
    }
    return (size_t)(end - at);
}

// Threes from the left of such a piece; of a bare one, threes of digits that more digits follow.
size_t next_threes(const pass *p, const char *at, const char *end) {
    if (!p->is_bare) return (size_t)((counts(p, last_of(at, end)) ? past(at, end, 3) : end) - at);
    size_t n = 0;
    const char *stop = at;
    for (rune r; n < 4 && is_decimal(r = rune_at(stop, end)); n++) stop += n < 3 ? r.size : 0;
    return (size_t)((n == 4 ? stop : end) - at);
}

// ---- White space ---------------------------------------------------------------------------------------------------

// Of a piece of white space that does not end a line: \s{512}|\s{256}| .. |\s{1}.
size_t next_halves(const pass *p, const char *at, const char *end) {
    enum { LARGEST = 512 };
    (void)p;
    rune last = last_of(at, end);
    if (!(rune_at(at, end).classes & U_SPACE) || !(last.classes & U_SPACE) || is_newline(last))
        return (size_t)(end - at);
    size_t n = 0, size = LARGEST;
    for (const char *stop = at; stop < end && n < LARGEST; stop += rune_at(stop, end).size) n++;
    while (size > n) size /= 2;
    return (size_t)(past(at, end, size) - at);
}

static size_t indent(const char *at, const char *end) {
    if (*at == '\t' || *at == '\n') return 1;
    if (end - at >= 4 && !memcmp(at, "    ", 4)) return 4;
    return end - at >= 2 && !memcmp(at, "  ", 2) ? 2 : 0;
}

// [\t\n]|    |  (four spaces, or two)
size_t next_indent(const pass *p, const char *at, const char *end) {
    (void)p;
    size_t size = indent(at, end);
    if (size) return size;
    const char *stop = at;
    while (stop < end && !indent(stop, end)) stop++;
    return (size_t)(stop - at);
}

// ---- Markers -------------------------------------------------------------------------------------------------------

static int starts_with(const char *at, const char *end, const char *name) {
    size_t size = strlen(name);
    return (size_t)(end - at) >= size && !memcmp(at, name, size);
}

// <sentinel:[0-9]+>|IMGIMG[A-I]{1,4}Z: its size, or 0.
static size_t marker(const char *at, const char *end) {
    if (starts_with(at, end, "<sentinel:")) {
        const char *digits = at + strlen("<sentinel:"), *stop = digits;
        while (stop < end && *stop >= '0' && *stop <= '9') stop++;
        return stop > digits && stop < end && *stop == '>' ? (size_t)(stop + 1 - at) : 0;
    }
    if (!starts_with(at, end, "IMGIMG")) return 0;
    const char *letters = at + strlen("IMGIMG"), *stop = letters;
    while (stop < end && stop - letters < 4 && *stop >= 'A' && *stop <= 'I') stop++;
    return stop > letters && stop < end && *stop == 'Z' ? (size_t)(stop + 1 - at) : 0;
}

size_t next_marker(const pass *p, const char *at, const char *end) {
    (void)p;
    size_t size = marker(at, end);
    if (size) return size;
    const char *stop = at;
    while (stop < end && !marker(stop, end)) stop++;
    return (size_t)(stop - at);
}
