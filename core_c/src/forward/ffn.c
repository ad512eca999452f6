// Feed-forward: what a layer does to each row alone.
#include "ffn.h"

// act(gate) * up or act(up) of panels from..to-1 into s->gate, quantised.
static void activate(const worker *w, const feed_forward *f, int from, int to, int is_gated) {
    workspace *s = w->s;
    size_t ld = (size_t)f->up.w.n_panels * 16;
    acts mid = s->mid;
    mid.n = w->n;
    for (int t = 0; t < w->n; t++) {
        float *gate = s->gate + (size_t)t * ld;
        const float *up = is_gated ? s->up + (size_t)t * ld + from * 16 : NULL;
        w->k->act[f->act](gate + from * 16, up, f->by, (to - from) * 16, gate + from * 16);
        if (!weight_is_float(&f->down.w)) w->k->quantise(gate, f->n_ff / 32, from / 2, to / 2, &mid, t);
    }
    mark(w, GEMEL_OP_FFN_ACT);
}

// Up, and gate where the layer has one, for the same rows; then both activated by the same thread, which owns whole
// blocks of 32. Of many rows, some panels at a time: what they give is still in the thread's cache then.
enum { WIDE_ROWS = 16, WIDE_PANELS = 8 };
static void widen(const worker *w, const feed_forward *f, const acts *a, int is_gated) {
    workspace *s = w->s;
    for (deal d = deal_out(w, f->up.w.n_panels, 2); deal_take(&d);)
        for (int from = d.from, to; from < d.to; from = to) {
            to = w->n > WIDE_ROWS && d.to - from > WIDE_PANELS ? from + WIDE_PANELS : d.to;
            if (is_gated) multiply(w, &f->gate, a, from, to, s->gate);
            multiply(w, &f->up, a, from, to, is_gated ? s->up : s->gate);
            mark(w, GEMEL_OP_FFN_IN);
            activate(w, f, from, to, is_gated);
        }
}

// What the last product reads: after a barrier, all threads may.
static acts middle(const worker *w, const layer *l, int is_gated) {
    const feed_forward *f = &l->ff;
    int floats = weight_is_float(&f->up.w) && (!is_gated || weight_is_float(&f->gate.w));
    static const norm none = {0};
    const float *x = l->is_parallel ? w->s->x0 : w->s->x;
    acts a = l->ffn == FFN_CHANNEL   // normed and mixed by the time mix
                 ? prepare(w, w->s->heads, (size_t)l->heads_width, w->m->n_embd, &none, !floats)
                 : prepare(w, x, (size_t)w->m->n_embd, w->m->n_embd, &l->ffn_in, !floats);
    widen(w, f, &a, is_gated);
    meet(w);
    acts mid = w->s->mid;
    mid.n = w->n;
    mid.x = w->s->gate;
    mid.ldx = (size_t)f->up.w.n_panels * 16;
    return mid;
}

static void take(const worker *w, const layer *l, int is_gated) {
    acts mid = middle(w, l, is_gated);
    add_half(w, l, &l->ff.down, &mid, &l->ffn_out, GEMEL_OP_FFN_OUT);
    meet(w);
}
static void gated_take(worker *w, const layer *l) { take(w, l, 1); }
static void plain_take(worker *w, const layer *l) { take(w, l, 0); }

void gated_into(const worker *w, const layer *l, float *y) {
    acts mid = middle(w, l, 1);
    const product p = {&l->ff.down, y};
    multiply_all(w, &mid, &p, 1, GEMEL_OP_FFN_OUT);
}

const block gated_block = {NULL, gated_take}, plain_block = {NULL, plain_take}, channel_block = {NULL, plain_take};
