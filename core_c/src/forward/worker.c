#include "worker.h"

acts prepare(const worker *w, const float *x, size_t ld, int width, const norm *norm, int quantise) {
    workspace *s = w->s;
    acts a = w->n == 1 ? s->own[w->ith] : s->in;
    int from = w->n == 1 ? 0 : share(w->n, w->ith, w->nth), to = w->n == 1 ? 1 : share(w->n, w->ith + 1, w->nth);
    size_t norm_ld = (size_t)pad_to(w->m->n_embd, 16);
    float *rows = s->norm + (w->n == 1 ? (size_t)w->ith * norm_ld : 0);
    a.n = w->n;
    a.x = norm ? rows : x;
    a.ldx = norm ? norm_ld : ld;
    for (int t = from; t < to; t++) {
        const float *from_row = x + (size_t)t * ld;
        if (norm) {
            float *y = rows + (size_t)t * norm_ld;
            if (!w->k->norm[NORM_RMS](from_row, norm->w, NULL, width, w->m->norm_eps, y)) row_is_bad(w, t);
            from_row = rows + (size_t)t * norm_ld;
        }
        if (quantise) w->k->quantise(from_row, width / 32, 0, width / 32, &a, t);
    }
    mark(w, GEMEL_OP_NORM);
    if (w->n > 1) meet(w);
    return a;
}

void multiply(const worker *w, const linear *l, const acts *a, int p0, int p1, float *y) {
    size_t ld = (size_t)l->w.n_panels * 16;
    w->k->matmul(&l->w, a, p0, p1, y, ld);
    int from = p0 * 16, to = p1 * 16 < l->w.n_out ? p1 * 16 : l->w.n_out;
    for (int t = 0; l->b && t < a->n; t++)
        for (int i = from; i < to; i++) y[(size_t)t * ld + (size_t)i] = y[(size_t)t * ld + (size_t)i] + l->b[i];
}

void multiply_all(const worker *w, const acts *a, const product *p, int count, int op) {
    int total = 0, before = 0;
    for (int i = 0; i < count; i++) total += p[i].l->w.n_panels;
    int from = share(total, w->ith, w->nth), to = share(total, w->ith + 1, w->nth);
    for (int i = 0; i < count; before += p[i].l->w.n_panels, i++) {
        int n = p[i].l->w.n_panels, p0 = from > before ? from - before : 0, p1 = to - before < n ? to - before : n;
        if (p0 < p1) multiply(w, p[i].l, a, p0, p1, p[i].y);
    }
    mark(w, op);
}

void multiply_into(const worker *w, const linear *l, const acts *a, int op) {
    int n = l->w.n_panels, from = share(n, w->ith, w->nth), to = share(n, w->ith + 1, w->nth), n_embd = w->m->n_embd;
    size_t ld = (size_t)n * 16;
    if (from >= to) return;
    multiply(w, l, a, from, to, w->s->y);
    int end = to * 16 < n_embd ? to * 16 : n_embd;
    for (int t = 0, i = from * 16; t < w->n; t++)
        w->k->add_to(stream_at(w, t) + i, w->s->y + (size_t)t * ld + i, end - i);
    mark(w, op);
}
