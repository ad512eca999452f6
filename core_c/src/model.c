#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cache/kv.h"
#include "memory.h"
#include "model_open.h"
#include "sample/sampler.h"

enum { N_BATCH = 128 };

// ---- Open ----------------------------------------------------------------------------------------------------------

typedef struct plan {   // the walk over all slots, done twice: to measure, then to hand out memory
    gemel_model *m;
    const gguf *g;
    destination *to;
    errors *e;
    uint64_t size;   // bytes handed out so far
    int n_used;      // tensors that found a slot
} plan;

static const char *tensor_name(const gguf_tensor *t, printable *p) {
    *p = printable_name(t->name.at, t->name.size);
    return p->text;
}

static int check_shape(plan *p, const tensor_slot *s, const gguf_tensor *t) {
    printable name;
    uint64_t n_in = (uint64_t)slot_dim(&p->m->h, s->n_in), n_out = (uint64_t)slot_dim(&p->m->h, s->n_out);
    int n_dims = s->kind == SLOT_MATRIX ? 2 : 1;
    if (t->ne[0] != n_in || t->ne[1] != n_out || t->ne[2] != 1 || t->ne[3] != 1)
        return fail(p->e, GEMEL_E_FORMAT,
                    "the tensor %s is [%llu, %llu, %llu, %llu]; the metadata asks for [%llu, %llu]",
                    tensor_name(t, &name), (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                    (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], (unsigned long long)n_in,
                    (unsigned long long)n_out);
    if (t->n_dims > n_dims && s->kind == SLOT_VECTOR && t->ne[1] != 1)
        return fail(p->e, GEMEL_E_FORMAT, "the tensor %s has %d dimensions; 1 was expected", tensor_name(t, &name),
                    t->n_dims);
    if (!gemel_format_computed(t->type))
        return fail(p->e, GEMEL_E_UNSUPPORTED, "the tensor %s is of type %s, which is not computed",
                    tensor_name(t, &name), gemel_format_name(t->type) ? gemel_format_name(t->type) : "unknown");
    return GEMEL_OK;
}

static uint64_t round_up(uint64_t n) { return (n + 63) / 64 * 64; }

// Give slot s of `base`, which is layer il's or the model's, stored in the file as `name`, its place.
static int place(plan *p, void *base, const tensor_slot *s, const char *name, int il) {
    int index = gguf_tensor_find(p->g, name);
    if (index < 0 && s->is_required) return fail(p->e, GEMEL_E_FORMAT, "the tensor %s is missing", name);
    if (index < 0) return GEMEL_OK;
    const gguf_tensor *t = gguf_tensor_at(p->g, index);
    int code = check_shape(p, s, t);
    if (code < 0) return code;
    uint8_t *at = p->m->memory ? p->m->memory + p->size : NULL;
    p->n_used++;
    p->to[index].il = il;
    if (s->kind == SLOT_VECTOR) {
        p->size += round_up(t->ne[0] * sizeof(float));
        if (at) *slot_vector(base, s) = p->to[index].v = (float *)at;
        return GEMEL_OK;
    }
    weight *w = slot_weight(base, s);
    *w = (weight){.type = t->type,
                  .n_in = (int)t->ne[0],
                  .n_out = (int)t->ne[1],
                  .n_panels = (int)((t->ne[1] + 15) / 16),
                  .data = at};
    w->panel_size = panel_size_of(t->type, w->n_in);
    p->size += round_up((uint64_t)w->n_panels * w->panel_size);
    p->to[index].w = w;
    return GEMEL_OK;
}

static int place_all(plan *p) {
    p->size = 0;
    p->n_used = 0;
    char name[96];
    int code = GEMEL_OK, il = -1;
    for (const tensor_slot *s = model_slots; s->name && code == GEMEL_OK; s++) {
        if (s->at == offsetof(gemel_model, output_norm))   // layers lie between the embedding and the output
            for (il = 0; il < p->m->h.n_layer && code == GEMEL_OK; il++)
                for (const tensor_slot *l = layer_slots; l->name && code == GEMEL_OK; l++) {
                    snprintf(name, sizeof name, "blk.%d.%s", il, l->name);
                    code = place(p, &p->m->layers[il], l, name, il);
                }
        if (code == GEMEL_OK) code = place(p, p->m, s, s->name, il);
    }
    return code;
}

// Every tensor of the file must have found a slot: one that is left over would change the result.
static int check_leftover(plan *p) {
    printable name;
    for (int i = 0; i < gguf_n_tensors(p->g); i++)
        if (!p->to[i].w && !p->to[i].v)
            return fail(p->e, GEMEL_E_UNSUPPORTED, "the tensor %s is no part of what is computed for architecture %s",
                        tensor_name(gguf_tensor_at(p->g, i), &name), p->m->h.arch->name);
    return GEMEL_OK;
}

static int take_memory(plan *p) {
    int code = place_all(p);
    if (code < 0) return code;
    p->m->memory_size = (size_t)p->size;
    p->m->memory = p->size < SIZE_MAX / 2 ? memory_get((size_t)p->size) : NULL;
    if (!p->m->memory) return fail(p->e, GEMEL_E_MEMORY, "no memory for %.0f MB of weights", (double)p->size / 1e6);
    code = place_all(p);
    return code < 0 ? code : check_leftover(p);
}

static void count_weight(gemel_model *m, const weight *w) {
    m->decode_size += (double)w->panel_size * w->n_panels;
    m->decode_macs += (double)w->n_in * w->n_out;
    const panel_kind *k = panel_kind_of(w->type);
    m->has_halves |= k && k->sub == 16;
}

// What is known of the weights before they are in.
static void count_all(gemel_model *m, const gguf *g) {
    for (int il = 0; il < m->h.n_layer; il++)
        for (const tensor_slot *s = layer_slots; s->name; s++)
            if (s->kind == SLOT_MATRIX) count_weight(m, slot_weight(&m->layers[il], s));
    m->prefill_macs = m->decode_macs;
    count_weight(m, &m->output);
    for (int i = 0; i < gguf_n_tensors(g); i++) {
        const uint64_t *ne = gguf_tensor_at(g, i)->ne;
        m->n_params += (double)ne[0] * (double)ne[1] * (double)ne[2] * (double)ne[3];
    }
}

static int fill(plan *p, threads *pool, int n_threads, int isa) {
    gemel_model *m = p->m;
    int code = hparams_read(&m->h, p->g, p->e);
    if (code < 0) return code;
    m->layers = calloc((size_t)m->h.n_layer, sizeof *m->layers);
    if (!m->layers) return fail(p->e, GEMEL_E_MEMORY, "no memory for %d layers", m->h.n_layer);
    code = tokenizer_open(&m->tok, p->g, p->e);
    if (code < 0) return code;
    if (tokenizer_n_vocab(m->tok) != m->h.n_vocab)
        return fail(p->e, GEMEL_E_FORMAT, "tokenizer.ggml.tokens has %d entries, but token_embd.weight %d rows",
                    tokenizer_n_vocab(m->tok), m->h.n_vocab);
    code = take_memory(p);
    if (code < 0) return code;
    m->is_tied = !m->output.data;
    model_tie(m);
    count_all(m, p->g);
    if (m->h.scaling == SCALING_LONGROPE && (!m->rope_long || !m->rope_short))
        return fail(p->e, GEMEL_E_FORMAT,
                    "longrope needs the tensors rope_factors_long.weight and rope_factors_short.weight");
    code = gemel_model_set_isa(m, isa);
    if (code < 0) return fail(p->e, code, "the ISA row %d is not usable here", isa);
    m->n_threads = n_threads;
    m->owns_pool = !pool;
    m->pool = pool;
    code = pool ? GEMEL_OK : threads_open(&m->pool, n_threads);
    return code < 0 ? fail(p->e, code, "%d threads were refused", n_threads) : GEMEL_OK;
}

int model_open(gemel_model **out, gguf *g, threads *pool, int n_threads, int isa, destination *to, errors *e) {
    plan p = {.m = calloc(1, sizeof(gemel_model)), .g = g, .to = to, .e = e};
    if (!p.m) return fail(e, GEMEL_E_MEMORY, "no memory for a model");
    p.m->n_batch = N_BATCH;
    atomic_init(&p.m->n_whole, -1);
    atomic_init(&p.m->is_whole, 0);
    int code = fill(&p, pool, n_threads, isa);
    if (code < 0) {
        gemel_model_close(p.m);
        return code;
    }
    p.m->gguf = g;
    *out = p.m;
    return GEMEL_OK;
}

void model_tie(gemel_model *m) {
    if (m->is_tied) m->output = m->token_embd;
}

void gemel_model_close(gemel_model *m) {
    if (!m) return;
    if (m->owns_pool) threads_close(m->pool);
    tokenizer_close(m->tok);
    memory_free(m->memory);
    free(m->layers);
    gguf_close(m->gguf);
    free(m);
}

// ---- Settings and facts --------------------------------------------------------------------------------------------

int gemel_model_set_isa(gemel_model *m, int isa) {
    if (!m || !gemel_isa_usable(isa)) return GEMEL_E_ARGUMENT;
    m->isa = isa;
    m->k = isa_at(isa)->k;
    return GEMEL_OK;
}

int gemel_model_set_threads(gemel_model *m, int n_threads) {
    if (!m || n_threads < 1 || n_threads > (m->owns_pool ? THREADS_MAX : threads_count(m->pool)))
        return GEMEL_E_ARGUMENT;
    int code = m->owns_pool ? threads_resize(m->pool, n_threads) : GEMEL_OK;
    if (code < 0) return code;
    m->n_threads = n_threads;
    m->pace = (pace){0};
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

static double kv_position(const hparams *h, int type) {   // bytes
    return (double)h->n_layer * h->n_head_kv * (double)(kv_head_size(type, h->head_dim, KV_PAGE) / KV_PAGE);
}

int gemel_model_get(const gemel_model *m, int field, double *out) {
    if (!m || !out) return GEMEL_E_ARGUMENT;
    const hparams *h = &m->h;
    switch (field) {
    case GEMEL_MODEL_N_VOCAB: *out = h->n_vocab; break;
    case GEMEL_MODEL_N_CTX_TRAIN: *out = h->n_ctx_train; break;
    case GEMEL_MODEL_N_EMBD: *out = h->n_embd; break;
    case GEMEL_MODEL_N_LAYER: *out = h->n_layer; break;
    case GEMEL_MODEL_N_HEAD: *out = h->n_head; break;
    case GEMEL_MODEL_N_HEAD_KV: *out = h->n_head_kv; break;
    case GEMEL_MODEL_HEAD_DIM: *out = h->head_dim; break;
    case GEMEL_MODEL_N_ROT: *out = h->n_rot; break;
    case GEMEL_MODEL_N_FF: *out = h->n_ff; break;
    case GEMEL_MODEL_N_THREADS: *out = threads_used(m); break;
    case GEMEL_MODEL_ISA: *out = m->isa; break;
    case GEMEL_MODEL_WEIGHT_SIZE: *out = (double)m->memory_size; break;
    case GEMEL_MODEL_KV_SIZE: *out = kv_position(h, GEMEL_KV_DEFAULT); break;
    case GEMEL_MODEL_KV_SIZE_F16: *out = kv_position(h, GEMEL_KV_F16); break;
    case GEMEL_MODEL_KV_SIZE_Q8_0: *out = kv_position(h, GEMEL_KV_Q8_0); break;
    case GEMEL_MODEL_N_PARAMS: *out = m->n_params; break;
    case GEMEL_MODEL_N_BATCH: *out = m->n_batch; break;
    case GEMEL_MODEL_DECODE_SIZE: *out = m->decode_size; break;
    case GEMEL_MODEL_DECODE_MACS: *out = m->decode_macs; break;
    case GEMEL_MODEL_PREFILL_MACS: *out = m->prefill_macs; break;
    default:
        if (field < GEMEL_MODEL_BOS || field > GEMEL_MODEL_ADD_EOS) return GEMEL_E_ARGUMENT;
        *out = tokenizer_special(m->tok, field);
    }
    return GEMEL_OK;
}

const gemel_gguf *gemel_model_gguf(const gemel_model *m) { return m ? m->gguf : NULL; }
const char *gemel_model_arch(const gemel_model *m) { return m ? m->h.arch->name : NULL; }
