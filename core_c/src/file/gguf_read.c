// Bytes, in pieces of any size, become a gguf: a state machine that waits for one token at a time and checks each
// claim (a length, a count, an offset) against the file's size before memory is taken for it.
// Knows the container and the sizes of tensor types; knows no key but general.alignment, and no architecture.
// The format: github.com/ggml-org/ggml, docs/gguf.md.
#include "gguf_read.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../quant/formats.h"
#include "gguf.h"
#include "gguf_index.h"

typedef unsigned long long ull;

// Far above any vocabulary. A sparse file, whose zeros read as endless empty strings, is stopped by it.
enum { HEADER_MAX_MIB = 256, HEADER_MAX = HEADER_MAX_MIB << 20 };
enum { NAME_SIZE_MAX = 65535, KV_SIZE_MIN = 8 + 1 + 4 + 1, TENSOR_SIZE_MIN = 8 + 1 + 4 + 8 + 4 + 8 };
enum { DEFAULT_ALIGNMENT = 32 };

// clang-format off
typedef enum state {
    MAGIC, VERSION, COUNTS,
    KEY_SIZE, KEY, VALUE_TYPE, NUMBER, STRING_SIZE, STRING, ARRAY, ARRAY_NUMBERS, ITEM_SIZE, ITEM,
    NAME_SIZE, NAME, N_DIMS, DIMS, TENSOR_TYPE,
    N_STEPS, PADDING = N_STEPS, WHOLE, FAILED,
} state;
// clang-format on

typedef enum place { AT_START, AT_KEY, AT_TENSOR } place;

// ---- Failing: every sentence says where ---------------------------------------------------------------------------

__attribute__((format(printf, 3, 4))) static int malformed(const gguf *g, errors *e, const char *format, ...) {
    char what[700], where[340] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    gguf_span name = {0};
    if (g->place == AT_KEY) name = gguf_key_of(g, g->kv.count - 1);
    if (g->place == AT_TENSOR) name = gguf_name_of(g, g->entries.count - 1);
    if (name.size)
        snprintf(where, sizeof where, ", %s \"%s\"", g->place == AT_KEY ? "key" : "tensor",
                 printable_name(name.at, name.size).text);
    return fail(e, GEMEL_E_FORMAT, "at offset %llu%s: %s", (ull)g->token_at, where, what);
}

static uint64_t room(const gguf *g) {
    uint64_t end = g->file_size < HEADER_MAX ? g->file_size : HEADER_MAX;
    return end > g->at ? end - g->at : 0;
}

// Refuse `what` unless `size` bytes (`least`: "at least " or "") can still come.
static int fits(const gguf *g, uint64_t size, const char *least, const char *what, errors *e) {
    if (size <= room(g)) return 0;
    if (g->file_size - g->at >= size)
        return malformed(g, e, "%s needs %s%llu bytes; a header may have %d MiB: the file is damaged or sparse", what,
                         least, (ull)size, HEADER_MAX_MIB);
    return malformed(g, e, "%s needs %s%llu bytes, but the file has %llu left: it is truncated or damaged", what, least,
                     (ull)size, (ull)(g->file_size - g->at));
}

// The same for n items of at least `item_size` bytes, without overflow.
static int fit_items(const gguf *g, uint64_t n, uint64_t item_size, const char *what, errors *e) {
    if (n <= room(g) / item_size) return 0;
    return malformed(g, e, "%llu %s of %llu bytes or more don't fit: the file has %llu left, a header at most %d MiB",
                     (ull)n, what, (ull)item_size, (ull)(g->file_size - g->at), HEADER_MAX_MIB);
}

static int await(gguf *g, state next, uint64_t need, const char *what, errors *e) {
    g->token_at = g->at;
    int code = fits(g, need, "", what, e);
    g->state = next;
    g->need = (size_t)need;
    return code;
}

// ---- Tensors: what the table must promise -------------------------------------------------------------------------

static int tensor_bytes(const gguf *g, gguf_tensor *t, errors *e) {
    const format *f = format_of(t->type);
    if (!f) return malformed(g, e, "unknown tensor type %u", (unsigned)t->type);
    if (t->ne[0] % (uint64_t)f->block)
        return malformed(g, e, "ne[0] is %llu, but %s needs a multiple of %d", (ull)t->ne[0], f->name, f->block);
    uint64_t size = t->ne[0] / (uint64_t)f->block;
    for (int i = 1; i < 5; i++) {
        uint64_t factor = i < 4 ? t->ne[i] : (uint64_t)f->block_size;
        if (size > UINT64_MAX / factor)
            return malformed(g, e, "%llu x %llu x %llu x %llu weights are more than 64 bits can count", (ull)t->ne[0],
                             (ull)t->ne[1], (ull)t->ne[2], (ull)t->ne[3]);
        size *= factor;
    }
    t->size = size;
    return 0;
}

// Offsets become absolute, and each tensor's bytes must lie in the file.
static int place_tensors(gguf *g, errors *e) {
    uint64_t start = (g->at + g->alignment - 1) / g->alignment * g->alignment;   // at < 2^28, alignment < 2^32
    for (size_t i = 0; i < g->entries.count; i++) {
        gguf_entry *entry = gguf_entry_at(g, i);
        gguf_tensor *t = &entry->tensor;
        t->name.at = (const char *)gguf_bytes(g) + entry->name_at;
        uint64_t left = g->file_size > start ? g->file_size - start : 0;
        if (t->offset <= left && t->size <= left - t->offset) {
            t->offset += start;
            continue;
        }
        printable name = printable_name(t->name.at, t->name.size);
        if (t->offset > UINT64_MAX - start || t->size > UINT64_MAX - start - t->offset)
            return fail(e, GEMEL_E_FORMAT,
                        "tensor \"%s\": the end of its %llu bytes at data offset %llu does not fit 64 bits", name.text,
                        (ull)t->size, (ull)t->offset);
        return fail(e, GEMEL_E_FORMAT,
                    "the file is truncated: tensor \"%s\" needs bytes %llu..%llu, but the file has %llu", name.text,
                    (ull)(start + t->offset), (ull)(start + t->offset + t->size), (ull)g->file_size);
    }
    g->data_offset = g->entries.count ? start : g->at;   // a file of metadata alone may end without padding
    return 0;
}

static int by_offset(const gguf *g, uint32_t a, uint32_t b) {
    uint64_t x = gguf_entry_at(g, a)->tensor.offset, y = gguf_entry_at(g, b)->tensor.offset;
    return x < y ? -1 : x > y;
}

static int refuse_overlaps(const gguf *g, errors *e) {
    uint32_t *order = gguf_sorted(g, g->entries.count, by_offset, e);
    if (!order) return GEMEL_E_MEMORY;
    int code = 0;
    for (size_t i = 1; i < g->entries.count && code == 0; i++) {
        const gguf_tensor *a = &gguf_entry_at(g, order[i - 1])->tensor, *b = &gguf_entry_at(g, order[i])->tensor;
        if (b->offset - a->offset >= a->size) continue;
        printable first = printable_name(a->name.at, a->name.size), second = printable_name(b->name.at, b->name.size);
        code = fail(e, GEMEL_E_FORMAT, "tensors \"%s\" (bytes %llu..%llu) and \"%s\" (from byte %llu on) overlap",
                    first.text, (ull)a->offset, (ull)(a->offset + a->size), second.text, (ull)b->offset);
    }
    free(order);
    return code;
}

static int finish_tensors(gguf *g, errors *e) {
    size_t twice;
    g->place = AT_START;
    int code = gguf_sort_names(g, &g->entry_order, &twice, e);
    if (code == GEMEL_E_FORMAT) {
        gguf_span name = gguf_name_of(g, g->entry_order[twice]);
        return fail(e, code, "tensor \"%s\" appears twice, at offsets %u and %u",
                    printable_name(name.at, name.size).text, gguf_entry_at(g, g->entry_order[twice])->name_at,
                    gguf_entry_at(g, g->entry_order[twice + 1])->name_at);
    }
    if (code == GEMEL_OK) code = place_tensors(g, e);
    if (code == 0) code = refuse_overlaps(g, e);
    if (code) return code;
    g->padding = g->data_offset - g->at;
    g->state = g->padding ? PADDING : WHOLE;
    return 0;
}

static int next_tensor(gguf *g, errors *e) {
    if (g->entries.count == g->n_tensors) return finish_tensors(g, e);
    g->place = AT_START;
    return await(g, NAME_SIZE, 8, "a tensor's name", e);
}

// ---- Keys: what ends their section --------------------------------------------------------------------------------

static int read_alignment(gguf *g, errors *e) {
    g->alignment = DEFAULT_ALIGNMENT;
    int i = gguf_find(g, "general.alignment");
    if (i < 0) return 0;
    const gguf_kv *kv = gguf_kv_at(g, (size_t)i);
    if (kv->type != GGUF_U32)
        return fail(e, GEMEL_E_FORMAT, "key \"general.alignment\" is of type %s; it must be U32",
                    gguf_type_name(kv->type));
    uint32_t value = gguf_load32(gguf_bytes(g) + kv->value_at);
    if (value < 8 || (value & (value - 1)))
        return fail(e, GEMEL_E_FORMAT, "key \"general.alignment\" is %u; it must be a power of two, at least 8", value);
    g->alignment = value;
    return 0;
}

static int finish_keys(gguf *g, errors *e) {
    g->place = AT_START;
    g->kv_order = gguf_sorted(g, g->kv.count, gguf_by_key, e);
    if (!g->kv_order) return GEMEL_E_MEMORY;
    for (size_t i = 1; i < g->kv.count; i++) {
        const gguf_kv *a = gguf_kv_at(g, g->kv_order[i - 1]), *b = gguf_kv_at(g, g->kv_order[i]);
        gguf_span key = gguf_key_of(g, g->kv_order[i]);
        if (gguf_compare(gguf_key_of(g, g->kv_order[i - 1]), key) == 0)
            return fail(e, GEMEL_E_FORMAT, "key \"%s\" appears twice, at offsets %u and %u",
                        printable_name(key.at, key.size).text, a->key_at, b->key_at);
    }
    int code = read_alignment(g, e);
    return code ? code : next_tensor(g, e);
}

static int next_key(gguf *g, errors *e) {
    if (g->kv.count == g->n_kv) return finish_keys(g, e);
    g->place = AT_START;
    return await(g, KEY_SIZE, 8, "a key", e);
}

// ---- Steps: one a state; `p` is the token, g->at the byte after it ------------------------------------------------

static int read_magic(gguf *g, const uint8_t *p, errors *e) {
    // clang-format off
    static const struct { char start[5]; const char *what; } others[] = {
        {"tjgg", "a GGML file from before GGUF: convert the model again"},
        {"lmgg", "a GGML file from before GGUF: convert the model again"},
        {"fmgg", "a GGML file from before GGUF: convert the model again"},
        {"PK\3\4", "a zip archive"},
        {"vers", "perhaps a Git LFS pointer: fetch the file itself"},
        {"<!DO", "a web page"}, {"<!do", "a web page"}, {"<htm", "a web page"},
    };
    // clang-format on
    if (memcmp(p, "GGUF", 4) == 0) return await(g, VERSION, 4, "the version", e);
    const char *guess = NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (memcmp(p, others[i].start, 4) == 0) guess = others[i].what;
    return fail(e, GEMEL_E_FORMAT, "at offset 0: not a GGUF file: it starts %02x %02x %02x %02x, not \"GGUF\"%s%s%s",
                p[0], p[1], p[2], p[3], guess ? " (" : "", guess ? guess : "", guess ? ")" : "");
}

static int read_version(gguf *g, const uint8_t *p, errors *e) {
    uint32_t version = gguf_load32(p);
    if (version == 2 || version == 3) {
        g->version = (int)version;
        return await(g, COUNTS, 16, "the counts of tensors and keys", e);
    }
    if (version && (version & 0xFFFF) == 0)
        return fail(e, GEMEL_E_UNSUPPORTED,
                    "at offset 4: a big-endian GGUF file; only little-endian files are supported: convert it again");
    if (version == 1)
        return fail(e, GEMEL_E_UNSUPPORTED,
                    "at offset 4: GGUF version 1; versions 2 and 3 are supported: convert it again");
    return fail(e, GEMEL_E_FORMAT, "at offset 4: GGUF version %u; versions 2 and 3 are supported", version);
}

static int read_counts(gguf *g, const uint8_t *p, errors *e) {
    g->n_tensors = gguf_load64(p);
    g->n_kv = gguf_load64(p + 8);
    int code = fit_items(g, g->n_tensors, TENSOR_SIZE_MIN, "tensors", e);
    if (code == 0) code = fit_items(g, g->n_kv, KV_SIZE_MIN, "keys", e);
    uint64_t both = g->n_tensors * TENSOR_SIZE_MIN + g->n_kv * KV_SIZE_MIN;
    if (code == 0) code = fits(g, both, "at least ", "the table of keys and tensors", e);
    return code ? code : next_key(g, e);
}

static int read_name_size(gguf *g, const uint8_t *p, state next, const char *what, errors *e) {
    uint64_t size = gguf_load64(p);
    if (size == 0) return malformed(g, e, "%s is empty", what);
    if (size > NAME_SIZE_MAX)
        return malformed(g, e, "%s has %llu bytes; at most %d are allowed", what, (ull)size, NAME_SIZE_MAX);
    return await(g, next, size, what, e);
}

static int read_key_size(gguf *g, const uint8_t *p, errors *e) { return read_name_size(g, p, KEY, "a key", e); }
static int read_tensor_name_size(gguf *g, const uint8_t *p, errors *e) {
    return read_name_size(g, p, NAME, "a tensor's name", e);
}

static int read_key(gguf *g, const uint8_t *p, errors *e) {
    gguf_kv *kv = gguf_grow(&g->kv, 1, sizeof *kv, e);
    if (!kv) return GEMEL_E_MEMORY;
    *kv = (gguf_kv){.key_at = (uint32_t)(g->at - g->need), .key_size = (uint32_t)g->need, .count = 1};
    g->kv.count++;
    g->place = AT_KEY;
    if (memchr(p, 0, g->need)) return malformed(g, e, "the key holds a NUL byte");
    return await(g, VALUE_TYPE, 4, "the value's type", e);
}

static gguf_kv *last_kv(const gguf *g) { return gguf_kv_at(g, g->kv.count - 1); }

static int read_value_type(gguf *g, const uint8_t *p, errors *e) {
    uint32_t type = gguf_load32(p);
    if (type > GGUF_F64) return malformed(g, e, "unknown value type %u; types are 0..%d", type, GGUF_F64);
    gguf_kv *kv = last_kv(g);
    kv->type = kv->item_type = (uint8_t)type;
    kv->value_at = (uint32_t)g->at;
    if (type == GGUF_STRING) return await(g, STRING_SIZE, 8, "a string's length", e);
    if (type == GGUF_ARRAY) return await(g, ARRAY, 12, "an array's type and length", e);
    return await(g, NUMBER, gguf_type_size((int)type), "the value", e);
}

static int check_booleans(const gguf *g, const uint8_t *p, size_t n, errors *e) {
    if (last_kv(g)->item_type != GGUF_BOOL) return 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] > 1) return malformed(g, e, "item %zu is %u; a boolean must be 0 or 1", i, p[i]);
    return 0;
}

static int read_numbers(gguf *g, const uint8_t *p, errors *e)   // one scalar, or the items of an array
{
    int code = check_booleans(g, p, g->need, e);
    return code ? code : next_key(g, e);
}

static int read_string_size(gguf *g, const uint8_t *p, errors *e) {
    return await(g, STRING, gguf_load64(p), "the string", e);
}

static int read_string(gguf *g, const uint8_t *p, errors *e) {
    (void)p;
    return next_key(g, e);
}

static int next_item(gguf *g, errors *e) {
    if (g->items_left == 0) return next_key(g, e);
    g->items_left--;
    return await(g, ITEM_SIZE, 8, "a string's length", e);
}

static int read_array(gguf *g, const uint8_t *p, errors *e) {
    uint32_t type = gguf_load32(p);
    uint64_t count = gguf_load64(p + 4);
    if (type > GGUF_F64) return malformed(g, e, "unknown array item type %u; types are 0..%d", type, GGUF_F64);
    if (type == GGUF_ARRAY) return malformed(g, e, "an array of arrays is not supported");
    size_t item_size = type == GGUF_STRING ? 8 : gguf_type_size((int)type);
    int code = fit_items(g, count, item_size, "array items", e);
    if (code) return code;
    gguf_kv *kv = last_kv(g);
    kv->item_type = (uint8_t)type;
    kv->value_at = (uint32_t)g->at;
    kv->count = (uint32_t)count;
    kv->first_item = (uint32_t)g->items.count;
    g->items_left = count;
    return type == GGUF_STRING ? next_item(g, e) : await(g, ARRAY_NUMBERS, count * item_size, "the array", e);
}

static int read_item_size(gguf *g, const uint8_t *p, errors *e) {
    uint32_t *item = gguf_grow(&g->items, 1, sizeof *item, e);
    if (!item) return GEMEL_E_MEMORY;
    *item = (uint32_t)(g->at - 8);
    g->items.count++;
    return await(g, ITEM, gguf_load64(p), "a string of the array", e);
}

static int read_item(gguf *g, const uint8_t *p, errors *e) {
    (void)p;
    return next_item(g, e);
}

static int read_tensor_name(gguf *g, const uint8_t *p, errors *e) {
    gguf_entry *entry = gguf_grow(&g->entries, 1, sizeof *entry, e);
    if (!entry) return GEMEL_E_MEMORY;
    *entry = (gguf_entry){.name_at = (uint32_t)(g->at - g->need), .tensor = {.name.size = g->need, .ne = {1, 1, 1, 1}}};
    g->entries.count++;
    g->place = AT_TENSOR;
    if (memchr(p, 0, g->need)) return malformed(g, e, "the name holds a NUL byte");
    return await(g, N_DIMS, 4, "the number of dimensions", e);
}

static gguf_tensor *last_tensor(const gguf *g) { return &gguf_entry_at(g, g->entries.count - 1)->tensor; }

static int read_n_dims(gguf *g, const uint8_t *p, errors *e) {
    uint32_t n = gguf_load32(p);
    if (n < 1 || n > 4) return malformed(g, e, "%u dimensions; 1 to 4 are allowed", n);
    last_tensor(g)->n_dims = (int)n;
    return await(g, DIMS, n * 8, "the dimensions", e);
}

static int read_dims(gguf *g, const uint8_t *p, errors *e) {
    gguf_tensor *t = last_tensor(g);
    for (int i = 0; i < t->n_dims; i++) {
        t->ne[i] = gguf_load64(p + 8 * i);
        if (t->ne[i] == 0) return malformed(g, e, "ne[%d] is 0", i);
    }
    return await(g, TENSOR_TYPE, 12, "the type and offset", e);
}

static int read_tensor_type(gguf *g, const uint8_t *p, errors *e) {
    gguf_tensor *t = last_tensor(g);
    uint32_t type = gguf_load32(p);
    t->type = type <= INT32_MAX ? (int)type : -1;
    t->offset = gguf_load64(p + 4);
    int code = tensor_bytes(g, t, e);
    if (code) return code;
    if (t->offset % g->alignment)
        return malformed(g, e, "data offset %llu is not a multiple of the alignment, %llu", (ull)t->offset,
                         (ull)g->alignment);
    return next_tensor(g, e);
}

// clang-format off
static int (*const steps[N_STEPS])(gguf *g, const uint8_t *p, errors *e) = {
    [MAGIC] = read_magic, [VERSION] = read_version, [COUNTS] = read_counts,
    [KEY_SIZE] = read_key_size, [KEY] = read_key, [VALUE_TYPE] = read_value_type, [NUMBER] = read_numbers,
    [STRING_SIZE] = read_string_size, [STRING] = read_string,
    [ARRAY] = read_array, [ARRAY_NUMBERS] = read_numbers, [ITEM_SIZE] = read_item_size, [ITEM] = read_item,
    [NAME_SIZE] = read_tensor_name_size, [NAME] = read_tensor_name, [N_DIMS] = read_n_dims, [DIMS] = read_dims,
    [TENSOR_TYPE] = read_tensor_type,
};
// clang-format on

// ---- Open, feed, close --------------------------------------------------------------------------------------------

int gguf_open(gguf **out, uint64_t file_size, errors *e) {
    *out = NULL;
    if (file_size == 0) return fail(e, GEMEL_E_FORMAT, "at offset 0: the file is empty");
    gguf *g = malloc(sizeof *g);
    if (!g) return fail(e, GEMEL_E_MEMORY, "no memory to read a header");
    *g = (gguf){.file_size = file_size, .fingerprint = GGUF_HASH_START};
    int code = await(g, MAGIC, 4, "a GGUF file's header", e);
    if (code) gguf_close(g);
    else *out = g;
    return code;
}

// Take the bytes of data[0..size) that belong to the next token; *used is their number. Returns 1 when it is complete.
static int take_token(gguf *g, const uint8_t *data, size_t size, size_t *used, errors *e) {
    size_t missing = g->at + g->need - g->bytes.count, take = missing < size ? missing : size;
    uint8_t *end = gguf_grow(&g->bytes, take, 1, e);
    if (!end) return GEMEL_E_MEMORY;
    memcpy(end, data, take);
    g->fingerprint = gguf_hash(g->fingerprint, data, take);
    g->bytes.count += take;
    *used += take;
    return take == missing;
}

static void skip_padding(gguf *g, const uint8_t *data, size_t size, size_t *used) {
    size_t take = g->padding < size ? (size_t)g->padding : size;
    g->fingerprint = gguf_hash(g->fingerprint, data, take);
    g->padding -= take;
    *used += take;
    if (g->padding == 0) g->state = WHOLE;
}

int gguf_feed(gguf *g, const uint8_t *data, size_t size, size_t *used, errors *e) {
    *used = 0;
    while (g->state < N_STEPS && size > 0) {
        int code = take_token(g, data + *used, size - *used, used, e);
        if (code == 0) return 0;
        if (code > 0) {
            g->at += g->need;
            code = steps[g->state](g, gguf_bytes(g) + g->at - g->need, e);
        }
        if (code < 0) {
            g->state = FAILED;
            return code;
        }
    }
    if (g->state == PADDING && size > 0) skip_padding(g, data + *used, size - *used, used);
    if (g->state == FAILED) return fail(e, GEMEL_E_ARGUMENT, "this header was rejected before; open the file again");
    return g->state == WHOLE;
}

void gguf_close(gguf *g) {
    for (gguf *next; g; g = next) {
        next = g->next;
        free(g->bytes.at);
        free(g->kv.at);
        free(g->items.at);
        free(g->entries.at);
        free(g->kv_order);
        free(g->entry_order);
        gguf_close(g->over);
        free(g);
    }
}
