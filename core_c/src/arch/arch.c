#include "arch.h"
#include <stdio.h>
#include <string.h>
#include "../fmath.h"
#include "../model.h"

static const arch archs[] = {
    {"llama", ROPE_NORM},
};

enum { DIM_NONE, DIM_VOCAB, DIM_EMBD, DIM_Q, DIM_KV, DIM_FF, DIM_ROT };

int slot_dim(const hparams *h, int dim) {
    switch (dim) {
    case DIM_VOCAB: return h->n_vocab;
    case DIM_EMBD: return h->n_embd;
    case DIM_Q: return h->n_head * h->head_dim;
    case DIM_KV: return h->n_head_kv * h->head_dim;
    case DIM_FF: return h->n_ff;
    case DIM_ROT: return h->n_rot / 2;
    default: return 1;
    }
}

#define MODEL(name, field, kind, required, in, out) {name, offsetof(gemel_model, field), kind, required, in, out}
const tensor_slot model_slots[] = {
    MODEL("token_embd.weight", token_embd, SLOT_MATRIX, 1, DIM_EMBD, DIM_VOCAB),
    MODEL("rope_freqs.weight", rope_freqs, SLOT_VECTOR, 0, DIM_ROT, DIM_NONE),
    MODEL("rope_factors_long.weight", rope_long, SLOT_VECTOR, 0, DIM_ROT, DIM_NONE),
    MODEL("rope_factors_short.weight", rope_short, SLOT_VECTOR, 0, DIM_ROT, DIM_NONE),
    MODEL("output_norm.weight", output_norm, SLOT_VECTOR, 1, DIM_EMBD, DIM_NONE),
    MODEL("output.weight", output, SLOT_MATRIX, 0, DIM_EMBD, DIM_VOCAB),
    {0},
};
#define LAYER(name, field, kind, required, in, out) {name, offsetof(layer, field), kind, required, in, out}
const tensor_slot layer_slots[] = {
    LAYER("attn_norm.weight", attn_norm, SLOT_VECTOR, 1, DIM_EMBD, DIM_NONE),
    LAYER("attn_q.weight", attn_q, SLOT_MATRIX, 1, DIM_EMBD, DIM_Q),
    LAYER("attn_k.weight", attn_k, SLOT_MATRIX, 1, DIM_EMBD, DIM_KV),
    LAYER("attn_v.weight", attn_v, SLOT_MATRIX, 1, DIM_EMBD, DIM_KV),
    LAYER("attn_q.bias", attn_q_b, SLOT_VECTOR, 0, DIM_Q, DIM_NONE),
    LAYER("attn_k.bias", attn_k_b, SLOT_VECTOR, 0, DIM_KV, DIM_NONE),
    LAYER("attn_v.bias", attn_v_b, SLOT_VECTOR, 0, DIM_KV, DIM_NONE),
    LAYER("attn_output.weight", attn_output, SLOT_MATRIX, 1, DIM_Q, DIM_EMBD),
    LAYER("attn_output.bias", attn_output_b, SLOT_VECTOR, 0, DIM_EMBD, DIM_NONE),
    LAYER("ffn_norm.weight", ffn_norm, SLOT_VECTOR, 1, DIM_EMBD, DIM_NONE),
    LAYER("ffn_gate.weight", ffn_gate, SLOT_MATRIX, 1, DIM_EMBD, DIM_FF),
    LAYER("ffn_up.weight", ffn_up, SLOT_MATRIX, 1, DIM_EMBD, DIM_FF),
    LAYER("ffn_down.weight", ffn_down, SLOT_MATRIX, 1, DIM_FF, DIM_EMBD),
    {0},
};

// "<arch>.<name>" look-ups. An absent required key is an error that names it.
typedef struct reader {
    const gguf *g;
    const char *arch;
    errors *e;
    int code;   // the first error met
    char key[128];
} reader;

static const char *key_of(reader *r, const char *name) {
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}
static void check(reader *r, int code) {
    if (code < 0 && !r->code) r->code = code;
}
static int read_int(reader *r, const char *name, int least, int most, int absent) {
    uint32_t v = 0;
    int got = r->code ? 0 : gguf_get_u32(r->g, key_of(r, name), &v, r->e);
    check(r, got);
    if (r->code) return 0;
    if (!got && absent >= 0) return absent;
    if (!got) check(r, fail(r->e, GEMEL_E_FORMAT, "the metadata key %s is missing", r->key));
    else if (v < (uint32_t)least || v > (uint32_t)most)
        check(r, fail(r->e, GEMEL_E_FORMAT, "%s is %u; it must be %d to %d", r->key, (unsigned)v, least, most));
    return (int)v;
}
static double read_float(reader *r, const char *name, double least, double most, double absent) {
    float v = 0;
    int got = r->code ? 0 : gguf_get_f32(r->g, key_of(r, name), &v, r->e);
    check(r, got);
    if (r->code || !got) return absent;
    if (!(v >= least && v <= most))
        check(r, fail(r->e, GEMEL_E_FORMAT, "%s is %g; it must be %g to %g", r->key, (double)v, least, most));
    return v;
}
static void refuse_over_zero(reader *r, const char *name, const char *what) {
    uint32_t v = 0;
    int got = r->code ? 0 : gguf_get_u32(r->g, key_of(r, name), &v, r->e);
    check(r, got);
    if (got > 0 && v)
        check(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s is %u: %s is not computed yet", r->key, (unsigned)v, what));
}

static int span_is(gguf_span s, const char *text) { return s.size == strlen(text) && !memcmp(s.at, text, s.size); }

static void read_scaling(hparams *h, reader *r) {
    gguf_span type = {"none", 4};
    double linear = read_float(r, "rope.scale_linear", 1e-6, 1e6, 1);   // what older files call the factor
    int got = r->code ? 0 : gguf_get_string(r->g, key_of(r, "rope.scaling.type"), &type, r->e);
    check(r, got);
    h->rope_factor = read_float(r, "rope.scaling.factor", 1e-6, 1e6, linear);
    h->rope_attn_factor = read_float(r, "rope.scaling.attn_factor", 1e-6, 1e6, 1);
    h->n_ctx_orig = read_int(r, "rope.scaling.original_context_length", 1, 1 << 30, h->n_ctx_train);
    h->beta_fast = read_float(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32);
    h->beta_slow = read_float(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1);
    if (r->code) return;
    if (span_is(type, "yarn") && !(h->rope_base > 1))
        check(r, fail(r->e, GEMEL_E_FORMAT, "%s.rope.freq_base is %g: YaRN needs more than 1", r->arch, h->rope_base));
    if (!got && h->rope_factor != 1) h->scaling = SCALING_LINEAR;
    else if (span_is(type, "none")) h->scaling = SCALING_NONE;
    else if (span_is(type, "linear")) h->scaling = SCALING_LINEAR;
    else if (span_is(type, "yarn")) h->scaling = SCALING_YARN;
    else if (span_is(type, "longrope")) h->scaling = SCALING_LONGROPE;
    else
        check(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s is \"%s\"; none, linear, yarn and longrope are computed", r->key,
                      printable_name(type.at, type.size).text));
}

static int count_vocab(const gguf *g, errors *e) {
    int i = gguf_tensor_find(g, "token_embd.weight");
    if (i < 0) return fail(e, GEMEL_E_FORMAT, "the tensor token_embd.weight is missing");
    const gguf_tensor *t = gguf_tensor_at(g, i);
    if (t->n_dims != 2 || t->ne[1] > 1 << 24)
        return fail(e, GEMEL_E_FORMAT,
                    "token_embd.weight has %d dimensions and %llu rows; 2 and at most 16777216 were expected",
                    t->n_dims, (unsigned long long)t->ne[1]);
    return (int)t->ne[1];
}

static void read_shape(hparams *h, reader *r) {
    h->n_ctx_train = read_int(r, "context_length", 1, 1 << 30, -1);
    h->n_embd = read_int(r, "embedding_length", 1, 1 << 20, -1);
    h->n_layer = read_int(r, "block_count", 1, 4096, -1);
    h->n_ff = read_int(r, "feed_forward_length", 1, 1 << 22, -1);
    h->n_head = read_int(r, "attention.head_count", 1, 4096, -1);
    h->n_head_kv = read_int(r, "attention.head_count_kv", 1, 4096, h->n_head);
    h->head_dim = read_int(r, "attention.key_length", 1, 1024, r->code ? 1 : h->n_embd / h->n_head);
    int v_dim = read_int(r, "attention.value_length", 1, 1024, h->head_dim);
    h->n_rot = read_int(r, "rope.dimension_count", 2, 1024, h->head_dim);
    h->norm_eps = (float)read_float(r, "attention.layer_norm_rms_epsilon", 0, 1, 1e-5);
    h->rope_base = read_float(r, "rope.freq_base", 1, 1e12, 10000);
    refuse_over_zero(r, "expert_count", "a mixture of experts");
    refuse_over_zero(r, "attention.sliding_window", "a sliding window");
    if (r->code) return;
    if (h->head_dim < 1 || h->head_dim > 1024)   // where the file gives no key_length
        check(r, fail(r->e, GEMEL_E_FORMAT,
                      "%s.embedding_length %d by head_count %d makes heads of %d; 1 to 1024 are allowed", r->arch,
                      h->n_embd, h->n_head, h->head_dim));
    else if (h->n_head * h->head_dim > 16 * h->n_embd)   // no model's heads are that wide; buffers would dwarf the file
        check(r, fail(r->e, GEMEL_E_FORMAT, "%s: %d heads of %d are over 16 times embedding_length %d", r->arch,
                      h->n_head, h->head_dim, h->n_embd));
    else if (h->n_head % h->n_head_kv)
        check(r, fail(r->e, GEMEL_E_FORMAT, "%s.attention.head_count %d is no multiple of head_count_kv %d", r->arch,
                      h->n_head, h->n_head_kv));
    else if (v_dim != h->head_dim)
        check(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                      "%s.attention.value_length %d differs from key_length %d: not computed yet", r->arch, v_dim,
                      h->head_dim));
    else if (h->n_rot > h->head_dim || h->n_rot % 2 || h->head_dim % 2)
        check(r, fail(r->e, GEMEL_E_FORMAT,
                      "%s.rope.dimension_count %d: it must be even and at most the head's length, %d (even, too)",
                      r->arch, h->n_rot, h->head_dim));
}

int hparams_read(hparams *h, const gguf *g, errors *e) {
    gguf_span name;
    memset(h, 0, sizeof *h);
    int got = gguf_get_string(g, "general.architecture", &name, e);
    if (got < 0) return got;
    if (!got) return fail(e, GEMEL_E_FORMAT, "the metadata key general.architecture is missing");
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
        if (span_is(name, archs[i].name)) h->arch = &archs[i];
    if (!h->arch)
        return fail(e, GEMEL_E_UNSUPPORTED, "general.architecture is \"%s\"; computed are: llama",
                    printable_name(name.at, name.size).text);
    reader r = {.g = g, .arch = h->arch->name, .e = e};
    read_shape(h, &r);
    if (!r.code) read_scaling(h, &r);
    if (r.code) return r.code;
    h->n_vocab = count_vocab(g, e);
    return h->n_vocab < 0 ? h->n_vocab : GEMEL_OK;
}

static double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

// YaRN (arXiv:2309.00071): the pair at which a wave makes `turns` turns within the original context.
static double yarn_pair(const hparams *h, double turns) {
    double two_pi = 6.283185307179586;
    return h->n_rot * fm_log(h->n_ctx_orig / (turns * two_pi)) / (2 * fm_log(h->rope_base));
}
static double floor_of(double x) { return (double)(long)x > x ? (double)(long)x - 1 : (double)(long)x; }

void rope_frequencies(const hparams *h, const float *factors, double *freq, float *scale) {
    double low = 0, high = 0,
           shrink = h->scaling == SCALING_LINEAR || h->scaling == SCALING_YARN ? 1 / h->rope_factor : 1;
    double mscale = h->rope_attn_factor;
    if (h->scaling == SCALING_YARN) {
        low = floor_of(clamp(yarn_pair(h, h->beta_fast), 0, h->n_rot - 1));
        high = -floor_of(-clamp(yarn_pair(h, h->beta_slow), 0, h->n_rot - 1));
        mscale *= 1 + 0.1 * fm_log(h->rope_factor);
    }
    for (int i = 0; i < h->n_rot / 2; i++) {
        double f = fm_pow(h->rope_base, -2.0 * i / h->n_rot) / (factors ? factors[i] : 1.0);
        double keep = 0;   // share of the unscaled frequency
        if (h->scaling == SCALING_YARN) keep = 1 - clamp((i - low) / (high - low > 0.001 ? high - low : 0.001), 0, 1);
        freq[i] = f * shrink * (1 - keep) + f * keep;
    }
    *scale = (float)mscale;
}
