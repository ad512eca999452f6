// A builder's states and edges become rules: chains of skips are cut short, states that nothing reaches are left out,
// and calls of rules that match the empty text get a skip beside them. Refuses rules that never end and left recursion.
// Works on lists, without recursion, in time linear in the edges.
#include <string.h>
#include "../text/array.h"
#include "builder.h"
#include "endless.h"

typedef struct finish {
    builder *b;
    rules *r;
    errors *e;
    uint32_t *first;     // [n_states + 1] the edges of a state: order[first[q]..first[q + 1])
    uint32_t *order;     // [n_edges]
    uint32_t *owner;     // [n_states] its rule
    uint32_t *stack;     // [n_states + n_rules] scratch
    uint8_t *mark;       // [n_states] scratch
    uint32_t *waiting;   // [n_rules] the first call that waits for a rule: 1 + edge, 0: none
    uint32_t *next;      // [n_edges] the next one
    uint8_t *empty;      // [n_rules] it matches the empty text
} finish;

static int open_finish(finish *f) {
    size_t states = f->b->n_states, edges = f->b->n_edges, n_rules = f->b->n_rules;
    f->first = array_zero(states + 2, sizeof *f->first);
    f->order = array_new(edges, sizeof *f->order);
    f->owner = array_zero(states, sizeof *f->owner);
    f->stack = array_new(states + n_rules, sizeof *f->stack);
    f->mark = array_zero(states, 1);
    f->waiting = array_zero(n_rules, sizeof *f->waiting);
    f->next = array_zero(edges, sizeof *f->next);
    f->empty = array_zero(n_rules, 1);
    return f->first && f->order && f->owner && f->stack && f->mark && f->waiting && f->next && f->empty;
}

static void close_finish(finish *f) {
    free(f->first), free(f->order), free(f->owner), free(f->stack);
    free(f->mark), free(f->waiting), free(f->next), free(f->empty);
}

static void sort_edges(finish *f) {   // by state; those of a state stay in their order
    const builder *b = f->b;
    memset(f->first, 0, (b->n_states + 2) * sizeof *f->first);
    for (size_t i = 0; i < b->n_edges; i++) f->first[b->edges[i].from + 2]++;
    for (size_t q = 2; q < (size_t)b->n_states + 2; q++) f->first[q] += f->first[q - 1];
    for (size_t i = 0; i < b->n_edges; i++) f->order[f->first[b->edges[i].from + 1]++] = (uint32_t)i;
}

static draft_edge *edge_at(const finish *f, uint32_t i) { return &f->b->edges[f->order[i]]; }

// ---- Chains of skips -----------------------------------------------------------------------------------------------

// Where a state leads that only skips; a state of a circle of skips leads to itself.
static uint32_t past_skips(const finish *f, uint32_t q) {
    uint32_t at = q;
    for (uint32_t steps = 0;; steps++) {
        int only = f->first[at + 1] - f->first[at] == 1 && edge_at(f, f->first[at])->kind == EDGE_SKIP;
        if (!only) return at;
        if (steps > 64) return at;   // long chains are cut in pieces: linear time
        at = edge_at(f, f->first[at])->to;
        if (at == q) return q;
    }
}

static void cut_chains(finish *f) {
    builder *b = f->b;
    for (size_t i = 0; i < b->n_edges; i++) b->edges[i].to = past_skips(f, b->edges[i].to);
    for (size_t i = 0; i < b->n_rules; i++) b->list[i].start = past_skips(f, b->list[i].start);
}

// ---- Which states are reached --------------------------------------------------------------------------------------

// Number the states that the root reaches, in the order they are found. Returns how many numbers there are.
static uint32_t reach(finish *f, uint32_t *number, uint8_t *has_rule) {
    builder *b = f->b;
    uint32_t n = STATES_FIRST, n_stack = 0;
    memset(number, 0, b->n_states * sizeof *number);
    has_rule[0] = 1;
    number[b->list[0].start] = n++;
    f->owner[b->list[0].start] = 0;
    f->stack[n_stack++] = b->list[0].start;
    while (n_stack) {
        uint32_t q = f->stack[--n_stack];
        for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
            const draft_edge *e = edge_at(f, i);
            if (!number[e->to]) number[e->to] = n++, f->owner[e->to] = f->owner[q], f->stack[n_stack++] = e->to;
            if (e->kind != EDGE_CALL || has_rule[e->value]) continue;
            has_rule[e->value] = 1;
            uint32_t start = b->list[e->value].start;
            if (!number[start]) number[start] = n++, f->owner[start] = e->value, f->stack[n_stack++] = start;
        }
    }
    return n;
}

// Keep what is reached, with new numbers. Rules keep their order.
static int keep_reached(finish *f) {
    builder *b = f->b;
    uint32_t *number = array_new(b->n_states, sizeof *number),
             *rule_number = array_new(b->n_rules, sizeof *rule_number);
    uint8_t *has_rule = array_zero(b->n_rules, 1);
    size_t n_edges = 0, n_rules = 0;
    if (number && rule_number && has_rule) {
        uint32_t n = reach(f, number, has_rule);
        for (size_t i = 0; i < b->n_rules; i++) {
            rule_number[i] = (uint32_t)n_rules;
            if (!has_rule[i]) continue;
            rule one = b->list[i];   // an end that nothing reaches has no number: the rule never ends
            b->list[n_rules] = (rule){number[one.start], number[one.end], 0, one.is_unique};
            b->names[n_rules] = b->names[i], b->names_size[n_rules++] = b->names_size[i];
        }
        for (size_t i = 0; i < b->n_edges; i++) {
            draft_edge e = b->edges[i];
            if (!number[e.from]) continue;
            e.from = number[e.from], e.to = number[e.to];
            if (e.kind == EDGE_CALL) e.value = rule_number[e.value];
            b->edges[n_edges++] = e;
        }
        memcpy(f->stack, f->owner, b->n_states * sizeof *f->owner);
        for (uint32_t q = 0; q < b->n_states; q++)
            if (number[q]) f->owner[number[q]] = rule_number[f->stack[q]];
        b->n_states = n, b->n_edges = n_edges, b->n_rules = n_rules;
    }
    int ok = number && rule_number && has_rule;
    free(number), free(rule_number), free(has_rule);
    return ok;
}

// ---- What rules can do ---------------------------------------------------------------------------------------------

static void visit(finish *f, uint32_t q, uint32_t *n_stack) {
    if (!f->mark[q]) f->mark[q] = 1, f->stack[(*n_stack)++] = q;
}

// Mark the states that a rule's start reaches, past calls of rules in `done`, and put rules whose end is marked into
// `done`. With bytes: over edges that read something, too.
static void spread(finish *f, uint8_t *done, int with_bytes) {
    builder *b = f->b;
    uint32_t n_stack = 0;
    memset(f->mark, 0, b->n_states);
    memset(f->waiting, 0, b->n_rules * sizeof *f->waiting);
    for (size_t i = 0; i < b->n_rules; i++) visit(f, b->list[i].start, &n_stack);
    while (n_stack) {
        uint32_t q = f->stack[--n_stack], own = f->owner[q];
        for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
            const draft_edge *e = edge_at(f, i);
            int passes = e->kind == EDGE_SKIP || (e->kind == EDGE_CALL ? done[e->value] : with_bytes);
            if (passes) visit(f, e->to, &n_stack);
            else if (e->kind == EDGE_CALL)
                f->next[f->order[i]] = f->waiting[e->value], f->waiting[e->value] = f->order[i] + 1;
        }
        if (q != b->list[own].end || done[own]) continue;
        done[own] = 1;
        for (uint32_t call = f->waiting[own]; call; call = f->next[call - 1]) visit(f, b->edges[call - 1].to, &n_stack);
    }
}

// A rule that never ends needs another one that doesn't. Following these, one comes to a rule that needs itself.
static uint32_t in_circle(const finish *f, const uint8_t *ends, uint32_t *needs) {
    const builder *b = f->b;
    uint32_t rule = 0;
    for (size_t i = 0; i < b->n_edges; i++) {
        const draft_edge *e = &b->edges[i];
        if (e->kind == EDGE_CALL && f->mark[e->from] && !ends[e->value]) needs[f->owner[e->from]] = e->value;
    }
    while (ends[rule]) rule++;
    for (size_t i = 0; i < b->n_rules; i++) rule = needs[rule];
    return rule;
}

static int check_ends(finish *f) {
    const builder *b = f->b;
    uint8_t *ends = array_zero(b->n_rules, 1);
    uint32_t *needs = array_zero(b->n_rules, sizeof *needs);
    int code = ends && needs ? GEMEL_OK : fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
    for (size_t i = 0; i < b->n_rules; i++)   // number 0 is no state of a rule
        if (!b->list[i].end) f->b->list[i].end = UINT32_MAX;
    if (!code) spread(f, ends, 1);
    if (!code && memchr(ends, 0, b->n_rules)) {
        uint32_t rule = in_circle(f, ends, needs);
        code = fail(f->e, GEMEL_E_GRAMMAR, "rule \"%s\" never ends: each of its alternatives needs it again",
                    printable_name(b->names[rule], b->names_size[rule]).text);
    }
    free(ends), free(needs);
    return code;
}

// Beside each call of a rule that matches the empty text, a skip.
static void add_skips(finish *f) {
    builder *b = f->b;
    for (size_t i = 0, n = b->n_edges; i < n && !b->code; i++) {
        draft_edge e = b->edges[i];
        if (e.kind == EDGE_CALL && f->empty[e.value]) builder_skip(b, e.from, e.to);
    }
}

// ---- Left recursion ------------------------------------------------------------------------------------------------

// Depth first through the calls of marked states (at the start of a rule, before its first byte).
typedef struct left {
    uint32_t *first, *callee;   // of each rule: callee[first[i]..first[i + 1])
    uint32_t *path, *at;        // rules of the path, and the next callee of each
    uint8_t *seen;              // 0: not yet, 1: in the path, 2: done
} left;

static int open_left(finish *f, left *l) {
    const builder *b = f->b;
    size_t n_rules = b->n_rules, n = 0;
    for (size_t i = 0; i < b->n_edges; i++) n += b->edges[i].kind == EDGE_CALL && f->mark[b->edges[i].from];
    l->first = array_zero(n_rules + 2, sizeof *l->first), l->callee = array_new(n, sizeof *l->callee);
    l->path = array_new(n_rules, sizeof *l->path), l->at = array_new(n_rules, sizeof *l->at);
    l->seen = array_zero(n_rules, 1);
    if (!l->first || !l->callee || !l->path || !l->at || !l->seen) return 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < b->n_edges; i++) {
            draft_edge e = b->edges[i];
            if (e.kind != EDGE_CALL || !f->mark[e.from]) continue;
            uint32_t own = f->owner[e.from];
            if (pass) l->callee[l->first[own + 1]++] = e.value;
            else l->first[own + 2]++;
        }
        for (size_t i = 2; !pass && i < n_rules + 2; i++) l->first[i] += l->first[i - 1];
    }
    return 1;
}

static int circle(const finish *f, const left *l, size_t n, uint32_t again) {
    char text[400] = "";
    size_t from = 0, used = 0;
    while (l->path[from] != again) from++;
    for (size_t i = from; i <= n && used < 300; i++) {
        uint32_t which = i < n ? l->path[i] : again;
        printable name = printable_name(f->b->names[which], f->b->names_size[which]);
        size_t size = strlen(name.text), room = sizeof text - used - 8;
        if (size > room) size = room;
        memcpy(text + used, name.text, size), used += size;
        if (i < n) memcpy(text + used, " -> ", 4), used += 4;
    }
    return fail(
        f->e, GEMEL_E_GRAMMAR,
        "rule \"%s\" calls itself before it reads a character (%s): put what repeats behind, as in a ::= b (\",\" b)*",
        printable_name(f->b->names[again], f->b->names_size[again]).text, text);
}

static int order_rules(finish *f, left *l) {
    builder *b = f->b;
    uint32_t order = (uint32_t)b->n_rules;
    for (size_t root = 0; root < b->n_rules; root++) {
        size_t n = 0;
        if (l->seen[root]) continue;
        l->path[n] = (uint32_t)root, l->at[n++] = l->first[root], l->seen[root] = 1;
        while (n) {
            uint32_t top = l->path[n - 1];
            if (l->at[n - 1] == l->first[top + 1]) {
                b->list[top].order = --order, l->seen[top] = 2, n--;
                continue;
            }
            uint32_t called = l->callee[l->at[n - 1]++];
            if (l->seen[called] == 1) return circle(f, l, n, called);
            if (!l->seen[called]) l->path[n] = called, l->at[n++] = l->first[called], l->seen[called] = 1;
        }
    }
    return GEMEL_OK;
}

static int check_left(finish *f) {
    left l = {0};
    int code = open_left(f, &l) ? order_rules(f, &l) : fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
    free(l.first), free(l.callee), free(l.path), free(l.at), free(l.seen);
    return code;
}

// ---- Unique rules --------------------------------------------------------------------------------------------------

// Items are compared by their texts, which tokens don't have.
static int check_unique(finish *f) {
    const builder *b = f->b;
    uint32_t n_stack = 0;
    memset(f->mark, 0, b->n_states);
    for (size_t i = 0; i < b->n_rules; i++)
        if (b->list[i].is_unique) visit(f, b->list[i].start, &n_stack);
    while (n_stack) {
        uint32_t q = f->stack[--n_stack], own = f->owner[q];
        for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
            const draft_edge *e = edge_at(f, i);
            if (e->kind == EDGE_ID || e->kind == EDGE_NOT_ID)
                return fail(f->e, GEMEL_E_GRAMMAR,
                            "rule \"%s\": @unique compares texts: leave out tokens such as <[1000]>",
                            printable_name(b->names[own], b->names_size[own]).text);
            visit(f, e->to, &n_stack);
            if (e->kind == EDGE_CALL) visit(f, b->list[e->value].start, &n_stack);
        }
    }
    return GEMEL_OK;
}

// ---- The result ----------------------------------------------------------------------------------------------------

static void count_classes(rules *r, const finish *f) {
    uint8_t cut[257] = {1};
    for (size_t i = 0; i < f->b->n_edges; i++) {
        const draft_edge *e = &f->b->edges[i];
        if (e->kind == EDGE_BYTES) cut[e->value & 255] = 1, cut[(e->value >> 8) + 1] = 1;
    }
    for (int byte = 0; byte < 256; byte++) {
        if (cut[byte]) r->byte_in[r->n_classes++] = (uint8_t)byte;
        r->class_of[byte] = (uint8_t)(r->n_classes - 1);
    }
}

static void put_edge(rules *r, state *at, const draft_edge *e) {
    switch (e->kind) {
    case EDGE_BYTES: r->bytes[at->bytes++] = (byte_edge){e->to, (uint8_t)e->value, (uint8_t)(e->value >> 8)}; break;
    case EDGE_SKIP: r->skips[at->skips++] = e->to; break;
    case EDGE_CALL: r->calls[at->calls++] = (call_edge){e->value, e->to}; break;
    default: r->ids[at->ids++] = (id_edge){e->to, (int32_t)e->value, e->kind == EDGE_NOT_ID}; r->has_ids = 1;
    }
}

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x100000001b3u;
    return h ^ h >> 29;
}

static int put_all(finish *f) {
    const builder *b = f->b;
    rules *r = f->r;
    size_t n[5] = {0};
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b->n_edges; i++) n[b->edges[i].kind]++;
    r->n_states = b->n_states, r->n_rules = (uint32_t)b->n_rules;
    r->states = array_zero((size_t)b->n_states + 1, sizeof *r->states);
    r->list = array_new(b->n_rules, sizeof *r->list);
    r->bytes = array_new(n[EDGE_BYTES], sizeof *r->bytes), r->skips = array_new(n[EDGE_SKIP], sizeof *r->skips);
    r->calls = array_new(n[EDGE_CALL], sizeof *r->calls);
    r->ids = array_new(n[EDGE_ID] + n[EDGE_NOT_ID], sizeof *r->ids);
    if (!r->states || !r->list || !r->bytes || !r->skips || !r->calls || !r->ids)
        return fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
    memcpy(r->list, b->list, b->n_rules * sizeof *r->list);
    state at = {0};
    for (uint32_t q = 0; q < b->n_states; q++) {
        at.rule = f->owner[q];
        r->states[q] = at;
        for (uint32_t i = f->first[q]; i < f->first[q + 1]; i++) {
            const draft_edge *e = edge_at(f, i);
            put_edge(r, &at, e);
            h = mix(mix(h, (uint64_t)e->from << 32 | e->to), (uint64_t)e->value << 8 | (uint64_t)e->kind);
        }
    }
    r->states[b->n_states] = at;
    for (size_t i = 0; i < b->n_rules; i++) {
        h = mix(h, (uint64_t)r->list[i].start << 32 | r->list[i].end);
        if (r->list[i].is_unique) h = mix(h, i);
    }
    r->fingerprint = h;
    count_classes(r, f);
    return endless_open(r) ? GEMEL_OK : fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
}

static int run(finish *f) {
    builder *b = f->b;
    sort_edges(f);
    cut_chains(f);
    if (!keep_reached(f)) return fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
    sort_edges(f);
    int code = check_ends(f);
    if (code < 0) return code;
    spread(f, f->empty, 0);
    add_skips(f);
    if (b->code) return builder_failed(b, f->e);
    free(f->order);   // there are more edges now
    f->order = array_new(b->n_edges, sizeof *f->order);
    if (!f->order) return fail(f->e, GEMEL_E_MEMORY, "no memory for the grammar");
    sort_edges(f);
    code = check_left(f);
    if (code == 0) code = check_unique(f);
    return code < 0 ? code : put_all(f);
}

int builder_finish(builder *b, rules *r, errors *e) {
    finish f = {.b = b, .r = r, .e = e};
    if (b->code) return builder_failed(b, e);
    int code = open_finish(&f) ? run(&f) : fail(e, GEMEL_E_MEMORY, "no memory for the grammar");
    close_finish(&f);
    return code;
}

size_t rules_size(const rules *r) {
    state end = r->states[r->n_states];   // of the edges of all
    return ((size_t)r->n_states + 1) * sizeof *r->states + r->n_rules * sizeof *r->list + end.bytes * sizeof *r->bytes +
           end.ids * sizeof *r->ids + end.skips * sizeof *r->skips + end.calls * sizeof *r->calls +
           (r->is_endless ? r->n_states : 0);
}

void rules_close(rules *r) {
    free(r->states), free(r->list), free(r->bytes), free(r->ids), free(r->skips), free(r->calls), free(r->is_endless);
}
