// Pieces that are text: unigram with its normaliser, BPE over characters; tokens that take white space away.
// tests/python/test_pieces_of_text.py compares them with others.
#include "toy.h"

// ---- Unigram -------------------------------------------------------------------------------------------------------

#define M "\xE2\x96\x81"

static const char *const PIECES[] = {"<unk>", "</s>", M, "a", "b", "ab", "abab", M "ab", M M, "\xC3\xA4", "<x>", "ba"};
static const float SCORES[] = {0, 0, -3, -2, -2, -3, -5.5f, -4, -3.5f, -2, -100, -2.5f};
enum { UNK, EOS, MARK, A, B, AB, ABAB, MARK_AB, MARKS, UMLAUT, OWN, BA, N_PIECES };

static toy unigram_toy(int *kinds) {
    toy v = NOTHING;
    for (int i = 0; i < N_PIECES; i++) kinds[i] = GEMEL_TOKEN_NORMAL;
    kinds[UNK] = GEMEL_TOKEN_UNKNOWN, kinds[EOS] = GEMEL_TOKEN_CONTROL, kinds[OWN] = GEMEL_TOKEN_USER_DEFINED;
    v.model = "t5", v.tokens = PIECES, v.n_tokens = v.n_kinds = v.n_scores = N_PIECES;
    v.kinds = kinds, v.scores = SCORES, v.unk = UNK;
    return v;
}

static void unigram_takes_the_cut_with_the_best_sum(void) {
    opened o;
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "ab", 0), "5");
    CHECK_EQ_STR(encoded(&o, "abab", 0), "6");
    CHECK_EQ_STR(encoded(&o, "bab", 0), "11 4");   // -4.5, and b ab is -5
    CHECK_EQ_STR(encoded(&o, "a b", 0), "3 2 4");
    CHECK_EQ_STR(encoded(&o, " ab", 0), "7");
    CHECK_EQ_STR(encoded(&o, "\xC3\xA4<x>", 0), "9 10");
    CHECK_EQ_STR(encoded(&o, "ab", GEMEL_TEXT_BOS_EOS), "5 1");   // EOS is added unless the file says no
    CHECK_EQ_STR(encoded(&o, "", 0), "");
    close_toy(&o);
}

static void neighbours_that_no_piece_spells_are_one_unknown_token(void) {
    opened o;
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "xyz\xF0\x9F\x98\x80", 0), "0");
    CHECK_EQ_STR(encoded(&o, "axbx", 0), "3 0 4 0");
    CHECK_EQ_STR(encoded(&o, "\xFF\xFE", 0), "0");
    close_toy(&o);
    kinds[UNK] = GEMEL_TOKEN_NORMAL, v.unk = -1, v.tokens = PIECES + 3, v.n_tokens = v.n_kinds = v.n_scores = 2;
    v.scores = SCORES + 3, v.kinds = kinds + 3;
    check_refused(&v, GEMEL_E_FORMAT, "no unknown token");
}

static void unigram_spells_by_bytes_where_it_has_all(void) {
    static char texts[256][8];
    const char *tokens[260] = {"<unk>", "</s>", M, "a"};
    int kinds[260] = {GEMEL_TOKEN_UNKNOWN, GEMEL_TOKEN_CONTROL, GEMEL_TOKEN_NORMAL, GEMEL_TOKEN_NORMAL};
    float scores[260] = {0, 0, -1, -1};
    for (int i = 0; i < 256; i++) {
        snprintf(texts[i], sizeof texts[i], "<0x%02X>", i);
        tokens[4 + i] = texts[i], kinds[4 + i] = GEMEL_TOKEN_BYTE, scores[4 + i] = 0;
    }
    toy v = NOTHING;
    v.model = "t5", v.tokens = tokens, v.n_tokens = v.n_kinds = v.n_scores = 260, v.kinds = kinds, v.scores = scores;
    opened o;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o,
                         "a\xC3\xA4"
                         "a",
                         0),
                 "3 199 168 3");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){3, 199, 168, 2, 3}, 5, 0), "a\xC3\xA4 a");
    close_toy(&o);
}

static void spaces_are_marked_as_the_file_says(void) {
    opened o;
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    v.add_space_prefix = 1;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "ab", 0), "7");
    CHECK_EQ_STR(encoded(&o, "a  b ", 0), "2 3 8 4 2");
    CHECK_EQ_STR(encoded(&o, " a", 0), "8 3");   // its own space, and the prefix
    CHECK_EQ_STR(decoded(&o, (int32_t[]){MARK_AB, MARK, A}, 3, 0), "ab a");
    close_toy(&o);
    v.add_space_prefix = 0, v.merges_spaces = 1;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "  a   b  ", 0), "2 3 2 4");
    CHECK_EQ_STR(encoded(&o, "   ", 0), "");
    close_toy(&o);
}

// ---- Its normaliser ------------------------------------------------------------------------------------------------

enum { UNITS = 512, TEXTS = 16, MAP_SIZE = 4 + 4 * UNITS + TEXTS };

// "A" becomes "a", and "AB" "ba".
typedef struct map {
    uint32_t units[UNITS];
    char texts[TEXTS];
} map;

static map small_map(void) {
    map m = {{0}, "a\0ba"};
    uint32_t leaf = 1u << 8, end = 1u << 31;
    m.units[0] = 0;                                            // the root's base is 0, its children are units 1..255
    m.units['A'] = 'A' | leaf | (uint32_t)('A' ^ 256) << 10;   // its base is 256
    m.units[256] = end | 0;
    m.units[256 ^ 'B'] = 'B' | leaf | (uint32_t)(256 ^ 'B' ^ 300) << 10;
    m.units[300] = end | 2;
    return m;
}

static const uint8_t *packed(const map *m) {
    static uint8_t out[MAP_SIZE];
    uint32_t size = 4 * UNITS;
    memcpy(out, &size, 4);
    memcpy(out + 4, m->units, size);
    memcpy(out + 4 + size, m->texts, TEXTS);
    return out;
}

static void the_longest_sequence_is_replaced(void) {
    opened o;
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    map m = small_map();
    v.charsmap = packed(&m), v.n_charsmap = MAP_SIZE;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "A", 0), "3");
    CHECK_EQ_STR(encoded(&o, "AB", 0), "11");
    CHECK_EQ_STR(encoded(&o, "AAB b", 0), "3 11 2 4");
    CHECK_EQ_STR(encoded(&o, "AC", 0), "3 0");
    close_toy(&o);
}

static void check_map_refused(const map *m, int size, int code, const char *part) {
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    v.charsmap = packed(m), v.n_charsmap = size;
    check_refused(&v, code, part);
}

static void normalisers_that_lead_astray_are_refused(void) {
    map m = small_map();
    check_map_refused(&m, 3, GEMEL_E_FORMAT, "too few");
    check_map_refused(&m, 4 + 4 * UNITS, GEMEL_E_FORMAT, "its units take 2048");
    check_map_refused(&m, MAP_SIZE - TEXTS + 1, GEMEL_E_FORMAT, "does not end with a zero byte");
    m.units['A'] |= 1u << 30;
    check_map_refused(&m, MAP_SIZE, GEMEL_E_FORMAT, "leads to unit");
    m = small_map(), m.units[256] = 1u << 31 | TEXTS;
    check_map_refused(&m, MAP_SIZE, GEMEL_E_FORMAT, "replacement at byte 16");
    m = small_map(), m.units['A'] = 'A' | (uint32_t)'A' << 10;   // its children are the root's
    check_map_refused(&m, MAP_SIZE, GEMEL_E_FORMAT, "over 255 bytes");
    m = small_map(), m.units[0] = 1u << 31 | 512u << 10;
    check_map_refused(&m, MAP_SIZE, GEMEL_E_FORMAT, "leads to unit");
}

static void long_replacements_are_refused(void) {
    static uint8_t bytes[4 + 4 * UNITS + 400];
    map m = small_map();
    int kinds[N_PIECES];
    toy v = unigram_toy(kinds);
    memcpy(bytes, packed(&m), MAP_SIZE);
    memset(bytes + 4 + 4 * UNITS, 'a', 399);
    v.charsmap = bytes, v.n_charsmap = sizeof bytes;
    check_refused(&v, GEMEL_E_UNSUPPORTED, "has 399 bytes");
}

static void false_scores_and_pieces_of_unigram_are_refused(void) {
    int kinds[N_PIECES];
    float scores[N_PIECES];
    toy v = unigram_toy(kinds);
    memcpy(scores, SCORES, sizeof scores);
    v.scores = scores, scores[3] = 1.0f / 0.0f;
    check_refused(&v, GEMEL_E_FORMAT, "scores[3] is inf");
    scores[3] = 0.0f / 0.0f;
    check_refused(&v, GEMEL_E_FORMAT, "scores[3] is NaN");
    v.scores = NULL;
    check_refused(&v, GEMEL_E_FORMAT, "scores is missing; tokenizer.ggml.model t5 needs it");
    char text[300] = {0};
    const char *tokens[N_PIECES];
    memcpy(tokens, PIECES, sizeof tokens);
    memset(text, 'a', 299);
    tokens[A] = text, v.tokens = tokens, v.scores = SCORES;
    check_refused(&v, GEMEL_E_UNSUPPORTED, "tokens[3] has 299 bytes");
}

// ---- BPE over characters -------------------------------------------------------------------------------------------

static const char *const CHARS[] = {"<unk>", "<bos>", "a", "b", M, M "a", "\n", "\n\n", "ab", "<0x63>"};
static const char *const CHAR_MERGES[] = {M " a", "a b", "\n \n"};

static toy char_toy(int *kinds) {
    toy v = NOTHING;
    for (int i = 0; i < 10; i++) kinds[i] = GEMEL_TOKEN_NORMAL;
    kinds[0] = GEMEL_TOKEN_UNKNOWN, kinds[1] = GEMEL_TOKEN_CONTROL, kinds[9] = GEMEL_TOKEN_BYTE;
    v.model = "gemma4", v.tokens = CHARS, v.n_tokens = v.n_kinds = 10, v.kinds = kinds;
    v.merges = CHAR_MERGES, v.n_merges = 3, v.bos = 1;
    return v;
}

static void bpe_over_characters_merges_marks_and_line_breaks(void) {
    opened o;
    int kinds[10];
    toy v = char_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "ab ab", 0), "8 5 3");
    CHECK_EQ_STR(encoded(&o, "a\n\nb\n", 0), "2 7 3 6");
    CHECK_EQ_STR(encoded(&o, "\n\n\n", 0), "7 6");
    CHECK_EQ_STR(encoded(&o, "cx", 0), "9 0");   // a byte that has a token, and a character that can't be spelt
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "1 2");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){5, 4, 9}, 3, 0), " a c");
    close_toy(&o);
}

// A space becomes U+2581, whose three bytes have tokens where what it merged into has none.
static void parts_with_marks_may_become_more_ids_than_the_text_has_bytes(void) {
    static const char *const tokens[] = {"<unk>", "<s>", "a", M, "<0xE2>", "<0x96>", "<0x81>", "<0x61>"};
    static const char *const merges[] = {M " a"};
    int kinds[10];
    opened o;
    char text[2001], *at = text;
    toy v = char_toy(kinds);
    for (int i = 0; i < 8; i++) kinds[i] = i == 0 ? 2 : i == 1 ? 3 : i < 4 ? 1 : 6;
    v.tokens = tokens, v.n_tokens = v.n_kinds = 8, v.merges = merges, v.n_merges = 1;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, " a", 0), "4 5 6 7");
    for (int i = 0; i < 1000; i++) *at++ = ' ', *at++ = 'a';
    CHECK_EQ_INT(tokenizer_encode(o.t, text, 2000, 0, NULL, 0), 4000);
    close_toy(&o);
}

static void gemma4_adds_bos_even_where_the_file_says_no(void) {
    opened o;
    int kinds[10];
    toy v = char_toy(kinds);
    v.add_bos = 0;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "1 2");
    CHECK(strstr(o.said.text[0], "add_bos_token is false") != NULL);
    close_toy(&o);
    v.model = "gpt2", v.pre = "sarvam-moe";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "2");
    close_toy(&o);
    v.pre = "whitespace";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "ab a", 0), "8 0 2");   // a space is no mark here
    close_toy(&o);
}

static void merges_of_missing_pieces_are_refused(void) {
    int kinds[10];
    static const char *const merges[] = {"a b", "ab cd"};
    toy v = char_toy(kinds);
    v.merges = merges, v.n_merges = 2;
    check_refused(&v, GEMEL_E_FORMAT, "merges[1]: 'cd'");
    v.merges = NULL;
    check_refused(&v, GEMEL_E_FORMAT, "merges is missing; tokenizer.ggml.model gemma4 needs it");
}

// ---- Tokens that take white space away -----------------------------------------------------------------------------

static void special_tokens_of_phi3_take_the_space_after_them(void) {
    static const char *const more[] = {"<|user|>", "<s>", "</s>"};
    opened o;
    int kinds[259];
    toy v = byte_toy("gpt-2", NULL, 0, more, 3);
    for (int i = 0; i < 259; i++) kinds[i] = GEMEL_TOKEN_NORMAL;
    kinds[256] = kinds[257] = kinds[258] = GEMEL_TOKEN_CONTROL;
    v.kinds = kinds, v.n_kinds = 259, v.merges = more, v.n_merges = 0, v.name = "My Phi-3 mini";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o,
                         "a<|user|> \n\xC2\xA0"
                         "b",
                         GEMEL_TEXT_SPECIAL),
                 "97 256 98");
    CHECK_EQ_STR(encoded(&o, "<s> b</s> ", GEMEL_TEXT_SPECIAL), "257 32 98 258");
    close_toy(&o);
    v.name = "Phi 4";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "<|user|> b", GEMEL_TEXT_SPECIAL), "256 32 98");
    close_toy(&o);
}

static void the_mask_of_encoders_takes_the_space_before_it(void) {
    static const char *const more[] = {"<mask>"};
    opened o;
    int kinds[257];
    toy v = byte_toy("jina-v2-code", NULL, 0, more, 1);
    for (int i = 0; i < 257; i++) kinds[i] = i < 256 ? GEMEL_TOKEN_NORMAL : GEMEL_TOKEN_CONTROL;
    v.kinds = kinds, v.n_kinds = 257, v.merges = more, v.n_merges = 0;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a \xE3\x80\x80<mask> b", GEMEL_TEXT_SPECIAL), "97 256 32 98");
    CHECK_EQ_STR(encoded(&o, "  <mask>", GEMEL_TEXT_SPECIAL), "256");
    CHECK_EQ_STR(encoded(&o, "\xC2\xA0\x80<mask>", GEMEL_TEXT_SPECIAL), "194 160 128 256");   // ends in no space
    close_toy(&o);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(unigram_takes_the_cut_with_the_best_sum),
        CHECK_ENTRY(neighbours_that_no_piece_spells_are_one_unknown_token),
        CHECK_ENTRY(unigram_spells_by_bytes_where_it_has_all),
        CHECK_ENTRY(spaces_are_marked_as_the_file_says),
        CHECK_ENTRY(the_longest_sequence_is_replaced),
        CHECK_ENTRY(normalisers_that_lead_astray_are_refused),
        CHECK_ENTRY(long_replacements_are_refused),
        CHECK_ENTRY(false_scores_and_pieces_of_unigram_are_refused),
        CHECK_ENTRY(bpe_over_characters_merges_marks_and_line_breaks),
        CHECK_ENTRY(parts_with_marks_may_become_more_ids_than_the_text_has_bytes),
        CHECK_ENTRY(gemma4_adds_bos_even_where_the_file_says_no),
        CHECK_ENTRY(merges_of_missing_pieces_are_refused),
        CHECK_ENTRY(special_tokens_of_phi3_take_the_space_after_them),
        CHECK_ENTRY(the_mask_of_encoders_takes_the_space_before_it),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
