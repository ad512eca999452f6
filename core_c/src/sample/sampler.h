// Logits to an id: the steps listed in gemel.h, in that order, in scalar code that gives the same bits everywhere.
// Knows a vocabulary and the ids that were accepted; knows no model.
//
// gemel_sampler_sample and _accept take no memory and touch nothing except the sampler (no statics): any thread of a
// pool may call them, one thread at a time for each sampler.
#pragma once
#include "../text/tokenizer.h"

typedef struct logits_peak {
    float max;
    int at;   // the first id that has it
} logits_peak;

// gemel_sampler_open passes the model's tokenizer, which must outlive the sampler; all else is in gemel.h.
int sampler_open(gemel_sampler **out, const tokenizer *t);
// As gemel_sampler_sample; known: the peak of these logits, all finite; NULL: to be found.
int sampler_sample(gemel_sampler *s, const float *logits, const logits_peak *known);
// Up to `max` ids of the text that its grammar forces next; none without a grammar, or with GEMEL_USE_MASK_ONLY.
int sampler_forced(gemel_sampler *s, int32_t *ids, int max);
int sampler_is_mask_only(const gemel_sampler *s);   // GEMEL_USE_MASK_ONLY: nothing is to be evaluated ahead
int sampler_n_vocab(const gemel_sampler *s);        // the number of logits it draws from
