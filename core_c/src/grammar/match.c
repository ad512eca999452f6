// Whether a text is what a grammar matches, or begins so. It needs a matcher, and none of a mask's memory.
#include "compiled.h"
#include "unique.h"

typedef struct reader {
    matcher m;
    unique lists, *unique;   // unique: &lists, or NULL: the grammar has no unique rule
} reader;

enum { SHORT_TEXT = 4096, SHORT_SHIFT = 6 };

static int open_reader(reader *r, const rules *rules, int shift) {
    *r = (reader){.unique = rules->is_endless ? &r->lists : NULL};
    int code = matcher_open(&r->m, rules, shift);
    return r->unique && !unique_open(r->unique, &r->m) ? GEMEL_E_MEMORY : code;
}

static void close_reader(reader *r) {
    matcher_close(&r->m);
    if (r->unique) unique_close(r->unique);
}

// GEMEL_E_ARGUMENT: nothing goes on with the byte.
static int read_byte(reader *r, uint8_t byte) {
    matcher *m = &r->m;
    matcher_tidy(m, 0);
    uint32_t set = unique_try(r->unique, m, m->now, &byte, 1);
    if (matcher_is_stuck(m)) {
        matcher_tidy(m, 1);
        set = unique_try(r->unique, m, m->now, &byte, 1);
    }
    if (matcher_is_stuck(m)) return GEMEL_E_GRAMMAR;
    if (!set) return GEMEL_E_ARGUMENT;
    if (r->unique) (void)unique_read(r->unique, m, m->now, &byte, 1);
    m->now = set;
    return GEMEL_OK;
}

static int match(const rules *rules, const uint8_t *text, size_t size, int shift) {
    reader r;
    int code = open_reader(&r, rules, shift);
    for (size_t i = 0; i < size && code == 0; i++) code = read_byte(&r, text[i]);
    if (code == 0) code = GEMEL_MATCH_BEGINS | (matcher_may_end(&r.m, r.m.now) ? GEMEL_MATCH_WHOLE : 0);
    else if (code == GEMEL_E_ARGUMENT) code = 0;
    close_reader(&r);
    return code;
}

// A short text mostly needs little memory. Where that is not enough, it is read again with all of it.
int gemel_grammar_match(const gemel_grammar *g, const char *text, size_t size) {
    if (!g || (!text && size)) return GEMEL_E_ARGUMENT;
    int code = size <= SHORT_TEXT ? match(&g->rules, (const uint8_t *)text, size, SHORT_SHIFT) : GEMEL_E_GRAMMAR;
    return code == GEMEL_E_GRAMMAR ? match(&g->rules, (const uint8_t *)text, size, 0) : code;
}
