// What is made of a row of logits: scores, an id, its text.
#pragma once
#include "batch.h"

double log_prob_of(const kernels *k, const float *logits, int n_vocab, int32_t id, float max);   // max: the largest
// Draw an id from logits with this peak, accept it, and put its text out. Returns the id, or a negative gemel_error.
int draw_from(const tokenizer *tok, gemel_sampler *sampler, const float *logits, const logits_peak *peak, text_out *to);
