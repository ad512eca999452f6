#include "worker.h"

void norm_row(const worker *w, const norm *norm, int t, const float *x, int n, float *y) {
    if (!w->k->norm[norm->kind](x, norm->w, norm->b, n, w->m->norm_eps, y)) row_is_bad(w, t);
}

acts prepare(const worker *w, const float *x, size_t ld, int width, const norm *norm, int quantise) {
    workspace *s = w->s;
    acts a = w->n == 1 ? s->own[w->ith] : s->in;
    size_t norm_ld = (size_t)pad_to(w->m->n_embd, 16);
    float *rows = s->norm + (w->n == 1 ? (size_t)w->ith * norm_ld : 0);
    a.n = w->n;
    a.x = norm->is_on ? rows : x;
    a.ldx = norm->is_on ? norm_ld : ld;
    for (int t = rows_from(w); t < rows_to(w); t++) {
        const float *from_row = x + (size_t)t * ld;
        if (norm->is_on) {
            norm_row(w, norm, t, from_row, width, rows + (size_t)t * norm_ld);
            from_row = rows + (size_t)t * norm_ld;
        }
        if (quantise) w->k->quantise(from_row, width / 32, 0, width / 32, &a, t);
    }
    mark(w, GEMEL_OP_NORM);
    if (w->n > 1) meet(w);
    return a;
}

void multiply_into(const worker *w, const linear *l, const acts *a, int p0, int p1, float *y, size_t ld) {
    w->k->matmul(&l->w, a, p0, p1, y, ld);
    int from = p0 * 16, to = p1 * 16 < l->w.n_out ? p1 * 16 : l->w.n_out;
    for (int t = 0; l->b && t < a->n; t++) w->k->add_to(y + (size_t)t * ld + from, l->b + from, to - from);
}

void multiply(const worker *w, const linear *l, const acts *a, int p0, int p1, float *y) {
    multiply_into(w, l, a, p0, p1, y, (size_t)l->w.n_panels * 16);
}

enum { FEW_ROWS = 16 };   // these stream through the weights, fastest through many that are adjacent

deal deal_out(const worker *w, int total, int unit) {
    deal d = {.total = total, .from = -1};
    if (w->n == 1 || w->nth == 1) {
        d.from = unit * share((total + unit - 1) / unit, w->ith, w->nth);
        d.to = unit * share((total + unit - 1) / unit, w->ith + 1, w->nth);
        if (d.to > total) d.to = total;
        return d;
    }
    int now = (*w->n_deals)++ % 2;
    if (w->ith == 0) atomic_store(&w->s->dealt[!now], 0);   // no thread takes from it before the next barrier
    d.next = &w->s->dealt[now];
    // Large runs first, small ones last: so cores of different speed end together, and equal ones, too.
    int least = total / (16 * w->nth) > total / RUNS_MAX ? total / (16 * w->nth) : total / RUNS_MAX;
    d.least = least / 2 * 2 + 2;
    d.parts = w->n > FEW_ROWS ? 3 * w->nth : 2 * w->nth;
    return d;
}

int deal_take(deal *d) {
    if (!d->next) {   // once
        int is_left = !d->is_taken && d->from < d->to;
        d->is_taken = 1;
        return is_left;
    }
    int from = atomic_load(d->next), n;
    do {   // an equal share of what is left, or two thirds of one; pairs, of which the kernels make whole tiles
        if (from >= d->total) return 0;
        n = 2 * (d->total - from) / d->parts / 2 * 2;
        if (n < d->least) n = d->least;
    } while (!atomic_compare_exchange_weak(d->next, &from, from + n));
    d->from = from;
    d->to = from + n < d->total ? from + n : d->total;
    return 1;
}

// Panels from..to-1 of several products of one input, numbered consecutively.
static void multiply_run(const worker *w, const acts *a, const product *p, int count, int from, int to) {
    for (int i = 0, before = 0; i < count; before += p[i].l->w.n_panels, i++) {
        int n = p[i].l->w.n_panels, p0 = from > before ? from - before : 0, p1 = to - before < n ? to - before : n;
        if (p0 < p1) multiply(w, p[i].l, a, p0, p1, p[i].y);
    }
}

void multiply_all(const worker *w, const acts *a, const product *p, int count, int op) {
    int total = 0;
    for (int i = 0; i < count; i++) total += p[i].l->w.n_panels;
    deal d = deal_out(w, total, 1);
    while (deal_take(&d)) multiply_run(w, a, p, count, d.from, d.to);
    mark(w, op);
}

void add_columns(const worker *w, const layer *l, const norm *after, int t, int from, int to, float *y) {
    for (int i = from; l->residual_scale != 1 && i < to; i++) y[i] = y[i] * l->residual_scale;
    float *x = stream_at(w, t);
    w->k->add_to(x + from, y + from, to - from);
    if (!l->out_scale || after != (w->m->n_per_layer ? &l->own.out : &l->ffn_out)) return;
    for (int i = from; i < to; i++) x[i] = x[i] * *l->out_scale;
}

// Whole rows are normed: with one row, each thread norms it and adds its share of the columns.
void add_normed(const worker *w, const layer *l, const norm *after, const float *y, size_t ld) {
    size_t norm_ld = (size_t)pad_to(w->m->n_embd, 16);
    for (int t = rows_from(w); t < rows_to(w); t++) {
        float *row = w->s->norm + (size_t)(w->n == 1 ? w->ith : t) * norm_ld;
        norm_row(w, after, t, y + (size_t)t * ld, w->m->n_embd, row);
        add_columns(w, l, after, t, columns_from(w), columns_to(w), row);
    }
    mark(w, GEMEL_OP_NORM);
}

void add_half(const worker *w, const layer *l, const linear *p, const acts *a, const norm *after, int op) {
    int n_embd = w->m->n_embd;
    size_t ld = (size_t)p->w.n_panels * 16;
    deal d = deal_out(w, p->w.n_panels, 1);
    while (deal_take(&d)) {
        multiply(w, p, a, d.from, d.to, w->s->y);
        int from = d.from * 16, to = d.to * 16 < n_embd ? d.to * 16 : n_embd;
        for (int t = 0; t < w->n && !after->is_on; t++) add_columns(w, l, after, t, from, to, w->s->y + (size_t)t * ld);
    }
    mark(w, op);
    if (!after->is_on) return;
    meet(w);
    add_normed(w, l, after, w->s->y, ld);
}
