// What the fuzz targets share. libFuzzer calls LLVMFuzzerTestOneInput with random bytes; a target takes them apart,
// checks what must hold with the macros of check.h, and ends with `judge`, which turns a failed check into a crash.
#pragma once
#include <stdlib.h>
#include "../c/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *at, *end;
} input;

static inline size_t left(const input *in) { return (size_t)(in->end - in->at); }
static inline int take(input *in) { return in->at < in->end ? *in->at++ : 0; }   // 0..255; past the end 0
static inline size_t take_size(input *in, size_t most) {                         // 2 bytes, at most `most`
    size_t low = (size_t)take(in), n = low | (size_t)take(in) << 8;
    return n < most ? n : most;
}

// A copy in a separate block, so that the address sanitizer sees a read past its end.
static inline void *copy_of(const void *data, size_t size) {
    void *copy = malloc(size ? size : 1);
    if (size) memcpy(copy, data, size);
    return copy;
}

static inline int judge(void) {
    fflush(stdout);
    if (check_failures) abort();
    return 0;
}
