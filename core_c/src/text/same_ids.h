// Whether two vocabularies give ids the same meaning; and a number that says which. Ids of kind UNUSED, which fill a
// vocabulary up, have none.
#pragma once
#include "tokenizer.h"

// Where the longer vocabulary ends with other ids than UNUSED ones, or a text differs: GEMEL_E_UNSUPPORTED, and a
// sentence that says which id. Otherwise 0.
int ids_check_same(const tokenizer *model, const tokenizer *draft, errors *e);
uint64_t ids_fingerprint(const tokenizer *t);   // equal where vocabularies differ only in UNUSED ids
