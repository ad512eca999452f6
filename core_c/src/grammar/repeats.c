// Most ids can't repeat an item, so the mask is made without looking at items. Those that can are read exactly: ids
// that begin with the rest of an earlier item of an open list, and ids that end an item or list and go on.
#include "repeats.h"
#include <string.h>

static int allows(const repeats *p, int32_t id) { return (int)(p->bits[id >> 5] >> (id & 31) & 1); }
static void forbid(const repeats *p, int32_t id) { p->bits[id >> 5] &= ~(1u << (id & 31)); }

static void forbid_node(const repeats *p, uint32_t node) {
    for (int32_t id = p->t->nodes[node].id; id >= 0; id = p->t->same[id]) forbid(p, id);
}

static void forbid_under(const repeats *p, uint32_t node) {
    for (uint32_t i = node; i < p->t->nodes[node].skip; i++) forbid_node(p, i);
}

static void check_node(const repeats *p, uint32_t node, uint32_t set) {
    int is_allowed = 0;
    for (int32_t id = p->t->nodes[node].id; id >= 0; id = p->t->same[id]) is_allowed |= allows(p, id);
    if (is_allowed && !unique_is_alive(p->u, p->m, set)) forbid_node(p, node);
}

// All texts under a node, at which the set is what is left.
static void check_under(const repeats *p, uint32_t top, uint32_t set) {
    const tree_node *nodes = p->t->nodes;
    uint32_t before = p->u->lists.n_undo, depth = nodes[top].depth;
    check_node(p, top, set);
    p->path[depth] = set;
    for (uint32_t i = top + 1; i < nodes[top].skip && !matcher_is_stuck(p->m);) {
        const tree_node *n = &nodes[i];
        seen_back(&p->u->lists, before + n->depth - 1 - depth);
        p->m->work++;
        uint32_t next = unique_step(p->u, p->m, p->path[n->depth - 1], n->byte);
        if (!next) {
            forbid_under(p, i);
            i = n->skip;
            continue;
        }
        check_node(p, i, next);
        p->path[n->depth] = next;
        i++;
    }
}

// The texts of a tree that begin with a text.
static void check_along(const repeats *p, uint32_t root, const uint8_t *text, uint32_t size) {
    uint32_t node = root, set = p->m->now;
    for (uint32_t i = 0; i < size && !matcher_is_stuck(p->m); i++) {
        node = text_tree_child(p->t, node, text[i]);
        if (!node) break;
        p->m->work++;
        set = unique_step(p->u, p->m, set, text[i]);
        if (!set) {
            forbid_under(p, node);
            break;
        }
        if (p->u->was_repeat) {
            check_under(p, node, set);
            break;
        }
        check_node(p, node, set);
    }
    seen_back(&p->u->lists, 0);
}

// Ids that begin with what is missing of an earlier item of a list.
static void check_items(const repeats *p, uint32_t frame) {
    const seen *s = &p->u->lists;
    uint32_t start = s->frames[frame].start, size = s->n_text - start, depth = p->t->depth;
    for (uint32_t i = s->frames[frame].first; i < s->n_items && !matcher_is_stuck(p->m); i++) {
        seen_item one = s->items[i];
        p->m->work++;
        if (one.depth != frame + 1 || one.size < size || memcmp(s->text + one.at, s->text + start, size) != 0) continue;
        uint32_t n = one.size - size < depth ? one.size - size : depth;
        memcpy(p->text, s->text + one.at + size, n);   // the lists' text may move
        for (int part = 0; part < TREE_PARTS; part++) check_along(p, p->t->root[part], p->text, n);
    }
}

static void check_id(const repeats *p, int32_t id) {
    int size = tokenizer_piece(p->tok, id, 0, (char *)p->text, p->t->depth);
    uint32_t set = p->m->now;
    for (int i = p->drops_space && tokenizer_drops_space(p->tok, id); i < size && set; i++)
        set = unique_step(p->u, p->m, set, p->text[i]);
    if (!unique_is_alive(p->u, p->m, set)) forbid(p, id);
    seen_back(&p->u->lists, 0);
}

static void check_listed(const repeats *p, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n && !matcher_is_stuck(p->m); i++)
        if (allows(p, ids[i])) check_id(p, ids[i]);
}

// Ids that may end an item, after which others begin: with one of these signs. Outside of watched lists, ids that may
// have two items: with a bracket, and a comma behind it.
static void check_signs(const repeats *p, int is_watched) {
    const text_tree *t = p->t;
    uint32_t signs = text_tree_group(',') | text_tree_group('[') | text_tree_group('{');
    if (!is_watched) check_listed(p, t->listed, t->n_listed);
    else if (p->u->lists.in_string) check_listed(p, t->quoted, t->n_quoted);   // nearly all ids are allowed
    else
        for (size_t word = 0; word < t->n_words; word++)
            for (uint32_t bits = p->bits[word], i = 0; bits && !matcher_is_stuck(p->m); bits >>= 1, i++) {
                size_t id = 32 * word + i;
                if ((bits & 1) && (t->groups[id] & signs)) check_id(p, (int32_t)id);
            }
}

void repeats_forbid(const repeats *p) {
    seen *s = &p->u->lists;
    int is_watched = seen_is_watched(s);
    seen_try(s);
    for (uint32_t i = 0; i < s->n_frames; i++)
        if (s->frames[i].is_list) check_items(p, i);
    check_signs(p, is_watched);
    seen_end_trial(s);
}
