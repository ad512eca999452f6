// Logits to one id: truncation steps over packed keys, then a draw.
//
//   key = | ~ordered(logit) : 32 | id : 32 |     ordered() maps floats to unsigned integers of the same order
//
// Steps select instead of sorting: top-k keeps a heap, min-p and XTC compare, top-p sorts only what its sum can
// include.
#include "candidates.h"
#include "../fmath.h"
#include "gemel.h"
#include <float.h>
#include <math.h>   // INFINITY, a macro
#include <stdlib.h>
#include <string.h>

#define LOG2_E 0x1.71547652b82fep+0

enum {
    BLOCK = 16,           // logits looked at together: fixed sizes, which compilers turn into vectors
    STRIDE = 64,          // logits skipped together
    HEAP_MAX = 256,       // above, top-k sorts
    INSERTION_MAX = 48,   // above, a radix sort
};

int candidates_open(candidates *c, int n_vocab) {
    *c = (candidates){.capacity = (size_t)n_vocab};
    if (c->capacity > SIZE_MAX / sizeof *c->keys) return GEMEL_E_MEMORY;
    c->keys = malloc(c->capacity * sizeof *c->keys);
    c->weights = malloc(c->capacity * sizeof *c->weights);
    c->order = malloc(c->capacity * sizeof *c->order);
    c->spare = malloc(c->capacity * sizeof *c->spare);
    return c->keys && c->weights && c->order && c->spare ? GEMEL_OK : GEMEL_E_MEMORY;
}

void candidates_close(candidates *c) { free(c->keys), free(c->weights), free(c->order), free(c->spare); }

// ---- Keys ----

static uint64_t key_of(float logit, size_t id) {
    uint32_t u;
    logit += 0.0f;   // -0 becomes 0: they are equal
    memcpy(&u, &logit, sizeof u);
    uint32_t ordered = u ^ (u >> 31 ? 0xffffffffu : 0x80000000u);
    return (uint64_t)~ordered << 32 | id;
}

static double logit_of(uint64_t key) {
    uint32_t ordered = ~(uint32_t)(key >> 32), u = ordered ^ (ordered >> 31 ? 0x80000000u : 0xffffffffu);
    float logit;
    memcpy(&logit, &u, sizeof logit);
    return logit;
}

static int32_t id_of(uint64_t key) { return (int32_t)(uint32_t)key; }
static uint64_t swap_halves(uint64_t key) { return key << 32 | key >> 32; }

static void sort_by_insertion(uint64_t *keys, size_t n) {
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] >> 32 > key >> 32; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

// Ascending by the upper half; equal ones stay in the order they came. A pass for each byte of it that differs.
static void sort_keys(uint64_t *keys, uint64_t *spare, size_t n) {
    if (n <= INSERTION_MAX) {
        sort_by_insertion(keys, n);
        return;
    }
    uint32_t count[4][256] = {0};
    for (size_t i = 0; i < n; i++) {
        for (int b = 0; b < 4; b++) count[b][keys[i] >> (32 + 8 * b) & 255]++;
    }
    uint64_t *from = keys, *to = spare;
    for (int b = 0; b < 4; b++) {
        int shift = 32 + 8 * b;
        if (count[b][from[0] >> shift & 255] == n) continue;
        uint32_t at = 0;
        for (int v = 0; v < 256; v++) {
            uint32_t here = count[b][v];
            count[b][v] = at, at += here;
        }
        for (size_t i = 0; i < n; i++) to[count[b][from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to, to = swap;
    }
    if (from != keys) memcpy(keys, from, n * sizeof *keys);
}

// ---- Filling ----

int logits_best(const float *logits, size_t n, float *best) {
    float top[BLOCK];
    int32_t nan[BLOCK];
    for (int j = 0; j < BLOCK; j++) top[j] = -INFINITY, nan[j] = 0;
    size_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        for (int j = 0; j < BLOCK; j++) {
            float x = logits[i + j];
            top[j] = x > top[j] ? x : top[j];
            nan[j] |= x != x;
        }
    }
    for (; i < n; i++) {
        top[0] = logits[i] > top[0] ? logits[i] : top[0];
        nan[0] |= logits[i] != logits[i];
    }
    for (int j = 1; j < BLOCK; j++) {
        top[0] = top[j] > top[0] ? top[j] : top[0];
        nan[0] |= nan[j];
    }
    *best = top[0];
    return nan[0] || top[0] > FLT_MAX ? GEMEL_E_NUMERIC : GEMEL_OK;
}

// Skip whole strides in which no logit reaches `least`. Returns where to go on.
static size_t skip_below(const float *logits, size_t from, size_t n, float least) {
    for (; from + STRIDE <= n; from += STRIDE) {
        int32_t any = 0;
        for (int j = 0; j < STRIDE; j++) any |= logits[from + j] >= least;
        if (any) break;
    }
    return from;
}

int32_t logits_find(const float *logits, size_t n, float value) {
    size_t i = skip_below(logits, 0, n, value);
    while (logits[i] != value) i++;
    return (int32_t)i;
}

void candidates_fill(candidates *c, const float *logits) {
    size_t n = 0;
    for (size_t i = 0; i < c->capacity; i++) {
        c->keys[n] = key_of(logits[i], i);
        n += logits[i] != -INFINITY;
    }
    c->n = n;
}

void candidates_fill_min_p(candidates *c, const float *logits, double best, double p) {
    double lowest = fm_log(p);
    size_t n = 0;
    for (size_t i = 0; i < c->capacity; i++) {
        if (logits[i] - best >= lowest) c->keys[n++] = key_of(logits[i], i);
    }
    c->n = n;
}

static void sift_down(uint64_t *heap, size_t n, size_t i)   // the largest key, the least likely id, is heap[0]
{
    uint64_t key = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[i] = heap[child];
    }
    heap[i] = key;
}

static void fill_by_heap(candidates *c, const float *logits, size_t k) {
    size_t i = 0, n = 0;
    for (; i < c->capacity && n < k; i++)
        if (logits[i] != -INFINITY) c->keys[n++] = key_of(logits[i], i);
    for (size_t j = n / 2; j-- > 0;) sift_down(c->keys, n, j);
    c->n = n;
    if (n < k) return;   // all of them, so i is at the end
    float least = (float)logit_of(c->keys[0]);
    while ((i = skip_below(logits, i, c->capacity, least)) < c->capacity) {
        size_t end = i + STRIDE < c->capacity ? i + STRIDE : c->capacity;
        for (; i < end; i++) {
            if (!(logits[i] > least)) continue;   // an equal one ranks behind: its id is larger
            c->keys[0] = key_of(logits[i], i);
            sift_down(c->keys, n, 0);
            least = (float)logit_of(c->keys[0]);
        }
    }
}

static void keep_until(candidates *c, uint64_t last)   // in rank
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t key = c->keys[i];
        c->keys[n] = key;
        n += key <= last;
    }
    c->n = n;
}

void candidates_fill_top_k(candidates *c, const float *logits, size_t k) {
    if (k > HEAP_MAX) {
        candidates_fill(c, logits);
        if (c->n <= k) return;
        memcpy(c->order, c->keys, c->n * sizeof *c->order);
        sort_keys(c->order, c->spare, c->n);
        keep_until(c, c->order[k - 1]);
        return;
    }
    fill_by_heap(c, logits, k);
    for (size_t i = 0; i < c->n; i++) c->keys[i] = swap_halves(c->keys[i]);
    sort_keys(c->keys, c->spare, c->n);   // by id
    for (size_t i = 0; i < c->n; i++) c->keys[i] = swap_halves(c->keys[i]);
}

// ---- Truncation ----

static uint64_t likeliest(const candidates *c) {
    uint64_t first = c->keys[0];
    for (size_t i = 1; i < c->n; i++) first = c->keys[i] < first ? c->keys[i] : first;
    return first;
}

static void weigh(candidates *c, double temperature) {
    c->best = logit_of(likeliest(c));
    for (size_t i = 0; i < c->n; i++) c->weights[i] = (logit_of(c->keys[i]) - c->best) / temperature;
    fm_exp_row(c->weights, c->n);
    c->total = 0;
    for (size_t i = 0; i < c->n; i++) c->total += c->weights[i];
}

// Copy to `to` the keys whose logit is at least best + lowest: the first ones in rank. Returns how many.
static size_t copy_near(const candidates *c, double lowest, uint64_t *to) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t key = c->keys[i];
        to[n] = key;
        n += logit_of(key) - c->best >= lowest;
    }
    return n;
}

// Candidates below (1 - p) / n of the total are together less than the share that is left out. Half of that bound
// leaves room for rounding; if it does not suffice, everything is sorted.
void candidates_keep_top_p(candidates *c, double p) {
    weigh(c, 1);
    double lowest = fm_log(0.5 * (1 - p) * c->total / (double)c->n);
    for (;; lowest = -INFINITY) {
        size_t n = copy_near(c, lowest, c->order);
        sort_keys(c->order, c->spare, n);
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += fm_exp(logit_of(c->order[i]) - c->best);
            if (sum < p * c->total) continue;
            keep_until(c, c->order[i]);
            return;
        }
        if (n == c->n) return;
    }
}

void candidates_keep_min_p(candidates *c, double p) {
    c->best = logit_of(likeliest(c));
    c->n = copy_near(c, fm_log(p), c->keys);
}

// |-log(p) - entropy| = |log(p) - mean of log(p)|, rounded to float, above the index of the candidate.
static uint64_t typical_key(const candidates *c, double mean, size_t i) {
    double distance = (logit_of(c->keys[i]) - c->best) - mean;
    float rounded = (float)(distance < 0 ? -distance : distance);
    uint32_t u;
    memcpy(&u, &rounded, sizeof u);
    return (uint64_t)u << 32 | i;
}

void candidates_keep_typical(candidates *c, double p) {
    weigh(c, 1);
    double mean = 0, sum = 0;
    for (size_t i = 0; i < c->n; i++) mean += c->weights[i] * (logit_of(c->keys[i]) - c->best);
    mean /= c->total;
    for (size_t i = 0; i < c->n; i++) c->order[i] = typical_key(c, mean, i);
    sort_keys(c->order, c->spare, c->n);
    size_t last = 0, n = 0;
    for (; last + 1 < c->n; last++) {
        sum += c->weights[(uint32_t)c->order[last]];
        if (sum > p * c->total) break;
    }
    uint64_t furthest = c->order[last];
    for (size_t i = 0; i < c->n; i++) {
        uint64_t key = c->keys[i];
        int kept = typical_key(c, mean, i) <= furthest;
        c->keys[n] = key, n += (size_t)kept;
    }
    c->n = n;
}

void candidates_drop_top(candidates *c, double threshold) {
    weigh(c, 1);
    uint64_t last = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->weights[i] >= threshold * c->total && c->keys[i] > last) last = c->keys[i];
    }
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->keys[i] >= last) c->keys[n++] = c->keys[i];
    c->n = n;
}

void candidates_keep_unsurprising(candidates *c, double bits) {
    weigh(c, 1);
    double log_total = fm_log(c->total);
    uint64_t first = likeliest(c);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        double surprise = (log_total - (logit_of(c->keys[i]) - c->best)) * LOG2_E;
        if (!(surprise > bits)) c->keys[n++] = c->keys[i];
    }
    if (n == 0) c->keys[n++] = first;
    c->n = n;
}

// ---- The draw ----

int32_t candidates_draw(candidates *c, double temperature, double u, double *surprise) {
    weigh(c, temperature);
    double sum = 0;
    size_t i = 0;
    for (; i + 1 < c->n; i++) {
        sum += c->weights[i];
        if (sum > u * c->total) break;
    }
    *surprise = (fm_log(c->total) - (logit_of(c->keys[i]) - c->best) / temperature) * LOG2_E;
    return id_of(c->keys[i]);
}
