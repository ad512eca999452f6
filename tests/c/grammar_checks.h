// Grammars drawn from bytes, and answers that follow them: what a mask allows is what is accepted one id at a time.
#pragma once
#include "toy.h"
#include "../../core_c/src/grammar/grammar.h"
#include "../../core_c/src/grammar/mask.h"

#define COUNT(array) (sizeof array / sizeof *array)

// Bytes that decide; behind the last one all are 0.
typedef struct source {
    const uint8_t *at, *end;
} source;
static inline unsigned draw(source *s, unsigned below) { return s->at < s->end ? *s->at++ % below : 0; }

typedef struct words {
    opened o;
    text_tree *t;
} words;

// Ids 0..255 are bytes; then texts of several characters, of all sizes, that end and begin inside of characters.
static const char *const many[] = {"<|end|>",
                                   "<think>",
                                   "ab",
                                   "abab",
                                   "ba",
                                   "aaaa",
                                   "aaaaaaaa",
                                   "aaaaaaaaa",
                                   "abababababababab",
                                   "aaaaaaaaaaaaaaaaaaaa",
                                   "aaaaaaaaaaaaaaaaaaaaa",
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                   "a,",
                                   ",a",
                                   "\",\"",
                                   "\"a\"",
                                   "\"}",
                                   "a\",\"aaaaaaaaaaaaaaaaaaaaaa",
                                   "aaaaaaaa\"",
                                   "12",
                                   "1234567890123456789012",
                                   "\xC3\x83\xC2\xA9",
                                   "\xC3\x83\xC4\xA5",
                                   "a\xC3\x83\xC4\xA5",
                                   "\xC2\xA9\xC3\x83",
                                   "a\xC3\x83",
                                   "\xC2\xA9\"",
                                   "((((",
                                   "))))",
                                   "()",
                                   "\",\"a",
                                   "\",\"a\",\"",
                                   "[\"a\",\"a\"]",
                                   "\"],[\"a",
                                   "{\"a\":1",
                                   "1},{\"",
                                   ",1",
                                   "1,1",
                                   "1,2,",
                                   ",\"b\"",
                                   "\"\",\"b",
                                   "b\""};
enum { MANY_END = 256, MANY_THINK, N_MANY = 256 + sizeof many / sizeof *many };

static inline const words *many_words(void) {
    static words w;
    static int kinds[N_MANY];
    static const char *const no_merges[] = {"a b"};
    char said[600];
    errors e = {said, sizeof said};
    if (w.t) return &w;
    toy v = byte_toy("gpt-2", NULL, 0, many, COUNT(many));
    v.merges = no_merges, v.n_merges = 1;
    for (int i = 0; i < N_MANY; i++) kinds[i] = i == MANY_END || i == MANY_THINK ? 3 : 1;
    v.kinds = kinds, v.n_kinds = N_MANY, v.eos = MANY_END;
    CHECK_EQ_INT(open_toy(&w.o, &v), GEMEL_OK);
    CHECK_EQ_INT(text_tree_open(&w.t, w.o.t, &e), GEMEL_OK);
    return &w;
}

// ---- A grammar from bytes ------------------------------------------------------------------------------------------

enum { DRAWN_RULES = 4, DRAWN_SIZE = 4000 };

typedef struct drawn {
    char text[DRAWN_SIZE];
    size_t size;
    int left;   // items
} drawn;

static inline void say(drawn *d, const char *text) {
    size_t n = strlen(text);
    if (d->size + n < DRAWN_SIZE) memcpy(d->text + d->size, text, n), d->size += n;
}

static inline void draw_item(source *s, drawn *d) {
    static const char *const items[] = {
        "\"a\"", "\"ab\"", "\",\"",   "\"\\\"\"", "[a-z]",  "[^\\\"]", ".", "[\xC3\xA0-\xC3\xBF]",
        "\"\"",  "[0-9]",  "<think>", "!<think>", "<[97]>", "\"(\""};
    char text[30];
    unsigned kind = draw(s, 24);
    if (kind < COUNT(items)) say(d, items[kind]);
    else snprintf(text, sizeof text, "r%u", 1 + draw(s, DRAWN_RULES - 1)), say(d, text);
    if (kind % 4 == 1) {
        unsigned least = draw(s, 4) ? draw(s, 3) : draw(s, 50), more = draw(s, 3) ? draw(s, 4) : draw(s, 80);
        snprintf(text, sizeof text, draw(s, 5) ? "{%u,%u}" : "{%u,}", least, least + more), say(d, text);
    }
    if (kind % 8 == 2) say(d, draw(s, 2) ? "*" : "?");
}

static inline void draw_alternatives(source *s, drawn *d, int depth) {
    int n = 1 + (int)draw(s, 3);
    for (int i = 0; i < n; i++) {
        if (i) say(d, " | ");
        for (int k = (int)draw(s, 4); k >= 0 && d->left-- > 0; k--) {
            if (depth && !draw(s, 4)) {
                char text[30];
                say(d, "("), draw_alternatives(s, d, depth - 1);
                snprintf(text, sizeof text, "){%u,%u} ", draw(s, 3), 3 + draw(s, 6)), say(d, text);
            } else draw_item(s, d), say(d, " ");
        }
    }
}

static inline void draw_grammar(source *s, drawn *d) {
    static const char *const names[DRAWN_RULES] = {"root", "r1", "r2", "r3"};
    *d = (drawn){.size = 0};
    for (int i = 0; i < DRAWN_RULES; i++) {
        d->left = 8;
        say(d, names[i]), say(d, " ::= "), draw_alternatives(s, d, 2), say(d, "\n");
    }
}

// ---- An answer -----------------------------------------------------------------------------------------------------

// Whether an id is accepted; nothing is changed.
static inline int is_taken(mask *k, int32_t id) {
    uint32_t set;
    return mask_after(k, id, &set);
}

// Save one, restore the other: it has the same place.
static inline void hand_over(const mask *from, mask *to) {
    size_t size = matcher_save(&from->m, NULL, 0);
    uint8_t *data = malloc(size), *again = malloc(size);
    CHECK_EQ_INT(matcher_save(&from->m, data, size), size);
    CHECK_EQ_INT(matcher_check(&to->m, data, size), 1);
    matcher_restore(&to->m, data);
    CHECK_EQ_INT(matcher_save(&to->m, again, size), size);
    CHECK(!memcmp(data, again, size));
    free(data), free(again);
    if (!from->unique) return;
    size = seen_save(&from->unique->lists, NULL, 0);
    data = malloc(size), again = malloc(size);
    CHECK_EQ_INT(seen_save(&from->unique->lists, data, size), size);
    CHECK_EQ_INT(seen_restore(&to->unique->lists, data, size), 1);
    CHECK_EQ_INT(seen_save(&to->unique->lists, again, size), size);
    CHECK(!memcmp(data, again, size));
    free(data), free(again);
}

// Up to `steps` ids of an answer. Returns how many masks were compared.
static inline int follow(const gemel_grammar *g, source *s, int steps) {
    mask *fast = malloc(sizeof *fast), *slow = malloc(sizeof *slow);
    int n = 0;
    int code = mask_open(fast, g, 0), other = mask_open(slow, g, 0);
    CHECK_EQ_INT(code, other);
    if (draw(s, 2)) fast->loop_from = 0;   // the trees are small
    while (code == GEMEL_OK && n < steps && !check_failures) {
        int32_t allowed[N_MANY], n_allowed = 0;
        code = mask_fill(fast);
        matcher_tidy(&slow->m, 1);
        for (int32_t id = 0; id < N_MANY; id++) {
            int taken = is_taken(slow, id);
            if (taken == GEMEL_E_GRAMMAR || (code && matcher_is_stuck(&fast->m))) goto done;   // too ambiguous
            CHECK_EQ_INT(mask_allows(fast, id), taken == GEMEL_OK);
            if (taken == GEMEL_OK) allowed[n_allowed++] = id;
        }
        CHECK_EQ_INT(code == GEMEL_OK, n_allowed > 0);
        if (code || check_failures) break;
        // Rather the long ones: they come last
        int32_t id = allowed[draw(s, 2) ? n_allowed - 1 - (int)draw(s, 8) % n_allowed : (int)draw(s, 255) % n_allowed];
        CHECK_EQ_INT(mask_take(fast, id), GEMEL_OK);
        if (draw(s, 3)) CHECK_EQ_INT(mask_take(slow, id), GEMEL_OK);
        else hand_over(fast, slow), slow->is_begun = fast->is_begun;
        n++;
    }
done:
    mask_close(fast), mask_close(slow), free(fast), free(slow);
    return n;
}
