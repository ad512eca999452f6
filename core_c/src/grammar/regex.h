// Regular expressions that take linear time become parts: the language of JSON schema's patterns (ECMA-262) without
// look-around and back references.
#pragma once
#include "builder.h"

// Fill `b`; the root is rule 0. The expression matches the whole answer.
int regex_parse(builder *b, const char *text, size_t size, errors *e);
