// A file's bytes, in pieces, become a model: the header first, then each tensor's rows, packed into panels 16 at a time
// as they arrive. Holds at most one strip of rows per tensor; knows no files and no arithmetic.
#include <stdlib.h>
#include <string.h>
#include "../arch/rope.h"
#include "../file/gguf_read.h"
#include "../file/override.h"
#include "../file/split.h"
#include "../forward/workspace.h"
#include "../memory.h"
#include "loader.h"
#include "open.h"

// A run of a tensor's rows on its way into one slot.
typedef struct arrival {
    const gguf_tensor *t;
    destination to;
    uint64_t offset;   // in the file
    int *missing;      // incomplete runs of its layer
    uint64_t fed;      // bytes so far
    size_t row_size;   // bytes of a row (a vector is one row)
    uint8_t *strip;    // up to 16 rows, until they are complete
    size_t strip_fed;
} arrival;

struct gemel_loader {
    uint64_t size, base, header_fed;   // of all parts so far; where the last of them starts; bytes of its header
    gguf *g;                           // the first part's header, which owns the others'; NULL: the model's now
    gguf *reading;                     // the header that is being read; NULL: none
    split parts;                       // once a part is added
    int n_parts;                       // whose headers are complete
    threads *pool;                     // the host's; NULL: the model opens one
    int n_threads, isa;
    warnings said;       // of the header, once the host asks before begin
    int failed;          // the first error of a tensor: panels packed so far can't be trusted
    gemel_model *m;      // from begin to finish
    arrival *arrivals;   // by offset
    int n_arrivals;
    int *missing;   // [1 + n_layer + 1] incomplete tensors: those that sessions need, each layer's, the output's
};

static const char not_a_size[] = "the file size %g is not a whole number of bytes up to 2^53";
static int is_size(double size) { return size >= 0 && size <= 9007199254740992.0 && size == (double)(uint64_t)size; }

int gemel_loader_open(double file_size, gemel_loader **out, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!out) return fail(&e, GEMEL_E_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!is_size(file_size)) return fail(&e, GEMEL_E_ARGUMENT, not_a_size, file_size);
    gemel_loader *l = calloc(1, sizeof *l);
    if (!l) return fail(&e, GEMEL_E_MEMORY, "no memory for a loader");
    l->size = (uint64_t)file_size;
    l->isa = gemel_isa_best();
    int code = gguf_open(&l->g, l->size, &e);
    l->reading = l->g;
    if (code < 0) {
        free(l);
        return code;
    }
    *out = l;
    return GEMEL_OK;
}

static void free_arrivals(gemel_loader *l) {
    for (int i = 0; i < l->n_arrivals; i++) memory_free(l->arrivals[i].strip);
    free(l->arrivals);
    free(l->missing);
    l->arrivals = NULL;
    l->missing = NULL;
    l->n_arrivals = 0;
}

void gemel_loader_close(gemel_loader *l) {
    if (!l) return;
    free_arrivals(l);
    gemel_model_close(l->m);
    if (l->reading != l->g) gguf_close(l->reading);
    gguf_close(l->g);
    free(l);
}

int gemel_loader_set(gemel_loader *l, int option, int value) {
    if (!l || l->m) return GEMEL_E_ARGUMENT;
    switch (option) {
    case GEMEL_LOADER_N_THREADS:
        if (value < 1 || value > (l->pool ? threads_count(l->pool) : THREADS_MAX)) return GEMEL_E_ARGUMENT;
        l->n_threads = value;
        return GEMEL_OK;
    case GEMEL_LOADER_ISA:
        if (!gemel_isa_usable(value)) return GEMEL_E_ARGUMENT;
        l->isa = value;
        return GEMEL_OK;
    default: return GEMEL_E_ARGUMENT;
    }
}

int gemel_loader_override(gemel_loader *l, const char *key, size_t key_size, int type, double number, const char *text,
                          size_t text_size, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!l || l->m || !l->g) return fail(&e, GEMEL_E_ARGUMENT, "set overrides before gemel_loader_begin");
    if (key || key_size)
        return gguf_override(l->g, (gguf_span){key, key ? key_size : 0}, type, number, (gguf_span){text, text_size},
                             &e);
    gguf_override_none(l->g);
    return GEMEL_OK;
}

const gemel_gguf *gemel_loader_gguf(const gemel_loader *l) {
    return !l || !l->n_parts ? NULL : l->m ? gemel_model_gguf(l->m) : l->g;
}

const char *gemel_loader_warning(gemel_loader *l, int i) {
    errors ignored = {0};
    const gguf *g = NULL;
    tokenizer *words = NULL;
    if (!l || i < 0 || l->m) return l && l->m ? gemel_model_warning(l->m, i) : NULL;
    if (!i) {
        l->said.n = 0;
        int code = loader_header(l, &g, &ignored);
        if (code == GEMEL_OK) code = words_open(&words, g, &l->said, &ignored);
        if (code < 0) l->said.n = 0;
        tokenizer_close(words);
    }
    return i < l->said.n ? l->said.text[i] : NULL;
}

int gemel_loader_n_parts(const gemel_loader *l) { return l ? l->n_parts : GEMEL_E_ARGUMENT; }

gemel_model *gemel_loader_model(const gemel_loader *l) { return l ? l->m : NULL; }
int gemel_loader_n_layers(const gemel_loader *l) { return l && l->m ? atomic_load(&l->m->n_whole) : -1; }

// ---- Parts of a split model ----------------------------------------------------------------------------------------

// The parts read so far, at least the first, begin a model, and more may follow.
static int open_parts(gemel_loader *l, errors *e) {
    if (l->failed) return fail(e, GEMEL_E_ARGUMENT, "an earlier part was rejected; start over with gemel_loader_open");
    return l->parts.n_parts ? GEMEL_OK : split_open(&l->parts, l->g, e);
}

int gemel_loader_part(gemel_loader *l, double file_size, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!l || l->reading || !l->g)
        return fail(&e, GEMEL_E_ARGUMENT,
                    "call gemel_loader_part after the previous header is complete, and before gemel_loader_begin");
    int code = open_parts(l, &e);
    if (code < 0) return code;
    if (!is_size(file_size) || (uint64_t)file_size > ((uint64_t)1 << 53) - l->size)
        return fail(&e, GEMEL_E_ARGUMENT, not_a_size, file_size);
    if (l->parts.count == 1)
        return fail(&e, GEMEL_E_FORMAT,
                    "this model is not split (split.count is missing or at most 1): it has no part 2");
    if (l->parts.n_parts == l->parts.count)
        return fail(&e, GEMEL_E_FORMAT, "this model has %d parts (split.count): there is no part %d", l->parts.count,
                    l->parts.count + 1);
    char what[1100] = "";
    errors inner = {what, sizeof what};
    code = gguf_open(&l->reading, (uint64_t)file_size, &inner);
    if (code < 0) return fail(&e, code, "part %d: %s", l->n_parts + 1, what);
    l->base = l->size;
    l->size += (uint64_t)file_size;
    l->header_fed = 0;
    return GEMEL_OK;
}

static int check_parts(gemel_loader *l, errors *e) {
    int code = open_parts(l, e), missing = l->parts.count - l->parts.n_parts;
    if (code < 0 || !missing) return code;
    return fail(e, GEMEL_E_FORMAT,
                "this is a split model (split.count is %d), and %d of its parts %s missing, from part %d on",
                l->parts.count, missing, missing > 1 ? "are" : "is", l->parts.n_parts + 1);
}

// ---- Begin: the model takes shape ---------------------------------------------------------------------------------

static int by_offset(const void *a, const void *b) {
    uint64_t x = ((const arrival *)a)->offset, y = ((const arrival *)b)->offset;
    return x < y ? -1 : x > y;
}

// Everything is on its way to its destination; the header is the model's.
static int await_all(gemel_loader *l, const placement *p, errors *e) {
    l->arrivals = calloc((size_t)p->n + 1, sizeof *l->arrivals);
    l->missing = calloc((size_t)l->m->n_layer + 2, sizeof *l->missing);
    if (!l->arrivals || !l->missing) return fail(e, GEMEL_E_MEMORY, "no memory for %d tensors", p->n);
    for (int i = 0; i < p->n; i++) {
        arrival *a = &l->arrivals[l->n_arrivals++];
        a->to = p->to[i];
        a->t = gguf_tensor_at(l->g, a->to.tensor);
        a->offset = a->t->offset + a->to.from;
        a->missing = &l->missing[1 + a->to.il];
        ++*a->missing;
        a->row_size = (size_t)(a->to.size / (uint64_t)a->to.n_out);
    }
    qsort(l->arrivals, (size_t)l->n_arrivals, sizeof *l->arrivals, by_offset);
    return GEMEL_OK;
}

int gemel_loader_use(gemel_loader *l, gemel_threads *pool) {
    if (!l || l->m || !pool || l->n_threads > threads_count(pool)) return GEMEL_E_ARGUMENT;
    l->pool = pool;
    return GEMEL_OK;
}

int loader_header(gemel_loader *l, const gguf **g, errors *e) {
    if (!l || l->reading || !l->g)
        return fail(e, GEMEL_E_ARGUMENT,
                    "call gemel_loader_plan when each part's header is complete, and before gemel_loader_begin");
    *g = l->g;
    return check_parts(l, e);
}
int loader_threads(const gemel_loader *l) { return l->n_threads ? l->n_threads : l->pool ? threads_count(l->pool) : 1; }

int gemel_loader_begin(gemel_loader *l, char *err, size_t err_size) {
    errors e = {err, err_size};
    placement p = {0};
    if (!l || l->reading || !l->g)
        return fail(&e, GEMEL_E_ARGUMENT, "call gemel_loader_begin once, when each part's header is complete");
    int code = check_parts(l, &e);
    if (code < 0) return code;
    code = model_open(&l->m, l->g, l->pool, loader_threads(l), l->isa, &p, &e);
    if (code == GEMEL_OK) code = await_all(l, &p, &e);
    if (code == GEMEL_OK) l->g = NULL;
    else {
        free_arrivals(l);
        if (l->m) l->m->gguf = NULL;
        gemel_model_close(l->m);
        l->m = NULL;
    }
    place_close(&p);
    return code;
}

// ---- Feed ----------------------------------------------------------------------------------------------------------

// The header that was being read is complete.
static int end_header(gemel_loader *l, errors *e) {
    gguf *g = l->reading;
    l->reading = NULL;
    if (l->n_parts) l->failed = split_add(&l->parts, g, l->base, e);
    if (l->failed) return l->failed;
    l->n_parts++;
    return GEMEL_OK;
}

static int feed_header(gemel_loader *l, uint64_t offset, const uint8_t *data, size_t size, errors *e) {
    size_t used = 0;
    if (offset != l->base + l->header_fed)
        return fail(e, GEMEL_E_ARGUMENT, "feed the header in order: offset %llu was expected, not %llu",
                    (unsigned long long)(l->base + l->header_fed), (unsigned long long)offset);
    char what[1100] = "";
    errors inner = {what, sizeof what};
    int code = gguf_feed(l->reading, data, size, &used, &inner);
    l->header_fed += used;
    if (code > 0) code = end_header(l, &inner);
    if (code < 0 && l->n_parts) return fail(e, code, "part %d: %s", l->n_parts + 1, what);
    return code < 0 ? fail(e, code, "%s", what) : GEMEL_OK;
}

typedef struct pack_job {
    arrival *a;
    const uint8_t *rows;
    int first, n;    // panels
    int last_rows;   // rows of the last of them
    const kernels *k;
    int result[THREADS_MAX];   // the worst, by thread
} pack_job;

static void pack_panels(void *arg, int ith, int nth) {
    pack_job *j = arg;
    weight *w = j->a->to.w;
    j->result[ith] = PANEL_OK;
    for (int i = ith; i < j->n; i += nth) {
        uint8_t *panel = w->data + (size_t)(j->a->to.first_panel + j->first + i) * w->panel_size;
        int n_rows = i == j->n - 1 ? j->last_rows : 16;
        int r = panel_pack(j->a->t->type, w->n_in, j->rows + (size_t)i * 16 * j->a->row_size, j->a->row_size, n_rows,
                           panel);
        if (r == PANEL_NOT_FINITE || j->result[ith] == PANEL_OK) j->result[ith] = r;
    }
}

// Pack n_rows whole rows, the first of which is a multiple of 16.
static int pack_rows(gemel_loader *l, arrival *a, const uint8_t *rows, int first_row, int n_rows, errors *e) {
    pack_job *j = malloc(sizeof *j);
    if (!j) return fail(e, GEMEL_E_MEMORY, "no memory to pack panels");
    int n = (n_rows + 15) / 16, result = GEMEL_OK;
    *j = (pack_job){.a = a, .rows = rows, .first = first_row / 16, .n = n, .last_rows = n_rows - (n - 1) * 16};
    if (n == 1) pack_panels(j, 0, 1);
    else threads_run(l->m->pool, l->m->n_threads, pack_panels, j, NULL);
    for (int i = 0; i < (n == 1 ? 1 : l->m->n_threads); i++) {
        if (j->result[i] == PANEL_HAS_MIN8) {
            a->to.w->type = FORMAT_COUNT + T_Q8_0;
            if (a->to.tied) a->to.tied->type = FORMAT_COUNT + T_Q8_0;
        }
        if (j->result[i] == PANEL_NOT_FINITE)
            result =
                fail(e, GEMEL_E_FORMAT, "the tensor %s holds a scale or weight that is Inf or NaN, in rows %d to %d",
                     printable_name(a->t->name.at, a->t->name.size).text, first_row, first_row + n_rows - 1);
    }
    free(j);
    return result;
}

static int check_vector(const arrival *a, errors *e) {
    for (int i = 0; i < a->to.n_in; i++) {
        float x = a->to.v[i];
        if (a->to.kind == SLOT_FACTORS && !(x > 0))
            return fail(e, GEMEL_E_FORMAT, "the tensor %s: RoPE factor %d is %g; it must be over 0",
                        printable_name(a->t->name.at, a->t->name.size).text, i, (double)x);
        if (a->to.kind == SLOT_SCORES && !(x < ATTEND_BOUND && x > -ATTEND_BOUND))
            return fail(e, GEMEL_E_FORMAT, "the tensor %s: number %d is %g; its absolute value must be below 2^57",
                        printable_name(a->t->name.at, a->t->name.size).text, i, (double)x);
    }
    return GEMEL_OK;
}

static int unpack_vector(arrival *a, const uint8_t *data, errors *e) {
    const format *f = format_of(a->t->type);
    for (int i = 0; i < a->to.n_in; i += f->block, data += f->block_size) {
        if (!f->finite(data))
            return fail(e, GEMEL_E_FORMAT, "the tensor %s holds an Inf or NaN at element %d",
                        printable_name(a->t->name.at, a->t->name.size).text, i);
        f->unpack(data, a->to.v + i);
    }
    return check_vector(a, e);
}

// The strip is complete, or the tensor ends.
static int empty_strip(gemel_loader *l, arrival *a, errors *e) {
    int rows = (int)(a->strip_fed / a->row_size), before = (int)((a->fed - a->strip_fed) / a->row_size);
    int code = a->to.w ? pack_rows(l, a, a->strip, before, rows, e) : unpack_vector(a, a->strip, e);
    memory_free(a->strip);
    a->strip = NULL;
    a->strip_fed = 0;
    return code;
}

// A run is complete. Its layer may be complete with it, and layers after it that only waited for this one.
static int count_layers(gemel_loader *l, arrival *a, errors *e) {
    int n = atomic_load(&l->m->n_whole), before = n;
    if (--*a->missing) return GEMEL_OK;
    while (n < l->m->n_layer && !l->missing[n + 1]) n++;
    if (before < 0 && n >= 0 && rope_fill(l->m) < 0) return fail(e, GEMEL_E_MEMORY, "no memory for RoPE tables");
    atomic_store(&l->m->n_whole, n);
    return GEMEL_OK;
}

static int feed_tensor(gemel_loader *l, arrival *a, const uint8_t *data, size_t size, errors *e) {
    size_t strip_size = a->to.w ? 16 * a->row_size : a->row_size;
    while (size) {
        if (a->to.w && !a->strip_fed) {   // whole panels straight from the caller's bytes
            size_t rows = size / a->row_size, left = (size_t)((a->to.size - a->fed) / a->row_size);
            rows = rows >= left ? left : rows / 16 * 16;
            if (rows) {
                int code = pack_rows(l, a, data, (int)(a->fed / a->row_size), (int)rows, e);
                if (code < 0) return code;
                a->fed += rows * a->row_size;
                data += rows * a->row_size;
                size -= rows * a->row_size;
                continue;
            }
        }
        if (!a->strip && !(a->strip = memory_get(strip_size)))
            return fail(e, GEMEL_E_MEMORY, "no memory to keep incomplete rows: %zu bytes", strip_size);
        size_t part = strip_size - a->strip_fed < size ? strip_size - a->strip_fed : size;
        memcpy(a->strip + a->strip_fed, data, part);
        a->strip_fed += part;
        a->fed += part;
        data += part;
        size -= part;
        if (a->strip_fed == strip_size || a->fed == a->to.size) {
            int code = empty_strip(l, a, e);
            if (code < 0) return code;
        }
    }
    return a->fed == a->to.size ? count_layers(l, a, e) : GEMEL_OK;
}

// Feed run a the bytes of the piece [offset, offset + size) that belong to it.
static int feed_overlap(gemel_loader *l, arrival *a, uint64_t offset, const uint8_t *data, size_t size, errors *e) {
    uint64_t from = a->offset > offset ? a->offset : offset, end = a->offset + a->to.size;
    uint64_t to = end < offset + size ? end : offset + size;
    if (from >= to) return GEMEL_OK;
    if (from != a->offset + a->fed)
        return fail(e, GEMEL_E_ARGUMENT, "feed the bytes of tensor %s in order: offset %llu was expected, not %llu",
                    printable_name(a->t->name.at, a->t->name.size).text, (unsigned long long)(a->offset + a->fed),
                    (unsigned long long)from);
    return feed_tensor(l, a, data + (from - offset), (size_t)(to - from), e);
}

int gemel_loader_feed(gemel_loader *l, double offset, const uint8_t *data, size_t size, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!l || (!data && size)) return fail(&e, GEMEL_E_ARGUMENT, "the loader or the data is NULL");
    if (!(offset >= 0 && offset <= (double)l->size) || offset != (double)(uint64_t)offset ||
        size > l->size - (uint64_t)offset)
        return fail(&e, GEMEL_E_ARGUMENT, "a piece of %zu bytes at offset %.0f is not within the file's %llu bytes",
                    size, offset, (unsigned long long)l->size);
    if (l->reading) return feed_header(l, (uint64_t)offset, data, size, &e);
    if (l->failed)
        return fail(&e, GEMEL_E_ARGUMENT, "this file was rejected before; start over with gemel_loader_open");
    if (!l->m)
        return fail(&e, GEMEL_E_ARGUMENT, "the header is complete: call gemel_loader_begin before feeding tensors");
    uint64_t at = (uint64_t)offset;
    int lo = 0, hi = l->n_arrivals;
    while (lo < hi) {   // the first tensor that ends after `at`
        int mid = (lo + hi) / 2;
        if (l->arrivals[mid].offset + l->arrivals[mid].to.size <= at) lo = mid + 1;
        else hi = mid;
    }
    for (; lo < l->n_arrivals && l->arrivals[lo].offset < at + size; lo++) {
        int code = feed_overlap(l, &l->arrivals[lo], at, data, size, &e);
        if (code < 0 && code != GEMEL_E_ARGUMENT) l->failed = code;
        if (code < 0) return code;
    }
    return GEMEL_OK;
}

int gemel_loader_finish(gemel_loader *l, gemel_model **out, char *err, size_t err_size) {
    errors e = {err, err_size};
    if (!out) return fail(&e, GEMEL_E_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!l) return fail(&e, GEMEL_E_ARGUMENT, "the loader is NULL");
    if (l->reading)
        return fail(&e, GEMEL_E_FORMAT, "the file ends within its header, after %llu bytes",
                    (unsigned long long)l->header_fed);
    if (!l->m) return fail(&e, GEMEL_E_ARGUMENT, "gemel_loader_begin was not called, or gemel_loader_finish was");
    if (l->failed) return fail(&e, l->failed, "a tensor of this file was rejected; start over with gemel_loader_open");
    for (int i = 0; i < l->n_arrivals; i++) {
        const arrival *a = &l->arrivals[i];
        if (a->fed != a->to.size)
            return fail(&e, GEMEL_E_FORMAT, "the tensor %s is incomplete: %llu of %llu bytes arrived",
                        printable_name(a->t->name.at, a->t->name.size).text, (unsigned long long)a->fed,
                        (unsigned long long)a->to.size);
    }
    atomic_store(&l->m->is_whole, 1);
    *out = l->m;
    l->m = NULL;
    return GEMEL_OK;
}
