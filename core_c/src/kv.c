#include "kv.h"
#include <stdlib.h>
#include "memory.h"

int kv_open(kv_cache *kv, int n_layer, int n_head_kv, int dim, int n_ctx) {
    int overflow = 0;
    *kv = (kv_cache){.n_layer = n_layer, .n_head_kv = n_head_kv, .dim = dim, .max_pages = (n_ctx - 1) / KV_PAGE + 1};
    size_t size = memory_times(memory_times((size_t)n_layer * 2, (size_t)n_head_kv, &overflow),
                               (size_t)dim * KV_PAGE * 2, &overflow);
    if (overflow || !size) return GEMEL_E_MEMORY;
    kv->pages = calloc((size_t)kv->max_pages, sizeof *kv->pages);
    return kv->pages ? GEMEL_OK : GEMEL_E_MEMORY;
}

size_t kv_page_size(const kv_cache *kv) {
    return (size_t)kv->n_layer * 2 * (size_t)kv->n_head_kv * KV_PAGE * (size_t)kv->dim;
}

int kv_reserve(kv_cache *kv, int n_pos) {
    while (kv->n_pages * KV_PAGE < n_pos) {
        uint16_t *page = memory_get(kv_page_size(kv) * sizeof *page);
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

void kv_put_k(kv_cache *kv, int il, int ih, int pos, const uint16_t *row) {
    int in = pos % KV_PAGE;
    uint16_t *to =
        kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, 0, ih) + (size_t)(in / 16 * 16) * (size_t)kv->dim + in % 16;
    for (int i = 0; i < kv->dim; i++) to[16 * i] = row[i];
}

uint16_t *kv_v_row(kv_cache *kv, int il, int ih, int pos) {
    return kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, 1, ih) + (size_t)(pos % KV_PAGE) * (size_t)kv->dim;
}
