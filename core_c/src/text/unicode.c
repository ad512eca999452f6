// UTF-8 in and out, and the look-up of classes. Overlong forms, surrogates and codes above U+10FFFF are not UTF-8.
#include "unicode.h"

uint8_t unicode_classes(uint32_t code) {
    if (code >= RUNE_BAD) return 0;
    uint32_t block = code >> 7;
    if (block >= unicode_stage1_size) block = unicode_stage1_size - 1;
    return unicode_stage2[(uint32_t)unicode_stage1[block] << 7 | (code & 127)];
}

static rune rune_bad(uint8_t byte) { return (rune){RUNE_BAD + byte, 1, 0}; }

rune rune_long(const char *at, const char *end) {
    const uint8_t *s = (const uint8_t *)at;
    uint8_t lead = s[0];
    int size = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (!size || end - at < size) return rune_bad(lead);
    uint32_t code = lead & (0x7Fu >> size);
    for (int i = 1; i < size; i++) {
        if ((s[i] & 0xC0) != 0x80) return rune_bad(lead);
        code = code << 6 | (s[i] & 0x3Fu);
    }
    int overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return rune_bad(lead);
    return (rune){code, (uint8_t)size, unicode_classes(code)};
}

int rune_write(uint32_t code, char *out) {
    if (code < 0x80) return out[0] = (char)code, 1;
    if (code >= RUNE_BAD) return out[0] = (char)(code - RUNE_BAD), 1;
    int size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> size) | code);
    return size;
}
