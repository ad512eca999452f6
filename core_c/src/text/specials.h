// Tokens that are recognised by their text before anything else: USER_DEFINED ones always, CONTROL and UNKNOWN ones
// when the caller asks. The leftmost match wins, and of several at one position the longest.
#pragma once
#include "vocab.h"

enum { SPECIAL_MAX = 256 };   // bytes of a text; a longer one is refused, so that a search takes linear time

typedef struct special {
    const char *at;
    size_t size;
    int32_t id;
} special;

typedef struct specials {
    special *items;   // sorted by text, a prefix before what it starts
    int32_t n;
    int32_t first[257];   // first[b]..first[b+1]: the items that start with byte b
} specials;

int specials_open(specials *s, const vocab *v, int with_control, errors *e);
void specials_close(specials *s);
// Find the first special text in [at, end). Returns where it starts, or `end`; *size and *id say which it is.
const char *specials_next(const specials *s, const char *at, const char *end, size_t *size, int32_t *id);
