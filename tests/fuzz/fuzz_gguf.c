// Any bytes as the files of a model, in pieces of any size: each call gives an error with a sentence, or all that the
// header holds can be read, and the model gives the same logits on every instruction set. Pieces change nothing.
//
//   input: where pieces are cut (1) | how many parts (1) | size of each part but the last (2 each) | the parts
#include "fuzz.h"
#include "gemel.h"

enum { PARTS_MAX = 4, N_CTX = 4 };

typedef struct parts {
    const uint8_t *at[PARTS_MAX];
    size_t size[PARTS_MAX], total;
    int n;
} parts;

static char err[512], header_err[512];

static parts take_parts(input *in) {
    parts p = {.n = 1 + take(in) % PARTS_MAX};
    for (int i = 0; i < p.n - 1; i++) p.size[i] = take_size(in, SIZE_MAX);
    for (int i = 0; i < p.n; i++) {
        p.size[i] = i < p.n - 1 && p.size[i] < left(in) ? p.size[i] : left(in);
        p.at[i] = in->at;
        p.total += p.size[i];
        in->at += p.size[i];
    }
    return p;
}

// ---- What a header holds -------------------------------------------------------------------------------------------

static volatile unsigned seen;
static void see(const char *at, size_t size) {
    for (size_t i = 0; i < size; i++) seen += (uint8_t)at[i];
}

static void read_pair(const gemel_gguf *g, int i, int exists) {
    size_t size;
    const char *key = gemel_gguf_key(g, i, &size);
    double count = gemel_gguf_count(g, i), number;
    int type = gemel_gguf_item_type(g, i), exact;
    CHECK_EQ_INT(key != NULL, exists);
    CHECK((type >= 0) == exists && (count >= 0) == exists && (gemel_gguf_type(g, i) >= 0) == exists);
    if (!exists) return;
    see(key, size);
    CHECK_EQ_INT(gemel_gguf_find(g, key, size), i);
    for (size_t j = 0; j <= (size_t)count; j++) {
        const char *text = gemel_gguf_string(g, i, j, &size);
        int is_there = j < (size_t)count;
        CHECK_EQ_INT(text != NULL, is_there && type == 8);
        CHECK_EQ_INT(gemel_gguf_number(g, i, j, &number, &exact) == 0, is_there && type != 8);
        if (text) see(text, size);
    }
}

static void read_tensor(const gemel_gguf *g, int i, int exists, const parts *p) {
    double ne[4];
    size_t size;
    const char *name = gemel_gguf_tensor_name(g, i, &size);
    CHECK_EQ_INT(name != NULL, exists);
    CHECK((gemel_gguf_tensor_dims(g, i, ne) > 0) == exists && (gemel_gguf_tensor_type(g, i) >= 0) == exists);
    if (!exists) return;
    see(name, size);
    CHECK(gemel_gguf_tensor_offset(g, i) + gemel_gguf_tensor_size(g, i) <= (double)p->total);
}

static void read_all(const gemel_gguf *g, const parts *p) {
    int n_kv = gemel_gguf_n_kv(g), n_tensors = gemel_gguf_n_tensors(g);
    for (int i = -1; i <= n_kv; i++) read_pair(g, i, i >= 0 && i < n_kv);
    for (int i = -1; i <= n_tensors; i++) read_tensor(g, i, i >= 0 && i < n_tensors, p);
}

// ---- Loading -------------------------------------------------------------------------------------------------------

// Feed part i, its header or its tensors, in pieces of 1 to `most` bytes.
static int feed(gemel_loader *l, const parts *p, int i, int is_header, size_t most, uint64_t *rng) {
    size_t base = (size_t)(p->at[i] - p->at[0]), at = 0;
    int code = 0;
    while (!code && at < p->size[i] && !(is_header && gemel_loader_n_parts(l) > i)) {
        size_t piece = 1 + check_random(rng) % most;
        if (piece > p->size[i] - at) piece = p->size[i] - at;
        uint8_t *copy = copy_of(p->at[i] + at, piece);
        code = gemel_loader_feed(l, (double)(base + at), copy, piece, err, sizeof err);
        free(copy);
        at += piece;
    }
    return code;
}

static int load(const parts *p, size_t most, uint64_t rng, gemel_model **out) {
    gemel_loader *l = NULL;
    *out = NULL;
    err[0] = 0;
    int code = gemel_loader_open((double)p->size[0], &l, err, sizeof err);
    for (int i = 0; i < p->n && !code; i++) {
        if (i) code = gemel_loader_part(l, (double)p->size[i], err, sizeof err);
        if (!code) code = feed(l, p, i, 1, most, &rng);
        if (!code) CHECK_EQ_INT(gemel_loader_n_parts(l), i + 1);
    }
    if (!code) read_all(gemel_loader_gguf(l), p);
    if (!code) code = gemel_loader_begin(l, err, sizeof err);
    memcpy(header_err, err, sizeof err);
    for (int i = 0; i < p->n && !code; i++) code = feed(l, p, i, 0, most, &rng);
    if (!code) code = gemel_loader_finish(l, out, err, sizeof err);
    gemel_loader_close(l);
    CHECK(code <= 0 && code != GEMEL_E_MEMORY && code != GEMEL_E_THREADS);
    CHECK_EQ_INT(code < 0, err[0] != 0);
    return code;
}

// ---- Running -------------------------------------------------------------------------------------------------------

static int eval(gemel_model *m, int isa, float *logits, int n_vocab, int n_ctx) {
    gemel_session *s = NULL;
    const int32_t ids[2] = {n_vocab - 1, 0};
    size_t n = n_ctx > 1 ? 2 : 1;
    CHECK_EQ_INT(gemel_model_set_isa(m, isa), 0);
    CHECK_EQ_INT(gemel_session_open(m, n_ctx, &s), 0);
    int code = gemel_session_eval(s, ids, n);
    CHECK(code == (int)n || code == GEMEL_E_NUMERIC);
    if (code > 0) memcpy(logits, gemel_session_logits(s), (size_t)n_vocab * sizeof *logits);
    gemel_session_close(s);
    return code;
}

static void run(gemel_model *m) {
    double n_vocab, n_ctx;
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_N_VOCAB, &n_vocab), 0);
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_N_CTX_TRAIN, &n_ctx), 0);
    int n = (int)n_vocab, room = n_ctx < N_CTX ? (int)n_ctx : N_CTX;
    float *wanted = calloc((size_t)n, sizeof *wanted), *got = calloc((size_t)n, sizeof *got);
    int code = eval(m, 0, wanted, n, room);
    for (int isa = 1; isa < gemel_isa_count(); isa++) {
        if (!gemel_isa_usable(isa)) continue;
        CHECK_EQ_INT(eval(m, isa, got, n, room), code);
        CHECK(!memcmp(got, wanted, (size_t)n * sizeof *got));
    }
    free(wanted), free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, data + size};
    uint64_t rng = (uint64_t)take(&in);
    parts p = take_parts(&in);
    gemel_model *m, *same;
    char whole[sizeof err];
    int code = load(&p, SIZE_MAX, 0, &m);
    memcpy(whole, header_err, sizeof whole);
    CHECK_EQ_INT(load(&p, 1 + rng * rng, rng, &same), code);
    CHECK_EQ_STR(header_err, whole);
    if (m) run(m);
    gemel_model_close(m);
    gemel_model_close(same);
    return judge();
}
