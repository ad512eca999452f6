// Sorts the texts of ids, then writes the nodes of the tree from left to right.
#include "text_tree.h"
#include <string.h>
#include "../text/array.h"
#include "../text/unicode.h"

typedef struct text_of {
    uint64_t start;   // the first 8 bytes, the first one highest
    const uint8_t *at;
    uint32_t size;
    int32_t id;
} text_of;

int text_tree_has(const tokenizer *t, int32_t id) {
    int kind = tokenizer_kind(t, id);
    return kind != GEMEL_TOKEN_CONTROL && kind != GEMEL_TOKEN_UNKNOWN && !tokenizer_is_eog(t, id);
}

static int part_of(uint32_t size) {
    int part = 0;
    while (size > tree_sizes[part]) part++;
    return part;
}

static int by_text(const void *a, const void *b) {
    const text_of *x = a, *y = b;
    int left = part_of(x->size), right = part_of(y->size);
    if (left != right) return left - right;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    uint32_t size = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->at, y->at, size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint64_t start_of(const uint8_t *at, uint32_t size) {
    uint64_t start = 0;
    for (uint32_t i = 0; i < 8; i++) start = start << 8 | (i < size ? at[i] : 0);
    return start;
}

// The texts, end to end in *bytes. Returns how many there are, or an error.
static int read_texts(const tokenizer *t, text_of *texts, uint8_t **bytes, size_t *total, errors *e) {
    int n = 0, n_vocab = tokenizer_n_vocab(t);
    size_t room = 0, used = 0;
    for (int32_t id = 0; id < n_vocab; id++) {
        int size = text_tree_has(t, id) ? tokenizer_piece(t, id, 0, NULL, 0) : 0;
        if (size <= 0) continue;
        if (size > UINT16_MAX)
            return fail(e, GEMEL_E_UNSUPPORTED, "token %d has a text of %d bytes: grammars take texts of up to %d",
                        (int)id, size, UINT16_MAX);
        if (!array_room((void **)bytes, used, &room, used + (size_t)size, 1)) return GEMEL_E_MEMORY;
        (void)tokenizer_piece(t, id, 0, (char *)*bytes + used, (size_t)size);
        texts[n++] = (text_of){.size = (uint32_t)size, .id = id};
        used += (size_t)size;
    }
    const uint8_t *at = *bytes;
    for (int i = 0; i < n; at += texts[i++].size) texts[i].at = at, texts[i].start = start_of(at, texts[i].size);
    *total = used;
    return used > UINT32_MAX - 2 ? GEMEL_E_MEMORY : n;
}

static uint32_t common(const text_of *a, const text_of *b) {   // 0 of different trees
    if (part_of(a->size) != part_of(b->size)) return 0;
    uint32_t n = 0, size = a->size < b->size ? a->size : b->size;
    while (n < size && a->at[n] == b->at[n]) n++;
    return n;
}

// path[depth]: the open node of each depth; it is closed, by its skip, when the next text leaves it.
static void write_nodes(text_tree *t, const text_of *texts, int n, uint32_t *path) {
    int i = 0;
    for (int part = 0; part < TREE_PARTS; part++) {
        uint32_t open = 0, root = t->n;
        t->nodes[t->n++] = (tree_node){.id = -1}, t->root[part] = path[0] = root;
        for (int from = i; i < n && part_of(texts[i].size) == part; i++) {
            uint32_t shared = i > from ? common(&texts[i - 1], &texts[i]) : 0;
            for (; open > shared; open--) t->nodes[path[open]].skip = t->n;
            while (open < texts[i].size) {
                uint8_t byte = texts[i].at[open++];
                path[open] = t->n;
                t->nodes[t->n++] = (tree_node){.id = -1, .depth = (uint16_t)open, .byte = byte};
            }
            tree_node *last = &t->nodes[path[open]];
            if (last->id < 0) last->id = texts[i].id;
            else last->is_shared = 1, t->same[texts[i - 1].id] = texts[i].id;   // sorted by id: behind the one before
        }
        for (; open > 0; open--) t->nodes[path[open]].skip = t->n;
        t->nodes[root].skip = t->n;
    }
    t->root[TREE_PARTS] = t->n;
}

uint32_t text_tree_group(uint8_t byte) {
    static const char *const signs[] = {"\"", "\\", "/", "'", ",", ":", "-",  "_",  "<>", "&",
                                        "@",  "#",  "$", "%", "*", "+", "()", "[]", "{}"};
    for (uint32_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (byte && strchr(signs[i], byte)) return 1u << (i + 8);
    if (byte >= 'a' && byte <= 'z') return byte <= 'f' ? 1 : 2;
    if (byte >= 'A' && byte <= 'Z') return byte <= 'F' ? 4 : 8;
    if (byte >= '0' && byte <= '9') return 16;
    if (byte == ' ') return 32;
    return byte < ' ' || byte > '~' ? 64 : 128;
}

static uint32_t groups_of(const text_of *text, const uint32_t *group_of, uint8_t *n_chars) {
    const char *at = (const char *)text->at, *end = at + text->size;
    uint32_t step = (text->size - 1) / SIZE_STEP;
    uint32_t groups = (uint32_t)GROUP_SIZE << (step < SIZE_BITS ? step : SIZE_BITS - 1);
    while (at < end) {
        rune c = rune_at(at, end);
        groups |= c.code < 128 ? group_of[c.code] : c.code < RUNE_BAD ? GROUP_OTHER : GROUP_BROKEN;
        at += c.size, *n_chars += *n_chars < UINT8_MAX;
    }
    return groups;
}

// under[depth + 1]: the groups of the nodes of each depth that were met since the last one above them; zeros.
static void write_groups(text_tree *t, const text_of *texts, int n, uint32_t *under) {
    uint32_t group_of[128];
    for (int byte = 0; byte < 128; byte++) group_of[byte] = text_tree_group((uint8_t)byte);
    for (size_t i = 0; i < 32 * t->n_words; i++) t->groups[i] = GROUP_BROKEN;
    for (int i = 0; i < n; i++) t->groups[texts[i].id] = groups_of(&texts[i], group_of, &t->n_chars[texts[i].id]);
    for (uint32_t i = t->n; i-- > 0;) {
        tree_node *one = &t->nodes[i];
        one->groups = under[one->depth + 1] | (one->id >= 0 ? t->groups[one->id] : 0);
        under[one->depth + 1] = 0, under[one->depth] |= one->groups;
    }
}

static void list_quoted(text_tree *t, size_t n_vocab) {
    uint32_t signs = text_tree_group(',') | text_tree_group('[') | text_tree_group('{'), quote = text_tree_group('"');
    for (size_t id = 0; id < n_vocab; id++)
        if ((t->groups[id] & signs) && (t->groups[id] & quote)) t->quoted[t->n_quoted++] = (int32_t)id;
}

static void list_lists(text_tree *t, const text_of *texts, int n) {
    for (int i = 0; i < n; i++) {
        const uint8_t *open = memchr(texts[i].at, '[', texts[i].size);
        if (open && memchr(open, ',', (size_t)(texts[i].at + texts[i].size - open)))
            t->listed[t->n_listed++] = texts[i].id;
    }
}

static int build(text_tree *t, const tokenizer *words, errors *e) {
    size_t n_vocab = (size_t)tokenizer_n_vocab(words), total = 0;
    text_of *texts = array_new(n_vocab, sizeof *texts);
    uint8_t *bytes = NULL;
    uint32_t *path = NULL;
    t->same = array_new(n_vocab, sizeof *t->same);
    t->n_words = (n_vocab + 31) / 32, t->ends = array_zero(t->n_words, sizeof *t->ends);
    for (int32_t id = 0; t->ends && (size_t)id < n_vocab; id++)
        if (tokenizer_is_eog(words, id)) t->ends[id >> 5] |= 1u << (id & 31);
    int n = texts && t->same && t->ends ? read_texts(words, texts, &bytes, &total, e) : GEMEL_E_MEMORY;
    if (n > 0) qsort(texts, (size_t)n, sizeof *texts, by_text);
    size_t nodes = TREE_PARTS;
    for (int i = 0; i < n; i++) {
        nodes += texts[i].size - (i ? common(&texts[i - 1], &texts[i]) : 0);
        if (texts[i].size > t->depth) t->depth = texts[i].size;
    }
    if (n >= 0) {
        t->nodes = array_new(nodes, sizeof *t->nodes), t->groups = array_new(32 * t->n_words, sizeof *t->groups);
        t->n_chars = array_zero(32 * t->n_words, 1), path = array_new((size_t)t->depth + 2, sizeof *path);
        t->quoted = array_new(n_vocab, sizeof *t->quoted), t->listed = array_new((size_t)n, sizeof *t->listed);
        if (!t->nodes || !t->groups || !t->n_chars || !path || !t->quoted || !t->listed) n = GEMEL_E_MEMORY;
    }
    if (n >= 0) {
        memset(t->same, 0xFF, n_vocab * sizeof *t->same);
        write_nodes(t, texts, n, path);
        memset(path, 0, ((size_t)t->depth + 2) * sizeof *path);
        write_groups(t, texts, n, path);
        list_quoted(t, n_vocab);
        list_lists(t, texts, n);
    }
    free(texts), free(bytes), free(path);
    return n < 0 ? n : GEMEL_OK;
}

int text_tree_open(text_tree **out, const tokenizer *words, errors *e) {
    text_tree *t = array_zero(1, sizeof *t);
    int code = t ? build(t, words, e) : GEMEL_E_MEMORY;
    if (code == GEMEL_E_MEMORY) (void)fail(e, code, "no memory for the tree of the vocabulary's texts");
    if (code) text_tree_close(t), t = NULL;
    *out = t;
    return code;
}

void text_tree_close(text_tree *t) {
    if (!t) return;
    free(t->nodes), free(t->groups), free(t->n_chars), free(t->same), free(t->ends), free(t->quoted), free(t->listed),
        free(t);
}
