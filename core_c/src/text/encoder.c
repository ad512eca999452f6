// The work of one call of tokenizer_encode: ids, a cache of words, symbols that merge. Knows no kind of tokenizer: what
// differs is in its text_model.
#include "encoder.h"
#include "array.h"

int encoder_room(encoder *c, size_t n) {
    return array_room((void **)&c->ids, c->n, &c->capacity, c->n + n, sizeof *c->ids) ? 0 : GEMEL_E_MEMORY;
}

void encoder_put_bytes(encoder *c, const char *at, size_t size) {
    const struct tokenizer *t = c->t;
    size_t known = 0;
    while (known < size && t->byte_id[(uint8_t)at[known]] >= 0) known++;
    if (known == size)
        for (size_t i = 0; i < size; i++) encoder_put(c, t->byte_id[(uint8_t)at[i]]);
    else if (t->unknown >= 0) encoder_put(c, t->unknown);
}

// The most ids that a symbol becomes: one per byte where it has none.
static size_t ids_of_symbol(const encoder *c, int32_t symbol) {
    char bytes[4];
    if (symbol < 0) return (size_t)rune_write(code_of_symbol(symbol), bytes);
    return symbol < c->t->v.n ? 1 : vocab_text(&c->t->v, symbol).size;
}

static void put_symbol(encoder *c, int32_t symbol) {
    const struct tokenizer *t = c->t;
    if (symbol >= 0 && symbol < t->v.n) {
        encoder_put(c, symbol);
    } else if (symbol < 0) {
        char bytes[4];
        encoder_put_bytes(c, bytes, (size_t)rune_write(code_of_symbol(symbol), bytes));
    } else {
        t->model->symbol_bytes(c, vocab_text(&t->v, symbol));
    }
}

int encoder_merge(encoder *c, size_t n) {
    int32_t *symbols = c->ids + c->n;
    int rc = merge_run((merge_rule){c->t->model->find_merge, c}, &c->scratch, symbols, &n);
    if (rc) return rc;
    size_t ready = 0;
    while (ready < n && symbols[ready] >= 0 && symbols[ready] < c->t->v.n) ready++;
    c->n += ready;
    if (ready == n) return 0;
    size_t rest = n - ready, most = 0;   // these may make more ids than there are symbols, over their own places
    int32_t *copy = array_new(rest, sizeof *copy);
    if (!copy) return GEMEL_E_MEMORY;
    memcpy(copy, symbols + ready, rest * sizeof *copy);
    for (size_t i = 0; i < rest; i++) most += ids_of_symbol(c, copy[i]);
    rc = encoder_room(c, most);
    for (size_t i = 0; i < rest && !rc; i++) put_symbol(c, copy[i]);
    free(copy);
    return rc;
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

int encoder_open(encoder *c, const struct tokenizer *t, const char *text, size_t size) {
    size_t words = 16;
    while (words < 16384 && words < size / 4) words *= 2;
    *c = (encoder){.t = t, .text = text, .cache_mask = words - 1, .pairs_mask = words - 1};
    c->cache = array_zero(words, sizeof *c->cache);
    if (t->rank) c->pairs = array_zero(words, sizeof *c->pairs);
    c->word_max = t->v.longest < 2 * size ? t->v.longest : 2 * size;
    c->word = array_new(c->word_max + 4, 1);
    return c->cache && c->word && (c->pairs || !t->rank) ? encoder_room(c, size / 3 + 16) : GEMEL_E_MEMORY;
}

void encoder_close(encoder *c) {
    free(c->ids);
    free(c->scratch.memory);
    free(c->cache);
    free(c->pairs);
    free(c->word);
}
