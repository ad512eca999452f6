// States are settled in the order of the bytes of their shortest texts, from the ends of rules backwards: a state that
// calls a rule needs the rule's start and the state behind the call (Knuth: A generalization of Dijkstra's algorithm,
// 1977). When a state is settled, so are all states of its text, and its ids can be counted.
#include "shortest.h"
#include "../text/array.h"

typedef struct back {   // an edge, found by where it leads
    uint32_t from, next;
    uint32_t rule;   // CALLS
    uint8_t kind, byte;
} back;

typedef struct queued {
    uint32_t size, state;
} queued;

typedef struct search {
    const rules *r;
    const text_tree *t;
    uint32_t *n_ids;
    back *edges;                    // those of a state: by `first` and `next`, 1 + index
    uint32_t *first, *first_call;   // [n_states] edges to a state; [n_rules] calls of a rule, by `next_call`
    uint32_t *next_call, *target;   // [n_edges] target: of calls
    uint32_t *size, *to, *called;   // [n_states] bytes of the text, the next state of it, the rule called
    uint8_t *how, *byte, *is_settled;
    queued *heap;
    size_t n_edges, n_heap;
    uint32_t root_child[TREE_PARTS][256];   // 0: none
} search;

// ---- The queue -----------------------------------------------------------------------------------------------------

static int is_before(queued a, queued b) { return a.size != b.size ? a.size < b.size : a.state < b.state; }

static void put(search *s, queued x) {
    size_t i = s->n_heap++;
    for (; i && is_before(x, s->heap[(i - 1) / 2]); i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = x;
}

static queued take(search *s) {
    queued top = s->heap[0], last = s->heap[--s->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->n_heap; i = child) {
        if (child + 1 < s->n_heap && is_before(s->heap[child + 1], s->heap[child])) child++;
        if (!is_before(s->heap[child], last)) break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

// ---- Edges ---------------------------------------------------------------------------------------------------------

static int has_id(const search *s, int byte) {
    uint32_t node = s->root_child[0][byte];
    return node && s->t->nodes[node].id >= 0;
}

// The byte of a range that stands for it: one that is an id, a usual one if there is.
static uint8_t byte_of(const search *s, const byte_edge *e) {
    static const uint8_t usual[] = {'0', 'a', ' '};
    for (int i = 0; i < 3; i++)
        if (e->low <= usual[i] && usual[i] <= e->high && has_id(s, usual[i])) return usual[i];
    for (int byte = e->low; byte <= e->high; byte++)
        if (has_id(s, byte)) return (uint8_t)byte;
    return e->low;
}

static void add(search *s, uint32_t from, uint32_t to, int kind, uint8_t byte, uint32_t rule) {
    uint32_t i = (uint32_t)s->n_edges++;
    s->edges[i] = (back){from, s->first[to], rule, (uint8_t)kind, byte};
    s->first[to] = i + 1;
    if (kind != CALLS) return;
    s->target[i] = to;
    s->next_call[i] = s->first_call[rule], s->first_call[rule] = i + 1;
}

static void add_all(search *s) {
    const rules *r = s->r;
    for (uint32_t q = STATES_FIRST; q < r->n_states; q++) {
        const state *at = &r->states[q];
        for (uint32_t i = at[0].bytes; i < at[1].bytes; i++)
            add(s, q, r->bytes[i].to, READS_BYTE, byte_of(s, &r->bytes[i]), 0);
        for (uint32_t i = at[0].ids; i < at[1].ids; i++) add(s, q, r->ids[i].to, READS_ID, 0, 0);
        for (uint32_t i = at[0].skips; i < at[1].skips; i++) add(s, q, r->skips[i], SKIPS, 0, 0);
        for (uint32_t i = at[0].calls; i < at[1].calls; i++) add(s, q, r->calls[i].to, CALLS, 0, r->calls[i].rule);
    }
}

// ---- Settling ------------------------------------------------------------------------------------------------------

static void reach(search *s, uint32_t q, uint32_t size, const back *e, uint32_t to) {
    if (s->is_settled[q] || size >= s->size[q]) return;
    s->size[q] = size, s->how[q] = e->kind, s->byte[q] = e->byte, s->to[q] = to, s->called[q] = e->rule;
    put(s, (queued){size, q});
}

// The fewest ids that begin the text of q with bytes of the same rule, and those of the rest.
static uint32_t count_text(const search *s, uint32_t q) {
    uint32_t best = NEVER;
    for (int part = 0; part < TREE_PARTS; part++) {
        uint32_t at = q, node = s->root_child[part][s->byte[q]];
        while (node) {
            uint32_t rest = s->n_ids[s->to[at]];
            if (s->t->nodes[node].id >= 0 && rest + 1 < best) best = rest + 1;
            for (at = s->to[at]; s->how[at] == SKIPS;) at = s->to[at];
            node = s->how[at] == READS_BYTE ? text_tree_child(s->t, node, s->byte[at]) : 0;
        }
    }
    return best;
}

static uint32_t count(const search *s, uint32_t q) {
    switch (s->how[q]) {
    case ENDS: return 0;
    case SKIPS: return s->n_ids[s->to[q]];
    case READS_ID: return shortest_sum(1, s->n_ids[s->to[q]]);
    case CALLS: return shortest_sum(s->n_ids[s->r->list[s->called[q]].start], s->n_ids[s->to[q]]);
    default: return count_text(s, q);
    }
}

static void settle(search *s, uint32_t q) {
    const rules *r = s->r;
    uint32_t rule = r->states[q].rule;
    s->is_settled[q] = 1;
    s->n_ids[q] = count(s, q);
    for (uint32_t i = s->first[q]; i; i = s->edges[i - 1].next) {
        const back *e = &s->edges[i - 1];
        uint32_t start = r->list[e->rule].start, reads = e->kind == READS_BYTE || e->kind == READS_ID;
        if (e->kind == CALLS && !s->is_settled[start]) continue;
        reach(s, e->from, shortest_sum(s->size[q], e->kind == CALLS ? s->size[start] : reads), e, q);
    }
    for (uint32_t i = q == r->list[rule].start ? s->first_call[rule] : 0; i; i = s->next_call[i - 1])
        if (s->is_settled[s->target[i - 1]])
            reach(s, s->edges[i - 1].from, shortest_sum(s->size[q], s->size[s->target[i - 1]]), &s->edges[i - 1],
                  s->target[i - 1]);
}

static int open_search(search *s) {
    const rules *r = s->r;
    const state *end = &r->states[r->n_states];
    size_t n = r->n_states, n_edges = (size_t)end->bytes + end->ids + end->skips + end->calls;
    s->edges = array_new(n_edges, sizeof *s->edges);
    s->first = array_zero(n, sizeof *s->first), s->first_call = array_zero(r->n_rules, sizeof *s->first_call);
    s->next_call = array_new(n_edges, sizeof *s->next_call), s->target = array_new(n_edges, sizeof *s->target);
    s->size = array_new(n, sizeof *s->size), s->to = array_new(n, sizeof *s->to);
    s->called = array_new(n, sizeof *s->called), s->how = array_new(n, 1), s->byte = array_new(n, 1);
    s->is_settled = array_zero(n, 1);
    s->heap = array_new(n_edges + end->calls + r->n_rules, sizeof *s->heap);   // a call is tried from both its ends
    return s->edges && s->first && s->first_call && s->next_call && s->target && s->size && s->to && s->called &&
           s->how && s->byte && s->is_settled && s->heap;
}

static void close_search(search *s) {
    free(s->edges), free(s->first), free(s->first_call), free(s->next_call), free(s->target);
    free(s->called), free(s->is_settled), free(s->heap);
}

static void run(search *s) {
    const rules *r = s->r;
    const tree_node *nodes = s->t->nodes;
    for (int part = 0; part < TREE_PARTS; part++)
        for (uint32_t i = s->t->root[part] + 1; i < nodes[s->t->root[part]].skip; i = nodes[i].skip)
            s->root_child[part][nodes[i].byte] = i;
    for (uint32_t q = 0; q < r->n_states; q++) s->size[q] = s->n_ids[q] = NEVER;
    add_all(s);
    for (uint32_t i = 0; i < r->n_rules; i++) {
        uint32_t end = r->list[i].end;
        s->size[end] = 0, s->how[end] = ENDS;
        put(s, (queued){0, end});
    }
    while (s->n_heap) {
        queued top = take(s);
        if (!s->is_settled[top.state]) settle(s, top.state);
    }
}

int shortest_open(shortest *out, const rules *r, const text_tree *t) {
    search s = {.r = r, .t = t};
    out->n_ids = s.n_ids = array_new(r->n_states, sizeof *out->n_ids);
    int code = open_search(&s) && s.n_ids ? GEMEL_OK : GEMEL_E_MEMORY;
    if (code == GEMEL_OK) run(&s);
    out->size = s.size, out->to = s.to, out->how = s.how, out->byte = s.byte;
    close_search(&s);
    return code;
}

void shortest_close(shortest *s) {
    free(s->n_ids), free(s->size), free(s->to), free(s->how), free(s->byte);
    *s = (shortest){0};
}
