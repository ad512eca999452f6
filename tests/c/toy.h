// Vocabularies for checks: a toy describes a file; it becomes GGUF bytes, which are opened, and asked for ids and text.
#pragma once
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/file/gguf_read.h"
#include "../../core_c/src/text/tokenizer.h"
#include "../../core_c/src/text/unicode.h"

// What a file says; NULL and -1: nothing.
typedef struct toy {
    const char *model, *pre, *name;   // name: general.name
    const char *const *tokens, *const *merges;
    const int *kinds;
    const float *scores;
    int n_tokens, n_kinds, n_merges, n_scores;
    int bos, eos, eot, unk, add_bos, add_eos, add_space_prefix, merges_spaces;
    const uint8_t *charsmap;
    int n_charsmap;
} toy;

typedef struct opened {
    gguf *g;
    tokenizer *t;
    warnings said;
    char err[1024];
} opened;
typedef struct bytes {
    uint8_t *at;
    size_t n, room;
    uint64_t n_kv;
} bytes;

static inline void put(bytes *b, const void *at, size_t n) {
    if (b->n + n > b->room) b->at = realloc(b->at, b->room = (b->n + n) * 2);
    memcpy(b->at + b->n, at, n);
    b->n += n;
}

static inline void put_u32(bytes *b, uint32_t x) { put(b, &x, 4); }
static inline void put_u64(bytes *b, uint64_t x) { put(b, &x, 8); }

static inline void put_text(bytes *b, const char *text) {
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

static inline void put_key(bytes *b, const char *key, uint32_t type) {
    char name[80];
    snprintf(name, sizeof name, "tokenizer.ggml.%s", key);
    put_text(b, name);
    put_u32(b, type);
    b->n_kv++;
}

static inline void put_text_pair(bytes *b, const char *key, const char *text) {
    if (!text) return;
    put_key(b, key, GGUF_STRING);
    put_text(b, text);
}

static inline void put_texts(bytes *b, const char *key, const char *const *texts, int n) {
    if (!texts) return;
    put_key(b, key, GGUF_ARRAY);
    put_u32(b, GGUF_STRING);
    put_u64(b, (uint64_t)n);
    for (int i = 0; i < n; i++) put_text(b, texts[i]);
}

static inline void put_numbers(bytes *b, const char *key, uint32_t type, const void *numbers, int n) {
    if (!numbers) return;
    put_key(b, key, GGUF_ARRAY);
    put_u32(b, type);
    put_u64(b, (uint64_t)n);
    put(b, numbers, 4 * (size_t)n);
}

static inline void put_bytes_array(bytes *b, const char *key, const uint8_t *values, int n) {
    if (!values) return;
    put_key(b, key, GGUF_ARRAY);
    put_u32(b, GGUF_U8);
    put_u64(b, (uint64_t)n);
    put(b, values, (size_t)n);
}

static inline void put_id(bytes *b, const char *key, int id) {
    if (id < 0) return;
    put_key(b, key, GGUF_U32);
    put_u32(b, (uint32_t)id);
}

static inline void put_flag(bytes *b, const char *key, int on) {
    if (on < 0) return;
    put_key(b, key, GGUF_BOOL);
    put(b, on ? "\1" : "\0", 1);
}

static inline void put_toy(bytes *b, const toy *v) {
    put(b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    if (v->name) put_text(b, "general.name"), put_u32(b, GGUF_STRING), put_text(b, v->name), b->n_kv++;
    put_text_pair(b, "model", v->model);
    put_text_pair(b, "pre", v->pre);
    put_texts(b, "tokens", v->tokens, v->n_tokens);
    put_texts(b, "merges", v->merges, v->n_merges);
    put_numbers(b, "token_type", GGUF_I32, v->kinds, v->n_kinds);
    put_numbers(b, "scores", GGUF_F32, v->scores, v->n_scores);
    put_id(b, "bos_token_id", v->bos);
    put_id(b, "eos_token_id", v->eos);
    put_id(b, "eot_token_id", v->eot);
    put_id(b, "unknown_token_id", v->unk);
    put_flag(b, "add_bos_token", v->add_bos);
    put_flag(b, "add_eos_token", v->add_eos);
    put_flag(b, "add_space_prefix", v->add_space_prefix);
    put_flag(b, "remove_extra_whitespaces", v->merges_spaces);
    put_bytes_array(b, "precompiled_charsmap", v->charsmap, v->n_charsmap);
    memcpy(b->at + 16, &b->n_kv, 8);
    put(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", (32 - b->n % 32) % 32);
}

static inline void close_toy(opened *o) {
    tokenizer_close(o->t);
    gguf_close(o->g);
}

// Returns what tokenizer_open does.
static inline int open_toy(opened *o, const toy *v) {
    bytes b = {NULL, 0, 0, 0};
    size_t used;
    memset(o, 0, sizeof *o);
    errors e = {o->err, sizeof o->err};
    put_toy(&b, v);
    int rc = gguf_open(&o->g, b.n, &e);
    if (!rc) rc = gguf_feed(o->g, b.at, b.n, &used, &e);
    CHECK_EQ_INT(rc, 1);
    free(b.at);
    return rc == 1 ? tokenizer_open(&o->t, o->g, &o->said, &e) : GEMEL_E_STATE;
}

static const toy NOTHING = {.bos = -1,
                            .eos = -1,
                            .eot = -1,
                            .unk = -1,
                            .add_bos = -1,
                            .add_eos = -1,
                            .add_space_prefix = -1,
                            .merges_spaces = -1};

// The 256 letters of the byte-level alphabet, in byte order, and after them the tokens in `more`.
static inline toy byte_toy(const char *pre, const char *const *merges, int n_merges, const char *const *more,
                           int n_more) {
    static char letters[256][4];
    static const char *tokens[512];
    uint32_t next = 256;
    for (int byte = 0; byte < 256; byte++) {
        int is_shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        letters[byte][rune_write(is_shown ? (uint32_t)byte : next++, letters[byte])] = 0;
        tokens[byte] = letters[byte];
    }
    for (int i = 0; i < n_more; i++) tokens[256 + i] = more[i];
    toy v = NOTHING;
    v.model = "gpt2", v.pre = pre, v.tokens = tokens, v.n_tokens = 256 + n_more;
    v.merges = merges, v.n_merges = n_merges;
    return v;
}

// ---- What is asked of a tokenizer ----------------------------------------------------------------------------------

// "1 2 3": the ids of a text, or the error.
static inline const char *encoded(const opened *o, const char *text, int flags) {
    static char shown[500];
    int32_t ids[100];
    int n = tokenizer_encode(o->t, text, strlen(text), flags, ids, 100), at = 0;
    if (n < 0 || n > 100) return gemel_error_name(n);
    shown[0] = 0;
    for (int i = 0; i < n; i++) at += snprintf(shown + at, sizeof shown - (size_t)at, i ? " %d" : "%d", ids[i]);
    return shown;
}

static inline const char *decoded(const opened *o, const int32_t *ids, size_t n, int flags) {
    static char text[500];
    int size = tokenizer_decode(o->t, ids, n, flags, text, sizeof text - 1);
    if (size < 0) return gemel_error_name(size);
    text[size] = 0;
    return text;
}

static inline void check_refused(const toy *v, int code, const char *sentence_part) {
    opened o;
    CHECK_EQ_INT(open_toy(&o, v), code);
    CHECK(o.t == NULL);
    CHECK(strstr(o.err, sentence_part) != NULL);
    if (!strstr(o.err, sentence_part)) printf("    said: %s\n    wanted: %s\n", o.err, sentence_part);
    close_toy(&o);
}
