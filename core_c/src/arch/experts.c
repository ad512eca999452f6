#include "experts.h"

enum { ROWS_AN_EXPERT = 64 };   // of a micro-batch: as many as a tile of the kernels has

// Of expert_gating_func: softmax 1, sigmoid 2, softmax of the chosen 3.
static route_kind read_route(keys *r, const arch *a) {
    int absent = arch_has(a, SIGMOID_ROUTER) ? 2 : arch_has(a, CHOSEN_ROUTER) ? 3 : 1;
    int kind = keys_int(r, "expert_gating_func", 0, 255, absent);
    if (kind == 0) kind = absent;   // written where the converter knew of none
    if (kind > 3 && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s.expert_gating_func is %d, which is not supported (supported: 1, softmax; 2, sigmoid; 3, "
                          "softmax of the chosen)",
                          r->arch, kind));
    return kind == 2 ? ROUTE_SIGMOID : kind == 3 ? ROUTE_CHOSEN : ROUTE_SOFTMAX;
}

static void check_groups(keys *r, const experts *x) {
    if (x->n % x->n_groups)
        keys_fail(r,
                  fail(r->e, GEMEL_E_FORMAT, "%s.expert_count is %d: it must be a multiple of expert_group_count, %d",
                       r->arch, x->n, x->n_groups));
    else if (x->n / x->n_groups * x->n_groups_used < x->n_used)
        keys_fail(
            r,
            fail(r->e, GEMEL_E_FORMAT,
                 "%s.expert_used_count is %d, but with expert_group_used_count %d of %d groups only %d can be chosen",
                 r->arch, x->n_used, x->n_groups_used, x->n_groups, x->n / x->n_groups * x->n_groups_used));
}

// `absent`: its length where the file says nothing.
static void read_shared(keys *r, experts *x, int absent) {
    int n = keys_int(r, "expert_shared_count", 0, N_EXPERT_MAX, 0);
    int64_t width = (int64_t)n * x->n_ff;
    if (width > 0) absent = width < N_FF_MAX ? (int)width : 0;
    x->n_ff_shared = keys_int(r, "expert_shared_feed_forward_length", 0, N_FF_MAX, absent);
    if (x->n_ff_shared == 0 && width >= N_FF_MAX)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT,
                          "%s.expert_shared_count is %d: that many experts of length %d are too large together",
                          r->arch, n, x->n_ff));
}

// Whether layer il has experts: layers before leading_dense_block_count don't, nor do those between.
static int layer_has_experts(keys *r, int il) {
    int lead = keys_int(r, "leading_dense_block_count", 0, 4096, 0);
    int step = keys_int(r, "interleave_moe_layer_step", 1, 4096, 1);
    return !r->code && il >= lead && (il + 1) % step == 0;
}

void experts_read(gemel_model *m, keys *r, int il) {
    layer *l = &m->layers[il];
    experts *x = &l->experts;
    if (!arch_has(m->arch, EXPERTS | MAY_EXPERTS)) return;   // read_model refuses them
    int n = keys_int(r, "expert_count", 0, N_EXPERT_MAX, arch_has(m->arch, EXPERTS) ? REQUIRED : 0);
    if (r->code || n == 0) return;
    int most_used = n < N_USED_MAX ? n : N_USED_MAX, n_used = keys_int(r, "expert_used_count", 1, most_used, REQUIRED);
    experts own = {.n = n, .n_used = n_used, .act = m->arch->act, .group_top = 1, .router_scale = 1};
    int split = arch_has(m->arch, SPLIT_EXPERTS) && !r->code ? l->ff.n_ff / n_used : l->ff.n_ff;
    own.n_ff = keys_int_of_layer(r, "expert_feed_forward_length", il, 1, N_FF_MAX, split);
    if (own.n_ff < 1 && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.feed_forward_length is %d, which %d experts can't share", r->arch,
                          l->ff.n_ff, n_used));
    own.n_groups = keys_int(r, "expert_group_count", 0, n, 1);
    own.n_groups += own.n_groups == 0;   // some files say 0 for none
    own.n_groups_used = keys_int(r, "expert_group_used_count", 0, own.n_groups, own.n_groups);
    own.n_groups_used += own.n_groups_used == 0;
    own.route = read_route(r, m->arch);
    if (own.route == ROUTE_SIGMOID) own.group_top = 2;
    own.is_normed = keys_bool(r, "expert_weights_norm", arch_has(m->arch, WEIGHTS_NORMED));
    own.weights_scale = (float)keys_float(r, "expert_weights_scale", 0, 1e6, 1);
    own.weights_scale += own.weights_scale == 0;   // 0: not said
    read_shared(r, &own, arch_has(m->arch, SHARED_GATE) ? l->ff.n_ff : arch_has(m->arch, SHARED_ALIKE) ? own.n_ff : 0);
    if (!r->code) check_groups(r, &own);
    if (r->code || !layer_has_experts(r, il)) return;
    *x = own;
    l->ffn = arch_has(m->arch, DENSE_BESIDE) ? FFN_BESIDE : FFN_EXPERTS;
}

void experts_settle(gemel_model *m) {
    for (int il = 0; il < m->n_layer; il++) {
        const experts *x = &m->layers[il].experts;
        while (x->n && m->n_batch < N_BATCH_MAX && m->n_batch * x->n_used < ROWS_AN_EXPERT * x->n) m->n_batch *= 2;
    }
}
