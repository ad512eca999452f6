// Logits to an id: the steps listed in gemel.h, in that order, in scalar code that gives the same bits everywhere.
// Knows n_vocab and the ids it was told; knows no model.
#pragma once
#include "gemel.h"

// gemel_sampler_open passes the model's n_vocab; all else is in gemel.h.
int sampler_open(gemel_sampler **out, int n_vocab);
