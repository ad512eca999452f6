// Search in a sorted list: the items that match the text so far are a range, and each further byte narrows it.
#include "specials.h"
#include "array.h"

static int compare(const void *a, const void *b) {
    const special *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->size < y->size ? x->size : y->size);
    if (!order) order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

// Of sorted items with one text, keep the last. Returns how many are kept.
static int32_t drop_twins(special *items, int32_t n) {
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        const special *last = kept ? &items[kept - 1] : NULL;
        kept -= last && last->size == items[i].size && !memcmp(last->at, items[i].at, last->size);
        items[kept++] = items[i];
    }
    return kept;
}

static int is_special(int kind, int with_control) {
    return kind == GEMEL_TOKEN_USER_DEFINED ||
           (with_control && (kind == GEMEL_TOKEN_CONTROL || kind == GEMEL_TOKEN_UNKNOWN));
}

int specials_open(specials *s, const vocab *v, int with_control, errors *e) {
    size_t n = 0;
    memset(s, 0, sizeof *s);
    for (int32_t id = 0; id < v->n; id++) n += (size_t)is_special(v->kind[id], with_control);
    s->items = array_new(n, sizeof *s->items);
    if (!s->items) return fail(e, GEMEL_E_MEMORY, "no memory for %zu special tokens", n);
    for (int32_t id = 0; id < v->n; id++) {
        if (!is_special(v->kind[id], with_control)) continue;
        gguf_span text = vocab_text(v, id);
        if (text.size > SPECIAL_MAX)
            return fail(e, GEMEL_E_UNSUPPORTED,
                        "tokenizer.ggml.tokens: special token %d has %zu bytes; at most %d are supported", id,
                        text.size, SPECIAL_MAX);
        if (text.size) s->items[s->n++] = (special){text.at, text.size, id};
    }
    qsort(s->items, (size_t)s->n, sizeof *s->items, compare);
    s->n = drop_twins(s->items, s->n);
    for (int32_t i = 0; i < s->n; i++) s->first[(uint8_t)s->items[i].at[0] + 1]++;
    for (int b = 0; b < 256; b++) s->first[b + 1] += s->first[b];
    return 0;
}

void specials_close(specials *s) { free(s->items); }

// The first of items[low..high) whose byte at `depth` is not below `byte`.
static int32_t bound(const specials *s, int32_t low, int32_t high, size_t depth, int byte) {
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if ((uint8_t)s->items[middle].at[depth] < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

// The longest item that the text at `at` starts with, or NULL.
static const special *match(const specials *s, const char *at, const char *end) {
    const special *best = NULL;
    int32_t low = s->first[(uint8_t)*at], high = s->first[(uint8_t)*at + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (s->items[low].size == depth) best = &s->items[low++];
        if (at + depth == end) break;
        int byte = (uint8_t)at[depth];
        low = bound(s, low, high, depth, byte);
        high = bound(s, low, high, depth, byte + 1);
    }
    return best;
}

const char *specials_next(const specials *s, const char *at, const char *end, size_t *size, int32_t *id) {
    if (!s->n) return end;
    for (; at < end; at++) {
        if (s->first[(uint8_t)*at] == s->first[(uint8_t)*at + 1]) continue;
        const special *found = match(s, at, end);
        if (!found) continue;
        *size = found->size;
        *id = found->id;
        return at;
    }
    return end;
}
