// Refines classes of nodes, once per byte: two nodes stay in a class while the same labels lead to the same classes. A
// node is a state as a top, which has its own edges, or a state that something leads to, which has also those of the
// states that it skips to. Only nodes that lead to a node whose class changed are looked at again.
#include "twins.h"
#include <string.h>
#include "../text/array.h"

// A larger grammar has no twins: that costs time later, and changes no mask.
enum { LINKS_MAX = 1 << 19, WORK_MAX = 1 << 21 };
enum { NO_NODE = UINT32_MAX, LABEL_CALL = 1 << 16, LABEL_ID = 1 << 19, LABEL_END };

typedef struct link {
    uint32_t label, to;   // a node; NO_NODE: none
} link;

typedef struct group {   // of a node that is looked at: what its links lead to
    const uint64_t *key;
    uint32_t n_keys, class, node;
    uint32_t first;     // the first node that is looked at with the same class and keys
    uint32_t n, made;   // of a first one: how many are like it, and their class from now on
} group;

typedef struct refining {
    const rules *r;
    uint32_t *node_of;   // [n_states] of a state that something leads to, or NO_NODE
    uint32_t *first;     // [n_nodes + 1] the links of a node
    link *links;
    uint32_t *first_from, *from;   // the nodes that link to a node
    uint32_t *state;               // [n_nodes]
    uint32_t *class, *members;     // [n_nodes] of a node; of a class
    uint32_t *queue, *round_of;    // [n_nodes]
    group *groups;                 // [n_nodes]
    uint32_t *table;               // [2 to 4 times n_nodes] groups by hash: 1 + the first one, 0: none
    uint32_t *looked_at, *kept;    // [n_nodes] of a class: how many of its nodes are looked at; which group keeps it
    uint64_t *keys;                // [n_links]
    uint32_t *walk, *seen;         // [n_states]
    size_t links_room;
    uint32_t n_nodes, n_reached, n_links, n_queued, n_classes;
    uint64_t work;
} refining;

// ---- Nodes and links -----------------------------------------------------------------------------------------------

static void find_nodes(refining *f) {
    const rules *r = f->r;
    uint32_t n = 0;
    for (uint32_t q = 0; q < r->n_states; q++) f->node_of[q] = NO_NODE;
    for (uint32_t i = 0; i < r->states[r->n_states].bytes; i++) f->node_of[r->bytes[i].to] = 0;
    for (uint32_t i = 0; i < r->states[r->n_states].calls; i++) f->node_of[r->calls[i].to] = 0;
    for (uint32_t q = 0; q < r->n_states; q++)
        if (f->node_of[q] != NO_NODE) f->state[n] = q, f->node_of[q] = n++;
    f->n_reached = n;
    for (uint32_t q = STATES_FIRST; q < r->n_states; q++) {
        const state *s = &r->states[q];
        if (s[0].bytes < s[1].bytes || s[0].ids < s[1].ids) f->state[n++] = q;
    }
    f->n_nodes = n;
}

// 0: there are too many, or no memory.
static int add_link(refining *f, uint32_t label, uint32_t to) {
    if (f->n_links == LINKS_MAX) return 0;
    if (!array_room((void **)&f->links, f->n_links, &f->links_room, (size_t)f->n_links + 1, sizeof *f->links)) return 0;
    f->links[f->n_links++] = (link){label, to};
    return 1;
}

static int add_bytes(refining *f, uint32_t q) {
    const rules *r = f->r;
    for (uint32_t i = r->states[q].bytes; i < r->states[q + 1].bytes; i++)
        if (!add_link(f, r->bytes[i].low | (uint32_t)r->bytes[i].high << 8, f->node_of[r->bytes[i].to])) return 0;
    return 1;
}

// What a state does that a text has led to: with the states that it skips to. Ids can't follow a text in a token.
static int add_reached(refining *f, uint32_t node) {
    const rules *r = f->r;
    uint32_t n = 0, start = f->state[node];
    f->seen[start] = node + 1, f->walk[n++] = start;
    while (n) {
        uint32_t q = f->walk[--n];
        const state *s = &r->states[q];
        if (q < STATES_FIRST) continue;
        if (!add_bytes(f, q)) return 0;
        for (uint32_t i = s[0].calls; i < s[1].calls; i++)
            if (!add_link(f, LABEL_CALL + r->calls[i].rule, f->node_of[r->calls[i].to])) return 0;
        if (q == r->list[s->rule].end && !add_link(f, LABEL_END, NO_NODE)) return 0;
        if (s[0].ids < s[1].ids && !add_link(f, LABEL_ID, NO_NODE)) return 0;
        for (uint32_t i = s[0].skips; i < s[1].skips; i++) {
            uint32_t to = r->skips[i];
            if (++f->work > WORK_MAX) return 0;
            if (f->seen[to] != node + 1) f->seen[to] = node + 1, f->walk[n++] = to;
        }
    }
    return 1;
}

static int add_top(refining *f, uint32_t q) {
    const rules *r = f->r;
    if (!add_bytes(f, q)) return 0;
    for (uint32_t i = r->states[q].ids; i < r->states[q + 1].ids; i++) {   // a label for each id
        uint32_t id = (uint32_t)r->ids[i].id;
        if (!add_link(f, LABEL_END + 1 + 2 * id + !!r->ids[i].is_negated, NO_NODE)) return 0;
    }
    return 1;
}

static int add_links(refining *f) {
    for (uint32_t node = 0; node < f->n_nodes; node++) {
        f->first[node] = f->n_links;
        if (!(node < f->n_reached ? add_reached(f, node) : add_top(f, f->state[node]))) return 0;
    }
    f->first[f->n_nodes] = f->n_links;
    return 1;
}

static void turn_links(refining *f) {
    memset(f->first_from, 0, ((size_t)f->n_nodes + 2) * sizeof *f->first_from);
    for (uint32_t i = 0; i < f->n_links; i++)
        if (f->links[i].to != NO_NODE) f->first_from[f->links[i].to + 2]++;
    for (uint32_t i = 2; i < f->n_nodes + 2; i++) f->first_from[i] += f->first_from[i - 1];
    for (uint32_t node = 0; node < f->n_nodes; node++)
        for (uint32_t i = f->first[node]; i < f->first[node + 1]; i++)
            if (f->links[i].to != NO_NODE) f->from[f->first_from[f->links[i].to + 1]++] = node;
}

// ---- Rounds --------------------------------------------------------------------------------------------------------

static int by_key(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// What the links of a node lead to, each once, in order.
static uint32_t write_keys(const refining *f, uint32_t node, uint64_t *keys) {
    uint32_t n = 0, kept = 0;
    for (uint32_t i = f->first[node]; i < f->first[node + 1]; i++) {
        link one = f->links[i];
        uint64_t key = (uint64_t)one.label << 32 | (one.to == NO_NODE ? NO_NODE : f->class[one.to]);
        uint32_t at = n++;
        for (; n <= 16 && at && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
    if (n > 16) qsort(keys, n, sizeof *keys, by_key);
    for (uint32_t i = 0; i < n; i++)
        if (!i || keys[i] != keys[i - 1]) keys[kept++] = keys[i];
    return kept;
}

static int is_like(const group *x, const group *y) {
    return x->class == y->class && x->n_keys == y->n_keys && !memcmp(x->key, y->key, x->n_keys * sizeof *x->key);
}

static uint64_t hash_of(const group *g) {
    uint64_t h = g->class;
    for (uint32_t i = 0; i < g->n_keys; i++) h = (h ^ g->key[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
    return h;
}

// Find those that are alike among the first n groups.
static void find_alike(refining *f, uint32_t n) {
    uint32_t slots = 2;
    while (slots < 2 * n) slots *= 2;
    memset(f->table, 0, slots * sizeof *f->table);
    for (uint32_t i = 0; i < n; i++) {
        group *g = &f->groups[i];
        uint64_t slot = hash_of(g) & (slots - 1);
        while (f->table[slot] && !is_like(&f->groups[f->table[slot] - 1], g)) slot = (slot + 1) & (slots - 1);
        if (!f->table[slot]) f->table[slot] = i + 1;
        g->first = f->table[slot] - 1;
        f->groups[g->first].n++;
    }
}

// Turn the first n groups into classes. If all nodes of a class were looked at, its largest group keeps the class.
// Otherwise the nodes that were not looked at keep it.
static void split(refining *f, uint32_t n, uint32_t *changed, uint32_t *n_changed) {
    for (uint32_t i = 0; i < n; i++) f->looked_at[f->groups[i].class] = 0, f->kept[f->groups[i].class] = n;
    for (uint32_t i = 0; i < n; i++) {
        const group *g = &f->groups[i];
        uint32_t *kept = &f->kept[g->class];
        f->looked_at[g->class] += g->n;
        if (g->first == i && (*kept == n || g->n > f->groups[*kept].n)) *kept = i;
    }
    for (uint32_t i = 0; i < n; i++)
        if (f->looked_at[f->groups[i].class] < f->members[f->groups[i].class]) f->kept[f->groups[i].class] = n;
    for (uint32_t i = 0; i < n; i++) {
        group *g = &f->groups[i];
        if (g->first == i) g->made = f->kept[g->class] == i ? g->class : f->n_classes++;
        uint32_t made = f->groups[g->first].made;   // the first one comes first
        if (made == g->class) continue;
        f->members[g->class]--, f->members[made]++;
        f->class[g->node] = made, changed[(*n_changed)++] = g->node;
    }
}

// From classes by texts of one byte less. 0: that is too much work.
static int refine(refining *f, uint32_t round) {
    uint32_t n = f->n_queued, n_changed = 0, *changed = f->walk;
    uint64_t *keys = f->keys;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = f->queue[i], n_keys = write_keys(f, node, keys);
        f->groups[i] = (group){.key = keys, .n_keys = n_keys, .class = f->class[node], .node = node};
        keys += n_keys;
        f->work += 1 + f->first[node + 1] - f->first[node];
    }
    if (f->work > WORK_MAX) return 0;
    find_alike(f, n);
    split(f, n, changed, &n_changed);
    f->n_queued = 0;
    for (uint32_t i = 0; i < n_changed; i++)
        for (uint32_t k = f->first_from[changed[i]]; k < f->first_from[changed[i] + 1]; k++) {
            uint32_t node = f->from[k];
            if (f->round_of[node] == round || f->members[f->class[node]] == 1) continue;   // alone: it stays so
            f->round_of[node] = round, f->queue[f->n_queued++] = node;
        }
    return 1;
}

// Without a byte: whether something can follow, and whether the rule may end here.
static void begin_classes(refining *f) {
    f->n_classes = 5;
    for (uint32_t node = 0; node < f->n_nodes; node++) {
        int ends = 0, n = 0;
        for (uint32_t i = f->first[node]; i < f->first[node + 1]; i++)
            f->links[i].label == LABEL_END ? (ends = 1) : (n = 1);
        f->class[node] = node < f->n_reached ? (uint32_t)(2 * ends + n) : 4;
        f->members[f->class[node]]++;
        f->queue[f->n_queued++] = node;
    }
}

// ---- The result ----------------------------------------------------------------------------------------------------

// The first state of each class. `from`, `to`: which nodes. Returns how many states have another one as their first.
static uint32_t write_firsts(const refining *f, uint32_t from, uint32_t to, uint32_t *first_of, uint32_t *out) {
    uint32_t n = 0;
    for (uint32_t q = 0; q < f->r->n_states; q++) out[q] = q;
    memset(first_of, 0, (size_t)f->n_classes * sizeof *first_of);
    for (uint32_t node = from; node < to; node++) {
        uint32_t q = f->state[node], *first = &first_of[f->class[node]];
        if (q < STATES_FIRST) continue;
        if (!*first) *first = q;
        out[q] = *first, n += *first != q;
    }
    return n;
}

static int open_refining(refining *f) {
    size_t states = f->r->n_states, nodes = 2 * states, slots = 2;
    while (slots < 2 * nodes) slots *= 2;
    f->table = array_new(slots, sizeof *f->table);
    f->looked_at = array_new(nodes + 5, sizeof *f->looked_at), f->kept = array_new(nodes + 5, sizeof *f->kept);
    f->node_of = array_new(states, sizeof *f->node_of), f->state = array_new(nodes, sizeof *f->state);
    f->first = array_new(nodes + 1, sizeof *f->first), f->first_from = array_new(nodes + 2, sizeof *f->first_from);
    f->class = array_new(nodes, sizeof *f->class), f->members = array_zero(nodes + 5, sizeof *f->members);
    f->queue = array_new(nodes, sizeof *f->queue), f->round_of = array_zero(nodes, sizeof *f->round_of);
    f->groups = array_new(nodes, sizeof *f->groups), f->walk = array_new(nodes + 5, sizeof *f->walk);
    f->seen = array_zero(states, sizeof *f->seen);
    return f->node_of && f->state && f->first && f->first_from && f->class && f->members && f->queue && f->round_of &&
           f->groups && f->walk && f->seen && f->table && f->looked_at && f->kept;
}

static int open_links(refining *f) {
    f->from = array_new(f->n_links, sizeof *f->from), f->keys = array_new(f->n_links, sizeof *f->keys);
    return f->from && f->keys;
}

static void close_refining(refining *f) {
    free(f->node_of), free(f->first), free(f->links), free(f->first_from), free(f->from), free(f->state);
    free(f->class), free(f->members), free(f->queue), free(f->round_of), free(f->groups), free(f->keys);
    free(f->walk), free(f->seen), free(f->table), free(f->looked_at), free(f->kept);
}

static int write_twins(twins *t, refining *f) {
    size_t n = f->r->n_states;
    t->top = array_new(n, sizeof *t->top), t->under = array_new(n, sizeof *t->under);
    if (!t->top || !t->under) return GEMEL_E_MEMORY;
    uint32_t alike = write_firsts(f, 0, f->n_reached, f->walk, t->under);
    alike += write_firsts(f, f->n_reached, f->n_nodes, f->walk, t->top);
    if (!alike) twins_close(t);
    return GEMEL_OK;
}

static int refine_all(refining *f, twins *list, const uint32_t *sizes, size_t n) {
    uint32_t round = 0;
    turn_links(f);
    begin_classes(f);
    for (size_t i = 0; i < n; i++) {
        for (; round < sizes[i] && f->n_queued; round++)
            if (!refine(f, round + 1)) return GEMEL_OK;
        int code = write_twins(&list[i], f);
        if (code < 0) return code;
    }
    return GEMEL_OK;
}

int twins_open(twins *list, const rules *r, const uint32_t *sizes, size_t n) {
    refining f = {.r = r};
    int code = open_refining(&f) ? GEMEL_OK : GEMEL_E_MEMORY;
    for (size_t i = 0; i < n; i++) list[i] = (twins){0};
    if (code == 0) {
        find_nodes(&f);
        if (add_links(&f)) code = open_links(&f) ? refine_all(&f, list, sizes, n) : GEMEL_E_MEMORY;
    }
    close_refining(&f);
    for (size_t i = 0; i < n && code < 0; i++) twins_close(&list[i]);
    return code;
}

void twins_close(twins *t) {
    free(t->top), free(t->under);
    *t = (twins){0};
}
