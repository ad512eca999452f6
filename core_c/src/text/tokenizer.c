// Opens a tokenizer, and runs text through it: special tokens are cut out first, and the text between them goes to the
// text model. Each call has its own working memory, so that many threads can use one tokenizer.
#include "tokenizer.h"
#include "../file/override.h"
#include <stdio.h>
#include "array.h"
#include "bpe.h"
#include "char_bpe.h"
#include "encoder.h"
#include "spm.h"
#include "unigram.h"
#include "wordpiece.h"
#include "world.h"

enum { TEXT_MAX = 1 << 30, KNOWN_FLAGS = GEMEL_TEXT_BOS_EOS | GEMEL_TEXT_SPECIAL };

static const text_model *const models[] = {&bpe_model,     &char_bpe_model,  &spm_model,
                                           &unigram_model, &wordpiece_model, &world_model};

// ---- Opening -------------------------------------------------------------------------------------------------------

static int is_name(gguf_span a, const char *name) { return a.size == strlen(name) && !memcmp(a.at, name, a.size); }

// Whether BOS and EOS are added where the file does not say: as is usual for the kind of tokenizer, if the id exists.
static void default_flags(tokenizer *t, int add_bos, int add_eos) {
    int32_t *bos = &t->v.role[GEMEL_MODEL_ADD_BOS - GEMEL_MODEL_BOS];
    int32_t *eos = &t->v.role[GEMEL_MODEL_ADD_EOS - GEMEL_MODEL_BOS];
    if (*bos < 0) *bos = add_bos > 0 && vocab_role(&t->v, GEMEL_MODEL_BOS) >= 0;
    if (*eos < 0) *eos = add_eos && vocab_role(&t->v, GEMEL_MODEL_EOS) >= 0;
}

static int open_model(tokenizer *t, errors *e) {
    gguf_span model = {"", 0};
    int rc = gguf_get_string(t->v.g, "tokenizer.ggml.model", &model, e);
    if (rc < 0) return rc;
    if (!rc) return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.model is missing: the file has no tokenizer");
    char known[128] = "";
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        size_t at = strlen(known);
        if (is_name(model, models[i]->name)) t->model = models[i];
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", models[i]->name);
    }
    if (!t->model)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.model \"%s\" is not supported (supported: %s)",
                    printable_name(model.at, model.size).text, known);
    vocab_defaults ids = t->model->ids;
    rc = t->model->begin ? t->model->begin(t, e) : 0;
    if (t->pre && t->pre->add_bos < 0) ids.bos = -1;
    if (!rc) rc = vocab_open(&t->v, t->v.g, ids, e);
    if (rc) return rc;
    int32_t unknown = vocab_role(&t->v, GEMEL_MODEL_UNK);
    int is_unknown = unknown >= 0 && t->v.kind[unknown] == GEMEL_TOKEN_UNKNOWN;
    int may_stand_in = t->model->stands_in_if_unknown ? is_unknown : unknown >= 0;
    t->unknown = may_stand_in ? unknown : -1;
    rc = t->model->open(t, e);
    if (!rc) default_flags(t, t->model->add_bos < 0 ? t->pre->add_bos : t->model->add_bos, t->model->add_eos);
    if (!rc) rc = specials_open(&t->always, &t->v, 0, e);
    if (!rc) rc = specials_open(&t->when_asked, &t->v, 1, e);
    if (!rc) rc = strips_open(&t->strips, &t->v, e);
    if (!t->pre && !t->strips) gguf_override_unread(t->v.g, "tokenizer.ggml.pre");
    return rc;
}

int tokenizer_open(tokenizer **out, const gguf *g, warnings *said, errors *e) {
    tokenizer *t = array_zero(1, sizeof *t);
    *out = NULL;
    if (!t) return fail(e, GEMEL_E_MEMORY, "no memory for a tokenizer");
    t->v.g = g;
    t->v.said = said;
    int rc = open_model(t, e);
    t->v.said = NULL;
    if (rc) tokenizer_close(t);
    else *out = t;
    return rc;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    vocab_close(&t->v);
    merge_table_close(&t->merges);
    free(t->rank);
    free(t->strips);
    if (t->model && t->model->close) t->model->close(t);
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

static int encode_all(encoder *c, const char *at, const char *end, int flags) {
    const tokenizer *t = c->t;
    const specials *wanted = flags & GEMEL_TEXT_SPECIAL ? &t->when_asked : &t->always;
    int prefixed = t->add_space_prefix, rc = 0;
    while (!rc && at < end) {
        size_t size = 0;
        int32_t id = -1;
        const char *stop = specials_next(wanted, at, end, &size, &id);
        int strips = t->strips && id >= 0 ? t->strips[id] : 0;
        const char *text_end = strips & STRIPS_BEFORE ? strip_end(at, stop) : stop;
        if (text_end > at) rc = t->model->encode(c, at, text_end, prefixed);
        if (!rc && stop < end) {
            rc = encoder_room(c, 1);
            if (!rc) encoder_put(c, id);
        }
        at = strips & STRIPS_AFTER ? strip_start(stop + size, end) : stop + size;
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
        rc = c.n > INT32_MAX ? GEMEL_E_ARGUMENT : (int)c.n;
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
    default: t->model->piece(text, out);
    }
}

int tokenizer_drops_space(const tokenizer *t, int32_t id) {
    if (!is_id(t, id) || !t->add_space_prefix) return 0;
    int kind = t->v.kind[id], is_text = kind == GEMEL_TOKEN_NORMAL || kind == GEMEL_TOKEN_UNUSED;
    gguf_span text = vocab_text(&t->v, id);
    return is_text && text.size >= 3 && !memcmp(text.at, SPACE_MARK, 3);
}

// Where encode would have put a space, skip it.
static void put_pieces(const tokenizer *t, const int32_t *ids, size_t n, int flags, byte_sink *out) {
    int drops_space = t->add_space_prefix;
    for (size_t i = 0; i < n && out->size <= INT32_MAX; i++) {
        int kind = t->v.kind[ids[i]];
        gguf_span text = vocab_text(&t->v, ids[i]);
        if (drops_space && tokenizer_drops_space(t, ids[i]))
            t->model->piece((gguf_span){text.at + 3, text.size - 3}, out);
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
