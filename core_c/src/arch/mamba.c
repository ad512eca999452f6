#include "mamba.h"
#include "layer_state.h"

enum { N_STATE_MAX = 1024, N_INNER_TIMES = 16 };   // channels are at most so many times n_embd

static int pad(int n, int to) { return (n + to - 1) / to * to; }
static int most(int a, int b) { return a > b ? a : b; }

size_t mamba_conv_state(const mamba *x) { return (size_t)pad((x->n_taps - 1) * mamba_convolved(x), 16); }
size_t mamba_scan_state(const mamba *x) {
    return (size_t)x->n_state * (size_t)(x->n_head ? x->n_inner : pad(x->n_inner, 16));
}

static void check_heads(const gemel_model *m, keys *r, const mamba *x) {
    if (x->n_inner % x->n_head)
        keys_fail(r,
                  fail(r->e, GEMEL_E_FORMAT, "%s.ssm.inner_size is %d; it must be a multiple of ssm.time_step_rank, %d",
                       r->arch, x->n_inner, x->n_head));
    else if (x->n_head % x->n_group)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.ssm.time_step_rank is %d; it must be a multiple of ssm.group_count, %d", r->arch,
                          x->n_head, x->n_group));
    else if ((int64_t)x->n_group * x->n_state > (int64_t)N_INNER_TIMES * m->n_embd)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.ssm.group_count %d with ssm.state_size %d is too large: their product may be at most %d "
                          "times embedding_length, %d",
                          r->arch, x->n_group, x->n_state, N_INNER_TIMES, m->n_embd));
}

void mamba_read(gemel_model *m, keys *r, layer *l, int is_first) {
    mamba *x = &l->mamba;
    x->n_taps = keys_int(r, "ssm.conv_kernel", 2, TAPS_MAX, REQUIRED);
    x->n_inner = keys_int(r, "ssm.inner_size", 1, r->code ? 1 : N_INNER_TIMES * m->n_embd, REQUIRED);
    x->n_state = keys_int(r, "ssm.state_size", 1, is_first ? FIRST_STATE_MAX : N_STATE_MAX, REQUIRED);
    int rank = keys_int(r, "ssm.time_step_rank", 1, r->code ? 1 : x->n_inner, REQUIRED);
    if (is_first) {
        x->rank = rank;
        x->is_normed = keys_bool(r, "ssm.dt_b_c_rms", 0);
    } else {
        x->n_head = rank;
        x->n_group = keys_int(r, "ssm.group_count", 1, r->code ? 1 : rank, REQUIRED);
        if (!r->code) check_heads(m, r, x);
    }
    if (r->code) return;
    uint64_t conv = (uint64_t)(x->n_taps - 1) * (uint64_t)mamba_convolved(x);
    uint64_t scan = (uint64_t)x->n_state * (uint64_t)(is_first ? pad(x->n_inner, 16) : x->n_inner);
    layer_take_state(m, r, l, (conv + 15) / 16 * 16 + scan);   // as the two sizes above
}

void mamba_finish(model_totals *t, const layer *l) {
    const mamba *x = &l->mamba;
    t->q = most(t->q, mamba_width(x));
    t->inner = most(t->inner, x->n_inner);
    if (x->n_head) return;
    t->k = most(t->k, x->rank + 2 * x->n_state);
    t->v = most(t->v, x->n_inner);
}
