// RWKV-7 in the place of attention (arXiv:2503.14456). Every matrix reads a row mixed with the one before, which the
// session's state has; each head keeps a matrix there, which the position decays, reads, and writes. See wkv_step.
//
//   x = norm(row)    x_i = x + (x of the row before - x) * mix_i, for each of
//   r, k, v = matrices of x_r, x_k, x_v        decay = w2 tanh(w1 x_w)     rate = a2 a1 x_a
//   mix = v2 v1 x_v, not in the first layer    gate = g2 sigmoid(g1 x_g)   out (what heads make)
//
// A channel mix reads such a row, too. It is mixed in the first phase, so that rows of which nothing is wanted leave
// their part of the state: for that, `put` adds its half to the stream, and the second phase is feed-forward's.
#include "worker.h"

enum { MIX_R, MIX_DECAY, MIX_K, MIX_V, MIX_RATE, MIX_GATE };
typedef enum mixed_by { AS_IT_IS, BY_TANH, BY_SIGMOID } mixed_by;

static size_t width_of(const worker *w) { return (size_t)pad_to(w->m->n_embd, 16); }
static size_t row_size(const linear *l) { return (size_t)l->w.n_panels * 16; }
static int is_coded(const linear *l) { return !weight_is_float(&l->w); }
// Rows [n][width] of r, k, v, decay, rate, mix, gate, one array after the other.
enum { AT_R, AT_K, AT_V, AT_DECAY, AT_RATE, AT_MIX, AT_GATE };
static float *array_of(const worker *w, int i) { return w->s->q + (size_t)i * (size_t)w->n * width_of(w); }
// What is between two matrices: [n][ranks, padded], of decay, rate, mix, gate.
static float *between(const worker *w, const time_mix *t, int i) {
    const linear *all[] = {t->decay, t->rate, t->value, t->gate};
    float *at = w->s->k;
    for (int k = 0; k < i; k++) at += (size_t)w->n * row_size(all[k]);
    return at;
}
static float *first_at(const worker *w, int t) { return w->b->first + (size_t)row_of(w, t) * (size_t)w->m->n_first; }

// ---- Rows and those before them ------------------------------------------------------------------------------------

// A thread's normed row; with one row each thread has its own.
static float *normed_at(const worker *w, int t) { return w->s->norm + (size_t)(w->n == 1 ? w->ith : t) * width_of(w); }
static float *mixed_at(const worker *w, int t) {
    return w->s->mixed + (size_t)(w->n == 1 ? w->ith : t) * (size_t)w->m->totals.mixed;
}

// Norm the stream's rows; all are done on return.
static void norm_rows(const worker *w, const norm *norm) {
    for (int t = rows_from(w); t < rows_to(w); t++)
        norm_row(w, norm, t, stream_at(w, t), w->m->n_embd, normed_at(w, t));
    mark(w, GEMEL_OP_NORM);
    if (w->n > 1) meet(w);
}

// y = row t mixed with the one before: row t - 1 of the same session, or what its state has at `at`, or zeros.
static void mix_row(const worker *w, int t, size_t at, const float *by, int from, int to, float *y) {
    static const float zeros[64];
    const row *r = row_at(w, t);
    int follows = t > 0 && r->state_in == row_at(w, t - 1)->state_out;
    const float *x = normed_at(w, t), *before = follows ? normed_at(w, t - 1) : r->state_in ? r->state_in + at : NULL;
    if (before) w->k->lerp(x + from, before + from, by + from, to - from, y + from);
    for (int i = from; !before && i < to; i += 64) {
        int n = to - i < 64 ? to - i : 64;
        w->k->lerp(x + i, zeros, by + i, n, y + i);
    }
}

// Keep the last row of each state; all threads have read what was there.
static void keep_rows(const worker *w, size_t at) {
    int n = w->m->n_embd, from = w->n == 1 ? share(n, w->ith, w->nth) : 0,
        to = w->n == 1 ? share(n, w->ith + 1, w->nth) : n;
    for (int t = rows_from(w); t < rows_to(w); t++) {
        float *state = row_at(w, t)->state_out;
        if (t + 1 < w->n && row_at(w, t + 1)->state_out == state) continue;
        memcpy(state + at + from, normed_at(w, t) + from, sizeof(float) * (size_t)(to - from));
    }
}

// ---- Matrices ------------------------------------------------------------------------------------------------------

// Multiply what every thread has in mixed_at by these; the rows may be overwritten on return.
static void multiply_mixed(const worker *w, int width, const product *p, int count) {
    static const norm none = {0};
    int codes = 0;
    for (int i = 0; i < count; i++) codes |= is_coded(p[i].l);
    acts a = prepare(w, mixed_at(w, 0), (size_t)w->m->totals.mixed, width, &none, codes);
    multiply_all(w, &a, p, count, GEMEL_OP_ATTENTION_IN);
    if (w->n > 1) meet(w);
}

static void multiply_mix(const worker *w, const layer *l, int mix, const product *p, int count) {
    const float *by = l->time.mixes + (size_t)mix * (size_t)w->m->n_embd;
    for (int t = rows_from(w); t < rows_to(w); t++) mix_row(w, t, l->state_at, by, 0, w->m->n_embd, mixed_at(w, t));
    multiply_mixed(w, w->m->n_embd, p, count);
}

// Through tanh or a sigmoid, which would lose Inf.
static void bend(const worker *w, int t, mixed_by how, int n, float *x) {
    float zero = 0;
    for (int i = 0; i < n; i++) zero = zero + x[i] * 0;
    if (!(zero == 0)) row_is_bad(w, t);
    else if (how == BY_TANH) w->k->soft_cap(x, n, 1);
    else if (how == BY_SIGMOID) w->k->sigmoids(x, n, x);
}

// The second of two matrices, of array i of those between them.
static void multiply_second(const worker *w, const layer *l, int i, const linear *two, mixed_by how, int to) {
    const float *x = between(w, &l->time, i);
    const product p = {&two[1], array_of(w, to)};
    size_t n = row_size(&two[0]);
    for (int t = rows_from(w); t < rows_to(w); t++) {
        memcpy(mixed_at(w, t), x + (size_t)t * n, sizeof(float) * n);
        bend(w, t, how, (int)n, mixed_at(w, t));
    }
    multiply_mixed(w, two[1].w.n_in, &p, 1);
}

static void project(const worker *w, const layer *l) {
    const time_mix *t = &l->time;
    int is_first = !t->value[0].w.n_panels, has_gate = t->gate_rank > 0;
    const product v[] = {{&t->v, array_of(w, AT_V)}, {&t->value[0], between(w, t, 2)}};
    const product r = {&t->r, array_of(w, AT_R)}, k = {&t->k, array_of(w, AT_K)};
    const product decay = {&t->decay[0], between(w, t, 0)}, rate = {&t->rate[0], between(w, t, 1)};
    const product gate = {&t->gate[0], between(w, t, 3)};
    norm_rows(w, &l->in);
    multiply_mix(w, l, MIX_R, &r, 1);
    multiply_mix(w, l, MIX_DECAY, &decay, 1);
    multiply_mix(w, l, MIX_K, &k, 1);
    multiply_mix(w, l, MIX_V, v, is_first ? 1 : 2);
    multiply_mix(w, l, MIX_RATE, &rate, 1);
    if (has_gate) multiply_mix(w, l, MIX_GATE, &gate, 1);
    if (w->n == 1) meet(w);
    keep_rows(w, l->state_at);
    multiply_second(w, l, 0, t->decay, BY_TANH, AT_DECAY);
    multiply_second(w, l, 1, t->rate, AS_IT_IS, AT_RATE);
    if (!is_first) multiply_second(w, l, 2, t->value, AS_IT_IS, AT_MIX);
    if (has_gate) multiply_second(w, l, 3, t->gate, BY_SIGMOID, AT_GATE);
    if (w->n == 1) meet(w);
}

// ---- Heads ---------------------------------------------------------------------------------------------------------

static void step(const worker *w, const layer *l, int t, int h) {
    const time_mix *x = &l->time;
    const row *r = row_at(w, t);
    size_t c = (size_t)(h * x->n), size = (size_t)x->n * (size_t)x->n;
    size_t at = l->state_at + (size_t)w->m->n_embd + (size_t)h * size, place = (size_t)t * width_of(w) + c;
    int is_first = !x->value[0].w.n_panels;
    wkv_step s = {.n = x->n, .k_k = x->k_k + c, .k_a = x->k_a + c, .r_k = x->r_k + c};
    s.r = array_of(w, AT_R) + place, s.k = array_of(w, AT_K) + place, s.v = array_of(w, AT_V) + place;
    s.decay = array_of(w, AT_DECAY) + place, s.rate = array_of(w, AT_RATE) + place;
    if (is_first) memcpy(first_at(w, t) + c, s.v, sizeof(float) * (size_t)x->n);
    else s.mix = array_of(w, AT_MIX) + place, s.first = first_at(w, t) + c;
    if (x->gate_rank) s.gate = array_of(w, AT_GATE) + place;
    if (x->norm.w) s.norm_w = x->norm.w + c;
    if (x->norm.b) s.norm_b = x->norm.b + c;
    s.after = r->state_out + at;
    s.before = r->state_in ? r->state_in + at : s.after;
    if (!r->state_in) memset(s.after, 0, sizeof(float) * size);
    s.y = w->s->heads + (size_t)t * (size_t)l->heads_width + c;
    if (!w->k->wkv(&s)) row_is_bad(w, t);
}

static void add_out(const worker *w, const layer *l) {
    static const norm none = {0};
    acts in = prepare(w, w->s->heads, (size_t)l->heads_width, w->m->n_embd, &none, is_coded(&l->time.out));
    add_half(w, l, &l->time.out, &in, &l->out, GEMEL_OP_ATTENTION_OUT);
    meet(w);
}

// What the channel mix reads, into `heads`.
static void mix_channels(const worker *w, const layer *l) {
    const time_mix *x = &l->time;
    int n_embd = w->m->n_embd, n_head = n_embd / x->n;
    size_t at = l->state_at + (size_t)n_embd + (size_t)n_head * (size_t)x->n * (size_t)x->n;
    norm_rows(w, &l->ffn_in);
    for (int t = rows_from(w); t < rows_to(w); t++)
        mix_row(w, t, at, x->channel_mix, columns_from(w), columns_to(w),
                w->s->heads + (size_t)t * (size_t)l->heads_width);
    mark(w, GEMEL_OP_FFN_IN);
    meet(w);
    keep_rows(w, at);
}

static void rwkv_put(worker *w, const layer *l) {
    int n_head = w->m->n_embd / l->time.n;
    project(w, l);
    for (int h = share(n_head, w->ith, w->nth); h < share(n_head, w->ith + 1, w->nth); h++)
        for (int t = 0; t < w->n; t++) step(w, l, t, h);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
    if (!l->time.channel_mix) return;
    add_out(w, l);
    mix_channels(w, l);
}

static void rwkv_take(worker *w, const layer *l) {
    if (!l->time.channel_mix) add_out(w, l);
}

const block rwkv_block = {rwkv_put, rwkv_take};
