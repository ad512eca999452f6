// Ids accepted so far change the logits of the next id: logit bias, repeat/frequency/presence penalties, DRY.
// Works on a row of logits in place; knows no probabilities and draws nothing.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    PENALTIES_LAST_N_MAX = 1 << 20,     // ids that can be looked back at
    PENALTIES_BREAKER_MAX = 20,         // ids of one sequence breaker
    PENALTIES_BREAKERS_MAX = 1 << 20,   // sequence breakers
};

typedef struct bias {
    int32_t id;
    float value;
} bias;
typedef struct breaker {
    uint32_t at;
    int32_t n, next;
} breaker;   // ids breaker_ids[at..at+n)

typedef struct penalties {
    int n_vocab;
    double repeat, frequency, presence;   // neutral: 1, 0, 0
    int last_n;
    double dry_multiplier, dry_base;   // a multiplier of 0 is off
    int dry_allowed_length, dry_last_n;

    int32_t *ring;   // [capacity] the latest ids; capacity is a power of two, at least last_n and dry_last_n
    int32_t *run;    // [capacity] DRY's scratch
    size_t capacity, head, held;
    int32_t *count;     // [n_vocab] occurrences among the last last_n
    int32_t *longest;   // [n_vocab] DRY's scratch: zeros between calls

    bias *biases;
    int32_t *bias_slot;   // [n_vocab] 1 + index in biases, 0: none; NULL until the first bias
    size_t n_biases, biases_capacity;

    breaker *breakers;
    int32_t *breaker_ids;
    int32_t *breaker_last;   // [n_vocab] 1 + index of a breaker that ends with the id, 0: none; NULL until the first
    size_t n_breakers, breakers_capacity, n_breaker_ids, breaker_ids_capacity;
} penalties;

int penalties_open(penalties *p, int n_vocab);   // on failure, close as well
void penalties_close(penalties *p);
int penalties_look_back(penalties *p, int last_n, int dry_last_n);   // GEMEL_E_MEMORY leaves all as it was
int penalties_bias(penalties *p, int32_t id, float value);           // replaces an earlier one
int penalties_breaker(penalties *p, const int32_t *ids, size_t n);
int penalties_accept(penalties *p, int32_t id);
// The id that the next accept overwrites, for penalties_take_back, which undoes the last accept. held: ids before it.
int32_t penalties_oldest(const penalties *p);
void penalties_take_back(penalties *p, int32_t oldest, size_t held);
void penalties_forget(penalties *p);                      // the ids; biases and breakers stay
int penalties_active(const penalties *p);                 // 0: apply would change nothing
int penalties_may_move(const penalties *p, int32_t id);   // 0: an id with the largest logit still has it after apply
// How many ids the penalties that are on look back at, how many of those there are, and their bytes, the oldest first.
size_t penalties_reach(const penalties *p);
size_t penalties_held(const penalties *p);
void penalties_save(const penalties *p, uint8_t *ids);                // [penalties_held] int32_t
void penalties_restore(penalties *p, const uint8_t *ids, size_t n);   // in range; they take the place of those held
// logits[n_vocab], no NaN, no +Inf. Sums saturate at +-FLT_MAX, so that only a bias of -INFINITY forbids an id.
void penalties_apply(penalties *p, float *logits);
