// Grammars of a model: the tree of its texts is made when the first one opens.
#include "../grammar/grammar.h"
#include "../model/model.h"

// Two threads may make it at the same time: the first one's stays.
static int words_of(gemel_model *m, text_tree **out, errors *e) {
    text_tree *made = NULL, *there = atomic_load(&m->words);
    if (!there) {
        int code = text_tree_open(&made, m->tok, e);
        if (code < 0) return code;
        if (atomic_compare_exchange_strong(&m->words, &there, made)) there = made;
        else text_tree_close(made);
    }
    *out = there;
    return GEMEL_OK;
}

int gemel_grammar_open(gemel_model *m, int source, const char *text, size_t size, gemel_grammar **out, char *err,
                       size_t err_size) {
    errors e = {err, err_size};
    text_tree *words;
    if (out) *out = NULL;
    if (!m || !out || (!text && size) || source < GEMEL_GRAMMAR_GBNF || source > GEMEL_GRAMMAR_REGEX)
        return fail(&e, GEMEL_E_ARGUMENT, "the model, the text or the source is not valid");
    int code = words_of(m, &words, &e);
    return code < 0 ? code : grammar_open(out, m->tok, words, source, size ? text : "", size, &e);
}

int gemel_grammar_choices(gemel_model *m, const char *text, const int32_t *sizes, size_t n, gemel_grammar **out,
                          char *err, size_t err_size) {
    errors e = {err, err_size};
    text_tree *words;
    if (out) *out = NULL;
    if (!m || !out || !text || !sizes || !n) return fail(&e, GEMEL_E_ARGUMENT, "choices are at least one text");
    for (size_t i = 0; i < n; i++)
        if (sizes[i] < 0) return fail(&e, GEMEL_E_ARGUMENT, "choice %zu has %d bytes", i, (int)sizes[i]);
    int code = words_of(m, &words, &e);
    return code < 0 ? code : grammar_choices(out, m->tok, words, text, sizes, n, &e);
}
