// Rules that are lists of texts, as a tree: texts that begin alike share their states.
#pragma once
#include "builder.h"

typedef struct text_span {
    size_t at, size;
} text_span;

typedef struct texts {
    uint8_t *bytes;
    text_span *list;
    size_t n_bytes, bytes_room, n, list_room;
} texts;

void texts_close(texts *t);   // of zeros, too
// Add a text, then its bytes. 0: no memory.
int texts_begin(texts *t);
int texts_add(texts *t, const uint8_t *bytes, size_t size);
// Fill a rule that is defined, and has no states yet: one of the texts.
void texts_put(texts *t, builder *b, uint32_t rule);
// All that may be between the quotes of a JSON string, spelled as json.dumps does, except the texts. 0: one of them
// can't be there.
int texts_put_others(texts *t, builder *b, uint32_t rule);
