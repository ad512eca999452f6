// Hash tables of sets and of unions. A set has a larger number than the sets under it.
#include "stacks.h"
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 2 * SETS_MAX,
    UNIONS = 1 << 15,
    UNIONS_MAX = UNIONS / 4 * 3,
    PAIRS_MAX = 1 << 15,   // pairs that wait for the unions under them
};

static uint32_t slots_of(const stacks *s) { return SLOTS >> s->shift; }
static uint32_t unions_of(const stacks *s) { return UNIONS >> s->shift; }
static uint32_t unions_max(const stacks *s) { return UNIONS_MAX >> s->shift; }
static size_t pairs_max(const stacks *s) { return PAIRS_MAX >> s->shift; }

int stacks_open(stacks *s, int shift) {
    s->shift = shift;
    s->entries = malloc(stacks_entries_max(s) * sizeof *s->entries);
    s->first = malloc((stacks_sets_max(s) + 1) * sizeof *s->first);
    s->slots = calloc(slots_of(s), sizeof *s->slots);
    s->unions = calloc(unions_of(s), sizeof *s->unions);
    s->pairs = malloc(2 * pairs_max(s) * sizeof *s->pairs);
    s->n_sets = 1, s->n_unions = 0, s->is_full = 0;
    if (!s->entries || !s->first || !s->slots || !s->unions || !s->pairs) return 0;
    s->first[0] = s->first[1] = 0;
    return 1;
}

void stacks_close(stacks *s) { free(s->entries), free(s->first), free(s->slots), free(s->unions), free(s->pairs); }

static uint32_t hash_entries(const entry *entries, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ ((uint64_t)entries[i].state << 32 | entries[i].under)) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

uint32_t stacks_set(stacks *s, const entry *entries, size_t n) {
    if (!n || s->is_full) return NO_SET;
    uint32_t slot = hash_entries(entries, n) % slots_of(s), set;
    for (; (set = s->slots[slot]) != 0; slot = (slot + 1) % slots_of(s))
        if (stacks_count(s, set) == n && !memcmp(stacks_at(s, set), entries, n * sizeof *entries)) return set;
    uint32_t used = s->first[s->n_sets];
    if (s->n_sets == stacks_sets_max(s) || n > stacks_entries_max(s) - used) {
        s->is_full = 1;
        return NO_SET;
    }
    memmove(s->entries + used, entries, n * sizeof *entries);
    s->first[s->n_sets + 1] = used + (uint32_t)n;
    s->slots[slot] = s->n_sets;
    return s->n_sets++;
}

// ---- Unions --------------------------------------------------------------------------------------------------------

// The slot of the union of a < b: free when its a is 0.
static joined *union_of(const stacks *s, uint32_t a, uint32_t b) {
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    uint32_t slot = (uint32_t)(h >> 40) % unions_of(s);
    while (s->unions[slot].a && (s->unions[slot].a != a || s->unions[slot].b != b)) slot = (slot + 1) % unions_of(s);
    return &s->unions[slot];
}

// 1 with the union when it is known.
static int known(const stacks *s, uint32_t a, uint32_t b, uint32_t *set) {
    if (a == b || !a || !b) {
        *set = a ? a : b;
        return 1;
    }
    const joined *u = a < b ? union_of(s, a, b) : union_of(s, b, a);
    *set = u->set;
    return u->a != 0;
}

// Write the union behind the last set when those under it are known; otherwise put the first pair that is not known on
// the list of pairs. Returns 1 when done; *n: the number of pairs.
static int merge_pair(stacks *s, uint32_t a, uint32_t b, size_t *n) {
    const entry *x = stacks_at(s, a), *x_end = x + stacks_count(s, a), *y = stacks_at(s, b),
                *y_end = y + stacks_count(s, b);
    uint32_t used = s->first[s->n_sets], count = 0;
    if ((size_t)(x_end - x) + (size_t)(y_end - y) > stacks_entries_max(s) - used || s->n_unions == unions_max(s) ||
        *n == pairs_max(s)) {
        s->is_full = 1;
        return 1;
    }
    s->work += (size_t)(x_end - x) + (size_t)(y_end - y);
    while (x < x_end || y < y_end) {
        entry one;
        if (y == y_end || (x < x_end && x->state < y->state)) one = *x++;
        else if (x == x_end || y->state < x->state) one = *y++;
        else {
            one.state = x->state;
            if (!known(s, x->under, y->under, &one.under)) {
                s->pairs[2 * *n] = x->under, s->pairs[2 * *n + 1] = y->under, ++*n;
                return 0;
            }
            x++, y++;
        }
        s->entries[used + count++] = one;
    }
    uint32_t set = stacks_set(s, s->entries + used, count);
    joined *u = a < b ? union_of(s, a, b) : union_of(s, b, a);
    *u = a < b ? (joined){a, b, set} : (joined){b, a, set};
    s->n_unions++;
    return 1;
}

uint32_t stacks_join(stacks *s, uint32_t a, uint32_t b) {
    uint32_t set;
    if (known(s, a, b, &set)) return s->is_full ? NO_SET : set;
    if (s->n_unions > unions_max(s) / 2) {
        s->n_unions = 0;
        memset(s->unions, 0, unions_of(s) * sizeof *s->unions);
    }
    size_t n = 1;
    s->pairs[0] = a, s->pairs[1] = b;
    while (n && !s->is_full) {
        size_t top = n - 1;
        if (merge_pair(s, s->pairs[2 * top], s->pairs[2 * top + 1], &n)) n = top;
    }
    if (s->is_full) return NO_SET;
    (void)known(s, a, b, &set);
    return set;
}

// ---- Forgetting ----------------------------------------------------------------------------------------------------

uint32_t stacks_number(const stacks *s, uint32_t set, uint32_t *numbers) {
    uint32_t n = 0;
    memset(numbers, 0, ((size_t)set + 1) * sizeof *numbers);
    numbers[set] = 1;
    for (uint32_t i = set; i > 0; i--)
        for (uint32_t k = s->first[i]; numbers[i] && k < s->first[i + 1]; k++) numbers[s->entries[k].under] = 1;
    numbers[0] = 0;
    for (uint32_t i = 1; i <= set; i++)
        if (numbers[i]) numbers[i] = ++n;
    return n;
}

// Sets move down in order, so that each stays above those under it. The slots serve as the table of new numbers.
uint32_t stacks_keep(stacks *s, uint32_t set) {
    uint32_t *numbers = s->slots, n = 1, used = 0;
    (void)stacks_number(s, set, numbers);
    for (uint32_t i = 1; i <= set; i++) {
        if (!numbers[i]) continue;
        uint32_t from = s->first[i], count = s->first[i + 1] - from;
        for (uint32_t k = 0; k < count; k++) {
            entry one = s->entries[from + k];
            s->entries[used + k] = (entry){one.state, numbers[one.under]};
        }
        s->first[n++] = used, used += count;
    }
    uint32_t kept = numbers[set];
    s->first[n] = used;
    s->n_sets = n, s->n_unions = 0, s->is_full = 0;
    memset(s->slots, 0, slots_of(s) * sizeof *s->slots);
    memset(s->unions, 0, unions_of(s) * sizeof *s->unions);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t slot = hash_entries(stacks_at(s, i), stacks_count(s, i)) % slots_of(s);
        while (s->slots[slot]) slot = (slot + 1) % slots_of(s);
        s->slots[slot] = i;
    }
    return kept;
}
