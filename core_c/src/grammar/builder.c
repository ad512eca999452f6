// Makes parts: states and edges appended to lists. builder_finish is in finish.c.
#include "builder.h"
#include <string.h>
#include "../text/array.h"
#include "../text/unicode.h"

void builder_open(builder *b) { *b = (builder){.n_states = STATES_FIRST}; }

void builder_close(builder *b) { free(b->edges), free(b->list), free(b->names), free(b->names_size); }

int builder_failed(const builder *b, errors *e) {
    if (b->code == GEMEL_E_MEMORY) return fail(e, b->code, "no memory for the grammar");
    return fail(e, b->code, "the grammar is too large: it has over %d states or %d edges; repeat less, or share rules",
                STATES_MAX, EDGES_MAX);
}

// ---- States and edges ----------------------------------------------------------------------------------------------

static int room(builder *b, uint64_t states, uint64_t edges) {
    if (b->code) return 0;
    if (b->n_states + states > STATES_MAX || b->n_edges + edges > EDGES_MAX) b->code = GEMEL_E_GRAMMAR;
    else if (!array_room((void **)&b->edges, b->n_edges, &b->edges_room, b->n_edges + (size_t)edges, sizeof *b->edges))
        b->code = GEMEL_E_MEMORY;
    return !b->code;
}

uint32_t builder_state(builder *b) { return room(b, 1, 0) ? b->n_states++ : 0; }

static void edge(builder *b, int kind, uint32_t from, uint32_t to, uint32_t value) {
    if (room(b, 0, 1)) b->edges[b->n_edges++] = (draft_edge){from, to, value, kind};
}

void builder_skip(builder *b, uint32_t from, uint32_t to) { edge(b, EDGE_SKIP, from, to, 0); }

void builder_bytes(builder *b, uint32_t from, uint32_t to, uint8_t low, uint8_t high) {
    edge(b, EDGE_BYTES, from, to, low | (uint32_t)high << 8);
}

uint32_t builder_rule(builder *b, const char *name, size_t size) {
    size_t n = b->n_rules;
    if (b->code) return 0;
    if (!array_room((void **)&b->list, n, &b->rules_room, n + 1, sizeof *b->list) ||
        !array_room((void **)&b->names, n, &b->names_room, n + 1, sizeof *b->names) ||
        !array_room((void **)&b->names_size, n, &b->sizes_room, n + 1, sizeof *b->names_size)) {
        b->code = GEMEL_E_MEMORY;
        return 0;
    }
    b->list[n] = (rule){0};
    b->names[n] = name, b->names_size[n] = size;
    return (uint32_t)b->n_rules++;
}

void builder_define(builder *b, uint32_t rule) {
    uint32_t start = builder_state(b), end = builder_state(b);
    if (!b->code) b->list[rule].start = start, b->list[rule].end = end;
}

// ---- Parts ---------------------------------------------------------------------------------------------------------

part builder_begin(builder *b) {
    part p = {.first_state = b->n_states, .first_edge = (uint32_t)b->n_edges};
    p.in = p.out = builder_state(b);
    return p;
}

void builder_add_byte(builder *b, part *p, uint8_t byte) {
    uint32_t next = builder_state(b);
    builder_bytes(b, p->out, next, byte, byte);
    p->out = next;
}

void builder_add_code(builder *b, part *p, uint32_t code) {
    uint8_t bytes[4];
    int n = rune_write(code, (char *)bytes);
    for (int i = 0; i < n; i++) builder_add_byte(b, p, bytes[i]);
}

static part one_edge(builder *b, int kind, uint32_t value) {
    part p = builder_begin(b);
    p.out = builder_state(b);
    edge(b, kind, p.in, p.out, value);
    return p;
}

part builder_call(builder *b, uint32_t rule) { return one_edge(b, EDGE_CALL, rule); }

part builder_id(builder *b, int32_t id, int is_negated) {
    return one_edge(b, is_negated ? EDGE_NOT_ID : EDGE_ID, (uint32_t)id);
}

part builder_repeat(builder *b, part p, uint32_t least, uint32_t most, int is_open) {
    uint64_t states = b->n_states - p.first_state, edges = b->n_edges - p.first_edge;   // times copies: over 32 bits
    uint64_t copies = is_open ? (least ? least : 1) : most;
    if (b->code) return p;
    if (!copies) {   // the empty text
        b->n_states = p.first_state, b->n_edges = p.first_edge;
        return builder_begin(b);
    }
    if (copies > STATES_MAX || !room(b, states * (copies - 1), edges * (copies - 1))) {
        if (!b->code) b->code = GEMEL_E_GRAMMAR;
        return p;
    }
    for (uint64_t k = 1; k < copies; k++) {
        uint32_t shift = (uint32_t)(k * states);
        for (uint64_t i = 0; i < edges; i++) {
            draft_edge e = b->edges[p.first_edge + i];
            e.from += shift, e.to += shift;
            b->edges[b->n_edges++] = e;
        }
    }
    b->n_states += (uint32_t)(states * (copies - 1));
    uint32_t in = builder_state(b), out = builder_state(b), before = in;
    for (uint64_t k = 0; k < copies; k++) {
        uint32_t shift = (uint32_t)(k * states);
        if (k >= least) builder_skip(b, before, out);
        builder_skip(b, before, p.in + shift);
        before = p.out + shift;
    }
    builder_skip(b, before, out);
    if (is_open) builder_skip(b, before, p.in + (uint32_t)((copies - 1) * states));
    return (part){in, out, p.first_state, p.first_edge};
}

// ---- Characters ----------------------------------------------------------------------------------------------------

int ranges_add(ranges *of, uint32_t low, uint32_t high) {
    if (!array_room((void **)&of->at, of->n, &of->room, of->n + 1, sizeof *of->at)) return 0;
    of->at[of->n++] = (range){low, high};
    return 1;
}

static int by_low(const void *a, const void *b) {
    const range *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

// Sort and join; with is_negated, what lies between.
static int tidy(ranges *of, int is_negated) {
    size_t n = 0;
    if (of->n) qsort(of->at, of->n, sizeof *of->at, by_low);
    for (size_t i = 0; i < of->n; i++) {
        range r = of->at[i];
        if (n && r.low <= of->at[n - 1].high + 1)
            of->at[n - 1].high = r.high > of->at[n - 1].high ? r.high : of->at[n - 1].high;
        else of->at[n++] = r;
    }
    of->n = n;
    if (!is_negated) return 1;
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        range r = of->at[i];
        if (r.low > next && !ranges_add(of, next, r.low - 1)) return 0;
        next = r.high + 1;
    }
    if (next <= 0x10FFFF && !ranges_add(of, next, 0x10FFFF)) return 0;
    memmove(of->at, of->at + n, (of->n - n) * sizeof *of->at);
    of->n -= n;
    return 1;
}

// The states of a class of characters: tail[k] reads any k continuation bytes.
typedef struct chars {
    part p;
    uint32_t tail[4];   // 0: not made yet; [0] is the end
} chars;

static uint32_t tail_of(builder *b, chars *c, int k) {
    for (int i = 1; i <= k; i++) {
        if (c->tail[i]) continue;
        c->tail[i] = builder_state(b);
        builder_bytes(b, c->tail[i], c->tail[i - 1], 0x80, 0xBF);
    }
    return c->tail[k];
}

// A range all of whose characters are the products of ranges of their bytes.
static void add_product(builder *b, chars *c, uint32_t low, uint32_t high) {
    uint8_t from[4], to[4];
    int n = rune_write(low, (char *)from), fixed = n;
    (void)rune_write(high, (char *)to);
    while (fixed > 1 && from[fixed - 1] == 0x80 && to[fixed - 1] == 0xBF) fixed--;
    uint32_t at = c->p.in;
    for (int i = 0; i < n && i < fixed; i++) {
        uint32_t next = i == fixed - 1 ? tail_of(b, c, n - fixed) : builder_state(b);
        builder_bytes(b, at, next, from[i], to[i]);
        at = next;
    }
}

// Cut a range where its characters' bytes are no product.
static void add_range(builder *b, chars *c, uint32_t low, uint32_t high) {
    static const uint32_t ends[] = {0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF, 0x10FFFF};
    while (low <= high && !b->code) {
        uint32_t stop = high;
        for (int i = 0; i < 6; i++)
            if (low <= ends[i]) {
                stop = stop > ends[i] ? ends[i] : stop;
                break;
            }
        for (int i = 1; i < 4 && low >= 0x80; i++) {   // the last i bytes are all of theirs, or only they differ
            uint32_t mask = (1u << 6 * i) - 1;
            if ((low & ~mask) == (stop & ~mask)) break;
            if (low & mask) {
                stop = low | mask;
                break;
            }
            if ((stop & mask) != mask) stop = (stop & ~mask) - 1;
        }
        if (low < 0xD800 || low > 0xDFFF) add_product(b, c, low, stop);
        low = stop + 1;
    }
}

part builder_chars(builder *b, ranges *of, int is_negated) {
    chars c = {.p = builder_begin(b)};
    if (!tidy(of, is_negated) && !b->code) b->code = GEMEL_E_MEMORY;
    c.p.out = c.tail[0] = builder_state(b);
    size_t before = b->n_edges;
    for (size_t i = 0; i < of->n; i++) add_range(b, &c, of->at[i].low, of->at[i].high);
    if (b->n_edges == before) c.p.out = c.p.in;
    return c.p;
}
