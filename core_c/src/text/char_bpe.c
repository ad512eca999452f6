// BPE over characters ("gemma4"): as byte-level BPE it has a table of merges, as SentencePiece its pieces are text, in
// which U+2581 is a space, and <0xNN> stand for what no piece spells.
#include "char_bpe.h"
#include "merges.h"
#include "spaces.h"

static int is_letter(rune r) { return r.code < RUNE_BAD; }

// Only "gemma4" comes here: for "gpt2" the rule is known.
static int char_bpe_begin(struct tokenizer *t, errors *e) {
    (void)e;
    t->pre = pretok_find("gemma4", 6);
    return 0;
}

// Files were published that say no, though models of such a rule were trained with BOS; a host that says no means it.
static void want_bos(struct tokenizer *t) {
    int32_t *adds = &t->v.role[GEMEL_MODEL_ADD_BOS - GEMEL_MODEL_BOS];
    if (!t->pre->add_bos || *adds || vocab_role(&t->v, GEMEL_MODEL_BOS) < 0) return;
    if (gguf_is_given(t->v.g, "tokenizer.ggml.add_bos_token")) return;
    *adds = 1;
    warn(t->v.said, "tokenizer.ggml.add_bos_token is false, but models with the pre-tokenizer %s need it: BOS is added",
         t->pre->name);
}

static int char_bpe_open(struct tokenizer *t, errors *e) {
    int rc = merges_read(t, is_letter, e);
    if (!rc) rc = read_byte_tokens(t, 0, e);
    if (rc) return rc;
    for (int32_t id = 0; id < t->v.n; id++)
        if (kind_is_plain(t->v.kind[id])) note_spaces(t, vocab_text(&t->v, id));
    for (int32_t part = 0; part < t->v.n_parts; part++) note_spaces(t, vocab_text(&t->v, t->v.n + part));
    note_symbols(t, t->pre->pieces == PIECES_WITH_MARKS);
    want_bos(t);
    return 0;
}

static int is_breaks(const char *at, const char *end) {
    while (at < end && *at == '\n') at++;
    return at == end;
}

// A line, a run of line breaks, or a part of a line that merges within itself.
static int encode_word(encoder *c, const char *at, const char *end) {
    const struct tokenizer *t = c->t;
    size_t start = c->n, n = 0;
    int rc = encoder_room(c, (size_t)(end - at));
    if (rc) return rc;
    cached_word *kept = encoder_cached(c, at, (size_t)(end - at));
    if (kept && kept->size) return encoder_put_cached(c, kept);
    int32_t whole =
        t->pre->whole == WHOLE_BREAKS && is_breaks(at, end) ? vocab_find(&t->v, at, (size_t)(end - at)) : -1;
    if (whole >= 0 && whole < t->v.n) {
        encoder_put(c, whole);
    } else {
        for (const char *from = at; from < end; n++) {
            rune r = rune_at(from, end);
            c->ids[c->n + n] = symbol_of(t, from, r);
            from += r.size;
        }
        rc = encoder_merge(c, n);
    }
    if (!rc && kept) encoder_keep(c, kept, at, (size_t)(end - at), start);
    return rc;
}

static int char_bpe_encode(encoder *c, const char *at, const char *end, int prefixed) {
    splitter words = split_begin(c->t->pre, at, end);
    (void)prefixed;   // such a file adds no space
    while (at < end) {
        const char *stop = at + split_next(&words, at);
        while (at < stop) {
            const char *part = word_end(c->t, at, stop);
            int rc = encode_word(c, at, part);
            if (rc) return rc;
            at = part;
        }
    }
    return 0;
}

static merge char_bpe_find_merge(const void *of, int32_t left, int32_t right) {
    const encoder *c = of;
    return merge_table_find(&c->t->merges, left, right);
}

static void char_bpe_symbol_bytes(encoder *c, gguf_span part) { encoder_put_bytes(c, part.at, part.size); }

const text_model char_bpe_model = {.name = "gemma4",
                                   .add_bos = -1,
                                   .ids = {.bos = -1, .eos = -1, .unk = -1},
                                   .begin = char_bpe_begin,
                                   .open = char_bpe_open,
                                   .encode = char_bpe_encode,
                                   .find_merge = char_bpe_find_merge,
                                   .symbol_bytes = char_bpe_symbol_bytes,
                                   .piece = marked_piece};
