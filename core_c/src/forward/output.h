// What is made of a row of logits: scores, an id, its text.
#pragma once
#include "batch.h"

// log p(id) and the most likely id; either may be NULL. Returns 0 when a logit is NaN or Inf.
int score_logits(const kernels *k, const float *logits, int n_vocab, int32_t id, double *log_prob, int32_t *top);
// Draw an id from logits, accept it, and put its text out. Returns the id, or a negative gemel_error.
int draw_from(const tokenizer *tok, gemel_sampler *sampler, const float *logits, text_out *to);
