// Texts by their prefixes: which ids start a text. A step takes constant time.
#pragma once
#include "merge.h"
#include "vocab.h"

enum { TRIE_ROOT = 0, TRIE_NODES_MAX = 1 << 22 };

typedef struct trie {
    merge_table steps;   // node, byte -> node
    int32_t *id;         // [n] of the text that ends at a node; -1: none does
    size_t n, room;      // nodes
} trie;

int trie_add(trie *t, gguf_span text, int32_t id, errors *e);   // of equal texts, the last counts
void trie_close(trie *t);
// The node after one more byte, or -1. Any text has a node at TRIE_ROOT.
static inline int32_t trie_step(const trie *t, int32_t node, uint8_t byte) {
    return merge_table_find(&t->steps, node, byte).result;
}
