// Saved sessions in which random bytes were changed, with a checksum that fits: refused, with the session unchanged, or
// restored, and then the results are the same on every instruction set.
//
//   input: type of the cache, length (1) | bytes more or less (1) | changes: place (2), new byte (1)
#define N_LAYER 1
#include "fuzz.h"
#include "../c/llama.h"

enum { N_SAVED = 4, CHECKSUM_AT = 16 };

typedef struct saved {
    uint8_t *at;
    size_t size;
} saved;

static const int LENGTHS[N_SAVED] = {0, 1, 75, 300};   // in a page's first block, its second, in the second page
static const int TYPES[2] = {GEMEL_KV_Q8_0, GEMEL_KV_F16};
static gemel_model *model;
static saved states[2][N_SAVED];

static void make_states(void) {
    choose_ids();
    model = open_model();
    for (int type = 0; type < 2; type++)
        for (int i = 0; i < N_SAVED; i++) {
            kv_type = TYPES[type];
            gemel_session *s = open_session(model);
            saved *to = &states[type][i];
            CHECK_EQ_INT(gemel_session_eval(s, ids, (size_t)LENGTHS[i]), LENGTHS[i]);
            to->size = gemel_session_save_size(s);
            to->at = malloc(to->size);
            CHECK_EQ_INT(gemel_session_save(s, to->at, to->size), 0);
            gemel_session_close(s);
        }
}

static void seal(uint8_t *at, size_t size) {   // the checksum of state.c
    uint64_t h = 0xcbf29ce484222325u, word;
    if (size < CHECKSUM_AT + 8) return;
    memset(at + CHECKSUM_AT, 0, 8);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, at + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    memcpy(at + CHECKSUM_AT, &h, 8);
}

static saved take_state(input *in, int which, int more) {
    const saved *from = &states[which & 1][which >> 1 & 3];
    int wanted = (int)from->size + (int8_t)more;
    size_t size = wanted > 0 ? (size_t)wanted : 1;
    saved s = {malloc(size), size};
    memset(s.at, 0, size);
    memcpy(s.at, from->at, size < from->size ? size : from->size);
    while (left(in)) {
        size_t at = take_size(in, SIZE_MAX) % size;
        s.at[at] = (uint8_t)take(in);
    }
    seal(s.at, size);
    return s;
}

// What follows in a session that was restored: a code and logits, after the next two ids.
static int go_on(const saved *state, int isa, float *logits) {
    CHECK_EQ_INT(gemel_model_set_isa(model, isa), 0);
    gemel_session *s = open_session(model);
    CHECK_EQ_INT(gemel_session_restore(s, state->at, state->size, err, sizeof err), 0);
    int code = gemel_session_eval(s, ids, 2);
    CHECK(code == 2 || code == GEMEL_E_NUMERIC);
    memset(logits, 0, N_VOCAB * sizeof *logits);
    if (code == 2) memcpy(logits, gemel_session_logits(s), N_VOCAB * sizeof *logits);
    gemel_session_close(s);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, data + size};
    float before[N_VOCAB], wanted[N_VOCAB], got[N_VOCAB];
    if (!model) make_states();
    int which = take(&in);
    saved state = take_state(&in, which, take(&in));
    kv_type = TYPES[which & 1];
    gemel_session *s = open_session(model);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    memcpy(before, gemel_session_logits(s), sizeof before);
    err[0] = 0;
    int code = gemel_session_restore(s, state.at, state.size, err, sizeof err);
    if (code < 0) {
        CHECK((code == GEMEL_E_STATE || code == GEMEL_E_CONTEXT) && err[0]);
        CHECK(gemel_session_n_past(s) == 3 && has_logits(s, before));
        int32_t found[N_CTX];
        int n = gemel_session_saved_ids(s, state.at, state.size, found, N_CTX, err, sizeof err);
        for (int i = 0; i < n; i++) CHECK(found[i] >= -1 && found[i] < N_VOCAB);
    } else {
        code = go_on(&state, 0, wanted);
        for (int isa = 1; isa < gemel_isa_count(); isa++) {
            if (!gemel_isa_usable(isa)) continue;
            CHECK_EQ_INT(go_on(&state, isa, got), code);
            CHECK(!memcmp(got, wanted, sizeof got));
        }
    }
    gemel_session_close(s);
    free(state.at);
    return judge();
}
