// Feed-forward: what a layer does to each row alone.
#include "ffn.h"

// Up, and gate where the layer has one, for the same rows; then act(gate) * up or act(up) into s->gate, quantised by
// the same thread, which owns whole blocks of 32.
static void widen(const worker *w, const feed_forward *f, const acts *a, int is_gated) {
    workspace *s = w->s;
    int panels = f->up.w.n_panels, nb = f->n_ff / 32, runs[RUNS_MAX][2], n_runs = 0;
    size_t ld = (size_t)panels * 16;
    acts mid = s->mid;
    mid.n = w->n;
    for (deal d = deal_out(w, panels, 2); deal_take(&d); n_runs++) {
        if (is_gated) multiply(w, &f->gate, a, d.from, d.to, s->gate);
        multiply(w, &f->up, a, d.from, d.to, is_gated ? s->up : s->gate);
        runs[n_runs][0] = d.from, runs[n_runs][1] = d.to;
    }
    mark(w, GEMEL_OP_FFN_IN);
    for (int i = 0; i < n_runs; i++)
        for (int t = 0, from = runs[i][0], to = runs[i][1]; t < w->n; t++) {
            float *gate = s->gate + (size_t)t * ld;
            const float *up = is_gated ? s->up + (size_t)t * ld + from * 16 : NULL;
            w->k->act[f->act](gate + from * 16, up, f->by, (to - from) * 16, gate + from * 16);
            if (!weight_is_float(&f->down.w)) w->k->quantise(gate, nb, from / 2, to / 2, &mid, t);
        }
    mark(w, GEMEL_OP_FFN_ACT);
}

// What the last product reads: after a barrier, all threads may.
static acts middle(const worker *w, const layer *l, int is_gated) {
    const feed_forward *f = &l->ff;
    int floats = weight_is_float(&f->up.w) && (!is_gated || weight_is_float(&f->gate.w));
    const float *x = l->is_parallel ? w->s->x0 : w->s->x;
    acts a = prepare(w, x, (size_t)w->m->n_embd, w->m->n_embd, &l->ffn_in, !floats);
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

const block gated_block = {NULL, gated_take}, plain_block = {NULL, plain_take};
