// Opens a tokenizer, and walks text through it: special tokens are cut out first, what lies between goes to the model.
// A call's working memory is its own, so that one tokenizer serves many threads.
#include "array.h"
#include "encoder.h"

enum { TEXT_MAX = 1 << 30, KNOWN_FLAGS = GEMEL_TEXT_BOS_EOS | GEMEL_TEXT_SPECIAL };

// ---- Opening -------------------------------------------------------------------------------------------------------

static int is_name(gguf_span a, const char *name) { return a.size == strlen(name) && !memcmp(a.at, name, a.size); }

// Whether BOS and EOS are added where the file says nothing: as the kind of tokenizer has it, if there is the id.
static void default_flags(tokenizer *t, int add_bos) {
    int32_t *bos = &t->v.role[GEMEL_MODEL_ADD_BOS - GEMEL_MODEL_BOS];
    int32_t *eos = &t->v.role[GEMEL_MODEL_ADD_EOS - GEMEL_MODEL_BOS];
    if (*bos < 0) *bos = add_bos && vocab_role(&t->v, GEMEL_MODEL_BOS) >= 0;
    if (*eos < 0) *eos = 0;
}

static int open_model(tokenizer *t, errors *e) {
    gguf_span model = {"", 0};
    int rc = gguf_get_string(t->v.g, "tokenizer.ggml.model", &model, e);
    if (rc < 0) return rc;
    if (!rc) return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.model is missing: the file has no tokenizer");
    int is_bpe = is_name(model, "gpt2");
    if (!is_bpe && !is_name(model, "llama"))
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.model is '%s'; gpt2 and llama are known here",
                    printable_name(model.at, model.size).text);
    rc = vocab_open(&t->v, t->v.g, e);
    if (rc) return rc;
    int32_t unknown = vocab_role(&t->v, GEMEL_MODEL_UNK);
    int may_stand_in = unknown >= 0 && (!is_bpe || t->v.kind[unknown] == GEMEL_TOKEN_UNKNOWN);
    t->unknown = may_stand_in ? unknown : -1;
    rc = is_bpe ? bpe_open(t, e) : spm_open(t, e);
    if (!rc) default_flags(t, is_bpe ? t->pre->add_bos : 1);
    if (!rc) rc = specials_open(&t->always, &t->v, 0, e);
    if (!rc) rc = specials_open(&t->when_asked, &t->v, 1, e);
    return rc;
}

int tokenizer_open(tokenizer **out, const gguf *g, errors *e) {
    tokenizer *t = array_zero(1, sizeof *t);
    *out = NULL;
    if (!t) return fail(e, GEMEL_E_MEMORY, "no memory for a tokenizer");
    t->v.g = g;
    int rc = open_model(t, e);
    if (rc) tokenizer_close(t);
    else *out = t;
    return rc;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    vocab_close(&t->v);
    merge_table_close(&t->merges);
    specials_close(&t->always);
    specials_close(&t->when_asked);
    free(t);
}

int tokenizer_n_vocab(const tokenizer *t) { return t->v.n; }

int tokenizer_special(const tokenizer *t, int field) {
    return field < GEMEL_MODEL_BOS || field > GEMEL_MODEL_ADD_EOS ? -1 : vocab_role(&t->v, field);
}

static int is_id(const tokenizer *t, int32_t id) { return id >= 0 && id < t->v.n; }
int tokenizer_kind(const tokenizer *t, int32_t id) { return is_id(t, id) ? t->v.kind[id] : GEMEL_E_ARGUMENT; }
int tokenizer_is_eog(const tokenizer *t, int32_t id) { return is_id(t, id) ? t->v.eog[id] : GEMEL_E_ARGUMENT; }

// ---- Text to ids ---------------------------------------------------------------------------------------------------

int encoder_room(encoder *c, size_t n) {
    return array_room((void **)&c->ids, c->n, &c->capacity, c->n + n, sizeof *c->ids) ? 0 : GEMEL_E_MEMORY;
}

void encoder_put_bytes(encoder *c, const char *at, size_t size) {
    const tokenizer *t = c->t;
    size_t known = 0;
    while (known < size && t->byte_id[(uint8_t)at[known]] >= 0) known++;
    if (known == size)
        for (size_t i = 0; i < size; i++) encoder_put(c, t->byte_id[(uint8_t)at[i]]);
    else if (t->unknown >= 0) encoder_put(c, t->unknown);
}

static void put_symbol(encoder *c, int32_t symbol) {
    const tokenizer *t = c->t;
    if (symbol >= 0 && symbol < t->v.n) {
        encoder_put(c, symbol);
    } else if (symbol < 0) {
        char bytes[4];
        encoder_put_bytes(c, bytes, (size_t)rune_write(code_of_symbol(symbol), bytes));
    } else {
        gguf_span part = vocab_text(&t->v, symbol);
        int is_space = part.size == 3 && !memcmp(part.at, SPACE_MARK, 3);
        if (t->pre) bpe_symbol_bytes(c, part);
        else if (is_space) encoder_put_bytes(c, " ", 1);
        else encoder_put_bytes(c, part.at, part.size);
    }
}

int encoder_merge(encoder *c, size_t n) {
    int32_t *symbols = c->ids + c->n;
    int rc = merge_run(&c->t->merges, &c->scratch, symbols, &n);
    if (rc) return rc;
    size_t ready = 0;
    while (ready < n && symbols[ready] >= 0 && symbols[ready] < c->t->v.n) ready++;
    c->n += ready;
    if (ready == n) return 0;
    size_t rest = n - ready;   // these make more ids than they are symbols, over the place where they stand
    int32_t *copy = array_new(rest, sizeof *copy);
    if (!copy) return GEMEL_E_MEMORY;
    memcpy(copy, symbols + ready, rest * sizeof *copy);
    for (size_t i = 0; i < rest; i++) put_symbol(c, copy[i]);
    free(copy);
    return 0;
}

enum { CACHED_MIN = 2, CACHED_MAX = 64 };

static uint64_t word_hash(const char *at, size_t size) {   // of its size, first eight and last eight bytes
    uint64_t head = 0, tail = 0;
    size_t n = size < 8 ? size : 8;
    memcpy(&head, at, n);
    memcpy(&tail, at + size - n, n);
    uint64_t h = (head ^ size * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    h = (h ^ h >> 32 ^ tail) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 29;
}

cached_word *encoder_cached(encoder *c, const char *at, size_t size) {
    if (size < CACHED_MIN || size > CACHED_MAX) return NULL;
    cached_word *kept = &c->cache[(size_t)word_hash(at, size) & c->cache_mask];
    if (kept->size != size || memcmp(c->text + kept->at, at, size) != 0) kept->size = 0;
    return kept;
}

static int encoder_open(encoder *c, const tokenizer *t, const char *text, size_t size) {
    size_t words = 16;
    while (words < 16384 && words < size / 4) words *= 2;
    *c = (encoder){.t = t, .text = text, .cache_mask = words - 1};
    c->cache = array_zero(words, sizeof *c->cache);
    c->word_max = t->v.longest < 2 * size ? t->v.longest : 2 * size;
    c->word = array_new(c->word_max + 4, 1);
    return c->cache && c->word ? encoder_room(c, size / 3 + 16) : GEMEL_E_MEMORY;
}

static void encoder_close(encoder *c) {
    free(c->ids);
    free(c->scratch.memory);
    free(c->cache);
    free(c->word);
}

static int encode_all(encoder *c, const char *at, const char *end, int flags) {
    const tokenizer *t = c->t;
    const specials *wanted = flags & GEMEL_TEXT_SPECIAL ? &t->when_asked : &t->always;
    int prefixed = t->add_space_prefix, rc = 0;
    while (!rc && at < end) {
        size_t size = 0;
        int32_t id = -1;
        const char *stop = specials_next(wanted, at, end, &size, &id);
        if (stop > at) rc = t->pre ? bpe_encode(c, at, stop) : spm_encode(c, at, stop, prefixed);
        if (!rc && stop < end) {
            rc = encoder_room(c, 1);
            if (!rc) encoder_put(c, id);
        }
        at = stop + size;
    }
    return rc;
}

int tokenizer_encode(const tokenizer *t, const char *text, size_t size, int flags, int32_t *ids, size_t capacity) {
    if ((!text && size) || (!ids && capacity) || size > TEXT_MAX || (flags & ~KNOWN_FLAGS)) return GEMEL_E_ARGUMENT;
    int adds_bos = (flags & GEMEL_TEXT_BOS_EOS) && vocab_role(&t->v, GEMEL_MODEL_ADD_BOS);
    int adds_eos = (flags & GEMEL_TEXT_BOS_EOS) && vocab_role(&t->v, GEMEL_MODEL_ADD_EOS);
    encoder c;
    if (!size) text = "";
    int rc = encoder_open(&c, t, text, size);
    if (!rc && adds_bos) encoder_put(&c, vocab_role(&t->v, GEMEL_MODEL_BOS));
    if (!rc) rc = encode_all(&c, text, text + size, flags);
    if (!rc) rc = encoder_room(&c, 1);
    if (!rc && adds_eos) encoder_put(&c, vocab_role(&t->v, GEMEL_MODEL_EOS));
    if (!rc) {
        size_t n = c.n < capacity ? c.n : capacity;
        if (n) memcpy(ids, c.ids, n * sizeof *ids);
        rc = (int)c.n;
    }
    encoder_close(&c);
    return rc;
}

// ---- Ids to text ---------------------------------------------------------------------------------------------------

// The byte of <0xNN>, or -1.
static int byte_token(gguf_span text) {
    int value = 0;
    if (text.size != 6 || memcmp(text.at, "<0x", 3) != 0 || text.at[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char *digit = text.at[i] ? strchr(digits, text.at[i]) : NULL;
        if (!digit) return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

static void put_piece(const tokenizer *t, int32_t id, int flags, byte_sink *out) {
    gguf_span text = vocab_text(&t->v, id);
    int byte = t->v.kind[id] == GEMEL_TOKEN_BYTE ? byte_token(text) : -1;
    if (byte >= 0) {
        sink_byte(out, (char)byte);
        return;
    }
    switch (t->v.kind[id]) {
    case GEMEL_TOKEN_CONTROL:
    case GEMEL_TOKEN_UNKNOWN:
        if (flags & GEMEL_TEXT_SPECIAL) sink_bytes(out, text.at, text.size);
        break;
    case GEMEL_TOKEN_USER_DEFINED: sink_bytes(out, text.at, text.size); break;
    default:
        if (t->pre) bpe_piece(text, out);
        else spm_piece(text, out);
    }
}

// Where encode would have put a space, skip it.
static void put_pieces(const tokenizer *t, const int32_t *ids, size_t n, int flags, byte_sink *out) {
    int drops_space = t->add_space_prefix;
    for (size_t i = 0; i < n && out->size <= INT32_MAX; i++) {
        int kind = t->v.kind[ids[i]], is_text = kind == GEMEL_TOKEN_NORMAL || kind == GEMEL_TOKEN_UNUSED;
        gguf_span text = vocab_text(&t->v, ids[i]);
        if (drops_space && is_text && text.size >= 3 && !memcmp(text.at, SPACE_MARK, 3))
            spm_piece((gguf_span){text.at + 3, text.size - 3}, out);
        else put_piece(t, ids[i], flags, out);
        drops_space = t->add_space_prefix && (kind == GEMEL_TOKEN_CONTROL || kind == GEMEL_TOKEN_USER_DEFINED);
    }
}

int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int flags, char *text, size_t capacity) {
    if ((!ids && n) || (!text && capacity) || (flags & ~GEMEL_TEXT_SPECIAL)) return GEMEL_E_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (!is_id(t, ids[i])) return GEMEL_E_ARGUMENT;
    byte_sink counted = {NULL, 0, 0}, written = {text, 0, capacity};
    put_pieces(t, ids, n, flags, &counted);
    if (counted.size > INT32_MAX) return GEMEL_E_ARGUMENT;
    if (counted.size <= capacity) put_pieces(t, ids, n, flags, &written);
    return (int)counted.size;
}

int tokenizer_piece(const tokenizer *t, int32_t id, int flags, char *text, size_t capacity) {
    if (!is_id(t, id) || (!text && capacity) || (flags & ~GEMEL_TEXT_SPECIAL)) return GEMEL_E_ARGUMENT;
    byte_sink counted = {NULL, 0, 0}, written = {text, 0, capacity};
    put_piece(t, id, flags, &counted);
    if (counted.size > INT32_MAX) return GEMEL_E_ARGUMENT;
    if (counted.size <= capacity) put_piece(t, id, flags, &written);
    return (int)counted.size;
}
