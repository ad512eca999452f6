// Linear time, without a clock: how often the splitting rules read a character of long texts, and how often merging
// asks for a pair. The rules are compiled here once more, with a rune_at that counts.
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/text/merge.h"
#include "../../core_c/src/text/pretok.h"

static size_t steps;
#define rune_at(at, end) (steps++, rune_at(at, end))
#include "../../core_c/src/text/pretok.c"
#define is_newline groups_is_newline
#include "../../core_c/src/text/pretok_groups.c"
#include "../../core_c/src/text/pretok_rows.c"

enum { N = 1 << 16, READS_MAX = 12 };   // reads of a character by each pass; more words of one character need most

static const char *const UNITS[] = {"a",
                                    "A",
                                    "1",
                                    " ",
                                    "\n",
                                    "\t",
                                    "\r\n",
                                    "'",
                                    "<",
                                    "_",
                                    "/",
                                    "\xCC\x81",
                                    "\xD9\xA3",
                                    "\xC2\xB2",
                                    "\xE4\xB8\xAD",
                                    "\xED\x95\x9C",
                                    "\xF0\x9F\x98\x80",
                                    "\xE3\x80\x80",
                                    "\xFF",
                                    "1a",
                                    "A1",
                                    "aA",
                                    " a",
                                    " \n",
                                    "' ",
                                    "a'",
                                    "1 ",
                                    "1\xC2\xB2",
                                    "IMGIMG",
                                    "<sentinel:1",
                                    "a \xCC\x81",
                                    " .",
                                    ("\xE4\xB8\xAD"
                                     "A")};

static size_t split_all(const pretok *row, const char *text, size_t size) {
    size_t n_words = 0;
    splitter words = split_begin(row, text, text + size);
    for (const char *at = text; at < text + size; n_words++) at += split_next(&words, at);
    return n_words;
}

static int is_known(size_t r, const pass *passes) {
    while (r--)
        if (pretok_at(r)->passes == passes) return 1;
    return 0;
}

static void splitting_reads_each_character_a_few_times(void) {
    char *text = malloc(N);
    const pretok *row;
    for (size_t r = 0; (row = pretok_at(r)); r++) {
        size_t n_passes = 0;
        if (is_known(r, row->passes)) continue;
        while (row->passes[n_passes].next) n_passes++;
        for (size_t u = 0; u < sizeof UNITS / sizeof *UNITS; u++) {
            size_t size = strlen(UNITS[u]);
            for (size_t i = 0; i < N; i++) text[i] = UNITS[u][i % size];
            steps = 0;
            CHECK(split_all(row, text, N / size * size) > 0);
            CHECK(steps <= READS_MAX * n_passes * N);
            if (steps > READS_MAX * n_passes * N) printf("    %s, '%s': %zu\n", row->name, UNITS[u], steps / N);
        }
    }
    free(text);
}

// ---- Merging -------------------------------------------------------------------------------------------------------

static size_t asked;

// Doubling: 0 0 -> 1, 1 1 -> 2 and so on, as the runs of a character that vocabularies have; up to `of`.
static merge doubling(const void *of, int32_t left, int32_t right) {
    asked++;
    return left == right && left < *(const int32_t *)of ? (merge){100 - left, left + 1} : (merge){-1, -1};
}

// Each symbol joins with what the run has become, so that only one pair merges at a time.
static merge growing(const void *of, int32_t left, int32_t right) {
    (void)of;
    asked++;
    return right == 0 && left > 0 ? (merge){5, left} : left == 0 && right == 0 ? (merge){9, 1} : (merge){-1, -1};
}

static void merging_asks_for_each_pair_a_few_times(void) {
    merge (*const rules[])(const void *, int32_t, int32_t) = {doubling, growing};
    int32_t *symbols = malloc(N * sizeof *symbols);
    for (int32_t top = 0; top < 16; top++) {
        for (size_t r = 0; r < 2; r++) {
            merge_scratch scratch = {NULL, 0};
            size_t n = N;
            memset(symbols, 0, N * sizeof *symbols);
            asked = 0;
            CHECK_EQ_INT(merge_run((merge_rule){rules[r], &top}, &scratch, symbols, &n), 0);
            CHECK(n >= 1 && asked <= 4 * N);
            free(scratch.memory);
        }
    }
    free(symbols);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(splitting_reads_each_character_a_few_times),
        CHECK_ENTRY(merging_asks_for_each_pair_a_few_times),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
