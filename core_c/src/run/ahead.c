// Proposed rows of a pass, and what they gave, until the ids that are drawn need it.
#include <stdlib.h>
#include <string.h>
#include "session.h"

static size_t vocab_pad(const gemel_session *s) { return (size_t)s->m->output.w.n_panels * 16; }

// After an id that was not drawn, fewer are tried.
void ahead_forget(gemel_session *s) {
    ahead *a = &s->ahead;
    if (a->n) a->trust = a->at == a->n ? AHEAD_MAX : a->at ? a->at : 1;
    a->n = a->at = 0;
}

void ahead_drop(gemel_session *s) {
    ahead_forget(s);
    free(s->ahead.streams), free(s->ahead.logits);
    s->ahead.streams = s->ahead.logits = NULL;
}

static int most(const gemel_session *s, int n, int room) {
    int context = s->n_ctx - s->n_past - n, size = (int)(AHEAD_SIZE / (vocab_pad(s) * sizeof(float)));
    int least = s->ahead.trust ? s->ahead.trust : AHEAD_MAX;
    least = least < room ? least : room;
    least = least < context ? least : context;
    return least < size ? least : size;
}

int ahead_add(gemel_session *s, gemel_sampler *sampler, row *rows, int n, int room) {
    ahead *a = &s->ahead;
    size_t n_embd = (size_t)s->m->n_embd, n_vocab = vocab_pad(s);
    ahead_drop(s);
    int max = most(s, n, room), found = max > 0 && sampler ? sampler_forced(sampler, a->ids, max) : 0;
    if (!found || session_reserve(s, n + found) < 0) return 0;
    a->streams = malloc((size_t)found * n_embd * sizeof(float));
    a->logits = malloc((size_t)found * n_vocab * sizeof(float));
    if (!a->streams || !a->logits) {
        ahead_drop(s);
        return 0;
    }
    for (int i = 0; i < found; i++) {
        row *r = &rows[n + i];
        *r = session_row(s, n + i, a->ids[i]);
        r->wanted = WANT_STREAM | WANT_LOGITS;
        r->stream = a->streams + (size_t)i * n_embd;
        r->logits = a->logits + (size_t)i * n_vocab;
        r->peak = &a->peaks[i];
    }
    return found;
}

void ahead_keep(gemel_session *s, const row *added, int n) {
    ahead_forget(s);
    while (s->ahead.n < n && !added[s->ahead.n].bad) s->ahead.n++;   // a bad one fails when it is asked for
}

static int has(const ahead *a, int32_t id) { return a->at < a->n && a->ids[a->at] == id; }

int ahead_settle(gemel_session *s, int32_t drawn) {
    if (has(&s->ahead, drawn)) return 1;
    ahead_drop(s);
    return 0;
}

int ahead_take(gemel_session *s, int32_t id) {
    ahead *a = &s->ahead;
    size_t n_embd = (size_t)s->m->n_embd, n_vocab = vocab_pad(s);
    row r = {.cache = NULL};
    if (!has(a, id) || session_keep_last(s, &r, 1) < 0) return 0;
    memcpy(s->stream, a->streams + (size_t)a->at * n_embd, n_embd * sizeof(float));
    memcpy(s->logits, a->logits + (size_t)a->at * n_vocab, n_vocab * sizeof(float));
    s->peak = a->peaks[a->at++];
    session_count(s, &id, 1, &r);
    return 1;
}
