// A llama of N_LAYER (1 or 3, defined by the includer) layers of F32 as GGUF bytes, and the calls that open it, through
// gemel.h alone. Weights are random, small and the same each time.
#pragma once
#include "toy.h"

enum { N_VOCAB = 24, N_EMBD = 16, N_FF = 20, DIM = 8, N_CTX = 400, N_TENSORS = 3 + 9 * N_LAYER };

// ---- A model as bytes ----------------------------------------------------------------------------------------------

typedef struct shape {
    const char *name;
    int n_in, n_out;   // n_out 0: a vector
} shape;
// clang-format off
#define LAYER(il)                                                                                                      \
    {"blk." #il ".attn_norm.weight", N_EMBD, 0},                                                                       \
    {"blk." #il ".attn_q.weight", N_EMBD, 2 * DIM}, {"blk." #il ".attn_k.weight", N_EMBD, DIM},                        \
    {"blk." #il ".attn_v.weight", N_EMBD, DIM}, {"blk." #il ".attn_output.weight", 2 * DIM, N_EMBD},                   \
    {"blk." #il ".ffn_norm.weight", N_EMBD, 0},                                                                        \
    {"blk." #il ".ffn_gate.weight", N_EMBD, N_FF}, {"blk." #il ".ffn_up.weight", N_EMBD, N_FF},                        \
    {"blk." #il ".ffn_down.weight", N_FF, N_EMBD}
// clang-format on
static const shape SHAPES[N_TENSORS] = {
    {"token_embd.weight", N_EMBD, N_VOCAB},
    LAYER(0),
#if N_LAYER == 3
    LAYER(1),
    LAYER(2),
#endif
    {"output_norm.weight", N_EMBD, 0},
    {"output.weight", N_EMBD, N_VOCAB},
};

typedef struct file {
    bytes b;
    size_t start[N_TENSORS], size[N_TENSORS];   // of each tensor's data; of one that was left out: 0
} file;

static inline void put_llama(bytes *b, const char *key, uint32_t value) {
    char name[80];
    snprintf(name, sizeof name, "llama.%s", key);
    put_text(b, name);
    put_u32(b, GGUF_U32);
    put_u32(b, value);
    b->n_kv++;
}

static inline void put_epsilon(bytes *b) {
    float value = 1e-5f;
    put_text(b, "llama.attention.layer_norm_rms_epsilon");
    put_u32(b, GGUF_F32);
    put(b, &value, sizeof value);
    b->n_kv++;
}

static inline void put_keys(bytes *b, int n_head, int n_rot) {
    static const char *tokens[N_VOCAB];
    static char letters[N_VOCAB][2];
    for (int i = 0; i < N_VOCAB; i++) letters[i][0] = (char)('a' + i), tokens[i] = letters[i];
    put_text(b, "general.architecture");
    put_u32(b, GGUF_STRING);
    put_text(b, "llama");
    b->n_kv++;
    put_llama(b, "context_length", N_CTX);
    put_llama(b, "embedding_length", N_EMBD);
    put_llama(b, "block_count", N_LAYER);
    put_llama(b, "feed_forward_length", N_FF);
    put_llama(b, "attention.head_count", (uint32_t)n_head);
    put_llama(b, "attention.head_count_kv", 1);
    put_llama(b, "rope.dimension_count", (uint32_t)n_rot);
    put_epsilon(b);
    put_text_pair(b, "model", "gpt2");
    put_text_pair(b, "pre", "gpt-2");
    put_texts(b, "tokens", tokens, N_VOCAB);
    put_texts(b, "merges", tokens, 0);
}

static inline void put_data(bytes *b, int i, uint64_t *rng) {
    int n = SHAPES[i].n_in * (SHAPES[i].n_out ? SHAPES[i].n_out : 1);
    for (int k = 0; k < n; k++) {
        float x = (float)(check_random(rng) >> 40) * 0x1p-24f - 0.5f;   // -0.5..0.5
        x = SHAPES[i].n_out ? x : 1 + x;
        put(b, &x, sizeof x);
    }
    while (b->n % 32) put(b, "", 1);
}

// `without` is left out and `wider` has one column more (-1: none); others are as SHAPES says.
static inline file write_file(int without, int wider) {
    file f = {{NULL, 0, 0, 0}, {0}, {0}};
    uint64_t offset = 0, rng = 7;
    put(&f.b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    put_keys(&f.b, 2, DIM);
    for (int i = 0; i < N_TENSORS; i++) {
        if (i == without) continue;
        int n_in = SHAPES[i].n_in + (i == wider), n_out = SHAPES[i].n_out;
        put_text(&f.b, SHAPES[i].name);
        put_u32(&f.b, n_out ? 2 : 1);
        put_u64(&f.b, (uint64_t)n_in);
        if (n_out) put_u64(&f.b, (uint64_t)n_out);
        put_u32(&f.b, 0);
        put_u64(&f.b, offset);
        f.start[i] = (size_t)offset;
        f.size[i] = 4 * (size_t)n_in * (size_t)(n_out ? n_out : 1);
        offset += (f.size[i] + 31) / 32 * 32;
    }
    uint64_t n_tensors = (uint64_t)(N_TENSORS - (without >= 0));
    memcpy(f.b.at + 8, &n_tensors, 8);
    memcpy(f.b.at + 16, &f.b.n_kv, 8);
    while (f.b.n % 32) put(&f.b, "", 1);
    size_t data = f.b.n;
    for (int i = 0; i < N_TENSORS; i++) f.start[i] += data;
    for (int i = 0; i < N_TENSORS; i++)
        if (i != without) put_data(&f.b, i, &rng);
    while (f.b.n < data + offset) put(&f.b, "", 1);   // the wider tensor's
    return f;
}

// ---- Opening -------------------------------------------------------------------------------------------------------

static char err[1024];

// Feed the header and begin; returns the code of begin.
static inline int begin(gemel_loader **l, const file *f) {
    err[0] = 0;
    CHECK_EQ_INT(gemel_loader_open((double)f->b.n, l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_feed(*l, 0, f->b.at, f->b.n, err, sizeof err), 0);
    return gemel_loader_begin(*l, err, sizeof err);
}

static inline int feed(gemel_loader *l, const file *f, size_t from, size_t to) {
    return gemel_loader_feed(l, (double)from, f->b.at + from, to - from, err, sizeof err);
}

static inline int feed_tensor(gemel_loader *l, const file *f, int i) {
    return feed(l, f, f->start[i], f->start[i] + f->size[i]);
}

static inline gemel_model *finish(gemel_loader *l) {
    gemel_model *m = NULL;
    CHECK_EQ_INT(gemel_loader_finish(l, &m, err, sizeof err), 0);
    gemel_loader_close(l);
    CHECK_EQ_INT(gemel_model_set_draft(m, GEMEL_DRAFT_NONE), 0);   // else codes of steps depend on times
    return m;
}

static inline gemel_model *open_model(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    free(f.b.at);
    return finish(l);
}

static int kv_type = GEMEL_KV_Q8_0;   // of the sessions opened here
static inline gemel_session *open_session(gemel_model *m) {
    gemel_session *s = NULL;
    CHECK_EQ_INT(gemel_session_open(m, N_CTX, &s), 0);
    CHECK_EQ_INT(gemel_session_set(s, GEMEL_SESSION_KV_TYPE, kv_type), 0);
    return s;
}

// The next id of each of n sessions in one pass, with logits.
static inline int decode(gemel_model *m, gemel_session *const *s, const int32_t *next, size_t n, int32_t *codes) {
    int32_t ones[256];
    for (int i = 0; i < 256; i++) ones[i] = 1;
    return gemel_model_step(m, s, ones, next, NULL, n, GEMEL_STEP_LOGITS, NULL, NULL, 0, NULL, codes, NULL, NULL, NULL);
}

static inline void close_both(gemel_session *s, gemel_model *m) {
    gemel_session_close(s);
    gemel_model_close(m);
}

static int32_t ids[N_CTX + 1];
static inline void choose_ids(void) {
    uint64_t rng = 3;
    for (int i = 0; i <= N_CTX; i++) ids[i] = (int32_t)(check_random(&rng) % N_VOCAB);
}

// Logits of the last of n ids, by a new session.
static inline void logits_of(gemel_model *m, size_t n, float *out) {
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_eval(s, ids, n), n);
    memcpy(out, gemel_session_logits(s), N_VOCAB * sizeof *out);
    gemel_session_close(s);
}

static inline int has_logits(gemel_session *s, const float *wanted) {
    const float *got = gemel_session_logits(s);
    return got && !memcmp(got, wanted, N_VOCAB * sizeof *got);
}
