// Settings and facts of a model.
#include "model.h"

int gemel_model_set_isa(gemel_model *m, int isa) {
    if (!m || !gemel_isa_usable(isa)) return GEMEL_E_ARGUMENT;
    m->isa = isa;
    m->k = isa_at(isa)->k;
    costs_forget(&m->costs), costs_forget(&m->drafter_costs);
    return GEMEL_OK;
}

int gemel_model_set_threads(gemel_model *m, int n_threads) {
    if (!m || n_threads < 1 || n_threads > (m->owns_pool ? THREADS_MAX : threads_count(m->pool)))
        return GEMEL_E_ARGUMENT;
    int code = m->owns_pool ? threads_resize(m->pool, n_threads) : GEMEL_OK;
    if (code < 0) return code;
    m->n_threads = n_threads;
    m->pace = (pace){0};
    costs_forget(&m->costs), costs_forget(&m->drafter_costs);
    return GEMEL_OK;
}

int gemel_model_set_draft(gemel_model *m, int draft) {
    if (!m || draft < GEMEL_DRAFT_NONE || draft > GEMEL_DRAFT_ALWAYS) return GEMEL_E_ARGUMENT;
    atomic_store(&m->draft, draft);
    return GEMEL_OK;
}

int gemel_model_after_fork(gemel_model *m) {
    if (!m) return GEMEL_E_ARGUMENT;
    return m->owns_pool ? threads_after_fork(m->pool) : GEMEL_OK;
}

static int threads_used(const gemel_model *m) {
    int count = threads_count(m->pool);
    return m->n_threads < count ? m->n_threads : count;
}

static double cache_size(const gemel_model *m) {
    gemel_model *drafter = atomic_load(&m->drafter);
    return (double)atomic_load(&m->cache_size) + (drafter ? (double)atomic_load(&drafter->cache_size) : 0);
}

static double kv_position(const gemel_model *m, int type) {   // bytes
    double size = 0;
    for (int i = 0; i < m->n_classes; i++) size += (double)kv_page_size(&m->classes[i], type) / KV_PAGE;
    return size;
}

const attention *model_attention(const gemel_model *m) {
    for (int il = 0; il < m->n_layer; il++)
        if (m->layers[il].attn.n_head) return &m->layers[il].attn;
    return &m->layers[0].attn;
}

int gemel_model_get(const gemel_model *m, int field, double *out) {
    if (!m || !out) return GEMEL_E_ARGUMENT;
    const attention *a = model_attention(m);
    switch (field) {
    case GEMEL_MODEL_N_VOCAB: *out = m->n_vocab; break;
    case GEMEL_MODEL_N_CTX_TRAIN: *out = m->n_ctx_train; break;
    case GEMEL_MODEL_N_EMBD: *out = m->n_embd; break;
    case GEMEL_MODEL_N_LAYER: *out = m->n_layer; break;
    case GEMEL_MODEL_N_HEAD: *out = a->n_head; break;
    case GEMEL_MODEL_N_HEAD_KV: *out = a->n_head_kv; break;
    case GEMEL_MODEL_HEAD_DIM: *out = a->k_dim; break;
    case GEMEL_MODEL_N_ROT: *out = a->n_rot; break;
    case GEMEL_MODEL_N_FF: *out = m->layers[0].ff.n_ff; break;
    case GEMEL_MODEL_N_THREADS: *out = threads_used(m); break;
    case GEMEL_MODEL_ISA: *out = m->isa; break;
    case GEMEL_MODEL_WEIGHT_SIZE: *out = (double)m->memory_size; break;
    case GEMEL_MODEL_KV_SIZE: *out = kv_position(m, m->kv_type); break;
    case GEMEL_MODEL_KV_TYPE: *out = m->kv_type; break;
    case GEMEL_MODEL_CACHE_SIZE: *out = cache_size(m); break;
    case GEMEL_MODEL_KV_SIZE_F32: *out = kv_position(m, GEMEL_KV_F32); break;
    case GEMEL_MODEL_KV_SIZE_F16: *out = kv_position(m, GEMEL_KV_F16); break;
    case GEMEL_MODEL_KV_SIZE_Q8_0: *out = kv_position(m, GEMEL_KV_Q8_0); break;
    case GEMEL_MODEL_STATE_SIZE: *out = (double)m->n_state * sizeof(float); break;
    case GEMEL_MODEL_N_PARAMS: *out = m->totals.n_params; break;
    case GEMEL_MODEL_N_BATCH: *out = m->n_batch; break;
    case GEMEL_MODEL_IS_ENCODER: *out = m->is_encoder; break;
    case GEMEL_MODEL_POOLING: *out = m->pooling; break;
    case GEMEL_MODEL_N_SCORES: *out = m->rank.out ? m->rank.n : 0; break;
    case GEMEL_MODEL_RANK_POOLING: *out = m->rank.pooling; break;
    case GEMEL_MODEL_N_TYPES: *out = m->n_types; break;
    case GEMEL_MODEL_DECODE_SIZE: *out = m->totals.decode_size; break;
    case GEMEL_MODEL_DECODE_MACS: *out = m->totals.decode_macs; break;
    case GEMEL_MODEL_PREFILL_MACS: *out = m->totals.prefill_macs; break;
    default:
        if (field < GEMEL_MODEL_BOS || field > GEMEL_MODEL_ADD_EOS) return GEMEL_E_ARGUMENT;
        *out = tokenizer_special(m->tok, field);
    }
    return GEMEL_OK;
}

const gemel_gguf *gemel_model_gguf(const gemel_model *m) { return m ? m->gguf : NULL; }
const char *gemel_model_warning(const gemel_model *m, int i) {
    return m && i >= 0 && i < m->said.n ? m->said.text[i] : NULL;
}
const char *gemel_model_arch(const gemel_model *m) { return m ? m->arch->name : NULL; }
