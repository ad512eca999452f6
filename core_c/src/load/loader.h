// What plan.c needs of a loader.
#pragma once
#include "../file/gguf.h"
#include "../threads/threads.h"

int loader_header(gemel_loader *l, const gguf **g, errors *e);   // of all parts; the same errors as begin
int loader_threads(const gemel_loader *l);                       // of the model that would begin
