// Work on whole blocks of the KV cache: clearing behind the positions, checking saved blocks, prefetching.
#include "layout.h"
#include <string.h>

// ---- Zeros behind the positions ------------------------------------------------------------------------------------

// A part is groups of `group` positions, each with `count` runs of `size` bytes per position, one run after another.
static void clear_part(uint8_t *at, int n, int group, size_t count, size_t size) {
    for (int from = 0; from < KV_BLOCK; from += group, at += (size_t)group * count * size) {
        size_t kept = n <= from ? 0 : n - from < group ? (size_t)(n - from) : (size_t)group, all = (size_t)group;
        for (size_t i = 0; i < count && kept < all; i++) memset(at + (i * all + kept) * size, 0, (all - kept) * size);
    }
}

void kv_block_clear(const kv_layout *l, uint8_t *block, int n) {
    size_t k_dim = (size_t)l->k_dim, v_dim = (size_t)l->v_dim, item = kv_item(l->type);
    if (n >= KV_BLOCK) return;
    if (l->type != GEMEL_KV_Q8_0) {
        clear_part(block, n, 16, k_dim, item);
        clear_part(block + kv_v_part(l), n, KV_BLOCK, 1, v_dim * item);
        return;
    }
    clear_part(block, n, 16, k_dim / 4, 4);
    clear_part(block + kv_v_part(l), n, 4, v_dim, 1);
    clear_part(block + kv_k_scales(l), n, KV_BLOCK, k_dim / 32 + 2, sizeof(float));
}

// ---- What no store writes ------------------------------------------------------------------------------------------

// n floats at p, which need not be aligned, lie in [least, most]; where `least` is 0, none is -0.
static int all_within(const uint8_t *p, int n, float least, float most) {
    int is_good = 1;
    for (int i = 0; i < n; i++, p += sizeof(float)) {
        float x;
        memcpy(&x, p, sizeof x);
        is_good &= x >= least && x <= most && (least < 0 || x != 0 || !p[3]);
    }
    return is_good;
}

// Eight bytes at a time: a field's highest bit stays set unless the field has the forbidden value.
static int has_inf_f16(const uint8_t *at, size_t size) {   // or NaN
    const uint64_t exponents = 0x7c007c007c007c00u, high = 0x8000800080008000u;
    uint64_t good = high, word;
    for (size_t i = 0; i < size; i += 8) {
        memcpy(&word, at + i, 8);
        good &= ((word & exponents) ^ exponents) + ~high;   // 0 where all of the exponent's bits are set
    }
    return good != high;
}
static int has_minus_128(const uint8_t *at, size_t size) {
    const uint64_t high = 0x8080808080808080u;
    uint64_t good = high, word;
    for (size_t i = 0; i < size; i += 8) {
        memcpy(&word, at + i, 8);
        good &= ((word & ~high) + ~high) | ~word;   // has the low bits, or lacks the sign
    }
    return good != high;
}

static const char *wrong_q8(const kv_layout *l, const uint8_t *block, int n) {
    const uint8_t *scale = block + kv_k_scales(l);
    if (has_minus_128(block, kv_k_scales(l))) return "a code is -128";
    for (int i = 0; i < l->k_dim / 32; i++, scale += KV_BLOCK * sizeof(float))
        if (!all_within(scale, n, 0, ATTEND_BOUND / 127)) return "a key scale is out of range";
    if (!all_within(block + kv_log_scales(l), n, -107, 51) ||   // a value's scale is at least 1e-30 / 127
        !all_within(block + kv_inv_scales(l), n, 127 / ATTEND_BOUND, 127 / 1e-30f))
        return "a value scale is out of range";
    return NULL;
}

const char *kv_block_wrong(const kv_layout *l, const uint8_t *block, int n) {
    const float most = 0x1.fffffep56f;   // below ATTEND_BOUND
    if (l->type == GEMEL_KV_Q8_0) return wrong_q8(l, block, n);
    if (l->type == GEMEL_KV_F16) return has_inf_f16(block, kv_block_size(l)) ? "a number is Inf or NaN" : NULL;
    return all_within(block, KV_BLOCK * (l->k_dim + l->v_dim), -most, most) ? NULL : "a number is out of range";
}

// ---- Prefetching ---------------------------------------------------------------------------------------------------

void kv_block_expect(const kv_layout *l, const uint8_t *block, int in) {
    size_t k_dim = (size_t)l->k_dim, item = kv_item(l->type), is_q8 = l->type == GEMEL_KV_Q8_0;
    size_t v_run = (size_t)l->v_dim * (is_q8 ? 4 : item);
    const uint8_t *k = block + kv_k_at(l, in), *v = block + kv_v_at(l, in);
    for (size_t i = 0; i < k_dim * item; i += is_q8 ? 4 : item) __builtin_prefetch(k + 16 * i, 1);
    for (size_t i = 0; i < v_run; i += 64) __builtin_prefetch(v + i, 1);
    for (size_t i = 0; i < (is_q8 ? k_dim / 32 + 2 : 0); i++)
        __builtin_prefetch(block + kv_k_scales(l) + (i * KV_BLOCK + (size_t)in) * sizeof(float), 1);
}
