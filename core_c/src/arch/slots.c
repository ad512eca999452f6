#include "slots.h"
#include <stddef.h>

#define PLACED(name, room, base, place, kind, must, may, never, in, out)                                               \
    {name, room, SLOT_##kind, offsetof(base, place), must, (must) | (may), never, DIM_##in, DIM_##out, DIM_ONE, {0}},
#define STACK(id, name, place, must, may, never, in, out, count)                                                       \
    {name,      SLOT_LAYER,  SLOT_MATRIX, offsetof(layer, place), must, (must) | (may), never, DIM_##in,               \
     DIM_##out, DIM_##count, {0}},
#define VECTORS(id, name, place, must, may, never, in, count)                                                          \
    {name,    SLOT_LAYER,  SLOT_VECTOR, offsetof(layer, place), must, (must) | (may), never, DIM_##in,                 \
     DIM_ONE, DIM_##count, {0}},
#define LAST_VECTORS(id, name, place, must, may, never, in, count)                                                     \
    {name,    SLOT_LAST,   SLOT_VECTOR, offsetof(gemel_model, place), must, (must) | (may), never, DIM_##in,           \
     DIM_ONE, DIM_##count, {0}},
#define FIRST_SCORES(id, name, place, must, may, never, in, count)                                                     \
    {name,    SLOT_FIRST,  SLOT_SCORES, offsetof(gemel_model, place), must, (must) | (may), never, DIM_##in,           \
     DIM_ONE, DIM_##count, {0}},
#define FIRST(id, name, place, kind, must, may, never, in, out)                                                        \
    PLACED(name, SLOT_FIRST, gemel_model, place, kind, must, may, never, in, out)
#define LAYER(id, name, place, kind, must, may, never, in, out)                                                        \
    PLACED(name, SLOT_LAYER, layer, place, kind, must, may, never, in, out)
#define LAST(id, name, place, kind, must, may, never, in, out)                                                         \
    PLACED(name, SLOT_LAST, gemel_model, place, kind, must, may, never, in, out)
#define DEALT(id, name, first, second, third)                                                                          \
    {name, SLOT_LAYER, SLOT_DEALT, 0, 0, 0, 0, 0, 0, 0, {SLOT_##first, SLOT_##second, SLOT_##third}},
const slot slots[N_SLOTS] = {
#include "slots.def"
};

int slot_dim_of(const gemel_model *m, const layer *l, int dim) {
    switch (dim) {
    case DIM_VOCAB: return m->n_vocab;
    case DIM_EMBD: return m->n_embd;
    case DIM_Q: return l->attn.n_head * l->attn.k_dim * (l->attn.is_gated ? 2 : 1);
    case DIM_K: return l->attn.n_head_kv * l->attn.k_dim;
    case DIM_V: return l->attn.n_head_kv * l->attn.v_dim;
    case DIM_HEADS: return l->attn.n_head * (l->mla.v_dim ? l->mla.v_dim : l->attn.v_dim);
    case DIM_FF: return l->ff.n_ff;
    case DIM_CTX: return m->n_ctx_train;
    case DIM_TYPES: return m->n_types;
    case DIM_BUCKETS: return m->n_buckets;
    case DIM_SCORES: return m->rank.n;
    case DIM_Q_NORM: return l->attn.k_dim * (l->attn.is_wide_norm ? l->attn.n_head : 1);
    case DIM_K_NORM: return l->attn.k_dim * (l->attn.is_wide_norm ? l->attn.n_head_kv : 1);
    case DIM_N_HEAD: return l->attn.n_head;
    case DIM_N_HEAD_KV: return l->attn.n_head_kv;
    case DIM_MLA_Q: return l->mla.q_rank ? 0 : l->attn.n_head * l->mla.k_dim;
    case DIM_MLA_Q_B: return l->attn.n_head * l->mla.k_dim;
    case DIM_Q_RANK: return l->mla.q_rank;
    case DIM_LATENT: return l->attn.v_dim;
    case DIM_MLA_KEY: return l->attn.k_dim;
    case DIM_NOPE: return l->mla.k_dim - l->attn.n_rot;
    case DIM_MLA_V: return l->mla.v_dim;
    case DIM_N_EXPERT: return l->experts.n;
    case DIM_EXPERT_FF: return l->experts.n_ff;
    case DIM_SHARED_FF: return l->experts.n_ff_shared;
    case DIM_PER_LAYER: return m->n_per_layer;
    case DIM_PER_LAYERS: return m->n_per_layer * m->n_layer;
    case DIM_OWN_EMBD: return m->n_per_layer ? m->n_embd : 0;
    case DIM_TAPS: return l->conv.n_taps;
    case DIM_CONV_IN: return l->conv.n_taps ? 3 * m->n_embd : 0;
    case DIM_CONV: return l->conv.n_taps ? m->n_embd : 0;
    case DIM_DELTA_TAPS: return l->delta.n_taps;
    case DIM_DELTA: return l->delta.n;
    case DIM_DELTA_HEADS: return l->delta.n_v;
    case DIM_DELTA_BETA: return l->delta.is_grouped ? 0 : l->delta.n_v;
    case DIM_DELTA_BOTH: return l->delta.is_grouped ? 2 * l->delta.n_v : 0;
    case DIM_DELTA_V: return l->delta.v_dim;
    case DIM_DELTA_OUT: return l->delta.n_v * l->delta.v_dim;
    case DIM_SSM_IN: return mamba_width(&l->mamba);
    case DIM_SSM_TAPS: return l->mamba.n_taps;
    case DIM_SSM_CONV: return mamba_convolved(&l->mamba);
    case DIM_SSM_INNER: return l->mamba.n_inner;
    case DIM_SSM_X: return l->mamba.rank ? l->mamba.rank + 2 * l->mamba.n_state : 0;
    case DIM_SSM_RANK: return l->mamba.rank;
    case DIM_SSM_STEPS: return l->mamba.n_head ? l->mamba.n_head : l->mamba.n_inner;
    case DIM_SSM_DECAYS: return l->mamba.n_head ? 1 : l->mamba.n_state;
    case DIM_SSM_SKIP: return l->mamba.n_head ? 1 : l->mamba.n_inner;
    case DIM_SSM_SKIPS: return l->mamba.n_head ? l->mamba.n_head : l->mamba.n_taps != 0;
    case DIM_SSM_GROUP: return l->mamba.n_group ? l->mamba.n_inner / l->mamba.n_group : 0;
    case DIM_SSM_GROUPS: return l->mamba.n_group;
    case DIM_MIXES: return time_mixes(&l->time);
    case DIM_DECAY_RANK: return l->time.decay_rank;
    case DIM_RATE_RANK: return l->time.rate_rank;
    case DIM_VALUE_RANK: return l->time.value_rank;
    case DIM_GATE_RANK: return l->time.gate_rank;
    case DIM_ROT: return m->ropes[0].n_rot / 2;
    default: return 1;
    }
}

properties layer_has(const gemel_model *m, int il) {
    if (il < 0 || il >= m->n_layer) return m->arch->has;
    const experts *x = &m->layers[il].experts;
    const attention *a = &m->layers[il].attn;
    const properties first = il                             ? 0
                             : m->arch->has & NO_FIRST_NORM ? LACKS_NORM
                             : m->arch->has & TIME_MIX      ? LACKS_MIX
                                                            : 0;
    const properties lacks = (a->n_head ? 0 : LACKS_HEADS) | (m->layers[il].ffn == FFN_NONE ? LACKS_FFN : 0);
    const properties own = (a->is_k_v ? K_IS_V : 0) | (a->kv_of >= 0 ? SHARES_KV : 0) | first | lacks;
    const properties both = HAS_BESIDE | HAS_DENSE | HAS_EXPERTS, one = x->n ? HAS_EXPERTS : HAS_DENSE;
    const properties ffn = m->layers[il].ffn == FFN_BESIDE ? both : one;
    return m->arch->has | own | ffn | (x->n_ff_shared ? HAS_SHARED : 0);
}

static char *base_of(gemel_model *m, int il, const slot *s) {
    return s->room == SLOT_LAYER ? (char *)&m->layers[il] : (char *)m;
}
weight *slot_weight(gemel_model *m, int il, const slot *s) { return (weight *)(base_of(m, il, s) + s->at); }
float **slot_vector(gemel_model *m, int il, const slot *s) { return (float **)(base_of(m, il, s) + s->at); }
