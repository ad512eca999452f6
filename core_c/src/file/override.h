// Values that a host gives in place of a file's, or beside them. They are a table of pairs, as a header's are, so that
// the typed look-ups of gguf.h read them as if the file had said so; what gemel.h shows of a file stays the file's.
#pragma once
#include "gguf.h"

// Give a value. `number` is an integer, a float or 0 and 1, `text` a string's bytes, by the gemel_override_type.
// GEMEL_E_ARGUMENT: no such type or value, a key twice, a key that is needed to read the file itself.
int gguf_override(gguf *g, gguf_span key, int type, double number, gguf_span text, errors *e);
void gguf_override_none(gguf *g);   // forget all
// Before the metadata is read: refuse overrides of arrays. After: each was read, or it would have no effect.
// is_whole 0: the tokenizer was not looked at, so that its keys may be left.
int gguf_overrides_begin(const gguf *g, errors *e);
int gguf_overrides_end(const gguf *g, const char *arch, int is_whole, errors *e);
void gguf_override_unread(const gguf *g, const char *key);   // it was looked up, and changes nothing
// Write the sentence of an error that was met in between, and say which overrides it may come from. Returns its code:
// GEMEL_E_ARGUMENT for a malformed value that an override gave.
int gguf_overrides_blame(const gguf *g, int code, const char *sentence, errors *e);
