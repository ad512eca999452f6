// The KV cache: f16, in pages of 256 positions that are taken as they are needed. A page holds every layer:
//   [layer][ K: [n_head_kv][block of 16 positions][dim][16] | V: [n_head_kv][position][dim] ]
// where dim is head_dim padded to 16.
#pragma once
#include "kernels/kernels.h"

typedef struct kv_cache {
    uint16_t **pages;
    int n_pages, max_pages;
    int n_layer, n_head_kv, dim;
} kv_cache;

int kv_open(kv_cache *kv, int n_layer, int n_head_kv, int dim, int n_ctx);
void kv_close(kv_cache *kv);
int kv_reserve(kv_cache *kv, int n_pos);    // pages for positions 0..n_pos-1; GEMEL_E_MEMORY when refused
void kv_release(kv_cache *kv, int n_pos);   // give back pages past position n_pos
size_t kv_page_size(const kv_cache *kv);    // elements
static inline size_t kv_head_at(const kv_cache *kv, int il, int is_v, int ih) {   // within a page
    return ((size_t)(il * 2 + is_v) * (size_t)kv->n_head_kv + (size_t)ih) * KV_PAGE * (size_t)kv->dim;
}
// Write head ih of layer il at a position; row[dim] is f16 already.
void kv_put_k(kv_cache *kv, int il, int ih, int pos, const uint16_t *row);
uint16_t *kv_v_row(kv_cache *kv, int il, int ih, int pos);
