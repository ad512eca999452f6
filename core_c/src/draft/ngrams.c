#include "ngrams.h"
#include <stdlib.h>
#include <string.h>

enum { HEADER = 32, MOST_RECORDS = 1 << 26 };
static const char magic[8] = {'g', 'e', 'm', 'e', 'l', 'n', 'g', '1'};

static uint32_t number_at(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static size_t size_of(int length) { return ((size_t)length + 2) * 4; }   // of a record

// As memcmp, of `length` ids and a record's.
static int compare(const int32_t *ids, const uint8_t *record, int length) {
    for (int i = 0; i < length; i++) {
        int32_t id = (int32_t)number_at(record + 4 * i);
        if (ids[i] != id) return ids[i] < id ? -1 : 1;
    }
    return 0;
}

static int bad(errors *e, int length, int32_t i, const char *what) {
    return fail(e, GEMEL_E_FORMAT, "the draft file is corrupt: record %d of those with %d ids before the next %s",
                (int)i, length, what);
}

static int check_records(const ngrams *g, int length, int n_vocab, errors *e) {
    int32_t before[NGRAMS_MOST];
    for (int32_t i = 0; i < g->n[length]; i++) {
        const uint8_t *record = g->records[length] + (size_t)i * size_of(length);
        for (int k = 0; k <= length; k++)
            if (number_at(record + 4 * k) >= (uint32_t)n_vocab)
                return bad(e, length, i, "has an id that doesn't exist");
        uint32_t share = number_at(record + 4 * (length + 1));
        if (share < 1 || share > 255) return bad(e, length, i, "has a share that is not 1 to 255");
        if (i && compare(before, record, length) >= 0) return bad(e, length, i, "is not in ascending order");
        for (int k = 0; k < length; k++) before[k] = (int32_t)number_at(record + 4 * k);
    }
    return GEMEL_OK;
}

static int check_header(const uint8_t *data, size_t size, uint64_t fingerprint, errors *e) {
    if (size < HEADER || memcmp(data, magic, sizeof magic - 1))
        return fail(e, GEMEL_E_FORMAT, "these bytes are not a draft file: make one with gemel draft-cache");
    if (data[7] != magic[7])
        return fail(e, GEMEL_E_UNSUPPORTED, "the draft file was written by another version of gemel: make it again");
    uint64_t found = number_at(data + 8) | (uint64_t)number_at(data + 12) << 32, wanted = HEADER;
    for (int length = NGRAMS_LEAST; length <= NGRAMS_MOST; length++) {
        uint32_t n = number_at(data + 16 + 4 * (length - NGRAMS_LEAST));
        if (n > MOST_RECORDS)
            return fail(e, GEMEL_E_FORMAT, "the draft file is corrupt: it says that it has %u records", n);
        wanted += n * (uint64_t)size_of(length);
    }
    if (number_at(data + 28) || wanted != size)
        return fail(e, GEMEL_E_FORMAT, "the draft file is truncated or has extra bytes: %.0f of %.0f", (double)size,
                    (double)wanted);
    if (found != fingerprint)
        return fail(e, GEMEL_E_UNSUPPORTED,
                    "the draft file was made with another vocabulary than the model's: make it "
                    "again with gemel draft-cache and this model");
    return GEMEL_OK;
}

int ngrams_open(ngrams *g, const uint8_t *data, size_t size, uint64_t fingerprint, int n_vocab, errors *e) {
    *g = (ngrams){0};
    int code = check_header(data, size, fingerprint, e);
    if (code < 0) return code;
    if (!(g->data = malloc(size))) return fail(e, GEMEL_E_MEMORY, "no memory for a draft file of %zu bytes", size);
    memcpy(g->data, data, size);
    const uint8_t *at = g->data + HEADER;
    for (int length = NGRAMS_LEAST; code == GEMEL_OK && length <= NGRAMS_MOST; length++) {
        g->records[length] = at;
        g->n[length] = (int32_t)number_at(data + 16 + 4 * (length - NGRAMS_LEAST));
        at += (size_t)g->n[length] * size_of(length);
        code = check_records(g, length, n_vocab, e);
    }
    if (code < 0) ngrams_close(g);
    return code;
}

void ngrams_close(ngrams *g) {
    free(g->data);
    *g = (ngrams){0};
}

int32_t ngrams_next(const ngrams *g, const int32_t *ids, int n, double *share) {
    for (int length = n < NGRAMS_MOST ? n : NGRAMS_MOST; length >= NGRAMS_LEAST; length--) {
        const int32_t *last = ids + n - length;
        for (int32_t from = 0, to = g->n[length]; from < to;) {
            int32_t middle = from + (to - from) / 2;
            const uint8_t *record = g->records[length] + (size_t)middle * size_of(length);
            int order = compare(last, record, length);
            if (order == 0) {
                *share = number_at(record + 4 * (length + 1)) / 255.0;
                return (int32_t)number_at(record + 4 * length);
            }
            if (order < 0) to = middle;
            else from = middle + 1;
        }
    }
    return -1;
}
