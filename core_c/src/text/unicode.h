// Unicode for the splitting rules: UTF-8 becomes code points, and a code point becomes eight class bits. Bytes that are
// not UTF-8 are kept: each is a code point above Unicode's last, in no class, so that the rules treat it as an
// unassigned character. The tables are made by core_c/tools/make_unicode.py.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    U_LETTER = 1,             // \p{L}
    U_NUMBER = 2,             // \p{N}
    U_SPACE = 4,              // \s: White_Space
    U_MARK = 8,               // \p{M}
    U_PUNCT = 16,             // \p{P}
    U_SYMBOL = 32,            // \p{S}
    U_UPPER = 64,             // of letters: \p{Lu} \p{Lt}
    U_LOWER = 128,            // of letters: \p{Ll}
    U_DECIMAL = U_UPPER,      // of numbers: \p{Nd}
    U_LETTERLIKE = U_LOWER,   // of numbers: \p{Nl}
};
enum { RUNE_BAD = 0x110000 };   // + the byte: a byte that is not part of a character

extern const uint32_t unicode_stage1_size;
extern const uint8_t unicode_stage1[];
extern const uint8_t unicode_stage2[];   // its first 128 entries are ASCII

typedef struct rune {
    uint32_t code;
    uint8_t size;   // bytes; 0 at the end of the text
    uint8_t classes;
} rune;

uint8_t unicode_classes(uint32_t code);
// The code point that starts at `at`, which is below `end` and not ASCII.
rune rune_long(const char *at, const char *end);
// Write `code` as UTF-8, or as its byte; returns the size, 1..4.
int rune_write(uint32_t code, char *out);

static inline rune rune_at(const char *at, const char *end) {
    if (at == end) return (rune){0, 0, 0};
    uint8_t byte = (uint8_t)*at;
    if (byte < 0x80) return (rune){byte, 1, unicode_stage2[byte]};
    return rune_long(at, end);
}

// The start of the last character, or of the last byte that is part of none; at < end. It looks at most 4 bytes back.
static inline const char *rune_before(const char *at, const char *end) {
    const char *from = end - 1;
    while (from > at && end - from < 4 && ((uint8_t)*from & 0xC0) == 0x80) from--;
    return from + rune_at(from, end).size == end ? from : end - 1;
}
