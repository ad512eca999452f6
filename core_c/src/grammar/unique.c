// Where infinitely many texts lead to the end of an item, one of them is new. Elsewhere they are tried: as many end
// items of the list as it has items, and one more, so that the search ends.
#include "unique.h"
#include "../text/array.h"

enum { HAS_RULE = 1, IS_FREE = 2 };   // some stack is in a unique rule; some stack can go on to an item that is new

int unique_open(unique *u, const matcher *m) {
    *u = (unique){.flags = array_new(stacks_sets_max(&m->s), 1)};
    seen_begin(&u->lists);
    return u->flags != NULL;
}

void unique_close(unique *u) {
    seen_close(&u->lists);
    free(u->flags), free(u->path);
}

void unique_begin(unique *u) { seen_begin(&u->lists); }

// Sets are numbered behind those under them.
static uint8_t flags_of(unique *u, const matcher *m, uint32_t set) {
    if (!u->n_flags || u->age != m->age) u->flags[NO_SET] = IS_FREE, u->n_flags = 1, u->age = m->age;
    for (; u->n_flags <= set; u->n_flags++) {
        const entry *at = stacks_at(&m->s, u->n_flags);
        uint8_t flags = 0;
        for (uint32_t k = 0, n = stacks_count(&m->s, u->n_flags); k < n; k++) {
            uint8_t under = u->flags[at[k].under];
            if (at[k].state < STATES_FIRST) flags |= IS_FREE;
            else if (m->r->list[m->r->states[at[k].state].rule].is_unique)
                flags |= (uint8_t)(HAS_RULE | (m->r->is_endless[at[k].state] ? IS_FREE : 0));
            else flags |= (uint8_t)(under | (m->r->is_endless[at[k].state] ? IS_FREE : 0));
        }
        u->flags[u->n_flags] = flags;
    }
    return u->flags[set];
}

int unique_has_rule(unique *u, const matcher *m, uint32_t set) { return (flags_of(u, m, set) & HAS_RULE) != 0; }

uint32_t unique_step(unique *u, matcher *m, uint32_t set, uint8_t byte) {
    int is_repeat = seen_read(&u->lists, byte);
    u->was_repeat = is_repeat > 0;
    uint32_t next = is_repeat > 0 ? matcher_step_repeat(m, set, byte) : matcher_step(m, set, m->r->class_of[byte]);
    int ok = is_repeat >= 0 && (byte != '[' || !next || !unique_has_rule(u, m, next) || seen_watch(&u->lists));
    if (ok) return next;
    m->s.is_full = 1;
    return NO_SET;
}

// Bytes that end a value come first, so that the search finds short ones.
static uint8_t nth_byte(uint32_t n) {
    static const uint8_t ends[] = {'"', ']', '}', ','};
    return n < sizeof ends ? ends[n] : (uint8_t)(n - sizeof ends);
}

int unique_is_alive(unique *u, matcher *m, uint32_t set) {
    uint32_t n = 0, before = u->lists.n_undo;
    int found = 0;
    if (!set || flags_of(u, m, set) & IS_FREE) return set != NO_SET;
    while (!found) {
        if (!array_room((void **)&u->path, n, &u->path_room, (size_t)n + 1, sizeof *u->path)) m->s.is_full = 1;
        if (matcher_is_stuck(m)) break;
        u->path[n++] = (unique_place){set, 0};
        for (set = NO_SET; n && !set && !matcher_is_stuck(m);) {
            unique_place *p = &u->path[n - 1];
            seen_back(&u->lists, before + n - 1);
            if (p->next == 256 + 4) n--;
            else if (m->work++, matcher_step(m, p->set, m->r->class_of[nth_byte(p->next)]))
                set = unique_step(u, m, p->set, nth_byte(p->next++));
            else p->next++;
        }
        if (!n) break;
        found = set && (flags_of(u, m, set) & IS_FREE) != 0;
    }
    seen_back(&u->lists, before);
    return found;
}

uint32_t unique_read(unique *u, matcher *m, uint32_t set, const uint8_t *text, size_t size) {
    for (size_t i = 0; i < size && set; i++)
        set = u ? unique_step(u, m, set, text[i]) : matcher_step(m, set, m->r->class_of[text[i]]);
    return set;
}

uint32_t unique_try(unique *u, matcher *m, uint32_t set, const uint8_t *text, size_t size) {
    if (!u) return unique_read(u, m, set, text, size);
    seen_try(&u->lists);
    set = unique_read(u, m, set, text, size);
    if (!unique_is_alive(u, m, set)) set = NO_SET;
    seen_end_trial(&u->lists);
    return set;
}
