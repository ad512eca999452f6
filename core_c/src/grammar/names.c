// A binary tree that forks at the first bit in which names differ (Morrison: PATRICIA, 1968). Behind its end a name has
// zero bits.
#include "names.h"
#include <string.h>
#include "../errors.h"
#include "../text/array.h"

enum { NAMES_MAX = 1 << 30 };

void names_close(names *n) { free(n->list), free(n->forks); }

static unsigned byte_of(const name *a, size_t i) { return i < a->size ? (uint8_t)a->at[i] : 0; }
static int is_one(const name *a, const name_fork *f) { return (byte_of(a, f->byte) & f->bit) != 0; }

// A name that is like `a` for as long as any is.
static uint32_t nearest(const names *n, const name *a) {
    uint32_t at = n->top;
    while (!(at & 1)) {
        const name_fork *f = &n->forks[at / 2];
        if (f->byte > a->size) return f->any;
        at = f->under[is_one(a, f)];
    }
    return at / 2;
}

static int add(names *n, const name *a) {
    if (n->n == NAMES_MAX || a->size >= NAMES_MAX) return GEMEL_E_MEMORY;
    if (!array_room((void **)&n->list, n->n, &n->list_room, (size_t)n->n + 1, sizeof *n->list)) return GEMEL_E_MEMORY;
    n->list[n->n++] = *a;
    return 1;
}

static uint32_t *recent(names *n, const name *a) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < a->size; i++) h = (h ^ (uint8_t)a->at[i]) * 16777619u;
    return &n->recent[(h ^ h >> 15) % NAMES_RECENT];
}

static int search(names *n, const char *at, size_t size, uint32_t *number) {
    name a = {at, size};
    *number = n->n;
    n->top = n->n ? n->top : 1;
    if (!n->n) return add(n, &a);
    uint32_t like = nearest(n, &a), bit = 0x80, *link = &n->top;
    const name *other = &n->list[like];
    size_t i = 0, most = size > other->size ? size : other->size;
    while (i < most && byte_of(&a, i) == byte_of(other, i)) i++;
    if (i == most) {
        *number = like;
        return 0;
    }
    while (!((byte_of(&a, i) ^ byte_of(other, i)) & bit)) bit >>= 1;
    if (!array_room((void **)&n->forks, n->n - 1, &n->forks_room, n->n, sizeof *n->forks)) return GEMEL_E_MEMORY;
    while (!(*link & 1)) {
        name_fork *f = &n->forks[*link / 2];
        if (f->byte > i || (f->byte == i && f->bit < bit)) break;
        link = &f->under[is_one(&a, f)];
    }
    name_fork *made = &n->forks[n->n - 1];
    *made = (name_fork){.byte = (uint32_t)i, .bit = bit, .any = like};
    made->under[is_one(&a, made)] = 2 * n->n + 1;
    made->under[!is_one(&a, made)] = *link;
    int rc = add(n, &a);
    if (rc == 1) *link = 2 * (n->n - 2);
    return rc;
}

int names_number(names *n, const char *at, size_t size, uint32_t *number) {
    name a = {at, size};
    uint32_t *kept = recent(n, &a);
    if (*kept) {
        const name *one = &n->list[*kept - 1];
        if (one->size == size && !memcmp(one->at, at, size)) {
            *number = *kept - 1;
            return 0;
        }
    }
    int rc = search(n, at, size, number);
    if (rc >= 0) *kept = *number + 1;
    return rc;
}
