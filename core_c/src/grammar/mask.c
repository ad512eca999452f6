// A walk goes down the tree as long as some stack is left. At a node where the rule of the first state may have ended,
// the set has a hole: what follows there depends on the stacks under the state.
#include "mask.h"
#include <string.h>
#include "../text/array.h"

enum { KEEP_FROM = 1024, KEEP_WHOLE_FROM = 8192 };   // nodes that walks meet: results of fewer are not kept

int mask_open(mask *k, const rules *r, const text_tree *t, const tokenizer *tok, int is_message) {
    size_t n_vocab = (size_t)tokenizer_n_vocab(tok), depth = t->depth + 1;
    *k = (mask){.t = t, .tok = tok, .drops_space = is_message};
    k->n_words = (n_vocab + 31) / 32;
    size_t slot = k->n_words + MASK_HOLES, all = slot * (MASK_SLOTS + 1) + k->n_words * MASK_WHOLES;
    int code = matcher_open(&k->m, r);
    k->memory = array_new(all, sizeof *k->memory);
    k->bits = array_zero(k->n_words, sizeof *k->bits), k->slot_of = array_zero(r->n_states, 1);
    k->path = array_new(depth, sizeof *k->path), k->rows = array_new(depth, sizeof *k->rows);
    k->text = array_new(depth, 1);
    if (code) return code;
    if (!k->memory || !k->bits || !k->slot_of || !k->path || !k->rows || !k->text) return GEMEL_E_MEMORY;
    for (int i = 0; i <= MASK_SLOTS; i++) {
        mask_slot *s = i < MASK_SLOTS ? &k->slots[i] : &k->scratch;
        s->bits = k->memory + slot * (size_t)i, s->holes = s->bits + k->n_words;
    }
    for (int i = 0; i < MASK_WHOLES; i++)
        k->wholes[i].bits = k->memory + slot * (MASK_SLOTS + 1) + k->n_words * (size_t)i;
    return GEMEL_OK;
}

void mask_close(mask *k) {
    matcher_close(&k->m);
    free(k->memory), free(k->bits), free(k->slot_of), free(k->path), free(k->rows), free(k->text);
}

void mask_begin(mask *k) {
    k->is_begun = 0;
    k->m.now = NO_SET;
    matcher_tidy(&k->m, 1);
    matcher_begin(&k->m);
}

// ---- Walks ---------------------------------------------------------------------------------------------------------

static void allow(uint32_t *bits, int32_t id) { bits[id >> 5] |= 1u << (id & 31); }
static void forbid(uint32_t *bits, int32_t id) { bits[id >> 5] &= ~(1u << (id & 31)); }
static void allow_all(const text_tree *t, uint32_t node, uint32_t *bits) {
    for (int32_t id = t->nodes[node].id; id >= 0; id = t->same[id]) allow(bits, id);
}

// Allow the ids under a node, at which the set is what is left. holes: where to note holes, or NULL. Returns the number
// of nodes met.
static uint32_t walk(mask *k, uint32_t top, uint32_t set, uint32_t *bits, uint32_t *holes, uint32_t *n_holes) {
    matcher *m = &k->m;
    const tree_node *nodes = k->t->nodes;
    const uint8_t *class_of = m->r->class_of;
    uint32_t met = 0, end = nodes[top].skip;
    k->path[nodes[top].depth] = set, k->rows[nodes[top].depth] = set ? matcher_row(m, set) : NULL;
    if (!set) return 0;
    for (uint32_t i = top + 1; i < end; met++) {
        const tree_node *n = &nodes[i];
        uint32_t class = class_of[n->byte], *row = k->rows[n->depth - 1];
        uint32_t next = row && row[class] ? row[class] - 1 : matcher_step(m, k->path[n->depth - 1], (int)class);
        if (!next) {
            if (matcher_is_stuck(m)) break;
            i = n->skip;
            continue;
        }
        if (n->id >= 0) allow_all(k->t, i, bits);
        if (n->skip > i + 1) {
            k->path[n->depth] = next, k->rows[n->depth] = matcher_row(m, next);
            if (holes && matcher_has_hole(m, next) && ++*n_holes <= MASK_HOLES) holes[*n_holes - 1] = i;
        }
        i++;
    }
    k->n_met += met;
    return met;
}

// What a state allows with any stacks under it.
static const mask_slot *local(mask *k, uint32_t q) {
    matcher *m = &k->m;
    mask_slot *s = &k->scratch;
    if (k->slot_of[q]) return &k->slots[k->slot_of[q] - 1];
    entry hole = {STATE_HOLE, NO_SET}, top = {q, NO_SET};
    top.under = stacks_set(&m->s, &hole, 1);
    memset(s->bits, 0, k->n_words * sizeof *s->bits);
    s->n_holes = 0, s->state = q;
    uint32_t met = walk(k, 0, stacks_set(&m->s, &top, 1), s->bits, s->holes, &s->n_holes);
    if (met < KEEP_FROM || matcher_is_stuck(m)) return s;
    mask_slot *kept = &k->slots[k->next_slot], spare = *kept;
    if (kept->state) k->slot_of[kept->state] = 0;
    *kept = *s, *s = spare;
    k->slot_of[q] = (uint8_t)(k->next_slot + 1);
    k->next_slot = (k->next_slot + 1) % MASK_SLOTS;
    return kept;
}

static void fill_ids(mask *k, uint32_t q) {
    const rules *r = k->m.r;
    for (uint32_t i = r->states[q].ids; i < r->states[q + 1].ids; i++) {
        const id_edge *e = &r->ids[i];
        if (!e->is_negated) allow(k->bits, e->id);
        for (int32_t id = 0, n = tokenizer_n_vocab(k->tok); e->is_negated && id < n; id++)
            if (id != e->id && !tokenizer_is_eog(k->tok, id)) allow(k->bits, id);
    }
}

static void fill_ends(mask *k) {
    for (int32_t id = 0, n = tokenizer_n_vocab(k->tok); id < n; id++)
        if (tokenizer_is_eog(k->tok, id)) allow(k->bits, id);
}

static void fill_texts(mask *k, entry top) {
    matcher *m = &k->m;
    const mask_slot *s = local(k, top.state);
    for (size_t i = 0; i < k->n_words; i++) k->bits[i] |= s->bits[i];
    uint32_t under = s->n_holes && !matcher_is_stuck(m) ? matcher_return(m, top.under) : NO_SET;
    if (!under || matcher_must_end(m, under)) return;
    if (s->n_holes > MASK_HOLES) (void)walk(k, 0, stacks_set(&m->s, &top, 1), k->bits, NULL, NULL);
    else
        for (uint32_t i = 0; i < s->n_holes; i++) (void)walk(k, s->holes[i], under, k->bits, NULL, NULL);
}

// Ids that begin a message lack the first space of their text.
static void fill_without_space(mask *k) {
    const tree_node *nodes = k->t->nodes;
    uint32_t space = 1, *bits = k->scratch.bits;
    while (space < nodes[0].skip && nodes[space].byte != ' ') space = nodes[space].skip;
    if (space == nodes[0].skip) return;
    memset(bits, 0, k->n_words * sizeof *bits);
    allow_all(k->t, space, bits);
    (void)walk(k, space, k->m.now, bits, NULL, NULL);
    for (uint32_t i = space; i < nodes[space].skip; i++)
        for (int32_t id = nodes[i].id; id >= 0; id = k->t->same[id]) {
            if (!tokenizer_drops_space(k->tok, id)) continue;
            forbid(k->bits, id);
            if (bits[id >> 5] >> (id & 31) & 1) allow(k->bits, id);
        }
}

static void fill(mask *k) {
    matcher *m = &k->m;
    k->n_met = 0;
    memset(k->bits, 0, k->n_words * sizeof *k->bits);
    if (k->drops_space && !k->is_begun) {
        (void)walk(k, 0, m->now, k->bits, NULL, NULL);
        fill_without_space(k);
    }
    for (uint32_t i = 0; i < stacks_count(&m->s, m->now) && !matcher_is_stuck(m); i++) {
        entry top = stacks_at(&m->s, m->now)[i];
        if (top.state == STATE_ENDED) fill_ends(k);
        if (top.state < STATES_FIRST) continue;
        fill_ids(k, top.state);
        if (!k->drops_space || k->is_begun) fill_texts(k, top);
    }
}

static int find_whole(mask *k) {
    for (int i = 0; i < MASK_WHOLES; i++) {
        const mask_whole *w = &k->wholes[i];
        if (w->set != k->m.now || w->age != k->m.age || (k->drops_space && !k->is_begun)) continue;
        memcpy(k->bits, w->bits, k->n_words * sizeof *k->bits);
        return 1;
    }
    return 0;
}

static void keep_whole(mask *k) {
    if (k->n_met < KEEP_WHOLE_FROM || (k->drops_space && !k->is_begun)) return;
    mask_whole *w = &k->wholes[k->next_whole];
    w->set = k->m.now, w->age = k->m.age;
    memcpy(w->bits, k->bits, k->n_words * sizeof *k->bits);
    k->next_whole = (k->next_whole + 1) % MASK_WHOLES;
}

int mask_fill(mask *k) {
    matcher_tidy(&k->m, 0);
    if (find_whole(k)) return GEMEL_OK;
    fill(k);
    if (matcher_is_stuck(&k->m)) {
        matcher_tidy(&k->m, 1);
        fill(k);
    }
    if (matcher_is_stuck(&k->m)) return GEMEL_E_GRAMMAR;
    size_t word = 0;
    while (word < k->n_words && !k->bits[word]) word++;
    if (word == k->n_words) return GEMEL_E_GRAMMAR;
    keep_whole(k);
    return GEMEL_OK;
}

// ---- Going on ------------------------------------------------------------------------------------------------------

static uint32_t after_text(mask *k, const uint8_t *text, size_t size) {
    matcher *m = &k->m;
    uint32_t set = m->now;
    for (size_t i = 0; i < size && set; i++) set = matcher_step(m, set, m->r->class_of[text[i]]);
    return set;
}

static uint32_t after_id(mask *k, int32_t id) {
    matcher *m = &k->m;
    uint32_t set = NO_SET;
    int size = text_tree_has(k->tok, id) ? tokenizer_piece(k->tok, id, 0, (char *)k->text, k->t->depth) : 0;
    int is_end = tokenizer_is_eog(k->tok, id);
    size_t dropped = k->drops_space && !k->is_begun && tokenizer_drops_space(k->tok, id);
    if (size > 0) set = after_text(k, k->text + dropped, (size_t)size - dropped);
    if (m->r->has_ids) set = stacks_join(&m->s, set, matcher_step_id(m, m->now, id, is_end));
    entry ended = {STATE_ENDED, NO_SET};
    if (is_end && matcher_may_end(m, m->now)) set = stacks_join(&m->s, set, stacks_set(&m->s, &ended, 1));
    return set;
}

int mask_take(mask *k, int32_t id) {
    if (id < 0 || id >= tokenizer_n_vocab(k->tok)) return GEMEL_E_ARGUMENT;
    matcher_tidy(&k->m, 0);
    uint32_t set = after_id(k, id);
    if (matcher_is_stuck(&k->m)) {
        matcher_tidy(&k->m, 1);
        set = after_id(k, id);
    }
    if (matcher_is_stuck(&k->m)) return GEMEL_E_GRAMMAR;
    if (!set) return GEMEL_E_ARGUMENT;
    k->m.now = set;
    k->is_begun = 1;
    return GEMEL_OK;
}

int mask_take_text(mask *k, const uint8_t *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        matcher_tidy(&k->m, 0);
        uint32_t set = after_text(k, text + i, 1);
        if (matcher_is_stuck(&k->m)) {
            matcher_tidy(&k->m, 1);
            set = after_text(k, text + i, 1);
        }
        if (matcher_is_stuck(&k->m)) return GEMEL_E_GRAMMAR;
        if (!set) return GEMEL_E_ARGUMENT;
        k->m.now = set;
    }
    return GEMEL_OK;
}
