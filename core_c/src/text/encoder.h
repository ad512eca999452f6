// What tokenizer.c and the text models share: the parts of a tokenizer, and the state of one call.
#pragma once
#include <string.h>
#include "merge.h"
#include "pretok.h"
#include "specials.h"
#include "strips.h"
#include "unicode.h"

#define SPACE_MARK "\xE2\x96\x81"   // U+2581, SentencePiece's sign for a space

struct tokenizer;
typedef struct encoder encoder;
typedef struct byte_sink byte_sink;

// A kind of tokenizer, by tokenizer.ggml.model: one row of the table in tokenizer.c.
typedef struct text_model {
    const char *name;
    int add_bos;                                    // where the file does not say; -1: as the pre-tokenizer says
    int add_eos;                                    // where the file does not say
    int stands_in_if_unknown;                       // the unknown token stands in for bytes only if its kind is UNKNOWN
    vocab_defaults ids;                             // where the file does not say
    int (*begin)(struct tokenizer *t, errors *e);   // before the vocabulary; NULL: nothing
    int (*open)(struct tokenizer *t, errors *e);    // after the vocabulary
    int (*encode)(encoder *c, const char *at, const char *end, int prefixed);   // a stretch without special tokens
    merge (*find_merge)(const void *c, int32_t left, int32_t right);            // c: the encoder
    void (*symbol_bytes)(encoder *c, gguf_span part);   // a part of the vocabulary, taken apart into bytes
    void (*piece)(gguf_span text, byte_sink *out);      // of an ordinary token
    void (*close)(struct tokenizer *t);                 // NULL: nothing
} text_model;

struct tokenizer {
    const text_model *model;
    vocab v;
    merge_table merges;            // BPE only
    int32_t *rank;                 // SentencePiece only: [n] places of scores
    specials always, when_asked;   // USER_DEFINED; and these with CONTROL and UNKNOWN
    uint8_t *strips;               // [n] STRIPS_BEFORE, STRIPS_AFTER; NULL: no token does
    const pretok *pre;             // BPE only; NULL: SentencePiece
    struct unigram *unigram;       // unigram only
    struct world *world;           // RWKV only
    int keeps_case;                // WordPiece only: text keeps its accents and capitals
    int add_space_prefix;          // SentencePiece: a space goes before text that starts or follows a special token
    uint8_t joins_space[256];      // pieces of text: after this byte, a piece may reach into a space
    int32_t unknown;               // the id that stands for what can't be expressed; -1: none
    int32_t byte_id[256];          // the id that is this byte and no more; -1: none
    int32_t symbol[256];           // where merging starts: of a byte, or of an ASCII character
};

// A symbol below zero is a code point (unicode.h: possibly a lone byte) that has no id and is no part.
static inline int32_t symbol_of_code(uint32_t code) { return -1 - (int32_t)code; }
static inline uint32_t code_of_symbol(int32_t symbol) { return (uint32_t)(-1 - symbol); }

typedef struct cached_word {
    uint32_t at, size;    // in the text; size 0: free
    uint32_t ids_at, n;   // in the ids
} cached_word;

typedef struct cached_pair {
    int32_t left, right;
    merge value;
    int is_set;
} cached_pair;

// One call of tokenizer_encode.
struct encoder {
    const struct tokenizer *t;
    const char *text;   // all of it
    int32_t *ids;
    size_t n, capacity;
    merge_scratch scratch;
    cached_word *cache;   // by hash: words of this text, and which ids they became
    size_t cache_mask;
    cached_pair *pairs;   // by hash: pairs that were looked up by text (SentencePiece)
    size_t pairs_mask;
    char *word;        // a word in the byte-level alphabet, as far as word_max
    size_t word_max;   // bytes of the longest text that may be a word of this one
};

int encoder_open(encoder *c, const struct tokenizer *t, const char *text, size_t size);   // close it also on an error
void encoder_close(encoder *c);
// Make room for n more ids. 0 or GEMEL_E_MEMORY.
int encoder_room(encoder *c, size_t n);
static inline void encoder_put(encoder *c, int32_t id) { c->ids[c->n++] = id; }
// Merge the n symbols behind the ids, which have room there, and turn the results into ids, for which it makes room.
int encoder_merge(encoder *c, size_t n);
// Put the bytes of a symbol that has no id.
void encoder_put_bytes(encoder *c, const char *at, size_t size);
// A word's slot in the cache: a hit when its size is not 0. NULL: words of that size are not cached.
cached_word *encoder_cached(encoder *c, const char *at, size_t size);
static inline int encoder_put_cached(encoder *c, const cached_word *word) {
    int rc = encoder_room(c, word->n);
    for (size_t i = 0; i < word->n && !rc; i++) encoder_put(c, c->ids[word->ids_at + i]);
    return rc;
}
// Note that text[at..at+size) became ids[start..n).
static inline void encoder_keep(const encoder *c, cached_word *word, const char *at, size_t size, size_t start) {
    *word = (cached_word){(uint32_t)(at - c->text), (uint32_t)size, (uint32_t)start, (uint32_t)(c->n - start)};
}

// Bytes that come out: counted always, written while there is room.
struct byte_sink {
    char *at;
    size_t size, capacity;
};
static inline void sink_byte(byte_sink *s, char byte) {
    if (s->size < s->capacity) s->at[s->size] = byte;
    s->size++;
}
static inline void sink_bytes(byte_sink *s, const char *at, size_t size) {
    size_t room = s->size < s->capacity ? s->capacity - s->size : 0;
    if (room) memcpy(s->at + s->size, at, size < room ? size : room);
    s->size += size;
}
