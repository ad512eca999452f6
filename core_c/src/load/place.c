#include "place.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct walk {   // over all slots, in the order of memory
    placement *p;
    gemel_model *m;
    const gguf *g;
    errors *e;
    char *is_used;   // [n_tensors]
} walk;

static const char *name_of(const gguf_tensor *t, printable *p) {
    *p = printable_name(t->name.at, t->name.size);
    return p->text;
}
static uint64_t round_up(uint64_t n) { return (n + 63) / 64 * 64; }

static void slot_name(const slot *s, int il, char name[96]) {
    if (s->room == SLOT_LAYER) snprintf(name, 96, "blk.%d.%s", il, s->name);
    else snprintf(name, 96, "%s", s->name);
}
static int find(const walk *w, slot_id id, int il) {
    char name[96];
    slot_name(&slots[id], il, name);
    return gguf_tensor_find(w->g, name);
}

// ---- Checks --------------------------------------------------------------------------------------------------------

static const layer *layer_of(const walk *w, int il) {
    return il >= 0 && il < w->m->n_layer ? &w->m->layers[il] : &w->m->layers[0];
}
static int rows_of(const walk *w, const slot *s, int il) {
    return slot_dim_of(w->m, layer_of(w, il), s->kind == SLOT_MATRIX ? s->n_out : s->n_in);
}
// How many of them there are in one tensor.
static int count_of(const walk *w, const slot *s, int il) { return slot_dim_of(w->m, layer_of(w, il), s->n_mats); }

// What a tensor must hold: n_in columns by n_out rows (a vector: n_in numbers, n_out 1); n of these.
typedef struct shape {
    int is_matrix;
    uint64_t n_in, n_out, n;   // n 0: it is one matrix or vector
    int may_exceed;            // it may have more rows (numbers)
} shape;

static int wrong_shape(const walk *w, const gguf_tensor *t, const shape *s) {
    printable name;
    const unsigned long long n_in = s->n_in, n_out = s->n_out, n = s->n;
    char wanted[96];
    if (!n) snprintf(wanted, sizeof wanted, "[%llu, %llu]", n_in, n_out);
    else if (s->is_matrix) snprintf(wanted, sizeof wanted, "[%llu, %llu, %llu]", n_in, n_out, n);
    else snprintf(wanted, sizeof wanted, "[%llu, %llu]", n_in, n);
    return fail(w->e, GEMEL_E_FORMAT, "the tensor %s is [%llu, %llu, %llu, %llu]; by the metadata it must be %s",
                name_of(t, &name), (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], wanted);
}

static int check_shape(const walk *w, const gguf_tensor *t, const shape *s) {
    printable name;
    uint64_t n = s->n ? s->n : 1, second = s->is_matrix ? s->n_out : n, third = s->is_matrix ? n : 1;
    int fits_in = t->ne[0] == s->n_in || (s->may_exceed && !s->is_matrix && t->ne[0] > s->n_in);
    int fits_out = t->ne[1] == second || (s->may_exceed && s->is_matrix && t->ne[1] > second);
    int is_spread = !s->is_matrix && t->ne[1] == 1 && t->ne[2] == 1 && t->ne[3] == second;   // [n_in, 1, 1, n]
    int fits = fits_out && t->ne[2] == third && t->ne[3] == 1;
    if (!fits_in || !(fits || is_spread)) return wrong_shape(w, t, s);
    if (!gemel_format_computed(t->type))
        return fail(w->e, GEMEL_E_UNSUPPORTED, "the tensor %s is of type %s, which is not supported", name_of(t, &name),
                    gemel_format_name(t->type) ? gemel_format_name(t->type) : "unknown");
    return GEMEL_OK;
}

// Whether a tensor is of a layer that is left out, by its name: blk.N. and more.
static int is_spare(const walk *w, const gguf_tensor *t) {
    const char *at = t->name.at, *end = at + t->name.size;
    int n = 0, n_digits = 0;
    if (t->name.size < 6 || memcmp(at, "blk.", 4) != 0) return 0;
    for (at += 4; at < end && *at >= '0' && *at <= '9' && n_digits < 5; at++, n_digits++) n = 10 * n + (*at - '0');
    int is_layer = n_digits && at < end && *at == '.';
    return is_layer && n >= w->m->n_layer && n < w->m->n_layer + w->m->n_spare_layers;
}

// Every tensor of the file must have a slot: ignoring one would change the result.
static int check_leftover(const walk *w) {
    printable name;
    for (int i = 0; i < gguf_n_tensors(w->g); i++)
        if (!w->is_used[i] && !is_spare(w, gguf_tensor_at(w->g, i)))
            return fail(w->e, GEMEL_E_UNSUPPORTED, "unexpected tensor %s: architecture %s does not use it",
                        name_of(gguf_tensor_at(w->g, i), &name), w->m->arch->name);
    return GEMEL_OK;
}

// ---- Places --------------------------------------------------------------------------------------------------------

static int grow(walk *w) {
    placement *p = w->p;
    if (p->n < p->capacity) return GEMEL_OK;
    int capacity = p->capacity ? 2 * p->capacity : 64;
    destination *to = realloc(p->to, (size_t)capacity * sizeof *to);
    if (!to) return fail(w->e, GEMEL_E_MEMORY, "no memory for %d tensors", capacity);
    p->to = to;
    p->capacity = capacity;
    return GEMEL_OK;
}

// Memory of slot s in layer il, for `count` runs of n rows (of a vector: numbers) of t's.
static void take_room(walk *w, const gguf_tensor *t, const slot *s, int il, int n, int count) {
    placement *p = w->p;
    uint8_t *at = w->m->memory ? w->m->memory + p->size : NULL;
    if (s->kind != SLOT_MATRIX) {
        *slot_vector(w->m, il, s) = (float *)at;
        p->size += round_up((uint64_t)count * (uint64_t)n * sizeof(float));
        return;
    }
    weight *m = slot_weight(w->m, il, s);
    *m = (weight){.type = t->type, .n_in = (int)t->ne[0], .n_out = n, .n_panels = (n + 15) / 16, .data = at};
    m->n_mats = count;
    m->panel_size = panel_size_of(t->type, m->n_in);
    p->size += round_up((uint64_t)count * (uint64_t)m->n_panels * m->panel_size);
}

// Rows first..first+n-1 of tensor i (of a vector: numbers) become the k-th run of slot s of layer il.
static int put(walk *w, int i, const slot *s, int il, uint64_t first, int n, int k) {
    const gguf_tensor *t = gguf_tensor_at(w->g, i);
    const format *f = format_of(t->type);
    int code = grow(w);
    if (code < 0) return code;
    destination *d = &w->p->to[w->p->n++];
    *d = (destination){.tensor = i, .il = il, .kind = s->kind};
    w->is_used[i] = 1;
    if (s->kind == SLOT_MATRIX) {
        uint64_t row_size = t->size / t->ne[1] / t->ne[2];
        d->w = slot_weight(w->m, il, s);
        d->from = first * row_size, d->size = (uint64_t)n * row_size;
        d->n_in = (int)t->ne[0], d->n_out = n;
        d->first_panel = k * d->w->n_panels;
        return GEMEL_OK;
    }
    if (first % (uint64_t)f->block || n % f->block) {
        printable name;
        return fail(w->e, GEMEL_E_UNSUPPORTED, "the tensor %s of type %s would be split inside a block of %d elements",
                    name_of(t, &name), f->name, f->block);
    }
    d->n_in = n, d->n_out = 1;
    d->from = first / (uint64_t)f->block * (uint64_t)f->block_size;
    d->size = (uint64_t)(n / f->block) * (uint64_t)f->block_size;
    d->v = w->m->memory ? *slot_vector(w->m, il, s) + (size_t)k * (size_t)n : NULL;
    return GEMEL_OK;
}

// Slot s's rows of tensor i, `total` rows of which `before` come first; the same of each matrix of a stack.
static int put_all(walk *w, int i, const slot *s, int il, int before, int total) {
    int n = rows_of(w, s, il), count = count_of(w, s, il), code = GEMEL_OK;
    take_room(w, gguf_tensor_at(w->g, i), s, il, n, count);
    for (int k = 0; k < count && code == GEMEL_OK; k++)
        code = put(w, i, s, il, (uint64_t)k * (uint64_t)total + (uint64_t)before, n, k);
    return code;
}

// Rows (of a vector: numbers) of fused tensor d that come before slot `id`'s; of all its parts with SLOT_NONE.
static int rows_before(const walk *w, slot_id d, slot_id id, int il) {
    int n = 0;
    for (int k = 0; k < SLOT_PARTS && (id == SLOT_NONE || slots[d].parts[k] != id); k++)
        if (slots[d].parts[k] != SLOT_NONE) n += rows_of(w, &slots[slots[d].parts[k]], il);
    return n;
}

// The fused tensor that slot `id` is a part of, when the file has it instead of the parts; or SLOT_NONE. A fused tensor
// with the name of a part is recognised by its number of rows.
static slot_id dealt_from(const walk *w, slot_id id, int il) {
    for (int d = 0; d < N_SLOTS; d++) {
        if (slots[d].kind != SLOT_DEALT || !slot_may_be_in(&slots[slots[d].parts[0]], layer_has(w->m, il))) continue;
        int i = find(w, slots[d].parts[0], il) < 0 ? find(w, (slot_id)d, il) : -1, is_part = 0, has_twin = 0;
        for (int k = 0; k < SLOT_PARTS && i >= 0; k++) {
            slot_id part = slots[d].parts[k];
            is_part |= part == id;
            has_twin |= part != SLOT_NONE && !strcmp(slots[part].name, slots[d].name);
        }
        if (!is_part) continue;
        const uint64_t *ne = gguf_tensor_at(w->g, i)->ne;
        uint64_t rows = slots[id].kind == SLOT_MATRIX ? ne[1] : ne[0];
        if (!has_twin || rows == (uint64_t)rows_before(w, (slot_id)d, SLOT_NONE, il)) return (slot_id)d;
    }
    return SLOT_NONE;
}

static int put_part(walk *w, slot_id fused, slot_id id, int il) {
    const slot *s = &slots[id];
    int i = find(w, fused, il), total = rows_before(w, fused, SLOT_NONE, il), is_matrix = s->kind == SLOT_MATRIX;
    int n_in = is_matrix ? slot_dim_of(w->m, layer_of(w, il), s->n_in) : total;
    shape wanted = {.is_matrix = is_matrix, .n_in = (uint64_t)n_in, .n_out = is_matrix ? (uint64_t)total : 1};
    if (s->n_mats != DIM_ONE) wanted.n = (uint64_t)count_of(w, s, il);
    int code = check_shape(w, gguf_tensor_at(w->g, i), &wanted);
    return code < 0 ? code : put_all(w, i, s, il, rows_before(w, fused, id, il), total);
}

static int is_missing(const walk *w, const slot *s, int il) {
    char name[96], old[96];
    slot_name(s, il, name);
    const char *dot = strchr(s->name, '.');
    int n = dot ? (int)(dot - s->name) - (int)strlen("_exps") : 0;
    if (n > 0 && !strncmp(s->name + n, "_exps", strlen("_exps"))) {
        snprintf(old, sizeof old, "blk.%d.%.*s.0%s", il, n, s->name, dot);
        if (gguf_tensor_find(w->g, old) >= 0)
            return fail(w->e, GEMEL_E_UNSUPPORTED,
                        "the tensor %s is missing: this file has a tensor for each expert (%s), as llama.cpp "
                        "wrote them before April 2024; convert the model again",
                        name, old);
    }
    return fail(w->e, GEMEL_E_FORMAT, "the tensor %s is missing", name);
}

// Keys and values of a layer that reads another one's, what mixes values in RWKV-7's first layer: files may have them,
// and nothing would read them.
static void leave_out(walk *w, slot_id id, int il) {
    int i = find(w, id, il);
    if (i >= 0) w->is_used[i] = 1;
}

static int place(walk *w, slot_id id, int il) {
    const slot *s = &slots[id];
    properties has = layer_has(w->m, il);
    if (s->kind != SLOT_DEALT && has & s->never & (SHARES_KV | LACKS_MIX)) leave_out(w, id, il);
    if (s->kind == SLOT_DEALT || !slot_may_be_in(s, has)) return GEMEL_OK;
    if (!slot_dim_of(w->m, layer_of(w, il), s->n_in) || !rows_of(w, s, il)) return GEMEL_OK;   // not in this layer
    slot_id fused = s->room == SLOT_LAYER ? dealt_from(w, id, il) : SLOT_NONE;
    if (fused != SLOT_NONE) return put_part(w, fused, id, il);
    int i = find(w, id, il);
    if (i < 0) return has & s->must ? is_missing(w, s, il) : GEMEL_OK;
    int is_matrix = s->kind == SLOT_MATRIX, n_in = slot_dim_of(w->m, layer_of(w, il), s->n_in),
        rows = rows_of(w, s, il);
    shape wanted = {.is_matrix = is_matrix, .n_in = (uint64_t)n_in, .n_out = is_matrix ? (uint64_t)rows : 1};
    wanted.may_exceed = (is_matrix ? s->n_out : s->n_in) == DIM_VOCAB;   // rows of ids over the vocabulary are left out
    if (s->n_mats != DIM_ONE) wanted.n = (uint64_t)count_of(w, s, il);
    int code = check_shape(w, gguf_tensor_at(w->g, i), &wanted);
    return code < 0 ? code : put_all(w, i, s, il, 0, rows);
}

static int place_room(walk *w, enum slot_room room, int il) {
    for (int id = 0; id < N_SLOTS; id++) {
        int code = slots[id].room == room ? place(w, (slot_id)id, il) : GEMEL_OK;
        if (code < 0) return code;
    }
    return GEMEL_OK;
}

// A tied head, which has no tensor, is a weight over the embedding's data.
static void tie(walk *w) {
    gemel_model *m = w->m;
    m->is_tied = !m->output.w.n_panels && !m->is_encoder;
    if (!m->is_tied) return;
    m->output.w = m->token_embd;
    for (int i = 0; i < w->p->n; i++)
        if (w->p->to[i].w == &m->token_embd) w->p->to[i].tied = &m->output.w;
}

int place_tensors(placement *p, gemel_model *m, const gguf *g, errors *e) {
    walk w = {.p = p, .m = m, .g = g, .e = e, .is_used = calloc((size_t)gguf_n_tensors(g) + 1, 1)};
    if (!w.is_used) return fail(e, GEMEL_E_MEMORY, "no memory for %d tensors", gguf_n_tensors(g));
    p->n = 0;
    p->size = 0;
    m->output.w = (weight){0};
    int code = place_room(&w, SLOT_FIRST, -1);
    for (int il = 0; il < m->n_layer && code == GEMEL_OK; il++) code = place_room(&w, SLOT_LAYER, il);
    if (code == GEMEL_OK) code = place_room(&w, SLOT_LAST, m->n_layer);
    if (code == GEMEL_OK) code = check_leftover(&w);
    if (code == GEMEL_OK) tie(&w);
    free(w.is_used);
    return code;
}

void place_close(placement *p) {
    free(p->to);
    *p = (placement){0};
}
