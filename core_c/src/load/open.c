#include "../grammar/text_tree.h"
#include "open.h"
#include <stdlib.h>
#include "../arch/arch.h"
#include "../arch/rope.h"
#include "../file/gguf_read.h"
#include "../file/override.h"
#include "../forward/workspace.h"
#include "../memory.h"

// `times`: how many such matrices a row is multiplied by.
static void count_weight(gemel_model *m, const weight *w, int times) {
    m->totals.decode_size += (double)w->panel_size * w->n_panels * times;
    m->totals.decode_macs += (double)w->n_in * w->n_out * times;
    const panel_kind *k = panel_kind_of(w->type);
    m->totals.has_halves |= k && k->sub == 16;
    m->totals.has_bytes |= k && (k->planes & P8);
}

// Whether rows of floats are copied to where an expert's are adjacent: it reads them, or they are weighted there.
static int gathers_floats(const experts *x) {
    return x->n && (x->is_before || weight_is_float(&x->gate.w) || weight_is_float(&x->up.w));
}

// What is known of the weights before they are loaded.
static void count_all(gemel_model *m, const gguf *g) {
    for (int il = 0; il < m->n_layer; il++)
        for (int id = 0; id < N_SLOTS; id++)
            // Two slots may fill one place, each in other layers.
            if (slots[id].room == SLOT_LAYER && slots[id].kind == SLOT_MATRIX &&
                slot_may_be_in(&slots[id], layer_has(m, il)))
                count_weight(m, slot_weight(m, il, &slots[id]),
                             slot_is_of_experts(&slots[id]) ? m->layers[il].experts.n_used
                                                            : slot_weight(m, il, &slots[id])->n_mats);
    for (int il = 0; il < m->n_layer; il++) m->totals.gathers_floats |= gathers_floats(&m->layers[il].experts);
    m->totals.prefill_macs = m->totals.decode_macs;
    count_weight(m, &m->output.w, 1);
    for (int i = 0; i < gguf_n_tensors(g); i++) {
        const uint64_t *ne = gguf_tensor_at(g, i)->ne;
        m->totals.n_params += (double)ne[0] * (double)ne[1] * (double)ne[2] * (double)ne[3];
    }
}

static int read_numbers(gemel_model *m, const gguf *g, placement *p, errors *e) {
    int code = gguf_overrides_begin(g, e);
    if (code == GEMEL_OK) code = arch_read(m, g, e);
    if (code == GEMEL_OK) code = place_tensors(p, m, g, e);
    if (code < 0) return code;
    m->memory_size = (size_t)p->size;
    if (p->size >= SIZE_MAX / 2)
        return fail(e, GEMEL_E_MEMORY, "no memory for %.0f MB of weights", (double)p->size / 1e6);
    count_all(m, g);
    if (m->ropes[0].scaling == SCALING_LONGROPE &&
        (gguf_tensor_find(g, slots[SLOT_ROPE_LONG].name) < 0 || gguf_tensor_find(g, slots[SLOT_ROPE_SHORT].name) < 0))
        return fail(e, GEMEL_E_FORMAT,
                    "RoPE scaling longrope needs the tensors rope_factors_long.weight and rope_factors_short.weight");
    return GEMEL_OK;
}

// Rows of a tensor (of a vector: numbers); 0: the file has no such tensor.
static unsigned long long rows_of(const gguf *g, const char *name) {
    int i = gguf_tensor_find(g, name);
    const gguf_tensor *t = i < 0 ? NULL : gguf_tensor_at(g, i);
    return !t ? 0 : t->n_dims == 1 ? (unsigned long long)t->ne[0] : (unsigned long long)t->ne[1];
}

int words_open(tokenizer **out, const gguf *g, warnings *said, errors *e) {
    static const char *const names[] = {"token_embd.weight", "output.weight", "output.bias"};
    int code = tokenizer_open(out, g, said, e), is_said = code < 0;
    for (int i = 0; i < 3 && !is_said; i++) {
        unsigned long long rows = rows_of(g, names[i]), n = (unsigned long long)tokenizer_n_vocab(*out);
        is_said = rows > n;
        if (is_said)
            warn(said, "%s has %llu rows, but tokenizer.ggml.tokens has %llu entries: rows from %llu on are not used",
                 names[i], rows, n, n);
    }
    return code;
}

static int take_words(gemel_model *m, const gguf *g, errors *e) {
    int code = words_open(&m->tok, g, &m->said, e);
    gguf_override_unread(g, "tokenizer.ggml.padding_token_id");   // checked; gemel never pads
    if (code < 0 || tokenizer_n_vocab(m->tok) == m->n_vocab) return code;
    return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.tokens has %d entries, but token_embd.weight has %d rows",
                tokenizer_n_vocab(m->tok), m->n_vocab);
}

static int take_memory(gemel_model *m, const gguf *g, placement *p, errors *e) {
    m->memory = memory_get(m->memory_size);
    if (!m->memory) return fail(e, GEMEL_E_MEMORY, "no memory for %.0f MB of weights", (double)m->memory_size / 1e6);
    int code = place_tensors(p, m, g, e);
    return code < 0 ? code : arch_settle(m, e);
}

static int take_threads(gemel_model *m, threads *pool, int n_threads, int isa, errors *e) {
    int code = gemel_model_set_isa(m, isa);
    if (code < 0) return fail(e, code, "instruction set %d is not available here", isa);
    m->n_threads = n_threads;
    m->pool = pool;
    m->owns_pool = !pool;
    code = pool ? GEMEL_OK : threads_open(&m->pool, n_threads);
    return code < 0 ? fail(e, code, "the system could not start %d threads", n_threads) : GEMEL_OK;
}

static gemel_model *new_model(errors *e) {
    gemel_model *m = calloc(1, sizeof *m);
    if (!m) {
        (void)fail(e, GEMEL_E_MEMORY, "no memory for a model");
        return NULL;
    }
    m->n_batch = N_BATCH_LEAST;
    atomic_init(&m->n_whole, -1);
    atomic_init(&m->is_whole, 0);
    atomic_init(&m->draft, GEMEL_DRAFT_FAST);
    return m;
}

int model_measure(gemel_model **out, const gguf *g, int n_threads, placement *p, errors *e) {
    char what[1100] = "";
    errors inner = {what, sizeof what};
    gemel_model *m = *out = new_model(&inner);
    int code = m ? read_numbers(m, g, p, &inner) : GEMEL_E_MEMORY;
    if (code == GEMEL_OK) code = gguf_overrides_end(g, m->arch->name, 0, &inner);
    if (code == GEMEL_OK) {
        m->n_threads = n_threads;
        return code;
    }
    gemel_model_close(m);
    *out = NULL;
    return gguf_overrides_blame(g, code, what, e);
}

int model_open(gemel_model **out, gguf *g, threads *pool, int n_threads, int isa, placement *p, errors *e) {
    char what[1100] = "";
    errors inner = {what, sizeof what};
    gemel_model *m = new_model(&inner);
    int code = m ? read_numbers(m, g, p, &inner) : GEMEL_E_MEMORY;
    if (code == GEMEL_OK) code = take_words(m, g, &inner);
    if (code == GEMEL_OK) code = gguf_overrides_end(g, m->arch->name, 1, &inner);
    if (code == GEMEL_OK) code = take_memory(m, g, p, &inner);
    if (code == GEMEL_OK) code = take_threads(m, pool, n_threads, isa, &inner);
    if (code < 0) {
        gemel_model_close(m);
        return gguf_overrides_blame(g, code, what, e);
    }
    m->gguf = g;
    *out = m;
    return GEMEL_OK;
}

void gemel_model_close(gemel_model *m) {
    if (!m) return;
    if (m->owns_pool) threads_close(m->pool);
    workspace_close(m);
    text_tree_close(atomic_load(&m->words));
    tokenizer_close(m->tok);
    rope_close(m);
    memory_free(m->memory);
    free(m->layers);
    free(m->slopes);
    free(m->classes);
    gguf_close(m->gguf);
    free(m);
}
