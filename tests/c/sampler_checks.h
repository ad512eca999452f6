// What checks of the sampler share: one with every step off, a row of known probabilities, saved samplers.
#pragma once
#include "toy.h"
#include "../../core_c/src/sample/sampler.h"

#define COUNT(array) (sizeof array / sizeof *array)

// A vocabulary of n tokens "0", "1", ...; opened once, and left open.
static inline const tokenizer *vocabulary(int n) {
    static opened kept[16];
    static int n_kept;
    for (int i = 0; i < n_kept; i++)
        if (tokenizer_n_vocab(kept[i].t) == n) return kept[i].t;
    char (*texts)[12] = malloc((size_t)n * sizeof *texts);
    const char **tokens = malloc((size_t)n * sizeof *tokens);
    for (int i = 0; i < n; i++) snprintf(texts[i], sizeof *texts, "%d", i), tokens[i] = texts[i];
    toy v = NOTHING;
    v.model = "gpt2", v.pre = "gpt-2", v.tokens = tokens, v.n_tokens = n, v.merges = tokens;
    CHECK_EQ_INT(open_toy(&kept[n_kept], &v), GEMEL_OK);
    free(texts), free(tokens);
    return kept[n_kept++].t;
}

static inline gemel_sampler *plain_sampler(int n_vocab)   // with every step off and temperature 1
{
    gemel_sampler *s = NULL;
    CHECK_EQ_INT(sampler_open(&s, vocabulary(n_vocab)), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TEMPERATURE, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TOP_K, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_TOP_P, 1), GEMEL_OK);
    CHECK_EQ_INT(gemel_sampler_set(s, GEMEL_SAMPLER_MIN_P, 0), GEMEL_OK);
    return s;
}

static inline void set(gemel_sampler *s, int option, double value) {
    CHECK_EQ_INT(gemel_sampler_set(s, option, value), GEMEL_OK);
}

static inline void accept_all(gemel_sampler *s, const char *digits)   // one id per digit
{
    for (; *digits; digits++) CHECK_EQ_INT(gemel_sampler_accept(s, *digits - '0'), GEMEL_OK);
}

static inline int greedy(gemel_sampler *s, const float *logits) {
    set(s, GEMEL_SAMPLER_TEMPERATURE, 0);
    return gemel_sampler_sample(s, logits);
}

// Logits of the probabilities 1/2, 1/4, 1/8, ..., the last one twice, at ids 0, 1, 2, ...
#define LN2 0.693147180559945f
static const float halves[6] = {-1 * LN2, -2 * LN2, -3 * LN2, -4 * LN2, -5 * LN2, -5 * LN2};

// ---- Saved samplers ------------------------------------------------------------------------------------------------

enum { ROOM = 8192, HEADER = 48 };

static char err[1024];
static uint8_t bytes_of[ROOM];

static inline size_t save(const gemel_sampler *s) {
    CHECK(gemel_sampler_save_size(s) <= ROOM);
    CHECK_EQ_INT(gemel_sampler_save(s, bytes_of, ROOM), GEMEL_OK);
    return gemel_sampler_save_size(s);
}

static inline int restore(gemel_sampler *s, size_t size) {
    err[0] = 0;
    int code = gemel_sampler_restore(s, bytes_of, size, err, sizeof err);
    CHECK((code == 0) == (err[0] == 0));
    return code;
}

// Make the checksum fit the bytes.
static inline void seal(size_t size) {
    uint64_t h = 0xcbf29ce484222325u, word;
    for (size_t i = 16; i < size; i += 8) {
        memcpy(&word, bytes_of + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    memcpy(bytes_of + 8, &h, 8);
}
