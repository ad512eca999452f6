// A session as bytes and back: header, ids, the KV cache up to n_past, the logits. Little endian; the same bytes on
// every machine, since the values are. A checksum tells damage, a fingerprint another model.
#include <float.h>
#include <string.h>
#include "session.h"

typedef struct state_header {
    char magic[8];          // "gemelkv2"
    uint64_t fingerprint;   // of the model file's header
    uint64_t checksum;      // FNV-1a of all that follows this struct, 8 bytes at a time
    int32_t n_past, has_logits, n_layer, n_head_kv, dim, n_vocab;
    int32_t kv_type, n_carry;
    char carry[4], unused[4];   // unused: 0
} state_header;
_Static_assert(sizeof(state_header) == 64, "the saved layout has no padding");

static const char magic[8] = {'g', 'e', 'm', 'e', 'l', 'k', 'v', '2'};   // the last goes up with the layout

static size_t ids_size(size_t n) { return (n * sizeof(int32_t) + 7) / 8 * 8; }
// A head is saved up to the end of its last block.
static size_t kv_size(const gemel_session *s, int n) {
    const kv_cache *kv = &s->kv;
    size_t heads = (size_t)kv->n_layer * (size_t)kv->n_head_kv, size = 0;
    for (int pos = 0; pos < n; pos += KV_PAGE)
        size += heads * kv_head_size(kv->type, s->m->h.head_dim, n - pos < KV_PAGE ? n - pos : KV_PAGE);
    return size;
}
static size_t logits_size(const gemel_session *s) { return ((size_t)s->m->h.n_vocab * sizeof(float) + 7) / 8 * 8; }
static size_t total_size(const gemel_session *s, int n_past, int has_logits) {
    return sizeof(state_header) + ids_size((size_t)n_past) + kv_size(s, n_past) + (has_logits ? logits_size(s) : 0);
}

// Of the header without its checksum, then of the n bytes at p.
static uint64_t checksum(const state_header *header, const uint8_t *p, size_t n) {
    state_header seed = *header;
    uint64_t h = 0xcbf29ce484222325u, word;
    seed.checksum = 0;
    for (size_t i = 0; i < sizeof seed; i += 8) {
        memcpy(&word, (const uint8_t *)&seed + i, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

// What was cut back, or came from outside, is in the last block behind the n positions at `at`: zeros take its place.
// `count` runs of `size` bytes a position, and in each group of positions run after run.
static void clear_runs(uint8_t *at, int n, int group, size_t count, size_t size) {
    size_t in = (size_t)(n % group), all = (size_t)group;
    at += (size_t)(n / group) * all * count * size;
    for (size_t i = 0; i < count && in; i++) memset(at + (i * all + in) * size, 0, (all - in) * size);
}
static void clear_f16(uint8_t *k, uint8_t *v, int dim, int n) {
    clear_runs(k, n, 16, (size_t)dim, 2);
    clear_runs(v, n, 16, 1, 2 * (size_t)dim);
}
static void clear_q8(uint8_t *at, int dim, int n) {
    size_t codes = (size_t)KV_BLOCK * (size_t)dim;
    int in = n % KV_BLOCK, k_rest = (in + 15) / 16 * 16, v_rest = (in + 3) / 4 * 4;
    if (!in) return;
    at += (size_t)(n / KV_BLOCK) * kv_q8_size(dim);
    clear_runs(at, in, 16, (size_t)dim / 4, 4);
    memset(at + (size_t)k_rest * (size_t)dim, 0, (size_t)(KV_BLOCK - k_rest) * (size_t)dim);
    clear_runs(at + codes, in, 4, (size_t)dim, 1);
    memset(at + codes + (size_t)v_rest * (size_t)dim, 0, (size_t)(KV_BLOCK - v_rest) * (size_t)dim);
    clear_runs(at + 2 * codes, in, KV_BLOCK, (size_t)dim / 32 + 2, 4);
}

// ---- What no cache holds -------------------------------------------------------------------------------------------
// Each returns what is wrong with n positions of a head at `at`, or NULL.

// n floats at p, which need not be aligned, lie in [least, most]; where that begins at 0, none is -0.
static int all_within(const uint8_t *p, int n, float least, float most) {
    int is_good = 1;
    for (int i = 0; i < n; i++, p += sizeof(float)) {
        float x;
        memcpy(&x, p, sizeof x);
        is_good &= x >= least && x <= most && (least < 0 || x != 0 || !p[3]);
    }
    return is_good;
}
// Eight bytes at a time: a field's highest bit stays set while no field is what must not be.
static const char *wrong_f16(const uint8_t *at, size_t size) {
    const uint64_t exponents = 0x7c007c007c007c00u, high = 0x8000800080008000u;
    uint64_t good = high, word;
    for (size_t i = 0; i < size; i += 8) {
        memcpy(&word, at + i, 8);
        good &= ((word & exponents) ^ exponents) + ~high;   // 0 where all of the exponent's bits are set
    }
    return good != high ? "a number is Inf or NaN" : NULL;
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
// Of one block. A value's scale is at least 1e-30 / 127.
static const char *wrong_q8(const uint8_t *at, int dim, int n) {
    size_t codes = 2 * (size_t)KV_BLOCK * (size_t)dim;
    const uint8_t *scale = at + codes, *log_scale = scale + KV_BLOCK * sizeof(float) * (size_t)(dim / 32);
    if (has_minus_128(at, codes)) return "a code is -128";
    for (; scale < log_scale; scale += KV_BLOCK * sizeof(float))
        if (!all_within(scale, n, 0, ATTEND_BOUND / 127)) return "a key's scale is none";
    if (!all_within(log_scale, n, -107, 51) ||
        !all_within(log_scale + KV_BLOCK * sizeof(float), n, 127 / ATTEND_BOUND, 127 / 1e-30f))
        return "a value's scale is none";
    return NULL;
}
static const char *wrong_head(const kv_cache *kv, const uint8_t *at, size_t size, int n) {
    const char *wrong = NULL;
    if (kv->type == GEMEL_KV_F16) return wrong_f16(at, size);
    for (int pos = 0; pos < n && !wrong; pos += KV_BLOCK, at += kv_q8_size(kv->dim))
        wrong = wrong_q8(at, kv->dim, n - pos < KV_BLOCK ? n - pos : KV_BLOCK);
    return wrong;
}

static int check_kv(const gemel_session *s, int n_past, const uint8_t *at, errors *e) {
    const kv_cache *kv = &s->kv;
    for (int il = 0; il < kv->n_layer; il++)
        for (int ih = 0; ih < kv->n_head_kv; ih++)
            for (int pos = 0; pos < n_past; pos += KV_PAGE) {
                int n = n_past - pos < KV_PAGE ? n_past - pos : KV_PAGE;
                size_t size = kv_head_size(kv->type, s->m->h.head_dim, n);
                const char *wrong = wrong_head(kv, at, size, n);
                if (wrong)
                    return fail(e, GEMEL_E_STATE,
                                "gemel did not write this saved session: layer %d, head %d, positions %d to %d: %s", il,
                                ih, pos, pos + n - 1, wrong);
                at += size;
            }
    return GEMEL_OK;
}

// ---- Copying -------------------------------------------------------------------------------------------------------

// Copy n positions of a head between its page and a run of bytes. In a page of F16, V comes after all of K.
static void copy_head(const kv_cache *kv, uint8_t *head, int n, size_t size, uint8_t *at, int is_save) {
    if (kv->type == GEMEL_KV_Q8_0) {
        memcpy(is_save ? at : head, is_save ? head : at, size);
        clear_q8(is_save ? at : head, kv->dim, n);
        return;
    }
    uint8_t *v = head + kv->head_size / 2, *v_at = at + size / 2;
    memcpy(is_save ? at : head, is_save ? head : at, size / 2);
    memcpy(is_save ? v_at : v, is_save ? v : v_at, size / 2);
    clear_f16(is_save ? at : head, is_save ? v_at : v, kv->dim, n);
}

// Copy the KV cache between its pages and one run of bytes, in the order layer, head, position.
static void copy_kv(const gemel_session *s, int n_past, uint8_t *at, int is_save) {
    const kv_cache *kv = &s->kv;
    for (int il = 0; il < kv->n_layer; il++)
        for (int ih = 0; ih < kv->n_head_kv; ih++)
            for (int pos = 0; pos < n_past; pos += KV_PAGE) {
                int n = n_past - pos < KV_PAGE ? n_past - pos : KV_PAGE;
                size_t size = kv_head_size(kv->type, s->m->h.head_dim, n);
                copy_head(kv, kv->pages[pos / KV_PAGE] + kv_head_at(kv, il, ih), n, size, at, is_save);
                at += size;
            }
}

// Of the model's file, and of which table of longrope's turned the keys.
static uint64_t fingerprint(const gemel_session *s) {
    int is_long = s->m->h.scaling == SCALING_LONGROPE && s->n_ctx > s->m->h.n_ctx_orig;
    return gguf_fingerprint(s->m->gguf) ^ (uint64_t)is_long;
}

size_t gemel_session_save_size(const gemel_session *s) { return s ? total_size(s, s->n_past, s->has_logits) : 0; }

int gemel_session_save(const gemel_session *s, uint8_t *data, size_t capacity) {
    if (!s || !data || capacity < gemel_session_save_size(s)) return GEMEL_E_ARGUMENT;
    state_header h = {.fingerprint = fingerprint(s),
                      .n_past = s->n_past,
                      .has_logits = s->has_logits,
                      .n_layer = s->kv.n_layer,
                      .n_head_kv = s->kv.n_head_kv,
                      .dim = s->m->h.head_dim,
                      .n_vocab = s->m->h.n_vocab,
                      .kv_type = s->kv.type,
                      .n_carry = s->n_carry};
    size_t total = gemel_session_save_size(s), n = (size_t)s->n_past;
    uint8_t *at = data + sizeof h;
    memset(data, 0, sizeof h + ids_size(n));
    memcpy(at, s->ids, n * sizeof(int32_t));
    at += ids_size(n);
    copy_kv(s, s->n_past, at, 1);
    at += kv_size(s, s->n_past);
    if (s->has_logits) {
        memset(at, 0, logits_size(s));
        memcpy(at, s->logits, (size_t)s->m->h.n_vocab * sizeof(float));
    }
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.carry, s->carry, (size_t)s->n_carry);
    h.checksum = checksum(&h, data + sizeof h, total - sizeof h);
    memcpy(data, &h, sizeof h);
    return GEMEL_OK;
}

static int check_header(const gemel_session *s, const state_header *h, const uint8_t *data, size_t size, errors *e) {
    if (size < sizeof *h || memcmp(h->magic, magic, sizeof magic - 1))
        return fail(e, GEMEL_E_STATE, "these bytes are no saved session");
    if (h->magic[7] != magic[7])
        return fail(e, GEMEL_E_STATE, "the saved session is of another version of gemel: evaluate its text anew");
    if (h->fingerprint != fingerprint(s) || h->n_layer != s->kv.n_layer || h->n_head_kv != s->kv.n_head_kv ||
        h->dim != s->m->h.head_dim || h->n_vocab != s->m->h.n_vocab)
        return fail(e, GEMEL_E_STATE, "the saved session belongs to another model file");
    if (h->kv_type != s->kv.type)
        return fail(e, GEMEL_E_STATE, "the saved session's KV cache is of type %s, this one's is %s: open it with that",
                    h->kv_type == GEMEL_KV_F16    ? "f16"
                    : h->kv_type == GEMEL_KV_Q8_0 ? "q8_0"
                                                  : "unknown",
                    s->kv.type == GEMEL_KV_F16 ? "f16" : "q8_0");
    const char zero[sizeof h->unused] = {0};
    if (h->n_past < 0 || (h->has_logits & ~1) || (h->has_logits && !h->n_past) || h->n_carry < 0 || h->n_carry > 3 ||
        memcmp(h->unused, zero, sizeof zero))
        return fail(e, GEMEL_E_STATE, "the saved session is damaged");
    if (h->n_past > s->n_ctx)
        return fail(e, GEMEL_E_CONTEXT, "the saved session holds %d tokens, this one has room for %d", (int)h->n_past,
                    s->n_ctx);
    if ((size_t)h->n_past > size / sizeof(int32_t))   // where sizes have 32 bits, the next one could wrap
        return fail(e, GEMEL_E_STATE, "the saved session is cut short: %zu bytes for %d tokens", size, (int)h->n_past);
    if (size != total_size(s, h->n_past, h->has_logits))
        return fail(e, GEMEL_E_STATE, "the saved session is cut short or has extra bytes: %zu of %zu", size,
                    total_size(s, h->n_past, h->has_logits));
    if (h->checksum != checksum(h, data + sizeof *h, size - sizeof *h))
        return fail(e, GEMEL_E_STATE, "the saved session is damaged: its checksum differs");
    return GEMEL_OK;
}

// A checksum is easily made: nothing is taken over that no session holds.
static int check_state(const gemel_session *s, const state_header *h, const uint8_t *data, size_t size, errors *e) {
    int code = check_header(s, h, data, size, e);
    if (code < 0) return code;
    for (int i = 0; i < h->n_past; i++) {
        int32_t id;
        memcpy(&id, data + sizeof *h + (size_t)i * sizeof id, sizeof id);
        if (id < 0 || id >= s->m->h.n_vocab)
            return fail(e, GEMEL_E_STATE, "the saved session is damaged: id %d at place %d", (int)id, i);
    }
    data += sizeof *h + ids_size((size_t)h->n_past);
    code = check_kv(s, h->n_past, data, e);
    if (code == GEMEL_OK && h->has_logits &&
        !all_within(data + kv_size(s, h->n_past), s->m->h.n_vocab, -FLT_MAX, FLT_MAX))
        return fail(e, GEMEL_E_STATE, "gemel did not write this saved session: a logit is Inf or NaN");
    return code;
}

int gemel_session_restore(gemel_session *s, const uint8_t *data, size_t size, char *err, size_t err_size) {
    errors e = {err, err_size};
    state_header h = {0};
    if (!s || !data) return fail(&e, GEMEL_E_ARGUMENT, "no session or no data");
    if (size >= sizeof h) memcpy(&h, data, sizeof h);
    int code = check_state(s, &h, data, size, &e);
    if (code < 0) return code;
    if (kv_reserve(&s->kv, h.n_past) < 0) {
        kv_release(&s->kv, s->ahead.n ? s->ahead.n : s->n_past);
        return fail(&e, GEMEL_E_MEMORY, "no memory for the KV cache of %d tokens", (int)h.n_past);
    }
    ahead_drop(s);
    kv_release(&s->kv, h.n_past);
    const uint8_t *at = data + sizeof h;
    memcpy(s->ids, at, (size_t)h.n_past * sizeof(int32_t));
    at += ids_size((size_t)h.n_past);
    copy_kv(s, h.n_past, (uint8_t *)at, 0);
    at += kv_size(s, h.n_past);
    if (h.has_logits) memcpy(s->logits, at, (size_t)s->m->h.n_vocab * sizeof(float));
    s->n_past = h.n_past;
    s->has_logits = h.has_logits;
    s->n_carry = h.n_carry;
    memcpy(s->carry, h.carry, sizeof h.carry);
    return GEMEL_OK;
}
