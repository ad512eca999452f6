// The bytes of a block of the KV cache: 64 positions of one KV head, in one of three types. All offsets are here.
// A page of the cache holds one block for each head of each layer. Channels past the head's own are 0.
//
//   F32, F16    K          number [group of 16 positions][k_dim][16]: one SIMD lane per position
//               V          number [64][v_dim]
//   Q8_0        K codes    int8   [group of 16 positions][k_dim / 4][16][4]: four channels of a position side by side
//               V codes    int8   [group of 4 positions][v_dim][4]: a channel of four positions side by side
//               K scales   float  [k_dim / 32][64]
//               V scales   float  [64] their log2, [64] their inverses; one per position
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "gemel.h"

enum { KV_BLOCK = 64, KV_PAGE = KV_BLOCK };   // positions
#define ATTEND_BOUND 0x1p57f        // bound of queries, keys and values, below which attention does not overflow
#define ATTEND_BOUND_F16 65520.0f   // keys and values of an F16 cache: the least that rounds to Inf

typedef struct kv_layout {
    int type;           // gemel_kv_type
    int k_dim, v_dim;   // channels of a key and of a value, padded by kv_pad
} kv_layout;

static inline int kv_pad(int type, int dim) {
    int to = type == GEMEL_KV_Q8_0 ? 32 : 16;
    return (dim + to - 1) / to * to;
}
static inline kv_layout kv_layout_of(int type, int k_dim, int v_dim) {   // of unpadded dims
    return (kv_layout){type, kv_pad(type, k_dim), kv_pad(type, v_dim)};
}
static inline size_t kv_item(int type) {   // bytes of a number or code
    return type == GEMEL_KV_F32 ? 4 : type == GEMEL_KV_F16 ? 2 : 1;
}

// ---- Parts: offsets in a block, all multiples of 64 ----------------------------------------------------------------

static inline size_t kv_k_size(const kv_layout *l) { return KV_BLOCK * (size_t)l->k_dim * kv_item(l->type); }
static inline size_t kv_v_size(const kv_layout *l) { return KV_BLOCK * (size_t)l->v_dim * kv_item(l->type); }
static inline size_t kv_v_part(const kv_layout *l) { return kv_k_size(l); }   // K begins at 0
// Of Q8_0 alone: scales of keys; log2 of the scales of values; their inverses.
static inline size_t kv_k_scales(const kv_layout *l) { return kv_k_size(l) + kv_v_size(l); }
static inline size_t kv_log_scales(const kv_layout *l) {
    return kv_k_scales(l) + (size_t)(l->k_dim / 32) * KV_BLOCK * sizeof(float);
}
static inline size_t kv_inv_scales(const kv_layout *l) { return kv_log_scales(l) + KV_BLOCK * sizeof(float); }
static inline size_t kv_block_size(const kv_layout *l) {   // bytes
    return l->type == GEMEL_KV_Q8_0 ? kv_inv_scales(l) + KV_BLOCK * sizeof(float) : kv_k_size(l) + kv_v_size(l);
}

// ---- Positions: where channel 0 of position `in` (0..63) is in a block ---------------------------------------------

// The key's next channel is 16 numbers further on; of codes, four lie side by side and the next four are 64 bytes on.
static inline size_t kv_k_at(const kv_layout *l, int in) {
    size_t side_by_side = l->type == GEMEL_KV_Q8_0 ? 4 : 1;
    return ((size_t)(in / 16 * 16) * (size_t)l->k_dim + (size_t)(in % 16) * side_by_side) * kv_item(l->type);
}
// The value's next channel is the next number; of codes, it is 4 bytes further on.
static inline size_t kv_v_at(const kv_layout *l, int in) {
    size_t run = l->type == GEMEL_KV_Q8_0 ? 4 : 1, at = (size_t)in / run * run;
    return kv_v_part(l) + (at * (size_t)l->v_dim + (size_t)in % run) * kv_item(l->type);
}

// ---- Whole blocks (layout.c) ---------------------------------------------------------------------------------------

// Zero everything behind the first n (0..64) positions.
void kv_block_clear(const kv_layout *l, uint8_t *block, int n);
// What is wrong with n positions of a saved block (something that no store writes), as the end of a sentence; or NULL.
// `block` need not be aligned. Bytes behind the n positions may be refused too, unless they are zero.
const char *kv_block_wrong(const kv_layout *l, const uint8_t *block, int n);
// Prefetch what a store at position `in` will soon write.
void kv_block_expect(const kv_layout *l, const uint8_t *block, int in);
