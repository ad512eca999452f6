// A step in two parts. `settle`: what was reached skips ahead, and rules that end return to the stacks under them.
// `enter`: rules that are called begin, those that others begin with last (rule.order), so that all stacks under
// a rule are known before its states are.
#include "matcher.h"
#include <string.h>
#include "../text/array.h"

enum {
    ROWS_MAX = 1 << 11,
    WORK_MAX = 1 << 25,
};

int matcher_open(matcher *m, const rules *r, int shift) {
    size_t n = r->n_states;
    *m = (matcher){.r = r, .work_max = WORK_MAX, .rows_max = ROWS_MAX >> shift / 2};
    int ok = stacks_open(&m->s, shift);
    m->row_of = array_zero(stacks_sets_max(&m->s), sizeof *m->row_of);
    m->rows = array_zero((size_t)m->rows_max * (size_t)r->n_classes, sizeof *m->rows);
    m->stamp = array_zero(n, sizeof *m->stamp), m->value = array_zero(n, sizeof *m->value);
    m->seen = array_zero(n, sizeof *m->seen), m->touched = array_new(n, sizeof *m->touched);
    m->queue = array_new(n, sizeof *m->queue), m->walk = array_new(n, sizeof *m->walk);
    m->queued = array_zero(n, 1), m->result = array_new(n, sizeof *m->result);
    m->frame_stamp = array_zero(r->n_rules, sizeof *m->frame_stamp);
    m->frames = array_zero(r->n_rules, sizeof *m->frames), m->heap = array_new(r->n_rules, sizeof *m->heap);
    m->numbers = array_new(stacks_sets_max(&m->s), sizeof *m->numbers);
    if (!ok || !m->row_of || !m->rows || !m->stamp || !m->value || !m->seen || !m->touched || !m->queue || !m->walk ||
        !m->queued || !m->result || !m->frame_stamp || !m->frames || !m->heap || !m->numbers)
        return GEMEL_E_MEMORY;
    matcher_begin(m);
    return matcher_is_stuck(m) ? GEMEL_E_GRAMMAR : GEMEL_OK;
}

void matcher_close(matcher *m) {
    stacks_close(&m->s);
    free(m->row_of), free(m->rows), free(m->stamp), free(m->value), free(m->seen), free(m->touched), free(m->queue);
    free(m->walk), free(m->queued), free(m->result), free(m->frame_stamp), free(m->frames), free(m->heap);
    free(m->numbers);
}

// ---- Settling ------------------------------------------------------------------------------------------------------

static void begin_step(matcher *m) {
    if (!++m->epoch) {   // after 2^32 steps
        memset(m->stamp, 0, m->r->n_states * sizeof *m->stamp), memset(m->seen, 0, m->r->n_states * sizeof *m->seen);
        memset(m->frame_stamp, 0, m->r->n_rules * sizeof *m->frame_stamp);
        m->epoch = 1;
    }
    m->n_touched = m->n_queue = m->n_heap = 0;
}

// The stacks of `under`, with q on top. Returns 1 when there are new ones.
static int put(matcher *m, uint32_t q, uint32_t under) {
    m->work++;
    if (m->stamp[q] != m->epoch) {
        m->stamp[q] = m->epoch, m->value[q] = under;
        m->touched[m->n_touched++] = q;
        return 1;
    }
    uint32_t both = stacks_join(&m->s, m->value[q], under);
    if (both == m->value[q]) return 0;
    m->value[q] = both;
    return 1;
}

static void reach(matcher *m, uint32_t q, uint32_t under) {
    if (put(m, q, under) && !m->queued[q]) m->queued[q] = 1, m->queue[m->n_queue++] = q;
}

static void return_to(matcher *m, uint32_t frames) {
    const entry *at = stacks_at(&m->s, frames);
    for (uint32_t i = 0, n = stacks_count(&m->s, frames); i < n; i++) reach(m, at[i].state, at[i].under);
}

static void settle(matcher *m) {
    const rules *r = m->r;
    while (m->n_queue) {
        uint32_t q = m->queue[--m->n_queue], under = m->value[q];
        m->queued[q] = 0;
        if (q < STATES_FIRST || matcher_is_stuck(m)) continue;
        const state *s = &r->states[q];
        for (uint32_t i = s[0].skips; i < s[1].skips; i++) reach(m, r->skips[i], under);
        const rule *own = &r->list[s->rule];
        if (q == own->end && !(m->is_repeat && own->is_unique)) return_to(m, under);
    }
}

// ---- Entering rules ------------------------------------------------------------------------------------------------

static int is_before(const matcher *m, uint32_t a, uint32_t b) { return m->r->list[a].order < m->r->list[b].order; }

static void heap_put(matcher *m, uint32_t rule) {
    uint32_t i = m->n_heap++;
    for (; i && is_before(m, rule, m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = rule;
}

static uint32_t heap_take(matcher *m) {
    uint32_t top = m->heap[0], last = m->heap[--m->n_heap], i = 0;
    for (uint32_t child; (child = 2 * i + 1) < m->n_heap; i = child) {
        if (child + 1 < m->n_heap && is_before(m, m->heap[child + 1], m->heap[child])) child++;
        if (!is_before(m, m->heap[child], last)) break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = last;
    return top;
}

static void call(matcher *m, const call_edge *c, uint32_t under) {
    const rules *r = m->r;
    entry frame = {c->to, under};
    m->work++;
    // The last call of a rule returns to where the rule returns: repetition by recursion needs no memory.
    const rule *own = &r->list[r->states[c->to].rule];
    uint32_t frames = c->to == own->end && !own->is_unique ? under : stacks_set(&m->s, &frame, 1);
    if (m->frame_stamp[c->rule] != m->epoch) {
        m->frame_stamp[c->rule] = m->epoch, m->frames[c->rule] = frames;
        heap_put(m, c->rule);
    } else m->frames[c->rule] = stacks_join(&m->s, m->frames[c->rule], frames);
}

static void call_all(matcher *m, uint32_t q, uint32_t under) {
    const state *s = &m->r->states[q];
    for (uint32_t i = s[0].calls; i < s[1].calls; i++) call(m, &m->r->calls[i], under);
}

static int reads(const rules *r, uint32_t q) {
    const state *s = &r->states[q];
    return s[0].bytes < s[1].bytes || s[0].ids < s[1].ids;
}

// A rule's start, and where it skips to. What it matches before its first byte was returned from by skips.
static void enter(matcher *m, uint32_t rule) {
    const rules *r = m->r;
    uint32_t n = 0, under = m->frames[rule], start = r->list[rule].start;
    m->seen[start] = m->epoch, m->walk[n++] = start;
    while (n) {
        uint32_t q = m->walk[--n];
        const state *s = &r->states[q];
        m->work++;
        if (reads(r, q)) (void)put(m, q, under);
        call_all(m, q, under);
        for (uint32_t i = s[0].skips; i < s[1].skips; i++) {
            uint32_t to = r->skips[i];
            if (m->seen[to] != m->epoch) m->seen[to] = m->epoch, m->walk[n++] = to;
        }
    }
}

static void sort_states(uint32_t *a, uint32_t n) {
    for (uint32_t gap = n / 2; gap; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (uint32_t i = gap; i < n; i++) {
            uint32_t x = a[i], j = i;
            for (; j >= gap && a[j - gap] > x; j -= gap) a[j] = a[j - gap];
            a[j] = x;
        }
}

static uint32_t end_step(matcher *m) {
    uint32_t n = 0;
    settle(m);
    for (uint32_t i = 0, reached = m->n_touched; i < reached; i++)
        if (m->touched[i] >= STATES_FIRST) call_all(m, m->touched[i], m->value[m->touched[i]]);
    while (m->n_heap && !matcher_is_stuck(m)) enter(m, heap_take(m));
    if (matcher_is_stuck(m)) return NO_SET;
    for (uint32_t i = 0; i < m->n_touched; i++) {
        uint32_t q = m->touched[i];
        if (q < STATES_FIRST || reads(m->r, q)) m->touched[n++] = q;
    }
    sort_states(m->touched, n);
    for (uint32_t i = 0; i < n; i++) m->result[i] = (entry){m->touched[i], m->value[m->touched[i]]};
    return stacks_set(&m->s, m->result, n);
}

// ---- Steps ---------------------------------------------------------------------------------------------------------

uint32_t matcher_return(matcher *m, uint32_t frames) {
    begin_step(m);
    return_to(m, frames);
    return end_step(m);
}

void matcher_begin(matcher *m) {
    entry ended = {STATE_ENDED, NO_SET}, root = {m->r->list[0].start, NO_SET};
    m->work = 0;
    root.under = stacks_set(&m->s, &ended, 1);
    m->now = matcher_return(m, stacks_set(&m->s, &root, 1));
}

static uint32_t step(matcher *m, uint32_t set, uint8_t byte) {
    const rules *r = m->r;
    begin_step(m);
    for (uint32_t i = 0, n = stacks_count(&m->s, set); i < n; i++) {
        entry top = stacks_at(&m->s, set)[i];
        const state *s = &r->states[top.state];
        if (top.state < STATES_FIRST) continue;
        for (uint32_t k = s[0].bytes; k < s[1].bytes; k++) {
            const byte_edge *e = &r->bytes[k];
            m->work++;
            if (e->low <= byte && byte <= e->high) reach(m, e->to, top.under);
        }
    }
    return m->n_touched ? end_step(m) : NO_SET;
}

uint32_t *matcher_row(matcher *m, uint32_t set) {
    if (!m->row_of[set]) {
        if (m->n_rows == m->rows_max) return NULL;
        m->row_of[set] = ++m->n_rows;
    }
    return m->rows + (size_t)(m->row_of[set] - 1) * (size_t)m->r->n_classes;
}

uint32_t matcher_step(matcher *m, uint32_t set, int class) {
    uint32_t *row = matcher_row(m, set);
    if (row && row[class]) return row[class] - 1;
    uint32_t next = step(m, set, m->r->byte_in[class]);
    if (row && !matcher_is_stuck(m)) row[class] = next + 1;
    return next;
}

uint32_t matcher_step_repeat(matcher *m, uint32_t set, uint8_t byte) {
    m->is_repeat = 1;
    uint32_t next = step(m, set, byte);
    m->is_repeat = 0;
    return next;
}

uint32_t matcher_step_id(matcher *m, uint32_t set, int32_t id, int is_end) {
    const rules *r = m->r;
    begin_step(m);
    for (uint32_t i = 0, n = stacks_count(&m->s, set); i < n; i++) {
        entry top = stacks_at(&m->s, set)[i];
        const state *s = &r->states[top.state];
        if (top.state < STATES_FIRST) continue;
        for (uint32_t k = s[0].ids; k < s[1].ids; k++) {
            m->work++;
            if (r->ids[k].is_negated ? r->ids[k].id != id && !is_end : r->ids[k].id == id)
                reach(m, r->ids[k].to, top.under);
        }
    }
    return m->n_touched ? end_step(m) : NO_SET;
}

uint32_t matcher_step_edge(matcher *m, const id_edge *e, uint32_t under) {
    begin_step(m);
    reach(m, e->to, under);
    return end_step(m);
}

static void forget_rows(matcher *m) {
    memset(m->row_of, 0, stacks_sets_max(&m->s) * sizeof *m->row_of);
    memset(m->rows, 0, (size_t)m->n_rows * (size_t)m->r->n_classes * sizeof *m->rows);
    m->n_rows = 0;
}

// A place takes at most half of the memory. It is looked at when three quarters are in use: so a quarter is used before
// that happens again.
void matcher_tidy(matcher *m, int all) {
    stacks *s = &m->s;
    const uint32_t sets = stacks_sets_max(s), entries = stacks_entries_max(s);
    m->work = s->work = 0;
    if (all || s->is_full || s->n_sets > sets / 4 * 3 || s->first[s->n_sets] > entries / 4 * 3) {
        forget_rows(m);
        m->now = stacks_keep(s, m->now);
        m->age++;
        for (uint32_t q; m->n_queue;) q = m->queue[--m->n_queue], m->queued[q] = 0;   // of a step that was given up
        s->is_full = s->n_sets > sets / 2 || s->first[s->n_sets] > entries / 2;
    } else if (m->n_rows > m->rows_max / 4 * 3) forget_rows(m);
}

// ---- Saving --------------------------------------------------------------------------------------------------------
// The number of sets, then each set, those under it before it: the number of entries, entries. The last one is `now`.

static void put_u32(uint8_t **at, uint32_t x) {
    memcpy(*at, &x, sizeof x);
    *at += sizeof x;
}
static uint32_t u32_at(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

size_t matcher_save(const matcher *m, uint8_t *data, size_t capacity) {
    const stacks *s = &m->s;
    uint32_t n = stacks_number(s, m->now, m->numbers);
    size_t size = sizeof n;
    for (uint32_t i = 1; i <= m->now; i++)
        if (m->numbers[i]) size += (1 + 2 * (size_t)stacks_count(s, i)) * sizeof n;
    size_t whole = (size + 7) / 8 * 8;
    if (whole > capacity) return whole;
    put_u32(&data, n);
    for (uint32_t i = 1; i <= m->now; i++) {
        if (!m->numbers[i]) continue;
        put_u32(&data, stacks_count(s, i));
        for (uint32_t k = s->first[i]; k < s->first[i + 1]; k++)
            put_u32(&data, s->entries[k].state), put_u32(&data, m->numbers[s->entries[k].under]);
    }
    if (whole > size) put_u32(&data, 0);
    return whole;
}

int matcher_check(const matcher *m, const uint8_t *data, size_t size) {
    size_t words = size / sizeof(uint32_t), at = 1, total = 0;
    uint32_t n = words ? u32_at(data) : 0;
    if (size % 8 || !words || !n || n >= stacks_sets_max(&m->s)) return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = at < words ? u32_at(data + 4 * at) : 0, before = 0;
        if (!count || count > (words - at - 1) / 2) return 0;
        total += count;
        at++;
        for (uint32_t k = 0; k < count; k++, at += 2) {
            uint32_t q = u32_at(data + 4 * at), under = u32_at(data + 4 * at + 4);
            int is_ended = q == STATE_ENDED;
            if (q >= m->r->n_states || q == STATE_HOLE || (k && q <= before) || under > i || is_ended != !under)
                return 0;
            if (i == n - 1 && !is_ended && !reads(m->r, q)) return 0;
            before = q;
        }
    }
    if (at % 2) at += u32_at(data + 4 * at) == 0;
    return at == words && total <= stacks_entries_max(&m->s);
}

// Sets that are equal get one number, so numbers may differ from those saved.
void matcher_restore(matcher *m, const uint8_t *data) {
    uint32_t n = u32_at(data), *number = m->row_of;   // free while there are no rows
    size_t at = 1;
    m->now = NO_SET;
    matcher_tidy(m, 1);
    number[0] = 0;
    for (uint32_t i = 1; i <= n; i++) {
        uint32_t count = u32_at(data + 4 * at++);
        for (uint32_t k = 0; k < count; k++, at += 2)
            m->result[k] = (entry){u32_at(data + 4 * at), number[u32_at(data + 4 * at + 4)]};
        number[i] = stacks_set(&m->s, m->result, count);
    }
    m->now = number[n];
    memset(m->row_of, 0, ((size_t)n + 1) * sizeof *m->row_of);
}
