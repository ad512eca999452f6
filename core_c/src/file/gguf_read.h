// The GGUF reader: bytes fed in pieces become metadata and a table of tensors, each claim checked against the file's
// size before memory is taken for it. Knows the container and the sizes of tensor types; knows no architecture.
#pragma once
#include "../errors.h"
#include "gguf_types.h"

// Feed header bytes in file order; *used of `size` were taken. Returns 1 when the header is complete, 0 when it needs
// more, or an error. Linear in the bytes fed, however small the pieces.
int gguf_open(gguf **out, uint64_t file_size, errors *e);
int gguf_feed(gguf *g, const uint8_t *data, size_t size, size_t *used, errors *e);
void gguf_close(gguf *g);
