// Follows the matcher while one byte is left, then cuts the bytes into ids by the vocabulary's tree.
#include "forced.h"

enum { FORCED_MAX = 256 };   // bytes of forced text that are looked at

// The only byte that may follow, or -1: there are several, ids as such, or the answer may end.
static int only_byte(const matcher *m, uint32_t set) {
    const rules *r = m->r;
    int byte = -1;
    for (uint32_t i = 0, n = stacks_count(&m->s, set); i < n; i++) {
        uint32_t q = stacks_at(&m->s, set)[i].state;
        const state *s = &r->states[q];
        if (q < STATES_FIRST || s[0].ids < s[1].ids) return -1;
        for (uint32_t k = s[0].bytes; k < s[1].bytes; k++) {
            const byte_edge *e = &r->bytes[k];
            if (e->low != e->high || (byte >= 0 && byte != e->low)) return -1;
            byte = e->low;
        }
    }
    return byte;
}

int mask_forced(mask *k, int32_t *ids, int max) {
    matcher *m = &k->m;
    uint8_t text[FORCED_MAX];
    int size = 0, n = 0, byte;
    if (k->drops_space && !k->is_begun) return 0;   // the first id's text depends on the id
    matcher_tidy(m, 0);
    for (uint32_t set = m->now; set && size < FORCED_MAX && (byte = only_byte(m, set)) >= 0;) {
        text[size++] = (uint8_t)byte;
        set = matcher_step(m, set, m->r->class_of[byte]);
    }
    for (int at = 0; at < size && n < max && !matcher_is_stuck(m); n++) {
        int end = at;
        for (int part = 0; part < TREE_PARTS; part++) {   // texts of a later tree are longer
            uint32_t node = k->t->root[part];
            for (int i = at; i < size && (node = text_tree_child(k->t, node, text[i])) != 0; i++)
                if (k->t->nodes[node].id >= 0) ids[n] = k->t->nodes[node].id, end = i + 1;
        }
        if (end == at) break;
        at = end;
    }
    return n;
}
