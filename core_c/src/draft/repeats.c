// The online construction of suffix automata (Blumer et al.: The smallest automaton recognizing the subwords of a text,
// 1985). Edges lie in one array: in a list for each state, which a copied state needs, and in a hash table.
#include "repeats.h"
#include "../text/array.h"

enum { FIRST_SLOTS = 64, CLIMB = 4 };   // CLIMB: states whose latest occurrence is noted for each id

void repeats_close(repeats *r) {
    free(r->ids), free(r->states), free(r->edges), free(r->slots);
    *r = (repeats){0};
}

// ---- Edges ---------------------------------------------------------------------------------------------------------

static size_t slot_of(const repeats *r, int32_t from, int32_t id) {
    uint64_t h = ((uint64_t)(uint32_t)from << 32 | (uint32_t)id) * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 32) & (r->n_slots - 1);
    for (int32_t e; (e = r->slots[i]) != 0; i = (i + 1) & (r->n_slots - 1))
        if (r->edges[e - 1].from == from && r->edges[e - 1].id == id) break;
    return i;
}

static repeat_edge *edge_of(const repeats *r, int32_t from, int32_t id) {
    int32_t e = r->slots[slot_of(r, from, id)];
    return e ? &r->edges[e - 1] : NULL;
}

static int room_for_slots(repeats *r) {
    if (2 * (r->n_edges + 1) <= r->n_slots) return 1;
    size_t n = r->n_slots ? 2 * r->n_slots : FIRST_SLOTS;
    int32_t *slots = array_zero(n, sizeof *slots);
    if (!slots) return 0;
    free(r->slots);
    r->slots = slots, r->n_slots = n;
    for (size_t e = 0; e < r->n_edges; e++) slots[slot_of(r, r->edges[e].from, r->edges[e].id)] = (int32_t)e + 1;
    return 1;
}

static int add_edge(repeats *r, int32_t from, int32_t id, int32_t to) {   // there is none yet
    void *edges = r->edges;
    int ok = array_room(&edges, r->n_edges, &r->edges_capacity, r->n_edges + 1, sizeof *r->edges);
    r->edges = edges;
    if (!ok || !room_for_slots(r)) return 0;
    r->edges[r->n_edges] = (repeat_edge){from, id, to, r->states[from].edges};
    r->states[from].edges = (int32_t)r->n_edges++;
    r->slots[slot_of(r, from, id)] = (int32_t)r->n_edges;
    return 1;
}

// ---- States --------------------------------------------------------------------------------------------------------

static int32_t add_state(repeats *r, repeat_state s) {   // -1: no memory
    void *states = r->states;
    int ok = array_room(&states, r->n_states, &r->states_capacity, r->n_states + 1, sizeof s);
    r->states = states;
    if (!ok) return -1;
    r->states[r->n_states] = s;
    return (int32_t)r->n_states++;
}

// A copy of state q for its ends that are at most `length` long, where those of p and its links go with id.
static int32_t split(repeats *r, int32_t p, int32_t id, int32_t q) {
    repeat_state s = r->states[q];
    s.length = r->states[p].length + 1;
    s.edges = -1;
    int32_t copy = add_state(r, s);
    if (copy < 0) return -1;
    for (int32_t e = r->states[q].edges; e >= 0; e = r->edges[e].next)
        if (!add_edge(r, copy, r->edges[e].id, r->edges[e].to)) return -1;
    for (repeat_edge *e; p >= 0 && (e = edge_of(r, p, id)) != NULL && e->to == q; p = r->states[p].link) e->to = copy;
    return copy;
}

static int begin(repeats *r) {
    return r->n_states || (room_for_slots(r) && add_state(r, (repeat_state){0, -1, 0, -1}) == 0);
}

// The longest end that occurred before is that of the new state's link.
static void note_place(repeats *r) {
    int32_t v = r->states[r->last].link;
    r->length = r->states[v].length;
    r->at = r->states[v].met;
    for (int i = 0; i < CLIMB && v > 0; i++, v = r->states[v].link) r->states[v].met = r->n - 1;
}

int repeats_add(repeats *r, int32_t id) {
    void *ids = r->ids;
    if (r->n >= INT32_MAX / 4 || !begin(r)) return 0;   // 2 n states and 3 n edges have numbers
    int ok = array_room(&ids, (size_t)r->n, &r->ids_capacity, (size_t)r->n + 1, sizeof *r->ids);
    r->ids = ids;
    int32_t p = r->last, all = ok ? add_state(r, (repeat_state){r->n + 1, 0, r->n, -1}) : -1;
    if (all < 0) return 0;
    if (id < 0) id = -2 - r->n;
    for (; p >= 0 && !edge_of(r, p, id); p = r->states[p].link)
        if (!add_edge(r, p, id, all)) return 0;
    if (p >= 0) {
        int32_t q = edge_of(r, p, id)->to;
        int32_t link = r->states[q].length == r->states[p].length + 1 ? q : split(r, p, id, q);
        if (link < 0) return 0;
        if (link != q) r->states[q].link = link;
        r->states[all].link = link;
    }
    r->ids[r->n++] = id;
    r->last = all;
    note_place(r);
    return 1;
}

int repeats_has(const repeats *r, int i, int32_t id) { return id < 0 ? r->ids[i] < 0 : r->ids[i] == id; }

int repeats_follow(const repeats *r, int32_t *ids, int max) {
    int n = 0;
    for (int i; r->length && n < max; n++) {
        i = r->at + 1 + n;
        ids[n] = i < r->n ? r->ids[i] : ids[i - r->n];
        if (ids[n] < 0) break;
    }
    return n;
}
