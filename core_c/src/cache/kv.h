// The KV cache of a session: for each class of layers a table of pages, one page for every 64 positions. Pages count
// their holders: sessions with a common prefix share its pages, and a shared page is copied before a session writes to
// it. A page holds a block (layout.h) for every KV head of every layer of its class.
#pragma once
#include <stdatomic.h>
#include "layout.h"

// Layers whose pages are alike: the same window and dims. Belongs to the model.
typedef struct kv_class {
    int window;              // positions that a query sees; 0: all
    int is_chunked;          // windows lie side by side: a query sees its own, up to itself
    int k_dim, v_dim;        // of a head, not padded
    int n_heads;             // KV heads of all its layers; of an encoder's, which share their places, of one
    atomic_size_t *in_use;   // counts the bytes that pages take, those of all classes together; NULL: nobody counts
} kv_class;
static inline int kv_class_is(const kv_class *c, int window, int is_chunked, int k_dim, int v_dim) {
    return c->window == window && c->is_chunked == is_chunked && c->k_dim == k_dim && c->v_dim == v_dim;
}
// The first position that a query at `pos` sees.
static inline int kv_first_seen(int window, int is_chunked, int pos) {
    if (!window) return 0;
    return is_chunked ? pos - pos % window : pos >= window ? pos - window + 1 : 0;
}
size_t kv_page_size(const kv_class *c, int type);   // bytes; 0: more than size_t holds

typedef struct kv_table {   // one class's pages
    const kv_class *c;
    kv_layout layout;
    size_t block_size;
    uint8_t **pages;        // [max_pages]; NULL: not kept
    struct kv_slab *slab;   // where its next page comes from
} kv_table;

typedef struct kv_cache {
    int type;      // a gemel_kv_type
    int is_long;   // its keys have the RoPE tables of long contexts
    int n_tables, max_pages;
    int n_pages;   // of every table, for positions 0..64 * n_pages - 1
    kv_table *tables;
} kv_cache;

int kv_open(kv_cache *kv, const kv_class *classes, int n_classes, int type, int n_ctx);
void kv_close(kv_cache *kv);
// Make positions from..to-1 writable: their pages exist and are this cache's alone. GEMEL_E_MEMORY: the cache has the
// pages that it had.
int kv_reserve(kv_cache *kv, int from, int to);
void kv_release(kv_cache *kv, int n_pos);   // give back pages past position n_pos
// Free pages that no position from n_pos - n_batch on sees.
void kv_drop(kv_cache *kv, int n_pos, int n_batch);
void kv_forget(kv_cache *kv, int n_pos);   // free pages that position n_pos doesn't see
// How many of n positions can be kept: n, or 0 where pages that a window needs were freed.
int kv_keep(const kv_cache *kv, int n);
// `to`, empty and of the same type and classes, shares the pages of the first n_pos positions.
void kv_share(kv_cache *to, const kv_cache *from, int n_pos);
int kv_pages_held(const kv_cache *kv, int *n_shared);   // pages of all tables, and how many of them others hold, too

static inline const kv_layout *kv_layout_at(const kv_cache *kv, int cache_class) {
    return &kv->tables[cache_class].layout;
}
// Where blocks of KV head `head` of a class begin in its pages.
static inline size_t kv_head_at(const kv_cache *kv, int cache_class, int head) {
    return (size_t)head * kv->tables[cache_class].block_size;
}
static inline uint8_t *kv_block_at(const kv_cache *kv, int cache_class, int head, int pos) {
    return kv->tables[cache_class].pages[pos / KV_PAGE] + kv_head_at(kv, cache_class, head);
}
