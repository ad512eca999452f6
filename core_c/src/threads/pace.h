// Short runs: on all threads, or on the caller alone where other programs use the CPUs. The faster way is used.
// The other one is tried for some runs now and then, and immediately when the way in use becomes much slower.
#pragma once

enum {
    TRIAL_RUNS = 4,
    TRIAL_SOON = 12,   // after all threads were found slower: others may have used the CPUs for a moment
    TRIAL_EVERY = 200,
    TRIAL_SELDOM = 500,   // when the other way took more than twice as long
};

// How long a user's short runs take on all threads and on the caller alone. All zeros at first; then used by the pool.
typedef struct pace {
    double seconds[2];   // recent time by way (0 all threads, 1 alone); 0: never tried
    int way;             // in use
    int runs;            // since the way was last changed
    int is_trial;
    int left;       // runs until the next trial
    int patience;   // `left` at its start, doubled after each lost trial; 0: it is fixed
} pace;

static inline void pace_switch(pace *p, int way, int is_trial) {
    p->way = way;
    p->runs = 0;
    p->is_trial = is_trial;
}

static inline void pace_end_trial(pace *p) {
    double mine = p->seconds[p->way], other = p->seconds[!p->way];
    int tried = p->way, is_far = mine > 2 * other || other > 2 * mine;
    p->is_trial = 0;
    if (mine > other) pace_switch(p, !tried, 0);
    int is_lost = !tried && p->way;   // alone stays the faster way: try all threads less and less often
    p->patience = is_lost ? 2 * p->patience : TRIAL_SOON;
    if (!p->way || is_far || p->patience > TRIAL_EVERY) p->patience = 0;
    p->left = p->patience ? p->patience : is_far ? TRIAL_SELDOM : TRIAL_EVERY;
}

// Whether the next run is the caller's alone.
static inline int pace_is_alone(pace *p) {
    double mine = p->seconds[p->way], other = p->seconds[!p->way];
    if (p->runs < TRIAL_RUNS) return p->way;
    if (other == 0) pace_switch(p, !p->way, 1);
    else if (p->is_trial) pace_end_trial(p);
    else if (p->left-- <= 0 || mine > 1.5 * other) pace_switch(p, !p->way, 1);
    return p->way;
}

// The first run after a change includes waking threads and cold caches, and does not count.
static inline void pace_note(pace *p, double seconds) {
    double *s = &p->seconds[p->way];
    if (p->runs < TRIAL_RUNS) p->runs++;
    if (p->runs == 2) *s = seconds;
    else if (p->runs > 2) *s += (seconds - *s) / 4;
}
