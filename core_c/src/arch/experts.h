// A file's metadata becomes the numbers of a layer's mixture of experts.
#pragma once
#include "../model/model.h"
#include "keys.h"

// Read the numbers of layer il's mixture, if the file has experts and this layer is one of those that have them.
// feed_forward_length is read. An architecture without experts refuses them.
void experts_read(gemel_model *m, keys *r, int il);
// Once all layers are read: how many rows a micro-batch has, so that each expert has enough of them.
void experts_settle(gemel_model *m);
