#include "same_ids.h"
#include <string.h>
#include "encoder.h"

static int is_used(const vocab *v, int32_t id) { return id < v->n && v->kind[id] != GEMEL_TOKEN_UNUSED; }

static int is_same(const vocab *a, const vocab *b, int32_t id) {
    if (!is_used(a, id) || !is_used(b, id)) return id < a->n && id < b->n ? 1 : !is_used(a, id) && !is_used(b, id);
    gguf_span x = vocab_text(a, id), y = vocab_text(b, id);
    return x.size == y.size && !memcmp(x.at, y.at, x.size);
}

static int refuse(const vocab *a, const vocab *b, int32_t id, errors *e) {
    const vocab *longer = id < a->n ? a : b;
    printable text = printable_name(vocab_text(longer, id).at, vocab_text(longer, id).size);
    if (id >= a->n || id >= b->n)
        return fail(e, GEMEL_E_UNSUPPORTED,
                    "token %d is \"%s\" in the %s, but the %s's vocabulary ends before it: it "
                    "must be that of the model",
                    (int)id, text.text, longer == a ? "model" : "draft", longer == a ? "draft" : "model");
    printable other = printable_name(vocab_text(b, id).at, vocab_text(b, id).size);
    return fail(e, GEMEL_E_UNSUPPORTED,
                "token %d is \"%s\" in the model, but \"%s\" in the draft: its vocabulary must "
                "be that of the model",
                (int)id, text.text, other.text);
}

int ids_check_same(const tokenizer *model, const tokenizer *draft, errors *e) {
    const vocab *a = &model->v, *b = &draft->v;
    for (int32_t id = 0; id < a->n || id < b->n; id++)
        if (!is_same(a, b, id)) return refuse(a, b, id, e);
    return GEMEL_OK;
}

static uint64_t add(uint64_t h, const void *data, size_t size) {   // FNV-1a
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

uint64_t ids_fingerprint(const tokenizer *t) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int32_t id = 0; id < t->v.n; id++) {
        if (!is_used(&t->v, id)) continue;
        gguf_span text = vocab_text(&t->v, id);
        uint32_t of[2] = {(uint32_t)id, (uint32_t)text.size};
        h = add(add(h, of, sizeof of), text.at, text.size);
    }
    return h;
}
