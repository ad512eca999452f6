// Which tokens: all special ones of Phi-3 but three, and the mask of encoders.
#include "strips.h"
#include "../file/override.h"
#include "array.h"
#include "unicode.h"

// Whether the text of a key has one of these parts, in any case.
static int has_part(const gguf *g, const char *key, const char *const *parts, errors *e) {
    gguf_span text;
    int rc = gguf_get_string(g, key, &text, e);
    if (rc <= 0) return rc;
    for (; *parts; parts++) {
        size_t size = strlen(*parts), same = 0;
        for (size_t i = 0; size <= text.size && i <= text.size - size; i++) {
            for (same = 0; same < size; same++) {
                char c = text.at[i + same];
                if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (*parts)[same]) break;
            }
            if (same == size) return 1;
        }
    }
    return 0;
}

static int32_t find_any(const vocab *v, const char *text) {
    int32_t id = vocab_find_marker(v, text, strlen(text));
    if (id < 0) id = vocab_find(v, text, strlen(text));
    return id < v->n ? id : -1;
}

static void set(const vocab *v, uint8_t *strips, const char *text, uint8_t bits) {
    int32_t id = find_any(v, text);
    if (id >= 0) strips[id] = bits;
}

int strips_open(uint8_t **strips, const vocab *v, errors *e) {
    static const char *const phi3[] = {"phi-3", "phi3", NULL}, *const modern[] = {"modern-bert", NULL},
                             *const jina[] = {"jina-v2-de", "jina-v2-es", "jina-v2-code", NULL},
                             *const masked[] = {"nomic-bert-moe", "jina-bert-v3", NULL};
    int is_phi3 = has_part(v->g, "general.name", phi3, e);
    int is_modern = is_phi3 < 0 ? is_phi3 : has_part(v->g, "general.name", modern, e);
    int is_masked = is_modern < 0 ? is_modern : has_part(v->g, "tokenizer.ggml.pre", jina, e);
    if (!is_masked) is_masked = has_part(v->g, "general.architecture", masked, e);
    if (is_masked < 0) return is_masked;
    if (!is_phi3 && !is_modern) gguf_override_unread(v->g, "general.name");
    if (!is_phi3 && !is_modern && !is_masked) return 0;
    uint8_t *all = *strips = array_zero((size_t)v->n, 1);
    if (!all) return fail(e, GEMEL_E_MEMORY, "no memory for %d tokens", v->n);
    for (int32_t id = 0; is_phi3 && id < v->n; id++)
        if (v->kind[id] == GEMEL_TOKEN_USER_DEFINED || v->kind[id] == GEMEL_TOKEN_CONTROL ||
            v->kind[id] == GEMEL_TOKEN_UNKNOWN)
            all[id] = STRIPS_AFTER;
    if (is_phi3) {
        set(v, all, "</s>", STRIPS_AFTER);
        set(v, all, "<unk>", 0);
        set(v, all, "<s>", 0);
        set(v, all, "<|endoftext|>", 0);
    } else {
        set(v, all, is_masked ? "<mask>" : "[MASK]", STRIPS_BEFORE);
    }
    return 0;
}

const char *strip_start(const char *at, const char *end) {
    for (rune r; (r = rune_at(at, end)).classes & U_SPACE;) at += r.size;
    return at;
}

const char *strip_end(const char *at, const char *end) {
    while (at < end) {
        const char *last = rune_before(at, end);
        if (!(rune_at(last, end).classes & U_SPACE)) break;
        end = last;
    }
    return end;
}
