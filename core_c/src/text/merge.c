// The table of pairs, and two ways to merge by it: a short run searches for the best pair each time, a long one keeps
// the pairs in a heap, O(n log n). Both do the same merges in the same order.
#include "merge.h"
#include "array.h"
#include "vocab.h"

#define FREE_KEY UINT64_MAX

enum { SHORT_RUN = 24 };

static uint64_t pair_key(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

static size_t pair_place(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)((key ^ key >> 32) * 0xD6E8FEB86659FD93u >> 32);
}

merge merge_table_find(const void *table, int32_t left, int32_t right) {
    const merge_table *t = table;
    uint64_t key = pair_key(left, right);
    size_t at = pair_place(key);
    for (int probe = 0; t->keys && probe < MAX_PROBES; probe++, at++) {
        uint64_t found = t->keys[at & t->mask];
        if (found == FREE_KEY) break;   // first, since two symbols that merge with nothing can look like a free slot
        if (found == key) return t->values[at & t->mask];
    }
    return (merge){-1, -1};
}

static size_t place_for(const merge_table *t, uint64_t key) {   // SIZE_MAX after MAX_PROBES
    size_t at = pair_place(key);
    for (int probe = 0; probe < MAX_PROBES; probe++, at++)
        if (t->keys[at & t->mask] == key || t->keys[at & t->mask] == FREE_KEY) return at & t->mask;
    return SIZE_MAX;
}

static int refuse(errors *e) {
    return fail(e, GEMEL_E_FORMAT, "the vocabulary: more than %d pairs have colliding hashes", MAX_PROBES);
}

static int table_grow(merge_table *t, errors *e) {
    merge_table bigger = {.mask = t->keys ? t->mask * 2 + 1 : 255, .used = t->used};
    size_t count = bigger.mask + 1, old_count = t->keys ? t->mask + 1 : 0;
    bigger.keys = array_new(count, sizeof *bigger.keys);
    bigger.values = array_new(count, sizeof *bigger.values);
    int rc = bigger.keys && bigger.values ? 0 : fail(e, GEMEL_E_MEMORY, "no memory for a table of %zu merges", count);
    if (!rc) memset(bigger.keys, 0xFF, count * sizeof *bigger.keys);
    for (size_t i = 0; !rc && i < old_count; i++) {
        if (t->keys[i] == FREE_KEY) continue;
        size_t at = place_for(&bigger, t->keys[i]);
        if (at == SIZE_MAX) rc = refuse(e);
        else bigger.keys[at] = t->keys[i], bigger.values[at] = t->values[i];
    }
    merge_table_close(rc ? &bigger : t);
    if (!rc) *t = bigger;
    return rc;
}

int merge_table_add(merge_table *t, int32_t left, int32_t right, merge value, errors *e) {
    if (!t->keys || (t->used + 1) * 2 > t->mask + 1) {
        int rc = table_grow(t, e);
        if (rc) return rc;
    }
    uint64_t key = pair_key(left, right);
    size_t at = place_for(t, key);
    if (at == SIZE_MAX) return refuse(e);
    if (t->keys[at] == key) return 0;
    t->keys[at] = key;
    t->values[at] = value;
    t->used++;
    return 0;
}

void merge_table_close(merge_table *t) {
    free(t->keys);
    free(t->values);
}

static merge find(merge_rule rule, int32_t left, int32_t right) { return rule.find(rule.of, left, right); }

static size_t run_short(merge_rule rule, int32_t *symbols, size_t n) {
    merge pairs[SHORT_RUN];   // pairs[i]: of symbols i and i+1
    for (size_t i = 0; i + 1 < n; i++) pairs[i] = find(rule, symbols[i], symbols[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)   // as unsigned numbers, -1 is the worst
            if ((uint32_t)pairs[i].rank < (uint32_t)pairs[best].rank) best = i;
        if (pairs[best].rank < 0) break;
        symbols[best] = pairs[best].result;
        n--;
        for (size_t i = best + 1; i < n; i++) symbols[i] = symbols[i + 1], pairs[i - 1] = pairs[i];
        if (best) pairs[best - 1] = find(rule, symbols[best - 1], symbols[best]);
        if (best + 1 < n) pairs[best] = find(rule, symbols[best], symbols[best + 1]);
    }
    return n;
}

// ---- Long runs: a doubly linked list of symbols, and a heap of rank << 32 | place ----------------------------------

typedef struct link {
    int32_t previous, next;   // -1 at the ends
    merge pair;               // with the next one
} link;

typedef struct heap {
    uint64_t *items;
    size_t n;
} heap;

static void heap_sink(heap *h, size_t at) {
    uint64_t item = h->items[at];
    for (size_t child; (child = at * 2 + 1) < h->n; at = child) {
        if (child + 1 < h->n && h->items[child + 1] < h->items[child]) child++;
        if (h->items[child] >= item) break;
        h->items[at] = h->items[child];
    }
    h->items[at] = item;
}

static void heap_push(heap *h, uint64_t item) {
    size_t at = h->n++;
    for (; at && h->items[(at - 1) / 2] > item; at = (at - 1) / 2) h->items[at] = h->items[(at - 1) / 2];
    h->items[at] = item;
}

static uint64_t heap_pop(heap *h) {
    uint64_t top = h->items[0];
    h->items[0] = h->items[--h->n];
    if (h->n) heap_sink(h, 0);
    return top;
}

static void pair_update(merge_rule rule, heap *h, link *links, const int32_t *symbols, int32_t at) {
    int32_t next = links[at].next;
    links[at].pair = next < 0 ? (merge){-1, -1} : find(rule, symbols[at], symbols[next]);
    if (links[at].pair.rank >= 0) heap_push(h, (uint64_t)links[at].pair.rank << 32 | (uint32_t)at);
}

// An entry of the heap is stale when the pair at its place has another rank by now. Each merge takes one entry out and
// puts at most two in, so the heap never holds more than 2n.
static size_t run_long(merge_rule rule, link *links, heap h, int32_t *symbols, size_t n) {
    for (size_t i = 0; i < n; i++) {
        links[i] = (link){(int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1, {-1, -1}};
        pair_update(rule, &h, links, symbols, (int32_t)i);
    }
    while (h.n) {
        uint64_t top = heap_pop(&h);
        int32_t at = (int32_t)(uint32_t)top, gone = links[at].next;
        if (links[at].pair.rank != (int32_t)(top >> 32)) continue;
        symbols[at] = links[at].pair.result;
        links[at].next = links[gone].next;
        links[gone].pair.rank = -1;
        if (links[gone].next >= 0) links[links[gone].next].previous = at;
        if (links[at].previous >= 0) pair_update(rule, &h, links, symbols, links[at].previous);
        pair_update(rule, &h, links, symbols, at);
    }
    size_t left = 0;
    for (int32_t at = 0; at >= 0; at = links[at].next) symbols[left++] = symbols[at];
    return left;
}

int merge_run(merge_rule rule, merge_scratch *scratch, int32_t *symbols, size_t *n) {
    if (*n < 2) return 0;
    if (*n <= SHORT_RUN) return *n = run_short(rule, symbols, *n), 0;
    if (*n > INT32_MAX || *n > SIZE_MAX / sizeof(uint64_t) / 8) return GEMEL_E_MEMORY;
    size_t item = sizeof(link) + 2 * sizeof(uint64_t);
    if (!array_room(&scratch->memory, 0, &scratch->capacity, *n, item)) return GEMEL_E_MEMORY;
    link *links = scratch->memory;
    *n = run_long(rule, links, (heap){(uint64_t *)(links + *n), 0}, symbols, *n);
    return 0;
}
