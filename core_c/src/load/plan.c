// The memory that a model and a session of it will need, from a complete header: by the walk over the slots that later
// hands the memory out.
#include "../arch/rope.h"
#include "../cache/states.h"
#include "../forward/workspace.h"
#include "loader.h"
#include "open.h"

// About the tables of a vocabulary: hashes of texts and of merges are at most a quarter full. Measured on 28 November
// 2026: Gemma 3 takes 17 MB beside its weights, Qwen2.5 20 MB; this gives 17 and 19.
static double words_size(const gguf *g) {
    errors ignored = {0};
    int index;
    size_t n_tokens = 0, n_merges = 0;
    (void)gguf_get_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &index, &n_tokens, &ignored);
    (void)gguf_get_array(g, "tokenizer.ggml.merges", GGUF_STRING, &index, &n_merges, &ignored);
    return 64.0 * (double)(n_tokens + n_merges);
}

// Bytes of the cache of n_ctx positions; a window's table holds no more than its pages.
static double cache_size(const gemel_model *m, int n_ctx, int type) {
    double size = 0;
    for (int i = 0; i < m->n_classes; i++) {
        const kv_class *c = &m->classes[i];
        int most = c->window ? c->window + m->n_batch + 2 * KV_PAGE : n_ctx, n = most < n_ctx ? most : n_ctx;
        size += (double)((n + KV_PAGE - 1) / KV_PAGE) * (double)kv_page_size(c, type);
    }
    return size;
}

// The longest that threads share one row's attention over: see workspace_open.
static double partials_size(const gemel_model *m, int n_ctx, int type) {
    double blocks = (n_ctx + KV_BLOCK - 1) / KV_BLOCK;
    if (m->n_threads == 1 || type != GEMEL_KV_Q8_0) return 0;
    return blocks * (m->totals.n_head * (double)KV_PARTIAL_HEAD + m->totals.v_heads) * sizeof(float);
}

// Streams and logits of the rows that a session evaluates ahead. The automaton of its ids is not counted: at most 180
// bytes for each, of which the cache of a model of half a billion weights takes 6,000 and more.
static double drafts_size(const gemel_model *m, double vocab_row) {
    double logits = AHEAD_MAX * vocab_row;
    if (m->is_encoder) return 0;
    return AHEAD_MAX * (double)m->n_embd * sizeof(float) + (logits < AHEAD_SIZE ? logits : AHEAD_SIZE);
}

// States of recurrent layers: checkpoints, those of a pass, those of rows that are evaluated ahead.
static double states_size(const gemel_model *m) {
    double each = (double)m->n_state * sizeof(float), ahead = AHEAD_MAX * each;
    return each ? each * (states_most(m->n_state) + STATES_BESIDE) + (ahead < AHEAD_SIZE ? ahead : AHEAD_SIZE) : 0;
}

int gemel_loader_plan(gemel_loader *l, int n_ctx, int kv_type, double *out, char *err, size_t err_size) {
    errors e = {err, err_size};
    placement p = {0};
    gemel_model *m;
    const gguf *g;
    if (!out) return fail(&e, GEMEL_E_ARGUMENT, "out is NULL");
    if (kv_type != GEMEL_KV_DEFAULT && kv_type != GEMEL_KV_F32 && kv_type != GEMEL_KV_F16 && kv_type != GEMEL_KV_Q8_0)
        return fail(&e, GEMEL_E_ARGUMENT, "kv_type %d is not a gemel_kv_type", kv_type);
    int code = loader_header(l, &g, &e);
    if (code == GEMEL_OK) code = model_measure(&m, g, loader_threads(l), &p, &e);
    place_close(&p);
    if (code < 0) return code;
    if (kv_type == GEMEL_KV_DEFAULT) kv_type = m->kv_type;
    if (m->is_encoder && kv_type == GEMEL_KV_Q8_0) {
        code = fail(&e, GEMEL_E_UNSUPPORTED, "%s is an encoder: kv_type must be f16 or f32", m->arch->name);
        gemel_model_close(m);
        return code;
    }
    if (n_ctx < 1 || n_ctx > m->n_ctx_train) {
        code = fail(&e, GEMEL_E_ARGUMENT, "n_ctx is %d; it must be 1 to %d", n_ctx, m->n_ctx_train);
        gemel_model_close(m);
        return code;
    }
    double vocab_row = (double)m->output.w.n_panels * 16 * sizeof(float);
    out[GEMEL_PLAN_WEIGHTS] = (double)m->memory_size;
    out[GEMEL_PLAN_HEADER] = (double)gguf_header_size(g) + words_size(g);
    out[GEMEL_PLAN_WORKSPACE] =
        (double)workspace_size(m, m->n_threads) + ROWS_AT_ONCE * vocab_row + partials_size(m, n_ctx, kv_type);
    if (m->is_encoder) out[GEMEL_PLAN_WORKSPACE] += (double)workspace_wide_size(m, n_ctx);
    out[GEMEL_PLAN_SESSION] = n_ctx * (double)sizeof(int32_t) + vocab_row + m->n_embd * (double)sizeof(float);
    out[GEMEL_PLAN_SESSION] += drafts_size(m, vocab_row) + states_size(m);
    out[GEMEL_PLAN_CACHE] = cache_size(m, n_ctx, kv_type);
    out[GEMEL_PLAN_TOTAL] = 0;
    for (int i = 0; i < GEMEL_PLAN_TOTAL; i++) out[GEMEL_PLAN_TOTAL] += out[i];
    gemel_model_close(m);
    return kv_type;
}
