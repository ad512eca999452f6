// Only in the threaded engine of a browser tab: words that JavaScript writes to cancel a session during a call.
#include "session.h"

enum { FLAGS = 64 };

static atomic_int flags[FLAGS];
static unsigned n_flags;

// A word that cancels the session when it is not 0. JavaScript may write it late: the word is never freed, and the next
// session that gets it begins with 0.
GEMEL_API void *gemel_engine_flag(gemel_session *s) {
    if (s && !s->flag) {
        s->flag = &flags[n_flags++ % FLAGS];
        atomic_store(s->flag, 0);
    }
    return s ? s->flag : NULL;
}
