// Public calls that only delegate: facts about the library, threads, text.
#include "../model/model.h"
#include "../sample/sampler.h"

int gemel_abi(void) { return GEMEL_ABI; }
const char *gemel_version(void) { return GEMEL_VERSION; }

const char *gemel_error_name(int code) {
    static const char *const names[] = {
        "GEMEL_OK",        "GEMEL_E_ARGUMENT",  "GEMEL_E_MEMORY",  "GEMEL_E_FORMAT", "GEMEL_E_UNSUPPORTED",
        "GEMEL_E_CONTEXT", "GEMEL_E_CANCELLED", "GEMEL_E_NUMERIC", "GEMEL_E_STATE",  "GEMEL_E_THREADS",
        "GEMEL_E_GRAMMAR",
    };
    int n = (int)(sizeof names / sizeof names[0]);
    return code > 0 ? names[0] : code > -n ? names[-code] : "an unknown error code";
}

int gemel_isa_count(void) { return isa_count(); }
const char *gemel_isa_name(int isa) { return isa_at(isa) ? isa_at(isa)->k->name : NULL; }
int gemel_isa_usable(int isa) { return isa_at(isa) ? isa_at(isa)->usable() : 0; }
int gemel_isa_best(void) {
    int i = isa_count() - 1;
    while (i > 0 && !gemel_isa_usable(i)) i--;
    return i;
}

int gemel_threads_open(int n, gemel_threads **out) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    return n < 1 || n > THREADS_MAX ? GEMEL_E_ARGUMENT : threads_open(out, n);
}
int gemel_threads_count(const gemel_threads *t) { return t ? threads_count(t) : GEMEL_E_ARGUMENT; }
int gemel_threads_resize(gemel_threads *t, int n) {
    return !t || n < 1 || n > THREADS_MAX ? GEMEL_E_ARGUMENT : threads_resize(t, n);
}
int gemel_threads_after_fork(gemel_threads *t) { return t ? threads_after_fork(t) : GEMEL_E_ARGUMENT; }
void gemel_threads_close(gemel_threads *t) { threads_close(t); }

int gemel_tokenize(const gemel_model *m, const char *text, size_t size, int flags, int32_t *ids, size_t capacity) {
    if (!m || (!text && size) || (!ids && capacity)) return GEMEL_E_ARGUMENT;
    return tokenizer_encode(m->tok, text, size, flags, ids, capacity);
}
int gemel_piece(const gemel_model *m, int32_t id, int flags, char *text, size_t capacity) {
    return m ? tokenizer_piece(m->tok, id, flags, text, capacity > INT32_MAX ? INT32_MAX : (int)capacity)
             : GEMEL_E_ARGUMENT;
}
int gemel_detokenize(const gemel_model *m, const int32_t *ids, size_t n, int flags, char *text, size_t capacity) {
    return m ? tokenizer_decode(m->tok, ids, n, flags, text, capacity) : GEMEL_E_ARGUMENT;
}
int gemel_token_kind_of(const gemel_model *m, int32_t id) { return m ? tokenizer_kind(m->tok, id) : GEMEL_E_ARGUMENT; }
int gemel_token_is_eog(const gemel_model *m, int32_t id) { return m ? tokenizer_is_eog(m->tok, id) : GEMEL_E_ARGUMENT; }

int gemel_sampler_open(const gemel_model *m, gemel_sampler **out) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    return m ? sampler_open(out, m->tok) : GEMEL_E_ARGUMENT;
}
