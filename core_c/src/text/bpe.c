// Byte-level BPE ("gpt2"): every byte has a printable character that stands for it (the alphabet), pieces and merges
// are written in those characters, and text is bytes: nothing is unknown to a vocabulary that has all 256.
#include "bpe.h"
#include "array.h"

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

// ---- Reading the merges --------------------------------------------------------------------------------------------

// The id or part of one side of a merge. A single letter that has no id becomes a part; other texts must be known.
static int32_t side_of(vocab *v, const char *at, size_t size, size_t index, errors *e) {
    int32_t found = vocab_find(v, at, size);
    if (found >= 0) return found;
    rune letter = rune_at(at, at + size);
    if (letter.size && letter.size == size && byte_of(letter.code) >= 0) return vocab_add_part(v, at, size, e);
    return fail(e, GEMEL_E_FORMAT,
                "tokenizer.ggml.merges[%zu]: '%s' is not a token, a byte or the result of an earlier merge", index,
                printable_name(at, size).text);
}

// "left right": split at the first space after the first byte. The result of a merge need not be a token.
static int read_merge(struct tokenizer *t, gguf_span text, size_t index, char *joined, errors *e) {
    const char *space = text.size < 3 ? NULL : memchr(text.at + 1, ' ', text.size - 2);
    if (!space)
        return fail(e, GEMEL_E_FORMAT,
                    "tokenizer.ggml.merges[%zu] is '%s'; it must be two strings with a space between them", index,
                    printable_name(text.at, text.size).text);
    size_t left_size = (size_t)(space - text.at), right_size = text.size - left_size - 1;
    int32_t left = side_of(&t->v, text.at, left_size, index, e);
    int32_t right = left < 0 ? left : side_of(&t->v, space + 1, right_size, index, e);
    if (right < 0) return right;
    memcpy(joined, text.at, left_size);
    memcpy(joined + left_size, space + 1, right_size);
    int32_t result = vocab_find(&t->v, joined, left_size + right_size);
    if (result < 0) result = vocab_add_part(&t->v, joined, left_size + right_size, e);
    if (result < 0) return result;
    return merge_table_add(&t->merges, left, right, (merge){(int32_t)index, result}, e);
}

static int read_merges(struct tokenizer *t, errors *e) {
    int index;
    size_t n, longest = 0;
    int rc = gguf_get_array(t->v.g, "tokenizer.ggml.merges", GGUF_STRING, &index, &n, e);
    if (rc < 0) return rc;
    if (!rc) return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.merges is missing; tokenizer.ggml.model gpt2 needs it");
    if (n > INT32_MAX / 4)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.merges has %zu items; at most %d are supported", n,
                    INT32_MAX / 4);
    for (size_t i = 0; i < n; i++) {
        size_t size = gguf_array_string(t->v.g, index, i).size;
        if (size > longest) longest = size;
    }
    char *joined = array_new(longest, 1);
    if (!joined) return fail(e, GEMEL_E_MEMORY, "no memory for a merge of %zu bytes", longest);
    rc = 0;
    for (size_t i = 0; !rc && i < n; i++) rc = read_merge(t, gguf_array_string(t->v.g, index, i), i, joined, e);
    free(joined);
    return rc;
}

static int bpe_begin(struct tokenizer *t, errors *e) {
    gguf_span name = {"default", 7};
    int rc = gguf_get_string(t->v.g, "tokenizer.ggml.pre", &name, e);
    if (rc < 0) return rc;
    t->pre = pretok_find(name.at, name.size);
    if (!t->pre)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.pre is '%s': this pre-tokenizer is not supported",
                    printable_name(name.at, name.size).text);
    if (!rc)
        warn(t->v.said, "tokenizer.ggml.pre is missing: text is split into words as by \"default\", which may not be "
                        "how this model was trained");
    return 0;
}

static int bpe_open(struct tokenizer *t, errors *e) {
    int rc = read_merges(t, e);
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
    if (kept && kept->size) return encoder_put_cached(c, kept), 0;
    int32_t whole = t->pre->whole_words ? whole_word(c, at, size) : -1;
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

const text_model bpe_model = {"gpt2",           -1,       1, {11, 11}, bpe_begin, bpe_open, bpe_encode, bpe_find_merge,
                              bpe_symbol_bytes, bpe_piece};
