// Look-ups in a header that has been read: metadata by key or index, tensors by name or index; typed, checked, and the
// public functions of gemel.h over them. Names are found by binary search, items of arrays in constant time.
// Knows how values are stored; knows no key's meaning.
#include "gguf.h"
#include <float.h>
#include <stdio.h>
#include <string.h>
#include "gguf_index.h"

static int is_float(int type) { return type == GGUF_F32 || type == GGUF_F64; }
static int is_signed(int type) { return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64; }
static int is_integer(int type) {
    return is_signed(type) || type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

// ---- By name --------------------------------------------------------------------------------------------------------

int gguf_find(const gguf *g, const char *key) {
    return gguf_search(g, g->kv_order, g->kv.count, gguf_key_of, (gguf_span){key, strlen(key)});
}

int gguf_tensor_find(const gguf *g, const char *name) {
    return gguf_search(g, g->entry_order, g->entries.count, gguf_name_of, (gguf_span){name, strlen(name)});
}

// ---- Values -------------------------------------------------------------------------------------------------------

static uint64_t load_bits(const uint8_t *p, size_t size) {
    uint64_t bits = 0;
    for (size_t i = size; i-- > 0;) bits = bits << 8 | p[i];
    return bits;
}

// Item j of an integer or boolean value as 64 bits; signed types are sign-extended.
static uint64_t integer_at(const gguf *g, const gguf_kv *kv, size_t j) {
    size_t size = gguf_type_size(kv->item_type);
    uint64_t bits = load_bits(gguf_bytes(g) + kv->value_at + j * size, size);
    uint64_t sign = (uint64_t)1 << (size * 8 - 1);
    return is_signed(kv->item_type) && (bits & sign) ? bits | (0 - sign) : bits;
}

static double float_at(const gguf *g, const gguf_kv *kv, size_t j) {
    size_t size = gguf_type_size(kv->item_type);
    uint64_t bits = load_bits(gguf_bytes(g) + kv->value_at + j * size, size);
    uint32_t bits32 = (uint32_t)bits;
    float narrow;
    double wide;
    memcpy(&narrow, &bits32, sizeof narrow);
    memcpy(&wide, &bits, sizeof wide);
    return kv->item_type == GGUF_F32 ? (double)narrow : wide;
}

static double number_at(const gguf *g, const gguf_kv *kv, size_t j) {
    if (is_float(kv->item_type)) return float_at(g, kv, j);
    uint64_t bits = integer_at(g, kv, j);
    return is_signed(kv->item_type) ? (double)(int64_t)bits : (double)bits;
}

// Item j of an array of strings, or the string itself.
static gguf_span string_at(const gguf *g, const gguf_kv *kv, size_t j) {
    size_t at = kv->type == GGUF_ARRAY ? ((const uint32_t *)g->items.at)[kv->first_item + j] : kv->value_at;
    const uint8_t *p = gguf_bytes(g) + at;
    return (gguf_span){(const char *)p + 8, (size_t)gguf_load64(p)};
}

// 1 when the number, as double or as the 64 bits of an integer, is a value of `type`.
static int fits_type(const gguf *g, const gguf_kv *kv, size_t j, gguf_type type) {
    if (is_float(type)) {
        double value = float_at(g, kv, j);
        return type == GGUF_F64 || !(value - value == 0) || (value >= -FLT_MAX && value <= FLT_MAX);
    }
    uint64_t bits = integer_at(g, kv, j);
    int is_negative = is_signed(kv->item_type) && bits >> 63;
    size_t n_bits = gguf_type_size((int)type) * 8;
    uint64_t most = UINT64_MAX >> (64 - n_bits + (is_signed(type) ? 1 : 0));
    return is_negative ? is_signed(type) && ~bits <= most : bits <= most;
}

static int same_family(int a, int b) {
    return a == b || (is_integer(a) && is_integer(b)) || (is_float(a) && is_float(b));
}

// `scalar` is what an override must be.
static int wrong_type(const gguf *g, const gguf_kv *kv, const char *key, const char *wanted, const char *scalar,
                      errors *e) {
    int is_array = kv->type == GGUF_ARRAY;
    if (g->is_over) return gguf_override_mistyped(g, kv, scalar, e);
    return fail(e, GEMEL_E_FORMAT, "key \"%s\" is %s%s; it must be %s", printable_name(key, strlen(key)).text,
                is_array ? "an array of " : "of type ", gguf_type_name(kv->item_type), wanted);
}

// The pair of that key, an override's before the file's: 1 and *out, whose bytes are in *g; or 0.
static int get(const gguf **g, const char *key, const gguf_kv **out) {
    int i = (*g)->over ? gguf_find((*g)->over, key) : -1;
    if (i >= 0) {
        *g = (*g)->over;
        gguf_kv_at(*g, (size_t)i)->is_read = 1;
    } else i = gguf_find(*g, key);
    if (i >= 0) *out = gguf_kv_at(*g, (size_t)i);
    return i >= 0;
}

int gguf_get_u32(const gguf *g, const char *key, uint32_t *out, errors *e) {
    const gguf_kv *kv;
    if (!get(&g, key, &kv)) return 0;
    if (!is_integer(kv->type)) return wrong_type(g, kv, key, "an integer", "an integer", e);
    uint64_t bits = integer_at(g, kv, 0);
    int is_negative = is_signed(kv->type) && bits >> 63;
    if (is_negative || bits > UINT32_MAX)
        return fail(e, GEMEL_E_FORMAT, "key \"%s\" is %s%llu; it must be 0 to 4294967295",
                    printable_name(key, strlen(key)).text, is_negative ? "-" : "",
                    (unsigned long long)(is_negative ? 0 - bits : bits));
    *out = (uint32_t)bits;
    return 1;
}

int gguf_is_given(const gguf *g, const char *key) { return g->over && gguf_find(g->over, key) >= 0; }

int gguf_own_integer(const gguf *g, const char *key, double *out) {
    int i = gguf_find(g, key);
    if (i < 0 || !is_integer(gguf_kv_at(g, (size_t)i)->type)) return 0;
    *out = number_at(g, gguf_kv_at(g, (size_t)i), 0);
    return 1;
}

int gguf_is_array(const gguf *g, const char *key) {
    const gguf_kv *kv;
    return get(&g, key, &kv) && kv->type == GGUF_ARRAY;
}

int gguf_get_f32(const gguf *g, const char *key, float *out, errors *e) {
    const gguf_kv *kv;
    if (!get(&g, key, &kv)) return 0;
    if (!is_float(kv->type) && !(g->is_over && is_integer(kv->type)))
        return wrong_type(g, kv, key, "F32 or F64", "a number", e);
    double value = number_at(g, kv, 0);
    if (!(value >= -FLT_MAX && value <= FLT_MAX))
        return fail(e, GEMEL_E_FORMAT, "key \"%s\" is %g; it must be a finite 32-bit number",
                    printable_name(key, strlen(key)).text, value);
    *out = (float)value;
    return 1;
}

int gguf_get_bool(const gguf *g, const char *key, int *out, errors *e) {
    const gguf_kv *kv;
    if (!get(&g, key, &kv)) return 0;
    if (kv->type != GGUF_BOOL) return wrong_type(g, kv, key, "BOOL", "true or false", e);
    *out = integer_at(g, kv, 0) != 0;
    return 1;
}

int gguf_get_string(const gguf *g, const char *key, gguf_span *out, errors *e) {
    const gguf_kv *kv;
    if (!get(&g, key, &kv)) return 0;
    if (kv->type != GGUF_STRING) return wrong_type(g, kv, key, "STRING", "a string", e);
    *out = string_at(g, kv, 0);
    return 1;
}

int gguf_get_array(const gguf *g, const char *key, gguf_type type, int *index, size_t *n, errors *e) {
    const gguf_kv *kv;
    if (!get(&g, key, &kv)) return 0;
    if (kv->type != GGUF_ARRAY || !same_family(kv->item_type, type)) {
        char wanted[24];
        snprintf(wanted, sizeof wanted, "an array of %s", gguf_type_name(type));
        return wrong_type(g, kv, key, wanted, "an array", e);
    }
    for (size_t j = 0; kv->item_type != type && j < kv->count; j++)
        if (!fits_type(g, kv, j, type))
            return fail(e, GEMEL_E_FORMAT, "key \"%s\": item %zu is %.17g, which doesn't fit %s",
                        printable_name(key, strlen(key)).text, j, number_at(g, kv, j), gguf_type_name(type));
    *index = (int)(kv - gguf_kv_at(g, 0));
    *n = kv->count;
    return 1;
}

gguf_span gguf_array_string(const gguf *g, int index, size_t j) {
    return string_at(g, gguf_kv_at(g, (size_t)index), j);
}

double gguf_array_number(const gguf *g, int index, size_t j) { return number_at(g, gguf_kv_at(g, (size_t)index), j); }

// ---- Tensors and totals -------------------------------------------------------------------------------------------

uint64_t gguf_header_size(const gguf *g) { return g->data_offset; }

uint64_t gguf_fingerprint(const gguf *g) {
    return g->over ? gguf_overrides_hash(g->over, g->fingerprint) : g->fingerprint;
}

int gguf_n_tensors(const gguf *g) { return (int)g->entries.count; }
const gguf_tensor *gguf_tensor_at(const gguf *g, int i) { return &gguf_entry_at(g, (size_t)i)->tensor; }

// ---- gemel.h: the same for hosts, every index checked -------------------------------------------------------------

static const gguf_kv *kv_or_null(const gguf *g, int i) {
    return g && i >= 0 && (size_t)i < g->kv.count ? gguf_kv_at(g, (size_t)i) : NULL;
}

static const gguf_tensor *tensor_or_null(const gguf *g, int i) {
    return g && i >= 0 && (size_t)i < g->entries.count ? gguf_tensor_at(g, i) : NULL;
}

static const char *give(gguf_span span, size_t *size) {
    if (!size) return NULL;
    *size = span.size;
    return span.at;
}

int gemel_gguf_version(const gemel_gguf *gguf) { return gguf ? gguf->version : GEMEL_E_ARGUMENT; }
double gemel_gguf_data_offset(const gemel_gguf *gguf) { return gguf ? (double)gguf->data_offset : GEMEL_E_ARGUMENT; }
int gemel_gguf_n_kv(const gemel_gguf *gguf) { return gguf ? (int)gguf->kv.count : GEMEL_E_ARGUMENT; }

int gemel_gguf_find(const gemel_gguf *gguf, const char *key, size_t key_size) {
    if (!gguf || !key) return GEMEL_E_ARGUMENT;
    return gguf_search(gguf, gguf->kv_order, gguf->kv.count, gguf_key_of, (gguf_span){key, key_size});
}

const char *gemel_gguf_key(const gemel_gguf *gguf, int i, size_t *size) {
    return give(kv_or_null(gguf, i) ? gguf_key_of(gguf, (size_t)i) : (gguf_span){0}, size);
}

int gemel_gguf_type(const gemel_gguf *gguf, int i) {
    const gguf_kv *kv = kv_or_null(gguf, i);
    return kv ? kv->type : GEMEL_E_ARGUMENT;
}

int gemel_gguf_item_type(const gemel_gguf *gguf, int i) {
    const gguf_kv *kv = kv_or_null(gguf, i);
    return kv ? kv->item_type : GEMEL_E_ARGUMENT;
}

double gemel_gguf_count(const gemel_gguf *gguf, int i) {
    const gguf_kv *kv = kv_or_null(gguf, i);
    return kv ? (double)kv->count : GEMEL_E_ARGUMENT;
}

int gemel_gguf_number(const gemel_gguf *gguf, int i, size_t j, double *out, int *exact) {
    const gguf_kv *kv = kv_or_null(gguf, i);
    if (!kv || !out || !exact || j >= kv->count || gguf_type_size(kv->item_type) == 0) return GEMEL_E_ARGUMENT;
    *out = number_at(gguf, kv, j);
    *exact = 1;
    if (kv->item_type != GGUF_U64 && kv->item_type != GGUF_I64) return GEMEL_OK;
    uint64_t bits = integer_at(gguf, kv, j);
    uint64_t size = is_signed(kv->item_type) && bits >> 63 ? 0 - bits : bits;
    while (size && !(size & 1)) size >>= 1;
    *exact = size >> 53 == 0;   // what is left of the number without its factors of two fits a double's 53 bits
    return GEMEL_OK;
}

const char *gemel_gguf_string(const gemel_gguf *gguf, int i, size_t j, size_t *size) {
    const gguf_kv *kv = kv_or_null(gguf, i);
    int is_there = kv && kv->item_type == GGUF_STRING && j < kv->count;
    return give(is_there ? string_at(gguf, kv, j) : (gguf_span){0}, size);
}

int gemel_gguf_n_tensors(const gemel_gguf *gguf) { return gguf ? gguf_n_tensors(gguf) : GEMEL_E_ARGUMENT; }

const char *gemel_gguf_tensor_name(const gemel_gguf *gguf, int i, size_t *size) {
    return give(tensor_or_null(gguf, i) ? gguf_name_of(gguf, (size_t)i) : (gguf_span){0}, size);
}

int gemel_gguf_tensor_type(const gemel_gguf *gguf, int i) {
    const gguf_tensor *t = tensor_or_null(gguf, i);
    return t ? t->type : GEMEL_E_ARGUMENT;
}

int gemel_gguf_tensor_dims(const gemel_gguf *gguf, int i, double *ne) {
    const gguf_tensor *t = tensor_or_null(gguf, i);
    if (!t || !ne) return GEMEL_E_ARGUMENT;
    for (int d = 0; d < 4; d++) ne[d] = (double)t->ne[d];
    return t->n_dims;
}

double gemel_gguf_tensor_offset(const gemel_gguf *gguf, int i) {
    const gguf_tensor *t = tensor_or_null(gguf, i);
    return t ? (double)t->offset : GEMEL_E_ARGUMENT;
}

double gemel_gguf_tensor_size(const gemel_gguf *gguf, int i) {
    const gguf_tensor *t = tensor_or_null(gguf, i);
    return t ? (double)t->size : GEMEL_E_ARGUMENT;
}
