// A session as bytes and back: header, ids, the KV cache up to n_past, the state of recurrent layers, the logits.
// Little endian; the same bytes on every machine, since the values are. A checksum detects damage, a fingerprint
// another model. Every version of gemel reads the ids of a session that any other saved: the header's fields up to the
// carry, the checksum and the ids stay where they are in every layout.
#include <float.h>
#include <string.h>
#include "../memory.h"
#include "session.h"

typedef struct state_header {
    char magic[8];          // "gemelkv4"
    uint64_t fingerprint;   // of the model file's header, overrides and RoPE table
    uint64_t checksum;      // FNV-1a of all that follows this struct, 8 bytes at a time
    int32_t n_past, has_logits, n_layer, n_head_kv, dim, n_vocab;
    int32_t kv_type, bits;   // GEMEL_BITS of the version that saved it
    char carry[3];
    uint8_t n_carry;
    int32_t state_at;   // ids after which the state is; 0: there is none
} state_header;
_Static_assert(sizeof(state_header) == 64, "the saved layout has no padding");

static const char magic[8] = {'g', 'e', 'm', 'e', 'l', 'k', 'v', '4'};   // the last character counts up with the layout

static size_t ids_size(size_t n) { return (n * sizeof(int32_t) + 7) / 8 * 8; }
// Blocks of a table that are saved for n positions: first..first+count-1, without those that a window has freed.
static int saved_blocks(const kv_table *t, int n, int *first) {
    int blocks = (n + KV_BLOCK - 1) / KV_BLOCK;
    *first = kv_first_seen(t->c->window, t->c->is_chunked, n) / KV_BLOCK;
    return blocks - *first;
}
static size_t kv_size(const gemel_session *s, int n) {
    size_t size = 0;
    for (int k = 0, first; k < s->kv.n_tables; k++) {
        const kv_table *t = &s->kv.tables[k];
        size += (size_t)saved_blocks(t, n, &first) * (size_t)t->c->n_heads * t->block_size;
    }
    return size;
}
static size_t logits_size(const gemel_session *s) { return ((size_t)s->m->n_vocab * sizeof(float) + 7) / 8 * 8; }
static size_t state_size(const gemel_session *s, int state_at) {
    return state_at ? (s->states.n * sizeof(float) + 7) / 8 * 8 : 0;
}
static size_t total_size(const gemel_session *s, int n_past, int state_at, int has_logits) {
    return sizeof(state_header) + ids_size((size_t)n_past) + kv_size(s, n_past) + state_size(s, state_at) +
           (has_logits ? logits_size(s) : 0);
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

// A walk over the saved blocks, in the order table, head, position.
typedef struct block_walk {
    const gemel_session *s;
    int n_past;
    uint8_t *at;              // the block's place in the saved bytes
    int table, head, block;   // block: -1 before the first
} block_walk;

// The next block; returns how many of its positions count, or 0 at the end.
static int next_block(block_walk *w) {
    const kv_cache *kv = &w->s->kv;
    int first;
    if (w->block >= 0) w->at += kv->tables[w->table].block_size;
    for (w->block++; w->table < kv->n_tables; w->table++, w->head = 0, w->block = 0)
        for (; w->head < kv->tables[w->table].c->n_heads; w->head++, w->block = 0) {
            int end = saved_blocks(&kv->tables[w->table], w->n_past, &first) + first;
            if (w->block < first) w->block = first;
            int left = w->n_past - w->block * KV_BLOCK;
            if (w->block < end) return left < KV_BLOCK ? left : KV_BLOCK;
        }
    return 0;
}

// The layer that block w is of.
static int layer_of(const block_walk *w, int *head) {
    const gemel_model *m = w->s->m;
    for (int il = 0; il < m->n_layer; il++) {
        const attention *a = &m->layers[il].attn;
        *head = w->head - a->cache_at;
        if (a->cache_class == w->table && *head >= 0 && *head < a->n_head_kv) return il;
    }
    return -1;
}

static int check_kv(const gemel_session *s, int n_past, const uint8_t *at, errors *e) {
    block_walk w = {.s = s, .n_past = n_past, .at = (uint8_t *)at, .block = -1};
    for (int n; (n = next_block(&w)) > 0;) {
        const char *wrong = kv_block_wrong(&s->kv.tables[w.table].layout, w.at, n);
        if (!wrong) continue;
        int head = 0, il = layer_of(&w, &head);
        return fail(e, GEMEL_E_STATE, "the saved session is corrupt: layer %d, head %d, positions %d to %d: %s", il,
                    head, w.block * KV_BLOCK, w.block * KV_BLOCK + n - 1, wrong);
    }
    return GEMEL_OK;
}

// ---- Copying -------------------------------------------------------------------------------------------------------

// Copy the KV cache between its pages and consecutive bytes. Everything behind the last position becomes zero.
static void copy_kv(const gemel_session *s, int n_past, uint8_t *at, int is_save) {
    block_walk w = {.s = s, .n_past = n_past, .at = at, .block = -1};
    for (int n; (n = next_block(&w)) > 0;) {
        const kv_table *t = &s->kv.tables[w.table];
        uint8_t *block = t->pages[w.block] + kv_head_at(&s->kv, w.table, w.head);
        memcpy(is_save ? w.at : block, is_save ? block : w.at, t->block_size);
        kv_block_clear(&t->layout, is_save ? w.at : block, n);
    }
}

// Of the model's file with its overrides, and of the longrope table in use.
static uint64_t fingerprint(const gemel_session *s) { return gguf_fingerprint(s->m->gguf) ^ (uint64_t)s->kv.is_long; }

// Logits that have not been computed yet are computed and saved.
size_t gemel_session_save_size(gemel_session *s) {
    if (!s) return 0;
    if (s->has_stream) (void)session_make_logits(s);
    return total_size(s, s->n_past, states_at(&s->states), s->has_logits);
}

int gemel_session_save(gemel_session *s, uint8_t *data, size_t capacity) {
    if (!s || !data || capacity < gemel_session_save_size(s)) return GEMEL_E_ARGUMENT;
    state_header h = {.fingerprint = fingerprint(s),
                      .n_past = s->n_past,
                      .has_logits = s->has_logits,
                      .n_layer = s->m->n_layer,
                      .n_head_kv = model_attention(s->m)->n_head_kv,
                      .dim = model_attention(s->m)->k_dim,
                      .n_vocab = s->m->n_vocab,
                      .kv_type = s->kv.type,
                      .bits = GEMEL_BITS,
                      .n_carry = (uint8_t)s->n_carry,
                      .state_at = states_at(&s->states)};
    size_t total = gemel_session_save_size(s), n = (size_t)s->n_past;
    uint8_t *at = data + sizeof h;
    memset(data, 0, sizeof h + ids_size(n));
    memcpy(at, s->ids, n * sizeof(int32_t));
    at += ids_size(n);
    copy_kv(s, s->n_past, at, 1);
    at += kv_size(s, s->n_past);
    memset(at, 0, state_size(s, h.state_at));
    if (h.state_at) memcpy(at, state_floats(s->states.now), s->states.n * sizeof(float));
    at += state_size(s, h.state_at);
    if (s->has_logits) {
        memset(at, 0, logits_size(s));
        memcpy(at, s->logits, (size_t)s->m->n_vocab * sizeof(float));
    }
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.carry, s->carry, (size_t)s->n_carry);
    h.checksum = checksum(&h, data + sizeof h, total - sizeof h);
    memcpy(data, &h, sizeof h);
    return GEMEL_OK;
}

static int all_finite(const uint8_t *p, size_t n) {   // floats, which need not be aligned
    int is_good = 1;
    for (size_t i = 0; i < n; i++, p += sizeof(float)) {
        float x;
        memcpy(&x, p, sizeof x);
        is_good &= x >= -FLT_MAX && x <= FLT_MAX;
    }
    return is_good;
}

static const char *type_name(int type) {
    return type == GEMEL_KV_F32 ? "f32" : type == GEMEL_KV_F16 ? "f16" : type == GEMEL_KV_Q8_0 ? "q8_0" : "unknown";
}

static int is_saved(const state_header *h, size_t size) {   // with the ids where they are here; '4' was the first
    return size >= sizeof *h && !memcmp(h->magic, magic, sizeof magic - 1) && h->magic[7] >= '4';
}
static int is_current(const state_header *h) { return h->magic[7] == magic[7] && h->bits == GEMEL_BITS; }

static int check_model(const gemel_session *s, const state_header *h, errors *e) {
    const rope_table *t = &s->m->ropes[0];
    if (t->scaling == SCALING_LONGROPE && h->fingerprint == (fingerprint(s) ^ 1))
        return fail(e, GEMEL_E_STATE, "the saved session used longrope's other RoPE table: restore it with n_ctx %s %d",
                    s->kv.is_long ? "of at most" : "over", t->n_ctx_orig);
    if (h->fingerprint != fingerprint(s) || h->n_layer != s->m->n_layer ||
        h->n_head_kv != model_attention(s->m)->n_head_kv || h->dim != model_attention(s->m)->k_dim ||
        h->n_vocab != s->m->n_vocab)
        return fail(e, GEMEL_E_STATE,
                    "the saved session belongs to another model file, or to this one with different overrides");
    if (h->kv_type != s->kv.type)
        return fail(e, GEMEL_E_STATE,
                    "the saved session's KV cache is %s, but this session's is %s: open it with kv_type %s",
                    type_name(h->kv_type), type_name(s->kv.type), type_name(h->kv_type));
    return GEMEL_OK;
}

// What every layout has: a session of this model with so many ids, undamaged.
static int check_header(const gemel_session *s, const state_header *h, const uint8_t *data, size_t size, errors *e) {
    if (!is_saved(h, size)) return fail(e, GEMEL_E_STATE, "these bytes are not a saved session");
    int code = check_model(s, h, e);
    if (code < 0) return code;
    if (h->n_past < 0 || (is_current(h) && (h->state_at < 0 || h->state_at > (s->states.n ? h->n_past : 0) ||
                                            (h->has_logits & ~1) || (h->has_logits && !h->n_past) || h->n_carry > 3)))
        return fail(e, GEMEL_E_STATE, "the saved session is damaged: its header has impossible values");
    if (h->n_past > s->n_ctx)
        return fail(e, GEMEL_E_CONTEXT,
                    "the saved session has %d tokens, but this session's n_ctx is %d: open it with a larger n_ctx",
                    (int)h->n_past, s->n_ctx);
    if ((size_t)h->n_past > (size - sizeof *h) / sizeof(int32_t))   // on 32-bit hosts the next size could wrap
        return fail(e, GEMEL_E_STATE, "the saved session is truncated: %zu bytes for %d tokens", size, (int)h->n_past);
    size_t total = is_current(h) ? total_size(s, h->n_past, h->state_at, h->has_logits) : size;
    if (size != total)
        return fail(e, GEMEL_E_STATE, "the saved session is truncated or has extra bytes: %zu of %zu", size, total);
    if (h->checksum != checksum(h, data + sizeof *h, size - sizeof *h))
        return fail(e, GEMEL_E_STATE, "the saved session is damaged: its checksum differs");
    return GEMEL_OK;
}

static int check_ids(const gemel_session *s, const state_header *h, const uint8_t *data, int state_at, errors *e) {
    for (int i = 0; i < h->n_past; i++) {
        int32_t id;
        memcpy(&id, data + sizeof *h + (size_t)i * sizeof id, sizeof id);
        int least = i >= state_at ? 0 : -1;   // -1: an embedding, which can't be evaluated again
        if (id == -1 && !is_current(h))
            return fail(e, GEMEL_E_STATE,
                        "another version of gemel saved this session, and position %d is an "
                        "embedding: evaluate its text and embeddings again",
                        i);
        if (id < least || id >= s->m->n_vocab)
            return fail(e, GEMEL_E_STATE, "the saved session is corrupt: id %d at index %d", (int)id, i);
    }
    return GEMEL_OK;
}

// A checksum can be forged: refuse values that no session has.
static int check_state(const gemel_session *s, const state_header *h, const uint8_t *data, size_t size, errors *e) {
    int code = check_header(s, h, data, size, e);
    if (code < 0) return code;
    if (!is_current(h))
        return fail(e, GEMEL_E_STATE,
                    "another version of gemel saved this session, with other bits: evaluate its ids again");
    code = check_ids(s, h, data, s->states.n ? h->state_at : h->n_past, e);
    if (code < 0) return code;
    data += sizeof *h + ids_size((size_t)h->n_past);
    code = check_kv(s, h->n_past, data, e);
    if (code < 0) return code;
    data += kv_size(s, h->n_past);
    if (h->state_at && !all_finite(data, s->states.n))
        return fail(e, GEMEL_E_STATE, "the saved session is corrupt: a number of the recurrent layers is Inf or NaN");
    if (h->has_logits && !all_finite(data + state_size(s, h->state_at), (size_t)s->m->n_vocab))
        return fail(e, GEMEL_E_STATE, "the saved session is corrupt: a logit is Inf or NaN");
    return code;
}

int gemel_session_saved_elsewhere(const uint8_t *data, size_t size) {
    state_header h = {0};
    if (!data) return GEMEL_E_ARGUMENT;
    if (size >= sizeof h) memcpy(&h, data, sizeof h);
    return is_saved(&h, size) && !is_current(&h);
}

int gemel_session_saved_ids(const gemel_session *s, const uint8_t *data, size_t size, int32_t *to, size_t capacity,
                            char *err, size_t err_size) {
    errors e = {err, err_size};
    state_header h = {0};
    if (!s || !data || (!to && capacity)) return fail(&e, GEMEL_E_ARGUMENT, "the session, the data or ids is NULL");
    if (size >= sizeof h) memcpy(&h, data, sizeof h);
    int code = check_header(s, &h, data, size, &e);
    if (code >= 0) code = check_ids(s, &h, data, h.n_past, &e);
    if (code < 0) return code;
    size_t n = (size_t)h.n_past < capacity ? (size_t)h.n_past : capacity;
    if (n) memcpy(to, data + sizeof h, n * sizeof(int32_t));
    return h.n_past;
}

int gemel_session_restore(gemel_session *s, const uint8_t *data, size_t size, char *err, size_t err_size) {
    errors e = {err, err_size};
    state_header h = {0};
    if (!s || !data) return fail(&e, GEMEL_E_ARGUMENT, "the session or the data is NULL");
    if (size >= sizeof h) memcpy(&h, data, sizeof h);
    int code = check_state(s, &h, data, size, &e);
    if (code < 0) return code;
    if (h.has_logits && !s->logits) s->logits = memory_get((size_t)s->m->output.w.n_panels * 16 * sizeof(float));
    state *now = h.state_at ? states_get(&s->states, h.state_at) : NULL;
    if ((h.has_logits && !s->logits) || (h.state_at && !now) || kv_reserve(&s->kv, 0, h.n_past) < 0) {
        states_drop(&s->states, now);
        return fail(&e, GEMEL_E_MEMORY, "no memory for the KV cache of %d tokens", (int)h.n_past);
    }
    preload_drop(s);
    ahead_drop(s);
    kv_release(&s->kv, h.n_past);
    session_forget_last(s);
    const uint8_t *at = data + sizeof h;
    memcpy(s->ids, at, (size_t)h.n_past * sizeof(int32_t));
    at += ids_size((size_t)h.n_past);
    copy_kv(s, h.n_past, (uint8_t *)at, 0);
    kv_forget(&s->kv, h.n_past);   // not saved
    at += kv_size(s, h.n_past);
    states_back(&s->states, 0);
    if (now) memcpy(state_floats(now), at, s->states.n * sizeof(float)), states_take(&s->states, now, 1);
    at += state_size(s, h.state_at);
    if (h.has_logits) {   // finite: check_state
        memcpy(s->logits, at, (size_t)s->m->n_vocab * sizeof(float));
        (void)s->m->k->peak(s->logits, s->m->n_vocab, &s->peak.max, &s->peak.at);
    }
    s->n_past = h.n_past;
    s->has_logits = h.has_logits;
    s->n_carry = h.n_carry;
    memcpy(s->carry, h.carry, h.n_carry);
    return GEMEL_OK;
}
