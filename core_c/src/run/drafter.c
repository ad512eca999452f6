// Ids that a draft model proposes: drawn from its logits by the session's own sampler, whose state is put back
// afterwards. So they are drawn with the random numbers that the session's own ids will be drawn with, and are the same
// where the two models agree. It keeps a session of the draft model, which follows the ids of this one.
#include <math.h>   // INFINITY, a macro
#include <string.h>
#include "../cpu.h"
#include "../fmath.h"
#include "../memory.h"
#include "session.h"

#define LEAST_GAIN 1.05   // over what is made without the draft: less is not worth it
#define GUESS_ROW 0.15    // what a row of the draft's pass adds to its time, where that is not known

enum {
    FEW = AHEAD_MAX + 1,   // ids that it lacks where it followed so far, at most
    LIKELY_LEFT = 128,     // ids that an answer is taken to go on for, at least
    SEEN_FIRST = 12,       // ids of an answer after which it is decided to evaluate a prompt
    RECENT = 16,           // ids that `left` is about
};

void drafter_drop(gemel_session *s) {
    drafter *d = &s->ahead.drafter;
    gemel_session_close(d->s);
    sampler_place_close(&d->place);
    memory_free(d->logits);
    *d = (drafter){0};
}

void drafter_cut(gemel_session *s, int n_past) {
    gemel_session *own = s->ahead.drafter.s;
    if (own && own->n_past > n_past) (void)gemel_session_truncate(own, gemel_session_keeps(own, n_past));
}

void drafter_share(gemel_session *to, const gemel_session *from, int n_past) {
    const gemel_session *own = from->ahead.drafter.s;
    if (!own) return;
    int n = gemel_session_keeps(own, n_past < own->n_past ? n_past : own->n_past);
    (void)gemel_session_fork(own, n, &to->ahead.drafter.s);   // without memory it begins again
}

void drafter_count(drafter *d, int is_first, int is_left) {
    if (is_first) d->n_drawn = 0, d->left = 1;
    d->n_drawn++;
    d->left += ((is_left ? 1.0f : 0.0f) - d->left) / RECENT;
}

// ---- Following the session --------------------------------------------------------------------------------------

// Have a session of the draft model that agrees with this one's ids as far as it goes. Returns how many ids it has; -1:
// there is none.
static int agree(gemel_session *s, gemel_model *draft, const asked_ahead *a) {
    drafter *d = &s->ahead.drafter;
    int n_ctx = s->n_ctx < draft->n_ctx_train ? s->n_ctx : draft->n_ctx_train, total = s->n_past + a->n, n = 0;
    if (d->s && d->s->m != draft) drafter_drop(s);
    if (total + 1 > n_ctx) return -1;
    if (!d->s && gemel_session_open(draft, n_ctx, &d->s) < 0) return -1;
    while (n < d->s->n_past && n < total - 1 && d->s->ids[n] == asked_id(s, a, n)) n++;
    n = gemel_session_keeps(d->s, n);
    return gemel_session_truncate(d->s, n) < 0 ? -1 : n;
}

// Evaluate the ids from `from` on, in micro-batches; the last leaves logits. 0 or an error.
static int follow(gemel_session *s, const asked_ahead *a, int from) {
    gemel_session *own = s->ahead.drafter.s;
    int32_t ids[N_BATCH_MAX];
    int total = s->n_past + a->n, code = GEMEL_OK;
    while (from < total && code >= 0) {
        int left = total - from, n = left < own->m->n_batch ? left : own->m->n_batch;
        double start = threads_now();
        for (int i = 0; i < n; i++) ids[i] = asked_id(s, a, from + i);
        if (session_cancelled(s)) return GEMEL_E_CANCELLED;
        code = n == left ? gemel_session_eval(own, ids, (size_t)n) : gemel_session_fill(own, ids, (size_t)n);
        double seconds = threads_now() - start;
        if (code >= 0 && start >= 0 && n >= COSTS_MAX)   // as if it had been COSTS_MAX rows
            costs_note(&s->m->drafter_costs, COSTS_MAX, seconds * COSTS_MAX / n);
        from += n;
    }
    return code < 0 ? code : GEMEL_OK;
}

// ---- What it costs ------------------------------------------------------------------------------------------------

// Units that the draft takes to evaluate n ids and to draw one.
static double time_of_rows(const gemel_session *s, const gemel_model *draft, int n) {
    const costs *c = &s->m->drafter_costs;
    double one = costs_known(c, 1);
    if (!one) one = costs_known(&s->m->costs, 1) * draft->totals.decode_size / s->m->totals.decode_size;
    if (n <= 1) return one;
    double many = costs_known(c, COSTS_MAX);
    if (!many) many = one * (1 + GUESS_ROW * (COSTS_MAX - 1));
    return n < COSTS_MAX ? one + (many - one) * (n - 1) / (COSTS_MAX - 1) : many * n / COSTS_MAX;
}

// How far the draft is trusted for these ids.
static trust *trust_of(const gemel_session *s, const asked_ahead *a) {
    return &s->m->drafter_trust[!sampler_is_greedy(a->sampler)];
}

// Whether drafting pays: more ids per unit of time than at best without, and enough of them to evaluate n ids first.
static int pays(const gemel_session *s, const gemel_model *draft, const asked_ahead *a, int n) {
    double chance[AHEAD_MAX], plain = costs_known(&s->m->costs, a->all), mean = trust_mean(trust_of(s, a)), speed;
    if (!plain) return 0;
    double before = a->all / plain > a->speed ? a->all / plain : a->speed;
    double each = time_of_rows(s, draft, 1);
    for (int i = 0; i < a->max; i++) chance[i] = mean;
    int best = draft_best(&s->m->costs, a->all, chance, a->max, 0, each, &speed);
    if (!best || speed <= before * LEAST_GAIN) return 0;
    if (n <= FEW) return 1;   // it followed so far
    const drafter *d = &s->ahead.drafter;
    if (d->n_drawn < SEEN_FIRST) return 0;
    double left = d->left * (d->n_drawn > LIKELY_LEFT ? d->n_drawn : LIKELY_LEFT);
    return time_of_rows(s, draft, n) < left * a->all * (1 / before - 1 / speed);
}

// ---- Drafting -----------------------------------------------------------------------------------------------------

typedef struct drafting {
    gemel_session *s, *own;
    const asked_ahead *a;
    proposal *p;
    double chance[AHEAD_MAX], reached;   // of each id; that all so far are drawn
    double spent;                        // units
    int is_all;                          // draft as many as may be
    trust *trust;
} drafting;

// The draft's logits as the sampler takes them: [n_vocab] of this model. NULL: no memory.
static const float *logits_of(drafting *g) {
    drafter *d = &g->s->ahead.drafter;
    int n = g->s->m->n_vocab, have = g->own->m->n_vocab;
    if (have >= n) return g->own->logits;
    if (!d->logits) d->logits = memory_get((size_t)n * sizeof *d->logits);
    if (!d->logits) return NULL;
    memcpy(d->logits, g->own->logits, (size_t)have * sizeof *d->logits);
    for (int i = have; i < n; i++) d->logits[i] = -INFINITY;
    return d->logits;
}

static double probability(const gemel_session *own, int32_t id) {
    double p;
    uint64_t mode = cpu_float_enter();
    p = fm_exp((double)own->logits[id] - own->peak.max) /
        own->m->k->exp_sum(own->logits, own->m->n_vocab, own->peak.max);
    cpu_float_leave(mode);
    return p;
}

// Draw an id and add it to the proposal. 0: there is no more.
static int draw(drafting *g) {
    proposal *p = g->p;
    const float *logits = logits_of(g);
    if (!logits) return 0;
    int id = sampler_sample(g->a->sampler, logits, g->own->peak.at < g->s->m->n_vocab ? &g->own->peak : NULL);
    if (id < 0 || id >= g->own->m->n_vocab || tokenizer_is_eog(g->s->m->tok, id)) return 0;
    int i = p->n_ids++;
    p->ids[i] = id;
    int kind = trust_kind(probability(g->own, id));
    p->kinds[i] = sampler_is_greedy(g->a->sampler) ? kind : TRUSTS + kind;
    g->chance[i] = trust_chance(g->trust, kind);
    g->reached *= g->chance[i];
    trust_count(g->trust, kind);
    return sampler_try(g->a->sampler, &g->s->ahead.drafter.place, id) == GEMEL_OK &&
           gemel_sampler_ends(g->a->sampler) < 2;
}

// Whether to draft one more id, which takes time and may be worth a row.
static int goes_on(const drafting *g) {
    const gemel_model *m = g->s->m;
    int rows = g->a->all, n = g->p->n_ids;
    double speed;
    if (n >= g->a->max || rows + n + 1 > COSTS_MAX) return 0;
    if (g->is_all) return 1;
    (void)draft_best(&m->costs, rows, g->chance, n, g->spent, 0, &speed);
    double row = costs_time(&m->costs, rows, rows + n + 1) - costs_time(&m->costs, rows, rows + n);
    return trust_gain(g->trust, g->reached, speed * row) > speed * time_of_rows(g->s, g->own->m, 1);
}

// Draw ids one after another. start: when a pass of one row began that made the first one's logits; negative: none did.
static void draft_ids(drafting *g, double start) {
    int goes = draw(g);
    for (;; goes = draw(g)) {
        double now = threads_now();
        if (start >= 0) costs_note(&g->s->m->drafter_costs, 1, now - start);
        if (!goes || !goes_on(g)) return;
        start = now;
        g->spent += time_of_rows(g->s, g->own->m, 1);
        if (gemel_session_eval(g->own, &g->p->ids[g->p->n_ids - 1], 1) < 0) return;
    }
}

void drafter_propose(gemel_session *s, const asked_ahead *a, proposal *p) {
    gemel_model *m = s->m, *draft = atomic_load(&m->drafter);
    drafter *d = &s->ahead.drafter;
    drafting g = {.s = s, .a = a, .p = p, .reached = 1, .trust = trust_of(s, a)};
    if (!draft || a->all >= COSTS_MAX) return;
    g.is_all = atomic_load(&m->draft) == GEMEL_DRAFT_ALWAYS;
    int have = agree(s, draft, a), missing = s->n_past + a->n - have;
    if (have < 0) return;
    if (!g.is_all && !pays(s, draft, a, missing)) {
        trust_recover(g.trust);
        return;
    }
    g.own = d->s;
    g.spent = time_of_rows(s, draft, missing <= FEW ? missing : 1);   // many rows are for all drafts that follow
    double start = missing == 1 ? threads_now() : -1;
    if (follow(s, a, have) < 0 || !sampler_leave(a->sampler, &d->place)) return;
    draft_ids(&g, start);
    sampler_back(a->sampler, &d->place);
    if (g.is_all) p->n = p->n_ids, p->speed = p->n + 0.5;   // of as many, these before all others
    else p->n = draft_best(&m->costs, a->all, g.chance, p->n_ids, g.spent, 0, &p->speed);
}

void drafter_note(gemel_session *s, int kind, int is_drawn) {
    trust_note(&s->m->drafter_trust[kind / TRUSTS], kind % TRUSTS, is_drawn);
}
