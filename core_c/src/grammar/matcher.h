// What a text may go on with: a set of stacks of states, moved by bytes and ids. A state on top has edges that read
// something, or is STATE_ENDED; those under it are where rules return to. Steps are remembered, so that a state that
// comes back costs one look-up. All memory is taken when it opens; a step takes bounded time.
#pragma once
#include "rules.h"
#include "stacks.h"

typedef struct matcher {
    const rules *r;
    stacks s;
    uint32_t now;       // what was read so far leads to this set; NO_SET: to nothing
    uint32_t *row_of;   // [stacks_sets_max] 1 + the row of a set, 0: none
    uint32_t *rows;     // [rows_max][n_classes] 1 + the set after a byte of the class, 0: not known
    uint32_t n_rows, rows_max;
    uint32_t age;              // counts how often sets were forgotten: their numbers are valid for one age
    uint64_t work, work_max;   // steps since `tidy`, and how many there may be
    int is_repeat;             // of a step: the item that it ends was in its list before
    // Scratch of a step: values of states, valid where the stamp is `epoch`
    uint32_t epoch;
    uint32_t *stamp, *value, *seen;     // [n_states] the set under a state; a rule's start has reached it
    uint32_t *touched, *queue, *walk;   // [n_states]
    uint8_t *queued;                    // [n_states]
    uint32_t n_touched, n_queue;
    uint32_t *frame_stamp, *frames;   // [n_rules] what is under a called rule
    uint32_t *heap;                   // [n_rules] called rules, by order
    uint32_t n_heap;
    entry *result;       // [n_states]
    uint32_t *numbers;   // [stacks_sets_max] of sets that are saved
} matcher;

// At the beginning of the root. shift: of its stacks. GEMEL_E_MEMORY: close it, too.
int matcher_open(matcher *m, const rules *r, int shift);
void matcher_close(matcher *m);
void matcher_begin(matcher *m);   // back to the beginning
// The set after a byte of a class. NO_SET: none, or m->s.is_full or over its work.
uint32_t matcher_step(matcher *m, uint32_t set, int class);
// The same when an item of a list that ends here was there before: unique rules don't end. It is not remembered.
uint32_t matcher_step_repeat(matcher *m, uint32_t set, uint8_t byte);
// Where a called rule returns: the stacks in `frames` become tops.
uint32_t matcher_return(matcher *m, uint32_t frames);
// After an id as such, not as text. is_end: it ends a generation, so that "any id except" does not mean it.
uint32_t matcher_step_id(matcher *m, uint32_t set, int32_t id, int is_end);
// After an id that this edge of a state reads; `under` is under the state.
uint32_t matcher_step_edge(matcher *m, const id_edge *e, uint32_t under);
// Before a call that steps: forget what is not needed if there is much of it. With all: in any case.
void matcher_tidy(matcher *m, int all);
static inline int matcher_is_stuck(const matcher *m) { return m->s.is_full || m->work + m->s.work > m->work_max; }
// Sets have STATE_ENDED first, STATE_HOLE next.
static inline int matcher_may_end(const matcher *m, uint32_t set) {
    return set && stacks_at(&m->s, set)->state == STATE_ENDED;
}
static inline int matcher_must_end(const matcher *m, uint32_t set) {
    return matcher_may_end(m, set) && stacks_count(&m->s, set) == 1;
}
static inline int matcher_has_hole(const matcher *m, uint32_t set) {
    const entry *first = stacks_at(&m->s, set);
    return set && (first->state == STATE_HOLE || (stacks_count(&m->s, set) > 1 && first[1].state == STATE_HOLE));
}
// The row of a set, made now if there is room; NULL: there is none.
uint32_t *matcher_row(matcher *m, uint32_t set);

// The state as bytes, a multiple of 8, little endian. Returns how many; writes them when that is at most `capacity`.
size_t matcher_save(const matcher *m, uint8_t *data, size_t capacity);
int matcher_check(const matcher *m, const uint8_t *data, size_t size);   // 1: `restore` takes it
void matcher_restore(matcher *m, const uint8_t *data);                   // that `check` took
