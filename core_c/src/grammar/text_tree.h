// The texts of a vocabulary's ids as trees of bytes, in the order in which a walk meets them: one for each range of
// sizes, because more places have equal masks for short texts. Made once per model. Ids that are no text (control,
// unknown and end-of-generation tokens) are in none.
#pragma once
#include "../text/tokenizer.h"

enum { TREE_PARTS = 3 };
static const uint32_t tree_sizes[TREE_PARTS] = {8, 20, UINT16_MAX};   // bytes of the longest text of a tree, at most

// Bits of texts, beside those of the groups of their ASCII bytes: other characters; not UTF-8, or no text at all; up to
// 4 bytes, up to 8, and so on; the last bit is for all that are longer.
enum { GROUP_OTHER = 1 << 24, GROUP_BROKEN = 1 << 25, GROUP_SIZE = 1 << 26, SIZE_BITS = 6, SIZE_STEP = 4 };

typedef struct tree_node {
    uint32_t skip;       // the next node that is not under this one
    int32_t id;          // the first id with this text; -1: none
    uint16_t depth;      // bytes of the text; the root has 0
    uint8_t byte;        // the last of them
    uint8_t is_shared;   // more ids have this text
    uint32_t groups;     // of the ids of the node and of all under it
} tree_node;

typedef struct text_tree {
    tree_node *nodes;   // [n]
    uint32_t n;
    uint32_t root[TREE_PARTS + 1];   // nodes; behind the last tree is n
    uint32_t *groups;                // [32 * n_words] of an id's text
    uint8_t *n_chars;                // [32 * n_words] characters of an id's text, at most 255
    int32_t *same;                   // [n_vocab] the next id with the same text; -1: none
    uint32_t *ends;                  // [n_words] bits of the ids that end a generation
    size_t n_words;                  // 32-bit words of a row of bits, one per id
    uint32_t depth;                  // of the longest text
    int32_t *quoted;                 // [n_quoted] ids whose texts have a quote, and a comma, bracket or brace
    int32_t *listed;                 // [n_listed] ids whose texts have an opening bracket, and behind it a comma
    uint32_t n_quoted, n_listed;
} text_tree;

int text_tree_open(text_tree **out, const tokenizer *t, errors *e);
void text_tree_close(text_tree *t);   // accepts NULL
// The group of an ASCII byte, a bit: those that grammars tell apart are in different ones, mostly.
uint32_t text_tree_group(uint8_t byte);
// Whether an id's text is in the tree.
int text_tree_has(const tokenizer *t, int32_t id);
// The child of a node with this byte, or 0.
static inline uint32_t text_tree_child(const text_tree *t, uint32_t node, uint8_t byte) {
    uint32_t i = node + 1, end = t->nodes[node].skip;
    while (i < end && t->nodes[i].byte != byte) i = t->nodes[i].skip;
    return i < end ? i : 0;
}
