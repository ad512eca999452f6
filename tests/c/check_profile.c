// Events of a session: they fill a pass without gaps, change no bit, and stop at the caller's capacity. And measuring
// the machine.
#define N_LAYER 3
#include "llama.h"
#include "../../core_c/src/threads/threads.h"

enum { ROOM = 4096 };
static double events[ROOM + 1][GEMEL_EVENT_SIZE];

static int has_clock(void) { return threads_now() >= 0; }

static void hosts_without_a_clock_say_so(void) {
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    double speed;
    if (!has_clock()) {
        CHECK_EQ_INT(gemel_session_profile(s, events[0], ROOM), GEMEL_E_UNSUPPORTED);
        CHECK_EQ_INT(gemel_model_measure(m, GEMEL_MEASURE_READ, 0.001, &speed), GEMEL_E_UNSUPPORTED);
    }
    CHECK_EQ_INT(gemel_session_profile(s, NULL, 0), 0);
    close_both(s, m);
}

// Each event of a thread in a pass begins where the one before ended; returns their number.
static int check_pass(size_t n, int ith, double tokens, int *has_op) {
    int count = 0;
    double at = 0, layer = -1;
    for (size_t i = 0; i < n; i++) {
        const double *e = events[i];
        if ((int)e[GEMEL_EVENT_THREAD] != ith || e[GEMEL_EVENT_OP] > GEMEL_OP_HEAD) continue;
        CHECK(e[GEMEL_EVENT_END] >= e[GEMEL_EVENT_START]);
        if (e[GEMEL_EVENT_OP] == GEMEL_OP_PASS) {
            CHECK(e[GEMEL_EVENT_END] >= at && e[GEMEL_EVENT_LAYER] == -1 && e[GEMEL_EVENT_TOKENS] == tokens);
            continue;
        }
        CHECK(!count || e[GEMEL_EVENT_START] == at);
        CHECK(e[GEMEL_EVENT_LAYER] == -1 || e[GEMEL_EVENT_LAYER] >= layer);
        if (e[GEMEL_EVENT_LAYER] >= 0) layer = e[GEMEL_EVENT_LAYER];
        at = e[GEMEL_EVENT_END];
        has_op[(int)e[GEMEL_EVENT_OP]] = 1;
        count++;
    }
    CHECK_EQ_INT(layer, N_LAYER - 1);
    return count;
}

static void events_fill_a_pass_and_change_no_bit(void) {
    if (!has_clock()) return;
    gemel_model *m = open_model();
    float wanted[N_VOCAB];
    logits_of(m, 40, wanted);
    CHECK_EQ_INT(gemel_model_set_threads(m, 2), 0);
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_profile(s, events[0], ROOM), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 40), 40);
    size_t n = gemel_session_profile_count(s);
    CHECK(n > 0 && n <= ROOM);
    CHECK(has_logits(s, wanted));
    int has_op[GEMEL_OP_SAMPLE + 1] = {0}, first = check_pass(n, 0, 40, has_op), second = check_pass(n, 1, 40, has_op);
    for (int op = GEMEL_OP_WAIT; op <= GEMEL_OP_HEAD; op++) CHECK(has_op[op]);   // of one thread or the other
    CHECK_EQ_INT(first + second + 2, n);                                         // and two passes
    CHECK_EQ_INT(gemel_session_profile(s, NULL, 0), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids + 40, 1), 1);
    CHECK_EQ_INT(gemel_session_profile_count(s), 0);
    close_both(s, m);
}

static void events_past_the_capacity_are_counted_and_not_written(void) {
    if (!has_clock()) return;
    gemel_model *m = open_model();
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_profile(s, events[0], 5), 0);
    for (int k = 0; k < GEMEL_EVENT_SIZE; k++) events[5][k] = -7;
    CHECK_EQ_INT(gemel_session_eval(s, ids, 3), 3);
    CHECK(gemel_session_profile_count(s) > 5);
    for (int k = 0; k < GEMEL_EVENT_SIZE; k++) CHECK_EQ_INT(events[5][k], -7);
    CHECK(events[4][GEMEL_EVENT_END] >= events[4][GEMEL_EVENT_START]);
    CHECK_EQ_INT(gemel_session_profile(s, events[0], 0), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_profile(s, NULL, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_profile(NULL, events[0], 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_session_profile_count(NULL), 0);
    close_both(s, m);
}

static void every_isa_can_be_measured(void) {
    gemel_model *m = open_model();
    double speed = 0;
    CHECK_EQ_INT(gemel_model_measure(m, 0, 0.01, &speed), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_measure(m, GEMEL_MEASURE_DOT, 0, &speed), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_measure(m, GEMEL_MEASURE_DOT, 61, &speed), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_measure(m, GEMEL_MEASURE_DOT, 0.01, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_measure(NULL, GEMEL_MEASURE_DOT, 0.01, &speed), GEMEL_E_ARGUMENT);
    for (int isa = 0; has_clock() && isa < gemel_isa_count(); isa++) {
        if (!gemel_isa_usable(isa)) continue;
        CHECK_EQ_INT(gemel_model_set_isa(m, isa), 0);
        for (int threads = 1; threads <= 3; threads++) {
            CHECK_EQ_INT(gemel_model_set_threads(m, threads), 0);
            for (int what = GEMEL_MEASURE_READ; what <= GEMEL_MEASURE_DOT; what++) {
                CHECK_EQ_INT(gemel_model_measure(m, what, 0.001, &speed), 0);
                CHECK(speed > 0 && speed < 1e18);
            }
        }
    }
    gemel_model_close(m);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(hosts_without_a_clock_say_so),
        CHECK_ENTRY(events_fill_a_pass_and_change_no_bit),
        CHECK_ENTRY(events_past_the_capacity_are_counted_and_not_written),
        CHECK_ENTRY(every_isa_can_be_measured),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
