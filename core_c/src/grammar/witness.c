// Items are searched depth first, with ever more bytes than the shortest text takes. A try fails only where an item was
// in its list before, so that a search takes about as many tries as the list has items.
#include "witness.h"
#include "../text/array.h"

enum { NEXT_NONE = 256, NEXT_ID, NEXT_END };                  // in next_of
enum { EXTRA_MAX = 64, TRIES = 1 << 19, FIRST_BYTE = '0' };   // bytes are tried from this one on

int witness_open(witness *w, const mask *k, const shortest *s) {
    *w = (witness){.shortest = s, .t = k->t, .tok = k->tok, .work_max = UINT64_MAX};
    w->size_of = array_new(SETS_MAX, sizeof *w->size_of), w->next_of = array_new(SETS_MAX, sizeof *w->next_of);
    for (int byte = 0; byte < 256; byte++) {
        uint32_t node = text_tree_child(k->t, k->t->root[0], (uint8_t)byte);
        w->has_byte[byte] = node && k->t->nodes[node].id >= 0;
    }
    return w->size_of && w->next_of;
}

void witness_close(witness *w) {
    free(w->size_of), free(w->next_of), free(w->steps), free(w->n_ids), free(w->first), free(w->path);
}

// Sets are numbered behind those under them.
static void measure(witness *w, const matcher *m, uint32_t set) {
    const shortest *s = w->shortest;
    if (!w->n_sets || w->age != m->age) w->size_of[NO_SET] = NEVER, w->n_sets = 1, w->age = m->age;
    for (; w->n_sets <= set; w->n_sets++) {
        const entry *at = stacks_at(&m->s, w->n_sets);
        uint32_t best = NEVER, best_read = NEVER;
        uint16_t next = NEXT_NONE;
        for (uint32_t i = 0, n = stacks_count(&m->s, w->n_sets); i < n; i++) {
            uint32_t q = at[i].state, size = q == STATE_ENDED ? 0 : shortest_sum(s->size[q], w->size_of[at[i].under]);
            int how = q == STATE_ENDED ? ENDS : s->how[q];
            if (size < best) best = size;
            if (size >= best_read || (q != STATE_ENDED && how != READS_BYTE && how != READS_ID)) continue;
            best_read = size;
            next = q == STATE_ENDED ? NEXT_END : how == READS_ID ? NEXT_ID : s->byte[q];
        }
        w->size_of[w->n_sets] = best, w->next_of[w->n_sets] = next;
    }
}

static uint32_t size_of(witness *w, const matcher *m, uint32_t set) {
    measure(w, m, set);
    return w->size_of[set];
}

static uint16_t next_of(witness *w, const matcher *m, uint32_t set) {
    measure(w, m, set);
    return w->next_of[set];
}

static int put(witness *w, size_t at, int32_t step) {
    if (!array_room((void **)&w->steps, at, &w->steps_room, at + 1, sizeof *w->steps)) return 0;
    w->steps[at] = step, w->n = at + 1;
    return 1;
}

// ---- Ids as such ---------------------------------------------------------------------------------------------------

static int32_t other_id(const witness *w, int32_t excepted) {
    int32_t n_vocab = tokenizer_n_vocab(w->tok), id = 0;
    while (id < n_vocab && (id == excepted || tokenizer_is_eog(w->tok, id))) id++;
    return id < n_vocab ? id : -1;
}

// Read the id that the shortest text begins with.
static uint32_t read_id(witness *w, matcher *m, uint32_t set) {
    const rules *r = m->r;
    const shortest *s = w->shortest;
    for (uint32_t i = 0, n = stacks_count(&m->s, set); i < n; i++) {
        entry top = stacks_at(&m->s, set)[i];
        if (top.state < STATES_FIRST || s->how[top.state] != READS_ID) continue;
        if (shortest_sum(s->size[top.state], w->size_of[top.under]) != w->size_of[set]) continue;
        for (uint32_t at = r->states[top.state].ids; at < r->states[top.state + 1].ids; at++) {
            const id_edge *e = &r->ids[at];
            int32_t id = e->is_negated ? other_id(w, e->id) : e->id;
            if (e->to != s->to[top.state] || id < 0) continue;
            return put(w, w->n, STEP_ID + id) ? matcher_step_id(m, set, id, tokenizer_is_eog(w->tok, id)) : NO_SET;
        }
    }
    return NO_SET;
}

// ---- Items ---------------------------------------------------------------------------------------------------------

typedef struct trying {
    witness *w;
    mask *k;
    uint32_t extra;   // bytes that an item may take more than its shortest text
    int is_cut;       // some item would have taken more
    uint64_t end;     // of w->work
} trying;

// Count what reading on to a set takes more than the shortest text. 0: that is too much.
static int may_spend(trying *y, const witness_place *p, uint32_t next, uint32_t *spent) {
    uint32_t now = size_of(y->w, &y->k->m, p->set), then = shortest_sum(size_of(y->w, &y->k->m, next), 1);
    *spent = p->spent + (then > now ? then - now : 0);
    y->is_cut |= *spent > y->extra;
    return *spent <= y->extra;
}

// The set after the next byte that a place tries; NO_SET: none after that one.
static uint32_t try_byte(trying *y, witness_place *p, uint32_t *spent) {
    witness *w = y->w;
    matcher *m = &y->k->m;
    seen *lists = &y->k->unique->lists;
    uint16_t best = next_of(w, m, p->set);
    uint8_t byte = p->next ? (uint8_t)(p->next - 1 + FIRST_BYTE) : (uint8_t)best;
    int is_first = !p->next++;
    w->work++;
    if (is_first ? best > UINT8_MAX : byte == best) return NO_SET;
    if (!w->has_byte[byte]) return NO_SET;
    uint32_t next = matcher_step(m, p->set, m->r->class_of[byte]);
    if (!next || !may_spend(y, p, next, spent)) return NO_SET;
    uint32_t n_items = lists->n_items;
    next = unique_step(y->k->unique, m, p->set, byte);   // behind an item that was there, fewer texts follow
    if (!next || !may_spend(y, p, next, spent)) return NO_SET;
    if (lists->n_items > n_items) *spent = 0;
    return put(w, w->n, byte) ? next : NO_SET;
}

// Read on from a set to where no unique rule is left.
static uint32_t try_item(trying *y, uint32_t set) {
    witness *w = y->w;
    seen *lists = &y->k->unique->lists;
    size_t before = w->n, n = 0;
    uint32_t n_undo = lists->n_undo, spent = 0, next = set;
    while (w->work < y->end && !matcher_is_stuck(&y->k->m)) {
        if (next) {
            if (!array_room((void **)&w->path, n, &w->path_room, n + 1, sizeof *w->path)) return NO_SET;
            w->path[n++] = (witness_place){next, 0, spent};
        } else if (w->path[n - 1].next > 256 && !--n) break;
        seen_back(lists, n_undo + (uint32_t)n - 1), w->n = before + n - 1;
        next = try_byte(y, &w->path[n - 1], &spent);
        if (next && !unique_has_rule(y->k->unique, &y->k->m, next)) return next;
    }
    seen_back(lists, n_undo), w->n = before;
    return NO_SET;
}

static uint32_t find_item(witness *w, mask *k, uint32_t set) {
    uint64_t end = w->work + TRIES;
    trying y = {.w = w, .k = k, .is_cut = 1, .end = end < w->work_max ? end : w->work_max};
    uint32_t next = NO_SET;
    for (; !next && y.is_cut && y.extra <= EXTRA_MAX && w->work < y.end && !matcher_is_stuck(&k->m); y.extra++) {
        y.is_cut = 0;
        next = try_item(&y, set);
    }
    return next;
}

// ---- The text ------------------------------------------------------------------------------------------------------

uint32_t witness_find(witness *w, mask *k, uint32_t set) {
    matcher *m = &k->m;
    w->n = 0;
    while (set && w->work < w->work_max && !matcher_is_stuck(m)) {
        uint16_t next = next_of(w, m, set);
        w->work++;
        if (next == NEXT_END) return witness_cut(w, w->steps, w->n);
        if (next == NEXT_NONE) break;
        if (unique_has_rule(k->unique, m, set)) set = find_item(w, k, set);
        else if (next == NEXT_ID) set = read_id(w, m, set);
        else set = put(w, w->n, next) ? unique_step(k->unique, m, set, (uint8_t)next) : NO_SET;
    }
    return NEVER;
}

// From each step on, the fewest ids; of equals, the longest first one.
static void cut_at(witness *w, const int32_t *steps, size_t n, size_t i) {
    w->n_ids[i] = NEVER;
    if (steps[i] >= STEP_ID) w->n_ids[i] = shortest_sum(w->n_ids[i + 1], 1), w->first[i] = steps[i] - STEP_ID;
    for (int part = 0; part < TREE_PARTS && steps[i] < STEP_ID; part++) {
        uint32_t node = w->t->root[part];
        for (size_t j = i; j < n && steps[j] < STEP_ID; j++) {
            node = text_tree_child(w->t, node, (uint8_t)steps[j]);
            if (!node) break;
            uint32_t n_ids = shortest_sum(w->n_ids[j + 1], 1);
            if (w->t->nodes[node].id >= 0 && n_ids <= w->n_ids[i])
                w->n_ids[i] = n_ids, w->first[i] = w->t->nodes[node].id;
        }
    }
}

uint32_t witness_cut(witness *w, const int32_t *steps, size_t n) {
    if (!array_room((void **)&w->n_ids, 0, &w->ids_room, n + 1, sizeof *w->n_ids) ||
        !array_room((void **)&w->first, 0, &w->first_room, n + 1, sizeof *w->first))
        return NEVER;
    w->n_ids[n] = 0, w->first[n] = -1;
    for (size_t i = n; i-- > 0;) cut_at(w, steps, n, i);
    w->work += n;
    return w->n_ids[0];
}

uint32_t witness_read(mask *k, uint32_t set, const int32_t *steps, size_t n) {
    matcher *m = &k->m;
    for (size_t i = 0; i < n && set; i++) {
        int32_t id = steps[i] - STEP_ID;
        if (id < 0) set = unique_step(k->unique, m, set, (uint8_t)steps[i]);
        else set = id < tokenizer_n_vocab(k->tok) ? matcher_step_id(m, set, id, tokenizer_is_eog(k->tok, id)) : NO_SET;
    }
    return set;
}
