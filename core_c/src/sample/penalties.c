// Ids accepted so far (a ring) become changes of few logits: time is linear in the ids looked back at.
// Repeats for DRY are found by the Z-algorithm on the ring read backwards: run[k] is how many ids, from the k-th latest
// back, equal the latest ones. Semantics are those of llama.cpp's samplers of the same names.
#include "penalties.h"
#include "../fmath.h"
#include "gemel.h"
#include <float.h>
#include <math.h>   // INFINITY, a macro
#include <stdlib.h>
#include <string.h>

int penalties_open(penalties *p, int n_vocab) {
    *p = (penalties){.n_vocab = n_vocab, .repeat = 1, .dry_base = 1.75, .dry_allowed_length = 2};
    p->count = calloc((size_t)n_vocab, sizeof *p->count);
    p->longest = calloc((size_t)n_vocab, sizeof *p->longest);
    if (!p->count || !p->longest) return GEMEL_E_MEMORY;
    return penalties_look_back(p, 64, 1024);
}

void penalties_close(penalties *p) {
    free(p->ring), free(p->run), free(p->count), free(p->longest);
    free(p->biases), free(p->bias_slot);
    free(p->breakers), free(p->breaker_ids), free(p->breaker_last);
}

// ---- The ids ----

static int32_t latest(const penalties *p, size_t i)   // i = 0 is the last id accepted
{
    return p->ring[(p->head - 1 - i) & (p->capacity - 1)];
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

int penalties_look_back(penalties *p, int last_n, int dry_last_n) {
    size_t wanted = (size_t)(last_n > dry_last_n ? last_n : dry_last_n), capacity = p->capacity ? p->capacity : 1;
    while (capacity < wanted) capacity *= 2;
    if (capacity > p->capacity) {
        int32_t *ring = malloc(capacity * sizeof *ring), *run = malloc(capacity * sizeof *run);
        if (!ring || !run) {
            free(ring), free(run);
            return GEMEL_E_MEMORY;
        }
        for (size_t i = 0; i < p->held; i++) ring[p->held - 1 - i] = latest(p, i);
        free(p->ring), free(p->run);
        p->ring = ring, p->run = run, p->capacity = capacity, p->head = p->held;
    }
    p->last_n = last_n, p->dry_last_n = dry_last_n;
    memset(p->count, 0, (size_t)p->n_vocab * sizeof *p->count);
    for (size_t i = 0; i < least(p->held, (size_t)last_n); i++) p->count[latest(p, i)]++;
    return GEMEL_OK;
}

int penalties_accept(penalties *p, int32_t id) {
    if (id < 0 || id >= p->n_vocab) return GEMEL_E_ARGUMENT;
    if (p->last_n > 0) {
        if (p->held >= (size_t)p->last_n) p->count[latest(p, (size_t)p->last_n - 1)]--;
        p->count[id]++;
    }
    p->ring[p->head++ & (p->capacity - 1)] = id;
    p->held = least(p->held + 1, p->capacity);
    return GEMEL_OK;
}

int32_t penalties_oldest(const penalties *p) {
    return p->held < p->capacity ? 0 : p->ring[p->head & (p->capacity - 1)];
}

void penalties_take_back(penalties *p, int32_t oldest, size_t held) {
    int32_t *last = &p->ring[--p->head & (p->capacity - 1)];
    if (p->last_n > 0) p->count[*last]--;
    *last = oldest;
    p->held = held;
    if (p->last_n > 0 && held >= (size_t)p->last_n) p->count[latest(p, (size_t)p->last_n - 1)]++;
}

void penalties_forget(penalties *p) {
    p->head = p->held = 0;
    memset(p->count, 0, (size_t)p->n_vocab * sizeof *p->count);
}

// ---- Bias ----

static int make_room(void **array, size_t *capacity, size_t wanted, size_t item_size) {
    if (wanted <= *capacity) return GEMEL_OK;
    size_t n = *capacity ? *capacity : 16;
    while (n < wanted) n *= 2;
    if (n > SIZE_MAX / item_size) return GEMEL_E_MEMORY;
    void *grown = realloc(*array, n * item_size);
    if (!grown) return GEMEL_E_MEMORY;
    *array = grown, *capacity = n;
    return GEMEL_OK;
}

static int make_table(int32_t **table, int n_vocab) {
    if (!*table) *table = calloc((size_t)n_vocab, sizeof **table);
    return *table ? GEMEL_OK : GEMEL_E_MEMORY;
}

int penalties_bias(penalties *p, int32_t id, float value) {
    int finite = value >= -FLT_MAX && value <= FLT_MAX;
    if (id < 0 || id >= p->n_vocab || !(finite || value == -INFINITY)) return GEMEL_E_ARGUMENT;
    if (make_table(&p->bias_slot, p->n_vocab)) return GEMEL_E_MEMORY;
    if (p->bias_slot[id] == 0) {
        void *array = p->biases;
        if (make_room(&array, &p->biases_capacity, p->n_biases + 1, sizeof *p->biases)) return GEMEL_E_MEMORY;
        p->biases = array;
        p->biases[p->n_biases].id = id;
        p->bias_slot[id] = (int32_t)++p->n_biases;
    }
    p->biases[p->bias_slot[id] - 1].value = value;
    return GEMEL_OK;
}

static float saturate(double x) { return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : (float)x; }

static void apply_bias(const penalties *p, float *logits) {
    for (size_t i = 0; i < p->n_biases; i++) {
        float *logit = &logits[p->biases[i].id], value = p->biases[i].value;
        if (value == -INFINITY) *logit = -INFINITY;
        else if (*logit != -INFINITY) *logit = saturate((double)*logit + value);
    }
}

// ---- Repeat, frequency and presence ----

static int repeats_active(const penalties *p) {
    return p->last_n > 0 && (p->repeat != 1 || p->frequency != 0 || p->presence != 0);
}

// An id's count is negative while it has had its penalty.
static void apply_repeats(penalties *p, float *logits) {
    size_t n = least(p->held, (size_t)p->last_n);
    for (size_t i = 0; i < n; i++) {
        int32_t id = latest(p, i), count = p->count[id];
        if (count < 0) continue;
        p->count[id] = -count;
        if (logits[id] == -INFINITY) continue;
        double x = logits[id];
        x = x <= 0 ? x * p->repeat : x / p->repeat;
        logits[id] = saturate(x - (count * p->frequency + p->presence));
    }
    for (size_t i = 0; i < n; i++) {
        int32_t *count = &p->count[latest(p, i)];
        if (*count < 0) *count = -*count;
    }
}

// ---- DRY ----

int penalties_breaker(penalties *p, const int32_t *ids, size_t n) {
    if (!ids || n == 0 || n > PENALTIES_BREAKER_MAX || p->n_breakers == PENALTIES_BREAKERS_MAX) return GEMEL_E_ARGUMENT;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= p->n_vocab) return GEMEL_E_ARGUMENT;
    if (make_table(&p->breaker_last, p->n_vocab)) return GEMEL_E_MEMORY;
    void *array = p->breakers;
    if (make_room(&array, &p->breakers_capacity, p->n_breakers + 1, sizeof *p->breakers)) return GEMEL_E_MEMORY;
    p->breakers = array;
    array = p->breaker_ids;
    if (make_room(&array, &p->breaker_ids_capacity, p->n_breaker_ids + n, sizeof *ids)) return GEMEL_E_MEMORY;
    p->breaker_ids = array;
    memcpy(p->breaker_ids + p->n_breaker_ids, ids, n * sizeof *ids);
    int32_t *last = &p->breaker_last[ids[n - 1]];
    p->breakers[p->n_breakers] = (breaker){(uint32_t)p->n_breaker_ids, (int32_t)n, *last};
    *last = (int32_t)++p->n_breakers;
    p->n_breaker_ids += n;
    return GEMEL_OK;
}

static const breaker *next_breaker(const penalties *p, int32_t slot) { return slot ? &p->breakers[slot - 1] : NULL; }

static const breaker *first_breaker(const penalties *p, int32_t last_id) {
    return p->breaker_last ? next_breaker(p, p->breaker_last[last_id]) : NULL;
}

static int breaks_alone(const penalties *p, int32_t id)   // a breaker of one id
{
    for (const breaker *b = first_breaker(p, id); b; b = next_breaker(p, b->next))
        if (b->n == 1) return 1;
    return 0;
}

// How many of the n latest ids come after the last complete breaker among them.
static size_t since_breaker(const penalties *p, size_t n) {
    for (size_t end = 0; end < n; end++) {
        for (const breaker *b = first_breaker(p, latest(p, end)); b; b = next_breaker(p, b->next)) {
            const int32_t *ids = p->breaker_ids + b->at;
            size_t same = 0, size = (size_t)b->n;
            while (same < size && end + same < n && ids[size - 1 - same] == latest(p, end + same)) same++;
            if (same == size) return end;
        }
    }
    return n;
}

// run[k], 1 <= k < n: the length of the longest common prefix of latest[0..n) and latest[k..n). Linear, because `right`
// only grows: [left, right) is the match that reaches furthest.
static void find_runs(penalties *p, size_t n) {
    size_t left = 0, right = 0;
    for (size_t k = 1; k < n; k++) {
        size_t length = k < right ? least((size_t)p->run[k - left], right - k) : 0;
        while (k + length < n && latest(p, length) == latest(p, k + length)) length++;
        if (k + length > right) left = k, right = k + length;
        p->run[k] = (int32_t)length;
    }
}

static void apply_dry(penalties *p, float *logits) {
    size_t n = least(p->held, (size_t)p->dry_last_n), allowed = (size_t)p->dry_allowed_length;
    if (n <= allowed) return;
    size_t limit = since_breaker(p, n);
    if (limit < allowed) return;
    find_runs(p, n);
    for (size_t k = 1; k < n; k++) {   // the id after a repeat would make it longer
        int32_t length = (int32_t)least((size_t)p->run[k], limit), *longest = &p->longest[latest(p, k - 1)];
        if ((size_t)length >= allowed && length > *longest) *longest = length;
    }
    for (size_t k = 1; k < n; k++) {
        int32_t id = latest(p, k - 1), length = p->longest[id];
        if (length == 0) continue;
        p->longest[id] = 0;
        if (logits[id] == -INFINITY || breaks_alone(p, id)) continue;
        double penalty = p->dry_multiplier * fm_pow(p->dry_base, length - p->dry_allowed_length);
        logits[id] = saturate(logits[id] - penalty);
    }
}

// ---- All of them ----

static int dry_active(const penalties *p) { return p->dry_multiplier > 0 && p->dry_last_n > 0; }

int penalties_active(const penalties *p) { return p->n_biases > 0 || repeats_active(p) || dry_active(p); }

int penalties_may_move(const penalties *p, int32_t id) {
    if (repeats_active(p) || dry_active(p) || (p->bias_slot && p->bias_slot[id])) return 1;
    for (size_t i = 0; i < p->n_biases; i++)
        if (p->biases[i].value > 0) return 1;
    return 0;
}

size_t penalties_reach(const penalties *p) {
    size_t repeats = repeats_active(p) ? (size_t)p->last_n : 0, dry = dry_active(p) ? (size_t)p->dry_last_n : 0;
    return repeats > dry ? repeats : dry;
}
size_t penalties_held(const penalties *p) { return least(p->held, penalties_reach(p)); }

void penalties_save(const penalties *p, uint8_t *ids) {
    for (size_t n = penalties_held(p), i = 0; i < n; i++) {
        int32_t id = latest(p, n - 1 - i);
        memcpy(ids + i * sizeof id, &id, sizeof id);
    }
}

// Clear only what was counted: a vocabulary is large.
void penalties_restore(penalties *p, const uint8_t *ids, size_t n) {
    for (size_t i = 0; i < least(p->held, (size_t)p->last_n); i++) p->count[latest(p, i)] = 0;
    p->head = p->held = 0;
    for (size_t i = n - least(n, p->capacity); i < n; i++) {
        int32_t id;
        memcpy(&id, ids + i * sizeof id, sizeof id);
        (void)penalties_accept(p, id);
    }
}

void penalties_apply(penalties *p, float *logits) {
    apply_bias(p, logits);
    if (repeats_active(p)) apply_repeats(p, logits);
    if (p->dry_multiplier > 0) apply_dry(p, logits);
}
