// A prompt that is evaluated while the model loads: which layers are complete, that every way to split the work gives
// eval's bits, what is refused meanwhile, and that cancelling, failing and dropping leave a usable session.
#define N_LAYER 3
#include <stdatomic.h>
#include "llama.h"
#include "../../core_c/src/threads/threads.h"

enum { EMBD = 0, LAST = N_TENSORS - 1, PER_LAYER = 9 };   // tensors: token_embd, each layer's, output_norm, output

static int first_of(int il) { return 1 + PER_LAYER * il; }

static void feed_layer(gemel_loader *l, const file *f, int il) {
    for (int i = 0; i < PER_LAYER; i++) CHECK_EQ_INT(feed_tensor(l, f, first_of(il) + i), 0);
}

static void complete_layers_are_counted_up_to_the_first_incomplete_one(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    gemel_session *s = NULL;
    CHECK_EQ_INT(gemel_loader_n_layers(NULL), -1);
    CHECK(gemel_loader_model(NULL) == NULL);
    CHECK_EQ_INT(gemel_loader_open((double)f.b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_n_layers(l), -1);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, f.b.at, f.b.n, err, sizeof err), 0);
    CHECK(gemel_loader_model(l) == NULL);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
    gemel_model *m = gemel_loader_model(l);
    CHECK(m != NULL);
    CHECK_EQ_INT(gemel_loader_n_layers(l), -1);
    CHECK_EQ_INT(gemel_session_open(m, N_CTX, &s), GEMEL_E_ARGUMENT);
    feed_layer(l, &f, 1);
    CHECK_EQ_INT(gemel_loader_n_layers(l), -1);   // no sessions yet
    CHECK_EQ_INT(feed_tensor(l, &f, EMBD), 0);
    CHECK_EQ_INT(gemel_loader_n_layers(l), 0);   // layer 0 comes first
    CHECK_EQ_INT(feed_tensor(l, &f, LAST), 0);
    for (int i = 0; i < PER_LAYER; i++) {
        size_t at = f.start[first_of(0) + i], size = f.size[first_of(0) + i];
        CHECK_EQ_INT(feed(l, &f, at, at + size - 1), 0);
        CHECK_EQ_INT(gemel_loader_n_layers(l), 0);
        CHECK_EQ_INT(feed(l, &f, at + size - 1, at + size), 0);
    }
    CHECK_EQ_INT(gemel_loader_n_layers(l), 2);
    feed_layer(l, &f, 2);
    CHECK_EQ_INT(gemel_loader_n_layers(l), 3);
    CHECK_EQ_INT(feed_tensor(l, &f, LAST - 1), 0);
    gemel_model *finished = NULL;
    CHECK_EQ_INT(gemel_loader_finish(l, &finished, err, sizeof err), 0);
    CHECK(finished == m);
    CHECK(gemel_loader_model(l) == NULL);
    CHECK_EQ_INT(gemel_loader_n_layers(l), -1);
    gemel_loader_close(l);
    gemel_model_close(m);
    free(f.b.at);
}

// ---- The bits ------------------------------------------------------------------------------------------------------

static void every_cut_gives_the_logits_of_eval(void) {
    static const int lengths[] = {1, 2, 16, 127, 128, 129, 300, N_CTX};
    gemel_model *m = open_model();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int threads = 1; threads <= 3; threads++)
            for (int cut = 0; cut < 1 << N_LAYER; cut++) {   // bit il: stop after layer il
                size_t n = (size_t)lengths[i];
                float wanted[N_VOCAB];
                if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;
                logits_of(m, n, wanted);
                gemel_session *s = open_session(m);
                for (int il = 0; il < N_LAYER - 1; il++)
                    if (cut >> il & 1) {
                        CHECK_EQ_INT(gemel_session_preload(s, ids, n, il + 1), il + 1);
                        CHECK_EQ_INT(gemel_session_n_past(s), 0);
                        CHECK(gemel_session_logits(s) == NULL);
                    }
                if (cut >> (N_LAYER - 1)) CHECK(gemel_session_preload(s, ids, n, 0) >= 0);   // nothing to do
                CHECK_EQ_INT(gemel_session_preload(s, ids, n, N_LAYER), N_LAYER);
                CHECK_EQ_INT(gemel_session_n_past(s), n);
                CHECK(!memcmp(gemel_session_ids(s), ids, n * sizeof *ids));
                CHECK(has_logits(s, wanted));
                gemel_session_close(s);
            }
    gemel_model_close(m);
}

static void a_session_goes_on_as_after_eval(void) {
    gemel_model *m = open_model();
    float wanted[N_VOCAB];
    logits_of(m, 200, wanted);
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 150, N_LAYER), N_LAYER);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 150, 50), 50);
    CHECK(has_logits(s, wanted));
    CHECK_EQ_INT(gemel_session_preload(s, ids, 200, N_LAYER), GEMEL_E_ARGUMENT);   // not empty
    CHECK_EQ_INT(gemel_session_sync(s, ids, 100), 99);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 99, 101), 101);
    CHECK(has_logits(s, wanted));
    close_both(s, m);
}

// Thread 1 of a team evaluates what thread 0 feeds.
typedef struct race {
    gemel_loader *l;
    const file *f;
    float got[N_VOCAB];
} race;
static void feed_and_follow(void *arg, int ith, int nth) {
    race *r = arg;
    gemel_model *m = gemel_loader_model(r->l);
    if (ith == 0 || nth == 1) {
        CHECK_EQ_INT(feed_tensor(r->l, r->f, EMBD), 0);
        for (int il = 0; il < N_LAYER; il++) feed_layer(r->l, r->f, il);
    }
    if (ith == 0 && nth > 1) return;
    gemel_session *s = NULL;
    while (gemel_session_open(m, N_CTX, &s) == GEMEL_E_ARGUMENT) {}
    for (int il = 0; il < N_LAYER;)
        if (gemel_session_preload(s, ids, 200, il + 1) == il + 1) il++;
    CHECK_EQ_INT(gemel_session_preload(s, ids, 200, N_LAYER), N_LAYER);   // the model is not finished: no logits
    CHECK(gemel_session_logits(s) == NULL);
    CHECK_EQ_INT(gemel_session_n_past(s), 0);
    gemel_session_close(s);
}

static void a_session_may_follow_on_another_thread(void) {
    threads *team;
    if (threads_open(&team, 2) < 0) CHECK_SKIP("no threads here");
    for (int round = 0; round < 20; round++) {
        file f = write_file(-1, -1);
        race r = {.f = &f};
        CHECK_EQ_INT(begin(&r.l, &f), 0);
        threads_run(team, 2, feed_and_follow, &r, NULL);
        gemel_loader_close(r.l);
        free(f.b.at);
    }
    threads_close(team);
}

static void layers_are_evaluated_as_they_arrive(void) {
    gemel_model *whole = open_model();
    float wanted[N_VOCAB];
    logits_of(whole, 200, wanted);
    gemel_model_close(whole);
    file f = write_file(-1, -1);
    gemel_loader *l;
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed_tensor(l, &f, EMBD), 0);
    gemel_session *s = open_session(gemel_loader_model(l));
    CHECK_EQ_INT(gemel_session_preload(s, ids, 200, 0), 0);
    for (int il = 0; il < N_LAYER; il++) {
        CHECK_EQ_INT(gemel_session_preload(s, ids, 200, il + 1), GEMEL_E_ARGUMENT);
        feed_layer(l, &f, il);
        CHECK_EQ_INT(gemel_session_preload(s, ids, 200, il + 1), il + 1);
    }
    CHECK_EQ_INT(gemel_session_preload(s, ids, 200, N_LAYER), N_LAYER);
    CHECK(gemel_session_logits(s) == NULL);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(feed_tensor(l, &f, LAST), 0);
    CHECK_EQ_INT(feed_tensor(l, &f, LAST - 1), 0);
    gemel_model *m = finish(l);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 200, N_LAYER), N_LAYER);
    CHECK(has_logits(s, wanted));
    close_both(s, m);
    free(f.b.at);
}

// ---- What is refused -----------------------------------------------------------------------------------------------

static void other_ids_and_missing_layers_are_refused(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    int32_t wrong[3] = {0, N_VOCAB, 1}, others[50];
    memcpy(others, ids, sizeof others);
    others[49] = (others[49] + 1) % N_VOCAB;
    CHECK_EQ_INT(gemel_session_preload(NULL, ids, 1, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, NULL, 1, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 0, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, N_CTX + 1, 1), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_session_preload(s, wrong, 3, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, -1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, N_LAYER + 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, 1), 1);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 49, 2), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 51, 2), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, others, 50, 2), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, 0), 1);   // done already
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, N_LAYER), N_LAYER);
    close_both(s, m);
}

static void nothing_else_is_evaluated_during_a_preload(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    gemel_sampler *sampler;
    float rows[N_EMBD];
    double log_prob;
    char text[64];
    size_t size;
    CHECK_EQ_INT(gemel_sampler_open(m, &sampler), 0);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, 2), 2);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_hidden(s, ids, 1, rows), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_score(s, ids, 1, &log_prob, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_next(s, sampler, 1, 0, text, sizeof text, &size), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_next(s, sampler, -1, 0, text, sizeof text, &size), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, N_LAYER), N_LAYER);
    CHECK(gemel_session_next(s, sampler, -1, 0, text, sizeof text, &size) >= 0);
    gemel_sampler_close(sampler);
    close_both(s, m);
}

static void truncate_sync_and_restore_drop_it(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m), *saved = open_session(m);
    float wanted[N_VOCAB];
    static uint8_t bytes_of[1 << 16];
    logits_of(m, 60, wanted);
    CHECK_EQ_INT(gemel_session_eval(saved, ids, 60), 60);
    CHECK(gemel_session_save_size(saved) <= sizeof bytes_of);
    CHECK_EQ_INT(gemel_session_save(saved, bytes_of, sizeof bytes_of), 0);
    size_t size = gemel_session_save_size(saved);
    for (int how = 0; how < 3; how++) {
        CHECK_EQ_INT(gemel_session_preload(s, ids + 7, 300, 2), 2);
        if (how == 0) CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
        if (how == 1) CHECK_EQ_INT(gemel_session_sync(s, ids, 60), 0);
        if (how == 2) CHECK_EQ_INT(gemel_session_restore(s, bytes_of, size, err, sizeof err), 0);
        if (how < 2) CHECK_EQ_INT(gemel_session_eval(s, ids, 60), 60);
        CHECK(has_logits(s, wanted));
        CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
    }
    gemel_session_close(saved);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 300, 2), 2);   // closed with it
    close_both(s, m);
}

// ---- Cancelling and failing ----------------------------------------------------------------------------------------

typedef struct cancelled {
    gemel_session *s;
    atomic_int done;
    int times;
} cancelled;
static void cancel_and_resume(void *arg, int ith, int nth) {
    cancelled *c = arg;
    if (ith == 1 && nth == 2) {
        while (!atomic_load(&c->done)) {
            gemel_session_cancel(c->s, 1);
            gemel_session_cancel(c->s, 0);
        }
        return;
    }
    int code;
    while ((code = gemel_session_preload(c->s, ids, N_CTX, N_LAYER)) == GEMEL_E_CANCELLED) c->times++;
    CHECK_EQ_INT(code, N_LAYER);
    atomic_store(&c->done, 1);
}

static void a_cancelled_preload_resumes_where_it_stopped(void) {
    gemel_model *m = open_model();
    float wanted[N_VOCAB];
    logits_of(m, N_CTX, wanted);
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_preload(s, ids, N_CTX, 1), 1);
    gemel_session_cancel(s, 1);
    CHECK_EQ_INT(gemel_session_preload(s, ids, N_CTX, 2), GEMEL_E_CANCELLED);
    CHECK_EQ_INT(gemel_session_preload(s, ids, N_CTX, N_LAYER), GEMEL_E_CANCELLED);
    gemel_session_cancel(s, 0);
    CHECK_EQ_INT(gemel_session_preload(s, ids, N_CTX, N_LAYER), N_LAYER);
    CHECK(has_logits(s, wanted));
    threads *team;
    for (int round = 0; round < 20 && threads_open(&team, 2) == 0; round++) {
        CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
        cancelled c = {.s = s};
        threads_run(team, 2, cancel_and_resume, &c, NULL);
        gemel_session_cancel(s, 0);
        CHECK(has_logits(s, wanted));
        threads_close(team);
    }
    close_both(s, m);
}

static void keys_past_f16_are_an_error_and_leave_an_empty_session(void) {
    file f = write_file(-1, -1);
    for (size_t i = 0; i < f.size[first_of(1) + 2]; i += 4)   // attn_k of layer 1
        memcpy(f.b.at + f.start[first_of(1) + 2] + i, &(float){1e30f}, 4);
    gemel_loader *l;
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    gemel_model *m = finish(l);
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_F16), 0);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, 1), 1);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, GEMEL_KV_Q8_0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_preload(s, ids, 50, 2), GEMEL_E_NUMERIC);
    CHECK_EQ_INT(gemel_session_n_past(s), 0);
    CHECK(gemel_session_logits(s) == NULL);
    CHECK_EQ_INT(gemel_session_preload(s, ids + 1, 20, 1), 1);   // others, from the start
    close_both(s, m);
    free(f.b.at);
}

static void an_abandoned_load_leaves_nothing_behind(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed_tensor(l, &f, EMBD), 0);
    feed_layer(l, &f, 0);
    gemel_session *s = open_session(gemel_loader_model(l));
    CHECK_EQ_INT(gemel_session_preload(s, ids, 300, 1), 1);
    CHECK_EQ_INT(feed_tensor(l, &f, EMBD), GEMEL_E_ARGUMENT);   // a second time
    gemel_session_close(s);
    gemel_loader_close(l);
    free(f.b.at);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(complete_layers_are_counted_up_to_the_first_incomplete_one),
        CHECK_ENTRY(every_cut_gives_the_logits_of_eval),
        CHECK_ENTRY(a_session_goes_on_as_after_eval),
        CHECK_ENTRY(layers_are_evaluated_as_they_arrive),
        CHECK_ENTRY(a_session_may_follow_on_another_thread),
        CHECK_ENTRY(other_ids_and_missing_layers_are_refused),
        CHECK_ENTRY(nothing_else_is_evaluated_during_a_preload),
        CHECK_ENTRY(truncate_sync_and_restore_drop_it),
        CHECK_ENTRY(a_cancelled_preload_resumes_where_it_stopped),
        CHECK_ENTRY(keys_past_f16_are_an_error_and_leave_an_empty_session),
        CHECK_ENTRY(an_abandoned_load_leaves_nothing_behind),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
