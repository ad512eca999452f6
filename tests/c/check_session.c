// The loader and the session through gemel.h alone, on a llama of one layer that is written here: valid pieces, errors
// of wrong files, what a session keeps and refuses.
#define N_LAYER 1
#define _DEFAULT_SOURCE
#include "llama.h"
#include "../../core_c/src/forward/workspace.h"
#include "../../core_c/src/fmath.h"
#include "../../core_c/src/memory.h"
#include "../../core_c/src/run/session.h"

#if defined __linux__ && !defined __SANITIZE_ADDRESS__
#include <sys/resource.h>
#include <unistd.h>
#endif

enum { LONG = 300 };

// ---- The loader ----------------------------------------------------------------------------------------------------

static void pieces_of_any_size_give_the_same_model(void) {
    file f = write_file(-1, -1);
    gemel_model *whole = open_model();
    float wanted[N_VOCAB];
    logits_of(whole, 50, wanted);
    for (uint64_t seed = 0; seed < 8; seed++) {
        uint64_t rng = seed;
        gemel_loader *l;
        size_t most = seed ? (size_t)1 << seed : 1;
        CHECK_EQ_INT(gemel_loader_open((double)f.b.n, &l, err, sizeof err), 0);
        for (size_t at = 0, n; !gemel_loader_gguf(l) && at < f.b.n; at += n) {
            n = (size_t)(check_random(&rng) % most) + 1;
            CHECK_EQ_INT(feed(l, &f, at, at + n < f.b.n ? at + n : f.b.n), 0);
        }
        CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
        for (size_t at = 0, n; at < f.b.n; at += n) {
            n = (size_t)(check_random(&rng) % (most * 8)) + 1;
            CHECK_EQ_INT(feed(l, &f, at, at + n < f.b.n ? at + n : f.b.n), 0);
        }
        gemel_model *m = finish(l);
        float got[N_VOCAB];
        logits_of(m, 50, got);
        CHECK(!memcmp(got, wanted, sizeof got));
        gemel_model_close(m);
    }
    gemel_model_close(whole);
    free(f.b.at);
}

static void tensors_arrive_in_any_order(void) {
    file f = write_file(-1, -1);
    gemel_model *whole = open_model();
    gemel_loader *l;
    float wanted[N_VOCAB], got[N_VOCAB];
    CHECK_EQ_INT(begin(&l, &f), 0);
    for (int i = 0; i < N_TENSORS; i++) CHECK_EQ_INT(feed(l, &f, f.start[i], f.start[i] + f.size[i] / 2), 0);
    for (int i = N_TENSORS - 1; i >= 0; i--)
        CHECK_EQ_INT(feed(l, &f, f.start[i] + f.size[i] / 2, f.start[i] + f.size[i]), 0);
    gemel_model *m = finish(l);
    logits_of(whole, 20, wanted);
    logits_of(m, 20, got);
    CHECK(!memcmp(got, wanted, sizeof got));
    gemel_model_close(m);
    gemel_model_close(whole);
    free(f.b.at);
}

static void bytes_repeated_or_skipped_within_a_tensor_are_refused(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    size_t at = f.start[2];
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed(l, &f, at, at + 40), 0);
    CHECK_EQ_INT(feed(l, &f, at + 36, at + 80), GEMEL_E_ARGUMENT);
    CHECK(strstr(err, "blk.0.attn_q.weight") != NULL);
    CHECK_EQ_INT(feed(l, &f, at + 44, at + 80), GEMEL_E_ARGUMENT);
    gemel_loader_close(l);
    CHECK_EQ_INT(gemel_loader_open((double)f.b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(feed(l, &f, 0, 20), 0);
    CHECK_EQ_INT(feed(l, &f, 24, 60), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_feed(l, 20, f.b.at, f.b.n, err, sizeof err), GEMEL_E_ARGUMENT);   // past the file's end
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), GEMEL_E_ARGUMENT);
    gemel_loader_close(l);
    free(f.b.at);
}

static void missing_and_misshapen_tensors_are_named(void) {
    for (int i = 0; i < N_TENSORS - 1; i++)   // the last, output.weight, may be token_embd's twin
        for (int is_wider = 0; is_wider < 2; is_wider++) {
            file f = write_file(is_wider ? -1 : i, is_wider ? i : -1);
            gemel_loader *l;
            CHECK_EQ_INT(begin(&l, &f), GEMEL_E_FORMAT);
            CHECK(strstr(err, SHAPES[i].name) != NULL);
            gemel_loader_close(l);
            free(f.b.at);
        }
}

static void incomplete_tensors_are_named(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    gemel_model *m;
    CHECK_EQ_INT(begin(&l, &f), 0);
    for (int i = 0; i < N_TENSORS; i++)
        if (i != 7) CHECK_EQ_INT(feed_tensor(l, &f, i), 0);
    CHECK_EQ_INT(feed(l, &f, f.start[7], f.start[7] + f.size[7] - 1), 0);
    CHECK_EQ_INT(gemel_loader_finish(l, &m, err, sizeof err), GEMEL_E_FORMAT);
    CHECK(strstr(err, SHAPES[7].name) != NULL);
    CHECK(!m);
    gemel_loader_close(l);
    free(f.b.at);
}

static void a_model_with_a_refused_tensor_cannot_be_finished(
    void) {   // however the pieces fall: 16 rows of token_embd are 1024 bytes
    file f = write_file(-1, -1);
    static const size_t pieces[] = {16, 1024, 4096};
    memset(f.b.at + f.start[0] + 40, 0xff, 4);
    for (size_t k = 0; k < 3; k++) {
        gemel_loader *l;
        gemel_model *m;
        int worst = 0;
        CHECK_EQ_INT(begin(&l, &f), 0);
        for (size_t at = f.start[0]; at < f.b.n; at += pieces[k]) {
            int code = feed(l, &f, at, at + pieces[k] < f.b.n ? at + pieces[k] : f.b.n);
            worst = worst ? worst : code;
        }
        CHECK_EQ_INT(worst, GEMEL_E_FORMAT);
        CHECK(gemel_loader_finish(l, &m, err, sizeof err) < 0);
        gemel_model_close(m);
        gemel_loader_close(l);
    }
    free(f.b.at);
}

static void heads_over_the_limit_are_refused(void) {   // the width follows from others: no key says it
    bytes b = {NULL, 0, 0, 0};
    gemel_loader *l;
    put(&b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    put_keys(&b, 1, 64);
    memcpy(b.at + 16, &b.n_kv, 8);
    for (size_t i = 0; i + 22 < b.n; i++) {
        uint32_t wide = 2048;
        if (!memcmp(b.at + i, "llama.embedding_length", 22)) memcpy(b.at + i + 26, &wide, 4);
    }
    while (b.n % 32) put(&b, "", 1);
    CHECK_EQ_INT(gemel_loader_open((double)b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, b.at, b.n, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), GEMEL_E_FORMAT);
    CHECK(!strstr(err, "token_embd"));   // it is missing, too, but that is found later
    gemel_loader_close(l);
    free(b.at);
}

// ---- The workspace -------------------------------------------------------------------------------------------------

static void embeddings_of_layers_take_more_bytes_than_an_int_counts(void) {
    gemel_model m = {.n_batch = N_BATCH_MAX, .n_embd = 32, .n_per_layer = 1 << 16, .n_layer = 4096};
    size_t size = workspace_size(&m, 1), floats = (size_t)m.n_per_layer * (size_t)m.n_layer;
    int overflow = 0;
    size_t least = memory_times(memory_times(floats, N_BATCH_MAX, &overflow), sizeof(float), &overflow);
    CHECK(overflow ? size == 0 : size > least);
}

static void one_row_of_logits_is_enough_where_memory_is_short(void) {
#if defined __linux__ && !defined __SANITIZE_ADDRESS__
    gemel_model m = {.n_batch = 1, .n_embd = 32, .n_threads = 1, .output.w.n_panels = 1 << 20};   // a row takes 64 MB
    struct rlimit before, now;
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%zu", &pages) == 1);
    if (f) fclose(f);
    CHECK_EQ_INT(getrlimit(RLIMIT_AS, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (256u << 20);
    CHECK_EQ_INT(setrlimit(RLIMIT_AS, &now), 0);
    void *volatile more = malloc((size_t)512 << 20);
    int is_limited = !more, code = workspace_open(&m, 0, 1, ROWS_AT_ONCE);
    free(more);
    CHECK_EQ_INT(setrlimit(RLIMIT_AS, &before), 0);
    CHECK_EQ_INT(code, 0);
    if (code) return;
    if (!is_limited) {
        workspace_close(&m);
        CHECK_SKIP("the system does not keep the limit");
    }
    CHECK_EQ_INT(m.workspace->n_logits, 1);
    CHECK_EQ_INT(workspace_open(&m, 0, 1, ROWS_AT_ONCE), 0);
    CHECK_EQ_INT(m.workspace->n_logits, ROWS_AT_ONCE);
    workspace_close(&m);
#else
    CHECK_SKIP("memory is limited on Linux");
#endif
}

static void a_finished_loader_can_only_be_closed(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    gemel_model *m, *none;
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    CHECK_EQ_INT(gemel_loader_finish(l, &m, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_finish(l, &none, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), GEMEL_E_ARGUMENT);
    gemel_loader_close(l);
    gemel_model_close(m);
    free(f.b.at);
}

// ---- The timeline --------------------------------------------------------------------------------------------------

static void sync_keeps_the_common_prefix(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    int32_t other[40];
    memcpy(other, ids, sizeof other);
    other[25] = (other[25] + 1) % N_VOCAB;
    CHECK_EQ_INT(gemel_session_sync(s, ids, 40), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 40), 40);
    CHECK_EQ_INT(gemel_session_sync(s, ids, 40), 40);   // it has its logits
    CHECK_EQ_INT(gemel_session_sync(s, ids, 60), 40);
    CHECK(gemel_session_logits(s) != NULL);
    CHECK_EQ_INT(gemel_session_sync(s, other, 40), 25);
    CHECK_EQ_INT(gemel_session_n_past(s), 25);
    CHECK(!gemel_session_logits(s));
    CHECK_EQ_INT(gemel_session_sync(s, ids, 10), 9);   // the last id's logits are not
    CHECK(!memcmp(gemel_session_ids(s), ids, 9 * sizeof *ids));
    CHECK_EQ_INT(gemel_session_sync(s, NULL, 0), 0);
    close_both(s, m);
}

static void a_session_cut_back_gives_the_logits_of_a_new_one(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    float wanted[N_VOCAB];
    static const int cuts[] = {0, 1, 15, 16, 17, 255, 256, 257, LONG};
    logits_of(m, LONG + 1, wanted);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
        CHECK_EQ_INT(gemel_session_eval(s, ids, LONG), LONG);
        CHECK_EQ_INT(gemel_session_truncate(s, cuts[i]), 0);
        CHECK_EQ_INT(gemel_session_eval(s, ids + cuts[i], (size_t)(LONG + 1 - cuts[i])), LONG + 1 - cuts[i]);
        CHECK(has_logits(s, wanted));
    }
    CHECK_EQ_INT(gemel_session_truncate(s, LONG + 2), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_truncate(s, -1), GEMEL_E_ARGUMENT);
    close_both(s, m);
}

static void tokens_over_n_ctx_are_refused_and_change_nothing(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    float before[N_VOCAB];
    gemel_session *none;
    CHECK_EQ_INT(gemel_session_open(m, N_CTX + 1, &none), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_open(m, 0, &none), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_eval(s, ids, N_CTX - 2), N_CTX - 2);
    memcpy(before, gemel_session_logits(s), sizeof before);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_session_eval(s, ids, N_CTX), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_session_n_past(s), N_CTX - 2);
    CHECK(has_logits(s, before));
    CHECK_EQ_INT(gemel_session_eval(s, ids, 2), 2);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 1), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 0), 0);
    close_both(s, m);
}

static void ids_out_of_range_are_refused_and_change_nothing(void) {
    static const int32_t wrong[] = {-1, N_VOCAB, INT32_MIN, INT32_MAX};
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    int32_t some[5] = {1, 2, 3, 4, 5};
    CHECK_EQ_INT(gemel_session_eval(s, some, 5), 5);
    for (int i = 0; i < 4; i++) {
        some[4] = wrong[i];
        CHECK_EQ_INT(gemel_session_eval(s, some, 5), GEMEL_E_ARGUMENT);
        CHECK_EQ_INT(gemel_session_score(s, some, 5, NULL, NULL), GEMEL_E_ARGUMENT);
        CHECK_EQ_INT(gemel_session_n_past(s), 5);
        CHECK(gemel_session_logits(s) != NULL);
    }
    close_both(s, m);
}

static void a_prompt_in_parts_needs_logits_only_at_its_end(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    float wanted[N_VOCAB];
    logits_of(m, 20, wanted);
    CHECK_EQ_INT(gemel_session_fill(s, ids, 7), 7);
    CHECK(gemel_session_logits(s) == NULL);
    CHECK_EQ_INT(gemel_session_sync(s, ids, 7), 6);   // so its last id is evaluated again
    CHECK_EQ_INT(gemel_session_fill(s, ids + 6, 5), 5);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 11, 9), 9);
    CHECK(has_logits(s, wanted));
    CHECK_EQ_INT(gemel_session_fill(s, ids, 0), 0);
    CHECK(has_logits(s, wanted));
    close_both(s, m);
}

static void a_cancelled_session_waits_until_it_is_switched_on(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    float wanted[N_VOCAB];
    logits_of(m, 20, wanted);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 10), 10);
    gemel_session_cancel(s, 1);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 10, 10), GEMEL_E_CANCELLED);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 10, 10), GEMEL_E_CANCELLED);
    CHECK_EQ_INT(gemel_session_n_past(s), 10);
    gemel_session_cancel(s, 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 10, 10), 10);
    CHECK(has_logits(s, wanted));
    close_both(s, m);
}

static gemel_session *to_cancel;
static int norms_seen;
static const kernels *own;
static int cancelling_norm(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    gemel_session_cancel(to_cancel, 1);
    norms_seen++;
    return own->norm[NORM_RMS](x, w, b, n, eps, y);
}

static void a_cancellation_stops_a_pass_after_its_layer(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    float wanted[N_VOCAB], before[N_VOCAB];
    logits_of(m, 20, wanted);
    logits_of(m, 10, before);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 10), 10);
    own = m->k;
    kernels hooked = *own;
    hooked.norm[NORM_RMS] = cancelling_norm;
    m->k = &hooked;
    to_cancel = s;
    norms_seen = 0;
    CHECK_EQ_INT(gemel_session_eval(s, ids + 10, 1), GEMEL_E_CANCELLED);
    m->k = own;
    CHECK_EQ_INT(norms_seen, 2);   // of one layer
    CHECK_EQ_INT(gemel_session_n_past(s), 10);
    CHECK(has_logits(s, before));   // as if it had not begun
    gemel_session_cancel(s, 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 10, 10), 10);
    CHECK(has_logits(s, wanted));
    close_both(s, m);
}

static void scores_are_those_of_the_logits_of_eval(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m), *one = open_session(m);
    static double log_probs[LONG];
    static int32_t top[LONG];
    CHECK_EQ_INT(gemel_session_score(s, ids, LONG, log_probs, top), LONG);
    CHECK(log_probs[0] == 0 && top[0] == -1);
    for (int i = 0; i + 1 < LONG; i++) {
        double sum = 0, best = 0;
        int32_t likeliest = 0;
        CHECK_EQ_INT(gemel_session_eval(one, ids + i, 1), 1);
        const float *logits = gemel_session_logits(one);
        for (int id = 1; id < N_VOCAB; id++)
            if (logits[id] > logits[likeliest]) likeliest = id;
        best = (double)logits[likeliest];
        for (int id = 0; id < N_VOCAB; id++) sum += fm_exp((double)logits[id] - best);
        double off = (double)logits[ids[i + 1]] - best - fm_log(sum) - log_probs[i + 1];
        CHECK(off < 1e-5 && off > -1e-5);
        CHECK_EQ_INT(top[i + 1], likeliest);
        CHECK_EQ_INT(gemel_session_log_probs(one, &ids[i + 1], 1, &best), 0);
        CHECK(best == log_probs[i + 1]);
    }
    CHECK_EQ_INT(gemel_session_eval(one, ids + LONG - 1, 1), 1);
    CHECK(has_logits(one, gemel_session_logits(s)));
    CHECK_EQ_INT(gemel_session_truncate(s, 10), 0);
    CHECK_EQ_INT(gemel_session_score(s, ids, 5, log_probs, top), GEMEL_E_ARGUMENT);   // what predicts the first is gone
    gemel_session_close(one);
    close_both(s, m);
}

static void likeliest_ids_rank_by_logit_and_then_by_id(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    int32_t found[N_VOCAB], all = N_VOCAB < 256 ? N_VOCAB : 256;
    double log_probs[N_VOCAB];
    CHECK_EQ_INT(gemel_session_likeliest(s, found, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_log_probs(s, ids, 1, log_probs), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 5), 5);
    s->logits[3] = s->logits[7] = 1e3f;
    CHECK_EQ_INT(gemel_session_likeliest(s, found, (size_t)all), all);
    CHECK(found[0] == 3 && found[1] == 7);
    CHECK_EQ_INT(gemel_session_log_probs(s, found, (size_t)all, log_probs), 0);
    CHECK(log_probs[0] == log_probs[1]);
    for (int i = 1; i < all; i++) {
        CHECK(log_probs[i - 1] >= log_probs[i]);
        CHECK(s->logits[found[i - 1]] > s->logits[found[i]] || found[i - 1] < found[i]);
    }
    for (int32_t n = 1; n < all; n++) {
        int32_t some[N_VOCAB];
        CHECK_EQ_INT(gemel_session_likeliest(s, some, (size_t)n), n);
        CHECK(!memcmp(some, found, (size_t)n * sizeof *some));
    }
    CHECK_EQ_INT(gemel_session_likeliest(s, found, 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_likeliest(s, found, N_VOCAB + 257), GEMEL_E_ARGUMENT);
    int32_t outside[] = {0, -1, N_VOCAB};
    CHECK_EQ_INT(gemel_session_log_probs(s, outside, 2, log_probs), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_log_probs(s, outside + 2, 1, log_probs), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_log_probs(s, NULL, 0, NULL), 0);
    close_both(s, m);
}

// ---- Saved sessions ------------------------------------------------------------------------------------------------

static uint8_t *save(gemel_session *s, size_t *size) {
    *size = gemel_session_save_size(s);
    uint8_t *state = malloc(*size);
    CHECK_EQ_INT(gemel_session_save(s, state, *size - 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_save(s, state, *size), 0);
    return state;
}

static void a_restored_session_goes_on_to_the_same_logits(void) {
    static const int places[] = {0, 1, 16, 31, 256, LONG};
    gemel_model *m = open_model();
    gemel_session *other = open_session(m);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        gemel_session *s = open_session(m);
        size_t size, n = (size_t)places[i];
        float wanted[N_VOCAB];
        CHECK_EQ_INT(gemel_session_eval(s, ids, n), n);
        uint8_t *state = save(s, &size);
        CHECK_EQ_INT(gemel_session_restore(other, state, size, err, sizeof err), 0);
        CHECK_EQ_INT(gemel_session_n_past(other), n);
        CHECK(!memcmp(gemel_session_ids(other), ids, n * sizeof *ids));
        CHECK(n ? has_logits(other, gemel_session_logits(s)) : !gemel_session_logits(other));
        CHECK_EQ_INT(gemel_session_eval(other, ids + n, 5), 5);
        logits_of(m, n + 5, wanted);
        CHECK(has_logits(other, wanted));
        free(state);
        gemel_session_close(s);
    }
    close_both(other, m);
}

static void equal_timelines_save_equal_bytes(void) {
    gemel_model *m = open_model();
    gemel_session *straight = open_session(m), *cut = open_session(m);
    size_t n, n_cut;
    CHECK_EQ_INT(gemel_session_eval(straight, ids, 20), 20);
    CHECK_EQ_INT(gemel_session_eval(cut, ids, 31), 31);
    CHECK_EQ_INT(gemel_session_truncate(cut, 19), 0);
    CHECK_EQ_INT(gemel_session_eval(cut, ids + 19, 1), 1);
    uint8_t *state = save(straight, &n), *of_cut = save(cut, &n_cut);
    CHECK(n == n_cut && !memcmp(state, of_cut, n));
    free(state);
    free(of_cut);
    gemel_session_close(cut);
    close_both(straight, m);
}

static void a_state_of_another_kv_type_is_refused(void) {
    static const int types[] = {GEMEL_KV_F16, GEMEL_KV_Q8_0, GEMEL_KV_F32};
    static const char *const messages[] = {"is f16, but this session's is q8_0", "is q8_0, but this session's is f32",
                                           "is f32, but this session's is f16"};
    gemel_model *m = open_model();
    for (int i = 0; i < 3; i++) {
        gemel_session *s, *other;
        size_t size;
        kv_type = types[i], s = open_session(m);
        kv_type = types[(i + 1) % 3], other = open_session(m);
        CHECK_EQ_INT(gemel_session_eval(s, ids, 21), 21);
        CHECK_EQ_INT(gemel_session_eval(other, ids, 3), 3);
        uint8_t *state = save(s, &size);
        CHECK_EQ_INT(gemel_session_restore(other, state, size, err, sizeof err), GEMEL_E_STATE);
        CHECK(strstr(err, messages[i]));
        CHECK_EQ_INT(gemel_session_n_past(other), 3);
        free(state);
        gemel_session_close(other);
        gemel_session_close(s);
    }
    kv_type = GEMEL_KV_Q8_0;
    gemel_model_close(m);
}

static void a_kv_type_is_chosen_while_a_session_is_empty(void) {
    gemel_model *m = open_model();
    gemel_session *s;
    float f16[N_VOCAB], q8[N_VOCAB], f32[N_VOCAB];
    CHECK_EQ_INT(gemel_session_open(m, N_CTX, &s), 0);
    CHECK_EQ_INT(gemel_session_kv_type(s), GEMEL_KV_Q8_0);
    static const int wrong[] = {-2, 2, 7, 9, INT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, wrong[i]), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_set(s, 2, GEMEL_KV_F16), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_kv_type(s), GEMEL_KV_Q8_0);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_F16), 0);
    CHECK_EQ_INT(gemel_session_kv_type(s), GEMEL_KV_F16);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 30), 30);
    memcpy(f16, gemel_session_logits(s), sizeof f16);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_Q8_0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_Q8_0), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 30), 30);
    memcpy(q8, gemel_session_logits(s), sizeof q8);
    CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_F32), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 30), 30);
    memcpy(f32, gemel_session_logits(s), sizeof f32);
    double of_q8 = 0, of_f16 = 0;
    for (int i = 0; i < N_VOCAB; i++) {
        of_q8 += (double)(q8[i] - f32[i]) * (double)(q8[i] - f32[i]);
        of_f16 += (double)(f16[i] - f32[i]) * (double)(f16[i] - f32[i]);
    }
    CHECK(of_q8 > of_f16 && of_q8 < 1e-2 && of_f16 > 0 && of_f16 < 1e-4);
    close_both(s, m);
}

static void damaged_states_are_refused_and_change_nothing(void) {
    enum { HEADER = 64 };
    gemel_model *m = open_model();
    gemel_session *s = open_session(m), *other = open_session(m);
    float before[N_VOCAB];
    size_t size;
    CHECK_EQ_INT(gemel_session_eval(s, ids, 21), 21);
    CHECK_EQ_INT(gemel_session_eval(other, ids, 3), 3);
    memcpy(before, gemel_session_logits(other), sizeof before);
    uint8_t *state = save(s, &size);
    for (size_t i = 0; i < size; i += i < HEADER ? 1 : 23) {
        for (int change = 1; change < 256; change += i < HEADER ? 1 : 60) {
            state[i] ^= (uint8_t)change;
            CHECK(gemel_session_restore(other, state, size, err, sizeof err) < 0);
            state[i] ^= (uint8_t)change;
        }
    }
    for (size_t n = 0; n < size; n += n < 2 * HEADER ? 1 : 97)
        CHECK_EQ_INT(gemel_session_restore(other, state, n, err, sizeof err), GEMEL_E_STATE);
    CHECK_EQ_INT(gemel_session_n_past(other), 3);
    CHECK(has_logits(other, before));
    gemel_session *small;
    CHECK_EQ_INT(gemel_session_open(m, 20, &small), 0);
    CHECK_EQ_INT(gemel_session_set(small, GEMEL_SESSION_KV_TYPE, kv_type), 0);
    CHECK_EQ_INT(gemel_session_restore(small, state, size, err, sizeof err), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_session_restore(other, state, size, err, sizeof err), 0);
    free(state);
    gemel_session_close(small);
    gemel_session_close(other);
    close_both(s, m);
}

// Checks that depend on the cache's layout, with the other type.
#define IN_THE_OTHER_TYPE(check)                                                                                       \
    static void check##_in_the_other_kv_type(void) {                                                                   \
        kv_type = GEMEL_KV_F16 + GEMEL_KV_Q8_0 - GEMEL_KV_Q8_0;                                                        \
        check();                                                                                                       \
        kv_type = GEMEL_KV_Q8_0;                                                                                       \
    }
IN_THE_OTHER_TYPE(a_session_cut_back_gives_the_logits_of_a_new_one)
IN_THE_OTHER_TYPE(a_restored_session_goes_on_to_the_same_logits)
IN_THE_OTHER_TYPE(equal_timelines_save_equal_bytes)
IN_THE_OTHER_TYPE(damaged_states_are_refused_and_change_nothing)

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(pieces_of_any_size_give_the_same_model),
        CHECK_ENTRY(tensors_arrive_in_any_order),
        CHECK_ENTRY(bytes_repeated_or_skipped_within_a_tensor_are_refused),
        CHECK_ENTRY(missing_and_misshapen_tensors_are_named),
        CHECK_ENTRY(incomplete_tensors_are_named),
        CHECK_ENTRY(a_model_with_a_refused_tensor_cannot_be_finished),
        CHECK_ENTRY(heads_over_the_limit_are_refused),
        CHECK_ENTRY(sync_keeps_the_common_prefix),
        CHECK_ENTRY(a_session_cut_back_gives_the_logits_of_a_new_one),
        CHECK_ENTRY(tokens_over_n_ctx_are_refused_and_change_nothing),
        CHECK_ENTRY(ids_out_of_range_are_refused_and_change_nothing),
        CHECK_ENTRY(a_prompt_in_parts_needs_logits_only_at_its_end),
        CHECK_ENTRY(a_cancelled_session_waits_until_it_is_switched_on),
        CHECK_ENTRY(a_cancellation_stops_a_pass_after_its_layer),
        CHECK_ENTRY(scores_are_those_of_the_logits_of_eval),
        CHECK_ENTRY(likeliest_ids_rank_by_logit_and_then_by_id),
        CHECK_ENTRY(a_restored_session_goes_on_to_the_same_logits),
        CHECK_ENTRY(equal_timelines_save_equal_bytes),
        CHECK_ENTRY(damaged_states_are_refused_and_change_nothing),
        CHECK_ENTRY(a_state_of_another_kv_type_is_refused),
        CHECK_ENTRY(a_kv_type_is_chosen_while_a_session_is_empty),
        CHECK_ENTRY(a_session_cut_back_gives_the_logits_of_a_new_one_in_the_other_kv_type),
        CHECK_ENTRY(a_restored_session_goes_on_to_the_same_logits_in_the_other_kv_type),
        CHECK_ENTRY(equal_timelines_save_equal_bytes_in_the_other_kv_type),
        CHECK_ENTRY(damaged_states_are_refused_and_change_nothing_in_the_other_kv_type),
        CHECK_ENTRY(embeddings_of_layers_take_more_bytes_than_an_int_counts),
        CHECK_ENTRY(one_row_of_logits_is_enough_where_memory_is_short),
        CHECK_ENTRY(a_finished_loader_can_only_be_closed),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
