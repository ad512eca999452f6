// Everything that a walk can reach is checked once, when the file is opened: places, and how long sequences and
// replacements are, without which a small text could take any time and memory. Nodes may share what follows them.
#include "charsmap.h"
#include "array.h"

#define KEY "tokenizer.ggml.precompiled_charsmap"

enum { BYTES_MAX = 1 << 22, LENGTH_MAX = 255 };

static uint32_t base_of(const charsmap *m, uint32_t at) {
    uint32_t unit = m->units[at];
    return at ^ (unit >> 10) << ((unit & 1u << 9) >> 6);
}

static int ends(const charsmap *m, uint32_t at) { return m->units[at] >> 8 & 1; }

// ---- Opening -------------------------------------------------------------------------------------------------------

static int check_node(const charsmap *m, uint32_t at, errors *e) {
    uint32_t base = base_of(m, at);
    if ((base | 255u) >= m->n_units)
        return fail(e, GEMEL_E_FORMAT, KEY ": unit %u leads to unit %u, but there are %zu", at, base | 255u,
                    m->n_units);
    if (!at || !ends(m, at)) return 0;
    uint32_t start = m->units[base] & 0x7FFFFFFF;
    if (start >= m->n_texts)
        return fail(e, GEMEL_E_FORMAT, KEY ": unit %u names the replacement at byte %u, but there are %zu bytes", base,
                    start, m->n_texts);
    size_t size = strlen(m->texts + start);
    if (size > LENGTH_MAX)
        return fail(e, GEMEL_E_UNSUPPORTED, KEY ": the replacement at byte %u has %zu bytes; at most %d are supported",
                    start, size, LENGTH_MAX);
    return 0;
}

typedef struct step {
    uint32_t at, byte;   // a node; the byte of the child that is being looked at
} step;

enum { UNSEEN = 0, OPEN = 0xFFFF };   // else one more than the bytes that may follow a node

// Visit every node that a text can lead to once, children first. height[n_units] is UNSEEN.
static int check_nodes(const charsmap *m, uint16_t *height, errors *e) {
    step path[LENGTH_MAX + 2] = {{0, 0}};
    size_t n = 1;
    int rc = check_node(m, 0, e);
    height[0] = OPEN;
    for (uint16_t deepest[LENGTH_MAX + 2] = {0}; !rc && n;) {
        step *top = &path[n - 1];
        if (++top->byte == 256) {
            n--;
            height[top->at] = deepest[n] + 1;
            if (n && deepest[n - 1] <= deepest[n]) deepest[n - 1] = deepest[n] + 1;
            continue;
        }
        uint32_t child = base_of(m, top->at) ^ top->byte;
        if ((m->units[child] & 0x800000FF) != top->byte) continue;
        uint16_t below = height[child];
        if (below != UNSEEN && below != OPEN && deepest[n - 1] < below) deepest[n - 1] = below;
        if (below == OPEN || n + deepest[n - 1] > LENGTH_MAX + 1)
            return fail(e, GEMEL_E_FORMAT, KEY ": a sequence has over %d bytes", LENGTH_MAX);
        if (below != UNSEEN) continue;
        rc = check_node(m, child, e);
        height[child] = OPEN;
        deepest[n] = 0;
        path[n++] = (step){child, 0};
    }
    return rc;
}

static int read_bytes(charsmap *m, const gguf *g, int index, size_t n, errors *e) {
    uint8_t *bytes = array_new(n, 1);
    if (!bytes) return fail(e, GEMEL_E_MEMORY, "no memory for " KEY ": %zu bytes", n);
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(int)gguf_array_number(g, index, i);
    uint32_t size = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    int rc = 0;
    if (size % 4 || size > n - 5 || !size)
        rc = fail(e, GEMEL_E_FORMAT, KEY " has %zu bytes, but says that its units take %u", n, size);
    else if (bytes[n - 1]) rc = fail(e, GEMEL_E_FORMAT, KEY " does not end with a zero byte");
    if (!rc) {
        m->n_units = size / 4, m->n_texts = n - 4 - size;
        m->units = array_new(m->n_units, sizeof *m->units);
        m->texts = array_new(m->n_texts, 1);
        if (!m->units || !m->texts) rc = fail(e, GEMEL_E_MEMORY, "no memory for " KEY ": %zu bytes", n);
    }
    for (size_t i = 0; !rc && i < m->n_units; i++) {
        const uint8_t *b = bytes + 4 + 4 * i;
        m->units[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
    if (!rc) memcpy(m->texts, bytes + 4 + size, m->n_texts);
    free(bytes);
    return rc;
}

int charsmap_open(charsmap *m, const gguf *g, errors *e) {
    int index, found = gguf_find(g, KEY);
    size_t n;
    if (found < 0) return 0;
    gguf_type type = gemel_gguf_item_type(g, found) == GGUF_I8 ? GGUF_I8 : GGUF_U8;
    int rc = gguf_get_array(g, KEY, type, &index, &n, e);
    if (rc < 0) return rc;
    if (n < 5) return fail(e, GEMEL_E_FORMAT, KEY " has %zu bytes, too few for units and texts", n);
    if (n > BYTES_MAX)
        return fail(e, GEMEL_E_UNSUPPORTED, KEY " has %zu bytes; at most %d are supported", n, BYTES_MAX);
    rc = read_bytes(m, g, index, n, e);
    if (rc) return rc;
    uint16_t *height = array_zero(m->n_units, sizeof *height);
    rc = height ? check_nodes(m, height, e) : fail(e, GEMEL_E_MEMORY, "no memory for " KEY);
    free(height);
    return rc;
}

void charsmap_close(charsmap *m) {
    free(m->units);
    free(m->texts);
}

// ---- Looking up ----------------------------------------------------------------------------------------------------

size_t charsmap_match(const charsmap *m, const char *at, const char *end, gguf_span *replacement) {
    size_t longest = 0;
    if (!m->units) return 0;
    uint32_t base = base_of(m, 0);
    for (const char *next = at; next < end && *next;) {
        uint8_t byte = (uint8_t)*next++;
        uint32_t child = base ^ byte;
        if ((m->units[child] & 0x800000FF) != byte) break;
        base = base_of(m, child);
        if (!ends(m, child)) continue;
        const char *text = m->texts + (m->units[base] & 0x7FFFFFFF);
        longest = (size_t)(next - at);
        *replacement = (gguf_span){text, strlen(text)};
    }
    return longest;
}
