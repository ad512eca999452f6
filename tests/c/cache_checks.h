// A KV cache of one head for checks: filled by the kernels' stores, read back byte by byte as cache/layout.h draws it,
// and overwritten with bytes that no store writes.
#pragma once
#include "kernel_checks.h"
#include "../../core_c/src/quant/half.h"

enum { PAGES = 12, N_POSITIONS = PAGES * KV_PAGE };

typedef struct cache {
    kv_layout l;
    uint8_t *pages[PAGES];
} cache;

static inline const char *name_of(const cache *c) {
    return c->l.type == GEMEL_KV_F32   ? "attention over F32"
           : c->l.type == GEMEL_KV_F16 ? "attention over F16"
                                       : "attention over Q8_0";
}
static inline cache empty_cache(int type, int k_dim, int v_dim) {
    cache c = {.l = kv_layout_of(type, k_dim, v_dim)};
    for (int i = 0; i < PAGES; i++) c.pages[i] = memory_get(kv_block_size(&c.l));
    return c;
}
static inline void free_cache(cache *c) {
    for (int i = 0; i < PAGES; i++) memory_free(c->pages[i]);
}

// A row of keys or values of every kind.
static inline void fill_row(float *x, int dim, int pos) {
    static const float sizes[] = {1, 3, 0.01f, 1, 0, 1e-35f, 40, 1e4f};
    for (int i = 0; i < dim; i++) x[i] = random_float() * sizes[random_below(64) ? pos % 3 : random_below(8)];
    if (pos % 41 == 7) memset(x, 0, sizeof *x * (size_t)dim);
}
static inline void fill_page(const kernels *by, const kv_layout *l, uint8_t *page) {
    float k[ATTEND_DIM], v[ATTEND_DIM];
    for (int pos = 0; pos < KV_PAGE; pos++) {
        fill_row(k, l->k_dim, pos), fill_row(v, l->v_dim, pos);
        CHECK(by->kv[l->type].store(k, v, l, page, pos % KV_BLOCK));
    }
}
// Filled by scalar; the first page by every other instruction set, too, with the same bytes.
static inline cache cache_of(int type, int k_dim, int v_dim) {
    cache c = empty_cache(type, k_dim, v_dim);
    uint8_t *again = memory_get(kv_block_size(&c.l));
    uint64_t from = seed;
    for (int i = 0; i < PAGES; i++) fill_page(scalar(), &c.l, c.pages[i]);
    uint64_t end = seed;
    EACH_ISA(row) {
        seed = from;
        fill_page(row, &c.l, again);
        same(row->name, "a stored block", c.pages[0], again, kv_block_size(&c.l));
    }
    seed = end;
    memory_free(again);
    return c;
}

// ---- Byte by byte --------------------------------------------------------------------------------------------------

// Where channel i of position `in` is: which number, or code, of K or of V. Written from the drawing, without layout.h.
static inline size_t k_index(const kv_layout *l, int in, int i) {
    size_t group = (size_t)(in / 16 * 16) * (size_t)l->k_dim;
    if (l->type == GEMEL_KV_Q8_0) return group + (size_t)(i / 4 * 64 + in % 16 * 4 + i % 4);
    return group + (size_t)(16 * i + in % 16);
}
static inline size_t v_index(const kv_layout *l, int in, int i) {
    if (l->type == GEMEL_KV_Q8_0) return (size_t)(in / 4 * 4 * l->v_dim + 4 * i + in % 4);
    return (size_t)(in * l->v_dim + i);
}
static inline float number_at(int type, const uint8_t *p, size_t i) {
    if (type == GEMEL_KV_F32) return ((const float *)p)[i];
    return type == GEMEL_KV_F16 ? f16_to_f32(((const uint16_t *)p)[i]) : (float)(int8_t)p[i];
}

typedef struct position {
    float k[ATTEND_DIM], v[ATTEND_DIM];   // numbers, or codes
    float scale[ATTEND_DIM / 32], log_scale, inv_scale;
} position;
static inline position position_at(const cache *c, int pos) {
    const kv_layout *l = &c->l;
    const int in = pos % KV_BLOCK;
    const uint8_t *k = c->pages[pos / KV_PAGE], *v = k + (size_t)(KV_BLOCK * l->k_dim) * kv_item(l->type);
    position p;
    for (int i = 0; i < l->k_dim; i++) p.k[i] = number_at(l->type, k, k_index(l, in, i));
    for (int i = 0; i < l->v_dim; i++) p.v[i] = number_at(l->type, v, v_index(l, in, i));
    if (l->type != GEMEL_KV_Q8_0) return p;
    const float *f = (const float *)(v + KV_BLOCK * l->v_dim) + in;
    for (int i = 0; i < l->k_dim / 32; i++) p.scale[i] = f[64 * i];
    p.log_scale = f[2 * l->k_dim], p.inv_scale = f[2 * l->k_dim + 64];
    return p;
}

static inline void spoil_scales(const cache *c, int pos) {
    float *scale = (float *)(c->pages[pos / KV_PAGE] + KV_BLOCK * (c->l.k_dim + c->l.v_dim)) + pos % KV_BLOCK;
    for (int i = 0; i < c->l.k_dim / 32 + 2; i++) scale[64 * i] = odd_float();
}
static inline void spoil_number(int type, uint8_t *p, size_t i, int is_value) {
    uint16_t half = (uint16_t)(random_bits() | (is_value ? 0x7c00 : 0));
    float odd = odd_float();
    if (type == GEMEL_KV_F32) memcpy(p + 4 * i, &odd, 4);
    else if (type == GEMEL_KV_F16) memcpy(p + 2 * i, &half, 2);
    else p[i] = (uint8_t)half;
}
// Positions from..to-1 of a cache.
static inline void spoil(const cache *c, int from, int to) {
    const kv_layout *l = &c->l;
    for (int pos = from; pos < to; pos++) {
        uint8_t *k = c->pages[pos / KV_PAGE], *v = k + (size_t)(KV_BLOCK * l->k_dim) * kv_item(l->type);
        for (int i = 0; i < l->k_dim; i++) spoil_number(l->type, k, k_index(l, pos % KV_BLOCK, i), 0);
        for (int i = 0; i < l->v_dim; i++) spoil_number(l->type, v, v_index(l, pos % KV_BLOCK, i), 1);
        if (l->type == GEMEL_KV_Q8_0) spoil_scales(c, pos);
    }
}
