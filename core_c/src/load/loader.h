// What a plan asks a loader.
#pragma once
#include "../file/gguf.h"
#include "../threads/threads.h"

const gguf *
loader_header(const gemel_loader *l);        // of all parts, once it is whole and the model has not begun; or NULL
int loader_threads(const gemel_loader *l);   // of the model that would begin
