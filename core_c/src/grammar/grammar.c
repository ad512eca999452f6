// A source becomes rules: GBNF, a regular expression, or a list of texts.
#include "grammar.h"
#include <stdlib.h>
#include <string.h>
#include "../text/array.h"
#include "builder.h"
#include "gbnf.h"
#include "mask.h"
#include "regex.h"
#include "texts.h"

void gemel_grammar_close(gemel_grammar *g) {
    if (!g) return;
    rules_close(&g->rules);
    for (int i = 0; i < TREE_PARTS; i++) twins_close(&g->twins[i]);
    free(g);
}

size_t gemel_grammar_size(const gemel_grammar *g) {
    if (!g) return 0;
    size_t size = sizeof *g + rules_size(&g->rules);
    for (int i = 0; i < TREE_PARTS; i++)
        if (g->twins[i].top) size += g->rules.n_states * (sizeof *g->twins[i].top + sizeof *g->twins[i].under);
    return size;
}

// ---- Opening -------------------------------------------------------------------------------------------------------

enum { FIRST_BYTES = 64 };

// A grammar that is over a limit at its beginning, or after a text that it allows, is refused: the same numbers choose
// the text everywhere.
static int try_first_masks(const gemel_grammar *g, errors *e) {
    mask *k = array_new(1, sizeof *k);
    uint64_t seed = 1;
    int code = k ? mask_open(k, g, 0) : GEMEL_E_MEMORY;
    if (code == 0) (void)mask_fill(k);
    for (int i = 0; code == 0 && i < FIRST_BYTES && !matcher_is_stuck(&k->m); i++) {
        matcher_tidy(&k->m, 0);
        uint32_t from = (uint32_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 40), n = 0, next = 0;
        for (uint32_t classes = (uint32_t)g->rules.n_classes; n < classes && !next; n++)
            next = matcher_step(&k->m, k->m.now, (int)((from + n) % classes));
        if (!next) break;
        k->m.now = next;
        if (i == FIRST_BYTES - 1) (void)mask_fill(k);
    }
    int is_stuck = code == GEMEL_E_GRAMMAR || (code == 0 && matcher_is_stuck(&k->m));
    if (k) mask_close(k);
    free(k);
    if (code == GEMEL_E_MEMORY) return fail(e, code, "no memory for the grammar");
    return !is_stuck ? GEMEL_OK
                     : fail(e, GEMEL_E_GRAMMAR,
                            "the grammar reads a text in too many ways at once: let fewer repetitions and optional "
                            "parts follow or contain each other, or repeat less often");
}

static int finish(gemel_grammar **out, const tokenizer *t, const text_tree *words, builder *b, errors *e) {
    gemel_grammar *g = array_zero(1, sizeof *g);
    uint32_t sizes[TREE_PARTS];
    if (!g) return fail(e, GEMEL_E_MEMORY, "no memory for the grammar");
    g->words = words, g->tok = t;
    for (int i = 0; i < TREE_PARTS; i++) sizes[i] = tree_sizes[i] < words->depth ? tree_sizes[i] : words->depth;
    int code = builder_finish(b, &g->rules, e);
    if (code == 0 && twins_open(g->twins, &g->rules, sizes, TREE_PARTS) < 0)
        code = fail(e, GEMEL_E_MEMORY, "no memory for the grammar");
    if (code == 0) code = try_first_masks(g, e);
    if (code < 0) gemel_grammar_close(g);
    else *out = g;
    return code;
}

int grammar_open(gemel_grammar **out, const tokenizer *t, const text_tree *words, int source, const char *text,
                 size_t size, errors *e) {
    builder b;
    *out = NULL;
    builder_open(&b);
    int code = source == GEMEL_GRAMMAR_REGEX ? regex_parse(&b, text, size, e) : gbnf_parse(&b, t, text, size, e);
    if (code == 0) code = finish(out, t, words, &b, e);
    builder_close(&b);
    return code;
}

int grammar_choices(gemel_grammar **out, const tokenizer *t, const text_tree *words, const char *text,
                    const int32_t *sizes, size_t n, errors *e) {
    builder b;
    texts list = {0};
    int ok = 1;
    *out = NULL;
    for (size_t i = 0; i < n && ok; text += sizes[i++])
        ok = texts_begin(&list) && texts_add(&list, (const uint8_t *)text, (size_t)sizes[i]);
    builder_open(&b);
    builder_define(&b, builder_rule(&b, "the choices", 11));
    if (ok) texts_put(&list, &b, 0);
    int code = ok ? finish(out, t, words, &b, e) : fail(e, GEMEL_E_MEMORY, "no memory for %zu choices", n);
    builder_close(&b);
    texts_close(&list);
    return code;
}
