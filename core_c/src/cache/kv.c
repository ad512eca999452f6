#include "kv.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "../memory.h"

// ---- Pages ---------------------------------------------------------------------------------------------------------
// Pages come in slabs, which a cache takes one after another. On Linux each is twice as large as the one before, up to
// 8 MB: long caches then lie in large pieces of memory, which saves address translations, and memory that no position
// has touched costs nothing. Elsewhere a slab is one page. A page counts its holders; a slab is freed with its last
// page.

enum { PAGE_HEAD = 64 };   // bytes before a page's blocks
#if defined __linux__
enum { SLAB_PAGES = 16, SLAB_SIZE = 8 << 20 };   // at most, but always one page
#else
enum { SLAB_PAGES = 1, SLAB_SIZE = 0 };
#endif

typedef struct kv_slab {
    atomic_int users;   // pages in use, and the table that takes from it
    atomic_uint free;   // a bit for each page
    int n;
    size_t size;             // bytes
    atomic_size_t *in_use;   // where they are counted
} kv_slab;
typedef struct page_head {
    atomic_int holders;
    int place;      // in its slab
    int is_fresh;   // made by the kv_reserve that runs, for positions that had none
    kv_slab *slab;
} page_head;
_Static_assert(sizeof(page_head) <= PAGE_HEAD && sizeof(kv_slab) <= PAGE_HEAD, "heads fit");

static page_head *head_of(const uint8_t *page) { return (page_head *)(void *)(page - PAGE_HEAD); }

static void slab_drop(kv_slab *s) {
    if (!s || atomic_fetch_sub(&s->users, 1) > 1) return;
    if (s->in_use) atomic_fetch_sub(s->in_use, s->size);
    memory_free(s);
}
static void page_drop(uint8_t *page) {
    if (!page || atomic_fetch_sub(&head_of(page)->holders, 1) > 1) return;
    kv_slab *s = head_of(page)->slab;
    atomic_fetch_or(&s->free, 1u << head_of(page)->place);
    slab_drop(s);
}

static kv_slab *slab_get(int n, size_t page_size, atomic_size_t *in_use) {
    int overflow = 0;
    size_t size = memory_times((size_t)n, page_size, &overflow);
    kv_slab *s = overflow || size > SIZE_MAX - PAGE_HEAD ? NULL : memory_get(PAGE_HEAD + size);
    if (!s) return NULL;
    atomic_init(&s->users, 1);
    atomic_init(&s->free, (1u << n) - 1);
    s->n = n;
    s->size = PAGE_HEAD + size;
    s->in_use = in_use;
    if (in_use) atomic_fetch_add(in_use, s->size);
    return s;
}

// A page of the table's slab, or of a new one.
static uint8_t *page_get(kv_table *t, size_t size) {
    size += PAGE_HEAD;
    if (!t->slab || !atomic_load(&t->slab->free)) {
        int n = !t->slab ? 1 : 2 * t->slab->n;
        while (n > 1 && (n > SLAB_PAGES || size > SLAB_SIZE / (size_t)n)) n /= 2;
        kv_slab *s = slab_get(n, size, t->c->in_use);
        if (!s && n > 1) s = slab_get(1, size, t->c->in_use);
        if (!s) return NULL;
        slab_drop(t->slab);
        t->slab = s;
    }
    kv_slab *s = t->slab;
    unsigned free = atomic_load(&s->free);
    int place = 0;
    while (!(free >> place & 1)) place++;
    atomic_fetch_and(&s->free, ~(1u << place));   // only the table takes pages; others only give back
    atomic_fetch_add(&s->users, 1);
    uint8_t *page = (uint8_t *)s + PAGE_HEAD + (size_t)place * size + PAGE_HEAD;
    *head_of(page) = (page_head){.place = place, .slab = s};
    atomic_init(&head_of(page)->holders, 1);
    return page;
}

size_t kv_page_size(const kv_class *c, int type) {
    int overflow = 0;
    kv_layout l = kv_layout_of(type, c->k_dim, c->v_dim);
    size_t size = memory_times((size_t)c->n_heads, kv_block_size(&l), &overflow);
    return overflow ? 0 : size;
}

int kv_open(kv_cache *kv, const kv_class *classes, int n_classes, int type, int n_ctx) {
    *kv = (kv_cache){.type = type, .n_tables = n_classes, .max_pages = (n_ctx - 1) / KV_PAGE + 1};
    kv->tables = calloc((size_t)n_classes, sizeof *kv->tables);
    if (!kv->tables) return GEMEL_E_MEMORY;
    for (int i = 0; i < n_classes; i++) {
        kv_table *t = &kv->tables[i];
        *t = (kv_table){.c = &classes[i], .layout = kv_layout_of(type, classes[i].k_dim, classes[i].v_dim)};
        t->block_size = kv_block_size(&t->layout);
        t->pages = kv_page_size(&classes[i], type) ? calloc((size_t)kv->max_pages, sizeof *t->pages) : NULL;
        if (t->pages) continue;
        kv_close(kv);
        return GEMEL_E_MEMORY;
    }
    return GEMEL_OK;
}

// Make page i of a table exist, with no other holder.
static int own_page(kv_table *t, int type, int i) {
    size_t size = kv_page_size(t->c, type);
    uint8_t *now = t->pages[i], *page;
    if (now && atomic_load(&head_of(now)->holders) == 1) return GEMEL_OK;
    page = page_get(t, size);
    if (!page) return GEMEL_E_MEMORY;
    if (now) memcpy(page, now, size);
    page_drop(now);
    head_of(page)->is_fresh = !now;
    t->pages[i] = page;
    return GEMEL_OK;
}

// Pages from..to-1 that are fresh stay, or they are given back.
static void settle(kv_cache *kv, int from, int to, int stay) {
    for (int k = 0; k < kv->n_tables; k++)
        for (int i = from; i < to; i++) {
            uint8_t **page = &kv->tables[k].pages[i];
            if (!*page || !head_of(*page)->is_fresh) continue;
            head_of(*page)->is_fresh = 0;
            if (stay) continue;
            page_drop(*page);
            *page = NULL;
        }
}

int kv_reserve(kv_cache *kv, int from, int to) {
    int first = from / KV_PAGE, end = (to + KV_PAGE - 1) / KV_PAGE, code = GEMEL_OK;
    for (int i = first; i < end && code == GEMEL_OK; i++)
        for (int k = 0; k < kv->n_tables && code == GEMEL_OK; k++) code = own_page(&kv->tables[k], kv->type, i);
    settle(kv, first, end, code == GEMEL_OK);
    if (code == GEMEL_OK && end > kv->n_pages) kv->n_pages = end;
    return code;
}

void kv_release(kv_cache *kv, int n_pos) {
    int keep = (n_pos + KV_PAGE - 1) / KV_PAGE;
    for (int k = 0; k < kv->n_tables; k++)
        for (int i = keep; i < kv->max_pages && kv->tables[k].pages; i++) {
            page_drop(kv->tables[k].pages[i]);
            kv->tables[k].pages[i] = NULL;
        }
    if (kv->n_pages > keep) kv->n_pages = keep;
}

void kv_close(kv_cache *kv) {
    kv_release(kv, 0);
    for (int k = 0; k < kv->n_tables; k++) {
        slab_drop(kv->tables[k].slab);
        free(kv->tables[k].pages);
    }
    free(kv->tables);
    *kv = (kv_cache){0};
}

// The first position that a query at `pos` sees.
static int first_seen(const kv_table *t, int pos) { return kv_first_seen(t->c->window, t->c->is_chunked, pos); }

void kv_drop(kv_cache *kv, int n_pos, int n_batch) {
    for (int k = 0; k < kv->n_tables; k++) {
        kv_table *t = &kv->tables[k];
        int end = first_seen(t, n_pos > n_batch ? n_pos - n_batch : 0) / KV_PAGE - 1;   // keep one page more
        for (int i = 0; i < end; i++) {
            page_drop(t->pages[i]);
            t->pages[i] = NULL;
        }
    }
}

void kv_forget(kv_cache *kv, int n_pos) {
    for (int k = 0; k < kv->n_tables; k++) {
        kv_table *t = &kv->tables[k];
        for (int i = 0; i < first_seen(t, n_pos) / KV_PAGE; i++) {
            page_drop(t->pages[i]);
            t->pages[i] = NULL;
        }
    }
}

int kv_keep(const kv_cache *kv, int n) {
    for (int k = 0; k < kv->n_tables; k++)
        for (int i = first_seen(&kv->tables[k], n) / KV_PAGE; i * KV_PAGE < n; i++)
            if (!kv->tables[k].pages[i]) return 0;
    return n;
}

void kv_share(kv_cache *to, const kv_cache *from, int n_pos) {
    int n = (n_pos + KV_PAGE - 1) / KV_PAGE;
    for (int k = 0; k < to->n_tables; k++)
        for (int i = 0; i < n; i++) {
            uint8_t *page = to->tables[k].pages[i] = from->tables[k].pages[i];
            if (page) atomic_fetch_add(&head_of(page)->holders, 1);
        }
    to->n_pages = n;
}

int kv_pages_held(const kv_cache *kv, int *n_shared) {
    int n = 0;
    *n_shared = 0;
    for (int k = 0; k < kv->n_tables; k++)
        for (int i = 0; i < kv->n_pages; i++) {
            uint8_t *page = kv->tables[k].pages[i];
            n += page != NULL;
            *n_shared += page && atomic_load(&head_of(page)->holders) > 1;
        }
    return n;
}
