#include "delta.h"
#include <stdio.h>
#include "bounds.h"
#include "layer_state.h"

enum { ABSENT = 2 };   // no boolean

int delta_is_at(gemel_model *m, keys *r, int il) {
    if (!arch_has(m->arch, DELTA_NET) || r->code) return 0;
    int said = keys_bool_of_layer(r, "attention.recurrent_layers", il);
    if (said < 0 && !r->code) said = keys_bool(r, "attention.recurrent_layers", ABSENT);   // one for all layers
    if (said != ABSENT) {
        keys_unread(r, "full_attention_interval");
        return said && !r->code;
    }
    int period = keys_int(r, "full_attention_interval", 1, 4096, 4);
    return !r->code && (il + 1) % period != 0;
}

// Files made before llama.cpp's converter cut this tensor.
static void refuse_ssm_in(keys *r, int il) {
    char name[64];
    snprintf(name, sizeof name, "blk.%d.ssm_in.weight", il);
    if (r->code || gguf_tensor_find(r->g, name) < 0) return;
    keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                      "the file has %s instead of attn_qkv and attn_gate, an older form of %s files that is not "
                      "supported: convert the model again",
                      name, r->arch));
}

static void check_heads(const gemel_model *m, keys *r, const delta_net *d, int inner) {
    if (inner % d->n_v || inner / d->n_v > HEAD_DIM_MAX)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.ssm.inner_size is %d; it must be a multiple of ssm.time_step_rank, %d, and at most %d "
                          "times as large",
                          r->arch, inner, d->n_v, HEAD_DIM_MAX));
    else if (d->n_v % d->n_k)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.ssm.time_step_rank is %d; it must be a multiple of group_count, %d",
                          r->arch, d->n_v, d->n_k));
    else if (2 * (int64_t)d->n_k * d->k_dim + inner > 16 * (int64_t)m->n_embd)
        keys_fail(r,
                  fail(r->e, GEMEL_E_FORMAT,
                       "%s.ssm: %d heads of length %d and inner_size %d are too large; in all they may have 16 times "
                       "embedding_length %d channels",
                       r->arch, d->n_k, d->k_dim, inner, m->n_embd));
}

void delta_read(gemel_model *m, keys *r, layer *l, int il) {
    delta_net *d = &l->delta;
    l->mixer = MIXER_DELTA;
    l->attn = (attention){.rope = -1, .kv_of = -1, .cache_class = -1};
    d->n_taps = keys_int(r, "ssm.conv_kernel", 2, TAPS_MAX, REQUIRED);
    d->k_dim = keys_int(r, "ssm.state_size", 1, HEAD_DIM_MAX, REQUIRED);
    d->n_k = keys_int(r, "ssm.group_count", 1, N_HEAD_MAX, REQUIRED);
    d->n_v = keys_int(r, "ssm.time_step_rank", 1, N_HEAD_MAX, REQUIRED);
    int inner = keys_int(r, "ssm.inner_size", 1, 1 << 24, REQUIRED);
    refuse_ssm_in(r, il);
    if (!r->code) check_heads(m, r, d, inner);
    if (r->code) return;
    d->v_dim = inner / d->n_v;
    d->n = 2 * d->n_k * d->k_dim + inner;
    layer_take_state(m, r, l, (uint64_t)(d->n_taps - 1) * (uint64_t)d->n + (uint64_t)inner * (uint64_t)d->k_dim);
}

static int pad(int n, int to) { return (n + to - 1) / to * to; }
static int most(int a, int b) { return a > b ? a : b; }

void delta_finish(gemel_model *m, layer *l) {
    model_totals *t = &m->totals;
    const delta_net *d = &l->delta;
    l->heads_width = pad(d->n_v * d->v_dim, 16);
    t->q = most(t->q, d->n);
    t->k = most(t->k, d->n_v * d->v_dim);
    t->v = most(t->v, 2 * pad(d->n_v, 16));
    t->k_heads = most(t->k_heads, l->heads_width);
}
