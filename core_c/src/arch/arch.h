// A file's metadata becomes a model's numbers, for each layer. An architecture is a row of archs.def.
#pragma once
#include "../model/model.h"

// Fill the numbers of m and of every layer, the RoPE tables and the cache's classes. What the file needs and gemel does
// not support is an error that names the key. On an error the caller closes m.
int arch_read(gemel_model *m, const gguf *g, errors *e);
// After place_tensors has handed out the memory: settle which norms the layers have. GEMEL_E_FORMAT.
int arch_settle(gemel_model *m, errors *e);
