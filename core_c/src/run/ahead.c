// Proposed rows of a pass, and what they gave, until the ids that are drawn need it.
#include <stdlib.h>
#include <string.h>
#include "../memory.h"
#include "session.h"

#define FORCED_SPEED 1e300   // nothing else is tried

// Proposes ids that may follow those of a pass.
typedef struct ahead_source {
    // Fill in p, which is zero: nothing is proposed.
    void (*propose)(gemel_session *s, const asked_ahead *a, proposal *p);
    void (*note)(gemel_session *s, int kind, int is_drawn);   // whether an id of this kind was drawn
} ahead_source;

static int evaluates_all(const gemel_session *s) { return atomic_load(&s->m->draft) == GEMEL_DRAFT_ALWAYS; }

// ---- Text that a grammar forces: its tokens may be others --------------------------------------------------------

#define FORCED_CHANCE 0.9f   // that a model draws the tokens into which gemel cuts forced text, at first

// After one id, as many as pay; beside a chunk of a prompt, and where times are not known, all.
static void propose_forced(gemel_session *s, const asked_ahead *asked, proposal *p) {
    ahead *a = &s->ahead;
    int max = a->trust && a->trust < asked->max ? a->trust : asked->max;
    int is_measured = asked->n == 1 && costs_has(&s->m->costs, asked->all) && !evaluates_all(s);
    if (!a->forced.is_begun) chances_begin(&a->forced, FORCED_CHANCE);
    p->n = p->n_ids = sampler_forced(asked->sampler, p->ids, max);
    for (int i = 0; i < p->n_ids; i++) p->kinds[i] = 1 + i;
    if (p->n && is_measured) p->n = draft_length(&s->m->costs, &a->forced, asked->all, 1, p->n_ids, &p->speed);
    p->speed = FORCED_SPEED;
}

static void note_forced(gemel_session *s, int kind, int is_drawn) {
    ahead *a = &s->ahead;
    chances_note(&a->forced, kind, is_drawn);
    if (!is_drawn) a->trust = a->at ? a->at : 1;
    else if (a->at + 1 == a->n) a->trust = AHEAD_MAX;
}

// ---- What followed when the end of the text occurred before ------------------------------------------------------

// Bring `text` up to the session's ids and those of the pass. 0: no memory.
static int read_on(gemel_session *s, const asked_ahead *asked) {
    ahead *a = &s->ahead;
    repeats *t = &a->text;
    int total = s->n_past + asked->n;
    for (int i = a->n_same; i < t->n; i++)
        if (i >= total || !repeats_has(t, i, asked_id(s, asked, i))) repeats_close(t);
    for (int i = t->n; i < total; i++) {
        if (repeats_add(t, asked_id(s, asked, i))) continue;
        repeats_close(t);
        return 0;
    }
    a->n_same = s->n_past;
    return 1;
}

static void propose_repeat(gemel_session *s, const asked_ahead *asked, proposal *p) {
    ahead *a = &s->ahead;
    if (!read_on(s, asked)) return;
    p->n_ids = p->n = repeats_follow(&a->text, p->ids, asked->max);
    for (int i = 0; i < p->n; i++) p->kinds[i] = a->text.length + i;
    if (evaluates_all(s)) p->speed = p->n;
    else if (p->n) p->n = draft_length(&s->m->costs, &a->chances, asked->all, a->text.length, p->n, &p->speed);
}

static void note_repeat(gemel_session *s, int kind, int is_drawn) { chances_note(&s->ahead.chances, kind, is_drawn); }

// ---- What follows in a file of n-grams ---------------------------------------------------------------------------

static void propose_ngrams(gemel_session *s, const asked_ahead *asked, proposal *p) {
    const gemel_ngrams *g = atomic_load(&s->m->ngrams);
    int32_t last[NGRAMS_MOST + AHEAD_MAX];
    int total = s->n_past + asked->n, n = total < NGRAMS_MOST ? total : NGRAMS_MOST;
    double chance[AHEAD_MAX], share;
    if (!g) return;
    for (int i = 0; i < n; i++) last[i] = asked_id(s, asked, total - n + i);
    for (int32_t id; p->n_ids < asked->max && (id = ngrams_next(&g->file, last, n, &share)) >= 0;) {
        int i = p->n_ids++;
        p->ids[i] = last[n++] = id;
        p->kinds[i] = trust_kind(share);
        chance[i] = trust_chance(&s->m->ngrams_trust, p->kinds[i]);
    }
    if (evaluates_all(s)) p->n = p->n_ids, p->speed = p->n + 0.25;   // of as many, these before repeats
    else if (p->n_ids) p->n = draft_best(&s->m->costs, asked->all, chance, p->n_ids, 0, 0, &p->speed);
}

static void note_ngrams(gemel_session *s, int kind, int is_drawn) { trust_note(&s->m->ngrams_trust, kind, is_drawn); }

static const ahead_source sources[GEMEL_N_SOURCES] = {
    [GEMEL_SOURCE_FORCED] = {propose_forced, note_forced},
    [GEMEL_SOURCE_REPEATS] = {propose_repeat, note_repeat},
    [GEMEL_SOURCE_NGRAMS] = {propose_ngrams, note_ngrams},
    [GEMEL_SOURCE_MODEL] = {drafter_propose, drafter_note},
};

// ---- Rows -------------------------------------------------------------------------------------------------------

static size_t vocab_pad(const gemel_session *s) { return (size_t)s->m->output.w.n_panels * 16; }

static void drop_states(gemel_session *s) {
    for (int i = 0; s->states.n && i < AHEAD_MAX; i++) {
        states_drop(&s->states, s->ahead.states[i]);
        s->ahead.states[i] = NULL;
    }
}

void ahead_forget(gemel_session *s) {
    ahead *a = &s->ahead;
    a->n = a->at = a->now.n_ids = 0;
    for (int i = 0; i < GEMEL_N_SOURCES; i++) a->others[i].n_ids = 0;
    drop_states(s);
}

void ahead_drop(gemel_session *s) {
    ahead *a = &s->ahead;
    ahead_forget(s);
    repeats_close(&a->text);
    a->n_same = 0;
    free(a->streams);
    a->streams = NULL;
    for (int i = 0; i < AHEAD_MAX; i++) {
        memory_free(a->logits[i]);
        a->logits[i] = NULL;
    }
}

static int most(const gemel_session *s, int n, int room) {
    size_t each = vocab_pad(s) > s->states.n ? vocab_pad(s) : s->states.n;
    int context = s->n_ctx - s->n_past - n, size = (int)(AHEAD_SIZE / (each * sizeof(float)));
    int least = room < AHEAD_MAX ? room : AHEAD_MAX;
    least = least < context ? least : context;
    return least < size ? least : size;
}

// For n rows from position `at` on.
static int memory_for(gemel_session *s, int at, int n) {
    ahead *a = &s->ahead;
    if (!a->streams) a->streams = malloc((size_t)AHEAD_MAX * (size_t)s->m->n_embd * sizeof(float));
    int ok = a->streams != NULL;
    for (int i = 0; i < n && ok; i++) {
        if (!a->logits[i]) a->logits[i] = memory_get(vocab_pad(s) * sizeof(float));
        ok = a->logits[i] != NULL;
    }
    for (int i = 0; i < n && ok && s->states.n; i++) ok = (a->states[i] = states_get(&s->states, at + i + 1)) != NULL;
    return ok;
}

// Ask the sources, and take the ids of the fastest. The others' first ids are only noted. Without drafts, only forced
// text is evaluated ahead.
static void choose(gemel_session *s, asked_ahead *asked) {
    ahead *a = &s->ahead;
    int is_off = atomic_load(&s->m->draft) == GEMEL_DRAFT_NONE, n_sources = is_off ? 1 : GEMEL_N_SOURCES;
    a->now.n = 0;
    for (int i = 0; i < n_sources && asked->speed < FORCED_SPEED; i++) {
        proposal p = {0};
        sources[i].propose(s, asked, &p);
        if (!p.n_ids) continue;
        int is_best = p.n && p.speed > asked->speed;
        if (is_best && a->now.n) a->others[a->source] = a->now;
        if (is_best) a->now = p, a->source = i, asked->speed = p.speed;
        else a->others[i] = p;
    }
}

int ahead_add(gemel_session *s, gemel_sampler *sampler, row *rows, int n, int room) {
    ahead *a = &s->ahead;
    int max = most(s, n, room);
    ahead_forget(s);
    drafter_count(&a->drafter, n > 1, 1);
    if (max < 1 || !sampler || sampler_is_mask_only(sampler)) return 0;
    choose(s, &(asked_ahead){.sampler = sampler, .rows = rows, .n = n, .all = s->m->n_batch - room, .max = max});
    int found = a->now.n;
    if (!found || kv_reserve(&s->kv, s->n_past, s->n_past + n + found) < 0 || !memory_for(s, s->n_past + n, found)) {
        drop_states(s);
        return 0;
    }
    for (int i = 0; i < found; i++) {
        row *r = &rows[n + i];
        *r = session_row(s, n + i, a->now.ids[i]);
        r->wanted = WANT_STREAM | WANT_LOGITS;
        if (s->states.n) r->state_in = r[-1].state_out, r->state_out = state_floats(a->states[i]);
        r->stream = a->streams + (size_t)i * (size_t)s->m->n_embd;
        r->logits = a->logits[i];
        r->peak = &a->peaks[i];
    }
    return found;
}

void ahead_keep(gemel_session *s, const row *added, int n) {
    ahead *a = &s->ahead;
    while (a->n < n && !added[a->n].bad) a->n++;   // a bad one fails when it is asked for
    if (a->n) atomic_fetch_add(&a->n_proposed[a->source], a->n);
}

static int has(const ahead *a, int n, int32_t id) { return a->at < n && a->now.ids[a->at] == id; }

// What an id that was drawn says about those that were proposed.
static void note(gemel_session *s, int32_t drawn) {
    ahead *a = &s->ahead;
    if (a->at < a->now.n_ids) sources[a->source].note(s, a->now.kinds[a->at], has(a, a->now.n_ids, drawn));
    for (int i = 0; i < GEMEL_N_SOURCES; i++) {
        if (a->others[i].n_ids) sources[i].note(s, a->others[i].kinds[0], a->others[i].ids[0] == drawn);
        a->others[i].n_ids = 0;
    }
}

int ahead_settle(gemel_session *s, int32_t drawn) {
    ahead *a = &s->ahead;
    note(s, drawn);
    if (has(a, a->n, drawn)) return 1;
    if (a->at < a->n) kv_release(&s->kv, s->n_past);
    ahead_forget(s);
    return 0;
}

int ahead_take(gemel_session *s, int32_t id) {
    ahead *a = &s->ahead;
    size_t n_embd = (size_t)s->m->n_embd;
    row r = {.cache = NULL};
    if (!has(a, a->n, id) || session_keep_last(s, &r, 1) < 0) return 0;
    memcpy(s->stream, a->streams + (size_t)a->at * n_embd, n_embd * sizeof(float));
    float *spare = s->logits;
    s->logits = a->logits[a->at];
    a->logits[a->at] = spare;
    s->peak = a->peaks[a->at];
    if (s->states.n) states_take(&s->states, a->states[a->at], 0);
    a->states[a->at++] = NULL;
    drafter_count(&a->drafter, 0, a->source == GEMEL_SOURCE_MODEL);
    atomic_fetch_add(&a->n_taken[a->source], 1);
    session_count(s, &id, 1, &r);
    return 1;
}

// ---- Counts ------------------------------------------------------------------------------------------------------

int gemel_session_drafted_by(const gemel_session *s, int source, int32_t *n_taken) {
    if (!s || source < 0 || source >= GEMEL_N_SOURCES) return GEMEL_E_ARGUMENT;
    if (n_taken) *n_taken = atomic_load(&s->ahead.n_taken[source]) & INT32_MAX;
    return atomic_load(&s->ahead.n_proposed[source]) & INT32_MAX;
}

int gemel_session_drafted(const gemel_session *s, int32_t *n_taken) {
    uint32_t proposed = 0, taken = 0;
    if (!s) return GEMEL_E_ARGUMENT;
    for (int i = 0; i < GEMEL_N_SOURCES; i++) {
        proposed += (uint32_t)atomic_load(&s->ahead.n_proposed[i]);
        taken += (uint32_t)atomic_load(&s->ahead.n_taken[i]);
    }
    if (n_taken) *n_taken = (int32_t)(taken & INT32_MAX);
    return (int)(proposed & INT32_MAX);
}
