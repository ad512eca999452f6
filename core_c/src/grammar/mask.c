// A walk goes down the tree as long as some stack is left. At a node where the rule of the first state may have ended,
// the set has a hole: what follows there depends on the stacks under the state.
#include "mask.h"
#include "repeats.h"
#include <string.h>
#include "../text/array.h"

enum {
    KEEP_FROM = 1024,   // nodes that walks meet: results of fewer are not kept
    KEEP_WHOLE_FROM = 8192,
    WIDE = 16,        // a state is wide when more than 1/16 of the tree is under its holes
    FRAMES_MAX = 4,   // of a wide state that are looked at one by one
    TOPS_MAX = 32,    // of a place; those of a larger one are walked together
};

int mask_open(mask *k, const gemel_grammar *g, int is_message) {
    const text_tree *t = g->words;
    const rules *r = &g->rules;
    size_t depth = t->depth + 1;
    *k = (mask){.t = t,
                .tok = g->tok,
                .twins = g->twins,
                .drops_space = is_message,
                .n_words = t->n_words,
                .loop_from = MASK_LOOP_FROM};
    int ok = 1;
    size_t slot = k->n_words + MASK_HOLES, all = slot * (MASK_SLOTS + 1) + k->n_words * MASK_WHOLES;
    int code = matcher_open(&k->m, r, 0);
    k->memory = array_new(all, sizeof *k->memory);
    k->bits = array_zero(k->n_words, sizeof *k->bits), k->is_wide = array_zero(r->n_states, 1);
    k->path = array_new(depth, sizeof *k->path), k->rows = array_new(depth, sizeof *k->rows);
    k->text = array_new(depth, 1), k->loops = array_new(depth, 1), k->starts = array_new(depth, 1);
    k->row = array_new(k->n_words, sizeof *k->row);
    for (int i = 0; i < TREE_PARTS; i++)
        if (g->twins[i].top) ok &= (k->twin_of[i] = array_zero(SETS_MAX, sizeof(uint32_t))) != NULL;
    if (r->is_endless) ok &= (k->unique = array_new(1, sizeof *k->unique)) && unique_open(k->unique, &k->m);
    if (code) return code;
    if (!k->memory || !k->bits || !k->is_wide || !k->path || !k->rows || !k->text || !k->loops || !k->starts ||
        !k->row || !ok)
        return GEMEL_E_MEMORY;
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
    free(k->memory), free(k->bits), free(k->row), free(k->is_wide), free(k->path), free(k->rows), free(k->text),
        free(k->loops), free(k->starts);
    for (int i = 0; i < TREE_PARTS; i++) free(k->twin_of[i]);
    if (k->unique) unique_close(k->unique);
    free(k->unique);
}

void mask_begin(mask *k) {
    k->is_begun = 0;
    k->m.now = NO_SET;
    matcher_tidy(&k->m, 1);
    matcher_begin(&k->m);
    if (k->unique) unique_begin(k->unique);
}

// ---- Twins ---------------------------------------------------------------------------------------------------------

static void sort_entries(entry *a, uint32_t n) {
    for (uint32_t gap = n / 2; gap; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (uint32_t i = gap; i < n; i++) {
            entry x = a[i];
            uint32_t j = i;
            for (; j >= gap && a[j - gap].state > x.state; j -= gap) a[j] = a[j - gap];
            a[j] = x;
        }
}

// The set with the first of the states that are alike; the sets under it are known.
static uint32_t twin_set(mask *k, int part, uint32_t set, const uint32_t *first) {
    matcher *m = &k->m;
    entry *made = m->result;
    uint32_t n = stacks_count(&m->s, set), kept = 0;
    m->work += n;
    for (uint32_t i = 0; i < n; i++) {
        entry one = stacks_at(&m->s, set)[i];
        made[i] = (entry){first[one.state], one.under ? k->twin_of[part][one.under] : NO_SET};
    }
    sort_entries(made, n);
    for (uint32_t i = 0; i < n; i++)
        if (kept && made[kept - 1].state == made[i].state)
            made[kept - 1].under = stacks_join(&m->s, made[kept - 1].under, made[i].under);
        else made[kept++] = made[i];
    return stacks_set(&m->s, made, kept);
}

// A set under `set` whose twin is not known; NO_SET: there is none.
static uint32_t unknown_under(mask *k, int part, uint32_t set) {
    const stacks *s = &k->m.s;
    for (uint32_t i = 0, n = stacks_count(s, set); i < n; i++) {
        uint32_t under = stacks_at(s, set)[i].under;
        k->m.work++;
        if (under && !k->twin_of[part][under]) return under;
    }
    return NO_SET;
}

// A set that allows the same texts of a tree as this one, and as many others.
static uint32_t first_twin(mask *k, int part, uint32_t set) {
    matcher *m = &k->m;
    uint32_t *path = m->numbers, *known = k->twin_of[part], n = 0;
    if (!known || !set) return set;
    if (k->twin_age[part] != m->age) memset(known, 0, SETS_MAX * sizeof *known), k->twin_age[part] = m->age;
    path[n++] = set;
    while (!matcher_is_stuck(m)) {
        uint32_t last = path[n - 1], under = unknown_under(k, part, last);
        if (under) path[n++] = under;
        else if (n == 1) return twin_set(k, part, last, k->twins[part].top);
        else known[last] = twin_set(k, part, last, k->twins[part].under), n--;
    }
    return NO_SET;
}

static int are_twins(mask *k, int part, uint32_t a, uint32_t b) {
    return a == b || (a && b && k->twin_of[part] && first_twin(k, part, a) == first_twin(k, part, b));
}

// ---- Walks ---------------------------------------------------------------------------------------------------------

static void allow(uint32_t *bits, int32_t id) { bits[id >> 5] |= 1u << (id & 31); }
static void forbid(uint32_t *bits, int32_t id) { bits[id >> 5] &= ~(1u << (id & 31)); }
static void allow_all(const text_tree *t, uint32_t node, uint32_t *bits) {
    const tree_node *n = &t->nodes[node];
    if (n->id >= 0) allow(bits, n->id);
    if (n->is_shared)
        for (int32_t id = t->same[n->id]; id >= 0; id = t->same[id]) allow(bits, id);
}

static int is_cut(const mask_slot *s) { return s->n_holes > MASK_HOLES; }

static void note_hole(const mask *k, mask_slot *s, uint32_t node) {
    if (s->n_holes < MASK_HOLES) s->holes[s->n_holes] = node;
    s->n_holes++, s->n_under += k->t->nodes[node].skip - node;
    if (s->frame == STATE_HOLE && s->n_under > (k->t->root[s->part + 1] - k->t->root[s->part]) / WIDE)
        s->n_holes = MASK_HOLES + 1;
}

static int part_of_node(const text_tree *t, uint32_t node) {
    int part = 0;
    while (node >= t->root[part + 1]) part++;
    return part;
}

// Whether each way to read n bytes, each of its range, leads to `to`; NO_SET: whether there is none.
static int leads_to(mask *k, int part, uint32_t set, const uint8_t (*range)[2], int n, uint32_t to) {
    const uint8_t *class_of = k->m.r->class_of;
    for (uint32_t byte = range[0][0], class = 256; byte <= range[0][1]; byte++) {
        if (class_of[byte] == class) continue;
        class = class_of[byte];
        uint32_t next = matcher_step(&k->m, set, (int)class);
        if (!next && !to) continue;
        if (!next || !(n > 1 ? leads_to(k, part, next, range + 1, n - 1, to) : are_twins(k, part, next, to))) return 0;
    }
    return 1;
}

// The same for all characters beyond ASCII.
static int others_lead_to(mask *k, int part, uint32_t set, uint32_t to) {
    static const struct {
        uint8_t n, range[4][2];
    } kinds[] = {{2, {{0xC2, 0xDF}, {0x80, 0xBF}}},
                 {3, {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}}},
                 {3, {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}}},
                 {3, {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}}},
                 {3, {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}}},
                 {4, {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
                 {4, {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
                 {4, {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}}}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!leads_to(k, part, set, kinds[i].range, kinds[i].n, to)) return 0;
    return 1;
}

// Keep those ASCII characters in the loop that lead from one set to another.
static void keep_what_leads(mask *k, int part, uint32_t from, uint32_t to) {
    const uint8_t *class_of = k->m.r->class_of;
    for (int byte = 0; byte < 128; byte++) {
        uint8_t class = class_of[byte], *is_in = &k->loop.is_in[class];
        if (*is_in && (!byte || class != class_of[byte - 1]))
            *is_in = (uint8_t)are_twins(k, part, matcher_step(&k->m, from, class), to);
    }
}

// Write the groups of the texts that need a walk: of characters outside the loop, or of another tree.
static void write_others(mask *k, int part) {
    uint32_t others = k->loop.others | GROUP_BROKEN;
    for (int byte = 0; byte < 128; byte++)
        if (!k->loop.is_in[k->m.r->class_of[byte]]) others |= text_tree_group((uint8_t)byte);
    for (int i = 0; i < SIZE_BITS; i++) {
        uint32_t from = (uint32_t)i * SIZE_STEP, to = i < SIZE_BITS - 1 ? from + SIZE_STEP : UINT16_MAX;
        int is_of_part = (!part || from >= tree_sizes[part - 1]) && to <= tree_sizes[part];
        if (!is_of_part) others |= (uint32_t)GROUP_SIZE << i;
    }
    k->loop.others = others;
}

// Fill k->loop for the texts of a tree, by what "e" leads to. 0: there is no loop.
static int find_loop(mask *k, int part, uint32_t set) {
    matcher *m = &k->m;
    mask_loop *l = &k->loop;
    int e = m->r->class_of['e'];
    uint32_t at = set, next = matcher_step(m, set, e),
             longest = LOOP_MAX < tree_sizes[part] ? LOOP_MAX : tree_sizes[part];
    memset(l->is_in, 1, sizeof l->is_in);
    l->others = 0, l->n = 0, l->most = UINT32_MAX, l->at[l->n++] = set;
    if (!next) return 0;
    for (;; at = next, next = matcher_step(m, at, e)) {
        if (matcher_is_stuck(m) || (next && matcher_has_hole(m, next))) return 0;   // a walk counts these nodes
        int is_again = l->n > 1 && are_twins(k, part, at, next);
        keep_what_leads(k, part, at, next);
        if (!l->others && !others_lead_to(k, part, at, next)) l->others = GROUP_OTHER;
        if (is_again) l->again = at;
        if (!next) l->most = l->n - 1;
        if (is_again || !next) break;
        if (l->n > longest) return 0;
        l->at[l->n++] = next;
        if (l->n > longest && part < TREE_PARTS - 1) break;   // no text of the tree is longer
    }
    write_others(k, part);
    return !(l->others & text_tree_group('e')) && !matcher_is_stuck(m);   // else hardly any text is of the loop
}

// 32 ids at a time: bytes of 0 or 1, of which eight become bits by one product.
static void allow_loop(mask *k, uint32_t *bits) {
    const uint32_t *groups = k->t->groups;
    const uint8_t *n_chars = k->t->n_chars;
    uint32_t others = k->loop.others;
    uint8_t most = k->loop.most < UINT8_MAX ? (uint8_t)k->loop.most : UINT8_MAX;
    for (size_t word = 0; word < k->n_words; word++, groups += 32, n_chars += 32) {
        uint8_t is_in[32];
        for (int i = 0; i < 32; i++) is_in[i] = (uint8_t)(!(groups[i] & others) & (n_chars[i] <= most));
        for (int i = 0; i < 4; i++) {
            uint64_t eight;
            memcpy(&eight, is_in + 8 * i, sizeof eight);
            bits[word] |= (uint32_t)(eight * 0x0102040810204080u >> 56) << (8 * i);
        }
    }
}

// Whether only characters of the loop led to a node, at which the set is `next`: one byte of the loop's after these, or
// any way to a set of it.
static void note_loop(mask *k, const tree_node *n, uint32_t class, uint32_t next) {
    const mask_loop *l = &k->loop;
    uint8_t *loop = &k->loops[n->depth], *start = &k->starts[n->depth], before = loop[-1];
    int is_inside = n->byte >= 0x80 && n->byte < 0xC0;
    *start = is_inside ? start[-1] : before;
    if (next == l->again && next) *loop = 1;
    else if (n->byte < 0x80) *loop = before && l->is_in[class] ? (uint8_t)(before + (before < UINT8_MAX)) : 0;
    else *loop = *start && *start < l->n && next == l->at[*start] ? (uint8_t)(*start + 1) : 0;
}

// Allow the ids under a node, at which the set is what is left. holes_of: the slot whose holes are noted, or NULL; it
// ends the walk when they are too many.
static void walk(mask *k, uint32_t top, uint32_t set, uint32_t *bits, mask_slot *holes_of) {
    matcher *m = &k->m;
    const tree_node *nodes = k->t->nodes;
    const uint8_t *class_of = m->r->class_of;
    uint32_t met = 0, end = nodes[top].skip, loop_from = nodes[top].depth ? UINT32_MAX : k->loop_from;
    k->path[nodes[top].depth] = set, k->rows[nodes[top].depth] = set ? matcher_row(m, set) : NULL;
    k->loop.again = NO_SET, k->loops[nodes[top].depth] = k->starts[nodes[top].depth] = 0;
    if (!set) return;
    for (uint32_t i = top + 1; i < end; met++) {
        const tree_node *n = &nodes[i];
        int is_loop = k->loops[n->depth - 1];
        if (is_loop && !(n->groups & k->loop.others)) {
            met += n->skip - i;
            i = n->skip;
            continue;
        }
        uint32_t class = class_of[n->byte], *row = k->rows[n->depth - 1];
        uint32_t next = row && row[class] ? row[class] - 1 : matcher_step(m, k->path[n->depth - 1], (int)class);
        if (!next) {
            if (matcher_is_stuck(m)) break;
            i = n->skip;
            continue;
        }
        allow_all(k->t, i, bits);
        if (n->depth == 1 && loop_from < UINT32_MAX && met + n->skip - i >= loop_from) {
            loop_from = UINT32_MAX;
            is_loop = k->loops[0] = (uint8_t)find_loop(k, part_of_node(k->t, top), set);
            if (is_loop) allow_loop(k, bits);
            else k->loop.again = NO_SET;
        }
        if (n->skip > i + 1) {
            k->path[n->depth] = next, k->rows[n->depth] = matcher_row(m, next);
            note_loop(k, n, class, next);
            if (holes_of && matcher_has_hole(m, next)) {
                note_hole(k, holes_of, i);
                if (is_cut(holes_of)) break;
            }
        }
        i++;
    }
    k->n_met += met, m->work += met;
}

// ---- Texts ---------------------------------------------------------------------------------------------------------

// The stacks of a slot: STATE_HOLE stands for what is not known.
static uint32_t slot_set(mask *k, uint32_t q, uint32_t frame) {
    stacks *s = &k->m.s;
    entry hole = {STATE_HOLE, NO_SET}, under = {frame, NO_SET}, top = {q, NO_SET};
    if (frame >= STATES_FIRST) under.under = stacks_set(s, &hole, 1);
    top.under = stacks_set(s, &under, 1);
    return stacks_set(s, &top, 1);
}

// What a state allows that returns to `frame`.
static const mask_slot *local(mask *k, int part, uint32_t q, uint32_t frame) {
    mask_slot *s = &k->scratch;
    for (int i = 0; i < MASK_SLOTS; i++)
        if (k->slots[i].state == q && k->slots[i].frame == frame && k->slots[i].part == part) return &k->slots[i];
    memset(s->bits, 0, k->n_words * sizeof *s->bits);
    s->n_holes = s->n_under = 0, s->state = q, s->frame = frame, s->part = part;
    uint32_t before = k->n_met;
    walk(k, k->t->root[part], slot_set(k, q, frame), s->bits, s);
    if (k->n_met - before < KEEP_FROM || is_cut(s) || matcher_is_stuck(&k->m)) return s;
    mask_slot *kept = &k->slots[k->next_slot], spare = *kept;
    *kept = *s, *s = spare;
    k->next_slot = (k->next_slot + 1) % MASK_SLOTS;
    return kept;
}

static void add_row(const mask *k, const uint32_t *restrict bits, uint32_t *restrict to) {
    size_t i = 0;
    for (; i + 8 <= k->n_words; i += 8)
        for (size_t j = i; j < i + 8; j++) to[j] |= bits[j];
    for (; i < k->n_words; i++) to[i] |= bits[i];
}

// Add what a slot allows with these stacks under it. 0: it is cut, and the walk has to begin at the root.
static int add_slot(mask *k, const mask_slot *s, uint32_t frames) {
    matcher *m = &k->m;
    if (is_cut(s)) return 0;
    add_row(k, s->bits, k->row);
    uint32_t under = s->n_holes && !matcher_is_stuck(m) ? matcher_return(m, frames) : NO_SET;
    if (!under || matcher_must_end(m, under)) return 1;
    for (uint32_t i = 0; i < s->n_holes && !matcher_is_stuck(m); i++) walk(k, s->holes[i], under, k->row, NULL);
    return 1;
}

// By the state alone; where its rule may end nearly everywhere, as that of a character, by what it returns to, too.
static void add_top(mask *k, int part, entry top) {
    stacks *s = &k->m.s;
    if (!(k->is_wide[top.state] >> part & 1)) {
        if (add_slot(k, local(k, part, top.state, STATE_HOLE), top.under)) return;
        if (!matcher_is_stuck(&k->m)) k->is_wide[top.state] |= (uint8_t)(1 << part);
    }
    uint32_t n = stacks_count(s, top.under), i = 0;
    while (i < n && n <= FRAMES_MAX) {
        entry frame = stacks_at(s, top.under)[i];
        if (!add_slot(k, local(k, part, top.state, frame.state), frame.under)) break;
        i++;
    }
    if (i < n && !matcher_is_stuck(&k->m)) walk(k, k->t->root[part], stacks_set(s, &top, 1), k->row, NULL);
}

static const mask_whole *find_whole(const mask *k, int part, uint32_t set) {
    for (int i = 0; i < MASK_WHOLES; i++) {
        const mask_whole *w = &k->wholes[i];
        if (w->set == set && w->age == k->m.age && w->part == part) return w;
    }
    return NULL;
}

static void keep_whole(mask *k, int part, uint32_t set) {
    mask_whole *w = &k->wholes[k->next_whole];
    w->set = set, w->age = k->m.age, w->part = part;
    memcpy(w->bits, k->row, k->n_words * sizeof *k->row);
    k->next_whole = (k->next_whole + 1) % MASK_WHOLES;
}

// The texts of one tree that a place allows.
static void add_texts(mask *k, int part, uint32_t set) {
    stacks *s = &k->m.s;
    const mask_whole *whole = find_whole(k, part, set);
    if (whole) {
        add_row(k, whole->bits, k->bits);
        return;
    }
    uint32_t n = stacks_count(s, set), before = k->n_met;
    memset(k->row, 0, k->n_words * sizeof *k->row);
    for (uint32_t i = 0; i < n && n <= TOPS_MAX && !matcher_is_stuck(&k->m); i++)
        if (stacks_at(s, set)[i].state >= STATES_FIRST) add_top(k, part, stacks_at(s, set)[i]);
    if (n > TOPS_MAX) walk(k, k->t->root[part], set, k->row, NULL);
    if (k->n_met - before >= KEEP_WHOLE_FROM && !matcher_is_stuck(&k->m)) keep_whole(k, part, set);
    add_row(k, k->row, k->bits);
}

// Ids that begin a message lack the first space of their text.
static void lack_space(mask *k, int part) {
    const tree_node *nodes = k->t->nodes;
    uint32_t space = text_tree_child(k->t, k->t->root[part], ' '), *bits = k->row;
    if (!space) return;
    memset(bits, 0, k->n_words * sizeof *bits);
    allow_all(k->t, space, bits);
    walk(k, space, k->m.now, bits, NULL);
    for (uint32_t i = space; i < nodes[space].skip; i++)
        for (int32_t id = nodes[i].id; id >= 0; id = k->t->same[id]) {
            if (!tokenizer_drops_space(k->tok, id)) continue;
            forbid(k->bits, id);
            if (bits[id >> 5] >> (id & 31) & 1) allow(k->bits, id);
        }
}

// In one walk of all stacks, without anything that is kept.
static void add_texts_at_once(mask *k) {
    for (int part = 0; part < TREE_PARTS; part++) {
        walk(k, k->t->root[part], k->m.now, k->bits, NULL);
        if (k->drops_space && !k->is_begun) lack_space(k, part);
    }
}

// ---- Ids as such ---------------------------------------------------------------------------------------------------

// All ids but those that end a generation, and but the one that is excepted, unless that is -1.
static void allow_others(mask *k, int32_t excepted) {
    int32_t n_vocab = tokenizer_n_vocab(k->tok);
    int was_allowed = excepted >= 0 && mask_allows(k, excepted);
    for (size_t i = 0; i < k->n_words; i++) k->bits[i] |= ~k->t->ends[i];
    if (n_vocab & 31) k->bits[k->n_words - 1] &= (1u << (n_vocab & 31)) - 1;
    if (excepted >= 0 && !was_allowed) forbid(k->bits, excepted);
}

static void add_ids(mask *k) {
    matcher *m = &k->m;
    const rules *r = m->r;
    int n_others = 0;   // 2: several ids are excepted, each by one edge, so that none is
    int32_t excepted = -1;
    for (uint32_t i = 0, n = stacks_count(&m->s, m->now); i < n; i++) {
        uint32_t q = stacks_at(&m->s, m->now)[i].state;
        for (uint32_t at = r->states[q].ids; at < r->states[q + 1].ids; at++) {
            const id_edge *e = &r->ids[at];
            m->work++;
            if (!e->is_negated) allow(k->bits, e->id);
            else if (!n_others) n_others = 1, excepted = e->id;
            else if (excepted != e->id) n_others = 2;
        }
    }
    if (n_others) allow_others(k, n_others == 1 ? excepted : -1);
    if (matcher_may_end(m, m->now))
        for (size_t i = 0; i < k->n_words; i++) k->bits[i] |= k->t->ends[i];
}

// ---- The mask ------------------------------------------------------------------------------------------------------

static void forbid_repeats(mask *k) {
    if (!k->unique || matcher_is_stuck(&k->m)) return;
    repeats p = {&k->m, k->unique, k->t, k->tok, k->drops_space && !k->is_begun, k->bits, k->path, k->text};
    repeats_forbid(&p);
}

int mask_fill(mask *k) {
    matcher *m = &k->m;
    matcher_tidy(m, 0);
    k->n_met = 0;
    memset(k->bits, 0, k->n_words * sizeof *k->bits);
    if (k->drops_space && !k->is_begun) add_texts_at_once(k);
    else
        for (int part = 0; part < TREE_PARTS && !matcher_is_stuck(m); part++)
            add_texts(k, part, first_twin(k, part, m->now));
    forbid_repeats(k);
    if (matcher_is_stuck(m)) {
        matcher_tidy(m, 1);
        memset(k->bits, 0, k->n_words * sizeof *k->bits);
        add_texts_at_once(k);
        forbid_repeats(k);
    }
    add_ids(k);
    if (matcher_is_stuck(m)) return GEMEL_E_GRAMMAR;
    size_t word = 0;
    while (word < k->n_words && !k->bits[word]) word++;
    return word == k->n_words ? GEMEL_E_GRAMMAR : GEMEL_OK;
}

// ---- Going on ------------------------------------------------------------------------------------------------------

static uint32_t after_id(mask *k, int32_t id) {
    matcher *m = &k->m;
    uint32_t set = NO_SET;
    int size = text_tree_has(k->tok, id) ? tokenizer_piece(k->tok, id, 0, (char *)k->text, k->t->depth) : 0;
    int is_end = tokenizer_is_eog(k->tok, id);
    int dropped = k->drops_space && !k->is_begun && tokenizer_drops_space(k->tok, id);
    k->text_from = size > 0 ? dropped : 0, k->text_end = size > 0 ? size : 0;
    if (size > 0) set = unique_try(k->unique, m, m->now, k->text + k->text_from, (size_t)(size - k->text_from));
    if (m->r->has_ids) set = stacks_join(&m->s, set, matcher_step_id(m, m->now, id, is_end));
    entry ended = {STATE_ENDED, NO_SET};
    if (is_end && matcher_may_end(m, m->now)) set = stacks_join(&m->s, set, stacks_set(&m->s, &ended, 1));
    return set;
}

int mask_after(mask *k, int32_t id, uint32_t *set) {
    if (id < 0 || id >= tokenizer_n_vocab(k->tok)) return GEMEL_E_ARGUMENT;
    matcher_tidy(&k->m, 0);
    *set = after_id(k, id);
    if (matcher_is_stuck(&k->m)) {
        matcher_tidy(&k->m, 1);
        *set = after_id(k, id);
    }
    if (matcher_is_stuck(&k->m)) return GEMEL_E_GRAMMAR;
    return *set ? GEMEL_OK : GEMEL_E_ARGUMENT;
}

void mask_go_on(mask *k, uint32_t set) {
    if (k->unique)
        (void)unique_read(k->unique, &k->m, k->m.now, k->text + k->text_from, (size_t)(k->text_end - k->text_from));
    k->m.now = set;
    k->is_begun = 1;
}

int mask_take(mask *k, int32_t id) {
    uint32_t set;
    int code = mask_after(k, id, &set);
    if (code == GEMEL_OK) mask_go_on(k, set);
    return code;
}
