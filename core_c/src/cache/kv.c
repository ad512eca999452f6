#include "kv.h"
#include <stdlib.h>
#include "../memory.h"

static int padded(int type, int head_dim) {
    int to = type == GEMEL_KV_Q8_0 ? 32 : 16;
    return (head_dim + to - 1) / to * to;
}

size_t kv_head_size(int type, int head_dim, int n) {
    int dim = padded(type, head_dim);
    if (type == GEMEL_KV_Q8_0) return kv_q8_size(dim) * (size_t)((n + KV_BLOCK - 1) / KV_BLOCK);
    return kv_f16_size(dim) / KV_PAGE * (size_t)((n + 15) / 16 * 16);
}

int kv_open(kv_cache *kv, int type, int n_layer, int n_head_kv, int head_dim, int n_ctx) {
    int overflow = 0;
    *kv = (kv_cache){.type = type, .n_layer = n_layer, .n_head_kv = n_head_kv, .max_pages = (n_ctx - 1) / KV_PAGE + 1};
    kv->dim = padded(type, head_dim);
    kv->head_size = kv_head_size(type, head_dim, KV_PAGE);
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
    if (kv->type != GEMEL_KV_Q8_0) return;
    size_t dim = (size_t)kv->dim, in = (size_t)(pos % KV_BLOCK);
    const uint8_t *k = kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, ih);
    k += (size_t)(pos % KV_PAGE / KV_BLOCK) * kv_q8_size(kv->dim);
    const uint8_t *v = k + KV_BLOCK * dim, *scales = v + KV_BLOCK * dim + in * sizeof(float);
    for (size_t i = 0; i < dim / 4; i++) __builtin_prefetch(k + in / 16 * 16 * dim + 64 * i, 1);
    for (size_t i = 0; i < dim * 4; i += 64) __builtin_prefetch(v + in / 4 * 4 * dim + i, 1);
    for (size_t i = 0; i < dim / 32 + 2; i++) __builtin_prefetch(scales + i * KV_BLOCK * sizeof(float), 1);
}

static int put_f16(const kernels *k, const kv_cache *kv, uint8_t *head, int in, const float *key, const float *value) {
    size_t dim = (size_t)kv->dim;
    uint16_t row[ATTEND_DIM], *to = (uint16_t *)head + (size_t)(in / 16 * 16) * dim + in % 16;
    uint16_t *v = (uint16_t *)head + (size_t)(KV_PAGE + in) * dim;
    int bad = 0;
    k->store_f16(key, kv->dim, row);
    k->store_f16(value, kv->dim, v);
    for (size_t i = 0; i < dim; i++) {   // past f16's range: rows of the table would read it differently
        to[16 * i] = row[i];
        bad |= (row[i] & 0x7c00) == 0x7c00 || (v[i] & 0x7c00) == 0x7c00;
    }
    return !bad;
}

int kv_put(const kernels *k, kv_cache *kv, int il, int ih, int pos, const float *key, const float *value) {
    uint8_t *head = kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, ih);
    int in = pos % KV_PAGE;
    if (kv->type == GEMEL_KV_F16) return put_f16(k, kv, head, in, key, value);
    return k->store_q8(key, value, kv->dim, head + (size_t)(in / KV_BLOCK) * kv_q8_size(kv->dim), in % KV_BLOCK);
}
