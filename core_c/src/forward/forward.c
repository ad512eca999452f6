// The forward pass: ids to logits, for one token or a micro-batch, read top to bottom. Every thread runs `pass`; the
// functions below take this thread's share (it of nt) and threads_meet separates what writes from what reads. Threads
// split rows of weights, tokens or heads, never a sum.
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "../run/session.h"

typedef struct lane {   // one thread's view of a pass
    batch *b;
    gemel_session *s;
    gemel_model *m;
    const kernels *k;
    int it, nt;
    int n, first;   // rows it works on: the batch's from `first` on
    int il;         // layer, or -1
    stopwatch *watch;
} lane;

static int pad(int n) { return (n + 15) / 16 * 16; }
// What this thread did since its last mark was `op`.
static void mark(const lane *w, int op) { stopwatch_mark(w->watch, op, w->il, w->n); }
static void meet(const lane *w) {
    threads_meet(w->m->pool);
    mark(w, GEMEL_OP_WAIT);
}
static int share(int n, int it, int nt) { return (int)((int64_t)n * it / nt); }
static int is_float(const weight *w) { return w->type == T_F32 || w->type == T_F16 || w->type == T_BF16; }

// A row is a token of one session, or the next token of a session of its own.
static gemel_session *row_session(const batch *b, int t) { return b->each ? b->each[t] : b->s; }
static int row_pos(const batch *b, int t) { return b->each ? b->each[t]->n_past : b->pos + t; }
static void row_is_bad(batch *b, int t) {
    if (b->each) b->bad[t] = 1;
    else b->not_finite = 1;
}

// ---- Rows of activations -------------------------------------------------------------------------------------------

static void embed(const lane *w) {   // x[n][n_embd]
    int n_embd = w->m->h.n_embd;
    for (int t = w->it; t < w->n; t += w->nt)
        panel_row(&w->m->token_embd, w->b->ids[t], w->b->x + (size_t)t * (size_t)n_embd);
    mark(w, GEMEL_OP_EMBED);
}

// Norm (unless NULL) and quantise x[n][ld] once for all matmuls that read it. With one token every thread does it for
// itself, which is cheaper than waiting; the caller must have met before, and the others' rows are done on return.
static acts prepare(const lane *w, const float *x, size_t ld, int width, const float *norm, int quantise) {
    buffers *b = &w->s->b;
    acts a = w->n == 1 ? b->own[w->it] : b->in;
    int from = w->n == 1 ? 0 : share(w->n, w->it, w->nt), to = w->n == 1 ? 1 : share(w->n, w->it + 1, w->nt);
    size_t norm_ld = (size_t)pad(w->m->h.n_embd);
    float *rows = b->norm + (w->n == 1 ? (size_t)w->it * norm_ld : 0);
    a.n = w->n;
    a.x = norm ? rows : x;
    a.ldx = norm ? norm_ld : ld;
    for (int t = from; t < to; t++) {
        const float *row = x + (size_t)t * ld;
        if (norm) {
            if (!w->k->rmsnorm(row, norm, width, w->m->h.norm_eps, rows + (size_t)t * norm_ld))
                row_is_bad(w->b, w->first + t);
            row = rows + (size_t)t * norm_ld;
        }
        if (quantise) w->k->quantise(row, width / 32, 0, width / 32, &a, t);
    }
    mark(w, GEMEL_OP_NORM);
    if (w->n > 1) meet(w);
    return a;
}

typedef struct product {   // y[n][ld] = W a
    const weight *w;
    float *y;
} product;

// Several products of one input: their panels, side by side, are split among the threads.
static void multiply(const lane *w, const acts *a, const product *p, int count, int op) {
    int total = 0, before = 0;
    for (int i = 0; i < count; i++) total += p[i].w->n_panels;
    int from = share(total, w->it, w->nt), to = share(total, w->it + 1, w->nt);
    for (int i = 0; i < count; before += p[i].w->n_panels, i++) {
        int p0 = from > before ? from - before : 0,
            p1 = to - before < p[i].w->n_panels ? to - before : p[i].w->n_panels;
        if (p0 < p1) w->k->matmul(p[i].w, a, p0, p1, p[i].y, (size_t)p[i].w->n_panels * 16);
    }
    mark(w, op);
}

// x += W a (+ bias): a thread adds the columns it computed.
static void multiply_into(const lane *w, const acts *a, const weight *m, const float *bias, int op) {
    int from = share(m->n_panels, w->it, w->nt), to = share(m->n_panels, w->it + 1, w->nt), n_embd = w->m->h.n_embd;
    size_t ld = (size_t)m->n_panels * 16;
    if (from >= to) return;
    w->k->matmul(m, a, from, to, w->s->b.y, ld);
    int end = to * 16 < n_embd ? to * 16 : n_embd;
    for (int t = 0, i = from * 16; t < w->n; t++)
        w->k->add_to(w->b->x + (size_t)t * (size_t)n_embd + i, w->s->b.y + (size_t)t * ld + i, bias ? bias + i : NULL,
                     end - i);
    mark(w, op);
}

// ---- Attention -----------------------------------------------------------------------------------------------------

// How far apart the two channels of a pair are.
static int rope_far(const hparams *h) { return h->arch->rope == ROPE_NORM ? 1 : h->n_rot / 2; }

// y[0..dim) = the head x of token t after RoPE, scaled, padded with zeros.
static void rope(const lane *w, int t, const float *x, float scale, float *y, int dim) {
    const hparams *h = &w->m->h;
    w->k->rope(x, w->b->angles + (size_t)t * 2 * (size_t)h->n_rot, h->n_rot, rope_far(h), h->head_dim, scale, y);
    memset(y + h->head_dim, 0, sizeof(float) * (size_t)(dim - h->head_dim));
}

static void add_bias(float *x, const float *bias, int n) {
    for (int i = 0; bias && i < n; i++) x[i] = x[i] + bias[i];
}

// Query head ih of token t: bias, RoPE, scale, padding.
static void place_query(const lane *w, const layer *l, int t, int ih) {
    const hparams *h = &w->m->h;
    float *from = w->s->b.q + (size_t)t * (size_t)pad(h->n_head * h->head_dim) + ih * h->head_dim;
    float *to = w->s->b.heads + ((size_t)t * (size_t)h->n_head + (size_t)ih) * (size_t)w->s->dim;
    add_bias(from, l->attn_q_b ? l->attn_q_b + ih * h->head_dim : NULL, h->head_dim);
    rope(w, t, from, row_session(w->b, t)->q_scale, to, w->s->dim);
}

// KV head ih of token t: bias, RoPE (K), rounded to the cache's type.
static void place_key_value(const lane *w, const layer *l, int il, int t, int ih) {
    const hparams *h = &w->m->h;
    size_t at = (size_t)t * (size_t)pad(h->n_head_kv * h->head_dim) + (size_t)(ih * h->head_dim);
    float *k = w->s->b.k + at, *v = w->s->b.v + at, key[ATTEND_DIM], value[ATTEND_DIM];
    kv_cache *kv = &row_session(w->b, t)->kv;
    add_bias(k, l->attn_k_b ? l->attn_k_b + ih * h->head_dim : NULL, h->head_dim);
    add_bias(v, l->attn_v_b ? l->attn_v_b + ih * h->head_dim : NULL, h->head_dim);
    rope(w, t, k, 1.0f, key, kv->dim);
    if (kv->dim > h->head_dim) {
        v = memcpy(value, v, sizeof(float) * (size_t)h->head_dim);
        memset(value + h->head_dim, 0, sizeof(float) * (size_t)(kv->dim - h->head_dim));
    }
    if (!kv_put(w->k, kv, il, ih, row_pos(w->b, t), key, v)) row_is_bad(w->b, t);
}

static void place_heads(const lane *w, const layer *l, int il) {
    int each = w->m->h.n_head + w->m->h.n_head_kv, total = w->n * each;
    for (int i = share(total, w->it, w->nt); i < share(total, w->it + 1, w->nt); i++) {
        int t = i / each, ih = i % each;
        if (ih == 0 && w->b->each)   // lines of its own cache, which no other row has fetched
            for (int g = 0; g < w->m->h.n_head_kv; g++) kv_expect(&row_session(w->b, t)->kv, il, g, row_pos(w->b, t));
        if (ih < w->m->h.n_head) place_query(w, l, t, ih);
        else place_key_value(w, l, il, t, ih - w->m->h.n_head);
    }
}

// Tokens t0..t1-1 of one session by query heads h0..h1-1, all of one KV group, at most tile_most pairs.
typedef struct attend_item {
    int t0, t1, h0, h1;
} attend_item;

// Where the keys of an item begin.
static const uint8_t *first_key(const lane *w, int il, const attend_item *i) {
    const kv_cache *kv = &row_session(w->b, w->first + i->t0)->kv;
    return kv->pages[0] + kv_head_at(kv, il, i->h0 / (w->m->h.n_head / w->m->h.n_head_kv));
}

// next: what this thread does after it, or NULL.
static void attend_one(const lane *w, int il, const attend_item *i, const attend_item *next) {
    gemel_session *s = w->s;
    int n_head = w->m->h.n_head, group = n_head / w->m->h.n_head_kv;
    const kv_cache *kv = &row_session(w->b, w->first + i->t0)->kv;
    attend_args a = {.dim = kv->dim, .pages = kv->pages, .at = kv_head_at(kv, il, i->h0 / group)};
    a.next = next ? first_key(w, il, next) : NULL;
    for (int t = i->t0; t < i->t1; t++)
        for (int h = i->h0; h < i->h1; h++) {
            size_t at = ((size_t)t * (size_t)n_head + (size_t)h) * (size_t)s->dim;
            a.q[a.n] = s->b.heads + at;
            a.o[a.n] = s->b.att + at;
            a.n_pos[a.n++] = row_pos(w->b, w->first + t) + 1;
        }
    int is_good = kv->type == GEMEL_KV_F16 ? w->k->attend_f16(&a) : w->k->attend_q8(&a);
    if (!is_good) row_is_bad(w->b, w->first + i->t0);
}

// Queries of a tile. Of an F16 cache fewer: blocks that not all of them see are slow.
static int tile_most(const lane *w) { return w->b->each || w->s->kv.type == GEMEL_KV_Q8_0 ? ATTEND_MAX : 8; }

static attend_item heads_of_one(int h, int to, int group, int most) {
    int end = (h / group + 1) * group < to ? (h / group + 1) * group : to;
    return (attend_item){0, 1, h, end - h > most ? h + most : end};
}

// One token: its heads are split among the threads, those of a KV group together.
static void attend_with_one(const lane *w, int il) {
    int n_head = w->m->h.n_head, group = n_head / w->m->h.n_head_kv, most = tile_most(w);
    int h = share(n_head, w->it, w->nt), to = share(n_head, w->it + 1, w->nt);
    while (h < to) {
        attend_item i = heads_of_one(h, to, group, most), next = heads_of_one(h = i.h1, to, group, most);
        attend_one(w, il, &i, h < to ? &next : NULL);
    }
}

// Items of `tokens` tokens by `heads` heads, those of a KV group one after another.
static attend_item item_at(const lane *w, int i, int tokens, int heads) {
    int n_head = w->m->h.n_head, group = n_head / w->m->h.n_head_kv, pieces = (group + heads - 1) / heads;
    int each = n_head / group * pieces, t = i / each * tokens, g = i % each / pieces * group;
    int h = g + i % pieces * heads;
    return (attend_item){t, t + tokens < w->n ? t + tokens : w->n, h, h + heads < g + group ? h + heads : g + group};
}

// One token that sees a lot: blocks of positions by KV heads are split among the threads, then joined head by head. The
// last of a prompt is such a token, too.
enum { BLOCKS_SHARED = 4 };   // from so many on
static int is_shared(const lane *w) {
    return w->nt > 1 && !w->b->each && w->s->kv.type == GEMEL_KV_Q8_0 &&
           row_pos(w->b, w->first) >= (BLOCKS_SHARED - 1) * KV_BLOCK;
}

// Query heads h0..h1-1 of the token, and where their blocks are.
static attend_args shared_args(const lane *w, int il, int h0, int h1) {
    gemel_session *s = w->s;
    const kv_cache *kv = &s->kv;
    size_t blocks = (size_t)((s->n_ctx + KV_BLOCK - 1) / KV_BLOCK), size = blocks * (size_t)(KV_PART + s->dim);
    attend_args a = {.dim = kv->dim, .pages = kv->pages};
    a.at = kv_head_at(kv, il, h0 / (w->m->h.n_head / w->m->h.n_head_kv));
    for (int h = h0; h < h1; h++) {
        a.q[a.n] = s->b.heads + (size_t)h * (size_t)s->dim;
        a.o[a.n] = s->b.att + (size_t)h * (size_t)s->dim;
        a.parts[a.n] = s->b.parts + (size_t)h * size;
        a.n_pos[a.n++] = row_pos(w->b, w->first) + 1;
    }
    return a;
}

static void attend_shared(const lane *w, int il) {
    int n_head = w->m->h.n_head, group = n_head / w->m->h.n_head_kv, heads = group < ATTEND_MAX ? group : ATTEND_MAX;
    int pieces = n_head / group * ((group + heads - 1) / heads), blocks = row_pos(w->b, w->first) / KV_BLOCK + 1;
    int from = share(pieces * blocks, w->it, w->nt), to = share(pieces * blocks, w->it + 1, w->nt);
    for (int at = from, end; at < to; at = end) {
        attend_item i = item_at(w, at / blocks, 1, heads), next = item_at(w, at / blocks + 1, 1, heads);
        attend_args a = shared_args(w, il, i.h0, i.h1);
        end = (at / blocks + 1) * blocks < to ? (at / blocks + 1) * blocks : to;
        a.next = end < to ? first_key(w, il, &next) : NULL;
        if (!w->k->attend_q8_parts(&a, at % blocks, (end - 1) % blocks + 1)) row_is_bad(w->b, w->first);
    }
    meet(w);
    for (int h = share(n_head, w->it, w->nt), end = share(n_head, w->it + 1, w->nt); h < end; h += ATTEND_MAX) {
        attend_args a = shared_args(w, il, h, h + ATTEND_MAX < end ? h + ATTEND_MAX : end);
        w->k->attend_q8_join(&a);
    }
}

// More tokens: tiles of them by KV group are dealt out.
static void attend_with_many(const lane *w, int il) {
    int n_head = w->m->h.n_head, group = n_head / w->m->h.n_head_kv, most = tile_most(w);
    int heads = group < most ? group : most, tokens = w->b->each ? 1 : most / heads;
    while (tokens > 1 && w->n * (n_head / group) < 4 * w->nt * tokens) tokens--;   // enough to deal out evenly
    int total = (w->n + tokens - 1) / tokens * (n_head / group) * ((group + heads - 1) / heads);
    for (int i = w->it; i < total; i += w->nt) {
        attend_item now = item_at(w, i, tokens, heads), next = item_at(w, i + w->nt, tokens, heads);
        attend_one(w, il, &now, i + w->nt < total ? &next : NULL);
    }
}

static void attend(const lane *w, int il) {
    if (w->n == 1 && is_shared(w)) attend_shared(w, il);
    else if (w->n == 1) attend_with_one(w, il);
    else attend_with_many(w, il);
}

// Heads side by side without their padding, for the output projection; done by each thread for the tokens it prepares.
static const float *compact_heads(const lane *w, size_t *ld) {
    const hparams *h = &w->m->h;
    int dim = w->s->dim;
    *ld = (size_t)h->n_head * (size_t)dim;
    if (dim == h->head_dim) return w->s->b.att;
    for (int t = w->it; t < w->n; t += w->nt)
        for (int ih = 0; ih < h->n_head; ih++) {
            float *row = w->s->b.q + (size_t)t * (size_t)pad(h->n_head * h->head_dim);
            memcpy(row + ih * h->head_dim, w->s->b.att + (size_t)t * *ld + (size_t)(ih * dim),
                   sizeof(float) * (size_t)h->head_dim);
        }
    meet(w);
    *ld = (size_t)pad(h->n_head * h->head_dim);
    return w->s->b.q;
}

// q, k and v of every row; K and V into the cache.
static void attention_in(const lane *w, const layer *l, int il) {
    const hparams *h = &w->m->h;
    int floats = is_float(&l->attn_q) && is_float(&l->attn_k) && is_float(&l->attn_v);
    acts a = prepare(w, w->b->x, (size_t)h->n_embd, h->n_embd, l->attn_norm, !floats);
    product p[] = {{&l->attn_q, w->s->b.q}, {&l->attn_k, w->s->b.k}, {&l->attn_v, w->s->b.v}};
    multiply(w, &a, p, 3, GEMEL_OP_QKV);
    meet(w);
    place_heads(w, l, il);
    mark(w, GEMEL_OP_ROPE_KV);
    meet(w);
}

// What follows is done for the last row alone, or for none: no other is asked for after the last layer.
static void keep_last(lane *w) {
    size_t n_embd = (size_t)w->m->h.n_embd, width = (size_t)w->m->h.n_head * (size_t)w->s->dim;
    w->first = w->n - w->b->n_kept;
    if (w->it == 0 && w->b->n_kept) {
        memcpy(w->b->x, w->b->x + (size_t)w->first * n_embd, n_embd * sizeof(float));
        memcpy(w->s->b.heads, w->s->b.heads + (size_t)w->first * width, width * sizeof(float));
    }
    w->n = w->b->n_kept;
    meet(w);
}

static void attention_out(const lane *w, const layer *l, int il) {
    const hparams *h = &w->m->h;
    attend(w, il);
    mark(w, GEMEL_OP_ATTENTION);
    meet(w);
    size_t ld;
    const float *heads = compact_heads(w, &ld);
    acts a = prepare(w, heads, ld, h->n_head * h->head_dim, NULL, !is_float(&l->attn_output));
    multiply_into(w, &a, &l->attn_output, l->attn_output_b, GEMEL_OP_ATTN_OUTPUT);
    meet(w);
}

// ---- Feed-forward --------------------------------------------------------------------------------------------------

// Gate and up for the same rows, then silu(gate) * up, quantised at once: a thread owns whole blocks of 32.
static void gate_and_up(const lane *w, const layer *l, const acts *a) {
    buffers *b = &w->s->b;
    int panels = l->ffn_gate.n_panels, pairs = (panels + 1) / 2, nb = w->m->h.n_ff / 32;
    int from = 2 * share(pairs, w->it, w->nt), to = 2 * share(pairs, w->it + 1, w->nt);
    size_t ld = (size_t)panels * 16;
    acts mid = b->mid;
    if (to > panels) to = panels;
    if (from >= to) return;
    mid.n = w->n;
    w->k->matmul(&l->ffn_gate, a, from, to, b->gate, ld);
    w->k->matmul(&l->ffn_up, a, from, to, b->up, ld);
    mark(w, GEMEL_OP_GATE_UP);
    for (int t = 0; t < w->n; t++) {
        float *gate = b->gate + (size_t)t * ld;
        w->k->swiglu(gate + from * 16, b->up + (size_t)t * ld + from * 16, (to - from) * 16, gate + from * 16);
        if (!is_float(&l->ffn_down)) w->k->quantise(gate, nb, from / 2, to / 2, &mid, t);
    }
    mark(w, GEMEL_OP_SWIGLU);
}

static void feed_forward(const lane *w, const layer *l) {
    const hparams *h = &w->m->h;
    acts a = prepare(w, w->b->x, (size_t)h->n_embd, h->n_embd, l->ffn_norm,
                     !is_float(&l->ffn_gate) || !is_float(&l->ffn_up));
    gate_and_up(w, l, &a);
    meet(w);
    acts mid = w->s->b.mid;
    mid.n = w->n;
    mid.x = w->s->b.gate;
    mid.ldx = (size_t)l->ffn_gate.n_panels * 16;
    multiply_into(w, &mid, &l->ffn_down, NULL, GEMEL_OP_DOWN);
    meet(w);
}

// ---- Output --------------------------------------------------------------------------------------------------------

// Logits of row t alone into y.
static void last_logits(lane w, int t, float *y) {
    const hparams *h = &w.m->h;
    w.n = 1;
    acts a =
        prepare(&w, w.b->x + (size_t)t * (size_t)h->n_embd, 0, h->n_embd, w.m->output_norm, !is_float(&w.m->output));
    product p = {&w.m->output, y};
    multiply(&w, &a, &p, 1, GEMEL_OP_HEAD);
    meet(&w);
}

// log p(id) and the likeliest id, from logits.
static void score_row(const lane *w, const float *logits, int32_t id, double *log_prob, int32_t *top) {
    float max;
    int best;
    if (!w->k->peak(logits, w->m->h.n_vocab, &max, &best)) w->b->not_finite = 1;
    if (log_prob) *log_prob = (double)logits[id] - max - fm_log(w->k->exp_sum(logits, w->m->h.n_vocab, max));
    if (top) *top = best;
}

static void score_rows(const lane *w) {   // every row but the last predicts the id after it
    batch *b = w->b;
    size_t ld = (size_t)w->m->output.n_panels * 16;
    int n_embd = w->m->h.n_embd;
    for (int t0 = 0; t0 < w->n - 1; t0 += ROWS_SCORED) {
        lane part = *w;
        part.n = w->n - 1 - t0 < ROWS_SCORED ? w->n - 1 - t0 : ROWS_SCORED;
        acts a = prepare(&part, w->b->x + (size_t)t0 * (size_t)n_embd, (size_t)n_embd, n_embd, w->m->output_norm,
                         !is_float(&w->m->output));
        product p = {&w->m->output, w->s->b.rows};
        multiply(&part, &a, &p, 1, GEMEL_OP_HEAD);
        meet(w);
        for (int i = w->it; i < part.n; i += w->nt) {
            int t = t0 + i + 1;
            score_row(w, w->s->b.rows + (size_t)i * ld, b->ids[t], b->log_probs ? &b->log_probs[t] : NULL,
                      b->top ? &b->top[t] : NULL);
        }
        mark(w, GEMEL_OP_HEAD);
        meet(w);
    }
}

// Logits of every row to its session, so many at a time as there is room for.
static void each_logits(const lane *w) {
    size_t ld = (size_t)w->m->output.n_panels * 16;
    int n_embd = w->m->h.n_embd;
    for (int t0 = 0; t0 < w->n; t0 += ROWS_SCORED) {
        lane part = *w;
        part.n = w->n - t0 < ROWS_SCORED ? w->n - t0 : ROWS_SCORED;
        part.first = t0;
        acts a = prepare(&part, w->b->x + (size_t)t0 * (size_t)n_embd, (size_t)n_embd, n_embd, w->m->output_norm,
                         !is_float(&w->m->output));
        product p = {&w->m->output, w->s->b.rows};
        multiply(&part, &a, &p, 1, GEMEL_OP_HEAD);
        meet(w);
        for (int i = w->it; i < part.n; i += w->nt) {
            float max, *logits = w->b->each[t0 + i]->logits;
            int best;
            memcpy(logits, w->s->b.rows + (size_t)i * ld, sizeof(float) * ld);
            if (!w->k->peak(logits, w->m->h.n_vocab, &max, &best)) row_is_bad(w->b, t0 + i);
        }
        mark(w, GEMEL_OP_HEAD);
        meet(w);
    }
}

static void hidden_rows(const lane *w) {
    const hparams *h = &w->m->h;
    for (int t = w->it; t < w->n; t += w->nt) {
        float max, *row = w->b->hidden + (size_t)t * (size_t)h->n_embd;
        int best;
        const float *x = w->b->x + (size_t)t * (size_t)h->n_embd;
        int is_good = w->k->rmsnorm(x, w->m->output_norm, h->n_embd, h->norm_eps, row);
        if (!is_good || !w->k->peak(row, h->n_embd, &max, &best)) w->b->not_finite = 1;
    }
    mark(w, GEMEL_OP_HEAD);
}

static void output(const lane *w) {
    if (w->b->want == WANT_HIDDEN) hidden_rows(w);
    if (w->b->want == WANT_SCORE) score_rows(w);
    if (w->b->want == WANT_EACH) each_logits(w);
    if (w->b->want != WANT_LAST && w->b->want != WANT_SCORE) return;
    last_logits(*w, w->n - 1, w->s->logits);
    float max;
    int best;
    if (w->it == 0 && !w->k->peak(w->s->logits, w->m->h.n_vocab, &max, &best)) w->b->not_finite = 1;
    mark(w, GEMEL_OP_HEAD);
}

// ---- The pass ------------------------------------------------------------------------------------------------------

static void pass(void *arg, int it, int nt) {
    batch *b = arg;
    stopwatch watch = stopwatch_start(&b->s->profile, it);
    lane w = {b, b->s, b->s->m, b->s->m->k, it, nt, b->n, 0, -1, &watch};
    uint64_t mode = cpu_float_enter();
    if (b->from == 0) {
        embed(&w);
        meet(&w);
    }
    for (int il = b->from; il < b->to; il++) {
        const layer *l = &w.m->layers[il];
        w.il = il;
        attention_in(&w, l, il);
        if (il == w.m->h.n_layer - 1 && b->n_kept < w.n) keep_last(&w);
        if (!w.n) break;
        attention_out(&w, l, il);
        if (it == 0) b->stopped = !b->each && session_cancelled(b->s);
        feed_forward(&w, l);     // all meet at its end: they see the same
        if (b->stopped) break;   // written again only after the next layer's first meeting
    }
    w.il = -1;
    if (!b->stopped) output(&w);
    cpu_float_leave(mode);
    stopwatch_stop(&watch, GEMEL_OP_PASS, -1, b->n);
}

// The angles of row t: cos and sin of each channel, sin with the sign that its pair's other channel joins with.
static void turn(batch *b, int t) {
    const gemel_session *s = row_session(b, t);
    int n_rot = s->m->h.n_rot, far = rope_far(&s->m->h), step = far == 1 ? 2 : 1;
    float *cos = b->angles + (size_t)t * 2 * (size_t)n_rot, *sin = cos + n_rot;
    for (int i = 0; i < n_rot / 2; i++) {
        double angle = (double)row_pos(b, t) * s->freq[i];
        cos[i * step] = cos[i * step + far] = (float)fm_cos(angle) * s->rope_scale;
        sin[i * step + far] = (float)fm_sin(angle) * s->rope_scale;
        sin[i * step] = -sin[i * step + far];
    }
}

void forward(batch *b) {
    gemel_session *s = b->s;
    stopwatch watch = stopwatch_start(&s->profile, 0);
    uint64_t mode = cpu_float_enter();
    for (int t = 0; t < b->n && b->from == 0; t++) turn(b, t);
    b->not_finite = 0;
    b->stopped = 0;
    if (b->want == WANT_SCORE && s->has_logits && (b->log_probs || b->top)) {   // the first id was predicted before
        lane w = {b, s, s->m, s->m->k, 0, 1, 1, 0, -1, &watch};
        score_row(&w, s->logits, b->ids[0], b->log_probs, b->top);
    }
    cpu_float_leave(mode);
    stopwatch_mark(&watch, GEMEL_OP_ANGLES, -1, b->n);
    int is_short = b->n == 1 && b->from == 0 && b->to == s->m->h.n_layer;
    threads_run(s->m->pool, s->m->n_threads, pass, b, is_short ? &s->m->pace : NULL);
}
