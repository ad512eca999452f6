// A short convolution in the place of attention: a position reads the few before it from the session's state.
//
//   in -> b, c, x of n_embd each     u = b * x     y = c * (w[0] u of n_taps - 1 positions ago + .. + w[n_taps - 1] u)
#include "worker.h"

// Channels from..to-1 of all rows, in their order.
static void scan(const worker *w, const layer *l, int from, int to) {
    const short_conv *c = &l->conv;
    size_t n_embd = (size_t)w->m->n_embd, ld = (size_t)c->in.w.n_panels * 16, n = (size_t)(to - from);
    for (int t = 0; t < w->n; t++) {
        const row *r = row_at(w, t);
        float *state = r->state_out + l->state_at + from;
        for (int i = 0; r->state_in != r->state_out && i + 1 < c->n_taps; i++) {
            float *to_tap = state + (size_t)i * n_embd;
            if (r->state_in) memcpy(to_tap, r->state_in + l->state_at + (size_t)i * n_embd + from, n * sizeof(float));
            else memset(to_tap, 0, n * sizeof(float));
        }
        const float *b = w->s->q + (size_t)t * ld + from, *gate = b + n_embd, *x = gate + n_embd;
        float *y = w->s->heads + (size_t)t * (size_t)l->heads_width + from;
        if (!w->k->short_conv(c->w + (size_t)(from * c->n_taps), c->n_taps, b, gate, x, to - from, n_embd, state, y))
            row_is_bad(w, t);
    }
}

static void conv_put(worker *w, const layer *l) {
    int n_embd = w->m->n_embd, blocks = (n_embd + 15) / 16;
    keep_stream(w, l);
    acts in = prepare(w, w->s->x, (size_t)n_embd, n_embd, &l->in, !weight_is_float(&l->conv.in.w));
    const product p = {&l->conv.in, w->s->q};
    multiply_all(w, &in, &p, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
    int from = 16 * share(blocks, w->ith, w->nth), to = 16 * share(blocks, w->ith + 1, w->nth);
    scan(w, l, from, to < n_embd ? to : n_embd);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
}

static void conv_take(worker *w, const layer *l) {
    static const norm none = {0};
    acts in = prepare(w, w->s->heads, (size_t)l->heads_width, w->m->n_embd, &none, !weight_is_float(&l->conv.out.w));
    add_half(w, l, &l->conv.out, &in, &l->out, GEMEL_OP_ATTENTION_OUT);
    meet(w);
}

const block conv_block = {conv_put, conv_take};
