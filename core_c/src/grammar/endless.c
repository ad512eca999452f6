// A state is endless when edges lead from it to a circle. States without edges that are left are taken away, one after
// another; those that stay are endless. A call leads to the rule's start, and to the state behind it.
#include "endless.h"
#include "../text/array.h"

typedef struct peeling {
    const rules *r;
    uint32_t *first, *from;       // the states that lead to a state
    uint32_t *n_left, *waiting;   // [n_states] edges that are left; states without
    uint32_t n_waiting;
} peeling;

typedef void edge_fn(peeling *p, uint32_t from, uint32_t to);

static void each_edge(peeling *p, edge_fn *visit) {
    const rules *r = p->r;
    for (uint32_t q = STATES_FIRST; q < r->n_states; q++) {
        const state *s = &r->states[q];
        for (uint32_t i = s[0].bytes; i < s[1].bytes; i++) visit(p, q, r->bytes[i].to);
        for (uint32_t i = s[0].ids; i < s[1].ids; i++) visit(p, q, r->ids[i].to);
        for (uint32_t i = s[0].skips; i < s[1].skips; i++) visit(p, q, r->skips[i]);
        for (uint32_t i = s[0].calls; i < s[1].calls; i++)
            visit(p, q, r->calls[i].to), visit(p, q, r->list[r->calls[i].rule].start);
    }
}

static void count_edge(peeling *p, uint32_t from, uint32_t to) { p->n_left[from]++, p->first[to + 2]++; }
static void put_edge(peeling *p, uint32_t from, uint32_t to) { p->from[p->first[to + 1]++] = from; }

static void peel(peeling *p) {
    const rules *r = p->r;
    for (uint32_t q = 0; q < r->n_states; q++)
        if (!p->n_left[q]) p->waiting[p->n_waiting++] = q;
    while (p->n_waiting) {
        uint32_t q = p->waiting[--p->n_waiting];
        r->is_endless[q] = 0;
        for (uint32_t i = p->first[q]; i < p->first[q + 1]; i++)
            if (!--p->n_left[p->from[i]]) p->waiting[p->n_waiting++] = p->from[i];
    }
}

int endless_open(rules *r) {
    int has_unique = 0;
    for (uint32_t i = 0; i < r->n_rules; i++) has_unique |= r->list[i].is_unique;
    if (!has_unique) return 1;
    state end = r->states[r->n_states];
    peeling p = {.r = r};
    size_t n_edges = (size_t)end.bytes + end.ids + end.skips + 2 * (size_t)end.calls;
    p.first = array_zero((size_t)r->n_states + 2, sizeof *p.first), p.from = array_new(n_edges, sizeof *p.from);
    p.n_left = array_zero(r->n_states, sizeof *p.n_left), p.waiting = array_new(r->n_states, sizeof *p.waiting);
    r->is_endless = array_new(r->n_states, 1);
    int ok = p.first && p.from && p.n_left && p.waiting && r->is_endless;
    if (ok) {
        memset(r->is_endless, 1, r->n_states);
        each_edge(&p, count_edge);
        for (uint32_t q = 2; q < r->n_states + 2; q++) p.first[q] += p.first[q - 1];
        each_edge(&p, put_edge);
        peel(&p);
    }
    free(p.first), free(p.from), free(p.n_left), free(p.waiting);
    return ok;
}
