// Latent attention (MLA, arXiv:2405.04434) in its absorbed form, for prompts and for decoding. All heads share one KV
// head: its key is the normed latent and the rotated key, its value the latent. A query is multiplied by its head's k_b
// before it meets the keys, and what it makes of the values by its head's v_b.
#include "attention.h"

// ---- A matrix for each head ----------------------------------------------------------------------------------------

typedef struct per_head {
    const linear *l;   // [n_head] matrices
    const float *x;    // head h of row t: at t * ldx + h * x_step
    size_t ldx;
    int x_step;
    float *y;   // likewise
    size_t ldy;
    int y_step, op;
} per_head;

// The activations of head h, one head after the other in the worker's buffer.
static acts acts_of_head(const worker *w, const per_head *p, int h) {
    acts a = w->n == 1 ? w->s->own[w->ith] : w->s->in;
    size_t at = (size_t)h * (size_t)w->n * (size_t)(p->l->w.n_in / 32);
    a.q = (char *)a.q + at * 32 * w->k->act_size;
    a.d += at, a.s += at, a.z += at;
    if (a.s2) a.s2 += 2 * at, a.z2 += 2 * at;
    if (a.wide) a.wide += 32 * at;
    a.n = w->n;
    a.x = p->x + h * p->x_step;
    a.ldx = p->ldx;
    return a;
}

static void quantise_head(const worker *w, const per_head *p, int t, int h) {
    if (weight_is_float(&p->l->w)) return;
    acts a = acts_of_head(w, p, h);
    int nb = p->l->w.n_in / 32;
    w->k->quantise(a.x + (size_t)t * a.ldx, nb, 0, nb, &a, t);
}

// Each head of x by its own matrix. x must be complete for all threads; a barrier must follow.
static void multiply_heads(const worker *w, const per_head *p) {
    int panels = p->l->w.n_panels, n_head = p->l->w.n_mats, total = w->n * n_head, ready = -1;
    if (w->n > 1) {   // with one row, each thread does it for the heads it multiplies
        for (int i = share(total, w->ith, w->nth); i < share(total, w->ith + 1, w->nth); i++)
            quantise_head(w, p, i / n_head, i % n_head);
        mark(w, GEMEL_OP_NORM);
        meet(w);
    }
    for (deal d = deal_out(w, n_head * panels, 1); deal_take(&d);)
        for (int at = d.from, end; at < d.to; at = end) {
            int h = at / panels, before = h * panels;
            end = before + panels < d.to ? before + panels : d.to;
            if (w->n == 1 && h != ready) quantise_head(w, p, 0, ready = h);
            acts a = acts_of_head(w, p, h);
            linear one = {.w = weight_at(&p->l->w, h)};
            multiply_into(w, &one, &a, at - before, end - before, p->y + h * p->y_step, p->ldy);
        }
    mark(w, p->op);
}

// ---- Keys and values into the cache --------------------------------------------------------------------------------

// s->q [n][n_head * mla.k_dim], and s->k [n][latent, key before RoPE].
static void project(worker *w, const layer *l) {
    workspace *s = w->s;
    const mla *p = &l->mla;
    const linear *first = p->q_rank ? &p->q_a : &p->q;
    int floats = weight_is_float(&first->w) && weight_is_float(&p->kv_a.w);
    acts in = prepare(w, s->x, (size_t)w->m->n_embd, w->m->n_embd, &l->in, !floats);
    const product both[] = {{first, p->q_rank ? s->v : s->q}, {&p->kv_a, s->k}};
    multiply_all(w, &in, both, 2, GEMEL_OP_ATTENTION_IN);
    meet(w);
    if (!p->q_rank) return;
    in = prepare(w, s->v, (size_t)p->q_a.w.n_panels * 16, p->q_rank, &p->q_a_norm, !weight_is_float(&p->q_b.w));
    const product second = {&p->q_b, s->q};
    multiply_all(w, &in, &second, 1, GEMEL_OP_ATTENTION_IN);
    meet(w);
}

static void place_latent(const worker *w, const layer *l, int t) {
    const attention *a = &l->attn;
    float key[ATTEND_DIM];
    const float *x = w->s->k + (size_t)t * (size_t)(l->mla.kv_a.w.n_panels * 16);
    expect_key_values(w, a, t);
    norm_row(w, &l->mla.kv_a_norm, t, x, a->v_dim, key);
    int padded = kv_layout_at(row_at(w, t)->cache, a->cache_class)->k_dim - a->v_dim;
    rope_head(w, a, t, x + a->v_dim, a->n_rot, 1.0f, key + a->v_dim, padded);
    store_key_value(w, a, t, 0, key, key);
}

// A query whose first v_dim channels are those of the latent, not scaled yet: scale them, rotate the others.
static void place_query(const worker *w, const layer *l, int t, int h) {
    const attention *a = &l->attn;
    int stride = pad_to(a->k_dim, 32), nope = l->mla.k_dim - a->n_rot, first = a->n_head * l->mla.k_dim;
    float *to = w->s->heads + ((size_t)t * (size_t)a->n_head + (size_t)h) * (size_t)stride, scale = scale_of(w, a, t);
    const float *from = w->s->q + (size_t)t * (size_t)pad_to(first, 16) + h * l->mla.k_dim;
    for (int i = 0; i < a->v_dim; i++) to[i] = to[i] * scale;
    rope_head(w, a, t, from + nope, a->n_rot, scale, to + a->v_dim, stride - a->v_dim);
}

static void mla_put(worker *w, const layer *l) {
    workspace *s = w->s;
    const attention *a = &l->attn;
    int k_dim = l->mla.k_dim, stride = pad_to(a->k_dim, 32), total = w->n * a->n_head;
    keep_stream(w, l);
    project(w, l);
    for (int t = share(w->n, w->ith, w->nth); t < share(w->n, w->ith + 1, w->nth); t++) place_latent(w, l, t);
    mark(w, GEMEL_OP_ATTENTION_PUT);
    const per_head absorb = {.l = &l->mla.k_b,
                             .x = s->q,
                             .ldx = (size_t)pad_to(a->n_head * k_dim, 16),
                             .x_step = k_dim,
                             .y = s->heads,
                             .ldy = (size_t)(a->n_head * stride),
                             .y_step = stride,
                             .op = GEMEL_OP_ATTENTION_IN};
    multiply_heads(w, &absorb);
    meet(w);
    for (int i = share(total, w->ith, w->nth); i < share(total, w->ith + 1, w->nth); i++)
        place_query(w, l, i / a->n_head, i % a->n_head);
    mark(w, GEMEL_OP_ATTENTION_PUT);
    meet(w);
}

// ---- Outputs -------------------------------------------------------------------------------------------------------

static void mla_take(worker *w, const layer *l) {
    const attention *a = &l->attn;
    int from = pad_to(a->v_dim, 32), to = pad_to(l->mla.v_dim, 32);
    attend(w, a);
    const per_head expand = {.l = &l->mla.v_b,
                             .x = w->s->att,
                             .ldx = (size_t)(a->n_head * from),
                             .x_step = from,
                             .y = w->s->heads,
                             .ldy = (size_t)(a->n_head * to),
                             .y_step = to,
                             .op = GEMEL_OP_ATTENTION_OUT};
    multiply_heads(w, &expand);
    meet(w);
    add_heads(w, l, w->s->heads, l->mla.v_dim);
}

const block mla_block = {mla_put, mla_take};
