// The table of slots.def: where each tensor of a file goes, and whether an architecture's files must or may have it.
#pragma once
#include "../model/model.h"

enum slot_room { SLOT_FIRST, SLOT_LAYER, SLOT_LAST };
enum slot_kind { SLOT_VECTOR, SLOT_FACTORS, SLOT_SCORES, SLOT_MATRIX, SLOT_DEALT };
enum slot_dim {
    DIM_ONE,
    DIM_VOCAB,
    DIM_EMBD,
    DIM_Q,
    DIM_K,
    DIM_V,
    DIM_HEADS,
    DIM_FF,
    DIM_ROT,
    DIM_CTX,
    DIM_TYPES,
    DIM_BUCKETS,
    DIM_SCORES,
    DIM_Q_NORM,
    DIM_K_NORM,
    DIM_N_HEAD,
    DIM_N_HEAD_KV,
    DIM_MLA_Q,
    DIM_MLA_Q_B,
    DIM_Q_RANK,
    DIM_LATENT,
    DIM_MLA_KEY,
    DIM_NOPE,
    DIM_MLA_V,
    DIM_N_EXPERT,
    DIM_EXPERT_FF,
    DIM_SHARED_FF,
    DIM_PER_LAYER,
    DIM_PER_LAYERS,
    DIM_OWN_EMBD,
    DIM_TAPS,
    DIM_CONV_IN,
    DIM_CONV,
    DIM_DELTA_TAPS,
    DIM_DELTA,
    DIM_DELTA_HEADS,
    DIM_DELTA_BETA,
    DIM_DELTA_BOTH,
    DIM_DELTA_V,
    DIM_DELTA_OUT,
    DIM_SSM_IN,
    DIM_SSM_TAPS,
    DIM_SSM_CONV,
    DIM_SSM_INNER,
    DIM_SSM_X,
    DIM_SSM_RANK,
    DIM_SSM_STEPS,
    DIM_SSM_DECAYS,
    DIM_SSM_SKIP,
    DIM_SSM_SKIPS,
    DIM_SSM_GROUP,
    DIM_SSM_GROUPS,
    DIM_MIXES,
    DIM_DECAY_RANK,
    DIM_RATE_RANK,
    DIM_VALUE_RANK,
    DIM_GATE_RANK,
};
enum { SLOT_PARTS = 3 };

#define FIRST(id, ...) SLOT_##id,
#define LAYER(id, ...) SLOT_##id,
#define LAST(id, ...) SLOT_##id,
#define STACK(id, ...) SLOT_##id,
#define VECTORS(id, ...) SLOT_##id,
#define LAST_VECTORS(id, ...) SLOT_##id,
#define FIRST_SCORES(id, ...) SLOT_##id,
#define DEALT(id, ...) SLOT_##id,
typedef enum slot_id {
    SLOT_NONE = -1,
#include "slots.def"
    N_SLOTS
} slot_id;
#undef FIRST
#undef LAYER
#undef LAST
#undef STACK
#undef VECTORS
#undef LAST_VECTORS
#undef FIRST_SCORES
#undef DEALT

typedef struct slot {
    const char *name;   // "attn_q.weight"; of a layer: without "blk.N."
    enum slot_room room;
    enum slot_kind kind;
    size_t at;   // of its float pointer (a vector's) or weight (a matrix's) in struct layer or gemel_model
    properties must, may, never;   // of architectures whose files must have it, may have it, and never have it
    int n_in, n_out, n_mats;       // enum slot_dim: columns, rows, matrices (vectors) one after the other
    slot_id parts[SLOT_PARTS];     // SLOT_DEALT: the slots its rows go to
} slot;
extern const slot slots[N_SLOTS];

// What layer il is: its architecture's properties, and those that follow from its numbers; il -1: the model's own.
properties layer_has(const gemel_model *m, int il);
static inline int slot_may_be_in(const slot *s, properties has) { return (has & s->may) && !(has & s->never); }
static inline int slot_is_of_experts(const slot *s) { return s->n_mats == DIM_N_EXPERT; }
// A dimension of layer l, or of the model where l is NULL.
int slot_dim_of(const gemel_model *m, const layer *l, int dim);
// Slot s's place in layer il, or in the model.
weight *slot_weight(gemel_model *m, int il, const slot *s);
float **slot_vector(gemel_model *m, int il, const slot *s);
