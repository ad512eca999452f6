// A gated delta net in the place of attention (arXiv:2412.06464): each head of values keeps a matrix, of which a query
// reads a row's output. Before that, the matrix decays, and what it has at the row's key moves towards the row's value.
//
//   q, k, v = silu(convolution(qkv x)), q and k of length 1   decay = exp(a softplus(alpha x + dt))   b = sigmoid(b x)
//   S = decay S    S = S + k (b (v - k S))    o = q S / sqrt(k_dim)    out (norm(o) silu(z x))
#include "conv.h"
#include "../fmath.h"

#define LENGTH_EPSILON 1e-6f   // added to the squared length of queries and keys

// ---- What a row gives its heads ------------------------------------------------------------------------------------

static size_t row_size(const linear *l) { return (size_t)l->w.n_panels * 16; }
static float *alpha_of(const worker *w, const delta_net *d) {   // beside beta's rows, where it is a matrix
    return w->s->v + (d->is_grouped ? 0 : (size_t)w->n * row_size(&d->beta));
}

// s->q [n][q, k, v], s->k [n][z], s->v [n][beta], [n][alpha]
static void project(const worker *w, const layer *l) {
    const delta_net *d = &l->delta;
    int floats = weight_is_float(&d->qkv.w) && weight_is_float(&d->z.w) && weight_is_float(&d->beta.w);
    if (!d->is_grouped) floats = floats && weight_is_float(&d->alpha.w);
    acts in = prepare(w, w->s->x, (size_t)w->m->n_embd, w->m->n_embd, &l->in, !floats);
    const product p[] = {{&d->qkv, w->s->q}, {&d->z, w->s->k}, {&d->beta, w->s->v}, {&d->alpha, alpha_of(w, d)}};
    multiply_all(w, &in, p, d->is_grouped ? 3 : 4, GEMEL_OP_ATTENTION_IN);
    meet(w);
}

static void activate(const worker *w, const layer *l) {
    const delta_net *d = &l->delta;
    size_t ld = row_size(&d->qkv);
    int from = channels_from(w, d->n, w->ith), to = channels_from(w, d->n, w->ith + 1);
    const conv_args a = {d->conv, d->n_taps, d->n, l->state_at, NULL, NULL, w->s->q, ld, w->s->q, ld};
    convolve(w, &a, from, to);
    for (int t = 0; t < w->n && from < to; t++) {
        float *x = w->s->q + (size_t)t * ld + from;
        w->k->act[ACT_SILU](x, NULL, NULL, pad_to(to - from, 16), x);
    }
    mark(w, GEMEL_OP_ATTENTION_PUT);
    meet(w);
}

// ---- A head --------------------------------------------------------------------------------------------------------

// y = scale * x / sqrt(the square of its length + LENGTH_EPSILON)
static void unit(const worker *w, int t, const float *x, int n, float scale, float *y) {
    if (!w->k->norm[NORM_RMS](x, NULL, NULL, n, LENGTH_EPSILON / (float)n, y)) row_is_bad(w, t);
    for (int i = 0; i < n; i++) y[i] = y[i] * scale;
}

// What the head's matrix keeps of the past, and how far it moves.
static void rates(const worker *w, const delta_net *d, int t, int h, float *decay, float *beta) {
    int group = d->n_v / d->n_k, at = d->is_grouped ? h / group * 2 * group + h % group : h;
    const float *alpha = alpha_of(w, d) + (size_t)t * row_size(d->is_grouped ? &d->beta : &d->alpha);
    float x = alpha[d->is_grouped ? at + group : h] + d->dt[h], b[16] = {0};
    b[0] = w->s->v[(size_t)t * row_size(&d->beta) + (size_t)at];
    if (!(x * 0 + b[0] * 0 == 0)) row_is_bad(w, t);   // Inf is lost in what follows
    w->k->sigmoids(b, 16, b);
    double soft = x > 20 ? (double)x : fm_log(1 + fm_exp((double)x));
    *beta = b[0];
    *decay = (float)fm_exp((double)d->a[h] * soft);
}

// o[v_dim] of a head, normed, times silu(z), into its place.
static void gate(const worker *w, const layer *l, int t, int h, float *o) {
    const delta_net *d = &l->delta;
    float z[ATTEND_DIM], *y = w->s->heads + (size_t)t * (size_t)l->heads_width + (size_t)(h * d->v_dim);
    const size_t size = sizeof(float) * (size_t)d->v_dim;
    norm_row(w, &d->norm, t, o, d->v_dim, o);
    memcpy(z, w->s->k + (size_t)t * row_size(&d->z) + (size_t)(h * d->v_dim), size);
    for (int i = d->v_dim; i % 16; i++) z[i] = o[i] = 0;
    w->k->act[ACT_SILU](z, o, NULL, pad_to(d->v_dim, 16), z);
    memcpy(y, z, size);
}

// Of row t, which reads the state that the row before it left.
static void step(const worker *w, const layer *l, int t, int h) {
    const delta_net *d = &l->delta;
    const row *r = row_at(w, t);
    const float *x = w->s->q + (size_t)t * row_size(&d->qkv);
    size_t size = (size_t)d->k_dim * (size_t)d->v_dim;
    size_t at = l->state_at + (size_t)(d->n_taps - 1) * (size_t)d->n + (size_t)h * size;
    int keys = d->n_k * d->k_dim, key = (d->is_grouped ? h / (d->n_v / d->n_k) : h % d->n_k) * d->k_dim;
    float q[ATTEND_DIM], k[ATTEND_DIM], o[ATTEND_DIM], scale = (float)(1 / fm_sqrt((double)d->k_dim));
    delta_args a = {.k_dim = d->k_dim, .v_dim = d->v_dim, .q = q, .k = k, .v = x + 2 * keys + h * d->v_dim, .o = o};
    unit(w, t, x + key, d->k_dim, (float)(1 / (double)d->k_dim), q);
    unit(w, t, x + keys + key, d->k_dim, scale, k);
    rates(w, d, t, h, &a.decay, &a.beta);
    a.to = r->state_out + at;
    a.from = r->state_in ? r->state_in + at : a.to;
    if (!r->state_in) memset(a.to, 0, sizeof(float) * size);
    w->k->delta_step(&a);
    gate(w, l, t, h, o);
}

static void delta_put(worker *w, const layer *l) {
    int from = share(l->delta.n_v, w->ith, w->nth), to = share(l->delta.n_v, w->ith + 1, w->nth);
    keep_stream(w, l);
    project(w, l);
    activate(w, l);
    for (int h = from; h < to; h++)
        for (int t = 0; t < w->n; t++) step(w, l, t, h);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

static void delta_take(worker *w, const layer *l) {
    static const norm none = {0};
    const delta_net *d = &l->delta;
    acts in = prepare(w, w->s->heads, (size_t)l->heads_width, d->n_v * d->v_dim, &none, !weight_is_float(&d->out.w));
    add_half(w, l, &d->out, &in, &l->out, GEMEL_OP_ATTENTION_OUT);
    meet(w);
}

const block delta_block = {delta_put, delta_take};
