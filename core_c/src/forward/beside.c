// A gated feed-forward and a mixture of experts side by side: both read the residual stream, each through its norm.
//
//   x -> gated, normed by ff.out          -> their sum, normed by ffn_out, is added to x
//     -> experts, normed by experts.out   ->
#include "ffn.h"

static void add_both(const worker *w, const layer *l) {
    workspace *s = w->s;
    int n_embd = w->m->n_embd;
    size_t ld = (size_t)pad_to(n_embd, 16);
    float *gated = s->joined + (size_t)w->ith * ld;
    for (int t = rows_from(w); t < rows_to(w); t++) {
        float *row = s->norm + (size_t)(w->n == 1 ? w->ith : t) * ld;
        norm_row(w, &l->ff.out, t, s->beside + (size_t)t * ld, n_embd, gated);
        norm_row(w, &l->experts.out, t, s->mix + (size_t)t * ld, n_embd, row);
        w->k->add_to(row, gated, n_embd);
        norm_row(w, &l->ffn_out, t, row, n_embd, row);
        add_columns(w, l, &l->ffn_out, t, columns_from(w), columns_to(w), row);
    }
    mark(w, GEMEL_OP_NORM);
}

static void beside_take(worker *w, const layer *l) {
    gated_into(w, l, w->s->beside);
    experts_mix(w, l);
    meet(w);
    add_both(w, l);
    meet(w);
}

const block beside_block = {NULL, beside_take};
