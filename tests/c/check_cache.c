// Pages of the KV cache: counted, shared by forks, copied before a write to a shared one, freed behind a window.
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/cache/kv.h"
#include "../../core_c/src/memory.h"
#include "../../core_c/src/threads/threads.h"

enum { WINDOW = 100, CHUNK = 150, N_CTX = 1024, N_BATCH = 128, DEEP = 0, NEAR = 1, CHUNKED = 2 };
static const kv_class classes[] = {
    [DEEP] = {.window = 0, .k_dim = 8, .v_dim = 16, .n_heads = 3},
    [NEAR] = {.window = WINDOW, .k_dim = 32, .v_dim = 8, .n_heads = 2},
    [CHUNKED] = {.window = CHUNK, .is_chunked = 1, .k_dim = 16, .v_dim = 16, .n_heads = 1},
};
static const int types[] = {GEMEL_KV_F32, GEMEL_KV_F16, GEMEL_KV_Q8_0};

static kv_cache opened_of(int n_classes, int type) {
    kv_cache kv;
    CHECK_EQ_INT(kv_open(&kv, classes, n_classes, type, N_CTX), 0);
    return kv;
}
static kv_cache opened(int n_classes) { return opened_of(n_classes, GEMEL_KV_Q8_0); }
static int pages(int n) { return (n + KV_PAGE - 1) / KV_PAGE; }
static int held(const kv_cache *kv, int *shared) { return kv_pages_held(kv, shared); }
static int held_of(const kv_cache *kv, int k) {
    int n = 0;
    for (int i = 0; i < kv->max_pages; i++) n += kv->tables[k].pages[i] != NULL;
    return n;
}

// A byte that identifies a position's owner: the first of its last head's block that belongs to that position alone.
static uint8_t *mark_of(const kv_cache *kv, int k, int pos) {
    const kv_table *t = &kv->tables[k];
    return kv_block_at(kv, k, t->c->n_heads - 1, pos) + kv_k_at(&t->layout, pos % KV_BLOCK);
}
// Write positions from..to-1 as a pass does, after reserving the pages.
static void write_marks(kv_cache *kv, int from, int to, int mark) {
    CHECK_EQ_INT(kv_reserve(kv, from, to), 0);
    for (int k = 0; k < kv->n_tables; k++)
        for (int pos = from; pos < to; pos++) *mark_of(kv, k, pos) = (uint8_t)(mark + pos);
}
static int has_marks(const kv_cache *kv, int from, int to, int mark) {
    int is_good = 1;
    for (int k = 0; k < kv->n_tables; k++)
        for (int pos = from; pos < to; pos++) is_good &= *mark_of(kv, k, pos) == (uint8_t)(mark + pos);
    return is_good;
}
static kv_cache fork_of(const kv_cache *kv, int n) {
    kv_cache fork = opened_of(kv->n_tables, kv->type);
    kv_share(&fork, kv, n);
    return fork;
}

// ---- Taking and giving back ----------------------------------------------------------------------------------------

static void pages_are_taken_as_they_are_needed(void) {
    static const int ends[] = {1, 63, 64, 65, 128, 300, N_CTX};
    for (int t = 0; t < 3; t++) {
        kv_cache kv = opened_of(2, types[t]);
        int shared;
        CHECK_EQ_INT(held(&kv, &shared), 0);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            CHECK_EQ_INT(kv_reserve(&kv, 0, ends[i]), 0);
            CHECK_EQ_INT(held(&kv, &shared), 2 * pages(ends[i]));
            CHECK_EQ_INT(shared, 0);
            CHECK_EQ_INT(kv.n_pages, pages(ends[i]));
        }
        uint8_t *first = kv.tables[DEEP].pages[0];
        CHECK_EQ_INT(kv_reserve(&kv, 0, N_CTX), 0);   // they exist: nothing moves
        CHECK(kv.tables[DEEP].pages[0] == first && held(&kv, &shared) == 2 * pages(N_CTX));
        CHECK_EQ_INT(kv_reserve(&kv, 5, 5), 0);
        kv_close(&kv);
    }
}

static void release_keeps_the_page_of_the_last_position(void) {
    static const int ends[] = {N_CTX, 300, 257, 256, 65, 64, 1, 0, 0};
    kv_cache kv = opened(2);
    int shared;
    write_marks(&kv, 0, N_CTX, 3);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        kv_release(&kv, ends[i]);
        CHECK_EQ_INT(held(&kv, &shared), 2 * pages(ends[i]));
        CHECK(has_marks(&kv, 0, ends[i], 3));
    }
    kv_close(&kv);
}

static void a_page_begins_as_zeros(void) {   // bytes behind the positions are saved, too
    kv_cache kv = opened(2);
    CHECK_EQ_INT(kv_reserve(&kv, 0, 70), 0);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < kv_page_size(&classes[k], kv.type); i++) CHECK_EQ_INT(kv.tables[k].pages[1][i], 0);
    kv_close(&kv);
}

// ---- Sharing -------------------------------------------------------------------------------------------------------

static void a_fork_shares_pages_and_copies_the_last_when_either_writes(void) {
    for (int who = 0; who < 2; who++)   // who writes first
        for (int t = 0; t < 3; t++) {
            kv_cache kv = opened_of(2, types[t]);
            int shared;
            write_marks(&kv, 0, 200, 7);
            kv_cache fork = fork_of(&kv, 200), *first = who ? &fork : &kv, *second = who ? &kv : &fork;
            CHECK(held(&fork, &shared) == 8 && shared == 8);
            for (int i = 0; i < 4; i++) CHECK(fork.tables[NEAR].pages[i] == kv.tables[NEAR].pages[i]);
            uint8_t *last = kv.tables[DEEP].pages[3];
            write_marks(first, 200, 230, 50);
            CHECK(held(&kv, &shared) == 8 && shared == 6);
            CHECK(second->tables[DEEP].pages[3] == last && first->tables[DEEP].pages[3] != last);
            write_marks(second, 200, 210, 90);
            CHECK(second->tables[DEEP].pages[3] == last);   // no longer shared: not copied
            CHECK(has_marks(first, 0, 200, 7) && has_marks(first, 200, 230, 50));
            CHECK(has_marks(second, 0, 200, 7) && has_marks(second, 200, 210, 90));
            kv_close(&kv);
            CHECK(held(&fork, &shared) == 8 && shared == 0);
            CHECK(has_marks(&fork, 0, 200, 7));
            kv_close(&fork);
        }
}

static void a_fork_at_a_pages_end_copies_nothing(void) {
    kv_cache kv = opened(2);
    int shared;
    write_marks(&kv, 0, 256, 1);
    kv_cache fork = fork_of(&kv, 128);
    CHECK(held(&fork, &shared) == 4 && shared == 4);
    write_marks(&fork, 128, 129, 2);
    CHECK(held(&fork, &shared) == 6 && shared == 4);
    CHECK(held(&kv, &shared) == 8 && shared == 4);
    CHECK(has_marks(&kv, 0, 256, 1));
    kv_close(&kv);
    kv_close(&fork);
}

static int is_new(uint8_t **seen, int n, const uint8_t *page) {
    for (int i = 0; i < n; i++)
        if (seen[i] == page) return 0;
    return 1;
}
static void a_hundred_forks_copy_a_hundred_last_pages_at_most(void) {
    enum { FORKS = 100 };
    static kv_cache family[FORKS + 1];
    static uint8_t *seen[(FORKS + 1) * 8];
    int n = 0, shared;
    family[FORKS] = opened(2);
    write_marks(&family[FORKS], 0, 200, 0);
    for (int i = 0; i < FORKS; i++) family[i] = fork_of(&family[FORKS], 200);
    CHECK(held(&family[0], &shared) == 8 && shared == 8);
    for (int i = 0; i <= FORKS; i++) write_marks(&family[i], 200, 204, i);
    for (int i = 0; i <= FORKS; i++) {
        CHECK(has_marks(&family[i], 0, 200, 0) && has_marks(&family[i], 200, 204, i));
        CHECK(held(&family[i], &shared) == 8 && shared == 6);
        for (int k = 0; k < 2; k++)
            for (int j = 0; j < 4; j++)
                if (is_new(seen, n, family[i].tables[k].pages[j])) seen[n++] = family[i].tables[k].pages[j];
    }
    CHECK_EQ_INT(n, 8 + 2 * FORKS);   // the last to write keeps the shared page
    for (int i = FORKS; i >= 0; i--) kv_close(&family[i]);
}

static void a_fork_of_a_fork_outlives_both(void) {
    kv_cache kv = opened(1);
    int shared;
    write_marks(&kv, 0, 150, 20);
    kv_cache fork = fork_of(&kv, 130), third = fork_of(&fork, 100);
    kv_close(&fork);
    CHECK(held(&third, &shared) == 2 && shared == 2);
    kv_release(&kv, 64);
    CHECK(held(&third, &shared) == 2 && shared == 1);
    kv_close(&kv);
    CHECK(held(&third, &shared) == 2 && shared == 0);
    CHECK(has_marks(&third, 0, 100, 20));
    kv_close(&third);
}

// ---- Windows -------------------------------------------------------------------------------------------------------

static void a_window_keeps_itself_a_micro_batch_and_a_page(void) {
    kv_cache kv = opened(2);
    for (int n = 0; n < N_CTX; n += N_BATCH) {
        kv_drop(&kv, n, N_BATCH);
        write_marks(&kv, n, n + N_BATCH, 0);
        int end = n + N_BATCH, first = n - N_BATCH - WINDOW + 1;   // the first that is seen from n - N_BATCH on
        int from = first > 0 ? first / KV_PAGE - 1 : 0;            // and a page more
        from = from > 0 ? from : 0;
        CHECK_EQ_INT(held_of(&kv, DEEP), pages(end));
        CHECK_EQ_INT(held_of(&kv, NEAR), pages(end) - from);
        for (int i = 0; i < pages(end); i++) CHECK_EQ_INT(kv.tables[NEAR].pages[i] != NULL, i >= from);
        CHECK(held_of(&kv, NEAR) * KV_PAGE <= WINDOW + 2 * N_BATCH + 2 * KV_PAGE);
        for (int pos = first > 0 ? first : 0; pos < end; pos++) CHECK_EQ_INT(*mark_of(&kv, NEAR, pos), (uint8_t)pos);
    }
    kv_close(&kv);
}

static void keep_returns_0_where_a_windows_pages_were_freed(void) {
    kv_cache kv = opened(2);
    for (int n = 0; n < N_CTX; n += N_BATCH) {
        kv_drop(&kv, n, N_BATCH);
        write_marks(&kv, n, n + N_BATCH, 0);
    }
    int gone = 0;
    while (!kv.tables[NEAR].pages[gone]) gone++;
    for (int n = 0; n <= N_CTX; n++) {   // position n would see from n - WINDOW + 1 on
        int first = n >= WINDOW ? n - WINDOW + 1 : 0, is_there = n == 0 || first / KV_PAGE >= gone;
        CHECK_EQ_INT(kv_keep(&kv, n), is_there ? n : 0);
    }
    CHECK_EQ_INT(kv_keep(&kv, N_CTX), N_CTX);
    CHECK_EQ_INT(kv_keep(&kv, N_CTX - N_BATCH), N_CTX - N_BATCH);   // the last micro-batch can be taken back
    kv_cache deep = opened(1);
    write_marks(&deep, 0, N_CTX, 0);
    kv_drop(&deep, N_CTX, N_BATCH);
    for (int n = 0; n <= N_CTX; n++) CHECK_EQ_INT(kv_keep(&deep, n), n);   // without windows nothing is freed
    kv_close(&deep);
    kv_close(&kv);
}

static void chunks_that_no_position_sees_are_freed(void) {
    kv_cache kv = opened(3);
    for (int n = 0; n < N_CTX; n += N_BATCH) {
        kv_drop(&kv, n, N_BATCH);
        write_marks(&kv, n, n + N_BATCH, 0);
        int first = n > N_BATCH ? (n - N_BATCH) / CHUNK * CHUNK : 0, from = first / KV_PAGE - 1;
        for (int i = 0; i < pages(n + N_BATCH); i++)
            CHECK_EQ_INT(kv.tables[CHUNKED].pages[i] != NULL, i >= (from > 0 ? from : 0));
        for (int pos = first; pos < n + N_BATCH; pos++) CHECK_EQ_INT(*mark_of(&kv, CHUNKED, pos), (uint8_t)pos);
    }
    kv_close(&kv);
}

static void positions_of_a_freed_chunk_can_not_be_kept(void) {
    static const kv_class one[] = {{.window = CHUNK, .is_chunked = 1, .k_dim = 16, .v_dim = 16, .n_heads = 1}};
    kv_cache kv;
    CHECK_EQ_INT(kv_open(&kv, one, 1, GEMEL_KV_Q8_0, N_CTX), 0);
    write_marks(&kv, 0, 960, 0);
    kv_drop(&kv, 960, 1);   // position 959 sees from 900 on, in page 14; one page more is kept
    CHECK_EQ_INT(kv_keep(&kv, 960), 960);
    CHECK_EQ_INT(kv_keep(&kv, 900), 900);   // where a chunk begins
    CHECK_EQ_INT(kv_keep(&kv, 899), 0);     // it would see from 750 on
    CHECK_EQ_INT(kv_keep(&kv, 750), 0);     // page 11 is gone
    kv_close(&kv);
}

static void what_a_window_drops_its_forks_keep(void) {
    kv_cache kv = opened(2);
    int shared;
    write_marks(&kv, 0, 300, 5);
    kv_cache fork = fork_of(&kv, 300);
    kv_drop(&kv, N_CTX, 1);
    CHECK_EQ_INT(held_of(&kv, NEAR), 0);
    CHECK_EQ_INT(held_of(&kv, DEEP), 5);
    CHECK(held(&fork, &shared) == 10 && shared == 5);
    CHECK(has_marks(&fork, 0, 300, 5));
    CHECK_EQ_INT(kv_keep(&fork, 300), 300);
    CHECK_EQ_INT(kv_keep(&kv, 300), 0);
    kv_cache late = fork_of(&kv, 300);   // shares the holes, too
    CHECK(held_of(&late, NEAR) == 0 && held_of(&late, DEEP) == 5);
    kv_close(&kv);
    kv_close(&late);
    kv_close(&fork);
}

// ---- Two threads ---------------------------------------------------------------------------------------------------

static void fork_and_write(void *arg, int ith, int nth) {
    kv_cache *own = &((kv_cache *)arg)[ith];   // shares all of its pages with the other thread's
    uint64_t rng = (uint64_t)ith;
    int mine = 200;
    (void)nth;
    for (int round = 0; round < 200; round++) {
        int kept = (int)(check_random(&rng) % 200) + 1;
        kv_cache fork = fork_of(own, kept);
        write_marks(&fork, kept, kept + 70, 100 + ith);
        CHECK(has_marks(&fork, 0, kept, 0) && has_marks(&fork, kept, kept + 70, 100 + ith));
        if (round % 50 == 25) write_marks(own, mine, mine + 40, 0), mine += 40;
        kv_close(&fork);
        CHECK(has_marks(own, 0, mine, 0));
    }
}

static void what_can_not_be_reserved_leaves_the_pages_that_were(void) {
#if UINTPTR_MAX > UINT32_MAX && !defined __SANITIZE_ADDRESS__
    const kv_class huge[] = {classes[DEEP], {.window = WINDOW, .k_dim = 1024, .v_dim = 1024, .n_heads = 1 << 30}};
    kv_cache kv;
    CHECK_EQ_INT(kv_open(&kv, huge, 2, GEMEL_KV_F32, N_CTX), 0);
    kv.n_tables = 1;
    write_marks(&kv, 100, 200, 7);   // pages 1 to 3
    kv.n_tables = 2;
    int shared;
    CHECK_EQ_INT(kv_reserve(&kv, 0, 300), GEMEL_E_MEMORY);   // a page of the second class takes over 2^48 bytes
    CHECK_EQ_INT(held(&kv, &shared), 3);
    CHECK(!kv.tables[0].pages[0] && !kv.tables[0].pages[4] && kv.n_pages == 4);
    kv.n_tables = 1;
    CHECK(has_marks(&kv, 100, 200, 7));
    kv.n_tables = 2;
    kv_close(&kv);
#else
    CHECK_SKIP("no page is too large here");
#endif
}

static void two_threads_fork_and_write_what_they_share(void) {
    threads *team;
    if (threads_open(&team, 2) < 0) CHECK_SKIP("no threads here");
    for (int round = 0; round < 10; round++) {
        kv_cache pair[2] = {opened(2)};
        write_marks(&pair[0], 0, 200, 0);
        pair[1] = fork_of(&pair[0], 200);
        threads_run(team, 2, fork_and_write, pair, NULL);
        int shared;
        CHECK(held(&pair[0], &shared) == 2 * pages(360) && shared == 6);   // complete pages: still held once
        kv_close(&pair[0]);
        kv_close(&pair[1]);
    }
    threads_close(team);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(pages_are_taken_as_they_are_needed),
        CHECK_ENTRY(release_keeps_the_page_of_the_last_position),
        CHECK_ENTRY(a_page_begins_as_zeros),
        CHECK_ENTRY(what_can_not_be_reserved_leaves_the_pages_that_were),
        CHECK_ENTRY(a_fork_shares_pages_and_copies_the_last_when_either_writes),
        CHECK_ENTRY(a_fork_at_a_pages_end_copies_nothing),
        CHECK_ENTRY(a_hundred_forks_copy_a_hundred_last_pages_at_most),
        CHECK_ENTRY(a_fork_of_a_fork_outlives_both),
        CHECK_ENTRY(a_window_keeps_itself_a_micro_batch_and_a_page),
        CHECK_ENTRY(keep_returns_0_where_a_windows_pages_were_freed),
        CHECK_ENTRY(chunks_that_no_position_sees_are_freed),
        CHECK_ENTRY(positions_of_a_freed_chunk_can_not_be_kept),
        CHECK_ENTRY(what_a_window_drops_its_forks_keep),
        CHECK_ENTRY(two_threads_fork_and_write_what_they_share),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
