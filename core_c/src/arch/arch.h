// From a file's metadata to a model's numbers, each layer's own. An architecture is a row of archs.def.
#pragma once
#include "../model/model.h"

// Fills the numbers of m: its own, those of every layer, RoPE tables and the cache's classes. What a file asks for and
// gemel does not support is an error that names the key. On an error the caller closes m.
int arch_read(gemel_model *m, const gguf *g, errors *e);
// Once place_tensors has handed out the memory: which norms there are, and which layers share one. GEMEL_E_FORMAT.
int arch_settle(gemel_model *m, errors *e);
