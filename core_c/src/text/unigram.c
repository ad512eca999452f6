// Unigram ("t5"): text is normalised, and of all ways to cut it into pieces the one whose scores have the largest sum
// is taken (Viterbi's algorithm; of equal sums, the piece that starts first). Scores are added as doubles, word by
// word, so that a word's pieces do not depend on the words before it; where a piece spans words, the stretch is longer.
//
// A character that no piece spells is the unknown token, of which neighbours become one; or its bytes, if the
// vocabulary has the tokens of all bytes.
#include "unigram.h"
#include <float.h>
#include "array.h"
#include "charsmap.h"
#include "spaces.h"
#include "trie.h"

enum { PIECE_MAX = 256 };   // bytes of a piece; a longer one is refused

struct unigram {
    charsmap map;
    trie pieces;
    double *score;   // [n]
    double unknown_score;
    int adds_prefix, merges_spaces, has_bytes;
};

// ---- Opening -------------------------------------------------------------------------------------------------------

static int read_scores(struct tokenizer *t, struct unigram *u, errors *e) {
    int index, rc = vocab_scores(&t->v, "t5", &index, e);
    float least = FLT_MAX;
    if (rc) return rc;
    u->score = array_new((size_t)t->v.n, sizeof *u->score);
    if (!u->score) return fail(e, GEMEL_E_MEMORY, "no memory for %d scores", t->v.n);
    for (int32_t id = 0; id < t->v.n; id++) {
        double score = gguf_array_number(t->v.g, index, (size_t)id);
        if (!(score >= -FLT_MAX && score <= FLT_MAX))
            return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.scores[%d] is %g; it must be finite", id, score);
        u->score[id] = t->v.kind[id] == GEMEL_TOKEN_USER_DEFINED ? 0 : score;
        if (t->v.kind[id] == GEMEL_TOKEN_NORMAL && score < least) least = (float)score;
    }
    u->unknown_score = (double)(least - 10);
    return 0;
}

static int read_pieces(struct tokenizer *t, struct unigram *u, errors *e) {
    int rc = 0;
    for (int32_t id = 0; !rc && id < t->v.n; id++) {
        gguf_span text = vocab_text(&t->v, id);
        if (!kind_is_plain(t->v.kind[id]) || !text.size) continue;
        if (text.size > PIECE_MAX)
            return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.tokens[%d] has %zu bytes; at most %d are supported", id,
                        text.size, PIECE_MAX);
        note_spaces(t, text);
        rc = trie_add(&u->pieces, text, id, e);
    }
    return rc || u->pieces.n ? rc : fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.tokens has no ordinary token");
}

static int has_all_bytes(const struct tokenizer *t) {
    for (int byte = 0; byte < 256; byte++)
        if (t->byte_id[byte] < 0 || t->v.kind[t->byte_id[byte]] != GEMEL_TOKEN_BYTE) return 0;
    return 1;
}

static int unigram_open(struct tokenizer *t, errors *e) {
    struct unigram *u = t->unigram = array_zero(1, sizeof *u);
    if (!u) return fail(e, GEMEL_E_MEMORY, "no memory for a tokenizer");
    int rc = gguf_get_bool(t->v.g, "tokenizer.ggml.add_space_prefix", &u->adds_prefix, e);
    if (rc >= 0) rc = gguf_get_bool(t->v.g, "tokenizer.ggml.remove_extra_whitespaces", &u->merges_spaces, e);
    if (rc >= 0) rc = charsmap_open(&u->map, t->v.g, e);
    if (!rc) rc = read_scores(t, u, e);
    if (!rc) rc = read_pieces(t, u, e);
    if (!rc) rc = read_byte_tokens(t, 1, e);
    u->has_bytes = has_all_bytes(t);
    t->add_space_prefix = u->adds_prefix || u->merges_spaces;
    if (!rc && !u->has_bytes && t->unknown < 0)
        rc = fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.unknown_token_id is missing, and no token is of the type unknown");
    return rc;
}

static void unigram_close(struct tokenizer *t) {
    struct unigram *u = t->unigram;
    if (!u) return;
    charsmap_close(&u->map);
    trie_close(&u->pieces);
    free(u->score);
    free(u);
}

// ---- Normalising ---------------------------------------------------------------------------------------------------

typedef struct text {
    char *at;
    size_t n, room;
} text;

static int text_add(text *out, const char *at, size_t size) {
    if (!array_room((void **)&out->at, out->n, &out->room, out->n + size, 1)) return GEMEL_E_MEMORY;
    memcpy(out->at + out->n, at, size);
    out->n += size;
    return 0;
}

// What the text at `at` begins with becomes; its size.
static size_t take(const charsmap *map, const char *at, const char *end, gguf_span *out) {
    size_t size = charsmap_match(map, at, end, out);
    if (size) return size;
    rune r = rune_at(at, end);
    *out = r.code < RUNE_BAD ? (gguf_span){at, r.size} : (gguf_span){"\xEF\xBF\xBD", 3};
    return r.size;
}

// Spaces are marked. One is put in front of the first other character, or, where spaces are merged, of each word.
static int normalise(const struct unigram *u, const char *at, const char *end, text *out) {
    int is_in_word = 0, has_prefix = 0, rc = 0;
    while (!rc && at < end) {
        gguf_span piece = {NULL, 0};
        at += take(&u->map, at, end, &piece);
        for (size_t i = 0; !rc && i < piece.size; i++) {
            int is_space = piece.at[i] == ' ', starts = !is_space && !is_in_word;
            int marks = is_space ? !u->merges_spaces : starts && (u->merges_spaces || (u->adds_prefix && !has_prefix));
            is_in_word = !is_space;
            if (starts) has_prefix |= marks;
            if (marks) rc = text_add(out, SPACE_MARK, 3);
            if (!rc && !is_space) rc = text_add(out, piece.at + i, 1);
        }
    }
    return rc;
}

// ---- The best way to cut -------------------------------------------------------------------------------------------

typedef struct cut {
    double score;
    uint32_t from;   // where the piece that ends here starts; when it is followed back: where the next one ends
    int32_t id;      // -1: no piece spells it
} cut;

static void offer(cut *best, double score, size_t from, int32_t id) {
    if (score > best->score) *best = (cut){score, (uint32_t)from, id};
}

static void find_cuts(const struct unigram *u, const char *at, size_t n, cut *best) {
    best[0] = (cut){0, 0, -1};
    for (size_t i = 1; i <= n; i++) best[i] = (cut){-DBL_MAX, 0, -1};
    for (size_t i = 0, size; i < n; i += size) {
        int32_t node = TRIE_ROOT, is_spelt = 0;
        size = rune_at(at + i, at + n).size;
        for (size_t end = i; end < n && (node = trie_step(&u->pieces, node, (uint8_t)at[end])) >= 0;) {
            int32_t id = u->pieces.id[node];
            end++;
            if (id < 0) continue;
            is_spelt |= end - i == size;
            offer(&best[end], best[i].score + u->score[id], i, id);
        }
        if (!is_spelt) offer(&best[i + size], best[i].score + u->unknown_score, i, -1);
    }
}

static void put_cut(encoder *c, const char *at, size_t size, int32_t id, size_t start) {
    const struct tokenizer *t = c->t;
    if (id < 0 && t->unigram->has_bytes) encoder_put_bytes(c, at, size);
    else if (id >= 0) encoder_put(c, id);
    else if (c->n == start || c->ids[c->n - 1] != t->unknown) encoder_put(c, t->unknown);
}

// `start`: the first id of this text.
static void put_cuts(encoder *c, const char *at, size_t n, cut *best, size_t start) {
    uint32_t next = (uint32_t)n;
    for (uint32_t i = (uint32_t)n; i;) {   // turn the chain around
        uint32_t from = best[i].from;
        best[i].from = next;
        next = i;
        i = from;
    }
    for (uint32_t from = 0; from < n;) {
        put_cut(c, at + from, next - from, best[next].id, start);
        from = next;
        next = best[next].from;
    }
}

// Where the stretch ends that is cut by itself: before a mark after something else, if no piece spans that.
static size_t stretch(const struct tokenizer *t, const char *at, size_t n) {
    for (size_t i = 1; i + 3 <= n; i++) {
        const char *mark = memchr(at + i, SPACE_MARK[0], n - i);
        if (!mark) break;
        i = (size_t)(mark - at);
        if (i + 3 > n || memcmp(mark, SPACE_MARK, 3) != 0 || t->joins_space[(uint8_t)mark[-1]]) continue;
        if (i < 3 || memcmp(mark - 3, SPACE_MARK, 3) != 0) return i;
    }
    return n;
}

static int unigram_encode(encoder *c, const char *at, const char *end, int prefixed) {
    const struct tokenizer *t = c->t;
    text whole = {NULL, 0, 0};
    cut *best = NULL;
    size_t start = c->n, room = 0;
    (void)prefixed;   // as the file says: see normalise
    int rc = normalise(t->unigram, at, end, &whole);
    if (!rc && whole.n >= UINT32_MAX) rc = GEMEL_E_MEMORY;
    for (size_t i = 0; !rc && i < whole.n;) {
        size_t n = stretch(t, whole.at + i, whole.n - i);
        rc = encoder_room(c, n);
        if (!rc && !array_room((void **)&best, 0, &room, n + 1, sizeof *best)) rc = GEMEL_E_MEMORY;
        if (rc) break;
        find_cuts(t->unigram, whole.at + i, n, best);
        put_cuts(c, whole.at + i, n, best, start);
        i += n;
    }
    free(whole.at);
    free(best);
    return rc;
}

const text_model unigram_model = {.name = "t5",
                                  .add_eos = 1,
                                  .ids = {.bos = -1, .eos = 1, .unk = 2},
                                  .open = unigram_open,
                                  .encode = unigram_encode,
                                  .piece = marked_piece,
                                  .close = unigram_close};
