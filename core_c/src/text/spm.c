// SentencePiece BPE ("llama"): text is characters, a space is U+2581, and two neighbours merge when their
// concatenation is a piece, the best score first. Pairs are looked up by their text: a table of all pairs takes longer
// to make than most texts take to encode (Gemma's 262,144 pieces can be split in half a million ways).
#include "spm.h"
#include "array.h"
#include "spaces.h"

enum { PIECE_MAX = 256 };   // bytes of a piece that has more than one character; a longer one is refused

typedef struct scored {
    double score;
    int32_t id;
} scored;

static int best_first(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

// Ids by score; scores[v->n].
static int read_scores(const vocab *v, scored *scores, errors *e) {
    int index, is_sorted = 1, rc = vocab_scores(v, "llama", &index, e);
    if (rc) return rc;
    for (int32_t id = 0; id < v->n; id++) {
        scores[id] = (scored){gguf_array_number(v->g, index, (size_t)id), id};
        is_sorted &= !id || scores[id - 1].score >= scores[id].score;
    }
    if (!is_sorted) qsort(scores, (size_t)v->n, sizeof *scores, best_first);
    return 0;
}

static int read_ranks(struct tokenizer *t, errors *e) {
    scored *scores = array_new((size_t)t->v.n, sizeof *scores);
    t->rank = array_new((size_t)t->v.n, sizeof *t->rank);
    int rc = scores && t->rank ? 0 : fail(e, GEMEL_E_MEMORY, "no memory for %d scores", t->v.n);
    if (!rc) rc = read_scores(&t->v, scores, e);
    for (int32_t i = 0, rank = 0; !rc && i < t->v.n; i++) {
        if (i && scores[i].score != scores[i - 1].score) rank = i;
        t->rank[scores[i].id] = rank;
    }
    free(scores);
    return rc;
}

static int read_pieces(struct tokenizer *t, errors *e) {
    for (int32_t id = 0; id < t->v.n; id++) {
        gguf_span text = vocab_text(&t->v, id);
        if (!kind_is_plain(t->v.kind[id]) || !text.size) continue;
        if (text.size > PIECE_MAX && rune_at(text.at, text.at + text.size).size < text.size)
            return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.tokens[%d] has %zu bytes; at most %d are supported", id,
                        text.size, PIECE_MAX);
        note_spaces(t, text);
    }
    return 0;
}

static int spm_open(struct tokenizer *t, errors *e) {
    t->add_space_prefix = 1;
    int rc = gguf_get_bool(t->v.g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix, e);
    if (rc >= 0) rc = read_ranks(t, e);
    if (!rc) rc = read_pieces(t, e);
    if (!rc) rc = read_byte_tokens(t, 1, e);
    if (!rc) note_symbols(t, 1);
    return rc;
}

// ---- Text to ids ---------------------------------------------------------------------------------------------------

// The text of a symbol; `room` is for the character of one without an id.
static gguf_span text_of(const struct tokenizer *t, int32_t symbol, char room[4]) {
    if (symbol >= 0) return vocab_text(&t->v, symbol);
    uint32_t code = code_of_symbol(symbol);
    if (code == ' ') return (gguf_span){SPACE_MARK, 3};
    return (gguf_span){room, (size_t)rune_write(code, room)};
}

static merge spm_find_merge(const void *of, int32_t left, int32_t right) {
    const encoder *c = of;
    size_t hash =
        (size_t)(((uint64_t)(uint32_t)left * 0x9E3779B97F4A7C15u ^ (uint32_t)right) * 0xD6E8FEB86659FD93u >> 32);
    cached_pair *kept = &c->pairs[hash & c->pairs_mask];
    if (kept->is_set && kept->left == left && kept->right == right) return kept->value;
    char rooms[2][4];
    int32_t found = vocab_find_joined(&c->t->v, text_of(c->t, left, rooms[0]), text_of(c->t, right, rooms[1]));
    merge value = found < 0 ? (merge){-1, -1} : (merge){c->t->rank[found], found};
    *kept = (cached_pair){left, right, value, 1};
    return value;
}

static int encode_word(encoder *c, const char *at, size_t size, int prefixed) {
    const struct tokenizer *t = c->t;
    const char *end = at + size;
    size_t start = c->n, n = 0;
    int rc = encoder_room(c, size + 1);
    cached_word *kept = rc || prefixed ? NULL : encoder_cached(c, at, size);
    if (rc) return rc;
    if (kept && kept->size) return encoder_put_cached(c, kept);
    if (prefixed) c->ids[c->n + n++] = t->symbol[' '];
    for (const char *from = at; from < end;) {
        rune r = rune_at(from, end);
        c->ids[c->n + n++] = symbol_of(t, from, r);
        from += r.size;
    }
    rc = encoder_merge(c, n);
    if (!rc && kept) encoder_keep(c, kept, at, size, start);
    return rc;
}

static int spm_encode(encoder *c, const char *at, const char *end, int prefixed) {
    for (int rc; at < end; prefixed = 0) {
        const char *stop = word_end(c->t, at, end);
        rc = encode_word(c, at, (size_t)(stop - at), prefixed);
        if (rc) return rc;
        at = stop;
    }
    return 0;
}

const text_model spm_model = {.name = "llama",
                              .add_bos = 1,
                              .ids = {.bos = 1, .eos = 2, .unk = -1},
                              .open = spm_open,
                              .encode = spm_encode,
                              .find_merge = spm_find_merge,
                              .piece = marked_piece};   // no parts
