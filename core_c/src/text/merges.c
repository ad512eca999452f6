// Each item is "left right"; its index is its rank. Sides and results are tokens, or parts: texts between merges that
// have no id.
#include "merges.h"
#include "array.h"

// The id or part of one side of a merge. A single letter that has no id becomes a part; other texts must be known.
static int32_t side_of(vocab *v, gguf_span side, size_t index, int (*is_letter)(rune r), errors *e) {
    int32_t found = vocab_find(v, side.at, side.size);
    if (found >= 0) return found;
    rune letter = rune_at(side.at, side.at + side.size);
    if (letter.size && letter.size == side.size && is_letter(letter)) return vocab_add_part(v, side.at, side.size, e);
    return fail(e, GEMEL_E_FORMAT,
                "tokenizer.ggml.merges[%zu]: '%s' is not a token, a byte or the result of an earlier merge", index,
                printable_name(side.at, side.size).text);
}

// "left right": split at the first space after the first byte. The result of a merge need not be a token.
static int read_merge(struct tokenizer *t, size_t index, gguf_span text, int (*is_letter)(rune r), char *joined,
                      errors *e) {
    const char *space = text.size < 3 ? NULL : memchr(text.at + 1, ' ', text.size - 2);
    if (!space)
        return fail(e, GEMEL_E_FORMAT,
                    "tokenizer.ggml.merges[%zu] is '%s'; it must be two strings with a space between them", index,
                    printable_name(text.at, text.size).text);
    gguf_span before = {text.at, (size_t)(space - text.at)}, after = {space + 1, text.size - before.size - 1};
    int32_t left = side_of(&t->v, before, index, is_letter, e);
    int32_t right = left < 0 ? left : side_of(&t->v, after, index, is_letter, e);
    if (right < 0) return right;
    memcpy(joined, before.at, before.size);
    memcpy(joined + before.size, after.at, after.size);
    int32_t result = vocab_find(&t->v, joined, text.size - 1);
    if (result < 0) result = vocab_add_part(&t->v, joined, text.size - 1, e);
    if (result < 0) return result;
    return merge_table_add(&t->merges, left, right, (merge){(int32_t)index, result}, e);
}

int merges_read(struct tokenizer *t, int (*is_letter)(rune r), errors *e) {
    int index;
    size_t n, longest = 0;
    int rc = gguf_get_array(t->v.g, "tokenizer.ggml.merges", GGUF_STRING, &index, &n, e);
    if (rc < 0) return rc;
    if (!rc)
        return fail(e, GEMEL_E_FORMAT, "tokenizer.ggml.merges is missing; tokenizer.ggml.model %s needs it",
                    t->model->name);
    if (n > INT32_MAX / 4)
        return fail(e, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.merges has %zu items; at most %d are supported", n,
                    INT32_MAX / 4);
    for (size_t i = 0; i < n; i++) {
        size_t size = gguf_array_string(t->v.g, index, i).size;
        if (size > longest) longest = size;
    }
    char *joined = array_new(longest, 1);
    if (!joined) return fail(e, GEMEL_E_MEMORY, "no memory for a merge of %zu bytes", longest);
    rc = 0;
    for (size_t i = 0; !rc && i < n; i++)
        rc = read_merge(t, i, gguf_array_string(t->v.g, index, i), is_letter, joined, e);
    free(joined);
    return rc;
}
