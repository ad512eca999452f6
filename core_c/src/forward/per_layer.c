// Embeddings that each layer has for itself, of models that have them.
//
//   id -> its row of per_layer_embd [n_layer][n], and per_layer_proj of its embedding, normed -> per_layer
//   x -> gelu(gate x) * per_layer of the layer -> proj, normed, added to x
#include "per_layer.h"
#include "../fmath.h"

static const norm none = {0};

static size_t width_of(const gemel_model *m) { return (size_t)m->per_layer_proj.w.n_panels * 16; }
// Row t's embeddings of layer il.
static float *own_of(const worker *w, int t, int il) {
    return w->s->per_layer + (size_t)row_of(w, t) * width_of(w->m) + (size_t)il * (size_t)w->m->n_per_layer;
}

// Join what the projection gave for row t with the id's row of the table.
static void join_row(const worker *w, int t) {
    const gemel_model *m = w->m;
    int n = m->n_per_layer;
    float *table = w->s->table + (size_t)w->ith * width_of(m);
    float down = (float)(1 / fm_sqrt((double)m->n_embd)), up = (float)fm_sqrt((double)n), half = (float)fm_sqrt(0.5);
    panel_row(&m->per_layer_embd, row_at(w, t)->id, table);
    for (int il = w->b->from; il < w->b->to; il++) {
        float *own = own_of(w, t, il);
        const float *e = table + (size_t)il * (size_t)n;
        for (int i = 0; i < n; i++) own[i] = own[i] * down;
        norm_row(w, &m->per_layer_norm, t, own, n, own);
        for (int i = 0; i < n; i++) own[i] = (own[i] + e[i] * up) * half;
    }
}

void per_layer_fill(const worker *w) {
    const gemel_model *m = w->m;
    const linear *p = &m->per_layer_proj;
    size_t ld = (size_t)pad_to(m->n_embd, 16);
    for (int t = w->ith; t < w->n; t += w->nth) embed_id(w, t, w->s->y + (size_t)t * ld);
    meet(w);
    acts a = prepare(w, w->s->y, ld, m->n_embd, &none, !weight_is_float(&p->w));
    int first = w->b->from * m->n_per_layer / 16, end = (w->b->to * m->n_per_layer + 15) / 16;
    for (deal d = deal_out(w, end - first, 1); deal_take(&d);)
        multiply(w, p, &a, first + d.from, first + d.to, w->s->per_layer);
    meet(w);
    for (int t = w->ith; t < w->n; t += w->nth) join_row(w, t);
    mark(w, GEMEL_OP_EMBED);
    meet(w);
}

void per_layer_take(const worker *w, const layer *l) {
    const per_layer *p = &l->own;
    int n = w->m->n_per_layer, n_embd = w->m->n_embd, is_float = weight_is_float(&p->proj.w);
    acts a = prepare(w, w->s->x, (size_t)n_embd, n_embd, &none, !weight_is_float(&p->gate.w)), mid = w->s->mid;
    mid.n = w->n;
    mid.x = w->s->gate;
    mid.ldx = (size_t)p->gate.w.n_panels * 16;
    const product gate = {&p->gate, w->s->gate};
    multiply_all(w, &a, &gate, 1, GEMEL_OP_FFN_IN);
    meet(w);
    for (int t = w->ith; t < w->n; t += w->nth) {
        float *x = w->s->gate + (size_t)t * mid.ldx;
        w->k->act[l->ff.act](x, own_of(w, t, w->il), l->ff.by, pad_to(n, 16), x);
        if (!is_float) w->k->quantise(x, n / 32, 0, n / 32, &mid, t);
    }
    mark(w, GEMEL_OP_FFN_ACT);
    meet(w);
    add_half(w, l, &p->proj, &mid, &p->out, GEMEL_OP_FFN_OUT);
    meet(w);
}
