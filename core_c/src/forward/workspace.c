#include "workspace.h"
#include <stdlib.h>
#include "../memory.h"

static int pad(int n) { return (n + 15) / 16 * 16; }
static int most(int a, int b) { return a > b ? a : b; }

typedef struct cutter {   // walks the memory; the first walk only measures
    char *memory;
    size_t at;
    int overflow;
} cutter;

static void *cut(cutter *c, int n, int width, size_t item) {
    size_t size = memory_times(memory_times((size_t)n, (size_t)width, &c->overflow), item, &c->overflow);
    void *p = c->memory ? c->memory + c->at : NULL;
    if (size > SIZE_MAX - c->at - 64) c->overflow = 1;
    else c->at += (size + 63) / 64 * 64;
    return p;
}
static int some_isa_is_wide(void) {   // a model may change its instruction set
    for (int i = 0; i < isa_count(); i++)
        if (isa_at(i)->k->has_wide) return 1;
    return 0;
}
static void cut_acts(cutter *c, const gemel_model *m, acts *a, int n, int width) {
    int nb = (width + 31) / 32;
    a->q = cut(c, n * 32, nb, sizeof(int16_t));   // the widest stored activation of any instruction set
    a->d = cut(c, n, nb, sizeof *a->d);
    a->s = cut(c, n, nb, sizeof *a->s);
    a->z = cut(c, n, nb, sizeof *a->z);
    if (m->totals.has_halves) {
        a->s2 = cut(c, n, nb, 2 * sizeof *a->s2);
        a->z2 = cut(c, n, nb, 2 * sizeof *a->z2);
    }
    a->wide = m->totals.has_bytes && some_isa_is_wide() ? cut(c, n * 32, nb, sizeof *a->wide) : NULL;
    a->n = n;
}

static void cut_experts(const gemel_model *m, workspace *s, cutter *c, int nt) {
    const model_totals *t = &m->totals;
    if (!t->n_expert) return;
    int n = m->n_batch, used = t->n_expert_used, all = pad(t->n_expert);
    s->route = cut(c, n, all, sizeof(float));
    s->beside = t->has_beside ? cut(c, n, pad(m->n_embd), sizeof(float)) : NULL;
    s->joined = t->has_beside ? cut(c, nt, pad(m->n_embd), sizeof(float)) : NULL;
    s->shared = cut(c, n, 16, sizeof(float));
    s->scores = cut(c, 2 * nt, all, sizeof(float));
    s->chosen = cut(c, most(n, nt), used, sizeof(int));
    s->weights = cut(c, most(n, nt), used + 1, sizeof(float));
    s->starts = cut(c, nt, t->n_expert + 1, sizeof(int));
    s->order = cut(c, nt, n * used, sizeof(int));
    s->mix = cut(c, n, pad(m->n_embd), sizeof(float));
    s->picked_x = t->gathers_floats ? cut(c, n * used, m->n_embd, sizeof(float)) : NULL;
    cut_acts(c, m, &s->picked, n * used, m->n_embd);
}

static int widest_of(const gemel_model *m) {
    return most(most(m->n_embd, m->totals.mixed), most(m->totals.q, m->totals.v));
}

static void cut_all(const gemel_model *m, workspace *s, cutter *c, int nt) {
    const model_totals *t = &m->totals;
    int n = m->n_batch, widest = widest_of(m);
    s->x = cut(c, n, m->n_embd, sizeof(float));
    s->x0 = t->has_parallel ? cut(c, n, m->n_embd, sizeof(float)) : NULL;
    s->y = cut(c, n, pad(m->n_embd), sizeof(float));
    s->norm = cut(c, most(n, nt), pad(m->n_embd), sizeof(float));
    s->q = cut(c, n, pad(most(t->q, t->v)), sizeof(float));
    s->k = cut(c, n, pad(t->k), sizeof(float));
    s->v = cut(c, n, pad(t->v), sizeof(float));
    s->heads = cut(c, n, t->k_heads, sizeof(float));
    s->att = cut(c, n, t->v_heads, sizeof(float));
    s->inner = t->inner ? cut(c, n, pad(t->inner), sizeof(float)) : NULL;
    s->mixed = t->mixed ? cut(c, most(n, nt), t->mixed, sizeof(float)) : NULL;
    s->first = m->n_first ? cut(c, n, m->n_first, sizeof(float)) : NULL;
    s->gate = cut(c, n, pad(t->n_ff), sizeof(float));
    s->up = cut(c, n, pad(t->n_ff), sizeof(float));
    cut_experts(m, s, c, nt);
    int own = pad(m->n_per_layer * m->n_layer);
    s->per_layer = own ? cut(c, n, own + 16, sizeof(float)) : NULL;   // the last may be read past its end
    s->table = own ? cut(c, nt, own, sizeof(float)) : NULL;
    s->rope_cs = cut(c, n, m->rope_width, sizeof(float));
    s->dealt = cut(c, 2, 1, sizeof *s->dealt);
    s->peaks = cut(c, nt, ROWS_AT_ONCE, sizeof *s->peaks);
    s->kept = cut(c, n, 1, sizeof *s->kept);
    cut_acts(c, m, &s->in, n, widest);
    cut_acts(c, m, &s->mid, n, t->n_ff);
    s->own = cut(c, nt, 1, sizeof *s->own);
    acts unused;
    for (int ith = 0; ith < nt; ith++) cut_acts(c, m, c->memory ? &s->own[ith] : &unused, 1, widest);
}

// What a row keeps from one half of a layer to the next.
static void cut_wide(const gemel_model *m, workspace *s, cutter *c, int n) {
    s->x = cut(c, n, m->n_embd, sizeof(float));
    s->x0 = m->totals.has_parallel ? cut(c, n, m->n_embd, sizeof(float)) : NULL;
    s->heads = cut(c, n, m->totals.k_heads, sizeof(float));
    s->rope_cs = cut(c, n, m->rope_width, sizeof(float));
}

size_t workspace_wide_size(const gemel_model *m, int n_rows) {
    workspace s;
    cutter c = {0};
    if (n_rows > m->n_batch) cut_wide(m, &s, &c, n_rows);
    return c.overflow ? SIZE_MAX : c.at;
}

workspace workspace_view(const gemel_model *m, int n_rows, int at) {
    workspace s = *m->workspace;
    cutter c = {.memory = s.wide};
    cut_wide(m, &s, &c, n_rows);
    s.x += (size_t)at * (size_t)m->n_embd;
    if (s.x0) s.x0 += (size_t)at * (size_t)m->n_embd;
    s.heads += (size_t)at * (size_t)m->totals.k_heads;
    return s;
}

static void shift(float **x, size_t rows, int width) {
    if (*x) *x += rows * (size_t)width;
}

// Rows of activations are adjacent, however many there are.
static void shift_acts(acts *a, size_t rows, int width) {
    size_t entries = rows * (size_t)((width + 31) / 32);
    a->q = (char *)a->q + entries * 32 * sizeof(int16_t);
    a->d += entries, a->s += entries, a->z += entries;
    if (a->s2) a->s2 += 2 * entries, a->z2 += 2 * entries;
    if (a->wide) a->wide += 32 * entries;
}

workspace workspace_part(const gemel_model *m, int ith) {
    const model_totals *t = &m->totals;
    workspace s = *m->workspace;
    size_t at = (size_t)ith * (size_t)(m->n_batch / m->n_threads);
    shift(&s.x, at, m->n_embd), shift(&s.x0, at, m->n_embd);
    shift(&s.y, at, pad(m->n_embd)), shift(&s.norm, at, pad(m->n_embd));
    shift(&s.q, at, pad(most(t->q, t->v))), shift(&s.k, at, pad(t->k)), shift(&s.v, at, pad(t->v));
    shift(&s.heads, at, t->k_heads), shift(&s.att, at, t->v_heads);
    shift(&s.inner, at, pad(t->inner));
    shift(&s.gate, at, pad(t->n_ff)), shift(&s.up, at, pad(t->n_ff));
    shift(&s.rope_cs, at, m->rope_width);
    shift_acts(&s.in, at, widest_of(m)), shift_acts(&s.mid, at, t->n_ff);
    s.kept += at;
    s.own += ith;
    return s;
}

size_t workspace_size(const gemel_model *m, int n_threads) {
    workspace s;
    cutter c = {0};
    cut_all(m, &s, &c, n_threads);
    return c.overflow ? 0 : c.at;
}

void workspace_close(gemel_model *m) {
    if (!m->workspace) return;
    memory_free(m->workspace->memory);
    memory_free(m->workspace->partials);
    memory_free(m->workspace->wide);
    memory_free(m->workspace->logits);
    free(m->workspace);
    m->workspace = NULL;
}

static int make(gemel_model *m) {
    size_t size = workspace_size(m, m->n_threads);
    workspace_close(m);
    workspace *s = size ? calloc(1, sizeof *s) : NULL;
    if (!s) return GEMEL_E_MEMORY;
    s->memory = memory_get(size);
    if (!s->memory) {
        free(s);
        return GEMEL_E_MEMORY;
    }
    cutter c = {.memory = s->memory};
    cut_all(m, s, &c, m->n_threads);
    s->n_threads = m->n_threads;
    m->workspace = s;
    return GEMEL_OK;
}

static int grow_partials(workspace *s, size_t n) {
    if (n <= s->n_partials) return GEMEL_OK;
    n += n / 2;   // contexts grow: not for every block
    memory_free(s->partials);
    s->n_partials = 0;
    s->partials = n < SIZE_MAX / sizeof(float) / 2 ? memory_get(n * sizeof(float)) : NULL;
    if (!s->partials) return GEMEL_E_MEMORY;
    s->n_partials = n;
    return GEMEL_OK;
}

static float *get_logits(const gemel_model *m, int n) {
    int overflow = 0;
    size_t size = memory_times((size_t)n * sizeof(float), (size_t)m->output.w.n_panels * 16, &overflow);
    return overflow ? NULL : memory_get(size);
}

// Room for n rows, or for one where memory is short.
static int grow_logits(workspace *s, const gemel_model *m, int n) {
    if (n <= s->n_logits) return GEMEL_OK;
    memory_free(s->logits);
    s->logits = get_logits(m, n);
    if (!s->logits && n > 1) s->logits = get_logits(m, n = 1);
    s->n_logits = s->logits ? n : 0;
    return s->logits ? GEMEL_OK : GEMEL_E_MEMORY;
}

static int grow_wide(workspace *s, const gemel_model *m, int n) {
    size_t size = workspace_wide_size(m, n);
    if (n <= s->n_wide || !size) return GEMEL_OK;
    memory_free(s->wide);
    s->wide = size < SIZE_MAX ? memory_get(size) : NULL;
    s->n_wide = s->wide ? n : 0;
    return s->wide ? GEMEL_OK : GEMEL_E_MEMORY;
}

int workspace_open(gemel_model *m, size_t n_partials, int n_rows, int n_logits) {
    int code = m->workspace && m->workspace->n_threads == m->n_threads ? GEMEL_OK : make(m);
    if (code == GEMEL_OK) code = grow_partials(m->workspace, n_partials);
    if (code == GEMEL_OK) code = grow_wide(m->workspace, m, n_rows);
    return code == GEMEL_OK ? grow_logits(m->workspace, m, n_logits) : code;
}
