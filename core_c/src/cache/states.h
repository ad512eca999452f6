// What recurrent layers keep of a session's past: states. A state is one block of floats, of all layers, after so many
// ids. It counts its holders, and nothing changes it once its pass is counted: sessions with a common prefix share it.
// A pass reads `now` and writes into `made`, so one that fails changes nothing. Some states are kept as checkpoints,
// from which a session goes on after it was cut back or forked.
#pragma once
#include <stdatomic.h>
#include <stddef.h>

enum {
    STATES_STEP = 64,         // ids from one checkpoint to the next, at least
    STATES_SIZE = 16 << 20,   // bytes of a session's checkpoints, but
    STATES_LEAST = 2,         // of these there may be
    STATES_MOST = 64,         // and not more than these
    STATES_BESIDE = 4,        // states of a pass beside its checkpoints: what it reads, its last two, a spare one
};

typedef struct state state;
typedef struct states {      // of one session
    size_t n;                // floats of a state; 0: no layer has one
    int most;                // checkpoints, at most
    atomic_size_t *in_use;   // counts bytes; NULL: nobody counts
    state *now;              // NULL: zeros, after no id
    state **kept, **made;    // ascending: checkpoints; what the pass that runs will leave
    int n_kept, n_made;
    state *spare;   // or NULL
} states;

int states_most(size_t n);                                     // checkpoints of n floats that a session may keep
int states_open(states *s, size_t n, atomic_size_t *in_use);   // GEMEL_E_MEMORY
void states_close(states *s);
int states_at(const states *s);   // after how many ids `now` is
// Before a pass over the n ids after `from`: make what it will leave. GEMEL_E_MEMORY: nothing is made.
int states_make(states *s, int from, int n);
void states_fill(states *s);     // what is made begins as `now`, for a pass that leaves layers out
void states_unmake(states *s);   // the pass failed, or will not run
void states_count(states *s);    // the pass is counted: the last one is `now`
// The state that the row at position `at` reads, NULL: zeros; and the one that it leaves.
const float *states_in(const states *s, int at);
float *states_out(const states *s, int at);
// The most ids, up to n, after which there is a state.
int states_find(const states *s, int n);
void states_back(states *s, int n);                         // go back there
void states_share(states *to, const states *from, int n);   // `to`, of no id, goes on from there

// One state beside a pass, of n_pos ids: for rows that are evaluated ahead. NULL: no memory.
state *states_get(states *s, int n_pos);
void states_drop(states *s, state *x);   // x may be NULL
float *state_floats(state *x);
// x, which the caller gives away, is `now`, and a checkpoint where is_kept or where it is time for one.
void states_take(states *s, state *x, int is_kept);
