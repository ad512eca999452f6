// The KV cache, in pages of 64 positions that are taken as they are needed. A page holds a block of every head of every
// layer, [layer][n_head_kv], each as layout.h draws it for the cache's type.
#pragma once
#include "../kernels/kernels.h"

typedef struct kv_cache {
    uint8_t **pages;
    int n_pages, max_pages;
    int type;   // gemel_kv_type
    kv_layout layout;
    int n_layer, n_head_kv;
    int dim;            // head_dim, padded as the type needs
    size_t head_size;   // bytes of a head in a page
} kv_cache;

int kv_open(kv_cache *kv, int type, int n_layer, int n_head_kv, int head_dim, int n_ctx);
void kv_close(kv_cache *kv);
int kv_reserve(kv_cache *kv, int n_pos);    // pages for positions 0..n_pos-1; GEMEL_E_MEMORY when refused
void kv_release(kv_cache *kv, int n_pos);   // give back pages past position n_pos
// Bytes of a page with n (1..64) positions, and of one of its heads: whole blocks.
size_t kv_head_size(int type, int head_dim, int n);
static inline size_t kv_head_at(const kv_cache *kv, int il, int ih) {   // of head ih of layer il in a page
    return ((size_t)il * (size_t)kv->n_head_kv + (size_t)ih) * kv->head_size;
}
// Fetch what kv_put will write there: it is soon.
void kv_expect(const kv_cache *kv, int il, int ih, int pos);
// Store K and V [dim] of head ih of layer il at a position, rounded to the cache's type. Returns 0 when one is NaN or
// Inf, or becomes it, or is past what attention can bear.
int kv_put(const kernels *k, kv_cache *kv, int il, int ih, int pos, const float *key, const float *value);
