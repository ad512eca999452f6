#include "arch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "bounds.h"
#include "delta.h"
#include "experts.h"
#include "keys.h"
#include "layer_state.h"
#include "mamba.h"
#include "rwkv.h"
#include "tune.h"

#define HAS_GATED 0
#define HAS_ATTENTION 0
#define HAS_MAMBA 0
#define HAS_MAMBA2 0
#define HAS_BOTH 0
#define HAS_NONE 0
#define HAS_RWKV TIME_MIX
#define HAS_CHANNEL CHANNEL_MIX
#define ARCH(name, rope, norm, act, mixer, ffn, properties, tune)                                                      \
    {#name,                                                                                                            \
     ROPE_##rope,                                                                                                      \
     NORM_##norm,                                                                                                      \
     ACT_##act,                                                                                                        \
     MIXER_##mixer,                                                                                                    \
     FFN_##ffn,                                                                                                        \
     HAS_ALL | HAS_##mixer | HAS_##ffn | properties,                                                                   \
     tune},
static const arch archs[] = {
#include "archs.def"
};
#undef ARCH
enum { N_ARCHS = sizeof archs / sizeof *archs };

enum { ROPES_MAX = 2 };

// What an architecture that is not supported lacks here, where that is known.
static const char *lacks(gguf_span name) {
    return span_is(name, "gemma3n") ? ": gemel has no layers with four residual streams per token (AltUp)" : "";
}

static int find_arch(gemel_model *m, const gguf *g, errors *e) {
    char known[2048] = "";
    gguf_span name;
    int got = gguf_get_string(g, "general.architecture", &name, e);
    if (got < 0) return got;
    if (!got) return fail(e, GEMEL_E_FORMAT, "the metadata key general.architecture is missing");
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (span_is(name, archs[i].name)) m->arch = &archs[i];
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", archs[i].name);
    }
    if (m->arch) return GEMEL_OK;
    return fail(e, GEMEL_E_UNSUPPORTED,
                "the architecture \"%s\" (general.architecture) is not supported%s (supported: %s)",
                printable_name(name.at, name.size).text, lacks(name), known);
}

// The file's tokens; 0: it has no such array, which the tokenizer refuses.
static double count_tokens(const gguf *g) {
    int i = gguf_find(g, "tokenizer.ggml.tokens");
    int is_there = i >= 0 && gemel_gguf_type(g, i) == GGUF_ARRAY && gemel_gguf_item_type(g, i) == GGUF_STRING;
    return is_there ? gemel_gguf_count(g, i) : 0;
}

// Some files have embeddings of more ids than the vocabulary: those rows are not used. Too few are refused with the
// tokenizer.
static int count_vocab(const gguf *g, errors *e) {
    int i = gguf_tensor_find(g, "token_embd.weight");
    if (i < 0) return fail(e, GEMEL_E_FORMAT, "the tensor token_embd.weight is missing");
    const gguf_tensor *t = gguf_tensor_at(g, i);
    if (t->n_dims != 2 || t->ne[1] > 1 << 24)
        return fail(e, GEMEL_E_FORMAT,
                    "token_embd.weight has %d dimensions and %llu rows; it must have 2 dimensions and at most "
                    "16777216 rows",
                    t->n_dims, (unsigned long long)t->ne[1]);
    double n = count_tokens(g);
    return n > 0 && n < (double)t->ne[1] ? (int)n : (int)t->ne[1];
}

// Rows of the embeddings of a text's parts; 0: the file has none.
static int count_types(keys *r) {
    int i = gguf_tensor_find(r->g, "token_types.weight");
    uint64_t rows = i < 0 ? 0 : gguf_tensor_at(r->g, i)->ne[1];
    keys own = {.g = r->g, .arch = "tokenizer.ggml", .e = r->e, .code = r->code};
    int n = rows > 1 << 16 ? 1 << 16 : (int)rows, said = keys_int(&own, "token_type_count", 0, 1 << 16, n);
    keys_fail(r, own.code);
    if (i >= 0 && !r->code && said != n)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "tokenizer.ggml.token_type_count is %d, but token_types.weight has %d rows", said, n));
    return n;
}

// How the positions of a text see each other, and what becomes of their hidden states.
static void read_kind(gemel_model *m, keys *r) {
    m->is_encoder = arch_has(m->arch, ENCODER);
    if (keys_bool(r, "attention.causal", !m->is_encoder) == m->is_encoder)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s.attention.causal is %s: gemel runs models of this architecture only if it is %s", r->arch,
                          m->is_encoder ? "true" : "false", m->is_encoder ? "false" : "true"));
    m->pooling = keys_int(r, "pooling_type", 0, GEMEL_POOLING_RANK, 0);
    if (arch_has(m->arch, TOKEN_TYPES)) m->n_types = count_types(r);
    if (m->is_encoder) m->kv_type = GEMEL_KV_F16;
    m->rank.n = arch_has(m->arch, MAY_RANK) ? keys_count(r, "classifier.output_labels", 4096, 1) : 1;
    m->rank.pooling = m->is_encoder ? GEMEL_POOLING_CLS : GEMEL_POOLING_LAST;
}

// ---- The model -----------------------------------------------------------------------------------------------------

static void read_model(gemel_model *m, keys *r) {
    m->n_ctx_train = keys_int(r, "context_length", 1, 1 << 30, REQUIRED);
    m->n_embd = keys_int(r, "embedding_length", 1, 1 << 20, REQUIRED);
    r->n_layer = keys_int(r, "block_count", 1, 4096, REQUIRED);
    // Files count layers that predict further tokens, which a decoder leaves out.
    m->n_spare_layers = keys_int(r, "nextn_predict_layers", 0, r->code ? 0 : r->n_layer - 1, 0);
    m->n_layer = r->n_layer - m->n_spare_layers;
    int is_rms = m->arch->norm == NORM_RMS || arch_has(m->arch, RMS_EPSILON);
    const char *eps = is_rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    int may_have_other = arch_has(m->arch, LAYER_EPSILON) && keys_float(r, eps, 0, 1, -1) < 0;
    m->norm_eps = (float)keys_float(r, may_have_other ? "attention.layer_norm_epsilon" : eps, 0, 1, REQUIRED);
    double embd_scale = arch_has(m->arch, EMBD_SQRT) ? fm_sqrt((double)m->n_embd) : 1;
    m->embd_scale = (float)keys_float(r, "embedding_scale", -1e6, 1e6, embd_scale);
    m->logit_scale = (float)keys_float(r, "logit_scale", -1e6, 1e6, 1);
    m->logit_soft_cap = (float)keys_soft_cap(r, "final_logit_softcapping", 0);
    m->kv_type = arch_has(m->arch, LARGE_KEYS) ? GEMEL_KV_F16 : GEMEL_KV_Q8_0;
    read_kind(m, r);
    if (!arch_has(m->arch, EXPERTS | MAY_EXPERTS)) keys_refuse_over_zero(r, "expert_count", "a mixture of experts");
    if (!arch_has(m->arch, WINDOWS)) keys_refuse_over_zero(r, "attention.sliding_window", "a sliding window");
}

static void find_scaling(rope_table *t, keys *r, gguf_span type) {
    static const char *const names[] = {
        [SCALING_NONE] = "none", [SCALING_LINEAR] = "linear", [SCALING_YARN] = "yarn", [SCALING_LONGROPE] = "longrope"};
    char known[64] = "";
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", names[i]);
        t->scaling = (rope_scaling)i;
        if (span_is(type, names[i])) return;
    }
    keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s.rope.scaling.type \"%s\" is not supported (supported: %s)",
                      r->arch, printable_name(type.at, type.size).text, known));
}

static void read_rope(gemel_model *m, keys *r) {
    rope_table *t = &m->ropes[0];
    gguf_span type = {"none", 4};
    double linear = keys_float(r, "rope.scale_linear", 1e-6, 1e6, 1);   // the factor's name in older files
    int got = keys_string(r, "rope.scaling.type", &type);
    t->base = keys_float(r, "rope.freq_base", 1, 1e12, 10000);
    t->factor = keys_float(r, "rope.scaling.factor", 1e-6, 1e6, linear);
    t->attn_factor = keys_float(r, "rope.scaling.attn_factor", 1e-6, 1e6, 1);
    t->has_whole_bounds = 1;
    t->n_ctx_orig = keys_int(r, "rope.scaling.original_context_length", 1, 1 << 30, m->n_ctx_train);
    t->beta_fast = keys_float(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32);
    t->beta_slow = keys_float(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1);
    if (r->code) return;
    if (span_is(type, "yarn") && !(t->base > 1))
        keys_fail(r,
                  fail(r->e, GEMEL_E_FORMAT, "%s.rope.freq_base is %g; with YaRN it must be over 1", r->arch, t->base));
    if (!got && gguf_tensor_find(r->g, "rope_factors_long.weight") >= 0) t->scaling = SCALING_LONGROPE;
    else if (!got && t->factor != 1) t->scaling = SCALING_LINEAR;
    else find_scaling(t, r, type);
}

// Keys that have no effect with the model's kind of scaling: an override of one is an error.
static void leave_rope_keys(const gemel_model *m, keys *r) {
    int scaling = m->ropes[0].scaling, has_own = scaling == SCALING_YARN || scaling == SCALING_LONGROPE;
    gguf_span type;
    int is_off = scaling == SCALING_LONGROPE || (scaling == SCALING_NONE && keys_string(r, "rope.scaling.type", &type));
    int is_renamed = keys_float(r, "rope.scaling.factor", 0, 1e6, 0) > 0;   // takes precedence over the older name
    if (is_off) keys_unread(r, "rope.scaling.factor");
    if (is_off || is_renamed) keys_unread(r, "rope.scale_linear");
    if (!has_own && !m->layers[0].attn.heat_span) keys_unread(r, "rope.scaling.original_context_length");
    if (scaling != SCALING_YARN) keys_unread(r, "rope.scaling.yarn_beta_fast");
    if (scaling != SCALING_YARN) keys_unread(r, "rope.scaling.yarn_beta_slow");
}

// ---- Layers --------------------------------------------------------------------------------------------------------

static int most(int a, int b) { return a > b ? a : b; }

// No model's heads are wider; buffers would dwarf the file.
static void check_width(const gemel_model *m, keys *r, int n_head, int dim) {
    if (n_head * (int64_t)dim > 16 * (int64_t)m->n_embd)
        keys_fail(
            r,
            fail(r->e, GEMEL_E_FORMAT,
                 "%s: %d heads of length %d are too large; in all they may have 16 times embedding_length %d channels",
                 r->arch, n_head, dim, m->n_embd));
}

static void check_heads(const gemel_model *m, keys *r, const attention *a, int il) {
    check_width(m, r, a->n_head, most(a->k_dim, a->v_dim));
    if (r->code) return;
    if (a->k_dim < 1 || a->v_dim < 1 || most(a->k_dim, a->v_dim) > HEAD_DIM_MAX)   // where the file gives no lengths
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.embedding_length %d / head_count %d gives a head length of %d; it must be 1 to %d",
                          r->arch, m->n_embd, a->n_head, m->n_embd / a->n_head, HEAD_DIM_MAX));
    else if (a->n_head % a->n_head_kv)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.head_count %d is not a multiple of head_count_kv %d, in layer %d", r->arch,
                          a->n_head, a->n_head_kv, il));
    else if (a->n_rot > a->k_dim || a->n_rot % 2 || a->k_dim % 2)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.rope.dimension_count is %d; it must be even and at most the head's length, %d, which "
                          "must be even too",
                          r->arch, a->n_rot, a->k_dim));
}

static void refuse_kv_b(keys *r) {
    if (gguf_tensor_find(r->g, "blk.0.attn_kv_b.weight") < 0 || r->code) return;
    keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                      "the file has attn_kv_b instead of attn_k_b and attn_v_b, an older form of %s files that is not "
                      "supported: convert the model again",
                      r->arch));
}

// A length that follows from others, which the file may repeat.
static void check_length(keys *r, const char *name, int must) {
    int said = keys_int(r, name, 1, 1 << 20, must);
    if (said != must && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.%s is %d; in this form of latent attention it must be %d", r->arch,
                          name, said, must));
}

// Latent attention, in its absorbed form: one KV head for all heads.
static void read_mla(gemel_model *m, keys *r, layer *l) {
    attention *a = &l->attn;
    mla *p = &l->mla;
    refuse_kv_b(r);
    p->q_rank = keys_int(r, "attention.q_lora_rank", 0, m->n_embd, 0);
    p->k_dim = keys_int(r, "attention.key_length_mla", 2, HEAD_DIM_MAX, REQUIRED);
    p->v_dim = keys_int(r, "attention.value_length_mla", 1, HEAD_DIM_MAX, REQUIRED);
    a->v_dim = keys_int(r, "attention.kv_lora_rank", 1, HEAD_DIM_MAX, REQUIRED);
    a->n_rot = keys_int(r, "rope.dimension_count", 2, HEAD_DIM_MAX, REQUIRED);
    a->k_dim = a->v_dim + a->n_rot;
    if (!r->code && a->k_dim > HEAD_DIM_MAX)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.kv_lora_rank is %d and rope.dimension_count %d: together at most %d", r->arch,
                          a->v_dim, a->n_rot, HEAD_DIM_MAX));
    a->n_head_kv = 1;
    if (r->code) return;
    check_length(r, "attention.head_count_kv", 1);
    check_length(r, "attention.key_length", a->k_dim);
    check_length(r, "attention.value_length", a->v_dim);
    if (keys_float(r, "attention.temperature_scale", 0, 1e6, 0) > 0)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s has a temperature of attention (%s.attention.temperature_scale), "
                          "which is not supported",
                          r->arch, r->arch));
    if (!r->code && p->k_dim <= a->n_rot)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.key_length_mla is %d; it must be over rope.dimension_count, %d", r->arch,
                          p->k_dim, a->n_rot));
    if (!r->code) check_width(m, r, a->n_head, most(p->k_dim, p->v_dim));
}

static void read_heads(gemel_model *m, keys *r, attention *a, int il) {
    int least = !arch_has(m->arch, SHORT_CONV | MAMBA) || m->arch->mixer != MIXER_ATTENTION;
    a->n_head_kv = keys_int_of_layer(r, "attention.head_count_kv", il, least, N_HEAD_MAX, a->n_head);
    int by_width = r->code ? 1 : m->n_embd / a->n_head;
    a->k_dim = keys_int(r, "attention.key_length", 1, HEAD_DIM_MAX, by_width);
    a->v_dim = keys_int(r, "attention.value_length", 1, HEAD_DIM_MAX, by_width);
    if (m->arch->rope == ROPE_NONE) a->rope = -1;
    else a->n_rot = keys_int(r, "rope.dimension_count", 2, HEAD_DIM_MAX, a->k_dim);
}

static void read_attention(gemel_model *m, keys *r, layer *l, int il) {
    attention *a = &l->attn;
    a->kv_of = -1;
    a->n_head = keys_int_of_layer(r, "attention.head_count", il, 1, N_HEAD_MAX, REQUIRED);
    if (l->mixer == MIXER_MLA) read_mla(m, r, l);
    else read_heads(m, r, a, il);
    double scale = keys_float(r, "attention.scale", 0, 1e6, 0);
    if (scale > 0) a->score_div = 1 / scale;
    a->soft_cap = (float)keys_soft_cap(r, "attn_logit_softcapping", 0);
    a->clamp = (float)keys_float(r, "attention.clamp_kqv", 0, 1e30, 0);
    if (l->mixer == MIXER_MLA && a->clamp > 0)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s.attention.clamp_kqv is %g: a clamp of latent attention is not supported", r->arch,
                          (double)a->clamp));
    a->is_wide_norm = arch_has(m->arch, QK_NORM_WIDE);
    if (arch_has(m->arch, MAY_QK_NORM_HEADS)) a->norm_stride = a->k_dim;
    a->is_gated = arch_has(m->arch, DELTA_NET);
    if (a->is_gated && a->k_dim != a->v_dim && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.key_length is %d and value_length %d; with gates of heads they must be equal",
                          r->arch, a->k_dim, a->v_dim));
}

// A layer without KV heads, of an architecture that has such: another block is in the place of attention.
static void read_recurrent(gemel_model *m, keys *r, layer *l) {
    l->attn = (attention){.rope = -1, .kv_of = -1, .cache_class = -1};
    if (arch_has(m->arch, MAMBA)) {
        l->mixer = l->mixer == MIXER_MAMBA ? MIXER_MAMBA : MIXER_MAMBA2;
        mamba_read(m, r, l, l->mixer == MIXER_MAMBA);
        return;
    }
    l->mixer = MIXER_CONV;
    l->conv.n_taps = keys_int(r, "shortconv.l_cache", 2, TAPS_MAX, REQUIRED);
    layer_take_state(m, r, l, r->code ? 0 : (uint64_t)(l->conv.n_taps - 1) * (uint64_t)m->n_embd);
}

// A layer of an architecture whose layers have one half: with a feed-forward it has no mixer.
static void read_half(const gemel_model *m, keys *r, layer *l, int il) {
    l->ff.n_ff = keys_int_of_layer(r, "feed_forward_length", il, 0, N_FF_MAX, REQUIRED);
    if (!l->ff.n_ff) {
        l->ffn = FFN_NONE;
        return;
    }
    l->mixer = MIXER_NONE;
    l->attn = (attention){.rope = -1, .kv_of = -1, .cache_class = -1};
    if (keys_int_of_layer(r, "attention.head_count_kv", il, 0, N_HEAD_MAX, 0) > 0 && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "layer %d has a length of feed-forward (%s.feed_forward_length) and KV heads "
                          "(attention.head_count_kv); a layer of this architecture has one of them",
                          il, m->arch->name));
}

static void read_layer(gemel_model *m, keys *r, int il) {
    layer *l = &m->layers[il];
    l->mixer = m->arch->mixer;
    l->ffn = m->arch->ffn;
    l->residual_scale = (float)keys_float(r, "residual_scale", -1e6, 1e6, 1);
    l->is_parallel = arch_has(m->arch, ONE_NORM | FALCON_NORMS);
    if (arch_has(m->arch, MAY_PARALLEL)) l->is_parallel = keys_bool(r, "use_parallel_residual", REQUIRED);
    l->ff.act = m->arch->act;
    // Where all layers have experts, files may leave out what no layer has.
    int absent = arch_has(m->arch, DELTA_NET) && arch_has(m->arch, EXPERTS) ? 0 : REQUIRED;
    if (l->ffn != FFN_NONE && arch_has(m->arch, ONE_HALF)) read_half(m, r, l, il);
    else if (l->ffn != FFN_NONE) l->ff.n_ff = keys_int_of_layer(r, "feed_forward_length", il, 1, N_FF_MAX, absent);
    experts_read(m, r, il);
    if (l->mixer == MIXER_NONE) return;
    if (l->mixer == MIXER_RWKV) {
        rwkv_read(m, r, l);
        return;
    }
    if (l->mixer != MIXER_MAMBA && l->mixer != MIXER_MAMBA2) read_attention(m, r, l, il);
    if (delta_is_at(m, r, il)) delta_read(m, r, l, il);
    else if (!r->code && !l->attn.n_head_kv) read_recurrent(m, r, l);
    else if (!r->code && l->mixer == MIXER_BOTH) mamba_read(m, r, l, 0);
}

static int pad(int n, int to) { return (n + to - 1) / to * to; }

// The widest rows of latent attention: q has queries, outputs, or all heads' activations; v the queries' first product.
static void finish_mla(model_totals *t, const layer *l) {
    const attention *a = &l->attn;
    const mla *p = &l->mla;
    t->q = most(t->q, a->n_head * pad(most(a->v_dim, most(p->k_dim, p->v_dim)), 32));
    t->v = most(t->v, p->q_rank);
    t->k_heads = most(t->k_heads, a->n_head * pad(p->v_dim, 32));
}

// A layer's class of the cache, and its place there: an earlier layer's, or one for itself. An encoder's layers all
// have the first place: no position comes after a pass, so what a layer kept is not read once it is finished.
static void find_cache(gemel_model *m, attention *a) {
    if (a->kv_of >= 0) {
        a->cache_class = m->layers[a->kv_of].attn.cache_class;
        a->cache_at = m->layers[a->kv_of].attn.cache_at;
        return;
    }
    a->cache_class = 0;
    while (a->cache_class < m->n_classes &&
           !kv_class_is(&m->classes[a->cache_class], a->window, a->is_chunked, a->k_dim, a->v_dim))
        a->cache_class++;
    kv_class *c = &m->classes[a->cache_class];
    if (a->cache_class == m->n_classes) {
        *c = (kv_class){a->window, a->is_chunked, a->k_dim, a->v_dim, .in_use = &m->cache_size};
        m->n_classes++;
    }
    a->cache_at = m->is_encoder ? 0 : c->n_heads;
    c->n_heads = most(c->n_heads, a->cache_at + a->n_head_kv);
}

static void finish_conv(const gemel_model *m, model_totals *t, layer *l) {
    l->heads_width = pad(m->n_embd, 16);
    t->q = most(t->q, 3 * m->n_embd);
    t->k_heads = most(t->k_heads, l->heads_width);
}

static void finish_attention(gemel_model *m, layer *l) {
    attention *a = &l->attn;
    model_totals *t = &m->totals;
    if (a->score_div == 0) a->score_div = fm_sqrt((double)a->k_dim);
    a->q_scale = (float)(1.0 / a->score_div);
    a->q_scale_log2 = (float)(1.4426950408889634 / a->score_div);
    find_cache(m, a);
    int n_rows = a->n_head * (a->is_gated ? 2 : 1);
    t->q = most(t->q, n_rows * a->k_dim);
    t->k = most(t->k, a->n_head_kv * a->k_dim);
    t->v = most(t->v, most(a->n_head_kv, a->n_head) * a->v_dim);
    t->k_heads = most(t->k_heads, n_rows * pad(a->k_dim, 32));
    t->v_heads = most(t->v_heads, a->n_head * pad(a->v_dim, 32));
    if (l->mixer == MIXER_MLA) finish_mla(t, l);
    l->heads_width = n_rows * pad(a->k_dim, 32);
    t->n_head = most(t->n_head, a->n_head);
}

// What follows from a layer's numbers.
static void finish_layer(gemel_model *m, layer *l) {
    model_totals *t = &m->totals;
    if (l->mixer == MIXER_CONV) finish_conv(m, t, l);
    if (l->mixer == MIXER_DELTA) delta_finish(m, l);
    if (l->attn.n_head) finish_attention(m, l);
    if (l->mamba.n_taps) mamba_finish(t, l);
    if (l->time.n) rwkv_finish(m, l);
    const experts *x = &l->experts;
    t->n_ff = most(t->n_ff, m->n_per_layer);
    if (l->ffn != FFN_EXPERTS) t->n_ff = most(t->n_ff, l->ff.n_ff);
    if (x->n) t->n_ff = most(t->n_ff, x->n_used * pad(x->n_ff, 32) + pad(x->n_ff_shared, 32));
    t->has_beside |= l->ffn == FFN_BESIDE;
    t->n_expert = most(t->n_expert, x->n);
    t->n_expert_used = most(t->n_expert_used, x->n_used);
    t->has_parallel |= l->is_parallel || arch_has(m->arch, MAY_ONE_NORM);
}

// All layers that use a table rotate as many channels as the first of them; 0: none uses it.
static int rotated_by(const gemel_model *m, keys *r, int table) {
    int n_rot = 0, first = 0;
    for (int il = 0; il < m->n_layer; il++) {
        const attention *a = &m->layers[il].attn;
        if (a->rope != table) continue;
        if (!n_rot) n_rot = a->n_rot, first = il;
        else if (a->n_rot != n_rot)
            keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                              "%s: RoPE rotates %d channels in layer %d, but %d in layer %d; they must be equal",
                              r->arch, a->n_rot, il, n_rot, first));
    }
    return n_rot;
}

static void finish_ropes(gemel_model *m, keys *r) {
    for (int i = 0; i < m->n_ropes; i++) {
        rope_table *t = &m->ropes[i];
        int n_rot = rotated_by(m, r, i);
        if (n_rot) t->n_rot = n_rot;
        else if (!t->n_rot) t->n_rot = m->layers[0].attn.n_rot;
        t->far = m->arch->rope == ROPE_NORM ? 1 : t->n_rot / 2;
        t->at = m->rope_width;
        m->rope_width += 2 * t->n_rot;
    }
}

// ALiBi (arXiv:2108.12409): the slopes of n heads fall by one ratio; where n is not a power of two, the rest lie
// between.
static int make_slopes(gemel_model *m, keys *r) {
    double most_bias = keys_float(r, "attention.max_alibi_bias", 0, 1e6, 8);
    size_t count = 0;
    if (r->code || !arch_has(m->arch, ALIBI) || most_bias == 0) return r->code;
    for (int il = 0; il < m->n_layer; il++) count += (size_t)m->layers[il].attn.n_head;
    float *at = m->slopes = calloc(count, sizeof *at);
    if (!at) return fail(r->e, GEMEL_E_MEMORY, "no memory for %d layers", m->n_layer);
    for (int il = 0; il < m->n_layer; il++) {
        attention *a = &m->layers[il].attn;
        int n = 1;
        while (2 * n <= a->n_head) n *= 2;
        for (int h = 0; h < a->n_head; h++) at[h] = (float)fm_pow(2, -most_bias * (h < n ? h + 1 : h - n + 0.5) / n);
        a->slopes = at;
        at += a->n_head;
    }
    return GEMEL_OK;
}

static int read_numbers(gemel_model *m, keys *r) {
    read_model(m, r);
    if (r->code) return r->code;
    m->layers = calloc((size_t)m->n_layer, sizeof *m->layers);
    m->classes = calloc((size_t)m->n_layer, sizeof *m->classes);
    m->ropes = calloc(ROPES_MAX, sizeof *m->ropes);
    m->n_ropes = m->arch->rope == ROPE_NONE ? 0 : 1;
    if (!m->layers || !m->classes || !m->ropes)
        return fail(r->e, GEMEL_E_MEMORY, "no memory for %d layers", m->n_layer);
    for (int il = 0; il < m->n_layer && !r->code; il++) read_layer(m, r, il);
    if (!r->code && m->n_ropes) read_rope(m, r);
    if (!r->code && m->arch->tune) m->arch->tune(m, r);
    for (int il = 0; il < m->n_layer && !r->code; il++)
        if (m->layers[il].attn.n_head) check_heads(m, r, &m->layers[il].attn, il);
    if (!r->code && m->n_ropes) leave_rope_keys(m, r);
    return r->code;
}

static int read_all(gemel_model *m, keys *r) {
    int code = read_numbers(m, r);
    if (code < 0) return code;
    for (int il = 0; il < m->n_layer; il++) {
        finish_layer(m, &m->layers[il]);
        if (m->layers[il].attn.kv_of < 0 && m->layers[il].mixer != MIXER_NONE) m->last_put = il;
    }
    finish_ropes(m, r);
    experts_settle(m);
    code = make_slopes(m, r);
    if (code < 0) return code;
    m->n_vocab = count_vocab(r->g, r->e);
    return m->n_vocab < 0 ? m->n_vocab : GEMEL_OK;
}

int arch_read(gemel_model *m, const gguf *g, errors *e) {
    int code = find_arch(m, g, e);
    if (code < 0) return code;
    keys r = {.g = g, .arch = m->arch->name, .e = e};
    uint64_t mode = cpu_float_enter();
    code = read_all(m, &r);
    cpu_float_leave(mode);
    return code;
}

// ---- Norms, once the file's tensors have their places --------------------------------------------------------------

static void settle_norm(const gemel_model *m, norm *n, int is_bare) {
    n->kind = m->arch->norm;
    n->is_on = n->w || is_bare;
}

static int settle_layer(const gemel_model *m, layer *l, int il, errors *e) {
    const arch *a = m->arch;
    const char *missing = NULL;
    if (!l->in.w && l->in.b) missing = "attn_norm_2.weight";
    if (!l->ffn_in.w && l->ffn_in.b) missing = "ffn_norm.weight";
    if (arch_has(a, FALCON_NORMS) && !l->in.w) l->in = l->ffn_in;
    if (arch_has(a, MAY_ONE_NORM)) l->is_parallel = !l->ffn_in.w;
    if (arch_has(a, ONE_NORM | ONE_HALF) || (arch_has(a, MAY_ONE_NORM) && l->is_parallel)) l->ffn_in = l->in;
    if (!missing && arch_has(a, NORM_BIAS) && !arch_has(a, STREAM_NORM) && !l->ffn_in.b) missing = "ffn_norm.bias";
    if (!missing && arch_has(a, NORM_BIAS) && !arch_has(a, STREAM_NORM) && !l->in.b) missing = "attn_norm_2.bias";
    if (missing) return fail(e, GEMEL_E_FORMAT, "the tensor blk.%d.%s is missing", il, missing);
    norm *norms[] = {
        &l->in,          &l->ffn_in,       &l->out,           &l->ffn_out, &l->attn.q_norm, &l->attn.k_norm,
        &l->attn.v_norm, &l->mla.q_a_norm, &l->mla.kv_a_norm, &l->own.out, &l->experts.in,  &l->experts.router_in,
        &l->experts.out, &l->ff.out,       &l->mid,           &l->end,     &l->delta.norm,  &l->mamba.norm};
    for (int i = 0; i < (int)(sizeof norms / sizeof *norms); i++)
        settle_norm(m, norms[i], norms[i]->is_on || (i < 2 && arch_has(a, NORM_BARE)));
    return GEMEL_OK;
}

// A classifier's parts need each other.
static int check_classifier(const classifier *c, errors *e) {
    int lacks_dense = c->dense_b && !c->dense, lacks_out = !c->out && (c->dense || c->out_b);
    if (!lacks_dense && !lacks_out) return GEMEL_OK;
    return fail(e, GEMEL_E_FORMAT, "the tensor %s is missing", lacks_dense ? "cls.weight" : "cls.output.weight");
}

int arch_settle(gemel_model *m, errors *e) {
    settle_norm(m, &m->embd_norm, 0);
    settle_norm(m, &m->per_layer_norm, 0);
    settle_norm(m, &m->output_norm, arch_has(m->arch, NORM_BARE));
    for (int il = 0; il < m->n_layer; il++) {
        int code = settle_layer(m, &m->layers[il], il, e);
        if (code < 0) return code;
    }
    return check_classifier(&m->rank, e);
}
