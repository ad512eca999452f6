// The forward pass: rows become what is wanted of them. Read it top to bottom. Every thread runs `pass`; blocks take
// their thread's share, and a barrier separates writing from reading. Threads split rows of weights, batch rows or
// heads, never a sum. The pass does not know the architecture: every number it needs is in its layer.
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "per_layer.h"

// In the place of a half that a layer lacks. Its barriers are those that `layers` counts on.
static void wait_put(worker *w, const layer *l) {
    (void)l;
    meet(w);
}
static const block no_block = {wait_put, wait_put};

static const block *const mixers[N_MIXERS] = {
    [MIXER_ATTENTION] = &attention_block, [MIXER_MLA] = &mla_block,     [MIXER_CONV] = &conv_block,
    [MIXER_DELTA] = &delta_block,         [MIXER_MAMBA] = &mamba_block, [MIXER_MAMBA2] = &mamba_block,
    [MIXER_BOTH] = &both_block,           [MIXER_RWKV] = &rwkv_block,   [MIXER_NONE] = &no_block};
static const block *const ffns[N_FFNS] = {[FFN_GATED] = &gated_block,     [FFN_PLAIN] = &plain_block,
                                          [FFN_CHANNEL] = &channel_block, [FFN_EXPERTS] = &experts_block,
                                          [FFN_BESIDE] = &beside_block,   [FFN_NONE] = &no_block};

// ---- Before the first layer ----------------------------------------------------------------------------------------

// Cos and sin of row t for each table: of each channel, sin with the sign that its pair's other channel joins with.
static void fill_rope(const worker *w, int t) {
    const row *r = row_at(w, t);
    for (int i = 0; i < w->m->n_ropes; i++) {
        const rope_table *table = &w->m->ropes[i];
        const double *freq = table->freq[r->cache->is_long];
        float scale = table->scale[r->cache->is_long];
        int far = table->far, step = far == 1 ? 2 : 1;
        float *cos = w->b->rope_cs + (size_t)row_of(w, t) * (size_t)w->m->rope_width + table->at,
              *sin = cos + table->n_rot;
        for (int k = 0; k < table->n_rot / 2; k++) {
            double angle = (double)r->pos[0] * freq[k];
            cos[k * step] = cos[k * step + far] = (float)fm_cos(angle) * scale;
            sin[k * step + far] = (float)fm_sin(angle) * scale;
            sin[k * step] = -sin[k * step + far];
        }
    }
}

void embed_id(const worker *w, int t, float *x) {
    const gemel_model *m = w->m;
    panel_row(&m->token_embd, row_at(w, t)->id, x);
    for (int i = 0; m->embd_scale != 1 && i < m->n_embd; i++) x[i] = x[i] * m->embd_scale;
    if (m->embd_norm.is_on && !m->is_encoder) norm_row(w, &m->embd_norm, t, x, m->n_embd, x);
}

// Add row `i` of a table of embeddings to row t's x.
static void add_embedding(const worker *w, const weight *table, int t, int i, float *x) {
    float *row = w->s->y + (size_t)t * (size_t)pad_to(w->m->n_embd, 16);
    if (!table->n_panels) return;
    panel_row(table, i, row);
    w->k->add_to(x, row, w->m->n_embd);
}

// Row t as it enters the first layer of the pass.
static void embed_row(const worker *w, int t) {
    const row *r = row_at(w, t);
    const gemel_model *m = w->m;
    float *x = stream_at(w, t);
    if (r->in) memcpy(x, r->in, sizeof(float) * (size_t)m->n_embd);
    else embed_id(w, t, x);
    if (w->b->from > 0 || w->b->to == 0) return;   // layer 0 follows
    add_embedding(w, &m->token_types, t, r->type, x);
    add_embedding(w, &m->position_embd, t, r->pos[0], x);
    if (m->embd_norm.is_on && m->is_encoder) norm_row(w, &m->embd_norm, t, x, m->n_embd, x);
}

static void embed(const worker *w) {   // x[n][n_embd]
    for (int t = w->ith; t < w->n; t += w->nth) {
        embed_row(w, t);
        if (!w->b->has_rope) fill_rope(w, t);
    }
    mark(w, GEMEL_OP_EMBED);
}

// ---- After the last keys and values --------------------------------------------------------------------------------

// Copy row `from` of x[][width] to row `to`; each thread moves its share of the columns.
static void move_row(const worker *w, float *x, int width, int to, int from) {
    int c0 = share(width, w->ith, w->nth), c1 = share(width, w->ith + 1, w->nth);
    memcpy(x + (size_t)to * (size_t)width + c0, x + (size_t)from * (size_t)width + c0,
           sizeof(float) * (size_t)(c1 - c0));
}

// From here on, only rows that something is wanted of.
static void keep_wanted(worker *w) {
    const int *kept = w->s->kept;
    const layer *l = &w->m->layers[w->il];
    int n = 0, width = l->heads_width;
    while (n < w->n && kept[n] >= 0) n++;
    if (n == w->n) return;
    for (int t = 0; t < n; t++) {   // kept[t] >= t
        if (kept[t] == t) continue;
        move_row(w, w->s->x, w->m->n_embd, t, kept[t]);
        move_row(w, w->s->heads, width, t, kept[t]);
        if (l->mamba.n_taps) move_row(w, w->s->inner, pad_to(l->mamba.n_inner, 16), t, kept[t]);
        if (l->is_parallel) move_row(w, w->s->x0, w->m->n_embd, t, kept[t]);
    }
    w->kept = kept;
    w->n = n;
    meet(w);
}

// ---- The pass ------------------------------------------------------------------------------------------------------

static int is_cancelled(const batch *b) {
    return (b->cancel && atomic_load(b->cancel)) || (b->flag && atomic_load(b->flag));
}

// Room for partials, where one row's attention may be shared by the threads: the only one, or the only one kept.
static size_t partials_of(const batch *b, const int *kept, int n_kept) {
    const row *r = b->n == 1 ? &b->rows[0] : n_kept == 1 ? &b->rows[kept[0]] : NULL;
    if (!r || b->m->n_threads == 1 || r->cache->type != GEMEL_KV_Q8_0) return 0;
    size_t blocks = (size_t)((r->seen_to - 1) / KV_BLOCK + 1), heads = (size_t)b->m->totals.n_head;
    return blocks * (heads * KV_PARTIAL_HEAD + (size_t)b->m->totals.v_heads);
}

// List the rows that something is wanted of, kept[b->n], -1 after them; none in a wide pass. Returns their number.
static int list_wanted(batch *b, int *kept) {
    int n = 0, n_logits = 0, is_wide = b->n > b->m->n_batch;
    for (int t = 0; t < b->n; t++) {
        if (b->rows[t].wanted && !is_wide) kept[n++] = t;
        n_logits += (b->rows[t].wanted & (WANT_LOGITS | WANT_SCORE | WANT_DRAW)) != 0;
        atomic_store(&b->rows[t].bad, 0);
    }
    for (int t = n; t < b->n && !is_wide; t++) kept[t] = -1;
    b->n_logits = n_logits;
    return n;
}

// By one thread, before the others go on: the pass that runs on the pool owns the workspace.
static void begin(batch *b) {
    int kept[N_BATCH_MAX], n = list_wanted(b, kept), is_wide = b->n > b->m->n_batch;
    int n_logits = b->n_logits < ROWS_AT_ONCE ? b->n_logits : ROWS_AT_ONCE;
    b->code = workspace_open(b->m, partials_of(b, kept, n), b->n, n_logits);
    if (b->code < 0) return;
    workspace *s = b->m->workspace;
    atomic_store(&s->dealt[0], 0);
    if (!is_wide) memcpy(s->kept, kept, sizeof *kept * (size_t)b->n);
    if (!b->first) b->first = s->first;
    if (!b->rope_cs) b->rope_cs = is_wide ? workspace_view(b->m, b->n, 0).rope_cs : s->rope_cs;
}

// A pass of more than n_batch rows goes through each phase of a layer in parts of n_batch rows: all keys and values of
// a layer are in the cache before a row reads them. What rows keep between phases is in buffers of all rows.
static int n_parts(const worker *w) { return (w->b->n + w->m->n_batch - 1) / w->m->n_batch; }

// Work on part i; `s` is this thread's view of the buffers. The only part of a pass keeps the rows that it has.
static void take_part(worker *w, int i, workspace *s) {
    if (n_parts(w) == 1) return;
    w->at = i * w->m->n_batch;
    w->n = w->b->n - w->at < w->m->n_batch ? w->b->n - w->at : w->m->n_batch;
    *s = workspace_view(w->m, w->b->n, w->at);
    w->s = s;
}

// Norm the stream itself.
static void norm_stream(const worker *w, const norm *norm) {
    if (!norm->is_on) return;
    for (int t = w->ith; t < w->n; t += w->nth) norm_row(w, norm, t, stream_at(w, t), w->m->n_embd, stream_at(w, t));
    mark(w, GEMEL_OP_NORM);
    meet(w);
}

static void take_layer(worker *w, const layer *l) {
    mixers[l->mixer]->take(w, l);
    norm_stream(w, &l->mid);
    if (w->ith == 0 && is_cancelled(w->b)) atomic_store(&w->b->stopped, 1);
    ffns[l->ffn]->take(w, l);   // after its barrier all threads see the same
    norm_stream(w, &l->end);
    if (w->m->n_per_layer) per_layer_take(w, l);
}

static void layers(worker *w, workspace *s) {
    batch *b = w->b;
    int parts = n_parts(w);
    int last = b->from > w->m->last_put ? b->from : w->m->last_put;   // later layers read what is in the cache
    for (int il = b->from; il < b->to; il++) {
        const layer *l = &w->m->layers[il];
        w->il = il;
        for (int i = 0; i < parts; i++) {
            take_part(w, i, s);
            mixers[l->mixer]->put(w, l);
        }
        if (il == last && parts == 1) keep_wanted(w);
        for (int i = 0; i < parts && w->n; i++) {
            take_part(w, i, s);
            take_layer(w, l);
        }
        if (!w->n || atomic_load(&b->stopped)) break;   // written again only after the next layer's first barrier
    }
    w->il = -1;
}

static void whole_pass(worker *w) {
    workspace view;
    for (int i = 0; i < n_parts(w); i++) {
        take_part(w, i, &view);
        embed(w);
        meet(w);
    }
    if (w->m->n_per_layer && w->b->from < w->b->to) per_layer_fill(w);
    layers(w, &view);
    for (int i = 0; i < n_parts(w) && !atomic_load(&w->b->stopped); i++) {
        take_part(w, i, &view);
        output(w);
    }
}

// Note the time of a pass that can be compared: whole, all of its rows with logits.
static void note_cost(const batch *b, double start) {
    if (start < 0 || b->code < 0 || b->from || b->to < b->m->n_layer || b->n_logits < b->n) return;
    if (!atomic_load(&b->stopped)) costs_note(&b->m->costs, b->n, threads_now() - start);
}

static void pass(void *arg, int ith, int nth) {
    batch *b = arg;
    double start = ith ? 0 : threads_now();
    stopwatch watch = stopwatch_start(b->profile, ith);
    uint64_t mode = cpu_float_enter();
    if (ith == 0) begin(b);
    int n_deals = 0;
    worker w = {.n_deals = &n_deals,
                .b = b,
                .m = b->m,
                .k = b->m->k,
                .ith = ith,
                .nth = nth,
                .n = b->n,
                .il = -1,
                .watch = &watch};
    threads_meet(b->m->pool);
    w.s = b->m->workspace;
    if (b->code == GEMEL_OK) whole_pass(&w);
    cpu_float_leave(mode);
    if (ith == 0) note_cost(b, start);
    stopwatch_stop(&watch, GEMEL_OP_PASS, -1, b->n);
}

void forward(batch *b) {
    atomic_store(&b->stopped, 0);
    threads_run(b->m->pool, b->m->n_threads, pass, b, b->is_short ? &b->m->pace : NULL);
}

// ---- Passes side by side -------------------------------------------------------------------------------------------

enum { ALONE_LEAST = 32, ALONE_MOST = 128 };   // rows: fewer read the weights too often

int forward_rows(const gemel_model *m) {
    int n = m->n_batch / m->n_threads;
    if (m->n_threads == 1 || m->totals.n_expert || m->n_per_layer || n < ALONE_LEAST) return 0;
    return n < ALONE_MOST ? n : ALONE_MOST;
}

void forward_alone(batch *b, int ith) {
    workspace s = workspace_part(b->m, ith);
    stopwatch off = {0};
    int n_deals = 0;
    worker w = {
        .n_deals = &n_deals, .b = b, .m = b->m, .s = &s, .k = b->m->k, .nth = 1, .n = b->n, .il = -1, .watch = &off};
    atomic_store(&b->stopped, 0);
    list_wanted(b, s.kept);
    b->rope_cs = s.rope_cs;
    whole_pass(&w);
}

typedef struct apart {
    gemel_model *m;
    forward_each *each;
    void *arg;
    int code;
} apart;

static void run_apart(void *arg, int ith, int nth) {
    apart *a = arg;
    uint64_t mode = cpu_float_enter();
    (void)nth;
    if (ith == 0) a->code = workspace_open(a->m, 0, 1, 0);
    threads_meet(a->m->pool);
    if (a->code == GEMEL_OK) a->each(a->arg, ith);
    cpu_float_leave(mode);
}

int forward_apart(gemel_model *m, forward_each *each, void *arg) {
    apart a = {m, each, arg, GEMEL_OK};
    threads_run(m->pool, m->n_threads, run_apart, &a, NULL);
    return a.code;
}
