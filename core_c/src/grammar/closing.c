// The rest of an answer: for a stack, the sum over its states of the ids to the ends of their rules; for a set of
// stacks, the smallest sum.
#include "closing.h"
#include "../text/array.h"

int closing_open(closing *c, const mask *k) {
    *c = (closing){0};
    int code = shortest_open(&c->to_end, k->m.r, k->t);
    c->of_set = array_new(SETS_MAX, sizeof *c->of_set), c->kept = array_new(k->n_words, sizeof *c->kept);
    int ok = !code && c->of_set && c->kept;
    if (ok && k->unique)
        ok = (c->lists = array_new(1, sizeof *c->lists)) != NULL && closing_lists_open(c->lists, k, &c->to_end);
    return ok ? GEMEL_OK : GEMEL_E_MEMORY;
}

void closing_close(closing *c) {
    if (c->lists) closing_lists_close(c->lists);
    shortest_close(&c->to_end), free(c->of_set), free(c->kept), free(c->lists);
}

// Sets are numbered behind those under them.
static uint32_t needs(closing *c, const matcher *m, uint32_t set) {
    if (!c->n_sets || c->age != m->age) c->of_set[NO_SET] = NEVER, c->n_sets = 1, c->age = m->age;
    for (uint32_t i = c->n_sets; i <= set; i++) {
        const entry *at = stacks_at(&m->s, i);
        uint32_t best = NEVER;
        for (uint32_t k = 0, n = stacks_count(&m->s, i); k < n; k++) {
            uint32_t own = at[k].state == STATE_ENDED ? 0 : c->to_end.n_ids[at[k].state];
            if (at[k].state != STATE_ENDED) own = shortest_sum(own, c->of_set[at[k].under]);
            if (own < best) best = own;
        }
        c->of_set[i] = best;
    }
    if (set >= c->n_sets) c->n_sets = set + 1;
    return c->of_set[set];
}

// ---- Which ids are kept --------------------------------------------------------------------------------------------

typedef struct keeping {
    closing *c;
    mask *k;
    uint32_t left, worst, least;
} keeping;

static void keep(keeping *p, int32_t id, uint32_t n_ids) {
    if (!mask_allows(p->k, id)) return;
    if (n_ids > p->worst) p->worst = n_ids;
    if (n_ids < p->least) p->least = n_ids;
    if (n_ids <= p->left) p->c->kept[id >> 5] |= 1u << (id & 31);
}

// Texts under a node, at which the set is what is left; dropping: of ids that drop the first space, or that don't.
static void keep_texts(keeping *p, uint32_t top, uint32_t set, int dropping) {
    mask *k = p->k;
    matcher *m = &k->m;
    const tree_node *nodes = k->t->nodes;
    k->path[nodes[top].depth] = set;
    for (uint32_t i = top + 1, end = nodes[top].skip; i < end && !matcher_is_stuck(m);) {
        const tree_node *n = &nodes[i];
        uint32_t next = matcher_step(m, k->path[n->depth - 1], m->r->class_of[n->byte]);
        if (!next) {
            i = n->skip;
            continue;
        }
        for (int32_t id = n->id; id >= 0; id = k->t->same[id])
            if (dropping < 0 || tokenizer_drops_space(k->tok, id) == dropping) keep(p, id, needs(p->c, m, next));
        if (n->skip > i + 1) k->path[n->depth] = next;
        i++;
    }
}

static void keep_all_texts(keeping *p, uint32_t root) {
    mask *k = p->k;
    if (!k->drops_space || k->is_begun) {
        keep_texts(p, root, k->m.now, -1);
        return;
    }
    uint32_t space = text_tree_child(k->t, root, ' ');
    keep_texts(p, root, k->m.now, 0);
    if (!space) return;
    for (int32_t id = k->t->nodes[space].id; id >= 0; id = k->t->same[id])
        if (tokenizer_drops_space(k->tok, id)) keep(p, id, needs(p->c, &k->m, k->m.now));
    keep_texts(p, space, k->m.now, 1);
}

static uint32_t needs_behind(const keeping *p, uint32_t set) {
    if (!p->c->lists) return needs(p->c, &p->k->m, set);
    seen_try(&p->k->unique->lists);
    uint32_t n_ids = closing_lists_outside(p->c->lists, p->k, set);
    seen_end_trial(&p->k->unique->lists);
    return n_ids;
}

// Ids as such, and those that end a generation. An edge with an exception means nearly all ids: of such edges the best
// one counts, and for its exception the best one that excepts another id.
static void keep_ids(keeping *p) {
    enum { NO_EDGE = NEVER + 1 };
    mask *k = p->k;
    matcher *m = &k->m;
    const rules *r = m->r;
    uint32_t best = NO_EDGE, second = NO_EDGE, n_ids = NEVER;
    entry known = {NO_SET, NO_SET};   // where n_ids are counted from: many edges lead to one place
    int32_t n_vocab = tokenizer_n_vocab(k->tok), excepted = -1;
    for (uint32_t i = 0, n = stacks_count(&m->s, m->now); i < n; i++) {
        entry top = stacks_at(&m->s, m->now)[i];
        for (uint32_t at = r->states[top.state].ids; at < r->states[top.state + 1].ids; at++) {
            const id_edge *e = &r->ids[at];
            if (matcher_is_stuck(m)) return;
            if (known.state != e->to || known.under != top.under)
                known = (entry){e->to, top.under}, n_ids = needs_behind(p, matcher_step_edge(m, e, top.under));
            m->work++;
            if (!e->is_negated) keep(p, e->id, n_ids);
            else if (n_ids < best) second = e->id == excepted ? second : best, best = n_ids, excepted = e->id;
            else if (e->id != excepted && n_ids < second) second = n_ids;
        }
    }
    int may_end = matcher_may_end(m, m->now);
    for (int32_t id = 0; id < n_vocab && (may_end || best < NO_EDGE); id++) {
        int is_end = tokenizer_is_eog(k->tok, id);
        n_ids = is_end ? (may_end ? 0 : NO_EDGE) : id == excepted ? second : best;
        if (n_ids < NO_EDGE) keep(p, id, n_ids);
    }
}

static closing_worst *worst_of(closing *c, const matcher *m) {
    return &c->worst[(m->now * 0x9E3779B1u) % CLOSING_WORST];
}

// Look at all ids that k->bits allows.
static int keep_all(keeping *p) {
    closing *c = p->c;
    mask *k = p->k;
    for (int pass = 0; pass < 2; pass++) {
        memset(c->kept, 0, k->n_words * sizeof *c->kept);
        p->worst = 0, p->least = NEVER;
        for (int part = 0; part < TREE_PARTS; part++) keep_all_texts(p, k->t->root[part]);
        keep_ids(p);
        if (!matcher_is_stuck(&k->m)) break;
        matcher_tidy(&k->m, 1);
    }
    return matcher_is_stuck(&k->m) ? GEMEL_E_GRAMMAR : GEMEL_OK;
}

int closing_needs(closing *c, mask *k, uint32_t *n_ids) {
    keeping p = {.c = c, .k = k, .least = NEVER};
    int code = GEMEL_OK;
    *n_ids = needs(c, &k->m, k->m.now);
    if (c->lists) {
        uint32_t found = closing_lists_find(c->lists, k);
        if (found == NEVER && *n_ids != NEVER) code = GEMEL_E_UNSUPPORTED;
        *n_ids = found;
    } else if (k->drops_space && !k->is_begun && !matcher_may_end(&k->m, k->m.now)) {
        code = mask_fill(k);   // what is left after the first id depends on the id
        if (code == GEMEL_OK) code = keep_all(&p);
        *n_ids = shortest_sum(1, p.least);
    }
    if (!k->is_begun) c->n_ids = *n_ids;
    return code;
}

int closing_take(closing *c, mask *k, int32_t id, uint32_t set, uint32_t left) {
    int ok = c->lists ? closing_lists_take(c->lists, k, id, set, left) : needs(c, &k->m, set) <= left;
    return matcher_is_stuck(&k->m) ? GEMEL_E_GRAMMAR : ok ? GEMEL_OK : GEMEL_E_ARGUMENT;
}

int closing_allows(closing *c, mask *k, uint32_t set, uint32_t left) {
    return !c->lists && needs(c, &k->m, set) <= left && !matcher_is_stuck(&k->m);
}

// As `needs`, by the numbers of the saved sets; what is known of the matcher's own sets is overwritten.
uint32_t closing_needs_at(closing *c, const uint8_t *place) {
    uint32_t n, count, at[2];
    memcpy(&n, place, sizeof n), place += sizeof n;
    c->of_set[NO_SET] = NEVER, c->n_sets = 0;
    for (uint32_t i = 1; i <= n; i++) {
        c->of_set[i] = NEVER;
        memcpy(&count, place, sizeof count), place += sizeof count;
        for (uint32_t k = 0; k < count; k++, place += sizeof at) {
            memcpy(at, place, sizeof at);   // a state, and the set under it
            uint32_t own = at[0] == STATE_ENDED ? 0 : shortest_sum(c->to_end.n_ids[at[0]], c->of_set[at[1]]);
            if (own < c->of_set[i]) c->of_set[i] = own;
        }
    }
    return c->of_set[n];
}

// Where finding out takes more than there is, the first id of the text that is known is left.
static int limit_lists(closing *c, mask *k, uint32_t left) {
    keeping p = {.c = c, .k = k, .left = left};
    int32_t first = closing_lists_first(c->lists);
    for (int pass = 0; pass < 2; pass++) {
        memset(c->kept, 0, k->n_words * sizeof *c->kept);
        closing_lists_forget(c->lists);
        closing_lists_keep(c->lists, k, left, c->kept);
        keep_ids(&p);
        if (!matcher_is_stuck(&k->m)) break;
        matcher_tidy(&k->m, 1);
        memset(c->kept, 0, k->n_words * sizeof *c->kept);
    }
    if (first >= 0) c->kept[first >> 5] |= 1u << (first & 31);
    uint32_t any = 0;
    for (size_t i = 0; i < k->n_words; i++) any |= k->bits[i] &= c->kept[i];
    return any ? GEMEL_OK : GEMEL_E_GRAMMAR;
}

int closing_limit(closing *c, mask *k, uint32_t left) {
    if (c->lists) return limit_lists(c, k, left);
    closing_worst *known = worst_of(c, &k->m);
    if (known->set == k->m.now && known->age == k->m.age && known->n_ids <= left) return GEMEL_OK;
    keeping p = {.c = c, .k = k, .left = left};
    int code = keep_all(&p);
    if (code < 0) return code;
    *worst_of(c, &k->m) = (closing_worst){k->m.now, k->m.age, p.worst};
    uint32_t any = 0;
    for (size_t i = 0; i < k->n_words; i++) any |= k->bits[i] &= c->kept[i];
    return any ? GEMEL_OK : GEMEL_E_GRAMMAR;
}

// ---- Saving --------------------------------------------------------------------------------------------------------
// The number of steps of the text that ends the answer, and the steps.

size_t closing_save(const closing *c, uint8_t *data, size_t capacity) {
    if (!c->lists) return 0;
    uint32_t n = (uint32_t)c->lists->n_text;
    size_t size = (sizeof n + n * sizeof *c->lists->text + 7) / 8 * 8;
    if (size > capacity) return size;
    memset(data, 0, size);
    memcpy(data, &n, sizeof n);
    if (n) memcpy(data + sizeof n, c->lists->text, n * sizeof *c->lists->text);
    return size;
}

int closing_check(const closing *c, const uint8_t *data, size_t size) {
    uint32_t n;
    int32_t step;
    if (!c->lists) return !size;
    if (size < sizeof n) return 0;
    memcpy(&n, data, sizeof n);
    if (n > size / sizeof step || size != (sizeof n + n * sizeof step + 7) / 8 * 8) return 0;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&step, data + sizeof n + i * sizeof step, sizeof step);
        if (step < 0) return 0;
    }
    return 1;
}

void closing_restore(closing *c, mask *k, const uint8_t *data) {
    uint32_t n;
    if (!c->lists) return;
    memcpy(&n, data, sizeof n);
    int32_t *steps = array_new(n, sizeof *steps);
    if (steps && n) memcpy(steps, data + sizeof n, n * sizeof *steps);
    closing_lists_restore(c->lists, k, steps, steps ? n : 0);
    free(steps);
}
