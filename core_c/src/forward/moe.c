// Feed-forward of a layer that is a mixture of experts: a router chooses a few experts for each row, and what they make
// of it is added up, by their weights, ascending by expert.
//
//   router's logits [n][n_expert] -> chosen [n][n_used] and weights -> rows sorted by expert -> act(gate) * up of each
//   expert's rows -> down, added up in `mix` [n][n_embd] -> the residual stream
//
// The rows of an expert are adjacent, so that its matrices are read once. The panels of all experts that have rows are
// dealt out together: there is no barrier between experts. A shared expert is one more, after the others: it has all
// rows.
#include <math.h>   // INFINITY, a macro
#include <string.h>
#include "ffn.h"

// ---- The router ----------------------------------------------------------------------------------------------------

// Of n scores, the sum of the best one or two.
static float best_of(const float *scores, int n, int count) {
    float first = -INFINITY, second = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (scores[i] > first) second = first, first = scores[i];
        else if (scores[i] > second) second = scores[i];
    }
    return count > 1 && n > 1 ? first + second : first;
}

// The largest of n, which is marked as taken; the lower index of equals. None is -INFINITY but the taken ones.
static int take_best(float *scores, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    scores[best] = -INFINITY;
    return best;
}

// Leave only the experts of the best groups to be chosen.
static void limit_groups(const experts *x, float *choice) {
    int size = x->n / x->n_groups;
    float groups[N_EXPERT_MAX];
    char is_best[N_EXPERT_MAX] = {0};
    for (int g = 0; g < x->n_groups; g++) groups[g] = best_of(choice + g * size, size, x->group_top);
    for (int i = 0; i < x->n_groups_used; i++) is_best[take_best(groups, x->n_groups)] = 1;
    for (int e = 0; e < x->n; e++)
        if (!is_best[e / size]) choice[e] = -INFINITY;
}

static float sum_of(const float *x, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum = sum + x[i];
    return sum;
}

static float largest(const float *x, int n) {
    float max = x[0];
    for (int i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

// y = softmax of x, n padded to 16.
static void softmax(const kernels *k, const float *x, int n, float *y) {
    k->exps(x, largest(x, n), pad_to(n, 16), y);
    float sum = sum_of(y, n);
    for (int i = 0; i < n; i++) y[i] = y[i] / sum;
}

// The n_used best of `choice`, ascending by id.
static void choose(const experts *x, float *choice, int *chosen) {
    if (x->n_groups_used < x->n_groups) limit_groups(x, choice);
    for (int i = 0, at; i < x->n_used; i++) {
        int e = take_best(choice, x->n);
        for (at = i; at > 0 && chosen[at - 1] > e; at--) chosen[at] = chosen[at - 1];
        chosen[at] = e;
    }
}

// Weights of the chosen, of all experts' scores; for ROUTE_CHOSEN: of their logits.
static void weigh(const kernels *k, const experts *x, const float *scores, const int *chosen, float *weights) {
    float own[N_USED_MAX];
    int n = x->n_used;
    for (int i = 0; i < pad_to(n, 16); i++) own[i] = i < n ? scores[chosen[i]] : 0;
    if (x->route == ROUTE_CHOSEN) softmax(k, own, n, own);
    float sum = sum_of(own, n) + 1e-20f;
    for (int i = 0; i < n && x->is_normed; i++) own[i] = own[i] / sum;
    memcpy(weights, own, sizeof *own * (size_t)n);
}

// Whether a logit is near the largest, relative to the larger size of the two.
static int is_near(float logit, float top) {
    float size = logit < 0 ? 0 - logit : logit;
    return !((top - logit) / (size > top ? size : top) > 0.02f);
}

// Two experts, one after the other: the weight of each is its share of the softmax of logits near its own, without the
// first one's when it is the second. `choice` is a copy of the logits, `scores` is for use here.
static void mix_two(const kernels *k, int n, const float *logits, float *choice, float *scores, int *chosen,
                    float *weights) {
    for (int i = 0; i < 2; i++) {
        float top = largest(choice, n), sum = 0;
        k->exps(logits, top, pad_to(n, 16), scores);
        for (int e = 0; e < n; e++)
            if (choice[e] != -INFINITY && is_near(logits[e], top)) sum = sum + scores[e];
        int e = take_best(choice, n), at = i && e < chosen[0] ? 0 : i;
        if (at < i) chosen[1] = chosen[0], weights[1] = weights[0];
        chosen[at] = e, weights[at] = scores[e] / sum;
    }
}

// Row t's experts and their weights. With one row, every thread finds them for itself.
static void route_row(const worker *w, const experts *x, int t) {
    workspace *s = w->s;
    int padded = pad_to(x->n, 16);
    size_t place = (size_t)(w->n == 1 ? w->ith : t);
    const float *logits = s->route + (size_t)t * (size_t)padded, *shared = s->shared + (size_t)t * 16;
    float *scores = s->scores + (size_t)w->ith * 2 * (size_t)padded, *choice = scores + padded, finite = 0;
    float *weights = s->weights + place * (size_t)(x->n_used + 1);
    int has_gate = x->shared_router.w.n_panels != 0;
    for (int e = 0; e < x->n; e++) finite = finite + logits[e] * 0;
    for (int e = 0; e < 16 && has_gate; e++) finite = finite + shared[e] * 0;
    if (finite != 0) row_is_bad(w, t);
    for (int e = 0; e < padded; e++) scores[e] = finite == 0 ? logits[e] * x->router_scale : 0;   // any are chosen then
    memcpy(choice, scores, sizeof *scores * (size_t)padded);
    if (x->route == ROUTE_SOFTMAX) softmax(w->k, scores, x->n, scores);
    if (x->route == ROUTE_SIGMOID) w->k->sigmoids(scores, padded, scores);
    int is_scored = x->choice_bias || x->n_groups_used < x->n_groups;
    for (int e = 0; e < x->n && is_scored; e++) choice[e] = x->choice_bias ? scores[e] + x->choice_bias[e] : scores[e];
    int *chosen = s->chosen + place * (size_t)x->n_used;
    if (x->route == ROUTE_MIXER && finite == 0) {
        mix_two(w->k, x->n, logits, choice, scores, chosen, weights);
    } else {
        choose(x, choice, chosen);
        weigh(w->k, x, scores, chosen, weights);
    }
    for (int i = 0; i < x->n_used && x->weights_scale != 1; i++) weights[i] = weights[i] * x->weights_scale;
    for (int i = 0; i < x->n_used && x->scales; i++) weights[i] = weights[i] * x->scales[chosen[i]];
    float of_shared[16] = {0};
    if (has_gate && finite == 0) w->k->sigmoids(shared, 16, of_shared);
    weights[x->n_used] = has_gate ? of_shared[0] : 1;
}

static void route(const worker *w, const experts *x) {
    for (int t = rows_from(w); t < rows_to(w); t++) route_row(w, x, t);
    mark(w, GEMEL_OP_FFN_IN);
    if (w->n > 1) meet(w);
}

// ---- Rows by expert ------------------------------------------------------------------------------------------------

// This thread's tables: expert e has the places order[starts[e]..starts[e + 1] - 1] of chosen [n][n_used].
static int *starts_of(const worker *w) { return w->s->starts + (size_t)w->ith * (size_t)(w->m->totals.n_expert + 1); }
static int *order_of(const worker *w) {
    return w->s->order + (size_t)w->ith * (size_t)w->m->n_batch * (size_t)w->m->totals.n_expert_used;
}
static const int *chosen_of(const worker *w, const experts *x) {
    return w->s->chosen + (w->n == 1 ? (size_t)w->ith * (size_t)x->n_used : 0);
}
// The weight of the i-th of row t's chosen experts; i n_used: of the shared expert.
static float route_weight(const worker *w, const experts *x, int t, int i) {
    return w->s->weights[(size_t)(w->n == 1 ? w->ith : t) * (size_t)(x->n_used + 1) + (size_t)i];
}

static void sort_rows(const worker *w, const experts *x) {
    int *starts = starts_of(w), *order = order_of(w), n = w->n * x->n_used;
    const int *chosen = chosen_of(w, x);
    memset(starts, 0, sizeof *starts * (size_t)(x->n + 1));
    for (int i = 0; i < n; i++) starts[chosen[i] + 1]++;
    for (int e = 0; e < x->n; e++) starts[e + 1] += starts[e];
    for (int i = 0; i < n; i++) order[starts[chosen[i]]++] = i;
    for (int e = x->n; e > 0; e--) starts[e] = starts[e - 1];
    starts[0] = 0;
}

// The acts of n rows from entry `at` on; of float rows: from x on.
static acts region_of(const worker *w, const acts *a, size_t at, int n, const float *x, size_t ldx) {
    acts r = {.d = a->d + at, .s = a->s + at, .z = a->z + at, .x = x, .ldx = ldx, .n = n};
    r.q = (char *)a->q + at * 32 * w->k->act_size;
    if (a->s2) r.s2 = a->s2 + 2 * at, r.z2 = a->z2 + 2 * at;
    if (a->wide) r.wide = a->wide + 32 * at;
    return r;
}

// An expert, its rows, and their places in the buffers.
typedef struct expert {
    linear gate, up, down;
    acts in, mid;
    float *gate_out, *up_out;   // [n][n_panels * 16]
    int n, n_ff;                // rows
    size_t first;               // its first row among those of all experts
    const int *order;           // [n] places in chosen; NULL: of all rows (the shared expert)
} expert;

// Whether each expert has its own copy of its rows. The experts of one row read the same, unless it is weighted first.
static int is_picked(const worker *w, const experts *x) { return w->n > 1 || x->is_before; }

// Expert e, or with x->n the shared one. Returns 0 when it has no rows.
static int expert_at(const worker *w, const experts *x, const acts *a, int e, expert *out) {
    workspace *s = w->s;
    int is_shared = e == x->n, *starts = starts_of(w), first = is_shared ? w->n * x->n_used : starts[e];
    if (is_shared ? !x->n_ff_shared : starts[e + 1] == first) return 0;
    size_t ff_pad = (size_t)pad_to(x->n_ff, 16), n_embd = (size_t)w->m->n_embd, at = (size_t)first * ff_pad;
    *out = (expert){.n = is_shared ? w->n : starts[e + 1] - first, .n_ff = is_shared ? x->n_ff_shared : x->n_ff};
    out->first = (size_t)first;
    out->order = is_shared ? NULL : order_of(w) + first;
    out->gate = is_shared ? x->shared_gate : expert_linear(&x->gate, e);
    out->up = is_shared ? x->shared_up : expert_linear(&x->up, e);
    out->down = is_shared ? x->shared_down : expert_linear(&x->down, e);
    out->gate_out = s->gate + at;
    out->up_out = s->up + at;
    out->in = *a;
    if (!is_shared && is_picked(w, x)) {
        const float *x_rows = s->picked_x ? s->picked_x + (size_t)first * n_embd : NULL;
        out->in = region_of(w, &s->picked, (size_t)first * (n_embd / 32), out->n, x_rows, n_embd);
    }
    size_t ld = (size_t)out->up.w.n_panels * 16;
    out->mid = region_of(w, &s->mid, (size_t)first * (size_t)(x->n_ff / 32), out->n, out->gate_out, ld);
    return 1;
}

// Row i of expert e's is row t: copy its codes and floats, or weight its floats and quantise them.
static void pick_row(const worker *w, const experts *x, const acts *a, expert *e, int i) {
    int t = e->order[i] / x->n_used, nb = w->m->n_embd / 32,
        needs_codes = !weight_is_float(&e->up.w) || !weight_is_float(&e->gate.w);
    size_t code_size = 32 * w->k->act_size, n_embd = (size_t)w->m->n_embd;
    float *row = w->s->picked_x ? w->s->picked_x + (e->first + (size_t)i) * n_embd : NULL;
    if (row) memcpy(row, a->x + (size_t)t * a->ldx, sizeof(float) * n_embd);
    if (x->is_before) {
        float by = route_weight(w, x, t, e->order[i] % x->n_used);
        for (size_t k = 0; k < n_embd; k++) row[k] = row[k] * by;
        if (needs_codes) w->k->quantise(row, nb, 0, nb, &e->in, i);
        return;
    }
    for (int b = 0; b < nb && needs_codes; b++) {
        size_t from = act_at(a->n, nb, t, b), to = act_at(e->n, nb, i, b);
        memcpy((char *)e->in.q + to * code_size, (const char *)a->q + from * code_size, code_size);
        if (a->wide) memcpy(e->in.wide + 32 * to, a->wide + 32 * from, 32 * sizeof *a->wide);
        e->in.d[to] = a->d[from], e->in.s[to] = a->s[from], e->in.z[to] = a->z[from];
        for (size_t h = 0; h < 2 && a->s2; h++)
            e->in.s2[2 * to + h] = a->s2[2 * from + h], e->in.z2[2 * to + h] = a->z2[2 * from + h];
    }
}

// Copy what each expert reads to where its rows are adjacent.
static void pick(const worker *w, const experts *x, const acts *a) {
    if (!is_picked(w, x)) return;
    int total = w->n * x->n_used, from = share(total, w->ith, w->nth), to = share(total, w->ith + 1, w->nth);
    const int *starts = starts_of(w);
    expert one;
    for (int e = 0; e < x->n; e++) {
        int i = from > starts[e] ? from : starts[e], end = to < starts[e + 1] ? to : starts[e + 1];
        if (i >= end || !expert_at(w, x, a, e, &one)) continue;
        for (; i < end; i++) pick_row(w, x, a, &one, i - starts[e]);
    }
    mark(w, GEMEL_OP_NORM);
    meet(w);
}

// ---- Products ------------------------------------------------------------------------------------------------------

// act(gate) * up of an expert's panels p0..p1-1, whole blocks of 32, quantised by the same thread.
static void widen(const worker *w, const experts *x, expert *e, int p0, int p1) {
    size_t ld = (size_t)e->up.w.n_panels * 16;
    multiply(w, &e->gate, &e->in, p0, p1, e->gate_out);
    multiply(w, &e->up, &e->in, p0, p1, e->up_out);
    for (int i = 0; i < e->n; i++) {
        float *gate = e->gate_out + (size_t)i * ld, *up = e->up_out + (size_t)i * ld;
        w->k->act[x->act](gate + p0 * 16, up + p0 * 16, NULL, (p1 - p0) * 16, gate + p0 * 16);
        if (!weight_is_float(&e->down.w)) w->k->quantise(gate, e->n_ff / 32, p0 / 2, p1 / 2, &e->mid, i);
    }
}

static int pairs_of(const experts *x, int e) { return (pad_to(e == x->n ? x->n_ff_shared : x->n_ff, 32)) / 32; }

// The panels of all experts that have rows, side by side: of each an even number.
static void widen_all(const worker *w, const experts *x, const acts *a) {
    const int *starts = starts_of(w);
    int total = pairs_of(x, x->n);
    expert one;
    for (int e = 0; e < x->n; e++) total += starts[e + 1] > starts[e] ? pairs_of(x, e) : 0;
    for (deal d = deal_out(w, 2 * total, 2); deal_take(&d);)
        for (int e = 0, before = 0; e <= x->n && before < d.to; e++) {
            if (e < x->n && starts[e + 1] == starts[e]) continue;
            int n = 2 * pairs_of(x, e), p0 = d.from > before ? d.from - before : 0;
            int p1 = d.to - before < n ? d.to - before : n;
            before += n;
            if (p0 >= p1 || !expert_at(w, x, a, e, &one)) continue;
            widen(w, x, &one, p0, p1 < one.up.w.n_panels ? p1 : one.up.w.n_panels);
        }
    mark(w, GEMEL_OP_FFN_IN);
}

// Add columns from..to-1 of an expert's output y[n][ld] to its rows' of the mixture, by their weights.
static void add_output(const worker *w, const experts *x, const expert *e, const float *y, size_t ld, int from,
                       int to) {
    for (int i = 0; i < e->n; i++) {
        int t = e->order ? e->order[i] / x->n_used : i, k = e->order ? e->order[i] % x->n_used : x->n_used;
        float by = e->order && x->is_before ? 1 : route_weight(w, x, t, k);
        w->k->add_scaled(w->s->mix + (size_t)t * ld + from, y + (size_t)i * ld + from, by, to - from);
    }
}

// Panels of n_embd are dealt out; of each, all experts in turn, so that every sum ascends by expert. `adds`: to the
// residual stream; else only in `mix`.
static void narrow_all(const worker *w, const layer *l, const acts *a, int adds) {
    const experts *x = &l->experts;
    int panels = x->down.w.n_panels, n_embd = w->m->n_embd;
    size_t ld = (size_t)panels * 16;
    expert one;
    for (deal d = deal_out(w, panels, 1); deal_take(&d);) {
        int from = d.from * 16, to = d.to * 16 < n_embd ? d.to * 16 : n_embd;
        for (int t = 0; t < w->n; t++)
            memset(w->s->mix + (size_t)t * ld + from, 0, sizeof(float) * (size_t)(to - from));
        for (int e = 0; e <= x->n; e++) {
            if (!expert_at(w, x, a, e, &one)) continue;
            multiply(w, &one.down, &one.mid, d.from, d.to, w->s->y);
            add_output(w, x, &one, w->s->y, ld, from, to);
        }
        for (int t = 0; t < w->n && adds; t++) add_columns(w, l, &l->ffn_out, t, from, to, w->s->mix + (size_t)t * ld);
    }
    mark(w, GEMEL_OP_FFN_OUT);
}

static int reads_codes(const experts *x) {
    const linear *all[] = {&x->router, &x->gate, &x->up, &x->shared_gate, &x->shared_up, &x->shared_router};
    for (int i = 0; i < 6; i++)
        if (all[i]->w.n_panels && !weight_is_float(&all[i]->w)) return 1;
    return 0;
}

// The rows as experts read them; and the logits of routers, which read the same, or rows that are normed for them.
static acts read_rows(const worker *w, const layer *l) {
    const experts *x = &l->experts;
    const float *from = l->is_parallel ? w->s->x0 : w->s->x;
    const norm *in = x->in.is_on ? &x->in : &l->ffn_in;
    int width = w->m->n_embd, is_same = !x->router_in.is_on;
    acts a = prepare(w, from, (size_t)width, width, is_same ? in : &x->router_in, reads_codes(x));
    const product p[] = {{&x->router, w->s->route}, {&x->shared_router, w->s->shared}};
    multiply_all(w, &a, p, x->shared_router.w.n_panels ? 2 : 1, GEMEL_OP_FFN_IN);
    meet(w);
    return is_same ? a : prepare(w, from, (size_t)width, width, in, reads_codes(x));
}

static void mix(const worker *w, const layer *l, int adds) {
    const experts *x = &l->experts;
    acts a = read_rows(w, l);
    route(w, x);
    sort_rows(w, x);
    pick(w, x, &a);
    widen_all(w, x, &a);
    meet(w);
    narrow_all(w, l, &a, adds);
}

void experts_mix(const worker *w, const layer *l) { mix(w, l, 0); }

static void experts_take(worker *w, const layer *l) {
    mix(w, l, !l->ffn_out.is_on);
    if (l->ffn_out.is_on) {
        meet(w);
        add_normed(w, l, &l->ffn_out, w->s->mix, (size_t)l->experts.down.w.n_panels * 16);
    }
    meet(w);
}

const block experts_block = {NULL, experts_take};
