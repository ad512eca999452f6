// Options, the order of the steps, the random number generator, and saving the state that drawing changes.
// Each step is a function of penalties.c or candidates.c. All memory that sampling needs is taken when the sampler
// opens or an option is set.
#include "sampler.h"
#include "../errors.h"
#include "../grammar/closing.h"
#include "../grammar/forced.h"
#include "candidates.h"
#include "penalties.h"
#include <float.h>
#include <math.h>   // INFINITY, a macro
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct gemel_sampler {
    const tokenizer *tok;   // the model's; steps that need the texts of ids use it
    int n_vocab;
    double value[GEMEL_SAMPLER_SEED + 1];   // by gemel_sampler_option; the seed in use is `seed`
    uint64_t seed;
    penalties history;
    candidates candidates;
    float *logits;                  // [n_vocab] with penalties
    uint64_t rng;                   // state of the generator
    double mu;                      // mirostat 2: the surprise allowed, in bits
    const gemel_grammar *grammar;   // NULL: none
    mask mask;                      // its place, and what it allows
    int is_mask_only;               // nothing is evaluated ahead
    closing *closing;               // NULL: the answer may be cut
    uint32_t limit, left;           // with closing: ids of the whole answer, and of the rest
};

// ---- Options ----

enum { WHOLE = 1, ABOVE = 2, BELOW = 4 };   // an integer; `least` itself is out of range; `most` itself is

typedef struct option {
    double initial, least, most;
    int kind;
} option;

static const option options[GEMEL_SAMPLER_SEED + 1] = {
    [GEMEL_SAMPLER_TEMPERATURE] = {0.8, 0, DBL_MAX, 0},
    [GEMEL_SAMPLER_TOP_K] = {40, 0, INT32_MAX, WHOLE},
    [GEMEL_SAMPLER_TOP_P] = {0.95, 0, 1, ABOVE},
    [GEMEL_SAMPLER_MIN_P] = {0.05, 0, 1, BELOW},
    [GEMEL_SAMPLER_TYPICAL_P] = {1, 0, 1, ABOVE},
    [GEMEL_SAMPLER_REPEAT_PENALTY] = {1, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_FREQUENCY_PENALTY] = {0, -2, 2, 0},
    [GEMEL_SAMPLER_PRESENCE_PENALTY] = {0, -2, 2, 0},
    [GEMEL_SAMPLER_PENALTY_LAST_N] = {64, 0, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_DRY_MULTIPLIER] = {0, 0, DBL_MAX, 0},
    [GEMEL_SAMPLER_DRY_BASE] = {1.75, 1, DBL_MAX, 0},
    [GEMEL_SAMPLER_DRY_ALLOWED_LENGTH] = {2, 1, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_DRY_LAST_N] = {1024, 0, PENALTIES_LAST_N_MAX, WHOLE},
    [GEMEL_SAMPLER_XTC_PROBABILITY] = {0, 0, 1, 0},
    [GEMEL_SAMPLER_XTC_THRESHOLD] = {0.1, 0, 0.5, 0},
    [GEMEL_SAMPLER_MIROSTAT] = {0, 0, 2, WHOLE},
    [GEMEL_SAMPLER_MIROSTAT_TAU] = {5, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_MIROSTAT_ETA] = {0.1, 0, DBL_MAX, ABOVE},
    [GEMEL_SAMPLER_SEED] = {0, 0, 0x1p53, WHOLE},
};

static int in_range(int id, double value) {
    if (id < GEMEL_SAMPLER_TEMPERATURE || id > GEMEL_SAMPLER_SEED) return 0;
    const option *o = &options[id];
    if (!(value >= o->least && value <= o->most)) return 0;   // NaN, too
    if (((o->kind & ABOVE) && value == o->least) || ((o->kind & BELOW) && value == o->most)) return 0;
    if ((o->kind & WHOLE) && (double)(int64_t)value != value) return 0;
    return !(id == GEMEL_SAMPLER_MIROSTAT && value == 1);
}

// What follows from an option's value.
static int take_option(gemel_sampler *s, int id) {
    const double *v = s->value;
    penalties *history = &s->history;
    switch (id) {
    case GEMEL_SAMPLER_REPEAT_PENALTY: history->repeat = v[id]; break;
    case GEMEL_SAMPLER_FREQUENCY_PENALTY: history->frequency = v[id]; break;
    case GEMEL_SAMPLER_PRESENCE_PENALTY: history->presence = v[id]; break;
    case GEMEL_SAMPLER_DRY_MULTIPLIER: history->dry_multiplier = v[id]; break;
    case GEMEL_SAMPLER_DRY_BASE: history->dry_base = v[id]; break;
    case GEMEL_SAMPLER_DRY_ALLOWED_LENGTH: history->dry_allowed_length = (int)v[id]; break;
    case GEMEL_SAMPLER_PENALTY_LAST_N:
    case GEMEL_SAMPLER_DRY_LAST_N:
        return penalties_look_back(history, (int)v[GEMEL_SAMPLER_PENALTY_LAST_N], (int)v[GEMEL_SAMPLER_DRY_LAST_N]);
    case GEMEL_SAMPLER_MIROSTAT_TAU: s->mu = 2 * v[id]; break;
    case GEMEL_SAMPLER_SEED: s->rng = s->seed = (uint64_t)v[id]; break;
    default: break;   // read where it is used
    }
    return GEMEL_OK;
}

int gemel_sampler_set(gemel_sampler *s, int option, double value) {
    if (!s || !in_range(option, value)) return GEMEL_E_ARGUMENT;
    double before = s->value[option];
    s->value[option] = value;
    int code = take_option(s, option);
    if (code) s->value[option] = before;
    return code;
}

int gemel_sampler_seed(gemel_sampler *s, uint32_t low, uint32_t high) {
    if (!s) return GEMEL_E_ARGUMENT;
    s->rng = s->seed = (uint64_t)high << 32 | low;
    return GEMEL_OK;
}

// ---- Open, close, what it accepts ----

static int open_parts(gemel_sampler *s) {
    int code = penalties_open(&s->history, s->n_vocab);
    if (!code) code = candidates_open(&s->candidates, s->n_vocab);
    if (!code && !(s->logits = malloc((size_t)s->n_vocab * sizeof *s->logits))) code = GEMEL_E_MEMORY;
    for (int id = 1; id <= GEMEL_SAMPLER_SEED; id++) s->value[id] = options[id].initial;
    for (int id = 1; !code && id <= GEMEL_SAMPLER_SEED; id++) code = take_option(s, id);
    return code;
}

int sampler_open(gemel_sampler **out, const tokenizer *t) {
    if (!out) return GEMEL_E_ARGUMENT;
    *out = NULL;
    if (!t) return GEMEL_E_ARGUMENT;
    int n_vocab = tokenizer_n_vocab(t);
    if ((size_t)n_vocab > SIZE_MAX / sizeof(uint64_t)) return GEMEL_E_MEMORY;
    gemel_sampler *s = calloc(1, sizeof *s);
    if (!s) return GEMEL_E_MEMORY;
    s->tok = t;
    s->n_vocab = n_vocab;
    int code = open_parts(s);
    if (code) gemel_sampler_close(s);
    else *out = s;
    return code;
}

int sampler_n_vocab(const gemel_sampler *s) { return s->n_vocab; }

static void leave_closing(gemel_sampler *s) {
    if (s->closing) closing_close(s->closing);
    free(s->closing);
    s->closing = NULL;
}

static void leave_grammar(gemel_sampler *s) {
    leave_closing(s);
    if (s->grammar) mask_close(&s->mask);
    s->grammar = NULL;
}

void gemel_sampler_close(gemel_sampler *s) {
    if (!s) return;
    leave_grammar(s);
    penalties_close(&s->history);
    candidates_close(&s->candidates);
    free(s->logits);
    free(s);
}

int gemel_sampler_bias(gemel_sampler *s, int32_t id, float bias) {
    return s ? penalties_bias(&s->history, id, bias) : GEMEL_E_ARGUMENT;
}

int gemel_sampler_dry_breaker(gemel_sampler *s, const int32_t *ids, size_t n) {
    return s ? penalties_breaker(&s->history, ids, n) : GEMEL_E_ARGUMENT;
}

// Go on in the grammar with an id that it allows, and with closing also the limit.
static int take(gemel_sampler *s, int32_t id) {
    uint32_t set;
    int code = mask_after(&s->mask, id, &set);
    if (code < 0) return code;
    if (s->closing) code = s->left ? closing_take(s->closing, &s->mask, id, set, s->left - 1) : GEMEL_E_ARGUMENT;
    if (code < 0) return code;
    mask_go_on(&s->mask, set);
    s->left -= s->closing != NULL;
    return GEMEL_OK;
}

int gemel_sampler_accept(gemel_sampler *s, int32_t id) {
    int code = !s ? GEMEL_E_ARGUMENT : s->grammar ? take(s, id) : GEMEL_OK;
    return code < 0 ? code : penalties_accept(&s->history, id);
}

int gemel_sampler_use(gemel_sampler *s, const gemel_grammar *g, int flags) {
    if (!s || (flags & ~(GEMEL_USE_MESSAGE | GEMEL_USE_MASK_ONLY)) || (g ? g->tok != s->tok : flags))
        return GEMEL_E_ARGUMENT;
    mask opened;
    int code = g ? mask_open(&opened, g, flags & GEMEL_USE_MESSAGE) : GEMEL_OK;
    if (code < 0) {
        mask_close(&opened);
        return code;
    }
    leave_grammar(s);
    s->grammar = g;
    s->is_mask_only = (flags & GEMEL_USE_MASK_ONLY) != 0;
    if (g) s->mask = opened;
    return GEMEL_OK;
}

int gemel_sampler_close_within(gemel_sampler *s, int n) {
    if (!s || !s->grammar || n < 1) return GEMEL_E_ARGUMENT;
    closing *c = malloc(sizeof *c);
    int code = c ? closing_open(c, &s->mask) : GEMEL_E_MEMORY;
    uint32_t needs = NEVER;
    if (code == GEMEL_OK) code = closing_needs(c, &s->mask, &needs);
    if (code == GEMEL_OK && needs == NEVER) code = GEMEL_E_GRAMMAR;
    if (code == GEMEL_OK && needs <= (uint32_t)n) {
        leave_closing(s);
        s->closing = c, s->limit = s->left = (uint32_t)n;
        return (int)needs;
    }
    if (c) closing_close(c);
    free(c);
    return code < 0 ? code : (int)needs;
}

int sampler_forced(gemel_sampler *s, int32_t *ids, int max) {
    return s->grammar && !s->is_mask_only ? mask_forced(&s->mask, ids, max) : 0;
}

int sampler_is_greedy(const gemel_sampler *s) { return s->value[GEMEL_SAMPLER_TEMPERATURE] == 0; }
int sampler_is_mask_only(const gemel_sampler *s) { return s->grammar && s->is_mask_only; }

int gemel_sampler_ends(const gemel_sampler *s) {
    if (!s) return GEMEL_E_ARGUMENT;
    const matcher *m = &s->mask.m;
    if (!s->grammar || !matcher_may_end(m, m->now)) return 0;
    return matcher_must_end(m, m->now) || (s->closing && !s->left) ? 2 : 1;
}

// Make s->mask.bits.
static int fill_mask(gemel_sampler *s) {
    int code = mask_fill(&s->mask);
    if (code < 0 || !s->closing) return code;
    return s->left ? closing_limit(s->closing, &s->mask, s->left - 1) : GEMEL_E_GRAMMAR;
}

int gemel_sampler_allowed(gemel_sampler *s, uint8_t *allowed) {
    if (!s || !s->grammar || !allowed) return GEMEL_E_ARGUMENT;
    int code = fill_mask(s), n = 0;
    if (code < 0) return code;
    for (int32_t id = 0; id < s->n_vocab; id++) n += allowed[id] = (uint8_t)mask_allows(&s->mask, id);
    return n;
}

int gemel_sampler_reset(gemel_sampler *s) {
    if (!s) return GEMEL_E_ARGUMENT;
    penalties_forget(&s->history);
    if (s->grammar) mask_begin(&s->mask);
    leave_closing(s);
    s->rng = s->seed;
    s->mu = 2 * s->value[GEMEL_SAMPLER_MIROSTAT_TAU];
    return GEMEL_OK;
}

// ---- Sampling ----

// A multiple of 2^-53 in [0, 1), by splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014).
static double uniform(gemel_sampler *s) {
    uint64_t z = s->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

// The first step reads all logits, so it also makes the list of candidates.
static void fill(gemel_sampler *s, const float *logits, float best) {
    const double *v = s->value;
    int alone = v[GEMEL_SAMPLER_TOP_P] == 1 && v[GEMEL_SAMPLER_TYPICAL_P] == 1;   // then min-p is the first step
    if (v[GEMEL_SAMPLER_MIROSTAT] != 0) candidates_fill(&s->candidates, logits);
    else if (v[GEMEL_SAMPLER_TOP_K] > 0) candidates_fill_top_k(&s->candidates, logits, (size_t)v[GEMEL_SAMPLER_TOP_K]);
    else if (v[GEMEL_SAMPLER_MIN_P] > 0 && alone)
        candidates_fill_min_p(&s->candidates, logits, best, v[GEMEL_SAMPLER_MIN_P]);
    else candidates_fill(&s->candidates, logits);
}

static void narrow(gemel_sampler *s) {
    const double *v = s->value;
    candidates *c = &s->candidates;
    if (v[GEMEL_SAMPLER_TYPICAL_P] < 1) candidates_keep_typical(c, v[GEMEL_SAMPLER_TYPICAL_P]);
    if (v[GEMEL_SAMPLER_TOP_P] < 1) candidates_keep_top_p(c, v[GEMEL_SAMPLER_TOP_P]);
    if (v[GEMEL_SAMPLER_MIN_P] > 0) candidates_keep_min_p(c, v[GEMEL_SAMPLER_MIN_P]);
    if (v[GEMEL_SAMPLER_XTC_PROBABILITY] > 0 && uniform(s) < v[GEMEL_SAMPLER_XTC_PROBABILITY]) {
        candidates_drop_top(c, v[GEMEL_SAMPLER_XTC_THRESHOLD]);
    }
}

// By constants, so that compilers make vectors of it.
static void copy_32(float *restrict to, const float *restrict logits, uint32_t bits) {
    static const uint32_t bit_of[32] = {1u,       1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
                                        1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
                                        1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
                                        1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};
    for (int j = 0; j < 32; j++) to[j] = bits & bit_of[j] ? logits[j] : -INFINITY;
}

// Logits of ids that the grammar does not allow become -INFINITY.
static void copy_allowed(gemel_sampler *s, const float *logits) {
    size_t n = (size_t)s->n_vocab, from = 0;
    if (!s->grammar) {
        memcpy(s->logits, logits, n * sizeof *logits);
        return;
    }
    for (; from + 32 <= n; from += 32) copy_32(s->logits + from, logits + from, s->mask.bits[from / 32]);
    for (; from < n; from++) s->logits[from] = mask_allows(&s->mask, (int32_t)from) ? logits[from] : -INFINITY;
}

// Whether the grammar allows this id, without a mask; 0 also where only a mask can say so.
static int allows_alone(gemel_sampler *s, int32_t id) {
    uint32_t set;
    if (!s->grammar) return 1;
    if (mask_after(&s->mask, id, &set) < 0) return 0;
    return !s->closing || (s->left && closing_allows(s->closing, &s->mask, set, s->left - 1));
}

int sampler_sample(gemel_sampler *s, const float *logits, const logits_peak *known) {
    double temperature = s->value[GEMEL_SAMPLER_TEMPERATURE], surprise;
    int may_be_peak = known && temperature == 0 && !penalties_may_move(&s->history, known->at);
    if (may_be_peak && allows_alone(s, known->at)) return known->at;
    int code = s->grammar ? fill_mask(s) : GEMEL_OK;
    if (code) return code;
    if (may_be_peak && mask_allows(&s->mask, known->at)) return known->at;
    float best = known ? known->max : 0;
    code = known ? GEMEL_OK : logits_best(logits, (size_t)s->n_vocab, &best);
    if (code) return code;
    if (s->grammar || penalties_active(&s->history)) {
        copy_allowed(s, logits);
        if (penalties_active(&s->history)) penalties_apply(&s->history, s->logits);
        logits = s->logits;
        (void)logits_best(logits, (size_t)s->n_vocab, &best);   // finite or -INFINITY by construction
    }
    if (best == -INFINITY) return GEMEL_E_ARGUMENT;
    if (temperature == 0) return logits_find(logits, (size_t)s->n_vocab, best);

    fill(s, logits, best);
    int mirostat = s->value[GEMEL_SAMPLER_MIROSTAT] != 0;
    if (mirostat) candidates_keep_unsurprising(&s->candidates, s->mu);
    else narrow(s);
    int id = candidates_draw(&s->candidates, temperature, uniform(s), &surprise);
    if (mirostat) s->mu -= s->value[GEMEL_SAMPLER_MIROSTAT_ETA] * (surprise - s->value[GEMEL_SAMPLER_MIROSTAT_TAU]);
    return id;
}

int gemel_sampler_sample(gemel_sampler *s, const float *logits) {
    return s && logits ? sampler_sample(s, logits, NULL) : GEMEL_E_ARGUMENT;
}

// ---- Ids that are only tried ----

static int leave_grammar_place(const gemel_sampler *s, sampler_place *p) {
    const matcher *m = &s->mask.m;
    size_t size = matcher_save(m, NULL, 0);
    if (s->mask.unique || (s->closing && s->closing->lists)) return 0;
    if (size > p->matcher_size) {
        uint8_t *more = malloc(size);
        if (!more) return 0;
        free(p->matcher);
        p->matcher = more, p->matcher_size = size;
    }
    (void)matcher_save(m, p->matcher, p->matcher_size);
    p->now = m->now, p->age = m->age, p->left = s->left, p->is_begun = s->mask.is_begun;
    return 1;
}

int sampler_leave(gemel_sampler *s, sampler_place *p) {
    p->n = 0;
    p->rng = s->rng, p->mu = s->mu;
    return !s->grammar || leave_grammar_place(s, p);
}

int sampler_try(gemel_sampler *s, sampler_place *p, int32_t id) {
    int32_t oldest = penalties_oldest(&s->history);
    size_t held = s->history.held;
    int code = p->n < PLACE_IDS ? gemel_sampler_accept(s, id) : GEMEL_E_ARGUMENT;
    if (code == GEMEL_OK) p->undo[p->n].oldest = oldest, p->undo[p->n++].held = held;
    return code;
}

void sampler_back(gemel_sampler *s, sampler_place *p) {
    while (p->n--) penalties_take_back(&s->history, p->undo[p->n].oldest, p->undo[p->n].held);
    s->rng = p->rng, s->mu = p->mu;
    if (!s->grammar) return;
    s->left = p->left, s->mask.is_begun = p->is_begun;
    if (s->mask.m.age == p->age) s->mask.m.now = p->now;   // its sets are still there
    else matcher_restore(&s->mask.m, p->matcher);
}

void sampler_place_close(sampler_place *p) {
    free(p->matcher);
    *p = (sampler_place){0};
}

// ---- Saving ----
// A header, the ids that penalties look back at, the oldest first, and with a grammar: its fingerprint, whether an id
// was accepted, and the place in it. Little endian.

typedef struct saved {
    char magic[8];
    uint64_t checksum;   // FNV-1a of all that follows, 8 bytes at a time
    uint64_t rng;
    double mu;
    int32_t n_vocab, look_back, n_ids, place_size;   // place_size: bytes of the grammar's part; 0: no grammar
} saved;
typedef struct saved_place {
    uint64_t fingerprint, is_begun;
    uint64_t left;         // 1 + ids of the rest; 0: the answer may be cut
    uint64_t lists_size;   // bytes of what the answer's lists have, behind this
    uint64_t text_size;    // bytes of what ends the answer, behind them; then comes the place
} saved_place;
_Static_assert(sizeof(saved) == 48, "the saved layout has no padding");

static const char magic[8] = {'g', 'e', 'm', 'e', 'l', 's', 'a', '4'};   // the last character counts up with the layout

static size_t saved_size(size_t n_ids) { return sizeof(saved) + (n_ids + 1) / 2 * 2 * sizeof(int32_t); }
// The grammar's part: its size; written when that is at most `capacity`.
static size_t save_place(const gemel_sampler *s, uint8_t *data, size_t capacity) {
    if (!s->grammar) return 0;
    const unique *u = s->mask.unique;
    size_t size = sizeof(saved_place), lists = u ? seen_save(&u->lists, NULL, 0) : 0;
    size_t text = s->closing ? closing_save(s->closing, NULL, 0) : 0;
    saved_place place = {s->grammar->rules.fingerprint, (uint64_t)s->mask.is_begun,
                         s->closing ? 1 + (uint64_t)s->left : 0, lists, text};
    if (u && size + lists <= capacity) (void)seen_save(&u->lists, data + size, lists);
    size += lists;
    if (text && size + text <= capacity) (void)closing_save(s->closing, data + size, text);
    size += text;
    size_t room = capacity < size ? 0 : capacity - size;
    size += matcher_save(&s->mask.m, room ? data + size : NULL, room);
    if (size <= capacity) memcpy(data, &place, sizeof place);
    return size;
}
static uint64_t checksum(const uint8_t *data, size_t size) {
    uint64_t h = 0xcbf29ce484222325u, word;
    for (size_t i = offsetof(saved, rng); i < size; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

size_t gemel_sampler_save_size(const gemel_sampler *s) {
    return s ? saved_size(penalties_held(&s->history)) + save_place(s, NULL, 0) : 0;
}

int gemel_sampler_save(const gemel_sampler *s, uint8_t *data, size_t capacity) {
    if (!s || !data) return GEMEL_E_ARGUMENT;
    size_t n_ids = penalties_held(&s->history), before = saved_size(n_ids);
    if (capacity < before) return GEMEL_E_ARGUMENT;
    size_t place_size = save_place(s, data + before, capacity - before);
    if (place_size > capacity - before) return GEMEL_E_ARGUMENT;
    saved h = {.rng = s->rng, .mu = s->mu, .n_vocab = s->n_vocab, .n_ids = (int32_t)n_ids};
    h.look_back = (int32_t)penalties_reach(&s->history), h.place_size = (int32_t)place_size;
    memcpy(h.magic, magic, sizeof magic);
    memset(data, 0, before);
    memcpy(data, &h, sizeof h);
    penalties_save(&s->history, data + sizeof h);
    h.checksum = checksum(data, before + place_size);
    memcpy(data, &h, sizeof h);
    return GEMEL_OK;
}

static int check_lists(const gemel_sampler *s, const uint8_t *data, size_t size) {
    if (!s->mask.unique) return !size;
    seen lists = {0};
    int ok = seen_restore(&lists, data, size);
    seen_close(&lists);
    return ok;
}

static int check_text(const gemel_sampler *s, const uint8_t *data, size_t size) {
    return s->closing ? closing_check(s->closing, data, size) : !size;
}

static int check_place(const gemel_sampler *s, const uint8_t *data, size_t size, errors *e) {
    saved_place place;
    if (!s->grammar != !size)
        return fail(e, GEMEL_E_STATE, "the saved sampler has %s grammar, but this one has %s: use the same grammar",
                    size ? "a" : "no", size ? "none" : "one");
    if (!size) return GEMEL_OK;
    if (size < sizeof place) return fail(e, GEMEL_E_STATE, "the saved sampler is corrupt: its grammar's part is short");
    memcpy(&place, data, sizeof place);
    if (place.fingerprint != s->grammar->rules.fingerprint)
        return fail(e, GEMEL_E_STATE, "the saved sampler has another grammar: use the same one");
    if (!place.left != !s->closing)
        return fail(e, GEMEL_E_STATE, "the saved sampler %s its answer within a limit, but this one %s: set the same",
                    place.left ? "closes" : "doesn't close", place.left ? "doesn't" : "does");
    data += sizeof place, size -= sizeof place;
    uint64_t before = place.lists_size + place.text_size;   // of the place
    if (place.is_begun > 1 || place.left > 1 + (uint64_t)s->limit || place.lists_size > size || before > size ||
        place.lists_size % 8 || !check_lists(s, data, (size_t)place.lists_size) ||
        !check_text(s, data + place.lists_size, (size_t)place.text_size) ||
        !matcher_check(&s->mask.m, data + before, size - (size_t)before))
        return fail(e, GEMEL_E_STATE, "the saved sampler is corrupt: it has no place in the grammar");
    if (!s->closing || s->mask.unique) return GEMEL_OK;
    int is_first = !place.is_begun && s->mask.drops_space;   // what a message needs depends on its first id
    if (place.left <= (is_first ? s->closing->n_ids : closing_needs_at(s->closing, data + before)))
        return fail(e, GEMEL_E_STATE, "the saved sampler is corrupt: its answer can't end within its limit");
    return GEMEL_OK;
}

static int check_saved(const gemel_sampler *s, const saved *h, const uint8_t *data, size_t size, errors *e) {
    if (size < sizeof *h || memcmp(h->magic, magic, sizeof magic - 1))
        return fail(e, GEMEL_E_STATE, "these bytes are not a saved sampler");
    if (h->magic[7] != magic[7])
        return fail(e, GEMEL_E_STATE, "the saved sampler was written by another version of gemel");
    if (h->n_ids < 0 || (size_t)h->n_ids > size / sizeof(int32_t) || h->place_size < 0 || h->place_size % 8 ||
        size < (size_t)h->place_size || size - (size_t)h->place_size != saved_size((size_t)h->n_ids))
        return fail(e, GEMEL_E_STATE, "the saved sampler is truncated or has extra bytes: %zu bytes with %d ids", size,
                    (int)h->n_ids);
    if (h->checksum != checksum(data, size))
        return fail(e, GEMEL_E_STATE, "the saved sampler is damaged: its checksum differs");
    if (h->n_vocab != s->n_vocab)
        return fail(e, GEMEL_E_STATE, "the saved sampler is for a vocabulary of %d ids, but this one has %d",
                    (int)h->n_vocab, s->n_vocab);
    if (h->look_back < h->n_ids || h->look_back > PENALTIES_LAST_N_MAX)
        return fail(e, GEMEL_E_STATE, "the saved sampler is corrupt: it looks back at %d ids and has %d",
                    (int)h->look_back, (int)h->n_ids);
    for (int i = 0; i < h->n_ids; i++) {
        int32_t id;
        memcpy(&id, data + sizeof *h + (size_t)i * sizeof id, sizeof id);
        if (id < 0 || id >= s->n_vocab)
            return fail(e, GEMEL_E_STATE, "the saved sampler is corrupt: id %d at index %d", (int)id, i);
    }
    // Fewer ids than it looked back at are all that there were.
    if (h->n_ids == h->look_back && (size_t)h->look_back < penalties_reach(&s->history))
        return fail(e, GEMEL_E_STATE,
                    "the saved sampler's penalties look back at %d ids, but this one's at %zu: set the same options",
                    (int)h->look_back, penalties_reach(&s->history));
    return check_place(s, data + size - (size_t)h->place_size, (size_t)h->place_size, e);
}

int gemel_sampler_restore(gemel_sampler *s, const uint8_t *data, size_t size, char *err, size_t err_size) {
    errors e = {err, err_size};
    saved h = {.rng = 0};
    if (!s || !data) return fail(&e, GEMEL_E_ARGUMENT, "the sampler or the data is NULL");
    if (size >= sizeof h) memcpy(&h, data, sizeof h);
    int code = check_saved(s, &h, data, size, &e);
    if (code < 0) return code;
    penalties_restore(&s->history, data + sizeof h, (size_t)h.n_ids);
    s->rng = h.rng;
    s->mu = h.mu;
    if (s->grammar) {
        const uint8_t *at = data + size - (size_t)h.place_size;
        saved_place place;
        memcpy(&place, at, sizeof place);
        s->mask.is_begun = (int)place.is_begun;
        s->left = place.left ? (uint32_t)place.left - 1 : 0;
        at += sizeof place;
        if (s->mask.unique && !seen_restore(&s->mask.unique->lists, at, (size_t)place.lists_size))
            return fail(&e, GEMEL_E_MEMORY, "no memory for the items of the answer's lists");
        at += place.lists_size;
        matcher_restore(&s->mask.m, at + place.text_size);
        if (s->closing) closing_restore(s->closing, &s->mask, at);
    }
    return GEMEL_OK;
}
