// A text becomes the longest piece that it begins with, then the longest that goes on, and so on. Pieces are bytes,
// which files write as Python does: \t, \n, \r, \xHH, and \ before a character that means itself.
#include "world.h"
#include "array.h"
#include "trie.h"

enum { PIECE_MAX = 256 };   // bytes of a piece; a longer one is refused

struct world {
    trie pieces;
};

// ---- Pieces --------------------------------------------------------------------------------------------------------

static int digit_of(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

// The byte that a text begins with, and how many characters write it; 0: they write none.
static size_t take_byte(gguf_span text, char *byte) {
    const char *at = text.at;
    *byte = at[0];
    if (at[0] != '\\') return 1;
    if (text.size < 2) return 0;
    *byte = at[1] == 't' ? '\t' : at[1] == 'n' ? '\n' : at[1] == 'r' ? '\r' : at[1];
    if (at[1] != 'x') return 2;
    if (text.size < 4 || digit_of(at[2]) < 0 || digit_of(at[3]) < 0) return 0;
    *byte = (char)(16 * digit_of(at[2]) + digit_of(at[3]));
    return 4;
}

static gguf_span rest_of(gguf_span text, size_t from) { return (gguf_span){text.at + from, text.size - from}; }

static int add_piece(struct tokenizer *t, int32_t id, errors *e) {
    char bytes[PIECE_MAX];
    size_t n = 0, size;
    gguf_span text = vocab_text(&t->v, id);
    for (; text.size && n < PIECE_MAX; text = rest_of(text, size), n++) {
        size = take_byte(text, &bytes[n]);
        if (!size)
            return fail(e, GEMEL_E_FORMAT,
                        "tokenizer.ggml.tokens[%d] has a \\ that writes no byte: after it must be a character, or x "
                        "and two digits of 0-9a-f",
                        id);
    }
    if (text.size)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.tokens[%d] has over %d bytes, which is not supported", id,
                    PIECE_MAX);
    if (n == 1) t->byte_id[(uint8_t)bytes[0]] = id;
    return n ? trie_add(&t->world->pieces, (gguf_span){bytes, n}, id, e) : 0;
}

// ---- The text model ------------------------------------------------------------------------------------------------

static int world_open(struct tokenizer *t, errors *e) {
    int rc = 0;
    t->world = array_zero(1, sizeof *t->world);
    if (!t->world) return fail(e, GEMEL_E_MEMORY, "no memory for a tokenizer");
    for (int byte = 0; byte < 256; byte++) t->byte_id[byte] = -1;
    for (int32_t id = 0; !rc && id < t->v.n; id++)   // those that users defined are texts, which are cut out before
        if (t->v.kind[id] == GEMEL_TOKEN_NORMAL || t->v.kind[id] == GEMEL_TOKEN_UNUSED) rc = add_piece(t, id, e);
    for (int byte = 0; !rc && t->unknown < 0 && byte < 256; byte++)
        if (t->byte_id[byte] < 0)
            rc = fail(e, GEMEL_E_FORMAT,
                      "tokenizer.ggml.tokens has no token of the byte %d, and the file no unknown token", byte);
    return rc;
}

// The longest piece that at[0..n) begins with; its size, 0: there is none.
static size_t longest(const trie *pieces, const char *at, size_t n, int32_t *id) {
    size_t size = 0;
    int32_t node = TRIE_ROOT;
    for (size_t i = 0; i < n && (node = trie_step(pieces, node, (uint8_t)at[i])) >= 0; i++)
        if (pieces->id[node] >= 0) *id = pieces->id[node], size = i + 1;
    return size;
}

static int world_encode(encoder *c, const char *at, const char *end, int prefixed) {
    int rc = 0;
    (void)prefixed;
    while (!rc && at < end) {
        int32_t id = c->t->unknown;
        size_t size = longest(&c->t->world->pieces, at, (size_t)(end - at), &id);
        rc = encoder_room(c, 1);
        if (!rc) encoder_put(c, id);
        at += size ? size : 1;
    }
    return rc;
}

static void world_piece(gguf_span text, byte_sink *out) {
    char byte;
    for (size_t size; text.size; text = rest_of(text, size)) {
        size = take_byte(text, &byte);
        size += size == 0;   // of tokens that no text becomes
        sink_byte(out, byte);
    }
}

static void world_close(struct tokenizer *t) {
    if (t->world) trie_close(&t->world->pieces);
    free(t->world);
}

const text_model world_model = {.name = "rwkv",
                                .ids = {.bos = -1, .eos = -1, .unk = -1},
                                .open = world_open,
                                .encode = world_encode,
                                .piece = world_piece,
                                .close = world_close};
