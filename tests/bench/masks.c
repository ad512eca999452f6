// How long a grammar's masks take, over random answers: median, 99th percentile and worst, in microseconds of CPU.
//
//   cmake -S core_c -B build/mine -DCMAKE_BUILD_TYPE=Release -DGEMEL_CHECKS=ON
//   cmake --build build/mine --target gemel_core
//   cc -O2 -D_GNU_SOURCE -Icore_c/include tests/bench/masks.c build/mine/libgemel_core.a -lm -lpthread -o build/masks
//   build/masks ggml-vocab-llama-bpe.gguf [PART OF A NAME [ROUNDS]]
//
// ROUNDS (1) is how often the same answers are made; a mask's time is the mean of its rounds, without the first one
// where there are more. It is for clocks that are coarse. mask_tabs.py runs it in Chromium beside the native program.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../../core_c/src/file/gguf_read.h"
#include "../../core_c/src/grammar/grammar.h"
#include "../../core_c/src/grammar/mask.h"

enum { TOKENS = 2000, ANSWER = 60 };

static const char *const grammars[][2] = {
    {"any 0..2000", "root ::= .{0,2000}"},
    {"name 1..40", "root ::= ([a-z]{1,40} \"\\n\")*"},
    {"choices", "root ::= (\"yes\" | \"no\" | \"perhaps\") (\",\" (\"yes\" | \"no\"))*"},
    {"json", "root ::= v\nv ::= o | a | s | n | \"true\" | \"false\" | \"null\"\no ::= \"{\" (s \":\" v (\",\" s \":\" "
             "v)*)? \"}\"\n"
             "a ::= \"[\" (v (\",\" v)*)? \"]\"\ns ::= \"\\\"\" c* \"\\\"\"\nc ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" "
             "([\"\\\\/bfnrt] | \"u\" "
             "[0-9a-fA-F]{4})\nn ::= \"-\"? (\"0\" | [1-9] [0-9]*) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)?"},
    {"members, maxLength 2000", "root ::= \"{\\\"a\\\":\" s \",\\\"b\\\":\" s \",\\\"c\\\":\" s \",\\\"d\\\":\" n "
                                "\",\\\"e\\\":[\" (s (\",\" s){0,30})? \"]}\"\n"
                                "s ::= \"\\\"\" c{0,2000} \"\\\"\"\nc ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" "
                                "([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
                                "n ::= \"-\"? (\"0\" | [1-9] [0-9]*) (\".\" [0-9]+)?"},
    {"members, maxLength 50",
     "root ::= \"{\\\"a\\\":\" s \",\\\"b\\\":\" s \",\\\"c\\\":\" s \",\\\"d\\\":\" n \",\\\"e\\\":[\" (s (\",\" "
     "s){0,30})? \"]}\"\n"
     "s ::= \"\\\"\" c{0,50} \"\\\"\"\nc ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
     "n ::= \"-\"? (\"0\" | [1-9] [0-9]*) (\".\" [0-9]+)?"},
    {"strings, each once", "root ::= \"[\" u (\",\" u)* \"]\"\nu @unique ::= s\ns ::= \"\\\"\" c* \"\\\"\"\n"
                           "c ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})"},
    {"names 1..8, each once", "root ::= \"[\" u (\",\" u)* \"]\"\nu @unique ::= s\ns ::= \"\\\"\" [a-z]{1,8} \"\\\"\""},
    {"members, each once",
     "root ::= \"[\" u (\",\" u)* \"]\"\nu @unique ::= \"{\\\"a\\\":\" s \",\\\"b\\\":\" n \"}\"\n"
     "s ::= \"\\\"\" [a-z ]{1,16} \"\\\"\"\nn ::= \"0\" | [1-9] [0-9]{0,3}"},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// What reading the clock twice takes: 0.2 us natively, more in a tab. It is no part of a mask's time.
static double clocks(void) {
    enum { TIMES = 20000 };
    double sum = 0;
    for (int i = 0; i < TIMES; i++) {
        double start = now();
        sum += now() - start;
    }
    return sum / TIMES;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static uint64_t seed;
static uint64_t draw(void) {   // splitmix64
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static tokenizer *vocabulary(const char *path, errors *e) {
    FILE *f = fopen(path, "rb");
    gguf *g;
    tokenizer *t = NULL;
    size_t used;
    if (!f || fseek(f, 0, SEEK_END)) return NULL;
    size_t size = (size_t)ftell(f);
    uint8_t *data = malloc(size);
    rewind(f);
    if (fread(data, 1, size, f) == size && !gguf_open(&g, size, e) && gguf_feed(g, data, size, &used, e) >= 0)
        (void)tokenizer_open(&t, g, NULL, e);
    return t;
}

// Adds what each mask takes. The ids of random answers are drawn where `drawn`, an array, has none yet; -1 ends an answer.
// Returns 0, or -1 where a mask failed or an id was refused.
static int answers(gemel_grammar *g, tokenizer *t, int32_t *drawn, int is_drawn, int32_t *ids, double *took) {
    mask *k = malloc(sizeof *k);
    if (!k || mask_open(k, g, 0)) return free(k), -1;
    for (int token = 0, of_answer = 0; token < TOKENS; token++) {
        double start = now();
        if (mask_fill(k)) return -1;
        took[token] += now() - start;
        if (!is_drawn) {
            int n = 0;
            for (int32_t id = 0; id < tokenizer_n_vocab(t); id++)
                if (mask_allows(k, id) && !tokenizer_is_eog(t, id)) ids[n++] = id;
            drawn[token] = !n || ++of_answer == ANSWER ? -1 : ids[draw() % (uint64_t)n];
        }
        if (drawn[token] < 0) {
            mask_close(k), of_answer = 0;   // each answer begins with nothing cached
            if (mask_open(k, g, 0)) return -1;
        } else if (mask_take(k, drawn[token])) return -1;
    }
    mask_close(k), free(k);
    return 0;
}

static int measure(const char *const grammar[2], tokenizer *t, text_tree *words, int rounds, errors *e) {
    static double took[TOKENS];
    static int32_t drawn[TOKENS];
    gemel_grammar *g;
    int32_t *ids = malloc((size_t)tokenizer_n_vocab(t) * sizeof *ids);
    double start = now();
    if (!ids || grammar_open(&g, t, words, GEMEL_GRAMMAR_GBNF, grammar[1], strlen(grammar[1]), e)) return -1;
    double compiled = now() - start;
    memset(took, 0, sizeof took);
    seed = 1;
    for (int round = 0; round < rounds; round++) {
        if (answers(g, t, drawn, round > 0, ids, took)) return -1;
        if (!round && rounds > 1) memset(took, 0, sizeof took);
    }
    double own = clocks();
    for (int i = 0; i < TOKENS; i++) took[i] = took[i] / (rounds > 1 ? rounds - 1 : 1) - own;
    qsort(took, TOKENS, sizeof *took, by_time);
    printf("%-26s median %7.1f  p99 %7.1f  worst %7.1f  compile %7.0f  clock %4.1f\n", grammar[0], took[TOKENS / 2],
           took[TOKENS / 100 * 99], took[TOKENS - 1], compiled, own);
    gemel_grammar_close(g), free(ids);
    return 0;
}

int main(int argc, char **argv) {
    static char said[1024];
    errors e = {said, sizeof said};
    tokenizer *t = argc > 1 ? vocabulary(argv[1], &e) : NULL;
    text_tree *words = NULL;
    int rounds = argc > 3 ? atoi(argv[3]) : 1;
    if (!t || text_tree_open(&words, t, &e)) return fprintf(stderr, "no vocabulary: %s\n", said), 1;
    printf("%d ids, %u nodes, longest text %u\n", tokenizer_n_vocab(t), words->n, words->depth);
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++)
        if ((argc < 3 || strstr(grammars[i][0], argv[2])) && measure(grammars[i], t, words, rounds, &e))
            return fprintf(stderr, "%s: a mask failed, or an id was refused: %s\n", grammars[i][0], said), 1;
    return 0;
}
