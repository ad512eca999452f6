// The tree is walked over the sorted list: a node is a stretch of texts that begin with the same bytes. For the other
// texts of strings, each node also knows where a string is behind these bytes; bytes that lead out of the tree lead
// into one automaton of all strings, which all nodes share.
#include "texts.h"
#include <string.h>
#include "../text/array.h"

// ---- The list ------------------------------------------------------------------------------------------------------

void texts_close(texts *t) { free(t->bytes), free(t->list); }

int texts_begin(texts *t) {
    if (!array_room((void **)&t->list, t->n, &t->list_room, t->n + 1, sizeof *t->list)) return 0;
    t->list[t->n++] = (text_span){t->n_bytes, 0};
    return 1;
}

int texts_add(texts *t, const uint8_t *bytes, size_t size) {
    if (!array_room((void **)&t->bytes, t->n_bytes, &t->bytes_room, t->n_bytes + size, 1)) return 0;
    if (size) memcpy(t->bytes + t->n_bytes, bytes, size);
    t->n_bytes += size, t->list[t->n - 1].size += size;
    return 1;
}

typedef struct sorted {
    const uint8_t *at;
    size_t size;
} sorted;

static int by_text(const void *a, const void *b) {
    const sorted *x = a, *y = b;
    size_t size = x->size < y->size ? x->size : y->size;
    int order = size ? memcmp(x->at, y->at, size) : 0;
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

// ---- Where a JSON string is ----------------------------------------------------------------------------------------

enum {
    CHARACTER,
    TAIL_1,
    TAIL_2,
    TAIL_3,   // before a character; before so many continuation bytes
    AFTER_E0,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4,
    ESCAPED,
    ESCAPED_U,
    ESCAPED_U0,
    ESCAPED_U00,
    ESCAPED_U000,
    ESCAPED_U001,
    N_PLACES
};   // clang-format off
static const struct string_edge { uint8_t from, low, high, to; } string_edges[] = {   // of a place by byte
    {CHARACTER, 0x20, 0x21, CHARACTER}, {CHARACTER, 0x23, 0x5B, CHARACTER}, {CHARACTER, '\\', '\\', ESCAPED},
    {CHARACTER, 0x5D, 0x7F, CHARACTER}, {CHARACTER, 0xC2, 0xDF, TAIL_1}, {CHARACTER, 0xE0, 0xE0, AFTER_E0},
    {CHARACTER, 0xE1, 0xEC, TAIL_2}, {CHARACTER, 0xED, 0xED, AFTER_ED}, {CHARACTER, 0xEE, 0xEF, TAIL_2},
    {CHARACTER, 0xF0, 0xF0, AFTER_F0}, {CHARACTER, 0xF1, 0xF3, TAIL_3}, {CHARACTER, 0xF4, 0xF4, AFTER_F4},
    {TAIL_1, 0x80, 0xBF, CHARACTER}, {TAIL_2, 0x80, 0xBF, TAIL_1}, {TAIL_3, 0x80, 0xBF, TAIL_2},
    {AFTER_E0, 0xA0, 0xBF, TAIL_1}, {AFTER_ED, 0x80, 0x9F, TAIL_1},   // without surrogates
    {AFTER_F0, 0x90, 0xBF, TAIL_2}, {AFTER_F4, 0x80, 0x8F, TAIL_2},
    {ESCAPED, '"', '"', CHARACTER}, {ESCAPED, '\\', '\\', CHARACTER}, {ESCAPED, 'b', 'b', CHARACTER},
    {ESCAPED, 'f', 'f', CHARACTER}, {ESCAPED, 'n', 'n', CHARACTER}, {ESCAPED, 'r', 'r', CHARACTER},
    {ESCAPED, 't', 't', CHARACTER}, {ESCAPED, 'u', 'u', ESCAPED_U},
    {ESCAPED_U, '0', '0', ESCAPED_U0}, {ESCAPED_U0, '0', '0', ESCAPED_U00},
    {ESCAPED_U00, '0', '0', ESCAPED_U000}, {ESCAPED_U00, '1', '1', ESCAPED_U001},
    {ESCAPED_U000, '0', '7', CHARACTER}, {ESCAPED_U000, 'b', 'b', CHARACTER}, {ESCAPED_U000, 'e', 'f', CHARACTER},
    {ESCAPED_U001, '0', '9', CHARACTER}, {ESCAPED_U001, 'a', 'f', CHARACTER},
};   // clang-format on
enum { N_STRING_EDGES = sizeof string_edges / sizeof *string_edges };

// ---- The tree ------------------------------------------------------------------------------------------------------

typedef struct node {
    size_t from, to, depth;   // texts[from..to) have the same first `depth` bytes
    uint32_t state;
    int place;
} node;

typedef struct tree {
    builder *b;
    sorted *texts;
    node *waiting;
    size_t n_waiting, waiting_room;
    uint32_t end, string[N_PLACES];   // of the rule; the states of any string
} tree;

// Add the child of a node that begins at text `from`; returns where the next one does.
static size_t add_child(tree *w, const node *n, size_t from, int place) {
    uint8_t byte = w->texts[from].at[n->depth];
    size_t to = from + 1;
    while (to < n->to && w->texts[to].at[n->depth] == byte) to++;
    uint32_t state = builder_state(w->b);
    builder_bytes(w->b, n->state, state, byte, byte);
    if (!array_room((void **)&w->waiting, w->n_waiting, &w->waiting_room, w->n_waiting + 1, sizeof *w->waiting))
        w->b->code = GEMEL_E_MEMORY;
    else w->waiting[w->n_waiting++] = (node){from, to, n->depth + 1, state, place};
    return to;
}

// Add the children of a node, and what leads out of the tree. 0: a child is no string.
static int add_others(tree *w, const node *n, size_t child) {
    for (int i = 0; i < N_STRING_EDGES; i++) {
        struct string_edge e = string_edges[i];
        int at = e.low;
        if (e.from != n->place) continue;
        while (child < n->to && w->texts[child].at[n->depth] <= e.high) {
            int byte = w->texts[child].at[n->depth];
            if (byte < at) return 0;
            if (at < byte) builder_bytes(w->b, n->state, w->string[e.to], (uint8_t)at, (uint8_t)(byte - 1));
            child = add_child(w, n, child, e.to), at = byte + 1;
        }
        if (at <= e.high) builder_bytes(w->b, n->state, w->string[e.to], (uint8_t)at, e.high);
    }
    return child == n->to;
}

static int walk(tree *w, size_t n_texts, uint32_t start, int with_others) {
    int ok = 1;
    node n = {0, n_texts, 0, start, CHARACTER};
    for (int is_more = 1; is_more && ok && !w->b->code;) {
        size_t child = n.from;
        while (child < n.to && w->texts[child].size == n.depth) child++;
        int is_text = child > n.from;
        if (is_text && with_others && n.place != CHARACTER) ok = 0;
        if (with_others ? !is_text && n.place == CHARACTER : is_text) builder_skip(w->b, n.state, w->end);
        if (with_others) ok = ok && add_others(w, &n, child);
        else
            while (child < n.to) child = add_child(w, &n, child, CHARACTER);
        is_more = w->n_waiting > 0;
        if (is_more) n = w->waiting[--w->n_waiting];
    }
    return ok;
}

static int put(texts *t, builder *b, uint32_t rule, int with_others) {
    tree w = {.b = b, .texts = array_new(t->n, sizeof *w.texts)};
    int ok = 1;
    if (!w.texts) b->code = GEMEL_E_MEMORY;
    if (b->code) return ok;
    w.end = b->list[rule].end;
    for (size_t i = 0; i < t->n; i++) {   // without any bytes where all texts are empty
        const text_span *s = &t->list[i];
        w.texts[i] = (sorted){s->size ? t->bytes + s->at : NULL, s->size};
    }
    qsort(w.texts, t->n, sizeof *w.texts, by_text);
    for (int i = 0; with_others && i < N_PLACES; i++) w.string[i] = builder_state(b);
    for (int i = 0; with_others && i < N_STRING_EDGES; i++) {
        struct string_edge e = string_edges[i];
        builder_bytes(b, w.string[e.from], w.string[e.to], e.low, e.high);
    }
    if (with_others) builder_skip(b, w.string[CHARACTER], w.end);
    ok = walk(&w, t->n, b->list[rule].start, with_others);
    free(w.texts), free(w.waiting);
    return ok;
}

void texts_put(texts *t, builder *b, uint32_t rule) { (void)put(t, b, rule, 0); }

int texts_put_others(texts *t, builder *b, uint32_t rule) { return put(t, b, rule, 1); }
