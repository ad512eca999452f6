// Values that a host gives for metadata keys. They are a table of pairs, as a header's are: the typed look-ups of
// gguf.h find them before the file's own; gemel_gguf_* still show the file.
#pragma once
#include "gguf.h"

// Add an override. `number` is an integer, a float, or 0 or 1, `text` a string's bytes, by the gemel_override_type.
// GEMEL_E_ARGUMENT: an invalid type or value, a key given twice, a key that is needed to read the file itself.
int gguf_override(gguf *g, gguf_span key, int type, double number, gguf_span text, errors *e);
void gguf_override_none(gguf *g);   // forget all
// Before the metadata is read: refuse overrides of arrays. After: refuse overrides that nothing read.
// is_whole 0: the tokenizer was not read, so its keys are not refused.
int gguf_overrides_begin(const gguf *g, errors *e);
int gguf_overrides_end(const gguf *g, const char *arch, int is_whole, errors *e);
void gguf_override_unread(const gguf *g, const char *key);   // it was read and has no effect
// Report an error that was found in between, naming the overrides that may have caused it. Returns its code, or
// GEMEL_E_ARGUMENT for an invalid value that an override gave.
int gguf_overrides_blame(const gguf *g, int code, const char *sentence, errors *e);
