// What drafts for a model: another model, or a file of n-grams.
#include <stdlib.h>
#include <string.h>
#include "../text/same_ids.h"
#include "session.h"

static int check_drafter(gemel_model *m, gemel_model *draft, errors *e) {
    if (draft == m) return fail(e, GEMEL_E_ARGUMENT, "a model can't draft for itself: use a smaller one");
    if (!model_is_whole(m) || !model_is_whole(draft)) return fail(e, GEMEL_E_ARGUMENT, "a model is not loaded yet");
    if (m->is_encoder || draft->is_encoder)
        return fail(e, GEMEL_E_UNSUPPORTED, "the %s is an encoder, which generates no text",
                    m->is_encoder ? "model" : "draft");
    return ids_check_same(m->tok, draft->tok, e);
}

int gemel_model_draft_by(gemel_model *m, gemel_model *draft, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!m) return fail(&e, GEMEL_E_ARGUMENT, "the model is NULL");
    int code = draft ? check_drafter(m, draft, &e) : GEMEL_OK;
    if (code < 0) return code;
    if (atomic_exchange(&m->drafter, draft) != draft) {
        costs_forget(&m->drafter_costs);
        trust_forget(&m->drafter_trust[0]), trust_forget(&m->drafter_trust[1]);
    }
    return GEMEL_OK;
}

int gemel_ngrams_open(const gemel_model *m, const uint8_t *data, size_t size, gemel_ngrams **out, char *err,
                      size_t err_size) {
    errors e = {err, err_size};
    if (!out) return fail(&e, GEMEL_E_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!m || !m->tok || (!data && size)) return fail(&e, GEMEL_E_ARGUMENT, "the model or the data is NULL");
    gemel_ngrams *g = calloc(1, sizeof *g);
    if (!g) return fail(&e, GEMEL_E_MEMORY, "no memory for n-grams");
    g->vocab_hash = ids_fingerprint(m->tok);
    int code = ngrams_open(&g->file, data, size, g->vocab_hash, m->n_vocab, &e);
    if (code < 0) free(g);
    else *out = g;
    return code;
}

void gemel_ngrams_close(gemel_ngrams *g) {
    if (!g) return;
    ngrams_close(&g->file);
    free(g);
}

int gemel_model_draft_from(gemel_model *m, const gemel_ngrams *g) {
    if (!m || m->is_encoder || (g && g->vocab_hash != ids_fingerprint(m->tok))) return GEMEL_E_ARGUMENT;
    if (atomic_exchange(&m->ngrams, g) != g) trust_forget(&m->ngrams_trust);
    return GEMEL_OK;
}

int gemel_model_vocab_hash(const gemel_model *m, uint8_t *hash) {
    if (!m || !m->tok || !hash) return GEMEL_E_ARGUMENT;
    uint64_t h = ids_fingerprint(m->tok);
    for (int i = 0; i < 8; i++) hash[i] = (uint8_t)(h >> 8 * i);
    return GEMEL_OK;
}
