// How long a grammar's masks take, over random answers: median, 99th percentile and worst, in microseconds of CPU.
//
//   cmake -S core_c -B build/mine -DCMAKE_BUILD_TYPE=Release -DGEMEL_CHECKS=ON
//   cmake --build build/mine --target gemel_core
//   cc -O2 -D_GNU_SOURCE -Icore_c/include tests/bench/masks.c build/mine/libgemel_core.a -lm -lpthread -o build/masks
//   build/masks ggml-vocab-llama-bpe.gguf [PART OF A NAME]
//
// As WebAssembly, in Node:
//
//   emcc -O2 -msimd128 -sNODERAWFS -sALLOW_MEMORY_GROWTH -sSTACK_SIZE=1mb -D_GNU_SOURCE -Icore_c/include
//       tests/bench/masks.c core_c/src/{grammar,text,file,quant}/*.c core_c/src/{errors,memory}.c -o build/masks.js
//   node build/masks.js ggml-vocab-llama-bpe.gguf
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

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static uint64_t seed = 1;
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

int main(int argc, char **argv) {
    static char said[1024];
    static double took[TOKENS];
    errors e = {said, sizeof said};
    tokenizer *t = argc > 1 ? vocabulary(argv[1], &e) : NULL;
    text_tree *words = NULL;
    if (!t || text_tree_open(&words, t, &e)) return fprintf(stderr, "no vocabulary: %s\n", said), 1;
    int n_vocab = tokenizer_n_vocab(t);
    int32_t *ids = malloc((size_t)n_vocab * sizeof *ids);
    printf("%d ids, %u nodes, longest text %u\n", n_vocab, words->n, words->depth);
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
        gemel_grammar *g;
        mask *k = malloc(sizeof *k);
        if (argc > 2 && !strstr(grammars[i][0], argv[2])) continue;
        double start = now();
        if (grammar_open(&g, t, words, GEMEL_GRAMMAR_GBNF, grammars[i][1], strlen(grammars[i][1]), &e))
            return fprintf(stderr, "%s\n", said), 1;
        double compiled = now() - start;
        if (mask_open(k, g, 0)) return 1;
        double opened = now() - start - compiled;
        for (int token = 0, of_answer = 0; token < TOKENS; token++) {
            start = now();
            if (mask_fill(k)) return fprintf(stderr, "a mask failed\n"), 1;
            took[token] = now() - start;
            int n = 0;
            for (int32_t id = 0; id < n_vocab; id++)
                if (mask_allows(k, id) && !tokenizer_is_eog(t, id)) ids[n++] = id;
            if (!n || ++of_answer == ANSWER) {
                mask_close(k), of_answer = 0;   // each answer begins with nothing cached
                if (mask_open(k, g, 0)) return 1;
            } else if (mask_take(k, ids[draw() % (uint64_t)n])) return fprintf(stderr, "an id was refused\n"), 1;
        }
        qsort(took, TOKENS, sizeof *took, by_time);
        printf("%-26s median %7.1f  p99 %7.1f  worst %7.1f  compile %7.0f  open %5.0f\n", grammars[i][0],
               took[TOKENS / 2], took[TOKENS / 100 * 99], took[TOKENS - 1], compiled, opened);
        mask_close(k), free(k), gemel_grammar_close(g);
    }
    return 0;
}
