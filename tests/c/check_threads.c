// Pools of threads: every thread of a run takes part once and reaches every barrier, after any other run, after the
// pool was resized, and when models share it. Each thread counts its runs in its own cell. What meetings and runs cost:
// `check_threads --bench`.
#define _DEFAULT_SOURCE
#define N_LAYER 3
#include "llama.h"
#include "../../core_c/src/threads/threads.h"
#include <stdatomic.h>
#include <stdlib.h>
#if defined __unix__ || defined __APPLE__
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined __SANITIZE_THREAD__
#define CAN_FORK 0   // the sanitizer does not follow threads that are started after a fork
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define CAN_FORK 0
#endif
#endif
#if !defined CAN_FORK && (defined __unix__ || defined __APPLE__)
#define CAN_FORK 1
#endif

typedef struct job {
    threads *pool;
    int round, met;   // cells hold `round` after the first meeting; how often they meet
    int cell[THREADS_MAX];
    atomic_int n_done, n_wrong;
} job;

static void take_part(void *arg, int ith, int nth) {
    job *j = arg;
    for (int k = 0; k < j->met; k++) {
        j->cell[ith] = j->round + k;
        threads_meet(j->pool);
        for (int i = 0; i < nth; i++)
            if (j->cell[i] != j->round + k) atomic_fetch_add(&j->n_wrong, 1);
        threads_meet(j->pool);
    }
    atomic_fetch_add(&j->n_done, 1);
}
// One run; returns how many threads took part, or -1 when one met a wrong number.
static int run(job *j, threads *pool, int n, pace *pace) {
    j->pool = pool;
    j->round += 10;
    j->met = j->round / 10 % 4;
    atomic_store(&j->n_done, 0);
    atomic_store(&j->n_wrong, 0);
    threads_run(pool, n, take_part, j, pace);
    return atomic_load(&j->n_wrong) ? -1 : atomic_load(&j->n_done);
}
// Long enough for workers to sleep.
static void pass_time(void) {
    for (double start = threads_now(); threads_now() - start < 4e-4;) {}
}

static threads *pool_of(int n) {
    threads *pool = NULL;
    return threads_open(&pool, n) == 0 ? pool : NULL;
}

static void every_thread_of_a_run_takes_part_once(void) {
    static job j;
    uint64_t seed = 1;
    threads *pool = pool_of(5);
    if (!pool) CHECK_SKIP("no threads here");
    CHECK_EQ_INT(threads_count(pool), 5);
    for (int i = 0; i < 3000; i++) {
        int n = 1 + (int)(check_random(&seed) % 5);
        if (check_random(&seed) % 16 == 0) pass_time();
        CHECK_EQ_INT(run(&j, pool, n, NULL), n);
    }
    CHECK_EQ_INT(run(&j, pool, 9, NULL), 5);   // all of its threads
    threads_close(pool);
    threads_close(NULL);
}

static void a_resized_pool_has_the_new_number(void) {
    static job j;
    uint64_t seed = 2;
    threads *pool = pool_of(2);
    if (!pool) CHECK_SKIP("no threads here");
    for (int i = 0; i < 300; i++) {
        int count = 1 + (int)(check_random(&seed) % 7);
        CHECK_EQ_INT(threads_resize(pool, count), 0);
        CHECK_EQ_INT(threads_count(pool), count);
        if (i % 8 == 0) pass_time();
        for (int k = (int)(check_random(&seed) % 4); k > 0; k--) {
            int n = 1 + (int)(check_random(&seed) % 8);
            CHECK_EQ_INT(run(&j, pool, n, NULL), n < count ? n : count);
        }
    }
    threads_close(pool);
}

static void a_short_run_is_done_by_all_or_by_the_caller_alone(void) {
    static job j;
    pace paces[2] = {{{0}, 0, 0, 0, 0, 0}};
    int ways[2][2] = {{0}};
    threads *pool = pool_of(3);
    if (!pool) CHECK_SKIP("no threads here");
    for (int i = 0; i < 600; i++) {
        int user = i % 2, n = 2 + user, done = run(&j, pool, n, &paces[user]);
        CHECK(done == 1 || done == n);
        ways[user][done == 1]++;
        CHECK_EQ_INT(run(&j, pool, n, NULL), n);   // runs without a pace are not short
    }
    CHECK(ways[0][0] && ways[0][1] && ways[1][0] && ways[1][1]);   // each user tried both
    threads_close(pool);
}

// Runs of a machine where all threads take `together` and the caller alone takes 11; returns how many of n all did.
static int together_of(pace *p, double together, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        int alone = pace_is_alone(p);
        count += !alone;
        pace_note(p, alone ? 11 : together);
    }
    return count;
}

static void all_threads_are_used_again_soon_after_a_moments_load(void) {
    pace p = {{0}, 0, 0, 0, 0, 0};
    CHECK(together_of(&p, 8, 1000) > 960);
    CHECK(together_of(&p, 18, 30) < 20);   // another program computes
    CHECK(together_of(&p, 8, 60) > 20);
    CHECK(together_of(&p, 8, 200) > 180);
    CHECK(together_of(&p, 15, 2000) < 400);   // for long: the trials become rare
    CHECK(together_of(&p, 15, 1000) < 40);
    CHECK(together_of(&p, 50, 2000) < 40);
}

typedef struct users {
    threads *pool;
    job jobs[2];
    int wrong[2];
} users;
static void use(void *arg, int ith, int nth) {
    users *u = arg;
    (void)nth;
    for (int i = 0; i < 1500; i++) {
        int wanted = ith ? 4 : 2 + i % 2, done = run(&u->jobs[ith], u->pool, wanted, NULL);
        u->wrong[ith] += done < 2 || done > wanted;
        if (ith && i % 50 == 0) u->wrong[1] += threads_resize(u->pool, 2 + i / 50 % 4) != 0;
    }
}
static void two_users_of_a_pool_take_turns(void) {
    static users u;
    threads *hosts = pool_of(2);
    if (!hosts) CHECK_SKIP("no threads here");
    u.pool = pool_of(4);
    threads_run(hosts, 2, use, &u, NULL);
    CHECK_EQ_INT(u.wrong[0], 0);
    CHECK_EQ_INT(u.wrong[1], 0);
    threads_close(u.pool);
    threads_close(hosts);
}

// Thread 1 asks for a run during one of thread 0's, which asks for its next one immediately: the first to ask gets it.
typedef struct queue {
    threads *pool;
    atomic_int asks, first;   // thread 1 is about to ask; whose run was the first after that: 1 + its number
} queue;
static void hold(void *arg, int ith, int nth) {
    queue *q = arg;
    (void)nth;
    if (ith) return;
    while (!atomic_load(&q->asks)) {}
    for (int i = 0; i < 10; i++) pass_time();
}
static void note_first(void *arg, int who) {
    queue *q = arg;
    int none = 0;
    atomic_compare_exchange_strong(&q->first, &none, 1 + who);
}
static void note_0(void *arg, int ith, int nth) {
    (void)nth;
    if (ith == 0) note_first(arg, 0);
}
static void note_1(void *arg, int ith, int nth) {
    (void)nth;
    if (ith == 0) note_first(arg, 1);
}
static void ask(void *arg, int ith, int nth) {
    queue *q = arg;
    (void)nth;
    if (ith == 0) {
        threads_run(q->pool, 2, hold, q, NULL);
        threads_run(q->pool, 2, note_0, q, NULL);
    } else {
        pass_time();   // thread 0 is running
        atomic_store(&q->asks, 1);
        threads_run(q->pool, 2, note_1, q, NULL);
    }
}
static void the_first_to_ask_gets_the_pool_first(void) {
    int n_right = 0;
    threads *hosts = pool_of(2);
    if (!hosts) CHECK_SKIP("no threads here");
    queue q = {.pool = pool_of(2)};
    for (int round = 0; round < 20; round++) {
        atomic_store(&q.asks, 0);
        atomic_store(&q.first, 0);
        threads_run(hosts, 2, ask, &q, NULL);
        n_right += atomic_load(&q.first) == 2;
    }
    CHECK(n_right >= 15);   // a busy machine may stop thread 1 before it asks
    threads_close(q.pool);
    threads_close(hosts);
}

static void numbers_out_of_range_are_refused(void) {
    static const int bad[] = {-1, 0, 257, 1 << 30};
    gemel_threads *t = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ_INT(gemel_threads_open(bad[i], &t), GEMEL_E_ARGUMENT);
        CHECK(t == NULL);
    }
    CHECK_EQ_INT(gemel_threads_open(1, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_threads_count(NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_threads_resize(NULL, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_threads_after_fork(NULL), GEMEL_E_ARGUMENT);
    gemel_threads_close(NULL);
    CHECK_EQ_INT(gemel_threads_open(1, &t), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ_INT(gemel_threads_resize(t, bad[i]), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_threads_count(t), 1);
    gemel_threads_close(t);
}

// ---- Models on a shared pool ---------------------------------------------------------------------------------------

static gemel_model *open_on(gemel_threads *pool, int n) {   // n 0: not set
    file f = write_file(-1, -1);
    gemel_loader *l = NULL;
    CHECK_EQ_INT(gemel_loader_open((double)f.b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_use(l, pool), 0);
    if (n) CHECK_EQ_INT(gemel_loader_set(l, GEMEL_LOADER_N_THREADS, n), 0);
    CHECK_EQ_INT(gemel_loader_set(l, GEMEL_LOADER_N_THREADS, gemel_threads_count(pool) + 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, f.b.at, f.b.n, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_use(l, pool), GEMEL_E_ARGUMENT);   // too late
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    free(f.b.at);
    return finish(l);
}
static int n_threads(const gemel_model *m) {
    double n = 0;
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_N_THREADS, &n), 0);
    return (int)n;
}

typedef struct pass_of {
    gemel_model *m[2];
    int wrong[2];
    float wanted[N_VOCAB];
} pass_of;
static void evaluate(void *arg, int ith, int nth) {
    pass_of *p = arg;
    (void)nth;
    gemel_session *s = open_session(p->m[ith]);
    for (int round = 0; round < 6; round++) {
        CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
        for (int i = 0; i < 100; i++) p->wrong[ith] += gemel_session_eval(s, ids + i, 1) != 1;
        p->wrong[ith] += gemel_session_eval(s, ids + 100, 100) != 100 || !has_logits(s, p->wanted);
    }
    gemel_session_close(s);
}
static void models_on_one_pool_give_the_same_bits(void) {
    static pass_of p;
    gemel_threads *pool = NULL;
    threads *hosts = pool_of(2);
    if (!hosts || gemel_threads_open(4, &pool) < 0) CHECK_SKIP("no threads here");
    p.m[0] = open_on(pool, 0);
    p.m[1] = open_on(pool, 2);
    CHECK_EQ_INT(n_threads(p.m[0]), 4);
    CHECK_EQ_INT(n_threads(p.m[1]), 2);
    logits_of(p.m[0], 200, p.wanted);
    threads_run(hosts, 2, evaluate, &p, NULL);
    CHECK_EQ_INT(gemel_model_set_threads(p.m[1], 5), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_set_threads(p.m[1], 3), 0);
    CHECK_EQ_INT(gemel_threads_resize(pool, 2), 0);
    CHECK_EQ_INT(n_threads(p.m[0]), 2);
    threads_run(hosts, 2, evaluate, &p, NULL);
    CHECK_EQ_INT(gemel_model_after_fork(p.m[0]), 0);   // the pool is shared
    CHECK_EQ_INT(gemel_threads_count(pool), 2);
    CHECK_EQ_INT(p.wrong[0] + p.wrong[1], 0);
    gemel_model_close(p.m[0]);
    gemel_model_close(p.m[1]);
    gemel_threads_close(pool);
    threads_close(hosts);
}

static void a_loader_uses_only_what_the_pool_has(void) {
    gemel_threads *pool = NULL;
    gemel_loader *l = NULL;
    CHECK_EQ_INT(gemel_threads_open(1, &pool), 0);
    CHECK_EQ_INT(gemel_loader_open(1000, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_use(l, NULL), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_use(NULL, pool), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_set(l, GEMEL_LOADER_N_THREADS, 2), 0);
    CHECK_EQ_INT(gemel_loader_use(l, pool), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_set(l, GEMEL_LOADER_N_THREADS, 1), 0);
    CHECK_EQ_INT(gemel_loader_use(l, pool), 0);
    gemel_loader_close(l);
    gemel_threads_close(pool);
}

static void a_forked_child_starts_its_workers_again(void) {
#if CAN_FORK
    static job j;
    if (getenv("GEMEL_CHECK_QEMU")) CHECK_SKIP("qemu-user 7.2 aborts where a forked child starts a thread");
    gemel_threads *pool = pool_of(3);
    if (!pool) CHECK_SKIP("no threads here");
    CHECK_EQ_INT(run(&j, pool, 3, NULL), 3);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int is_good = gemel_threads_after_fork(pool) == 0 && gemel_threads_count(pool) == 3;
        for (int i = 0; i < 50 && is_good; i++) is_good = run(&j, pool, 1 + i % 3, NULL) == 1 + i % 3;
        is_good &= gemel_threads_resize(pool, 2) == 0 && run(&j, pool, 3, NULL) == 2;
        gemel_threads_close(pool);
        _exit(is_good ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ_INT(run(&j, pool, 3, NULL), 3);   // the parent's are as they were
    gemel_threads_close(pool);
#else
    CHECK_SKIP("no fork here");
#endif
}

// ---- Benchmarks ----------------------------------------------------------------------------------------------------

enum { BENCH_MEETINGS = 100000, BENCH_RUNS = 20000, BENCH_WAKES = 200, BENCH_REPEATS = 5 };
static const double BENCH_PAUSE = 0.002;   // seconds, in which workers fall asleep

static void bench_run(void *arg, int ith, int nth) {
    const job *j = arg;
    (void)ith, (void)nth;
    for (int i = 0; i < j->met; i++) threads_meet(j->pool);
}
// Microseconds of each of `n` runs with so many meetings, `pause` seconds apart.
static double bench_once(threads *pool, int nth, int n, int meetings, double pause) {
    static job j;
    double all = 0;
    j.pool = pool, j.met = meetings;
    for (int i = 0; i < n; i++) {
        double start = threads_now();
        if (pause > 0)
            while (threads_now() - start < pause) {}
        start = threads_now();
        threads_run(pool, nth, bench_run, &j, NULL);
        all += threads_now() - start;
    }
    return all / n * 1e6;
}
static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void bench(threads *pool, int nth, const char *what, int n, int meetings, double pause) {
    double us[BENCH_REPEATS];
    for (int i = 0; i < BENCH_REPEATS; i++)
        us[i] = bench_once(pool, nth, n, meetings, pause) / (meetings > 0 ? meetings : 1);
    qsort(us, BENCH_REPEATS, sizeof us[0], by_size);
    printf("%d threads, %-26s %8.3f us (%.3f to %.3f)\n", nth, what, us[BENCH_REPEATS / 2], us[0],
           us[BENCH_REPEATS - 1]);
}
static int benchmarks(void) {
    static const int counts[] = {2, 4};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        threads *pool = NULL;
        if (threads_open(&pool, counts[i])) return 1;
        bench(pool, counts[i], "a meeting", 1, counts[i] > 2 ? BENCH_MEETINGS / 20 : BENCH_MEETINGS, 0);
        bench(pool, counts[i], "a run after another", counts[i] > 2 ? BENCH_RUNS / 20 : BENCH_RUNS, 0, 0);
        bench(pool, counts[i], "a run that wakes workers", BENCH_WAKES, 0, BENCH_PAUSE);
        threads_close(pool);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(every_thread_of_a_run_takes_part_once),
        CHECK_ENTRY(a_resized_pool_has_the_new_number),
        CHECK_ENTRY(a_short_run_is_done_by_all_or_by_the_caller_alone),
        CHECK_ENTRY(all_threads_are_used_again_soon_after_a_moments_load),
        CHECK_ENTRY(two_users_of_a_pool_take_turns),
        CHECK_ENTRY(the_first_to_ask_gets_the_pool_first),
        CHECK_ENTRY(numbers_out_of_range_are_refused),
        CHECK_ENTRY(models_on_one_pool_give_the_same_bits),
        CHECK_ENTRY(a_loader_uses_only_what_the_pool_has),
        CHECK_ENTRY(a_forked_child_starts_its_workers_again),
    };
    if (argc > 1 && !strcmp(argv[1], "--bench")) return benchmarks();
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
