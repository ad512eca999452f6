// A random vocabulary and text: opening is an error with a message, or text becomes ids that exist, with any flags, and
// ids become text; where the vocabulary can express every byte, the same text.
//
//   input: model and bytes (1) | rule (1) | flags (1) | special ids (4) | how many tokens (1), each: kind, score, size,
//          text | how many merges (1), each: left, right (of the tokens) | with bit 3 of the first byte, a normaliser:
//          whether it has 512 units or 256 (1), units, texts (16) | the text
#include "fuzz.h"
#include "../c/toy.h"

enum { BYTES = 256, MORE_MAX = 64, TOKENS_MAX = BYTES + MORE_MAX, MERGES_MAX = 64, TOKEN_SIZE = 24, FLAGS = 3 };

static char texts[TOKENS_MAX][TOKEN_SIZE + 1], merges[MERGES_MAX][2 * TOKEN_SIZE + 2];
static const char *tokens[TOKENS_MAX], *merge_texts[MERGES_MAX];
static int kinds[TOKENS_MAX];
static float scores[TOKENS_MAX];
static uint8_t charsmap[4 + 4 * 512 + 16];

// Seeds choose by place.
static const char *const RULES[] = {"default",  "gpt-2",        "smollm",      "llama-bpe", "qwen2",      "gpt-4o",
                                    "tekken",   "dbrx",         "falcon",      "bloom",     "exaone-moe", "kimi-k2",
                                    "youtu",    "deepseek-llm", "deepseek-v3", "spark2_5",  "afmoe",      "jais-2",
                                    "tiny_aya", "superbpe",     "chameleon",   "gemma4",    "whitespace"};
static const char *const MODELS[] = {"llama", "gpt2", "t5", "gemma4", "rwkv"};
enum { BPE = 1, WORLD = 4 };
static const char SPACE[] = "\xE2\x96\x81";

// ---- The vocabulary ------------------------------------------------------------------------------------------------

static int put_bytes(int model, int all) {   // tokens for all bytes, or for the first letters alone
    static const char *const nothing[1];
    int from = all ? 0 : 'a', to = all ? BYTES : 'h';
    toy letters = byte_toy("gpt-2", nothing, 0, nothing, 0);
    for (int i = from; i < to; i++) {
        if (model == BPE) snprintf(texts[i - from], sizeof *texts, "%s", letters.tokens[i]);
        else if (model == WORLD) snprintf(texts[i - from], sizeof *texts, "\\x%02x", (unsigned)i);
        else snprintf(texts[i - from], sizeof *texts, "<0x%02X>", i);
        kinds[i - from] = model == BPE || model == WORLD ? GEMEL_TOKEN_NORMAL : GEMEL_TOKEN_BYTE;
        scores[i - from] = 0;
    }
    return to - from;
}

static int put_token(input *in, int n) {   // returns how many there are now
    kinds[n] = take(in);
    if (kinds[n] < 250) kinds[n] = 1 + kinds[n] % 6;   // else an invalid kind: an error
    scores[n] = (float)(take(in) - 128);
    size_t size = (size_t)take(in) % TOKEN_SIZE;
    memset(texts[n], 0, sizeof *texts);
    for (size_t i = 0; i < size; i++) texts[n][i] = (char)take(in);
    return n + 1;
}

static int put_merges(input *in, int n_tokens) {
    int n = take(in) % MERGES_MAX;
    for (int i = 0; i < n; i++) {
        int a = (int)take_size(in, SIZE_MAX) % n_tokens, b = (int)take_size(in, SIZE_MAX) % n_tokens;
        snprintf(merges[i], sizeof *merges, "%s %s", texts[a], texts[b]);
        merge_texts[i] = merges[i];
    }
    return n;
}

static int take_charsmap(input *in) {
    uint32_t size = take(in) & 1 ? 2048 : 1024;
    memset(charsmap, 0, sizeof charsmap);
    memcpy(charsmap, &size, sizeof size);
    for (uint32_t i = 0; i < size + 16; i++) charsmap[4 + i] = (uint8_t)take(in);
    return (int)size + 20;
}

static toy take_toy(input *in) {
    toy v = NOTHING;
    int first = take(in), model = first & 16 ? WORLD : (first & 1) | (first >> 1 & 2), rule = take(in),
        flags = take(in), special[4];
    for (int i = 0; i < 4; i++) special[i] = (int8_t)take(in);   // below 0: none
    int n = put_bytes(model, first & 2), more = take(in) % MORE_MAX;
    for (int i = 0; i < more; i++) n = put_token(in, n);
    for (int i = 0; i < n; i++) tokens[i] = texts[i];
    v.model = MODELS[model];
    v.pre = RULES[(size_t)rule % (sizeof RULES / sizeof *RULES)];
    v.tokens = tokens, v.n_tokens = v.n_kinds = v.n_scores = n;
    v.kinds = kinds, v.scores = scores;
    v.n_merges = put_merges(in, n), v.merges = merge_texts;
    v.bos = special[0], v.eos = special[1], v.eot = special[2], v.unk = special[3];
    if (first & 8) v.charsmap = charsmap, v.n_charsmap = take_charsmap(in);
    v.merges_spaces = flags / 27 % 3 - 1;
    v.add_bos = flags % 3 - 1, v.add_eos = flags / 3 % 3 - 1, v.add_space_prefix = flags / 9 % 3 - 1;
    return v;
}

// ---- Whether it can give a text back -------------------------------------------------------------------------------

static int is_ascii(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~') return 0;
    return 1;
}

static int is_over_characters(const toy *v) {   // a rule that makes gpt2 a BPE over characters
    return !strcmp(v->model, "gpt2") && v->pre && (!strcmp(v->pre, "gemma4") || !strcmp(v->pre, "whitespace"));
}

// USER_DEFINED tokens stand for their own text: in the byte-level alphabet, or with SentencePiece's sign for a space,
// merging makes them of another. Decoding takes a space away after what only looks like an unknown character, too.
static int gives_back(const toy *v, int all_bytes, const char *text, size_t size) {
    int is_bpe = !strcmp(v->model, "gpt2") || !strcmp(v->model, "rwkv"), has_space = v->add_space_prefix == 0;
    if (is_over_characters(v)) return 0;     // a part may have a mark
    if (!strcmp(v->model, "t5")) return 0;   // text is normalised
    if (!strcmp(v->model, "gemma4") && v->n_merges) return 0;
    for (int i = 0; i < v->n_tokens; i++) {
        if (kinds[i] == GEMEL_TOKEN_UNKNOWN) return 0;
        if (kinds[i] == GEMEL_TOKEN_USER_DEFINED && !is_ascii(texts[i])) return 0;
        has_space |= !strcmp(texts[i], SPACE) && (kinds[i] == GEMEL_TOKEN_NORMAL || kinds[i] == GEMEL_TOKEN_UNUSED);
    }
    for (size_t i = 0; !is_bpe && i + 3 <= size; i++)
        if (!memcmp(text + i, SPACE, 3)) return 0;
    return all_bytes && (is_bpe || has_space);
}

// ---- What must hold ------------------------------------------------------------------------------------------------

// Ids of the text, *n of them, at most `most` of a byte, by way of every capacity that matters; the caller frees them.
static int32_t *encode(const tokenizer *t, const char *text, size_t size, int flags, int most, int *n) {
    *n = tokenizer_encode(t, text, size, flags, NULL, 0);
    CHECK(*n >= 0 && *n <= most * (int)size + 4);
    int32_t *ids = malloc((size_t)*n * sizeof *ids + 1), *few = malloc((size_t)(*n / 2) * sizeof *few + 1);
    CHECK_EQ_INT(tokenizer_encode(t, text, size, flags, ids, (size_t)*n), *n);
    CHECK_EQ_INT(tokenizer_encode(t, text, size, flags, few, (size_t)(*n / 2)), *n);
    CHECK(!memcmp(ids, few, (size_t)(*n / 2) * sizeof *few));
    for (int i = 0; i < *n; i++) CHECK(ids[i] >= 0 && ids[i] < tokenizer_n_vocab(t));
    free(few);
    return ids;
}

// Text of the ids, *size bytes, or their pieces end to end; the caller frees it.
static char *decode(const tokenizer *t, const int32_t *ids, int n, int flags, int in_pieces, size_t *size) {
    int whole = tokenizer_decode(t, ids, (size_t)n, flags, NULL, 0), at = 0;
    size_t room = (size_t)whole + (size_t)n * 3;   // pieces keep the spaces that decode takes away
    char *text = malloc(room + 1);
    CHECK(whole >= 0);
    if (!in_pieces) at = tokenizer_decode(t, ids, (size_t)n, flags, text, (size_t)whole);
    for (int i = 0; in_pieces && i < n; i++) {
        int part = tokenizer_piece(t, ids[i], flags, text + at, room - (size_t)at);
        CHECK(part >= 0 && part <= (int)room - at);
        at += part;
    }
    *size = (size_t)at;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, data + size};
    int all_bytes = size && (data[0] & 2);
    toy v = take_toy(&in);
    opened o;
    int code = open_toy(&o, &v);
    size_t n_text = left(&in);
    char *text = copy_of(in.at, n_text);
    int has_marks = !strcmp(v.model, "t5") || !strcmp(v.model, "gemma4") || is_over_characters(&v);
    int most = v.charsmap && !strcmp(v.model, "t5") ? 256 : has_marks ? 3 : 2;   // ids of a byte
    CHECK_EQ_INT(code < 0, o.err[0] != 0);
    for (int flags = 0; !code && flags <= FLAGS; flags++) {
        int n, special = flags & GEMEL_TEXT_SPECIAL;
        size_t back_size, pieces_size;
        int32_t *ids = encode(o.t, text, n_text, flags, most, &n);
        char *back = decode(o.t, ids, n, special, 0, &back_size);
        char *pieces = decode(o.t, ids, n, special, 1, &pieces_size);
        if (!(flags & GEMEL_TEXT_BOS_EOS) && gives_back(&v, all_bytes, text, n_text))
            CHECK(back_size == n_text && !memcmp(back, text, n_text));
        if (v.model[0] == 'g') CHECK(back_size == pieces_size && !memcmp(back, pieces, back_size));
        free(ids), free(back), free(pieces);
    }
    if (!code) CHECK_EQ_INT(tokenizer_piece(o.t, tokenizer_n_vocab(o.t), 0, NULL, 0), GEMEL_E_ARGUMENT);
    free(text);
    close_toy(&o);
    return judge();
}
