// A word becomes the longest piece that it begins with, then the longest that goes on, and so on. Words are runs of
// characters between spaces; a punctuation mark or a Chinese character is a word. Files write U+2581 before pieces that
// begin a word.
#include "wordpiece.h"
#include "fold.h"
#include "spaces.h"

enum { WORD_MAX = 100 };   // characters; a longer word is unknown

typedef struct word {
    encoder *c;
    int n;         // characters
    size_t size;   // bytes of text, U+2581 included
    char text[sizeof SPACE_MARK - 1 + 4 * WORD_MAX];
} word;

static void word_begin(word *w) {
    w->n = 0;
    w->size = sizeof SPACE_MARK - 1;
    memcpy(w->text, SPACE_MARK, w->size);
}

// The longest piece that text[at..] begins with, and its end; -1: none.
static int32_t find_piece(const word *w, size_t at, size_t *end) {
    const vocab *v = &w->c->t->v;
    size_t least = at ? at : sizeof SPACE_MARK - 1;
    if (at && w->size - at >= 3 && !memcmp(w->text + at, SPACE_MARK, 3)) return -1;   // no word begins here
    for (*end = w->size - at > v->longest ? at + v->longest : w->size; *end > least; --*end) {
        if (*end < w->size && ((uint8_t)w->text[*end] & 0xC0) == 0x80) continue;   // inside a character
        int32_t id = vocab_find(v, w->text + at, *end - at);
        if (id >= 0 && id < v->n) return id;
    }
    return -1;
}

static int word_end_of(word *w) {
    encoder *c = w->c;
    size_t start = c->n, end;
    int rc = w->n ? encoder_room(c, (size_t)(w->n < WORD_MAX ? w->n : WORD_MAX)) : 0, is_known = w->n <= WORD_MAX;
    for (size_t at = 0; !rc && w->n && is_known && at < w->size; at = end) {
        int32_t id = find_piece(w, at, &end);
        is_known = id >= 0;
        if (is_known) encoder_put(c, id);
    }
    if (!rc && w->n && !is_known) {
        c->n = start;
        encoder_put(c, c->t->unknown);
    }
    word_begin(w);
    return rc;
}

static void word_add(word *w, uint32_t code) {
    if (w->n++ < WORD_MAX) w->size += (size_t)rune_write(code, w->text + w->size);
}

static int is_between(uint32_t code, uint32_t first, uint32_t last) { return code >= first && code <= last; }

typedef struct range {
    uint32_t first, last;
} range;
static const range chinese[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},  {0x20000, 0x2A6DF},
                                {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
// Left out: controls, formats, characters for private use, and what takes the place of what can't be read.
static const range left_out[] = {{0, 8},
                                 {11, 12},
                                 {14, 31},
                                 {127, 159},
                                 {0xAD, 0xAD},
                                 {0x600, 0x605},
                                 {0x61C, 0x61C},
                                 {0x6DD, 0x6DD},
                                 {0x70F, 0x70F},
                                 {0x180E, 0x180E},
                                 {0x200B, 0x200F},
                                 {0x202A, 0x202E},
                                 {0x2060, 0x2064},
                                 {0x2066, 0x206F},
                                 {0xE000, 0xF8FF},
                                 {0xFEFF, 0xFEFF},
                                 {0xFFF9, 0xFFFB},
                                 {0xFFFD, 0xFFFD},
                                 {0x110BD, 0x110BD},
                                 {0x1BCA0, 0x1BCA3},
                                 {0x1D173, 0x1D17A},
                                 {0xE0001, 0xE0001},
                                 {0xE0020, 0xE007F},
                                 {0xF0000, UINT32_MAX}};

static int is_within(const range *ranges, size_t n, uint32_t code) {
    while (n && code < ranges[n - 1].first) n--;
    return n && code <= ranges[n - 1].last;
}

static int is_punctuation(uint32_t code) {
    return code < 128 ? is_between(code, '!', '/') || is_between(code, ':', '@') || is_between(code, '[', '`') ||
                            is_between(code, '{', '~')
                      : (unicode_classes(code) & U_PUNCT) != 0;
}

// A character in the form of the vocabulary.
static int add_rune(word *w, uint32_t code) {
    uint32_t to[FOLD_MAX] = {code};
    int rc = 0, n = w->c->t->keeps_case ? 1 : fold_rune(code, to);
    for (int i = 0; i < n && !rc; i++) {
        int is_alone = is_punctuation(to[i]);
        if (is_alone) rc = word_end_of(w);
        word_add(w, to[i]);
        if (is_alone && !rc) rc = word_end_of(w);
    }
    return rc;
}

static int wordpiece_encode(encoder *c, const char *at, const char *end, int prefixed) {
    word w = {.c = c};
    int rc = 0;
    (void)prefixed;
    word_begin(&w);
    for (rune r; !rc && at < end; at += r.size) {
        r = rune_at(at, end);
        int is_alone = is_within(chinese, sizeof chinese / sizeof *chinese, r.code);
        if (is_within(left_out, sizeof left_out / sizeof *left_out, r.code)) continue;
        if (is_alone || (r.classes & U_SPACE)) rc = word_end_of(&w);
        if (!rc && !(r.classes & U_SPACE)) rc = add_rune(&w, r.code);
        if (!rc && is_alone) rc = word_end_of(&w);
    }
    return rc ? rc : word_end_of(&w);
}

// Files don't say whether text is put in lower case: it is if no piece has a capital.
static int wordpiece_open(struct tokenizer *t, errors *e) {
    if (t->unknown < 0)
        return fail(e, GEMEL_E_FORMAT,
                    "tokenizer.ggml.unknown_token_id is missing; tokenizer.ggml.model bert needs it");
    for (int32_t id = 0; id < t->v.n && !t->keeps_case; id++) {
        gguf_span text = vocab_text(&t->v, id);
        if (t->v.kind[id] != GEMEL_TOKEN_NORMAL || text.size < 4 || memcmp(text.at, SPACE_MARK, 3) != 0) continue;
        t->keeps_case = text.at[3] >= 'A' && text.at[3] <= 'Z';
    }
    t->add_space_prefix = 1;
    return 0;
}

const text_model wordpiece_model = {
    .name = "bert",
    .add_bos = 1,
    .add_eos = 1,
    .ids = {101, 102, 100, "tokenizer.ggml.cls_token_id", "tokenizer.ggml.seperator_token_id"},
    .open = wordpiece_open,
    .encode = wordpiece_encode,
    .piece = marked_piece};
