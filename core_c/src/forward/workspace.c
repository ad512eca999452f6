// The buffers of a micro-batch, in one piece of memory.
#include <stdlib.h>
#include <string.h>
#include "../memory.h"
#include "../run/session.h"

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
static void cut_acts(cutter *c, const gemel_model *m, acts *a, int n, int width) {
    int nb = (width + 31) / 32;
    a->q = cut(c, n * 32, nb, sizeof(int16_t));   // the widest stored activation of any row
    a->d = cut(c, n, nb, sizeof *a->d);
    a->s = cut(c, n, nb, sizeof *a->s);
    a->z = cut(c, n, nb, sizeof *a->z);
    if (m->has_halves) {
        a->s2 = cut(c, n, nb, 2 * sizeof *a->s2);
        a->z2 = cut(c, n, nb, 2 * sizeof *a->z2);
    }
    a->n = n;
}

static void cut_all(gemel_session *s, cutter *c) {
    const hparams *h = &s->m->h;
    buffers *b = &s->b;
    int n = s->m->n_batch, nt = b->n_threads, q = h->n_head * h->head_dim;
    b->x = cut(c, n, h->n_embd, sizeof(float));
    b->y = cut(c, n, pad(h->n_embd), sizeof(float));
    b->norm = cut(c, most(n, nt), pad(h->n_embd), sizeof(float));
    b->q = cut(c, n, pad(q), sizeof(float));
    b->k = cut(c, n, pad(h->n_head_kv * h->head_dim), sizeof(float));
    b->v = cut(c, n, pad(h->n_head_kv * h->head_dim), sizeof(float));
    b->heads = cut(c, n, h->n_head * s->dim, sizeof(float));
    b->att = cut(c, n, h->n_head * s->dim, sizeof(float));
    if (nt > 1) b->parts = cut(c, h->n_head * ((s->n_ctx + KV_BLOCK - 1) / KV_BLOCK), KV_PART + s->dim, sizeof(float));
    b->gate = cut(c, n, pad(h->n_ff), sizeof(float));
    b->up = cut(c, n, pad(h->n_ff), sizeof(float));
    b->angles = cut(c, n, 2 * h->n_rot, sizeof(float));
    cut_acts(c, s->m, &b->in, n, most(h->n_embd, q));
    cut_acts(c, s->m, &b->mid, n, h->n_ff);
    for (int it = 0; it < nt; it++) cut_acts(c, s->m, &b->own[it], 1, most(h->n_embd, q));
}

void buffers_close(gemel_session *s) {
    memory_free(s->b.memory);
    memory_free(s->b.rows);
    free(s->b.own);
    memset(&s->b, 0, sizeof s->b);
}

int buffers_open(gemel_session *s) {
    int nt = s->m->n_threads;   // the most that a pass gets
    if (s->b.memory && s->b.n_threads == nt) return GEMEL_OK;
    buffers_close(s);
    s->b.n_threads = nt;
    s->b.own = calloc((size_t)nt, sizeof *s->b.own);
    cutter c = {0};
    if (!s->b.own) return GEMEL_E_MEMORY;
    cut_all(s, &c);
    c.memory = c.overflow ? NULL : memory_get(c.at);
    if (!c.memory) {
        buffers_close(s);
        return GEMEL_E_MEMORY;
    }
    s->b.memory = (float *)c.memory;
    c.at = 0;
    cut_all(s, &c);
    return GEMEL_OK;
}
