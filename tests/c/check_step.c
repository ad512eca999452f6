// One pass for many sessions: answers and chunks of prompts together have the bits of each alone, the pass draws
// what gemel_session_next draws, and an error of one session affects no other.
#define N_LAYER 3
#include <math.h>
#include <stdatomic.h>
#include "llama.h"
#include "../../core_c/src/run/session.h"
#include "../../core_c/src/threads/threads.h"

enum { N = 6, ROOM = 16 };
// What each session holds before a step and what it appends: next ids, first and later chunks of prompts.
static const int32_t PAST[N] = {70, 0, 130, 5, 64, 1}, ADDED[N] = {1, 33, 17, 1, 64, 1};
static const int32_t ONES[N] = {1, 1, 1, 1, 1, 1};
static const int32_t *part(int i) { return ids + 13 * i; }   // session i's ids

static gemel_session *session_of(gemel_model *m, int i, int n) {
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_fill(s, part(i), (size_t)n), n);
    return s;
}
static void close_all(gemel_session **s, int n) {
    for (int i = 0; i < n; i++) gemel_session_close(s[i]);
}
static int added_ids(int32_t *out) {   // of all sessions; returns their number
    int n = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < ADDED[i]; k++) out[n++] = part(i)[PAST[i] + k];
    return n;
}
static void logits_alone(gemel_model *m, int i, int n, float *out) {
    gemel_session *s = session_of(m, i, n - 1);
    CHECK_EQ_INT(gemel_session_eval(s, part(i) + n - 1, 1), 1);
    memcpy(out, gemel_session_logits(s), N_VOCAB * sizeof *out);
    gemel_session_close(s);
}
static int append_only(gemel_model *m, gemel_session **s, const int32_t *n_ids, const int32_t *next, size_t n,
                       int flags, int32_t *codes) {
    return gemel_model_step(m, s, n_ids, next, NULL, n, flags, NULL, NULL, 0, NULL, codes, NULL, NULL, NULL);
}

// ---- The bits ------------------------------------------------------------------------------------------------------

static void step_gives(gemel_model *m, float wanted[N][N_VOCAB], int flags) {
    int32_t next[N_CTX], codes[N];
    gemel_session *s[N];
    for (int i = 0; i < N; i++) s[i] = session_of(m, i, PAST[i]);
    CHECK(added_ids(next) <= 128);
    CHECK_EQ_INT(append_only(m, s, ADDED, next, N, flags, codes), N);
    for (int i = 0; i < N; i++) {
        CHECK_EQ_INT(codes[i], 0);
        CHECK_EQ_INT(gemel_session_n_past(s[i]), PAST[i] + ADDED[i]);
        CHECK(!memcmp(gemel_session_ids(s[i]), part(i), (size_t)(PAST[i] + ADDED[i]) * sizeof *ids));
        CHECK_EQ_INT(s[i]->has_logits, flags ? 1 : 0);
        CHECK(has_logits(s[i], wanted[i]));   // made in the pass, or now
    }
    close_all(s, N);
}

static void a_step_has_the_bits_of_each_session_alone(void) {
    static const int types[] = {GEMEL_KV_F32, GEMEL_KV_F16, GEMEL_KV_Q8_0};
    gemel_model *m = open_model();
    for (int k = 0; k < 3; k++) {
        float wanted[N][N_VOCAB];
        kv_type = types[k];
        CHECK_EQ_INT(gemel_model_set_isa(m, 0), 0);
        CHECK_EQ_INT(gemel_model_set_threads(m, 1), 0);
        for (int i = 0; i < N; i++) logits_alone(m, i, PAST[i] + ADDED[i], wanted[i]);
        for (int isa = 0; isa < gemel_isa_count(); isa++)
            for (int threads = 1; threads <= 3 && gemel_isa_usable(isa); threads++) {
                CHECK_EQ_INT(gemel_model_set_isa(m, isa), 0);
                if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;
                step_gives(m, wanted, GEMEL_STEP_LOGITS);
                step_gives(m, wanted, 0);
            }
    }
    kv_type = GEMEL_KV_Q8_0;
    gemel_model_close(m);
}

static void forks_that_share_a_page_step_together(void) {
    gemel_model *m = open_model();
    for (int threads = 1; threads <= 3; threads++) {
        gemel_session *s[N];
        int32_t codes[N], next[N];
        if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;
        s[0] = session_of(m, 0, 100);
        for (int i = 1; i < N; i++) CHECK_EQ_INT(gemel_session_fork(s[i / 2], 100, &s[i]), 0);
        for (int i = 0; i < N; i++) next[i] = i;
        CHECK_EQ_INT(append_only(m, s, ONES, next, N, 0, codes), N);
        for (int i = 0; i < N; i++) {
            gemel_session *one = session_of(m, 0, 100);
            CHECK_EQ_INT(gemel_session_eval(one, &next[i], 1), 1);
            CHECK(has_logits(s[i], gemel_session_logits(one)));
            gemel_session_close(one);
        }
        close_all(s, N);
    }
    gemel_model_close(m);
}

// ---- Drawing -------------------------------------------------------------------------------------------------------

static gemel_sampler *sampler_of(gemel_model *m, int i) {
    gemel_sampler *sampler = NULL;
    CHECK_EQ_INT(gemel_sampler_open(m, &sampler), 0);
    CHECK_EQ_INT(gemel_sampler_set(sampler, GEMEL_SAMPLER_SEED, 10 + i), 0);
    CHECK_EQ_INT(gemel_sampler_set(sampler, GEMEL_SAMPLER_TEMPERATURE, i ? 1.5 : 0), 0);
    if (i == 2) CHECK_EQ_INT(gemel_sampler_set(sampler, GEMEL_SAMPLER_REPEAT_PENALTY, 1.3), 0);
    if (i == 3) CHECK_EQ_INT(gemel_sampler_set(sampler, GEMEL_SAMPLER_MIROSTAT, 2), 0);
    return sampler;
}

typedef struct outcome {
    int32_t drawn[N], sizes[N], codes[N];
    char text[N * ROOM];
} outcome;
static int draw(gemel_model *m, gemel_session **s, const int32_t *n_ids, const int32_t *next, gemel_sampler **samplers,
                int n, outcome *o) {
    memset(o, 77, sizeof *o);
    return gemel_model_step(m, s, n_ids, next, samplers, (size_t)n, 0, o->drawn, o->text, ROOM, o->sizes, o->codes,
                            NULL, NULL, NULL);
}

// Of steps with this gemel_draft; next evaluates nothing ahead. Returns how many ids drawn were evaluated ahead.
static int drawn_as_by_next(int draft) {
    gemel_model *m = open_model();
    int drafted = 0;
    for (int threads = 1; threads <= 3; threads++) {
        gemel_session *s[N], *alone[N];
        gemel_sampler *samplers[N], *others[N];
        int32_t next[N_CTX], pending[N];
        outcome o;
        if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;
        added_ids(next);
        for (int i = 0; i < N; i++) {
            s[i] = session_of(m, i, PAST[i]), alone[i] = session_of(m, i, PAST[i] + ADDED[i] - 1);
            samplers[i] = sampler_of(m, i), others[i] = sampler_of(m, i);
            pending[i] = part(i)[PAST[i] + ADDED[i] - 1];
        }
        for (int round = 0; round < 30; round++) {
            CHECK_EQ_INT(gemel_model_set_draft(m, draft), 0);
            CHECK_EQ_INT(draw(m, s, round ? ONES : ADDED, next, samplers, N, &o), N);
            CHECK_EQ_INT(gemel_model_set_draft(m, GEMEL_DRAFT_NONE), 0);
            for (int i = 0; i < N; i++) {
                char text[ROOM];
                size_t size;
                int32_t id = gemel_session_next(alone[i], others[i], pending[i], 0, text, sizeof text, &size);
                CHECK_EQ_INT(o.drawn[i], id);
                CHECK_EQ_INT(o.sizes[i], size);
                CHECK(!memcmp(o.text + i * ROOM, text, size));
                next[i] = pending[i] = id;
            }
        }
        for (int i = 0; i < N; i++) {
            int32_t taken = 0;
            CHECK(gemel_session_drafted(alone[i], &taken) == 0 && taken == 0);
            CHECK(gemel_session_drafted(s[i], &taken) >= taken && taken >= 0);
            drafted += taken;
            CHECK(has_logits(s[i], gemel_session_logits(alone[i])));
            gemel_sampler_close(samplers[i]), gemel_sampler_close(others[i]);
        }
        close_all(s, N), close_all(alone, N);
    }
    gemel_model_close(m);
    return drafted;
}

static void drawn_ids_and_text_are_those_of_next(void) {
    CHECK_EQ_INT(drawn_as_by_next(GEMEL_DRAFT_NONE), 0);
    CHECK(drawn_as_by_next(GEMEL_DRAFT_ALWAYS) > 0);
    CHECK(drawn_as_by_next(GEMEL_DRAFT_FAST) >= 0);
}

static void drafts_that_are_none_are_refused(void) {
    gemel_model *m = open_model();
    CHECK_EQ_INT(gemel_model_set_draft(m, GEMEL_DRAFT_ALWAYS + 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_set_draft(m, -1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_set_draft(NULL, GEMEL_DRAFT_FAST), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_drafted(NULL, NULL), GEMEL_E_ARGUMENT);
    gemel_model_close(m);
}

static void no_ids_draw_from_the_logits_at_hand(void) {
    gemel_model *m = open_model();
    static const int32_t none[3] = {0, 0, 0}, mixed[3] = {0, 1, 0};
    gemel_session *s[3] = {open_session(m), session_of(m, 1, 9), open_session(m)};
    gemel_sampler *samplers[3] = {sampler_of(m, 0), NULL, sampler_of(m, 0)};
    outcome o;
    int32_t likeliest;
    CHECK_EQ_INT(gemel_session_eval(s[0], part(0), 20), 20);
    CHECK_EQ_INT(gemel_session_likeliest(s[0], &likeliest, 1), 1);
    CHECK_EQ_INT(draw(m, s, mixed, part(1) + 9, samplers, 3, &o), 2);
    CHECK(o.codes[0] == 0 && o.codes[1] == 0 && o.codes[2] == GEMEL_E_ARGUMENT);   // the last has no logits
    CHECK(o.drawn[0] == likeliest && o.drawn[1] == -1 && o.drawn[2] == -1);
    CHECK(o.sizes[0] == 1 && o.text[0] == 'a' + likeliest && o.sizes[1] == 0 && o.sizes[2] == 0);
    CHECK(gemel_session_n_past(s[0]) == 20 && gemel_session_n_past(s[1]) == 10);
    CHECK_EQ_INT(draw(m, s, none, NULL, samplers, 1, &o), 1);   // again: drawing evaluates nothing
    CHECK_EQ_INT(o.drawn[0], likeliest);
    CHECK_EQ_INT(draw(m, s + 1, none, NULL, samplers + 1, 1, &o), 0);   // neither ids nor a sampler
    CHECK_EQ_INT(o.codes[0], GEMEL_E_ARGUMENT);
    gemel_sampler_close(samplers[0]), gemel_sampler_close(samplers[2]);
    close_all(s, 3);
    gemel_model_close(m);
}

// ---- Hidden states and log-probabilities ---------------------------------------------------------------------------

static const int32_t WANTS[N] = {0,
                                 GEMEL_WANT_HIDDEN,
                                 GEMEL_WANT_SCORES,
                                 GEMEL_WANT_HIDDEN,
                                 GEMEL_WANT_SCORES | GEMEL_WANT_HIDDEN,
                                 GEMEL_WANT_SCORES};

static gemel_session *with_logits(gemel_model *m, int i) {   // that score the next id
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_eval(s, part(i), (size_t)PAST[i]), PAST[i]);
    return s;
}
// Session i's ids from PAST[i] on, alone: `n` hidden states and log-probabilities, of two timelines.
static void wanted_alone(gemel_model *m, int i, int n, float *hidden, double *log_probs) {
    gemel_session *one = session_of(m, i, PAST[i]), *other = with_logits(m, i);
    CHECK_EQ_INT(gemel_session_hidden(one, part(i) + PAST[i], (size_t)n, hidden), n);
    CHECK_EQ_INT(gemel_session_score(other, part(i) + PAST[i], (size_t)n, log_probs, NULL), n);
    gemel_session_close(one), gemel_session_close(other);
}

static void rows_give_what_is_wanted_of_them(void) {
    gemel_model *m = open_model();
    for (int threads = 1; threads <= 3; threads++) {
        static float hidden[N_CTX * N_EMBD], alone[N_CTX * N_EMBD];
        double log_probs[N_CTX], scores[N_CTX];
        int32_t next[N_CTX], codes[N];
        gemel_session *s[N];
        if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;
        for (int i = 0; i < N; i++) s[i] = with_logits(m, i);
        (void)added_ids(next);
        CHECK_EQ_INT(
            gemel_model_step(m, s, ADDED, next, NULL, N, 0, NULL, NULL, 0, NULL, codes, WANTS, hidden, log_probs), N);
        const float *h = hidden;
        const double *p = log_probs;
        for (int i = 0; i < N; i++) {
            wanted_alone(m, i, ADDED[i], alone, scores);
            size_t n = (size_t)ADDED[i];
            if (WANTS[i] & GEMEL_WANT_HIDDEN) CHECK(!memcmp(h, alone, n * N_EMBD * sizeof *h)), h += n * N_EMBD;
            if (WANTS[i] & GEMEL_WANT_SCORES) CHECK(!memcmp(p, scores, n * sizeof *p)), p += n;
        }
        close_all(s, N);
    }
    gemel_model_close(m);
}

static void scores_go_on_from_step_to_step(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m), *other = open_session(m);
    double log_probs[50], alone[50];
    static const int32_t counts[] = {20, 1, 29}, wants[] = {GEMEL_WANT_SCORES};
    int32_t code;
    for (int k = 0, at = 0; k < 3; at += counts[k++])
        CHECK_EQ_INT(gemel_model_step(m, &s, &counts[k], part(0) + at, NULL, 1, 0, NULL, NULL, 0, NULL, &code, wants,
                                      NULL, log_probs + at),
                     1);
    CHECK_EQ_INT(gemel_session_score(other, part(0), 50, alone, NULL), 50);
    CHECK(!memcmp(log_probs, alone, sizeof alone));
    CHECK(has_logits(s, gemel_session_logits(other)));
    gemel_session_close(s), gemel_session_close(other);
    gemel_model_close(m);
}

static void wants_that_nothing_can_meet_are_refused(void) {
    gemel_model *m = open_model();
    gemel_session *s[2] = {session_of(m, 0, 9), session_of(m, 1, 9)};
    static float hidden[2 * N_EMBD];
    double log_probs[2];
    static const int32_t both[2] = {1, 1}, second[2] = {1, 0}, unknown[2] = {0, 4}, states[2] = {1, 0},
                         scores[2] = {0, 2};
    int32_t codes[2], next[2] = {part(0)[9], part(1)[9]};
    struct {
        const int32_t *n_ids, *wants;
        float *hidden;
        double *log_probs;
    } wrong[] = {{both, unknown, hidden, log_probs},
                 {both, states, NULL, log_probs},
                 {both, scores, hidden, NULL},
                 {second, scores, hidden, log_probs}};
    for (int k = 0; k < 4; k++)
        CHECK_EQ_INT(gemel_model_step(m, s, wrong[k].n_ids, next, NULL, 2, 0, NULL, NULL, 0, NULL, codes,
                                      wrong[k].wants, wrong[k].hidden, wrong[k].log_probs),
                     GEMEL_E_ARGUMENT);
    CHECK(gemel_session_n_past(s[0]) == 9 && gemel_session_n_past(s[1]) == 9);
    // fill leaves no logits that would score the next id
    CHECK_EQ_INT(gemel_model_step(m, s, both, next, NULL, 2, 0, NULL, NULL, 0, NULL, codes, scores, NULL, log_probs),
                 1);
    CHECK(codes[0] == 0 && codes[1] == GEMEL_E_ARGUMENT);
    CHECK(gemel_session_n_past(s[0]) == 10 && gemel_session_n_past(s[1]) == 9);
    close_all(s, 2);
    gemel_model_close(m);
}

// ---- Errors of one session -----------------------------------------------------------------------------------------

static void what_stops_one_session_stops_no_other(void) {
    gemel_model *m = open_model();
    gemel_session *s[7] = {
        session_of(m, 0, 20), NULL, session_of(m, 2, 20), session_of(m, 3, 20), session_of(m, 4, 20), open_session(m),
        session_of(m, 6, 20)};
    gemel_sampler *samplers[7];
    int32_t next[7], n_ids[7], drawn[7], sizes[7], codes[7];
    char text[7 * ROOM];
    float wanted[7][N_VOCAB];
    CHECK_EQ_INT(gemel_session_open(m, 20, &s[1]), 0);
    CHECK_EQ_INT(gemel_session_eval(s[1], part(1), 20), 20);
    CHECK_EQ_INT(gemel_session_preload(s[5], part(5), 20, 1), 1);
    for (int i = 0; i < 7; i++) {
        samplers[i] = sampler_of(m, 0), next[i] = part(i)[20], n_ids[i] = 1;
        logits_alone(m, i, i == 1 || i == 2 ? 20 : 21, wanted[i]);
    }
    CHECK_EQ_INT(gemel_session_truncate(s[2], 19), 0);
    CHECK_EQ_INT(gemel_session_eval(s[2], part(2) + 19, 1), 1);
    gemel_session_cancel(s[2], 1);
    next[3] = N_VOCAB;
    for (int id = 0; id < N_VOCAB; id++) CHECK_EQ_INT(gemel_sampler_bias(samplers[4], id, -INFINITY), 0);
    CHECK_EQ_INT(gemel_model_step(m, s, n_ids, next, samplers, 7, 0, drawn, text, ROOM, sizes, codes, NULL, NULL, NULL),
                 2);
    static const int expected[7] = {
        0, GEMEL_E_CONTEXT, GEMEL_E_CANCELLED, GEMEL_E_ARGUMENT, GEMEL_E_ARGUMENT, GEMEL_E_ARGUMENT, 0};
    static const int n_past[7] = {21, 20, 20, 20, 21, 0, 21};   // the sampler's error comes after its ids
    for (int i = 0; i < 7; i++) {
        CHECK_EQ_INT(codes[i], expected[i]);
        CHECK_EQ_INT(drawn[i] >= 0, expected[i] == 0);
        CHECK_EQ_INT(sizes[i], expected[i] == 0);
        CHECK_EQ_INT(gemel_session_n_past(s[i]), n_past[i]);
        if (i != 3 && i != 5) CHECK(has_logits(s[i], wanted[i]));
    }
    CHECK_EQ_INT(gemel_session_eval(s[3], part(3) + 20, 1), 1);   // and goes on
    CHECK(has_logits(s[3], wanted[3]));
    CHECK_EQ_INT(gemel_session_preload(s[5], part(5), 20, N_LAYER), N_LAYER);
    for (int i = 0; i < 7; i++) gemel_sampler_close(samplers[i]);
    close_all(s, 7);
    gemel_model_close(m);
}

static void nan_in_one_session_does_not_affect_others(void) {
    gemel_model *m = open_model();
    kv_type = GEMEL_KV_F32;
    for (int threads = 1; threads <= 3; threads++) {
        gemel_session *s[3] = {session_of(m, 0, 20), session_of(m, 1, 20), session_of(m, 2, 20)};
        gemel_sampler *samplers[3] = {sampler_of(m, 1), sampler_of(m, 1), sampler_of(m, 1)};
        int32_t next[3] = {part(0)[20], part(1)[20], part(2)[20]};
        float wanted[3][N_VOCAB];
        outcome o;
        CHECK(gemel_model_set_threads(m, threads) != GEMEL_E_ARGUMENT);   // a refused number leaves fewer
        for (int i = 0; i < 3; i++) logits_alone(m, i, 21, wanted[i]);
        const kv_table *t = &s[1]->kv.tables[0];
        memset(t->pages[0], 0xff, t->block_size);
        CHECK_EQ_INT(draw(m, s, ONES, next, samplers, 3, &o), 2);
        CHECK(o.codes[0] == 0 && o.codes[1] == GEMEL_E_NUMERIC && o.codes[2] == 0);
        CHECK(o.drawn[0] >= 0 && o.drawn[1] == -1 && o.drawn[2] >= 0);
        CHECK_EQ_INT(gemel_session_n_past(s[1]), 20);
        CHECK(has_logits(s[0], wanted[0]) && has_logits(s[2], wanted[2]));
        for (int i = 0; i < 3; i++) gemel_sampler_close(samplers[i]);
        close_all(s, 3);
    }
    kv_type = GEMEL_KV_Q8_0;
    gemel_model_close(m);
}

// ---- Errors of the whole step --------------------------------------------------------------------------------------

static int draw_two(gemel_model *m, gemel_session **s, const int32_t *next, gemel_sampler **samplers, int32_t *drawn,
                    char *text, size_t capacity, int32_t *sizes, int32_t *codes) {
    return gemel_model_step(m, s, ONES, next, samplers, 2, 0, drawn, text, capacity, sizes, codes, NULL, NULL, NULL);
}

static void invalid_steps_are_refused_and_change_nothing(void) {
    gemel_model *m = open_model(), *other = open_model();
    gemel_session *one = session_of(m, 0, 5), *two = session_of(m, 1, 5), *stranger = open_session(other);
    gemel_session *good[2] = {one, two}, *twice[2] = {one, one}, *foreign[2] = {one, stranger}, *hole[2] = {one, NULL};
    gemel_sampler *sampler = sampler_of(m, 0), *same[2] = {sampler, sampler}, *fine[2] = {sampler, NULL};
    int32_t next[200], wide[2] = {128, 1}, negative[2] = {1, -1}, codes[200], drawn[2], sizes[2];
    gemel_session *many[129];
    int32_t counts[129];
    char text[2 * ROOM];
    for (int i = 0; i < 200; i++) next[i] = 1;
    for (int i = 0; i < 129; i++) many[i] = open_session(m), counts[i] = 1;
    const int ARG = GEMEL_E_ARGUMENT;
    CHECK_EQ_INT(append_only(m, twice, ONES, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, foreign, ONES, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, hole, ONES, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, wide, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, negative, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, many, counts, next, 129, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, ONES, next, 0, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, ONES, next, 2, GEMEL_TEXT_BOS_EOS, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, ONES, next, 2, 0, NULL), ARG);
    CHECK_EQ_INT(append_only(m, NULL, ONES, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(m, good, NULL, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(append_only(NULL, good, ONES, next, 2, 0, codes), ARG);
    CHECK_EQ_INT(draw_two(m, good, next, same, drawn, text, ROOM, sizes, codes), ARG);
    CHECK_EQ_INT(draw_two(m, good, next, fine, NULL, text, ROOM, sizes, codes), ARG);
    CHECK_EQ_INT(draw_two(m, good, next, fine, drawn, NULL, ROOM, sizes, codes), ARG);
    CHECK_EQ_INT(draw_two(m, good, next, fine, drawn, text, ROOM, NULL, codes), ARG);
    CHECK_EQ_INT(draw_two(m, good, next, fine, drawn, text, 3, sizes, codes), ARG);
    CHECK(gemel_session_n_past(one) == 5 && gemel_session_n_past(two) == 5 && gemel_session_n_past(many[0]) == 0);
    CHECK_EQ_INT(append_only(m, good, ONES, NULL, 2, 0, codes), 0);   // invalid ids, of each session
    CHECK(codes[0] == ARG && codes[1] == ARG);
    CHECK_EQ_INT(append_only(m, many, counts, next, 128, 0, codes), 128);
    close_all(many, 129);
    gemel_sampler_close(sampler);
    gemel_session_close(one), gemel_session_close(two);
    close_both(stranger, other);
    gemel_model_close(m);
}

// ---- Closing meanwhile ---------------------------------------------------------------------------------------------

typedef struct closing {
    gemel_model *m;
    gemel_session **s;   // [N], of which the second is closed
    gemel_sampler **samplers;
    const int32_t *next;
    outcome o;
    int went_on;
} closing;
static const kernels *own;
static atomic_int is_in_pass, is_closed;

static int waiting_norm(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    atomic_store(&is_in_pass, 1);
    while (!atomic_load(&is_closed)) {}
    return own->norm[NORM_RMS](x, w, b, n, eps, y);
}
static void step_and_close(void *arg, int ith, int nth) {
    closing *c = arg;
    if (nth < 2) return;
    if (ith == 0) {
        c->went_on = draw(c->m, c->s, ONES, c->next, c->samplers, N, &c->o);
        return;
    }
    while (!atomic_load(&is_in_pass)) {}
    gemel_session_close(c->s[1]);
    atomic_store(&is_closed, 1);
}

static void a_session_closed_during_a_step_is_freed_after_it(void) {
    threads *team;
    if (threads_open(&team, 2) < 0) CHECK_SKIP("no threads here");
    gemel_model *m = open_model();
    own = m->k;
    kernels hooked = *own;
    hooked.norm[NORM_RMS] = waiting_norm;
    for (int round = 0; round < 5; round++) {
        gemel_session *s[N];
        gemel_sampler *samplers[N];
        int32_t next[N];
        float wanted[N][N_VOCAB];
        for (int i = 0; i < N; i++) {
            s[i] = session_of(m, i, PAST[i]), samplers[i] = sampler_of(m, i), next[i] = part(i)[PAST[i]];
            logits_alone(m, i, PAST[i] + 1, wanted[i]);
        }
        closing c = {.m = m, .s = s, .samplers = samplers, .next = next};
        atomic_store(&is_in_pass, 0), atomic_store(&is_closed, 0);
        m->k = &hooked;
        threads_run(team, 2, step_and_close, &c, NULL);
        m->k = own;
        CHECK_EQ_INT(c.went_on, N);
        for (int i = 0; i < N; i++) {
            CHECK(c.o.codes[i] == 0 && c.o.drawn[i] >= 0);
            if (i != 1) CHECK(has_logits(s[i], wanted[i]));
            if (i != 1) gemel_session_close(s[i]);
            gemel_sampler_close(samplers[i]);
        }
    }
    threads_close(team);
    gemel_model_close(m);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(a_step_has_the_bits_of_each_session_alone),
        CHECK_ENTRY(forks_that_share_a_page_step_together),
        CHECK_ENTRY(drawn_ids_and_text_are_those_of_next),
        CHECK_ENTRY(drafts_that_are_none_are_refused),
        CHECK_ENTRY(no_ids_draw_from_the_logits_at_hand),
        CHECK_ENTRY(rows_give_what_is_wanted_of_them),
        CHECK_ENTRY(scores_go_on_from_step_to_step),
        CHECK_ENTRY(wants_that_nothing_can_meet_are_refused),
        CHECK_ENTRY(what_stops_one_session_stops_no_other),
        CHECK_ENTRY(nan_in_one_session_does_not_affect_others),
        CHECK_ENTRY(invalid_steps_are_refused_and_change_nothing),
        CHECK_ENTRY(a_session_closed_during_a_step_is_freed_after_it),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
