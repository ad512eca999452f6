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
// To draw and accept ids that are only tried: `leave`, up to PLACE_IDS times sampler_sample and `try`, then `back`.
// Afterwards the sampler draws what it would have drawn. 0 from `leave`: its grammar has lists whose items are
// unique, or there is no memory; there is nothing to go back from.
enum { PLACE_IDS = 16 };
typedef struct sampler_place {
    uint64_t rng;
    double mu;
    int n;   // ids tried
    struct {
        int32_t oldest;
        size_t held;
    } undo[PLACE_IDS];
    uint32_t now, age, left;   // with a grammar
    int is_begun;
    uint8_t *matcher;   // what is needed when `age` has passed
    size_t matcher_size;
} sampler_place;   // zeros at first
int sampler_leave(gemel_sampler *s, sampler_place *p);
int sampler_try(gemel_sampler *s, sampler_place *p, int32_t id);   // as gemel_sampler_accept
void sampler_back(gemel_sampler *s, sampler_place *p);
void sampler_place_close(sampler_place *p);
int sampler_is_greedy(const gemel_sampler *s);      // temperature 0: it draws no numbers
int sampler_is_mask_only(const gemel_sampler *s);   // GEMEL_USE_MASK_ONLY: nothing is to be evaluated ahead
int sampler_n_vocab(const gemel_sampler *s);        // the number of logits it draws from
