#include "keys.h"
#include <stdio.h>
#include "../file/override.h"

static const char *key_of(keys *r, const char *name) {
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}

void keys_fail(keys *r, int code) {
    if (code < 0 && !r->code) r->code = code;
}

static void check_missing(keys *r, double absent) {
    if (absent == REQUIRED) keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "the metadata key %s is missing", r->key));
}

int keys_int(keys *r, const char *name, int least, int most, int absent) {
    uint32_t v = 0;
    int got = r->code ? 0 : gguf_get_u32(r->g, key_of(r, name), &v, r->e);
    keys_fail(r, got);
    if (r->code) return 0;
    if (!got) check_missing(r, absent);
    if (!got) return r->code ? 0 : absent;
    if (v < (uint32_t)least || v > (uint32_t)most)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s is %u; it must be %d to %d", r->key, (unsigned)v, least, most));
    return r->code ? 0 : (int)v;   // callers may compute with it before they look at the code
}

static int one_per_layer(keys *r, size_t n) {
    if (n == (size_t)r->n_layer) return GEMEL_OK;
    return fail(r->e, GEMEL_E_FORMAT, "%s has %zu items for %d layers: one per layer is needed", r->key, n, r->n_layer);
}

int keys_int_of_layer(keys *r, const char *name, int il, int least, int most, int absent) {
    int index;
    size_t n;
    if (r->code) return 0;
    if (!gguf_is_array(r->g, key_of(r, name))) return keys_int(r, name, least, most, absent);
    int got = gguf_get_array(r->g, r->key, GGUF_U32, &index, &n, r->e);
    keys_fail(r, got);
    if (r->code) return 0;
    keys_fail(r, one_per_layer(r, n));
    if (r->code) return 0;
    double v = gguf_array_number(r->g, index, (size_t)il);
    if (v < least || v > most)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s[%d] is %.0f; it must be %d to %d", r->key, il, v, least, most));
    return r->code ? 0 : (int)v;
}

int keys_count(keys *r, const char *name, int most, int absent) {
    int i = r->code ? -1 : gguf_find(r->g, key_of(r, name));
    if (i < 0) return absent;
    int is_list = gemel_gguf_type(r->g, i) == GGUF_ARRAY && gemel_gguf_item_type(r->g, i) == GGUF_STRING;
    double n = is_list ? gemel_gguf_count(r->g, i) : 0;
    if (n >= 1 && n <= most) return (int)n;
    keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s must be a list of 1 to %d strings", r->key, most));
    return absent;
}

double keys_float(keys *r, const char *name, double least, double most, double absent) {
    float v = 0;
    int got = r->code ? 0 : gguf_get_f32(r->g, key_of(r, name), &v, r->e);
    keys_fail(r, got);
    if (!r->code && !got) check_missing(r, absent);
    if (r->code || !got) return absent;
    if (!(v >= least && v <= most))
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s is %g; it must be %g to %g", r->key, (double)v, least, most));
    return v;
}

double keys_float_of_layer(keys *r, const char *name, int il, double least, double most, double absent) {
    int index;
    size_t n;
    if (r->code || !gguf_is_array(r->g, key_of(r, name))) return keys_float(r, name, least, most, absent);
    keys_fail(r, gguf_get_array(r->g, r->key, GGUF_F32, &index, &n, r->e));
    if (!r->code) keys_fail(r, one_per_layer(r, n));
    if (r->code) return absent;
    double v = gguf_array_number(r->g, index, (size_t)il);
    if (!(v >= least && v <= most))
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s[%d] is %g; it must be %g to %g", r->key, il, v, least, most));
    return v;
}

int keys_bool(keys *r, const char *name, int absent) {
    int v = absent, got = r->code ? 0 : gguf_get_bool(r->g, key_of(r, name), &v, r->e);
    keys_fail(r, got);
    if (!r->code && !got) check_missing(r, absent);
    return r->code ? absent : v;
}

int keys_bool_of_layer(keys *r, const char *name, int il) {
    int index;
    size_t n;
    if (r->code || !gguf_is_array(r->g, key_of(r, name))) return -1;
    int got = gguf_get_array(r->g, r->key, GGUF_BOOL, &index, &n, r->e);
    keys_fail(r, got);
    if (!r->code) keys_fail(r, one_per_layer(r, n));
    return r->code ? -1 : gguf_array_number(r->g, index, (size_t)il) != 0;
}

double keys_soft_cap(keys *r, const char *name, double absent) {
    double v = keys_float(r, name, 0, 1e6, absent);
    if (!r->code && v > 0 && v < 1e-3)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s is %g; it must be 0 (none), or 0.001 to 1e6", r->key, v));
    return v;
}

int keys_string(keys *r, const char *name, gguf_span *out) {
    int got = r->code ? 0 : gguf_get_string(r->g, key_of(r, name), out, r->e);
    keys_fail(r, got);
    return got > 0;
}

void keys_unread(keys *r, const char *name) { gguf_override_unread(r->g, key_of(r, name)); }

void keys_refuse(keys *r, const char *name, const char *what) {
    if (!r->code && gguf_find(r->g, key_of(r, name)) >= 0)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED, "the file has the key %s: %s is not supported", r->key, what));
}

void keys_refuse_over_zero(keys *r, const char *name, const char *what) {
    uint32_t v = 0;
    int got = r->code ? 0 : gguf_get_u32(r->g, key_of(r, name), &v, r->e);
    keys_fail(r, got);
    if (got > 0 && v)
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED, "%s is %u: %s is not supported", r->key, (unsigned)v, what));
}
