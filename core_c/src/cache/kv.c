#include "kv.h"
#include <stdlib.h>
#include "../memory.h"

size_t kv_head_size(int type, int head_dim, int n) {
    kv_layout l = kv_layout_of(type, head_dim, head_dim);
    return kv_block_size(&l) * (size_t)((n + KV_BLOCK - 1) / KV_BLOCK);
}

int kv_open(kv_cache *kv, int type, int n_layer, int n_head_kv, int head_dim, int n_ctx) {
    int overflow = 0;
    *kv = (kv_cache){.type = type, .n_layer = n_layer, .n_head_kv = n_head_kv, .max_pages = (n_ctx - 1) / KV_PAGE + 1};
    kv->layout = kv_layout_of(type, head_dim, head_dim);
    kv->dim = kv->layout.k_dim;
    kv->head_size = kv_block_size(&kv->layout);
    size_t size = memory_times(memory_times((size_t)n_layer, (size_t)n_head_kv, &overflow), kv->head_size, &overflow);
    if (overflow || !size) return GEMEL_E_MEMORY;
    kv->pages = calloc((size_t)kv->max_pages, sizeof *kv->pages);
    return kv->pages ? GEMEL_OK : GEMEL_E_MEMORY;
}

int kv_reserve(kv_cache *kv, int n_pos) {
    while (kv->n_pages * KV_PAGE < n_pos) {
        uint8_t *page = memory_get(kv_head_at(kv, kv->n_layer, 0));
        if (!page) return GEMEL_E_MEMORY;
        kv->pages[kv->n_pages++] = page;
    }
    return GEMEL_OK;
}

void kv_release(kv_cache *kv, int n_pos) {
    while (kv->n_pages && (kv->n_pages - 1) * KV_PAGE >= n_pos) memory_free(kv->pages[--kv->n_pages]);
}

void kv_close(kv_cache *kv) {
    kv_release(kv, 0);
    free(kv->pages);
    kv->pages = NULL;
}

void kv_expect(const kv_cache *kv, int il, int ih, int pos) {
    kv_block_expect(&kv->layout, kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, ih), pos % KV_PAGE);
}

int kv_put(const kernels *k, kv_cache *kv, int il, int ih, int pos, const float *key, const float *value) {
    uint8_t *block = kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, ih);
    return k->kv[kv->type].store(key, value, &kv->layout, block, pos % KV_PAGE);
}
