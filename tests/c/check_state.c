// Saved sessions that were changed and given a fitting checksum: what no session writes is refused by name, the rest
// gives the same logits on every instruction set.
#define N_LAYER 3
#include "llama.h"
#include "../../core_c/src/kernels/kernels.h"
#include "../../core_c/src/run/session.h"

enum { HEADER = 64, N = 75, MORE = 5 };   // N: a block and 11 positions

typedef struct state {
    uint8_t *at;
    size_t size;
} state;

static state save(gemel_session *s) {
    state saved = {.size = gemel_session_save_size(s)};
    saved.at = malloc(saved.size);
    CHECK_EQ_INT(gemel_session_save(s, saved.at, saved.size), 0);
    return saved;
}

static state saved_at(gemel_model *m, int n) {
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_eval(s, ids, (size_t)n), n);
    state saved = save(s);
    gemel_session_close(s);
    return saved;
}

// Put the checksum of state.c in its place.
static void seal(state *s) {
    uint64_t h = 0xcbf29ce484222325u, word;
    memset(s->at + 16, 0, 8);
    for (size_t i = 0; i + 8 <= s->size; i += 8) {
        memcpy(&word, s->at + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    memcpy(s->at + 16, &h, 8);
}

static int restore(gemel_session *s, state *saved) {
    seal(saved);
    err[0] = 0;
    return gemel_session_restore(s, saved->at, saved->size, err, sizeof err);
}

// Where the KV cache begins, and the first head of layer il.
static size_t kv_start(void) { return HEADER + (N * 4 + 7) / 8 * 8; }
static kv_layout layout_here(void) { return kv_layout_of(kv_type, DIM, DIM); }
static size_t head_size(size_t n) {   // of n positions
    const kv_layout l = layout_here();
    return kv_block_size(&l) * ((n + KV_BLOCK - 1) / KV_BLOCK);
}
static size_t head_at(int il) { return kv_start() + (size_t)il * head_size(N); }

static void change_is_refused(state *saved, size_t at, const void *to, size_t size, gemel_session *s, const char *why) {
    uint8_t before[8];
    memcpy(before, saved->at + at, size);
    memcpy(saved->at + at, to, size);
    CHECK_EQ_INT(restore(s, saved), GEMEL_E_STATE);
    if (!strstr(err, why)) printf("    \"%s\" does not say \"%s\"\n", err, why), CHECK(!"the message names it");
    CHECK_EQ_INT(gemel_session_n_past(s), 3);
    memcpy(saved->at + at, before, size);
}

static void scales_are_refused(state *saved, size_t at, float least, float most, gemel_session *s, const char *why) {
    static const uint32_t never[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f7fffff, 0xff7fffff};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) change_is_refused(saved, at, &never[i], 4, s, why);
    change_is_refused(saved, at, &least, 4, s, why);
    change_is_refused(saved, at, &most, 4, s, why);
}

static void what_no_q8_cache_holds_is_refused_by_name(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    state saved = saved_at(m, N);
    const uint8_t code = 0x80;
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    const kv_layout l = layout_here();
    static const char *const places[] = {"layer 2, head 0, positions 0 to 63", "layer 2, head 0, positions 64 to 74"};
    for (int block = 0; block < 2; block++) {
        size_t at = head_at(2) + (size_t)block * kv_block_size(&l);
        change_is_refused(&saved, at + 5, &code, 1, s, places[block]);
        for (size_t lane = 0; lane < 8; lane++) {
            change_is_refused(&saved, at + lane, &code, 1, s, "a code is -128");
            change_is_refused(&saved, at + kv_v_part(&l) + 8 + lane, &code, 1, s, "a code is -128");
        }
        for (size_t in = 0; in < 11; in += 10) {
            const size_t place = at + 4 * in;
            scales_are_refused(&saved, place + kv_k_scales(&l), -0.0f, 0x1p51f, s, "a key scale is out of range");
            scales_are_refused(&saved, place + kv_log_scales(&l), -108, 52, s, "a value scale is out of range");
            scales_are_refused(&saved, place + kv_inv_scales(&l), 0, 2e32f, s, "a value scale is out of range");
        }
    }
    CHECK_EQ_INT(restore(s, &saved), 0);
    free(saved.at);
    close_both(s, m);
}

static void what_no_f16_cache_holds_is_refused_by_name(void) {
    static const uint16_t never[] = {0x7c00, 0xfc00, 0x7e00, 0xffff};
    kv_type = GEMEL_KV_F16;
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    state saved = saved_at(m, N);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    const kv_layout l = layout_here();
    for (size_t i = 0; i < 4; i++) {
        change_is_refused(&saved, head_at(1) + 2 * i, &never[i], 2, s,
                          "layer 1, head 0, positions 0 to 63: a number is Inf or NaN");
        change_is_refused(&saved, head_at(1) + kv_block_size(&l) + kv_v_at(&l, 10) + 2 * i, &never[i], 2, s,
                          "layer 1, head 0, positions 64 to 74: a number is Inf or NaN");
    }
    CHECK_EQ_INT(restore(s, &saved), 0);
    free(saved.at);
    close_both(s, m);
    kv_type = GEMEL_KV_Q8_0;
}

static void logits_and_headers_that_no_session_has_are_refused(void) {
    static const uint32_t never[] = {0x7f800000, 0xff800000, 0x7fc00000};
    gemel_model *m = open_model();
    gemel_session *s = open_session(m), *empty = open_session(m);
    state saved = saved_at(m, N), of_none = save(empty);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    for (size_t i = 0; i < 3; i++)
        change_is_refused(&saved, saved.size - 4 * 7, &never[i], 4, s, "a logit is Inf or NaN");
    change_is_refused(&saved, 60, "x", 1, s, "damaged");
    of_none.at = realloc(of_none.at, of_none.size + N_VOCAB * 4);
    memset(of_none.at + of_none.size, 0, N_VOCAB * 4);
    of_none.size += N_VOCAB * 4;
    of_none.at[28] = 1;   // logits of no token
    CHECK_EQ_INT(restore(s, &of_none), GEMEL_E_STATE);
    CHECK_EQ_INT(gemel_session_n_past(s), 3);
    free(saved.at), free(of_none.at);
    gemel_session_close(empty);
    close_both(s, m);
}

// In the last block, behind the last position, a saved session has zeros; other bytes are not restored.
static void check_what_lies_behind(void) {
    gemel_model *m = open_model();
    state saved = saved_at(m, N), longer = saved_at(m, N + MORE);
    float wanted[N_VOCAB];
    logits_of(m, N + MORE, wanted);
    size_t head = head_size(N), from = kv_start(), longer_from = HEADER + ((N + MORE) * 4 + 7) / 8 * 8;
    CHECK_EQ_INT(head_size(N + MORE), head);
    state forged = {malloc(saved.size), saved.size};
    memcpy(forged.at, saved.at, saved.size);
    memcpy(forged.at + from, longer.at + longer_from, head * N_LAYER);
    CHECK(memcmp(forged.at, saved.at, saved.size));
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(restore(s, &forged), 0);
    for (size_t il = 0; il < N_LAYER; il++)
        for (size_t page = 0, size = s->kv.tables[0].block_size; page * KV_PAGE < N; page++)
            CHECK(!memcmp(kv_block_at(&s->kv, 0, (int)il, (int)page * KV_PAGE),
                          saved.at + from + il * head + page * size, size));
    state again = save(s);
    CHECK(again.size == saved.size && !memcmp(again.at, saved.at, saved.size));
    CHECK_EQ_INT(gemel_session_eval(s, ids + N, MORE), MORE);
    CHECK(has_logits(s, wanted));
    free(saved.at), free(longer.at), free(forged.at), free(again.at);
    close_both(s, m);
}
static void bytes_behind_the_last_position_are_not_restored(void) {
    check_what_lies_behind();
    kv_type = GEMEL_KV_F16;
    check_what_lies_behind();
    kv_type = GEMEL_KV_F32;
    check_what_lies_behind();
    kv_type = GEMEL_KV_Q8_0;
}

// What a state gives on an instruction set: a code, and logits.
static int outcome(gemel_model *m, state *saved, int isa, float *logits) {
    gemel_session *s = open_session(m);
    memset(logits, 0, N_VOCAB * sizeof *logits);
    CHECK_EQ_INT(gemel_model_set_isa(m, isa), 0);
    int code = gemel_session_restore(s, saved->at, saved->size, err, sizeof err);
    if (code == 0) code = gemel_session_eval(s, ids + N, MORE);
    if (code >= 0) memcpy(logits, gemel_session_logits(s), N_VOCAB * sizeof *logits);
    gemel_session_close(s);
    return code;
}

static void check_changed_bytes(void) {
    gemel_model *m = open_model();
    state saved = saved_at(m, N);
    uint64_t rng = 21;
    int taken = 0;
    for (int round = 0; round < 400; round++) {
        size_t at = check_random(&rng) % saved.size;
        uint8_t before = saved.at[at], change = (uint8_t)(1 + check_random(&rng) % 255);
        if (round < 64) at = (size_t)round, before = saved.at[at];   // each of the header
        saved.at[at] ^= round % 3 == 1 ? 0x80 : change;
        float wanted[N_VOCAB], got[N_VOCAB];
        seal(&saved);
        int code = outcome(m, &saved, 0, wanted);
        taken += code == MORE;
        for (int isa = 1; isa < isa_count(); isa++) {
            if (!isa_at(isa)->usable()) continue;
            CHECK_EQ_INT(outcome(m, &saved, isa, got), code);
            CHECK(!memcmp(got, wanted, sizeof got));
        }
        saved.at[at] = before;
    }
    CHECK(taken > 100);
    free(saved.at);
    gemel_model_close(m);
}
static void changed_bytes_give_the_same_on_every_isa(void) { check_changed_bytes(); }
static void changed_bytes_give_the_same_on_every_isa_over_f16(void) {
    kv_type = GEMEL_KV_F16;
    check_changed_bytes();
    kv_type = GEMEL_KV_Q8_0;
}
static void changed_bytes_give_the_same_on_every_isa_over_f32(void) {
    kv_type = GEMEL_KV_F32;
    check_changed_bytes();
    kv_type = GEMEL_KV_Q8_0;
}

// Of the header: the last character of its mark, which counts layouts, and the number of the bits.
static void what_another_version_saved_gives_its_ids(void) {
    enum { LAYOUT_AT = 7, BITS_AT = 52 };
    static const size_t places[] = {LAYOUT_AT, BITS_AT};
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    int32_t found[N] = {0};
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        state saved = saved_at(m, N);
        CHECK_EQ_INT(gemel_session_saved_elsewhere(saved.at, saved.size), 0);
        saved.at[places[i]]++;
        seal(&saved);
        CHECK_EQ_INT(gemel_session_saved_elsewhere(saved.at, saved.size), 1);
        CHECK_EQ_INT(gemel_session_restore(s, saved.at, saved.size, err, sizeof err), GEMEL_E_STATE);
        CHECK(strstr(err, "another version of gemel"));
        CHECK_EQ_INT(gemel_session_saved_ids(s, saved.at, saved.size, NULL, 0, err, sizeof err), N);
        CHECK_EQ_INT(gemel_session_saved_ids(s, saved.at, saved.size, found, N, err, sizeof err), N);
        CHECK(!memcmp(found, ids, sizeof found));
        const int32_t none = -1;   // an embedding
        memcpy(saved.at + HEADER + 4, &none, 4);
        CHECK_EQ_INT(gemel_session_saved_ids(s, saved.at, saved.size, found, N, err, sizeof err), GEMEL_E_STATE);
        CHECK(strstr(err, "its checksum differs"));
        seal(&saved);
        CHECK_EQ_INT(gemel_session_saved_ids(s, saved.at, saved.size, found, N, err, sizeof err), GEMEL_E_STATE);
        CHECK(strstr(err, "position 1 is an embedding"));
        saved.at[LAYOUT_AT] = '3';   // before the first release
        CHECK_EQ_INT(gemel_session_saved_elsewhere(saved.at, saved.size), 0);
        CHECK_EQ_INT(gemel_session_saved_ids(s, saved.at, HEADER - 1, found, N, err, sizeof err), GEMEL_E_STATE);
        free(saved.at);
    }
    CHECK_EQ_INT(gemel_session_n_past(s), 3);
    close_both(s, m);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(what_no_q8_cache_holds_is_refused_by_name),
        CHECK_ENTRY(what_no_f16_cache_holds_is_refused_by_name),
        CHECK_ENTRY(logits_and_headers_that_no_session_has_are_refused),
        CHECK_ENTRY(bytes_behind_the_last_position_are_not_restored),
        CHECK_ENTRY(what_another_version_saved_gives_its_ids),
        CHECK_ENTRY(changed_bytes_give_the_same_on_every_isa),
        CHECK_ENTRY(changed_bytes_give_the_same_on_every_isa_over_f16),
        CHECK_ENTRY(changed_bytes_give_the_same_on_every_isa_over_f32),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
