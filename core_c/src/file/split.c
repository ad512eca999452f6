#include "split.h"
#include <stdlib.h>
#include <string.h>
#include "gguf_index.h"

typedef struct keys {   // what a file says about itself
    uint32_t no, count, n_tensors;
} keys;

static int read_keys(keys *k, const gguf *g, errors *e) {
    *k = (keys){.count = 1};
    int has_count = gguf_get_u32(g, "split.count", &k->count, e);
    int has_no = has_count < 0 ? has_count : gguf_get_u32(g, "split.no", &k->no, e);
    int has_n = has_no < 0 ? has_no : gguf_get_u32(g, "split.tensors.count", &k->n_tensors, e);
    if (has_n < 0) return has_n;
    if (k->count == 0) k->count = 1;   // what the tool that merges parts leaves behind
    if (k->count > UINT16_MAX)
        return fail(e, GEMEL_E_FORMAT, "split.count is %u; at most %d parts are supported", (unsigned)k->count,
                    UINT16_MAX);
    if (k->no >= k->count)
        return fail(e, GEMEL_E_FORMAT, "split.no is %u, which is not below split.count, %u", (unsigned)k->no,
                    (unsigned)k->count);
    if (k->count > 1 && (!has_no || !has_n))
        return fail(e, GEMEL_E_FORMAT, "the metadata key %s is missing", has_no ? "split.tensors.count" : "split.no");
    return GEMEL_OK;
}

int split_open(split *s, gguf *first, errors *e) {
    keys k;
    int code = read_keys(&k, first, e);
    if (code < 0) return code;
    if (k.no)
        return fail(e, GEMEL_E_FORMAT, "this is part %u of %u of a split model (split.no is %u): open its first part",
                    (unsigned)k.no + 1, (unsigned)k.count, (unsigned)k.no);
    *s = (split){.first = first, .last = first, .n_parts = 1, .count = (int)k.count, .n_claimed = k.n_tensors};
    s->n_tensors = first->entries.count;
    return GEMEL_OK;
}

// ---- Joining the tables --------------------------------------------------------------------------------------------

// The part, from 1 on, that has entry i of the joined table.
static int part_of(const gguf *first, size_t i) {
    int part = 1;
    for (const gguf *g = first; g && i >= g->entries.count; g = g->next, part++) i -= g->entries.count;
    return part;
}

static int refuse_twice(const gguf *first, const gguf *joined, size_t twice, errors *e) {
    uint32_t a = joined->entry_order[twice], b = joined->entry_order[twice + 1];
    gguf_span name = gguf_name_of(joined, a);
    return fail(e, GEMEL_E_FORMAT, "tensor \"%s\" appears twice, in part %d and in part %d",
                printable_name(name.at, name.size).text, part_of(first, a), part_of(first, b));
}

// Names stay in the parts' own bytes.
static int join(gguf *first, size_t n, errors *e) {
    gguf joined = {0};
    size_t twice;
    gguf_entry *to = joined.entries.at = malloc((n + 1) * sizeof *to);
    if (!to) return fail(e, GEMEL_E_MEMORY, "no memory for the tables of %zu tensors", n);
    uint64_t fingerprint = first->fingerprint;
    for (const gguf *g = first; g; g = g->next) {
        for (size_t i = 0; i < g->entries.count; i++, to++) {
            *to = *gguf_entry_at(g, i);
            to->tensor.offset += g->base;
        }
        if (g != first) fingerprint = (fingerprint ^ g->fingerprint) * 0x100000001B3u;
    }
    joined.entries.count = joined.entries.capacity = n;
    int code = gguf_sort_names(&joined, &joined.entry_order, &twice, e);
    if (code == GEMEL_E_FORMAT) code = refuse_twice(first, &joined, twice, e);
    if (code < 0) {
        free(joined.entries.at);
        free(joined.entry_order);
        return code;
    }
    free(first->entries.at);
    free(first->entry_order);
    first->entries = joined.entries;
    first->entry_order = joined.entry_order;
    first->fingerprint = fingerprint;
    return GEMEL_OK;
}

static int check_part(const split *s, const gguf *part, errors *e) {
    keys k;
    int code = read_keys(&k, part, e);
    if (code < 0) return code;
    if (k.count != (uint32_t)s->count)
        return fail(e, GEMEL_E_FORMAT,
                    "split.count is %u, but %d in the first part: these files belong to different models",
                    (unsigned)k.count, s->count);
    if (k.n_tensors != s->n_claimed)
        return fail(e, GEMEL_E_FORMAT,
                    "split.tensors.count is %u, but %u in the first part: these files belong to different models",
                    (unsigned)k.n_tensors, (unsigned)s->n_claimed);
    if (k.no != (uint32_t)s->n_parts)
        return fail(e, GEMEL_E_FORMAT, "split.no is %u, but %d comes next: give the parts in order", (unsigned)k.no,
                    s->n_parts);
    return GEMEL_OK;
}

int split_add(split *s, gguf *part, uint64_t base, errors *e) {
    s->last = s->last->next = part;
    part->base = base;
    int code = check_part(s, part, e);
    if (code < 0) return code;
    s->n_parts++;
    s->n_tensors += part->entries.count;
    int is_last = s->n_parts == s->count;
    if (s->n_tensors > s->n_claimed || (is_last && s->n_tensors < s->n_claimed))
        return fail(e, GEMEL_E_FORMAT, "with this part the model has %zu tensors, but split.tensors.count is %u",
                    s->n_tensors, (unsigned)s->n_claimed);
    return is_last ? join(s->first, s->n_tensors, e) : GEMEL_OK;
}
