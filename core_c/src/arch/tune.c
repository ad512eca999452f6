#include "tune.h"
#include <stdio.h>
#include "../fmath.h"

// ---- Windows -------------------------------------------------------------------------------------------------------

// Layer il is windowed unless il + 1 is a multiple of `period`; 0: all are. The file's sliding_window_pattern, such a
// period or a boolean for each layer, comes first.
static int is_windowed_at(keys *r, int il, int place, int period) {
    const char *name = "attention.sliding_window_pattern";
    int of_layer = keys_bool_of_layer(r, name, il);
    if (of_layer >= 0) return of_layer;
    period = keys_int(r, name, 0, 4096, period);
    return period == 0 || place % period != 0;
}
static int is_windowed(keys *r, int il, int period) { return is_windowed_at(r, il, il + 1, period); }

static void windows(gemel_model *m, keys *r, int period, int absent) {
    int window = keys_int(r, "attention.sliding_window", 0, 1 << 30, absent);
    if (window == 0 || window >= m->n_ctx_train) return;
    for (int il = 0; il < m->n_layer && !r->code; il++)
        if (is_windowed(r, il, period)) m->layers[il].attn.window = window;
}

// Windowed layers have their own RoPE table, without the scaling of the others.
static void add_rope(gemel_model *m, keys *r, double base) {
    m->ropes[1] = (rope_table){.scaling = SCALING_NONE, .factor = 1, .attn_factor = 1, .n_ctx_orig = m->n_ctx_train};
    m->ropes[1].base = keys_float(r, "rope.freq_base_swa", 1, 1e12, base);
    m->n_ropes = 2;
}

static void windows_with_rope(gemel_model *m, keys *r, int period, double base) {
    windows(m, r, period, 0);
    if (keys_int(r, "attention.sliding_window", 0, 1 << 30, 0) == 0) return;
    add_rope(m, r, base);
    for (int il = 0; il < m->n_layer && !r->code; il++) m->layers[il].attn.rope = is_windowed(r, il, period);
}

// An encoder's windows reach as far to both sides. All layers have one except the last of every `period`, or with
// is_full_first 1 the first.
static void windows_around(gemel_model *m, keys *r, int period, int is_full_first, int absent) {
    int window = keys_int(r, "attention.sliding_window", 0, 1 << 30, absent);
    if (window == 0 || r->code) return;
    add_rope(m, r, 10000);
    for (int il = 0; il < m->n_layer && !r->code; il++) {
        attention *a = &m->layers[il].attn;
        a->rope = is_windowed_at(r, il, is_full_first ? il : il + 1, period);
        a->reach = a->rope ? window / 2 + 1 : 0;
    }
}

// The same as windows, and the other layers don't rotate. Without a window all layers are alike.
static void windows_rotate(gemel_model *m, keys *r, int period, int absent) {
    windows(m, r, period, absent);
    if (keys_int(r, "attention.sliding_window", 0, 1 << 30, absent) == 0) return;
    for (int il = 0; il < m->n_layer && !r->code; il++)
        if (!is_windowed(r, il, period)) m->layers[il].attn.rope = -1;
}

// ---- Architectures -------------------------------------------------------------------------------------------------

// The largest models divide scores by sqrt(n_embd / n_head) instead of by the root of the head's size.
static void divide_by_width(gemel_model *m) {
    for (int il = 0; il < m->n_layer; il++) {
        attention *a = &m->layers[il].attn;
        if (a->score_div == 0) a->score_div = fm_sqrt((double)m->n_embd / a->n_head);
    }
}

void tune_gemma2(gemel_model *m, keys *r) {
    windows(m, r, 2, 4096);   // the first files lack the key
    double cap = keys_soft_cap(r, "attn_logit_softcapping", 50);
    for (int il = 0; il < m->n_layer; il++) m->layers[il].attn.soft_cap = (float)cap;
    m->logit_soft_cap = (float)keys_soft_cap(r, "final_logit_softcapping", 30);
    if (m->n_layer == 46) divide_by_width(m);
}

void tune_gemma3(gemel_model *m, keys *r) {
    windows_with_rope(m, r, 6, 10000);
    if (m->n_layer == 62) divide_by_width(m);
}

// Layers with a window have heads of another length; of the others, those without attn_v take their keys for values.
static void tune_heads_of_gemma4(gemel_model *m, keys *r, int il) {
    attention *a = &m->layers[il].attn;
    int is_local = is_windowed(r, il, 6);
    if (is_local) {
        a->k_dim = keys_int(r, "attention.key_length_swa", 1, ATTEND_DIM, REQUIRED);
        a->v_dim = keys_int(r, "attention.value_length_swa", 1, ATTEND_DIM, REQUIRED);
        a->n_rot = keys_int(r, "rope.dimension_count_swa", 2, ATTEND_DIM, a->k_dim);
    }
    char name[64];
    snprintf(name, sizeof name, "blk.%d.attn_v.weight", il);
    a->is_k_v = !is_local && gguf_tensor_find(r->g, name) < 0;
    snprintf(name, sizeof name, "blk.%d.attn_qkv.weight", il);
    if (gguf_tensor_find(r->g, name) >= 0) a->is_k_v = 0;
    if (a->is_k_v && a->k_dim != a->v_dim && !r->code)
        keys_fail(r,
                  fail(r->e, GEMEL_E_FORMAT,
                       "layer %d has no attn_v, so that its values are its keys; but values have a length of %d, and "
                       "keys of %d",
                       il, a->v_dim, a->k_dim));
    a->v_norm.is_on = 1;
    if (a->score_div == 0) a->score_div = 1;
}

// Layer il reads keys and values of the last layer before `end` that is of its kind: last[1] with a window, last[0]
// without; -1: there is none.
static void share_keys(gemel_model *m, keys *r, int il, int end, const int last[2]) {
    attention *a = &m->layers[il].attn;
    int is_local = is_windowed(r, il, 6), of = last[is_local];
    if (r->code) return;
    if (of < 0) {
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.shared_kv_layers: layer %d reads keys of the last layer before %d that is %s a "
                          "window, but there is none",
                          r->arch, il, end, is_local ? "with" : "without"));
        return;
    }
    if (a->n_head_kv != m->layers[of].attn.n_head_kv)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.attention.head_count_kv: layer %d has %d heads, but it reads those of layer %d, which "
                          "has %d",
                          r->arch, il, a->n_head_kv, of, m->layers[of].attn.n_head_kv));
    a->is_k_v = a->v_norm.is_on = 0;
    a->kv_of = of;
}

void tune_gemma4(gemel_model *m, keys *r) {
    m->n_per_layer = keys_int(r, "embedding_length_per_layer_input", 0, 1 << 16, 0);
    keys_int(r, "attention.sliding_window", 1, 1 << 30, REQUIRED);
    windows_with_rope(m, r, 6, 10000);
    m->ropes[0].n_rot = m->layers[0].attn.n_rot;   // of layers without a window, which a model may lack
    for (int il = 0; il < m->n_layer && !r->code; il++) tune_heads_of_gemma4(m, r, il);
    for (int il = 0; il < m->n_layer; il++)
        m->layers[il].experts.router_scale = (float)(1 / fm_sqrt((double)m->n_embd));
    int end = m->n_layer - keys_int(r, "attention.shared_kv_layers", 0, m->n_layer - 1, 0), last[2] = {-1, -1};
    for (int il = 0; il < end && end < m->n_layer && !r->code; il++) last[is_windowed(r, il, 6)] = il;
    for (int il = end; il < m->n_layer && !r->code; il++) share_keys(m, r, il, end, last);
}

void tune_phi3(gemel_model *m, keys *r) { windows(m, r, 0, 0); }

// Trained with sparsemixer (arXiv:2409.12136). Files that name another router get that router.
void tune_phimoe(gemel_model *m, keys *r) {
    windows(m, r, 0, 0);
    if (keys_int(r, "expert_gating_func", 0, 255, 0) != 0) return;
    keys_unread(r, "expert_weights_norm");
    for (int il = 0; il < m->n_layer && !r->code; il++) {
        experts *x = &m->layers[il].experts;
        x->route = ROUTE_MIXER;
        x->is_normed = 0;
        if (x->n_groups_used < x->n_groups)
            keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s.expert_group_count is %d: this router has no groups",
                              r->arch, x->n_groups));
        if (x->n && x->n_used != 2)
            keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s.expert_used_count is %d: this router chooses 2", r->arch,
                              x->n_used));
    }
}

void tune_smollm3(gemel_model *m, keys *r) {
    (void)r;
    for (int il = 3; il < m->n_layer; il += 4) m->layers[il].attn.rope = -1;
}

void tune_olmo2(gemel_model *m, keys *r) { windows_with_rope(m, r, 4, m->ropes[0].base); }

void tune_gpt_oss(gemel_model *m, keys *r) {
    keys_int(r, "attention.sliding_window", 0, 1 << 30, REQUIRED);
    windows(m, r, 2, 0);
    m->ropes[0].has_whole_bounds = 0;
}

// Logits are divided by a number of the file.
static void divide_logits(gemel_model *m, keys *r, double by) {
    if (r->code) return;
    if (by == 0) keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.logit_scale is 0: logits are divided by it", r->arch));
    else m->logit_scale = (float)(1 / by);
}

void tune_granite(gemel_model *m, keys *r) {
    static const char *scales[] = {"embedding_scale", "residual_scale", "attention.scale", "logit_scale"};
    double by = 1;
    for (int i = 0; i < 4; i++) by = keys_float(r, scales[i], -1e6, 1e6, REQUIRED);
    divide_logits(m, r, by);
}

void tune_granite_hybrid(gemel_model *m, keys *r) {   // most models have no RoPE, which this key says
    int is_rotated = keys_bool(r, "rope.scaling.finetuned", 1);
    for (int il = 0; il < m->n_layer && !is_rotated; il++) m->layers[il].attn.rope = -1;
    divide_logits(m, r, keys_float(r, "logit_scale", -1e6, 1e6, 1));
}

void tune_minicpm(gemel_model *m, keys *r) {   // older files don't say the scales, which are the first models'
    double residual = keys_float(r, "residual_scale", -1e6, 1e6, 1.4 / fm_sqrt((double)m->n_layer));
    m->embd_scale = (float)keys_float(r, "embedding_scale", -1e6, 1e6, 12);
    for (int il = 0; il < m->n_layer; il++) m->layers[il].residual_scale = (float)residual;
    divide_logits(m, r, keys_float(r, "logit_scale", -1e6, 1e6, m->n_embd / 256.0));
}

void tune_exaone4(gemel_model *m, keys *r) {   // the first files of 32B, of 64 layers, don't say their window
    windows_rotate(m, r, 4, m->n_layer == 64 ? 4096 : 0);
}

void tune_cohere2(gemel_model *m, keys *r) {
    windows_rotate(m, r, 4, REQUIRED);
    keys_float(r, "logit_scale", -1e6, 1e6, REQUIRED);
}

void tune_glm4(gemel_model *m, keys *r) {   // of models that see images, which have other pairs of channels, too
    (void)m;
    keys_refuse(r, "rope.dimension_sections", "RoPE by the place in an image");
}

void tune_hunyuan(gemel_model *m, keys *r) {   // alpha stretches RoPE; files may have applied it to the base
    double alpha = keys_float(r, "rope.scaling.alpha", 0, 1e6, 0), n = m->layers[0].attn.k_dim;
    if (alpha > 0 && n > 2) m->ropes[0].base *= fm_pow(alpha, n / (n - 2));
    for (int il = 0; il < m->n_layer; il++) m->layers[il].attn.is_late_norm = 1;
}

void tune_mistral3(gemel_model *m, keys *r) {   // YaRN's scale of cos and sin is divided by one for all dimensions
    rope_table *t = &m->ropes[0];
    double heat = keys_float(r, "attention.temperature_scale", 0, 1e6, 0);
    double all = keys_float(r, "rope.scaling.yarn_log_multiplier", 0, 1e6, 0);
    if (t->scaling == SCALING_YARN && t->factor > 1) t->attn_factor /= 1 + 0.1 * all * fm_log(t->factor);
    else keys_unread(r, "rope.scaling.yarn_log_multiplier");
    for (int il = 0; il < m->n_layer && heat > 0; il++)
        m->layers[il].attn.heat = heat, m->layers[il].attn.heat_span = t->n_ctx_orig;
}

// YaRN multiplies scores, by the square of `by`, instead of cos and sin.
void tune_deepseek2(gemel_model *m, keys *r) {
    rope_table *t = &m->ropes[0];
    double all = keys_float(r, "rope.scaling.yarn_log_multiplier", 0, 1e6, 0), by = 1;   // a tenth of mistral3's
    if (t->scaling != SCALING_YARN || t->factor <= 1) keys_unread(r, "rope.scaling.yarn_log_multiplier");
    else if (all > 0) {
        t->attn_factor /= 1 + 0.1 * fm_log(t->factor);
        by = 1 + all * fm_log(t->factor);
    }
    for (int il = 0; il < m->n_layer; il++) {
        layer *l = &m->layers[il];
        if (l->attn.score_div == 0) l->attn.score_div = fm_sqrt((double)l->mla.k_dim) / (by * by);
    }
}

static double softplus(double x) { return x > 20 ? x : fm_log(1 + fm_exp(x)); }

void tune_apertus(gemel_model *m, keys *r) {   // files have the trained numbers, from which the activation's follow
    keys x = {.g = r->g, .arch = "xielu", .e = r->e, .n_layer = r->n_layer, .code = r->code};
    for (int il = 0; il < m->n_layer && !x.code; il++) {
        float *by = m->layers[il].ff.by;
        double beta = keys_float_of_layer(&x, "beta", il, -1e3, 1e3, REQUIRED);
        by[0] = (float)softplus(keys_float_of_layer(&x, "alpha_p", il, -1e3, 1e3, REQUIRED));
        by[1] = (float)(beta + softplus(keys_float_of_layer(&x, "alpha_n", il, -1e3, 1e3, REQUIRED)));
        by[2] = (float)beta;
        by[3] = (float)keys_float_of_layer(&x, "eps", il, -1e3, 1e3, REQUIRED);
    }
    keys_fail(r, x.code);
}

// Layers that rotate see chunks, and norm queries and keys without weights, except with 128 experts; no key says it.
static void tune_layer_of_llama4(keys *r, layer *l, int is_normed) {
    attention *a = &l->attn;
    l->experts.is_before = 1;
    if (a->rope >= 0) {
        a->is_chunked = a->window > 0;
        a->is_late_norm = a->q_norm.is_on = a->k_norm.is_on = is_normed;
        return;
    }
    a->heat = keys_float(r, "attention.temperature_scale", 0, 1e6, (double)0.1f);
    if (a->heat > 0) a->heat_span = keys_int(r, "attention.temperature_length", 1, 1 << 30, 8192), a->heat_ahead = 1;
}

void tune_llama4(gemel_model *m, keys *r) {
    int is_normed = keys_int(r, "expert_count", 0, N_EXPERT_MAX, REQUIRED) != 128;
    keys_int_of_layer(r, "expert_feed_forward_length", 0, 1, N_FF_MAX, REQUIRED);
    keys_int(r, "interleave_moe_layer_step", 1, 4096, REQUIRED);
    keys_refuse(r, "rope.freq_base_swa", "another RoPE base for layers with chunks");
    windows_rotate(m, r, 4, 8192);
    for (int il = 0; il < m->n_layer && !r->code; il++) tune_layer_of_llama4(r, &m->layers[il], is_normed);
}

// The bucket of a key at this distance, as T5 and MPNet have it (arXiv:1910.10683): half of the buckets are of keys
// behind the query, and half of these of single distances; the rest grow by one ratio up to BIAS_FAR.
static int bucket_of(int n_buckets, int distance) {
    int half = n_buckets / 2, single = half / 2, far = distance < 0 ? -distance : distance, at = far;
    if (far >= single) {
        double grown = fm_log((double)far / single) / fm_log((double)BIAS_FAR / single) * (half - single);
        at = single + (int)(grown + 1e-9);   // whole numbers come out as such
        if (at > half - 1) at = half - 1;
    }
    return distance > 0 ? half + at : at;
}

void tune_mpnet(gemel_model *m, keys *r) {
    m->n_buckets = keys_int(r, "attention.relative_buckets_count", 4, 256, REQUIRED);
    for (int i = 0; i < BIAS_WIDTH && !r->code; i++)
        m->buckets[i] = (uint8_t)bucket_of(m->n_buckets, i - BIAS_WIDTH / 2);
    for (int il = 1; il < m->n_layer && !r->code; il++)
        if (m->layers[il].attn.n_head != m->layers[0].attn.n_head)
            keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                              "layer %d has %d heads and layer 0 has %d: layers share blk.0.attn_rel_b.weight", il,
                              m->layers[il].attn.n_head, m->layers[0].attn.n_head));
}

void tune_modern_bert(gemel_model *m, keys *r) {
    gguf_span act = {"gelu", 4};
    windows_around(m, r, 3, 1, 0);
    keys_string(r, "hidden_activation", &act);
    if (!span_is(act, "gelu") && !span_is(act, "silu"))
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s.hidden_activation \"%s\" is not supported (supported: gelu, silu)", r->arch,
                          printable_name(act.at, act.size).text));
    for (int il = 0; il < m->n_layer; il++) m->layers[il].ff.act = span_is(act, "silu") ? ACT_SILU : ACT_GELU;
}

void tune_gemma_embedding(gemel_model *m, keys *r) { windows_around(m, r, 6, 0, REQUIRED); }

void tune_mpt(gemel_model *m, keys *r) {   // bloom, which shares the key, has a default of 8
    (void)m;
    keys_float(r, "attention.max_alibi_bias", 0, 1e6, REQUIRED);
}

void tune_qwen3next(gemel_model *m, keys *r) {   // values' heads as they were trained; qwen35's are reordered
    (void)r;
    for (int il = 0; il < m->n_layer; il++) m->layers[il].delta.is_grouped = m->layers[il].mixer == MIXER_DELTA;
}
