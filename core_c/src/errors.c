// Failures become one sentence of valid UTF-8 in the caller's buffer; names from foreign files become text that a
// terminal can show.
#include "errors.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Bytes of the character at p, and its code point; 0 when p does not start a well-formed one (RFC 3629).
static size_t utf8_char(const uint8_t *p, size_t left, uint32_t *code) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};   // by size; less would fit a shorter form
    if (left == 0) return 0;
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF8 ? 4 : 0;
    if (size == 0 || size > left) return 0;
    uint32_t value = size == 1 ? p[0] : p[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3Fu);
    }
    if (value < least[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
    *code = value;
    return size;
}

// Length of text[0..size) without a character that the end cuts through.
static size_t whole_chars(const char *text, size_t size) {
    size_t start = size;
    while (start > 0 && size - start < 3 && ((uint8_t)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return size;
    start--;
    uint32_t code;
    uint8_t lead = (uint8_t)text[start];
    return lead >= 0xC0 && utf8_char((const uint8_t *)text + start, size - start, &code) == 0 ? start : size;
}

__attribute__((format(printf, 3, 0))) static void write_sentence(char *text, size_t size, const char *format,
                                                                 va_list arguments) {
    int n = vsnprintf(text, size, format, arguments);
    if (n < 0) text[0] = 0;
    else if ((size_t)n >= size) text[whole_chars(text, size - 1)] = 0;
}

int fail(errors *e, int code, const char *format, ...) {
    if (!e || !e->text || e->size == 0) return code;
    va_list arguments;
    va_start(arguments, format);
    write_sentence(e->text, e->size, format, arguments);
    va_end(arguments);
    return code;
}

void warn(warnings *w, const char *format, ...) {
    if (!w || w->n == WARNINGS_MAX) return;
    va_list arguments;
    va_start(arguments, format);
    write_sentence(w->text[w->n], sizeof *w->text, format, arguments);
    va_end(arguments);
    w->n++;
}

// Control characters, and those that reorder or hide the text around them.
static int is_unprintable(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c & 0xFFFE) == 0xFFFE;
}

printable printable_name(const char *at, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t *p = (const uint8_t *)at;
    printable out;
    size_t i = 0, n = 0;
    while (i < size) {
        uint32_t code = 0;
        size_t step = utf8_char(p + i, size - i, &code);
        int escaped = step == 0 || is_unprintable(code);
        if (step == 0) step = 1;
        if (i + step > 64) break;
        for (size_t j = i; j < i + step; j++) {
            if (escaped) out.text[n++] = '\\', out.text[n++] = 'x', out.text[n++] = digits[p[j] >> 4];
            out.text[n++] = escaped ? digits[p[j] & 15] : (char)p[j];
        }
        i += step;
    }
    memcpy(out.text + n, i < size ? "..." : "", i < size ? 4 : 1);   // at most 4 * 64 + 4 bytes
    return out;
}
