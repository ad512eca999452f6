// Nodes are numbers; a hash leads from a node and a byte to the next one.
#include "trie.h"
#include "array.h"

static int32_t new_node(trie *t, errors *e) {
    if (t->n == TRIE_NODES_MAX)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.tokens: its texts have over %d different prefixes",
                    TRIE_NODES_MAX);
    if (!array_room((void **)&t->id, t->n, &t->room, t->n + 1, sizeof *t->id))
        return fail(e, GEMEL_E_MEMORY, "no memory for %zu prefixes of tokens", t->n);
    t->id[t->n] = -1;
    return (int32_t)t->n++;
}

int trie_add(trie *t, gguf_span text, int32_t id, errors *e) {
    int32_t node = t->n ? TRIE_ROOT : new_node(t, e);
    for (size_t i = 0; node >= 0 && i < text.size; i++) {
        int32_t next = trie_step(t, node, (uint8_t)text.at[i]);
        if (next < 0) {
            next = new_node(t, e);
            int rc = next < 0 ? next : merge_table_add(&t->steps, node, (uint8_t)text.at[i], (merge){0, next}, e);
            if (rc) return rc;
        }
        node = next;
    }
    if (node < 0) return node;
    t->id[node] = id;
    return 0;
}

void trie_close(trie *t) {
    merge_table_close(&t->steps);
    free(t->id);
}
