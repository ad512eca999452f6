// Proposed rows of a pass, and what they gave, until the ids that are drawn need it.
#include <stdlib.h>
#include <string.h>
#include "../memory.h"
#include "session.h"

// Proposes ids that may follow those of a pass.
typedef struct ahead_source {
    // Write up to `max` (at least 1) ids into s->ahead.ids, and their number into n_ids. Returns how many of them to
    // evaluate. The pass has n rows of this session, and `all` in all.
    int (*propose)(gemel_session *s, gemel_sampler *sampler, const row *rows, int n, int all, int max);
    void (*note)(gemel_session *s, int is_drawn);   // whether ids[at] was drawn, which was proposed
} ahead_source;

// ---- Text that a grammar forces: its tokens may be others --------------------------------------------------------

#define FORCED_CHANCE 0.9f   // that a model draws the tokens into which gemel cuts forced text, at first

// After one id, as many as pay; beside a chunk of a prompt, and where times are not known, all.
static int propose_forced(gemel_session *s, gemel_sampler *sampler, const row *rows, int n, int all, int max) {
    ahead *a = &s->ahead;
    (void)rows;
    if (!a->forced.is_begun) chances_begin(&a->forced, FORCED_CHANCE);
    int found = sampler_forced(sampler, a->ids, a->trust && a->trust < max ? a->trust : max), tried = found;
    int is_measured = n == 1 && costs_has(&s->m->costs, all) && atomic_load(&s->m->draft) != GEMEL_DRAFT_ALWAYS;
    if (found && is_measured) tried = draft_length(&s->m->costs, &a->forced, all, 1, found);
    a->n_ids = tried || !found ? tried : 1;
    return tried;
}

static void note_forced(gemel_session *s, int is_drawn) {
    ahead *a = &s->ahead;
    chances_note(&a->forced, 1 + a->at, is_drawn);
    if (!is_drawn) a->trust = a->at ? a->at : 1;
    else if (a->at + 1 == a->n) a->trust = AHEAD_MAX;
}

// ---- What followed when the end of the text occurred before ------------------------------------------------------

// Bring `text` up to the session's ids and those of the n rows. 0: no memory.
static int read_on(gemel_session *s, const row *rows, int n) {
    ahead *a = &s->ahead;
    repeats *t = &a->text;
    int total = s->n_past + n;
    for (int i = a->n_same; i < t->n; i++)
        if (i >= total || !repeats_has(t, i, i < s->n_past ? s->ids[i] : rows[i - s->n_past].id)) repeats_close(t);
    for (int i = t->n; i < total; i++) {
        if (repeats_add(t, i < s->n_past ? s->ids[i] : rows[i - s->n_past].id)) continue;
        repeats_close(t);
        return 0;
    }
    a->n_same = s->n_past;
    return 1;
}

static int propose_repeat(gemel_session *s, gemel_sampler *sampler, const row *rows, int n, int all, int max) {
    ahead *a = &s->ahead;
    (void)sampler;
    int draft = atomic_load(&s->m->draft);
    if (draft == GEMEL_DRAFT_NONE || !read_on(s, rows, n)) return 0;
    int found = repeats_follow(&a->text, a->ids, max);
    a->length = a->text.length;
    if (!found) return 0;
    int tried = draft == GEMEL_DRAFT_ALWAYS ? found : draft_length(&s->m->costs, &a->chances, all, a->length, found);
    a->n_ids = tried ? tried : 1;
    return tried;
}

static void note_repeat(gemel_session *s, int is_drawn) {
    chances_note(&s->ahead.chances, s->ahead.length + s->ahead.at, is_drawn);
}

static const ahead_source sources[] = {{propose_forced, note_forced}, {propose_repeat, note_repeat}};
enum { N_SOURCES = sizeof sources / sizeof sources[0] };

// ---- Rows -------------------------------------------------------------------------------------------------------

static size_t vocab_pad(const gemel_session *s) { return (size_t)s->m->output.w.n_panels * 16; }

static void drop_states(gemel_session *s) {
    for (int i = 0; s->states.n && i < AHEAD_MAX; i++) {
        states_drop(&s->states, s->ahead.states[i]);
        s->ahead.states[i] = NULL;
    }
}

void ahead_forget(gemel_session *s) {
    s->ahead.n = s->ahead.at = s->ahead.n_ids = 0;
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

int ahead_add(gemel_session *s, gemel_sampler *sampler, row *rows, int n, int room) {
    ahead *a = &s->ahead;
    int max = most(s, n, room), found = 0;
    ahead_forget(s);
    if (max < 1 || !sampler || sampler_is_mask_only(sampler)) return 0;
    for (int i = 0; i < N_SOURCES && !a->n_ids; i++) {
        a->source = &sources[i];
        found = sources[i].propose(s, sampler, rows, n, s->m->n_batch - room, max);
    }
    if (!found || kv_reserve(&s->kv, s->n_past, s->n_past + n + found) < 0 || !memory_for(s, s->n_past + n, found)) {
        drop_states(s);
        return 0;
    }
    for (int i = 0; i < found; i++) {
        row *r = &rows[n + i];
        *r = session_row(s, n + i, a->ids[i]);
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
    atomic_fetch_add(&a->n_proposed, a->n);
}

static int has(const ahead *a, int n, int32_t id) { return a->at < n && a->ids[a->at] == id; }

int ahead_settle(gemel_session *s, int32_t drawn) {
    ahead *a = &s->ahead;
    if (a->at < a->n_ids) a->source->note(s, has(a, a->n_ids, drawn));
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
    atomic_fetch_add(&a->n_taken, 1);
    session_count(s, &id, 1, &r);
    return 1;
}

int gemel_session_drafted(const gemel_session *s, int32_t *n_taken) {
    if (!s) return GEMEL_E_ARGUMENT;
    if (n_taken) *n_taken = atomic_load(&s->ahead.n_taken) & INT32_MAX;
    return atomic_load(&s->ahead.n_proposed) & INT32_MAX;
}
