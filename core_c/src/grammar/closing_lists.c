// Most ids only make a string longer that no item has. What ends the answer after them depends on the set that they
// lead to alone, so that one text is found for all. Ids with other signs are read one by one, and so are those with
// which the string goes on as another one does in a list, or in that text.
#include "closing_lists.h"
#include "../text/array.h"

enum { WORK_MAX = 1 << 22, WORK_FIRST = 1 << 24, NEW_BYTE = 1 };   // no string has that byte

int closing_lists_open(closing_lists *l, const mask *k, const shortest *s) {
    *l = (closing_lists){.outside = array_zero(SETS_MAX, sizeof *l->outside)};
    l->inside = array_zero(SETS_MAX, sizeof *l->inside), l->special = array_new(k->n_words, sizeof *l->special);
    l->read = array_new((size_t)k->t->depth + 1, 1);
    return witness_open(&l->w, k, s) && l->outside && l->inside && l->special && l->read;
}

void closing_lists_close(closing_lists *l) {
    witness_close(&l->w);
    free(l->text), free(l->outside), free(l->inside), free(l->met), free(l->endings), free(l->steps), free(l->special);
    free(l->read);
}

void closing_lists_forget(closing_lists *l) {
    for (size_t i = 0; i < l->n_met; i++) l->outside[l->met[i]] = l->inside[l->met[i]] = 0;
    l->n_met = l->n_endings = l->n_steps = 0;
    l->w.work = 0, l->w.work_max = WORK_MAX;
}

static int keep_text(closing_lists *l, const int32_t *steps, size_t n) {
    if (!array_room((void **)&l->text, 0, &l->text_room, n, sizeof *l->text)) return 0;
    memmove(l->text, steps, n * sizeof *steps), l->n_text = n;
    return 1;
}

uint32_t closing_lists_find(closing_lists *l, mask *k) {
    seen *lists = &k->unique->lists;
    closing_lists_forget(l);
    l->w.work_max = WORK_FIRST;
    seen_try(lists);
    uint32_t n_ids = witness_find(&l->w, k, k->m.now);
    seen_end_trial(lists);
    return n_ids != NEVER && keep_text(l, l->w.steps, l->w.n) ? n_ids : NEVER;
}

int32_t closing_lists_first(closing_lists *l) {
    return l->n_text && witness_cut(&l->w, l->text, l->n_text) != NEVER ? l->w.first[0] : -1;
}

// ---- What is known of sets -----------------------------------------------------------------------------------------

// The ending from a set on; NULL: no memory. with: a byte that the lists read before it, or -1.
static const ending *ending_of(closing_lists *l, mask *k, uint32_t *known, uint32_t set, int with) {
    seen *lists = &k->unique->lists;
    uint32_t n_undo = lists->n_undo, n_ids = NEVER;
    if (known[set]) return &l->endings[known[set] - 1];
    if (!array_room((void **)&l->met, l->n_met, &l->met_room, l->n_met + 1, sizeof *l->met) ||
        !array_room((void **)&l->endings, l->n_endings, &l->endings_room, l->n_endings + 1, sizeof *l->endings))
        return NULL;
    if (with < 0 || seen_read(lists, (uint8_t)with) >= 0) n_ids = witness_find(&l->w, k, set);
    seen_back(lists, n_undo);
    size_t n = n_ids == NEVER ? 0 : l->w.n;
    if (!array_room((void **)&l->steps, l->n_steps, &l->steps_room, l->n_steps + n, sizeof *l->steps)) return NULL;
    if (n) memcpy(l->steps + l->n_steps, l->w.steps, n * sizeof *l->steps);
    l->endings[l->n_endings++] = (ending){n_ids, (uint32_t)l->n_steps, (uint32_t)n};
    l->met[l->n_met++] = set, l->n_steps += n, known[set] = (uint32_t)l->n_endings;
    return &l->endings[l->n_endings - 1];
}

uint32_t closing_lists_outside(closing_lists *l, mask *k, uint32_t set) {
    const ending *one = set ? ending_of(l, k, l->outside, set, -1) : NULL;
    return one ? one->n_ids : NEVER;
}

// ---- Which ids are kept --------------------------------------------------------------------------------------------

typedef struct keeping {
    closing_lists *l;
    mask *k;
    uint32_t left, *kept;
    uint32_t at, size;   // of the string that is open, in the lists' text, which moves as it grows; size 0: none is
} keeping;

static const uint8_t *string_of(const keeping *p) { return p->k->unique->lists.text + p->at; }

static void put_id(uint32_t *bits, int32_t id) { bits[id >> 5] |= 1u << (id & 31); }

static void make_special(const keeping *p, uint32_t node) {
    const text_tree *t = p->k->t;
    for (int32_t id = t->nodes[node].id; id >= 0; id = t->same[id]) put_id(p->l->special, id);
}

// Ids that the open string goes on with as it does elsewhere in the lists.
static void find_same(const keeping *p) {
    const seen *s = &p->k->unique->lists;
    const text_tree *t = p->k->t;
    const uint8_t *at = s->text, *end = string_of(p);
    for (; (at = memchr(at, end[0], (size_t)(end - at))) != NULL; at++) {
        if ((size_t)(end - at) < p->size) break;
        if (memcmp(at, end, p->size) != 0) continue;
        for (int part = 0; part < TREE_PARTS; part++) {
            uint32_t node = t->root[part];
            for (const uint8_t *next = at + p->size; next < end; next++) {
                node = text_tree_child(t, node, *next);
                if (!node) break;
                make_special(p, node);
            }
        }
    }
}

// Where the string that is open begins.
static void find_string(keeping *p) {
    const seen *s = &p->k->unique->lists;
    uint32_t at = s->n_text, n;
    do {
        for (at--, n = 0; n < at && s->text[at - 1 - n] == '\\';) n++;
    } while (at && (s->text[at] != '"' || n % 2));
    p->at = at, p->size = s->n_text - at;
}

// Whether an ending has a string that begins with the open one and n bytes of p->l->read.
static int has_same(const keeping *p, const ending *e, uint32_t n) {
    const int32_t *steps = p->l->steps + e->at;
    const uint8_t *string = string_of(p);
    for (uint32_t i = 0; i + p->size + n <= e->n; i++) {
        uint32_t k = 0;
        while (k < p->size && steps[i + k] == string[k]) k++;
        while (k >= p->size && k < p->size + n && steps[i + k] == p->l->read[k - p->size]) k++;
        if (k == p->size + n) return 1;
    }
    return 0;
}

static void keep_node(const keeping *p, uint32_t node, uint32_t set) {
    closing_lists *l = p->l;
    const tree_node *one = &p->k->t->nodes[node];
    if (one->id < 0) return;
    const ending *e = p->size ? ending_of(l, p->k, l->inside, set, NEW_BYTE) : ending_of(l, p->k, l->outside, set, -1);
    if (!e || e->n_ids > p->left) return;
    if (p->size && has_same(p, e, one->depth)) make_special(p, node);
    for (int32_t id = one->id; id >= 0; id = p->k->t->same[id]) put_id(p->kept, id);
}

// Ids of texts without a sign: those that are special are read later.
static void keep_texts(const keeping *p, uint32_t root) {
    mask *k = p->k;
    matcher *m = &k->m;
    const tree_node *nodes = k->t->nodes;
    k->path[0] = m->now;
    for (uint32_t i = root + 1; i < nodes[root].skip && !matcher_is_stuck(m);) {
        const tree_node *n = &nodes[i];
        if (p->size ? n->byte == '"' || n->byte == '\\' : n->byte == '[') {
            for (uint32_t under = i; under < n->skip; under++) make_special(p, under);
            i = n->skip;
            continue;
        }
        uint32_t next = matcher_step(m, k->path[n->depth - 1], m->r->class_of[n->byte]);
        if (!next) {
            i = n->skip;
            continue;
        }
        p->l->read[n->depth - 1] = n->byte, k->path[n->depth] = next;
        keep_node(p, i, next);
        i++;
    }
}

static void keep_special(const keeping *p, int32_t id) {
    mask *k = p->k;
    seen *lists = &k->unique->lists;
    uint32_t set = k->m.now, n_ids = NEVER;
    int size = text_tree_has(k->tok, id) ? tokenizer_piece(k->tok, id, 0, (char *)k->text, k->t->depth) : 0;
    if (size <= 0) return;
    for (int i = k->drops_space && !k->is_begun && tokenizer_drops_space(k->tok, id); i < size && set; i++)
        set = unique_step(k->unique, &k->m, set, k->text[i]);
    if (set) n_ids = seen_is_watched(lists) ? witness_find(&p->l->w, k, set) : closing_lists_outside(p->l, k, set);
    seen_back(lists, 0);
    if (n_ids <= p->left) put_id(p->kept, id);
}

void closing_lists_keep(closing_lists *l, mask *k, uint32_t left, uint32_t *kept) {
    seen *lists = &k->unique->lists;
    keeping p = {.l = l, .k = k, .left = left, .kept = kept};
    int is_known = seen_is_watched(lists) ? lists->in_string : !k->drops_space || k->is_begun;
    memset(l->special, is_known ? 0 : 0xFF, k->n_words * sizeof *l->special);
    seen_try(lists);
    if (is_known && seen_is_watched(lists)) find_string(&p), find_same(&p);
    for (int part = 0; part < TREE_PARTS && is_known; part++) keep_texts(&p, k->t->root[part]);
    for (size_t word = 0; word < k->n_words; word++) {
        kept[word] &= ~l->special[word];
        for (uint32_t bits = k->bits[word] & l->special[word], i = 0; bits; bits >>= 1, i++)
            if ((bits & 1) && !matcher_is_stuck(&k->m)) keep_special(&p, (int32_t)(32 * word + i));
    }
    seen_end_trial(lists);
}

// ---- Going on ------------------------------------------------------------------------------------------------------

// Whether these steps end the answer after the text of an id, within `left` ids. In a trial, from m->now on.
static int ends_within(closing_lists *l, mask *k, const int32_t *steps, size_t n, uint32_t set, uint32_t left) {
    if (witness_cut(&l->w, steps, n) > left) return 0;
    return matcher_may_end(&k->m, witness_read(k, set, steps, n));
}

// Go on with what is left of the text behind an id.
static int follows_text(closing_lists *l, const mask *k, int32_t id, uint32_t left) {
    size_t n = (size_t)(k->text_end - k->text_from), i = 0;
    if (l->n_text && l->text[0] == STEP_ID + id) n = i = 1;
    else if (!n || n > l->n_text) return 0;
    for (; i < n; i++)
        if (l->text[i] != k->text[(size_t)k->text_from + i]) return 0;
    return witness_cut(&l->w, l->text + n, l->n_text - n) <= left && keep_text(l, l->text + n, l->n_text - n);
}

int closing_lists_take(closing_lists *l, mask *k, int32_t id, uint32_t set, uint32_t left) {
    seen *lists = &k->unique->lists;
    matcher *m = &k->m;
    uint32_t at = m->now;
    if (follows_text(l, k, id, left)) return 1;
    closing_lists_forget(l);
    seen_try(lists);
    for (int i = k->text_from; i < k->text_end && at; i++) at = unique_step(k->unique, m, at, k->text[i]);
    uint32_t n_undo = lists->n_undo;
    int is_found = witness_find(&l->w, k, set) <= left && keep_text(l, l->w.steps, l->w.n);
    seen_back(lists, n_undo);
    if (!is_found && lists->in_string && seen_is_watched(lists)) {   // as when the mask was made
        const ending *e = ending_of(l, k, l->inside, set, NEW_BYTE);
        is_found = e && e->n_ids <= left && ends_within(l, k, l->steps + e->at, e->n, set, left) &&
                   keep_text(l, l->steps + e->at, e->n);
    }
    seen_end_trial(lists);
    return is_found;
}

void closing_lists_restore(closing_lists *l, mask *k, const int32_t *steps, size_t n) {
    seen *lists = &k->unique->lists;
    closing_lists_forget(l);
    seen_try(lists);
    if (!ends_within(l, k, steps, n, k->m.now, NEVER - 1) || !keep_text(l, steps, n)) l->n_text = 0;
    seen_end_trial(lists);
}
