// A file of n-grams: which id followed some ids most often in the texts that it was made of. Little endian:
//
//   "gemelng1"  fingerprint:8  n2:4 n3:4 n4:4 zero:4    32 bytes; see ids_fingerprint in text/same_ids.h
//   n2 records  id id     next share                    each a number of 4 bytes; ascending by the ids before `next`,
//   n3 records  id id id  next share                    each of which occurs once; share: 1..255, of 255, how often
//   n4 records  id id id id  next share                 `next` followed
//
// Knows ids; knows no model.
#pragma once
#include "../errors.h"

enum { NGRAMS_LEAST = 2, NGRAMS_MOST = 4 };   // ids before `next`

typedef struct ngrams {
    uint8_t *data;   // the file
    const uint8_t *records[NGRAMS_MOST + 1];
    int32_t n[NGRAMS_MOST + 1];
} ngrams;

// Checks everything: ids must be below n_vocab. On failure, nothing is to be closed.
int ngrams_open(ngrams *g, const uint8_t *data, size_t size, uint64_t fingerprint, int n_vocab, errors *e);
void ngrams_close(ngrams *g);
// What follows these n ids, by as many of the last as it knows: the id, and its share in *share, 0..1. -1: unknown.
int32_t ngrams_next(const ngrams *g, const int32_t *ids, int n, double *share);
