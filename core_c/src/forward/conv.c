// A short convolution in the place of attention: a position reads the few before it from the session's state.
//
//   in -> b, c, x of n_embd each     u = b * x     y = c * (w[0] u of n_taps - 1 positions ago + .. + w[n_taps - 1] u)
#include "conv.h"

// Row t's state begins as that before it.
static void begin_state(const conv_args *a, const row *r, int from, int n) {
    for (int i = 0; r->state_in != r->state_out && i + 1 < a->n_taps; i++) {
        size_t at = a->state_at + (size_t)i * (size_t)a->n + (size_t)from;
        if (r->state_in) memcpy(r->state_out + at, r->state_in + at, (size_t)n * sizeof(float));
        else memset(r->state_out + at, 0, (size_t)n * sizeof(float));
    }
}

void convolve(const worker *w, const conv_args *a, int from, int to) {
    for (int t = 0; t < w->n && from < to; t++) {
        const row *r = row_at(w, t);
        size_t at = (size_t)t * a->ld + (size_t)from;
        begin_state(a, r, from, to - from);
        if (!w->k->short_conv(a->w + (size_t)from * (size_t)a->n_taps, a->n_taps, a->b ? a->b + at : NULL,
                              a->c ? a->c + at : NULL, a->x + at, to - from, (size_t)a->n,
                              r->state_out + a->state_at + from, a->y + (size_t)t * a->y_ld + from))
            row_is_bad(w, t);
    }
}

static void conv_put(worker *w, const layer *l) {
    int n_embd = w->m->n_embd;
    const float *b = w->s->q;
    keep_stream(w, l);
    acts in = prepare(w, w->s->x, (size_t)n_embd, n_embd, &l->in, !weight_is_float(&l->conv.in.w));
    const product p = {&l->conv.in, w->s->q};
    multiply_all(w, &in, &p, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
    const conv_args a = {.w = l->conv.w,
                         .n_taps = l->conv.n_taps,
                         .n = n_embd,
                         .state_at = l->state_at,
                         .b = b,
                         .c = b + n_embd,
                         .x = b + 2 * n_embd,
                         .ld = (size_t)l->conv.in.w.n_panels * 16,
                         .y = w->s->heads,
                         .y_ld = (size_t)l->heads_width};
    convolve(w, &a, channels_from(w, n_embd, w->ith), channels_from(w, n_embd, w->ith + 1));
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
