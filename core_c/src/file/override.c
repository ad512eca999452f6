#include "override.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf_index.h"
#include "gguf_read.h"

enum { OVERRIDES_MAX = 4096, SIZE_LIMIT = 65535, SHOWN_SIZE = 700 };

// ---- Words ---------------------------------------------------------------------------------------------------------

static double number_of(const gguf *over, const gguf_kv *kv) {
    uint64_t bits = gguf_load64(gguf_bytes(over) + kv->value_at);
    double value;
    memcpy(&value, &bits, sizeof value);
    return kv->type == GGUF_I64 ? (double)(int64_t)bits : value;
}

// "llama.rope.freq_base=500000"
static void show(const gguf *over, const gguf_kv *kv, char out[SHOWN_SIZE]) {
    const uint8_t *value = gguf_bytes(over) + kv->value_at;
    printable key = printable_name((const char *)gguf_bytes(over) + kv->key_at, kv->key_size), text;
    switch (kv->type) {
    case GGUF_BOOL: snprintf(out, SHOWN_SIZE, "%s=%s", key.text, *value ? "true" : "false"); break;
    case GGUF_STRING:
        text = printable_name((const char *)value + 8, (size_t)gguf_load64(value));
        snprintf(out, SHOWN_SIZE, "%s=\"%s\"", key.text, text.text);
        break;
    case GGUF_I64: snprintf(out, SHOWN_SIZE, "%s=%.0f", key.text, number_of(over, kv)); break;
    default: snprintf(out, SHOWN_SIZE, "%s=%.9g", key.text, number_of(over, kv));
    }
}

// ---- Giving --------------------------------------------------------------------------------------------------------

static int starts_with(gguf_span text, const char *start) {
    return text.size >= strlen(start) && !memcmp(text.at, start, strlen(start));
}

static int check_key(gguf_span key, errors *e) {
    static const char alignment[] = "general.alignment";
    if (!key.size || key.size > SIZE_LIMIT || memchr(key.at, 0, key.size))
        return fail(e, GEMEL_E_ARGUMENT, "an override's key has %zu bytes; 1 to %d without NUL are allowed", key.size,
                    SIZE_LIMIT);
    if (starts_with(key, "split.") || (key.size == sizeof alignment - 1 && starts_with(key, alignment)))
        return fail(e, GEMEL_E_ARGUMENT, "%s can't be overridden: it says where the file's bytes are",
                    printable_name(key.at, key.size).text);
    return GEMEL_OK;
}

static int check_value(gguf_span key, int type, double number, gguf_span text, errors *e) {
    static const double exact = 9007199254740992.0;
    printable name = printable_name(key.at, key.size);
    switch (type) {
    case GEMEL_OVERRIDE_INT:
        if (number >= -exact && number <= exact && number == (double)(int64_t)number) return GEMEL_OK;
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s is %.17g; it must be an integer from -2^53 to 2^53",
                    name.text, number);
    case GEMEL_OVERRIDE_FLOAT:
        if (number >= -DBL_MAX && number <= DBL_MAX) return GEMEL_OK;
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s is %g; it must be finite", name.text, number);
    case GEMEL_OVERRIDE_BOOL:
        if (number == 0 || number == 1) return GEMEL_OK;
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s is %g; it must be 0 or 1", name.text, number);
    case GEMEL_OVERRIDE_STRING:
        if (text.size <= SIZE_LIMIT && (text.at || !text.size)) return GEMEL_OK;
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s has %zu bytes; at most %d are allowed", name.text,
                    text.size, SIZE_LIMIT);
    default:
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s is of type %d, which is not a gemel_override_type",
                    name.text, type);
    }
}

// Its bytes, as a header has them.
static int put(gguf *over, const void *data, size_t size, errors *e) {
    uint8_t *at = gguf_grow(&over->bytes, size, 1, e);
    if (!at) return GEMEL_E_MEMORY;
    if (size) memcpy(at, data, size);
    over->bytes.count += size;
    return GEMEL_OK;
}

static int put_value(gguf *over, gguf_kv *kv, int type, double number, gguf_span text, errors *e) {
    static const uint8_t types[] = {[GEMEL_OVERRIDE_INT] = GGUF_I64,
                                    [GEMEL_OVERRIDE_FLOAT] = GGUF_F64,
                                    [GEMEL_OVERRIDE_BOOL] = GGUF_BOOL,
                                    [GEMEL_OVERRIDE_STRING] = GGUF_STRING};
    uint64_t bits = text.size;
    uint8_t raw[8];
    kv->type = kv->item_type = types[type];
    kv->value_at = (uint32_t)over->bytes.count;
    if (kv->type == GGUF_F64) memcpy(&bits, &number, sizeof bits);
    else if (kv->type != GGUF_STRING) bits = (uint64_t)(int64_t)number;
    for (int i = 0; i < 8; i++) raw[i] = (uint8_t)(bits >> 8 * i);
    int code = put(over, raw, gguf_type_size(kv->type) == 1 ? 1 : 8, e);
    return code < 0 || kv->type != GGUF_STRING ? code : put(over, text.at, text.size, e);
}

// The index among sorted keys where this one belongs; -1: it is among them.
static int place_of(const gguf *over, gguf_span key) {
    size_t i = 0;
    int order = -1;
    while (i < over->kv.count && (order = gguf_compare(gguf_key_of(over, over->kv_order[i]), key)) < 0) i++;
    return i < over->kv.count && order == 0 ? -1 : (int)i;
}

static int add(gguf *over, gguf_span key, int type, double number, gguf_span text, errors *e) {
    int at = place_of(over, key);
    size_t n = over->kv.count;
    if (at < 0)
        return fail(e, GEMEL_E_ARGUMENT, "the override of %s is given twice", printable_name(key.at, key.size).text);
    if (n >= OVERRIDES_MAX)
        return fail(e, GEMEL_E_ARGUMENT, "too many overrides: at most %d are allowed", OVERRIDES_MAX);
    uint32_t *order = realloc(over->kv_order, (n + 1) * sizeof *order);
    if (order) over->kv_order = order;
    gguf_kv *kv = order ? gguf_grow(&over->kv, 1, sizeof *kv, e) : NULL;
    if (!kv) return fail(e, GEMEL_E_MEMORY, "no memory for %zu overrides", n + 1);
    *kv = (gguf_kv){.key_at = (uint32_t)over->bytes.count, .key_size = (uint32_t)key.size, .count = 1};
    int code = put(over, key.at, key.size, e);
    if (code == GEMEL_OK) code = put_value(over, kv, type, number, text, e);
    if (code < 0) return code;
    memmove(order + at + 1, order + at, (n - (size_t)at) * sizeof *order);
    order[at] = (uint32_t)n;
    over->kv.count++;
    return GEMEL_OK;
}

int gguf_override(gguf *g, gguf_span key, int type, double number, gguf_span text, errors *e) {
    int code = check_key(key, e);
    if (code == GEMEL_OK) code = check_value(key, type, number, text, e);
    if (code < 0) return code;
    if (!g->over && !(g->over = calloc(1, sizeof *g->over)))
        return fail(e, GEMEL_E_MEMORY, "no memory for an override");
    g->over->is_over = 1;
    return add(g->over, key, type, number, text, e);
}

// ---- Reading -------------------------------------------------------------------------------------------------------

static size_t count(const gguf *g) { return g->over ? g->over->kv.count : 0; }

int gguf_overrides_begin(const gguf *g, errors *e) {
    for (size_t i = 0; i < count(g); i++) {
        gguf_span key = gguf_key_of(g->over, i);
        int at = gguf_search(g, g->kv_order, g->kv.count, gguf_key_of, key);
        if (at >= 0 && gguf_kv_at(g, (size_t)at)->type == GGUF_ARRAY)
            return fail(e, GEMEL_E_ARGUMENT, "%s is an array in this file; an override can't replace an array",
                        printable_name(key.at, key.size).text);
        gguf_kv_at(g->over, i)->is_read = 0;
    }
    return GEMEL_OK;
}

int gguf_overrides_end(const gguf *g, const char *arch, int is_whole, errors *e) {
    char shown[SHOWN_SIZE], more[60] = "";
    const gguf_kv *first = NULL;
    int n = 0;
    for (size_t i = 0; i < count(g); i++) {
        const gguf_kv *kv = gguf_kv_at(g->over, g->over->kv_order[i]);
        int is_left = !is_whole && starts_with(gguf_key_of(g->over, g->over->kv_order[i]), "tokenizer.");
        if (kv->is_read || is_left) continue;
        if (!n++) first = kv;
    }
    if (!first) return GEMEL_OK;
    show(g->over, first, shown);
    if (n > 1) snprintf(more, sizeof more, ", nor do %d other overrides", n - 1);
    return fail(
        e, GEMEL_E_ARGUMENT,
        "the override %s has no effect%s: nothing reads this key, given the architecture %s and the other values",
        shown, more, arch);
}

void gguf_override_unread(const gguf *g, const char *key) {
    gguf_span name = {key, strlen(key)};
    int i = g->over ? gguf_search(g->over, g->over->kv_order, g->over->kv.count, gguf_key_of, name) : -1;
    if (i >= 0) gguf_kv_at(g->over, (size_t)i)->is_read = 0;
}

// 1 when the sentence names the key, not a longer key that begins with it.
static int names(const char *sentence, const char *key) {
    size_t size = strlen(key);
    for (const char *at = sentence; *at; at++) {
        if (strncmp(at, key, size) != 0) continue;
        char next = at[size];
        if (next != '_' && next != '.' && !(next >= 'a' && next <= 'z') && !(next >= '0' && next <= '9')) return 1;
    }
    return 0;
}

int gguf_overrides_blame(const gguf *g, int code, const char *sentence, errors *e) {
    char shown[SHOWN_SIZE], more[60] = "";
    int n = (int)count(g), is_file = code == GEMEL_E_FORMAT || code == GEMEL_E_UNSUPPORTED;
    if (!n || !is_file) return fail(e, code, "%s", sentence);
    for (int i = 0; i < n; i++) {
        gguf_span key = gguf_key_of(g->over, (size_t)i);
        printable name = printable_name(key.at, key.size);
        if (!names(sentence, name.text)) continue;
        if (code == GEMEL_E_FORMAT) code = GEMEL_E_ARGUMENT;
        return fail(e, code, "%s (the value of %s is an override)", sentence, name.text);
    }
    show(g->over, gguf_kv_at(g->over, g->over->kv_order[0]), shown);
    if (n > 1) snprintf(more, sizeof more, " and %d more", n - 1);
    return fail(e, code, "%s (read with the override%s %s%s)", sentence, n > 1 ? "s" : "", shown, more);
}

int gguf_override_mistyped(const gguf *over, const gguf_kv *kv, const char *wanted, errors *e) {
    char shown[SHOWN_SIZE];
    show(over, kv, shown);
    return fail(e, GEMEL_E_ARGUMENT, "the override %s is %s; it must be %s", shown,
                kv->type == GGUF_I64      ? "an integer"
                : kv->type == GGUF_F64    ? "a float"
                : kv->type == GGUF_STRING ? "a string"
                                          : "true or false",
                wanted);
}

uint64_t gguf_overrides_hash(const gguf *over, uint64_t hash) {
    for (size_t i = 0; i < over->kv.count; i++) {
        const gguf_kv *kv = gguf_kv_at(over, over->kv_order[i]);
        const uint8_t *value = gguf_bytes(over) + kv->value_at;
        uint8_t kind = kv->type == GGUF_I64 ? GGUF_F64 : kv->type;   // 10000 and 10000.0 are the same model
        double number = kv->type == GGUF_I64 || kv->type == GGUF_F64 ? number_of(over, kv) : *value;
        hash = gguf_hash(hash, gguf_bytes(over) + kv->key_at, kv->key_size);
        hash = gguf_hash(hash, &kind, 1);
        if (kind == GGUF_STRING) hash = gguf_hash(hash, value, 8 + (size_t)gguf_load64(value));
        else hash = gguf_hash(hash, &number, sizeof number);
    }
    return hash;
}

void gguf_override_none(gguf *g) {
    gguf_close(g->over);
    g->over = NULL;
}
