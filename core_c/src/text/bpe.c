// Byte-level BPE ("gpt2"): every byte has a printable character that stands for it (the alphabet), pieces and merges
// are written in those characters, and text is bytes: nothing is unknown to a vocabulary that has all 256.
#include "bpe.h"
#include "char_bpe.h"
#include "merges.h"

// ---- The alphabet: printable Latin-1 stands for itself, the 68 other bytes are U+0100 and on, in their order -------

static int is_printable_byte(int byte) { return (byte > 32 && byte < 127) || (byte > 160 && byte != 173); }

static uint32_t letter_of(uint8_t byte) {
    if (is_printable_byte(byte)) return byte;
    return byte <= 32 ? 256u + byte : byte < 161 ? 256u + 33 + (byte - 127u) : 256u + 67;
}

// The byte that a character stands for; -1: none.
static int byte_of(uint32_t letter) {
    if (letter < 256) return is_printable_byte((int)letter) ? (int)letter : -1;
    uint32_t place = letter - 256;
    return place <= 32 ? (int)place : place < 67 ? (int)(place - 33 + 127) : place == 67 ? 173 : -1;
}

// ---- Opening -------------------------------------------------------------------------------------------------------

static int bpe_begin(struct tokenizer *t, errors *e) {
    gguf_span name = {"default", 7};
    int rc = gguf_get_string(t->v.g, "tokenizer.ggml.pre", &name, e);
    if (rc < 0) return rc;
    t->pre = pretok_find(name.at, name.size);
    if (!t->pre)
        return fail(e, GEMEL_E_UNSUPPORTED,
                    "tokenizer.ggml.pre is '%s': this pre-tokenizer is not supported; if the model splits text like a "
                    "supported one (listed in docs/models.md), override tokenizer.ggml.pre with that name",
                    printable_name(name.at, name.size).text);
    if (t->pre->pieces != PIECES_OF_BYTES) t->model = &char_bpe_model;
    if (!rc)
        warn(t->v.said, "tokenizer.ggml.pre is missing: text is split into words as by \"default\", which may not be "
                        "how this model was trained");
    return 0;
}

static int is_letter(rune r) { return byte_of(r.code) >= 0; }

static int bpe_open(struct tokenizer *t, errors *e) {
    int rc = merges_read(t, is_letter, e);
    for (int byte = 0; !rc && byte < 256; byte++) {
        char letter[4];
        int32_t found = vocab_find(&t->v, letter, (size_t)rune_write(letter_of((uint8_t)byte), letter));
        t->byte_id[byte] = found < t->v.n ? found : -1;
        t->symbol[byte] = found >= 0 ? found : symbol_of_code(RUNE_BAD + (uint32_t)byte);
    }
    return rc;
}

// ---- Text to ids ---------------------------------------------------------------------------------------------------

// The token that is the whole word, or -1.
static int32_t whole_word(encoder *c, const char *at, size_t size) {
    const vocab *v = &c->t->v;
    size_t n = 0;
    for (size_t i = 0; i < size && n <= c->word_max; i++)
        n += (size_t)rune_write(letter_of((uint8_t)at[i]), c->word + n);
    int32_t found = n <= c->word_max ? vocab_find(v, c->word, n) : -1;
    return found < v->n ? found : -1;
}

static int encode_word(encoder *c, const char *at, size_t size) {
    const struct tokenizer *t = c->t;
    cached_word *kept = encoder_cached(c, at, size);
    size_t start = c->n;
    if (kept && kept->size) return encoder_put_cached(c, kept);
    int32_t whole = t->pre->whole == WHOLE_WORDS ? whole_word(c, at, size) : -1;
    if (whole >= 0) {
        encoder_put(c, whole);
    } else {
        size_t n = 0;
        for (size_t i = 0; i < size; i++) {
            int32_t symbol = t->symbol[(uint8_t)at[i]];
            if (symbol >= 0 || t->unknown >= 0) c->ids[c->n + n++] = symbol;   // else it is left out
        }
        int rc = encoder_merge(c, n);
        if (rc) return rc;
    }
    if (kept) encoder_keep(c, kept, at, size, start);
    return 0;
}

static int bpe_encode(encoder *c, const char *at, const char *end, int prefixed) {
    splitter words = split_begin(c->t->pre, at, end);
    (void)prefixed;   // byte-level BPE adds no such space
    while (at < end) {
        size_t size = split_next(&words, at);
        int rc = encoder_room(c, size);
        if (!rc) rc = encode_word(c, at, size);
        if (rc) return rc;
        at += size;
    }
    return 0;
}

// ---- Ids to text ---------------------------------------------------------------------------------------------------

// A text with a character outside of the alphabet was not made of bytes: it is its own text.
static void bpe_piece(gguf_span text, byte_sink *out) {
    const char *end = text.at + text.size;
    size_t start = out->size;
    for (const char *at = text.at; at < end;) {
        rune letter = rune_at(at, end);
        int byte = byte_of(letter.code);
        if (byte < 0) {
            out->size = start;
            sink_bytes(out, text.at, text.size);
            return;
        }
        sink_byte(out, (char)byte);
        at += letter.size;
    }
}

static merge bpe_find_merge(const void *of, int32_t left, int32_t right) {
    const encoder *c = of;
    return merge_table_find(&c->t->merges, left, right);
}

static void bpe_symbol_bytes(encoder *c, gguf_span part) {
    const char *end = part.at + part.size;
    for (const char *at = part.at; at < end;) {
        rune letter = rune_at(at, end);
        char byte = (char)byte_of(letter.code);
        encoder_put_bytes(c, &byte, 1);
        at += letter.size;
    }
}

const text_model bpe_model = {.name = "gpt2",
                              .add_bos = -1,
                              .stands_in_if_unknown = 1,
                              .ids = {.bos = 11, .eos = 11, .unk = -1},
                              .begin = bpe_begin,
                              .open = bpe_open,
                              .encode = bpe_encode,
                              .find_merge = bpe_find_merge,
                              .symbol_bytes = bpe_symbol_bytes,
                              .piece = bpe_piece};
