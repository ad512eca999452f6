// SentencePiece BPE ("llama"): text is characters, a space is U+2581, and two neighbours merge when what they make is
// a piece, the best score first. So each way to cut a piece in two becomes a merge, its score's place the rank.
#include "spm.h"
#include "array.h"

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
    int index, found = gguf_find(v->g, "tokenizer.ggml.scores");
    size_t n;
    if (found < 0)
        return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.scores is missing; tokenizer.ggml.model llama needs it");
    int is_float = gemel_gguf_item_type(v->g, found) == GGUF_F32 || gemel_gguf_item_type(v->g, found) == GGUF_F64;
    int rc = gguf_get_array(v->g, "tokenizer.ggml.scores", is_float ? GGUF_F32 : GGUF_I32, &index, &n, e);
    if (rc < 0) return rc;
    if (n != (size_t)v->n)
        return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.scores has %zu items, tokenizer.ggml.tokens %d", n, v->n);
    for (int32_t id = 0; id < v->n; id++) {
        double score = gguf_array_number(v->g, index, (size_t)id);
        if (score != score) return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.scores[%d] is NaN", id);
        scores[id] = (scored){score, id};
    }
    qsort(scores, n, sizeof *scores, best_first);
    return 0;
}

// The id or part of one side of a piece; -1: merging never makes it. A single character always has one.
static int32_t side_of(vocab *v, const char *at, size_t size, errors *e) {
    int32_t found = vocab_find(v, at, size);
    return found >= 0 || rune_at(at, at + size).size != size ? found : vocab_add_part(v, at, size, e);
}

// Every cut of a piece into two texts that merging can make.
static int add_piece(struct tokenizer *t, int32_t id, int32_t rank, errors *e) {
    gguf_span text = vocab_text(&t->v, id);
    const char *end = text.at + text.size, *at = text.at + rune_at(text.at, end).size;
    if (at == end) return 0;
    if (text.size > PIECE_MAX)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.tokens[%d] has %zu bytes; the most is %d", id, text.size,
                    PIECE_MAX);
    for (; at < end; at += rune_at(at, end).size) {
        size_t size = (size_t)(at - text.at);
        int is_space = end - at >= 3 && !memcmp(at, SPACE_MARK, 3);
        if (is_space && (size < 3 || memcmp(at - 3, SPACE_MARK, 3) != 0)) t->parts_at_spaces = 0;
        int32_t left = side_of(&t->v, text.at, size, e);
        if (left < -1) return left;
        int32_t right = left < 0 ? -1 : side_of(&t->v, at, text.size - size, e);
        if (right < -1) return right;
        int rc = right < 0 ? 0 : merge_table_add(&t->merges, left, right, (merge){rank, id}, e);
        if (rc) return rc;
    }
    return 0;
}

static int read_pieces(struct tokenizer *t, errors *e) {
    scored *scores = array_new((size_t)t->v.n, sizeof *scores);
    if (!scores) return fail(e, GEMEL_E_MEMORY, "no memory for %d scores", t->v.n);
    int rc = read_scores(&t->v, scores, e);
    int32_t rank = 0;
    t->parts_at_spaces = 1;
    for (int32_t i = 0; !rc && i < t->v.n; i++) {
        if (i && scores[i].score != scores[i - 1].score) rank = i;
        int32_t id = scores[i].id;
        if (kind_is_plain(t->v.kind[id]) && vocab_text(&t->v, id).size) rc = add_piece(t, id, rank, e);
    }
    free(scores);
    return rc;
}

// The tokens <0x00>..<0xFF>, whatever kind the file gives them.
static int read_bytes(struct tokenizer *t, errors *e) {
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
    if (missing && t->unknown < 0)
        return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.tokens lacks %d of <0x00>..<0xFF> and has no unknown token",
                    missing);
    return 0;
}

static int32_t symbol_of(const struct tokenizer *t, const char *at, rune r) {
    int32_t found = vocab_find(&t->v, at, r.size);
    return found >= 0 ? found : symbol_of_code(r.code);
}

static int spm_open(struct tokenizer *t, errors *e) {
    t->add_space_prefix = 1;
    int rc = gguf_get_bool(t->v.g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix, e);
    if (rc >= 0) rc = read_pieces(t, e);
    if (!rc) rc = read_bytes(t, e);
    for (int code = 0; code < 128; code++) {
        char ascii = (char)code;
        t->symbol[code] = symbol_of(t, &ascii, (rune){(uint32_t)code, 1, 0});
    }
    int32_t mark = vocab_find(&t->v, SPACE_MARK, 3);
    t->symbol[' '] = mark >= 0 ? mark : symbol_of_code(' ');
    return rc;
}

// ---- Text to ids ---------------------------------------------------------------------------------------------------

static int encode_word(encoder *c, const char *at, size_t size, int prefixed) {
    const struct tokenizer *t = c->t;
    const char *end = at + size;
    size_t start = c->n, n = 0;
    int rc = encoder_room(c, size + 1);
    cached_word *kept = rc || prefixed ? NULL : encoder_cached(c, at, size);
    if (rc) return rc;
    if (kept && kept->size) return encoder_put_cached(c, kept), 0;
    if (prefixed) c->ids[c->n + n++] = t->symbol[' '];
    for (const char *from = at; from < end;) {
        rune r = rune_at(from, end);
        c->ids[c->n + n++] = r.code < 128 ? t->symbol[r.code] : symbol_of(t, from, r);
        from += r.size;
    }
    rc = encoder_merge(c, n);
    if (!rc && kept) encoder_keep(c, kept, at, size, start);
    return rc;
}

// Where the stretch that merges within itself ends: before a space after something else, if no piece spans that.
static const char *word_end(const struct tokenizer *t, const char *at, const char *end) {
    if (!t->parts_at_spaces) return end;
    for (const char *space = at; (space = memchr(space, ' ', (size_t)(end - space))); space++) {
        if (space == at || space[-1] == ' ') continue;
        if (space - at >= 3 && !memcmp(space - 3, SPACE_MARK, 3)) continue;
        return space;
    }
    return end;
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

// ---- Ids to text ---------------------------------------------------------------------------------------------------

static void spm_piece(gguf_span text, byte_sink *out) {
    for (size_t i = 0; i < text.size;) {
        int is_space = text.size - i >= 3 && !memcmp(text.at + i, SPACE_MARK, 3);
        sink_byte(out, is_space ? ' ' : text.at[i]);
        i += is_space ? 3 : 1;
    }
}

static void spm_symbol_bytes(encoder *c, gguf_span part) {
    int is_space = part.size == 3 && !memcmp(part.at, SPACE_MARK, 3);
    if (is_space) encoder_put_bytes(c, " ", 1);
    else encoder_put_bytes(c, part.at, part.size);
}

const text_model spm_model = {"llama", 1, 0, spm_open, spm_encode, spm_symbol_bytes, spm_piece};
