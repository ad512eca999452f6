// The vocabulary of a file: texts of ids, their kinds, the ids with a role, and look-ups from text to id. Checks every
// claim of the file. Knows neither how text is split nor how pieces merge.
#pragma once
#include "../file/gguf.h"

// The most slots that a look-up passes over: a vocabulary whose hashes collide on purpose is refused when it is read.
enum { MAX_PROBES = 512 };

typedef struct vocab_slot {
    uint32_t hash;
    int32_t id;   // -1: free
} vocab_slot;

// Roles of a file that lacks their keys; -1: none. The ids count only where the vocabulary has them.
typedef struct vocab_defaults {
    int32_t bos, eos, unk;
    const char *bos_key, *eos_key;   // keys that take precedence over those of BOS and EOS; NULL: none
} vocab_defaults;

typedef struct vocab {
    const gguf *g;
    warnings *said;    // while it opens; NULL: the host wants none
    int tokens;        // index of tokenizer.ggml.tokens
    int32_t n;         // ids are 0..n-1
    uint8_t *kind;     // [n] gemel_token_kind
    uint8_t *eog;      // [n] 1 where a generation ends
    int32_t role[6];   // GEMEL_MODEL_BOS .. GEMEL_MODEL_ADD_EOS; -1: none; of flags: the file does not say
    size_t longest;    // bytes of the longest text
    // Parts are texts between merges that have no id. They are numbered from n on.
    int32_t n_parts;
    char *part_text;   // their texts, end to end
    size_t part_used, part_room;
    size_t *part_end;   // [n_parts] where each ends in part_text
    size_t part_end_room;
    vocab_slot *slots;   // open addressing; the count is a power of two
    uint32_t mask, used;
} vocab;

// v->said is set, all else is zero.
int vocab_open(vocab *v, const gguf *g, vocab_defaults defaults, errors *e);
void vocab_close(vocab *v);                         // also of a vocab that failed to open
gguf_span vocab_text(const vocab *v, int32_t id);   // of an id or a part
// The id or part of a text that merging may produce (NORMAL, USER_DEFINED, UNUSED, parts); -1: none.
int32_t vocab_find(const vocab *v, const char *at, size_t size);
// The same for a text in two halves.
int32_t vocab_find_joined(const vocab *v, gguf_span left, gguf_span right);
// The id of a text of the other kinds (CONTROL, UNKNOWN, BYTE); -1: none.
int32_t vocab_find_marker(const vocab *v, const char *at, size_t size);
// The index of the scores, one for each id, none NaN. `model` needs them.
int vocab_scores(const vocab *v, const char *model, int *index, errors *e);
// Number a new part. Returns it, or an error.
int32_t vocab_add_part(vocab *v, const char *at, size_t size, errors *e);
static inline int vocab_role(const vocab *v, int field) { return v->role[field - GEMEL_MODEL_BOS]; }
static inline int kind_is_plain(int kind) {
    return kind == GEMEL_TOKEN_NORMAL || kind == GEMEL_TOKEN_USER_DEFINED || kind == GEMEL_TOKEN_UNUSED;
}
