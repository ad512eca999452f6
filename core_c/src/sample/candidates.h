// The ids that may still be drawn, truncated step by step. Always in ascending order of ids; ranks (most likely first,
// equal logits by id) are computed only where a step needs them. Sums have a fixed order, so that bits are the same
// everywhere. Knows logits and probabilities; knows no options and no ids of the past.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct candidates {
    size_t n, capacity;        // capacity = n_vocab
    uint64_t *keys;            // [n] rank << 32 | id: a smaller key is more likely
    double *weights;           // [n] exp((logit - best) / temperature), after a step that weighs
    double best, total;        // the largest logit, the sum of the weights
    uint64_t *order, *spare;   // [capacity] scratch
} candidates;

int candidates_open(candidates *c, int n_vocab);   // on failure, close as well
void candidates_close(candidates *c);

// The largest of logits[n] (-INFINITY: there is none), or GEMEL_E_NUMERIC when one is NaN or +Inf.
int logits_best(const float *logits, size_t n, float *best);
int32_t logits_find(const float *logits, size_t n, float best);   // the first id that has the largest logit

// Fill from logits[capacity]; -INFINITY is never a candidate.
void candidates_fill(candidates *c, const float *logits);
void candidates_fill_top_k(candidates *c, const float *logits, size_t k);
void candidates_fill_min_p(candidates *c, const float *logits, double best, double p);

// Each keeps at least one of n >= 1.
void candidates_keep_typical(candidates *c, double p);       // nearest to the entropy, until their sum is over p
void candidates_keep_top_p(candidates *c, double p);         // the most likely, until their sum is p
void candidates_keep_min_p(candidates *c, double p);         // at least p times as likely as the top one
void candidates_drop_top(candidates *c, double threshold);   // XTC: of those over the threshold, keep the least likely
void candidates_keep_unsurprising(candidates *c, double bits);   // mirostat 2: -log2(p) <= bits, else the most likely

// Draw by u in [0, 1): the first id at which the running sum of probabilities passes u. *surprise = -log2(p of it).
int32_t candidates_draw(candidates *c, double temperature, double u, double *surprise);
