// A text is cut before spaces where no piece spans the cut, so that words can be cached.
#include "spaces.h"

int read_byte_tokens(struct tokenizer *t, int must, errors *e) {
    int missing = 0;
    for (int byte = 0; byte < 256; byte++) {
        static const char digits[] = "0123456789ABCDEF";
        char name[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        int32_t id = vocab_find_marker(&t->v, name, sizeof name);
        if (id < 0) id = vocab_find(&t->v, name, sizeof name);
        t->byte_id[byte] = id < t->v.n ? id : -1;
        missing += t->byte_id[byte] < 0;
    }
    for (int32_t id = 0; t->unknown < 0 && id < t->v.n; id++)
        if (t->v.kind[id] == GEMEL_TOKEN_UNKNOWN) t->unknown = id;
    if (must && missing && t->unknown < 0)
        return fail(e, GEMEL_E_FORMAT,
                    "tokenizer.ggml.tokens lacks %d of the byte tokens <0x00> to <0xFF>, and there is no unknown token",
                    missing);
    return 0;
}

void note_spaces(struct tokenizer *t, gguf_span piece) {
    const char *end = piece.at + piece.size, *at = piece.at + 1;
    if (!piece.size) return;
    for (; at < end && (at = memchr(at, SPACE_MARK[0], (size_t)(end - at))); at++) {
        int is_space = end - at >= 3 && !memcmp(at, SPACE_MARK, 3);
        int follows_space = at - piece.at >= 3 && !memcmp(at - 3, SPACE_MARK, 3);
        if (is_space && !follows_space) t->joins_space[(uint8_t)at[-1]] = 1;
    }
}

static int32_t symbol_of_text(const struct tokenizer *t, const char *at, rune r) {
    int32_t found = vocab_find(&t->v, at, r.size);
    return found >= 0 ? found : symbol_of_code(r.code);
}

int32_t symbol_of(const struct tokenizer *t, const char *at, rune r) {
    return r.code < 128 ? t->symbol[r.code] : symbol_of_text(t, at, r);
}

void note_symbols(struct tokenizer *t, int marks) {
    for (int code = 0; code < 128; code++) {
        char ascii = (char)code;
        t->symbol[code] = symbol_of_text(t, &ascii, (rune){(uint32_t)code, 1, 0});
    }
    if (!marks) return;
    int32_t mark = vocab_find(&t->v, SPACE_MARK, 3);
    t->symbol[' '] = mark >= 0 ? mark : symbol_of_code(' ');
}

const char *word_end(const struct tokenizer *t, const char *at, const char *end) {
    for (const char *space = at; (space = memchr(space, ' ', (size_t)(end - space))); space++) {
        if (space == at || space[-1] == ' ' || t->joins_space[(uint8_t)space[-1]]) continue;
        if (space - at >= 3 && !memcmp(space - 3, SPACE_MARK, 3)) continue;
        return space;
    }
    return end;
}

void marked_piece(gguf_span text, byte_sink *out) {
    for (size_t i = 0; i < text.size;) {
        int is_space = text.size - i >= 3 && !memcmp(text.at + i, SPACE_MARK, 3);
        sink_byte(out, is_space ? ' ' : text.at[i]);
        i += is_space ? 3 : 1;
    }
}
