// Selective state spaces in the place of attention, or beside it: Mamba-1, Mamba-2. A position reads the ones before it
// from the session's state. Threads split channels or heads, never rows: each goes through its own in the rows' order.
//
//   in -> z, u (Mamba-2: x, b, c), steps     u = silu(convolution of u)     (Mamba-1: x is u; ssm_x x -> dt, b, c)
//   state = state * decay + x * step * b     y = (the sum of state * c, + d * x) * silu(z), normed     out y
#include "../arch/mamba.h"
#include "worker.h"

// Where a row's parts are, in floats of w->s->q: z and u in one order or the other, then the steps of Mamba-2's heads.
typedef struct parts {
    size_t ld;
    int z, u, b, c, steps;
} parts;

static parts parts_of(const mamba *x) {
    parts p = {.ld = (size_t)x->in.w.n_panels * 16};
    if (!x->n_head) {
        p.z = x->n_inner;
        return p;
    }
    p.u = x->n_inner;
    p.b = p.u + x->n_inner;
    p.c = p.b + x->n_group * x->n_state;
    p.steps = p.c + x->n_group * x->n_state;
    return p;
}

// What a row reads of the state, at `at`: `rows` runs of n floats, ld apart. Zeros, where nothing came before.
static const float *before_row(const row *r, size_t at, int rows, int n, size_t ld) {
    if (r->state_in) return r->state_in + at;
    for (int i = 0; i < rows; i++) memset(r->state_out + at + (size_t)i * ld, 0, sizeof(float) * (size_t)n);
    return r->state_out + at;
}

// ---- The convolution -----------------------------------------------------------------------------------------------

// Channels c0..c0+n-1 of all rows, in place.
static void convolve_channels(const worker *w, const layer *l, const parts *p, int c0, int n) {
    const mamba *x = &l->mamba;
    float taps[TAPS_MAX * CONV_CHANNELS] = {0};
    conv_step k = {.n = n, .n_taps = x->n_taps, .w = taps, .b = x->conv_b ? x->conv_b + c0 : NULL};
    size_t at = l->state_at + (size_t)c0;
    k.ld = (size_t)mamba_convolved(x);
    for (int i = 0; i < n; i++)
        for (int tap = 0; tap < x->n_taps; tap++)
            taps[tap * CONV_CHANNELS + i] = x->conv[(size_t)(c0 + i) * (size_t)x->n_taps + (size_t)tap];
    for (int t = 0; t < w->n; t++) {
        const row *r = row_at(w, t);
        k.before = before_row(r, at, x->n_taps - 1, n, k.ld);
        k.after = r->state_out + at;
        k.x = k.y = w->s->q + (size_t)t * p->ld + p->u + c0;
        if (!w->k->conv_silu(&k)) row_is_bad(w, t);
    }
}

static void convolve(const worker *w, const layer *l, const parts *p) {
    int n = mamba_convolved(&l->mamba), blocks = (n + CONV_CHANNELS - 1) / CONV_CHANNELS;
    for (int i = share(blocks, w->ith, w->nth); i < share(blocks, w->ith + 1, w->nth); i++) {
        int c0 = i * CONV_CHANNELS;
        convolve_channels(w, l, p, c0, n - c0 < CONV_CHANNELS ? n - c0 : CONV_CHANNELS);
    }
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

// ---- Mamba-2 -------------------------------------------------------------------------------------------------------

static void scan_one_head(const worker *w, const layer *l, const parts *p, int h) {
    const mamba *x = &l->mamba;
    int n = x->n_inner / x->n_head, group = h / (x->n_head / x->n_group);
    size_t at = l->state_at + mamba_conv_state(x) + (size_t)h * (size_t)(n * x->n_state);
    scan_step s = {.n = n, .n_state = x->n_state, .ld = (size_t)n};
    s.dt_b = x->dt.b + h, s.a = x->a + h, s.d = x->d + h;
    for (int t = 0; t < w->n; t++) {
        const row *r = row_at(w, t);
        const float *q = w->s->q + (size_t)t * p->ld;
        s.x = q + p->u + h * n, s.z = q + p->z + h * n, s.dt = q + p->steps + h;
        s.b = q + p->b + group * x->n_state, s.c = q + p->c + group * x->n_state;
        s.before = before_row(r, at, 1, n * x->n_state, 0);
        s.after = r->state_out + at;
        s.y = w->s->inner + (size_t)t * (size_t)pad_to(x->n_inner, 16) + h * n;
        if (!w->k->scan_head(&s)) row_is_bad(w, t);
    }
}

// Each group of channels alone.
static void norm_groups(const worker *w, const mamba *x) {
    int n = x->n_inner / x->n_group, total = w->n * x->n_group;
    for (int i = share(total, w->ith, w->nth); i < share(total, w->ith + 1, w->nth); i++) {
        int t = i / x->n_group, c0 = i % x->n_group * n;
        float *y = w->s->inner + (size_t)t * (size_t)pad_to(x->n_inner, 16) + c0;
        norm own = x->norm;
        own.w += c0;
        norm_row(w, &own, t, y, n, y);
    }
    mark(w, GEMEL_OP_NORM);
    meet(w);
}

static void scan_heads(const worker *w, const layer *l, const parts *p) {
    const mamba *x = &l->mamba;
    for (int h = share(x->n_head, w->ith, w->nth); h < share(x->n_head, w->ith + 1, w->nth); h++)
        scan_one_head(w, l, p, h);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
    if (x->norm.is_on) norm_groups(w, x);
}

// ---- Mamba-1 -------------------------------------------------------------------------------------------------------

// Channels c0..c0+n-1 of all rows.
static void scan_some(const worker *w, const layer *l, const parts *p, int c0, int n) {
    const mamba *x = &l->mamba;
    float a[FIRST_STATE_MAX * SCAN_CHANNELS] = {0};
    size_t at = l->state_at + mamba_conv_state(x) + (size_t)c0, k_ld = (size_t)x->x.w.n_panels * 16;
    scan_step s = {.n = n, .n_state = x->n_state, .a = a, .d = x->d + c0, .ld = (size_t)pad_to(x->n_inner, 16)};
    for (int i = 0; i < n; i++)
        for (int m = 0; m < x->n_state; m++)
            a[m * SCAN_CHANNELS + i] = x->a[(size_t)(c0 + i) * (size_t)x->n_state + (size_t)m];
    for (int t = 0; t < w->n; t++) {
        const row *r = row_at(w, t);
        const float *q = w->s->q + (size_t)t * p->ld + c0, *k = w->s->k + (size_t)t * k_ld + x->rank;
        s.x = q + p->u, s.z = q + p->z, s.dt = w->s->v + (size_t)t * (size_t)pad_to(x->n_inner, 16) + c0;
        s.b = k, s.c = k + x->n_state;
        s.before = before_row(r, at, x->n_state, n, s.ld);
        s.after = r->state_out + at;
        s.y = w->s->inner + (size_t)t * (size_t)pad_to(x->n_inner, 16) + c0;
        if (!w->k->scan_channels(&s)) row_is_bad(w, t);
    }
}

// Steps, and what goes in and out of states: each is a part of the rows of ssm_x.
static void norm_parts(const worker *w, const mamba *x) {
    const norm bare = {.is_on = 1, .kind = NORM_RMS};
    for (int t = w->ith; t < w->n; t += w->nth) {
        float *k = w->s->k + (size_t)t * (size_t)(x->x.w.n_panels * 16);
        norm_row(w, &bare, t, k, x->rank, k);
        for (int i = 0; i < 2; i++) {
            float *part = k + x->rank + i * x->n_state;
            norm_row(w, &bare, t, part, x->n_state, part);
        }
    }
    mark(w, GEMEL_OP_NORM);
    meet(w);
}

static void scan_channels(const worker *w, const layer *l, const parts *p) {
    static const norm none = {0};
    const mamba *x = &l->mamba;
    acts in = prepare(w, w->s->q + p->u, p->ld, x->n_inner, &none, !weight_is_float(&x->x.w));
    const product first = {&x->x, w->s->k}, second = {&x->dt, w->s->v};
    multiply_all(w, &in, &first, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
    if (x->is_normed) norm_parts(w, x);
    in = prepare(w, w->s->k, (size_t)x->x.w.n_panels * 16, x->rank, &none, !weight_is_float(&x->dt.w));
    multiply_all(w, &in, &second, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
    int blocks = (x->n_inner + SCAN_CHANNELS - 1) / SCAN_CHANNELS;
    for (int i = share(blocks, w->ith, w->nth); i < share(blocks, w->ith + 1, w->nth); i++) {
        int c0 = i * SCAN_CHANNELS, left = x->n_inner - c0;
        scan_some(w, l, p, c0, left < SCAN_CHANNELS ? left : SCAN_CHANNELS);
    }
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

// ---- Blocks --------------------------------------------------------------------------------------------------------

static void mamba_put(worker *w, const layer *l) {
    const mamba *x = &l->mamba;
    const parts p = parts_of(x);
    acts in = prepare(w, w->s->x, (size_t)w->m->n_embd, w->m->n_embd, &l->in, !weight_is_float(&x->in.w));
    const product all = {&x->in, w->s->q};
    multiply_all(w, &in, &all, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
    convolve(w, l, &p);
    if (x->n_head) scan_heads(w, l, &p);
    else scan_channels(w, l, &p);
}

static void mamba_take(worker *w, const layer *l) {
    static const norm none = {0};
    const mamba *x = &l->mamba;
    acts in = prepare(w, w->s->inner, (size_t)pad_to(x->n_inner, 16), x->n_inner, &none, !weight_is_float(&x->out.w));
    add_half(w, l, &x->out, &in, &l->out, GEMEL_OP_ATTENTION_OUT);
    meet(w);
}

static void both_put(worker *w, const layer *l) {
    mamba_put(w, l);
    attention_block.put(w, l);
}

static void both_take(worker *w, const layer *l) {   // both read the stream as it enters the layer
    attention_block.take(w, l);
    mamba_take(w, l);
}

const block mamba_block = {mamba_put, mamba_take}, both_block = {both_put, both_take};
