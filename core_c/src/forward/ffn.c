// Feed-forward: what a layer does to each row alone.
#include "worker.h"

// Gate and up for the same rows, then act(gate) * up, quantised at once: a thread owns whole blocks of 32.
static void gate_and_up(const worker *w, const feed_forward *f, const acts *a) {
    workspace *s = w->s;
    int panels = f->gate.w.n_panels, pairs = (panels + 1) / 2, nb = f->n_ff / 32;
    int from = 2 * share(pairs, w->ith, w->nth), to = 2 * share(pairs, w->ith + 1, w->nth);
    size_t ld = (size_t)panels * 16;
    acts mid = s->mid;
    if (to > panels) to = panels;
    if (from >= to) return;
    mid.n = w->n;
    multiply(w, &f->gate, a, from, to, s->gate);
    multiply(w, &f->up, a, from, to, s->up);
    mark(w, GEMEL_OP_FFN_IN);
    for (int t = 0; t < w->n; t++) {
        float *gate = s->gate + (size_t)t * ld;
        w->k->act[ACT_SILU](gate + from * 16, s->up + (size_t)t * ld + from * 16, (to - from) * 16, gate + from * 16);
        if (!weight_is_float(&f->down.w)) w->k->quantise(gate, nb, from / 2, to / 2, &mid, t);
    }
    mark(w, GEMEL_OP_FFN_ACT);
}

static void gated_take(worker *w, const layer *l) {
    const feed_forward *f = &l->ff;
    acts a = prepare(w, w->s->x, (size_t)w->m->n_embd, w->m->n_embd, &l->ffn_in,
                     !weight_is_float(&f->gate.w) || !weight_is_float(&f->up.w));
    gate_and_up(w, f, &a);
    meet(w);
    acts mid = w->s->mid;
    mid.n = w->n;
    mid.x = w->s->gate;
    mid.ldx = (size_t)f->gate.w.n_panels * 16;
    multiply_into(w, &f->down, &mid, GEMEL_OP_FFN_OUT);
    meet(w);
}

const block gated_block = {NULL, gated_take};
