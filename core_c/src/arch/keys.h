// Look-ups of "<architecture>.<name>" in a file's metadata, each in its range. The first error is kept; after it,
// nothing is looked up.
#pragma once
#include <string.h>
#include "../file/gguf.h"

#define REQUIRED (-2147483647)   // as `absent`: the file must have the key. No key allows such a value.

typedef struct keys {
    const gguf *g;
    const char *arch;
    errors *e;
    int n_layer;   // items of a key that holds an array
    int code;      // the first error; 0: none
    char key[128];
} keys;

void keys_fail(keys *r, int code);   // notes an error that was written to r->e
// An integer from least to most; 0 after an error. `absent` is what a missing key means, or REQUIRED.
int keys_int(keys *r, const char *name, int least, int most, int absent);
// The same for a key that holds one number for all layers, or an array with one for each.
int keys_int_of_layer(keys *r, const char *name, int il, int least, int most, int absent);
double keys_float(keys *r, const char *name, double least, double most, double absent);
// The same of floats.
double keys_float_of_layer(keys *r, const char *name, int il, double least, double most, double absent);
int keys_bool(keys *r, const char *name, int absent);
// Of a key that holds a boolean for each layer; -1: it is absent, or one number.
int keys_bool_of_layer(keys *r, const char *name, int il);
int keys_count(keys *r, const char *name, int most, int absent);   // items of a list of strings, from 1 to most
double keys_soft_cap(keys *r, const char *name, double absent);    // 0: none
int keys_string(keys *r, const char *name, gguf_span *out);        // 1 found, 0 absent: *out stays
void keys_unread(keys *r, const char *name);                       // it changes nothing: an override of it is an error
void keys_refuse(keys *r, const char *name, const char *what);     // whatever it says
void keys_refuse_over_zero(keys *r, const char *name, const char *what);

static inline int span_is(gguf_span s, const char *text) {
    return s.size == strlen(text) && !memcmp(s.at, text, s.size);
}
