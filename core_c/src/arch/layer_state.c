#include "layer_state.h"

enum { N_MOST = 1 << 28 };   // floats of a session's state

void layer_take_state(gemel_model *m, keys *r, layer *l, uint64_t n) {
    l->state_at = m->n_state;
    if (r->code) return;
    if (n <= N_MOST - m->n_state) m->n_state += (size_t)n;
    else
        keys_fail(r, fail(r->e, GEMEL_E_UNSUPPORTED,
                          "%s: a session's state would have over %d numbers in layers 0 to %d, which is not supported",
                          r->arch, N_MOST, (int)(l - m->layers)));
}
