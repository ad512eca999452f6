// Tokenizers on vocabularies made here: the order of merges inside words, special tokens, bytes that can't be
// expressed, and each false claim that a file can make. test_tokenizer.py compares tokenizers with others.
#include "toy.h"

enum { LONG_TEXT = 131072 };

// ---- What is asked of a tokenizer ----------------------------------------------------------------------------------

static void check_round_trip(const opened *o, const char *text, size_t size) {
    int32_t *ids = malloc((size + 2) * sizeof *ids);
    char *back = malloc(size + 1);
    int n = tokenizer_encode(o->t, text, size, 0, ids, size + 2);
    CHECK(n >= 0 && (size_t)n <= size + 2);
    if (n >= 0) {
        CHECK_EQ_INT(tokenizer_decode(o->t, ids, (size_t)n, 0, back, size), size);
        CHECK(memcmp(back, text, size) == 0);
    }
    free(ids);
    free(back);
}

// ---- Byte-level BPE ------------------------------------------------------------------------------------------------

static const char *const MERGES[] = {"h e", "l l", "he ll", "hell o", "\xC4\xA0 w", "a a", "aa aa"};
static const char *const MERGED[] = {"he",   "ll",      "hell", "hello", "\xC4\xA0w", "aa",
                                     "aaaa", "<|end|>", "<|e",  "NOTE",  "<|im_end|>"};
enum { HE = 256, LL, HELL, HELLO, SPACE_W, AA, AAAA, END, END_PREFIX, NOTE, IM_END, N_HELLO };

// MERGED's last four tokens: two controls, a user-defined one, a control.
static toy hello_toy(int *kinds) {
    toy v = byte_toy("gpt-2", MERGES, 7, MERGED, N_HELLO - 256);
    for (int i = 0; i < N_HELLO; i++) kinds[i] = GEMEL_TOKEN_NORMAL;
    kinds[END] = kinds[END_PREFIX] = kinds[IM_END] = GEMEL_TOKEN_CONTROL;
    kinds[NOTE] = GEMEL_TOKEN_USER_DEFINED;
    v.kinds = kinds, v.n_kinds = N_HELLO;
    return v;
}

static void bpe_merges_by_rank_inside_words(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "hello wll", 0), "259 260 257");
    CHECK_EQ_STR(encoded(&o, "hell llo", 0), "258 32 257 111");
    CHECK_EQ_STR(encoded(&o, "aaaaaaa", 0), "262 261 97");
    CHECK_EQ_STR(encoded(&o, "", 3), "");
    CHECK_EQ_STR(encoded(&o, "\xFF\xC3", 0), "255 195");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){HELLO, SPACE_W, 0xC3}, 3, 0), "hello w\xC3");
    close_toy(&o);
}

static void any_bytes_come_back_from_bpe(void) {
    static const char *const pres[] = {"default", "gpt-2", "smollm", "llama-bpe", "qwen2", "tekken"};
    uint64_t seed = 3;
    for (int pre = 0; pre < 6; pre++) {
        opened o;
        toy v = byte_toy(pres[pre], MERGES, 7, MERGED, 7);
        CHECK_EQ_INT(open_toy(&o, &v), 0);
        for (int round = 0; o.t && round < 300; round++) {
            char text[200];
            size_t n = check_random(&seed) % sizeof text;
            for (size_t i = 0; i < n; i++)
                text[i] = round % 2 ? "hello w\n1"[check_random(&seed) % 9] : (char)check_random(&seed);
            check_round_trip(&o, text, n);
        }
        close_toy(&o);
    }
}

static void long_runs_of_one_character_come_back(void) {
    static const char *const units[] = {"a", " ", "\n", "1", "<", "'", "\xF0\x9F\x98\x80", "\xFF"};
    int kinds[N_HELLO];
    char *text = malloc(LONG_TEXT * 4);
    toy v = hello_toy(kinds);
    for (int rule = 0; rule < 3; rule++) {
        opened o;
        v.pre = rule == 0 ? "smollm" : rule == 1 ? "llama-bpe" : "default";
        CHECK_EQ_INT(open_toy(&o, &v), 0);
        for (size_t unit = 0; o.t && unit < sizeof units / sizeof *units; unit++) {
            size_t size = strlen(units[unit]);
            for (size_t i = 0; i < LONG_TEXT; i++) memcpy(text + i * size, units[unit], size);
            check_round_trip(&o, text, LONG_TEXT * size);
        }
        close_toy(&o);
    }
    free(text);
}

static void special_tokens_are_seen_only_when_asked(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a<|end|>", GEMEL_TEXT_SPECIAL), "97 263");
    CHECK_EQ_STR(encoded(&o, "a<|end|>", 0), "97 60 124 101 110 100 124 62");
    CHECK_EQ_STR(encoded(&o, "<|en<|end|>|>", GEMEL_TEXT_SPECIAL), "264 110 263 124 62");   // leftmost, longest
    CHECK_EQ_STR(encoded(&o, "<|<|e", GEMEL_TEXT_SPECIAL), "60 124 264");
    CHECK_EQ_STR(encoded(&o, "helloNOTEhello", 0), "259 265 259");   // user-defined: always
    CHECK_EQ_STR(encoded(&o, "NOT", 0), "78 79 84");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){END, NOTE, 97}, 3, 0), "NOTEa");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){END, NOTE, 97}, 3, GEMEL_TEXT_SPECIAL), "<|end|>NOTEa");
    close_toy(&o);
}

static void whole_words_win_over_merges_where_the_rule_says_so(void) {
    static const char *const more[] = {"he", "lo\xC4\xA0", "hey"};
    opened o;
    toy v = byte_toy("llama-bpe", MERGES, 1, more, 3);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "hey", 0), "258");
    CHECK_EQ_STR(encoded(&o, "heyo", 0), "256 121 111");
    close_toy(&o);
    v.pre = "dbrx";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "hey", 0), "256 121");
    close_toy(&o);
}

static void a_merge_may_pass_through_a_text_without_an_id(void) {
    static const char *const merges[] = {"h e", "he y", "y y"}, *const more[] = {"hey"};
    opened o;
    toy v = byte_toy("gpt-2", merges, 3, more, 1);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "hey he yyy", 0), "256 32 104 101 32 121 121 121");
    close_toy(&o);
}

static void bytes_without_a_token_become_unknown_or_are_dropped(void) {
    static const char *const tokens[] = {"a", "b", "<unk>", "ab"}, *const merges[] = {"a b"};
    int kinds[] = {1, 1, 2, 1};
    opened o;
    toy v = NOTHING;
    v.model = "gpt2", v.pre = "gpt-2", v.tokens = tokens, v.n_tokens = 4, v.kinds = kinds, v.n_kinds = 4;
    v.merges = merges, v.n_merges = 1, v.unk = 2;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "abzab", 0), "3 2 3");
    CHECK_EQ_STR(encoded(&o, "azb", 0), "0 2 1");
    close_toy(&o);
    kinds[2] = GEMEL_TOKEN_CONTROL;   // plain text must not be able to write a control token
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "azb", 0), "3");
    CHECK_EQ_STR(encoded(&o, "z", 0), "");
    close_toy(&o);
}

static void pieces_outside_the_alphabet_stand_for_themselves(void) {
    static const char *const more[] = {"\xE4\xB8\xAD"
                                       "a",
                                       ""};
    opened o;
    toy v = byte_toy(NULL, MERGES, 0, more, 2);
    v.merges = more;   // no merges, but the key exists
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(decoded(&o, (int32_t[]){256, 257, 97}, 3, 0), "\xE4\xB8\xAD"
                                                               "aa");
    close_toy(&o);
}

// ---- SentencePiece -------------------------------------------------------------------------------------------------

#define MARK "\xE2\x96\x81"
static const char *const PIECES[] = {"<unk>",   "<s>", "</s>", MARK,     "a",      "b",      MARK "a", "ab",  "bb",
                                     MARK MARK, "s>",  "</",   "<0x0A>", "<0xC3>", "<0xA9>", "[X]",    "</s", "<"};
static const float SCORES[] = {0, 0, 0, -10, -11, -12, -2, -1, -1, -3, -4, -4, 0, 0, 0, 0, -5, -9};
enum { N_PIECES = 18, P_UNK = 0, P_S = 1, P_MARK = 3, P_A, P_B, P_MARK_A, P_AB, P_BB, P_TWO, P_LINE = 12, P_X = 15 };

static toy piece_toy(int *kinds) {
    toy v = NOTHING;
    for (int i = 0; i < N_PIECES; i++) kinds[i] = i >= 12 && i < 15 ? GEMEL_TOKEN_BYTE : GEMEL_TOKEN_NORMAL;
    kinds[0] = GEMEL_TOKEN_UNKNOWN, kinds[1] = kinds[2] = GEMEL_TOKEN_CONTROL, kinds[P_X] = GEMEL_TOKEN_USER_DEFINED;
    v.model = "llama", v.tokens = PIECES, v.n_tokens = N_PIECES, v.scores = SCORES, v.n_scores = N_PIECES;
    v.kinds = kinds, v.n_kinds = N_PIECES, v.bos = 1, v.eos = 2;
    return v;
}

static void pieces_merge_by_score(void) {
    int kinds[N_PIECES];
    opened o;
    toy v = piece_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", 0), "6");
    CHECK_EQ_STR(encoded(&o, "ab", 0), "3 7");      // ab beats MARK a
    CHECK_EQ_STR(encoded(&o, "abb", 0), "3 7 5");   // equal scores: the left one
    CHECK_EQ_STR(encoded(&o, "bab  b", 0), "3 5 7 9 5");
    CHECK_EQ_STR(encoded(&o, "\n\xC3\xA9", 0), "3 12 13 14");
    CHECK_EQ_STR(encoded(&o, "z\xFF", 0), "3 0 0");   // neither pieces nor bytes
    CHECK_EQ_STR(encoded(&o, "", GEMEL_TEXT_BOS_EOS), "1");
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "1 6");
    CHECK_EQ_STR(encoded(&o, "b</s>", 0), "3 5 11 10");   // text alone never makes a control token
    CHECK_EQ_STR(encoded(&o, "<s>a[X]a", GEMEL_TEXT_SPECIAL), "1 6 15 6");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_UNK), -1);   // the file names none, though one is used
    close_toy(&o);
}

static void characters_without_a_piece_may_merge(void) {
    int kinds[N_PIECES];
    const char *tokens[N_PIECES];
    opened o;
    toy v = piece_toy(kinds);
    memcpy(tokens, PIECES, sizeof tokens);
    tokens[P_BB] = "\xC3\xA9z", tokens[P_TWO] = MARK "y", tokens[P_MARK] = "q", v.tokens = tokens;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "y\xC3\xA9z", 0), "9 8");
    CHECK_EQ_STR(encoded(&o, "b\xC3\xA9", 0), "0 5 13 14");   // the space is neither a piece nor a byte here
    close_toy(&o);
}

static void a_piece_may_reach_across_a_space(void) {
    int kinds[N_PIECES];
    const char *tokens[N_PIECES];
    opened o;
    toy v = piece_toy(kinds);
    memcpy(tokens, PIECES, sizeof tokens);
    tokens[P_BB] = "b" MARK, v.tokens = tokens;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "b b", 0), "3 8 5");
    CHECK_EQ_STR(encoded(&o, "a a", 0), "6 6");
    check_round_trip(&o, "b b  b a b", 10);
    close_toy(&o);
}

static void decoding_pieces_undoes_the_added_space(void) {
    int kinds[N_PIECES];
    opened o;
    toy v = piece_toy(kinds);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_MARK_A, P_MARK_A}, 2, 0), "a a");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_TWO, P_A, P_LINE}, 3, 0), " a\n");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_S, P_MARK_A, P_X, P_MARK_A}, 4, GEMEL_TEXT_SPECIAL), "<s>a[X]a");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_UNK, P_A}, 2, 0), "a");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_UNK, P_MARK_A}, 2, GEMEL_TEXT_SPECIAL), "<unk> a");   // of "z a", too
    char text[8];
    CHECK_EQ_INT(tokenizer_piece(o.t, P_MARK_A, 0, text, sizeof text), 2);   // a piece alone keeps its space
    CHECK(memcmp(text, " a", 2) == 0);
    const char *const texts[] = {"ab ba", " a", "  b\n", "a\xC3\xA9", "[X] a", "[X]a[X][X] "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_round_trip(&o, texts[i], strlen(texts[i]));
    close_toy(&o);
    v.add_space_prefix = 0;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a a", 0), "4 6");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){P_MARK_A, P_MARK_A}, 2, 0), " a a");
    close_toy(&o);
}

static void long_runs_of_pieces_come_back(void) {
    int kinds[N_PIECES];
    opened o;
    toy v = piece_toy(kinds);
    char *text = malloc(LONG_TEXT);
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    for (int i = 0; o.t && i < 4; i++) {
        memset(text, "ab \n"[i], LONG_TEXT);
        check_round_trip(&o, text, LONG_TEXT);
    }
    free(text);
    close_toy(&o);
}

// ---- Roles, room, arguments ----------------------------------------------------------------------------------------

static void bos_and_eos_are_added_as_the_file_says(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    v.bos = END, v.eos = IM_END;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "97");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_ADD_BOS), 0);
    close_toy(&o);
    v.pre = "llama-bpe";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "263 97");
    close_toy(&o);
    v.add_bos = 0, v.add_eos = 1;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_STR(encoded(&o, "a", GEMEL_TEXT_BOS_EOS), "97 266");
    CHECK_EQ_STR(encoded(&o, "a", 0), "97");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOS), IM_END);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOT), -1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_ADD_EOS), 1);
    close_toy(&o);
}

static void a_generation_ends_at_named_roles_and_at_known_control_tokens(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    v.eos = AA, v.eot = HE;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, AA), 1);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, HE), 1);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, IM_END), 1);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, END_PREFIX), 0);
    CHECK_EQ_INT(tokenizer_kind(o.t, NOTE), GEMEL_TOKEN_USER_DEFINED);
    close_toy(&o);
    kinds[IM_END] = GEMEL_TOKEN_NORMAL;
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, IM_END), 0);
    close_toy(&o);
}

static void nothing_is_written_past_the_capacity(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    int32_t ids[4] = {-7, -7, -7, -7};
    char text[8] = "-------";
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_INT(tokenizer_encode(o.t, "llhello", 7, 0, ids, 1), 2);
    CHECK_EQ_INT(ids[0], LL);
    CHECK_EQ_INT(ids[1], -7);
    CHECK_EQ_INT(tokenizer_encode(o.t, "llhello", 7, 0, NULL, 0), 2);
    CHECK_EQ_INT(tokenizer_piece(o.t, HELLO, 0, text, 4), 5);
    CHECK_EQ_INT(tokenizer_decode(o.t, (int32_t[]){HELLO, LL}, 2, 0, text, 6), 7);
    CHECK_EQ_STR(text, "-------");
    CHECK_EQ_INT(tokenizer_decode(o.t, (int32_t[]){HELLO, LL}, 2, 0, text, 7), 7);
    CHECK_EQ_STR(text, "helloll");
    CHECK_EQ_INT(tokenizer_decode(o.t, NULL, 0, 0, NULL, 0), 0);
    close_toy(&o);
}

static void values_out_of_range_are_refused(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    int32_t id;
    char text[8];
    CHECK_EQ_INT(open_toy(&o, &v), 0);
    CHECK_EQ_INT(tokenizer_n_vocab(o.t), N_HELLO);
    CHECK_EQ_INT(tokenizer_kind(o.t, N_HELLO), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, -1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_piece(o.t, N_HELLO, 0, text, 8), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_piece(o.t, 0, 4, text, 8), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_piece(o.t, 0, GEMEL_TEXT_BOS_EOS, text, 8), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_decode(o.t, (int32_t[]){0, -1}, 2, 0, text, 8), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_encode(o.t, "a", 1, 8, &id, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_encode(o.t, NULL, 1, 0, &id, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_encode(o.t, "a", 1, 0, NULL, 1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_N_VOCAB), -1);
    close_toy(&o);
    tokenizer_close(NULL);
}

// ---- False claims --------------------------------------------------------------------------------------------------

static void unsupported_models_and_pre_tokenizers_are_named(void) {
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    v.model = NULL;
    check_refused(&v, GEMEL_E_FORMAT, "tokenizer.ggml.model");
    v.model = "plamo2";
    check_refused(&v, GEMEL_E_UNSUPPORTED, "\"plamo2\"");
    v.model = "gpt2", v.pre = "no\nsuch";
    check_refused(&v, GEMEL_E_UNSUPPORTED, "'no\\x0Asuch'");
    v.pre = "gpt-2", v.tokens = NULL;
    check_refused(&v, GEMEL_E_FORMAT, "tokenizer.ggml.tokens");
}

static void arrays_that_disagree_are_refused(void) {
    int kinds[N_HELLO], pieces[N_PIECES];
    toy v = hello_toy(kinds);
    v.n_kinds = N_HELLO - 1;
    check_refused(&v, GEMEL_E_FORMAT, "token_type has 266 items");
    v = hello_toy(kinds), kinds[5] = 7;
    check_refused(&v, GEMEL_E_FORMAT, "token_type[5] is 7");
    v = hello_toy(kinds), kinds[5] = 0;
    check_refused(&v, GEMEL_E_FORMAT, "token_type[5] is 0");
    v = piece_toy(pieces), v.n_scores = 3;
    check_refused(&v, GEMEL_E_FORMAT, "scores has 3 items");
    v.scores = NULL;
    check_refused(&v, GEMEL_E_FORMAT, "scores is missing");
    float scores[N_PIECES] = {0};
    volatile float zero = 0;
    scores[4] = zero / zero;
    v.scores = scores, v.n_scores = N_PIECES;
    check_refused(&v, GEMEL_E_FORMAT, "scores[4] is NaN");
}

// The one warning of a vocabulary that opens; "" for none.
static const char *warned(const toy *v, opened *o) {
    CHECK_EQ_INT(open_toy(o, v), 0);
    CHECK(o->said.n <= 1);
    return o->said.n ? o->said.text[0] : "";
}

static void ids_that_do_not_exist_are_none_and_a_warning(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    v.bos = N_HELLO, v.eos = INT32_MAX, v.eot = N_HELLO - 1, v.add_bos = 1;
    CHECK_EQ_STR(warned(&v, &o), "tokenizer.ggml.bos_token_id is 267, tokenizer.ggml.eos_token_id is 2147483647, "
                                 "but ids are 0 to 266: these count as absent");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_BOS), -1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOS), -1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOT), N_HELLO - 1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_ADD_BOS), 0);
    CHECK_EQ_STR(encoded(&o, "hello", GEMEL_TEXT_BOS_EOS), "259");
    close_toy(&o);
}

static void missing_ids_are_those_of_the_kind_of_tokenizer(void) {
    opened o;
    int kinds[N_HELLO], pieces[N_PIECES];
    toy v = hello_toy(kinds);
    v.add_bos = 1;
    CHECK_EQ_STR(warned(&v, &o), "");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_BOS), 11);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOS), 11);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, 11), 1);
    CHECK_EQ_STR(encoded(&o, "hello", GEMEL_TEXT_BOS_EOS), "11 259");
    close_toy(&o);
    v.add_bos = -1, v.pre = "glm4";
    CHECK_EQ_STR(warned(&v, &o), "");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_BOS), -1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOS), 11);
    close_toy(&o);
    v = piece_toy(pieces), v.bos = v.eos = -1;
    CHECK_EQ_STR(warned(&v, &o), "");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_BOS), 1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_EOS), 2);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_ADD_BOS), 1);
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_ADD_EOS), 0);
    close_toy(&o);
}

static void a_flag_without_an_id_is_refused_where_even_the_default_does_not_exist(void) {
    static const char *const few[] = {"a", "b", "c"}, *const merge[] = {"a b"};
    toy v = byte_toy("gpt-2", merge, 1, NULL, 0);
    v.tokens = few, v.n_tokens = 3;
    opened o;
    CHECK_EQ_STR(warned(&v, &o), "");
    CHECK_EQ_INT(tokenizer_special(o.t, GEMEL_MODEL_BOS), -1);
    close_toy(&o);
    v.add_bos = 1;
    check_refused(&v, GEMEL_E_FORMAT, "add_bos_token is true");
    v.add_bos = 0, v.add_eos = 1;
    check_refused(&v, GEMEL_E_FORMAT, "add_eos_token is true");
}

static void a_missing_pre_tokenizer_is_a_warning(void) {
    opened o;
    int kinds[N_HELLO];
    toy v = hello_toy(kinds);
    v.pre = NULL;
    CHECK(strstr(warned(&v, &o), "tokenizer.ggml.pre is missing") != NULL);
    close_toy(&o);
}

static void of_ids_with_the_same_text_the_last_encodes_and_all_decode(void) {
    static const char *const twice[] = {"he", "x1", "he", "x1"};
    int kinds[260];
    opened o;
    toy v = byte_toy("gpt-2", MERGES, 1, twice, 4);
    CHECK_EQ_STR(warned(&v, &o), "tokenizer.ggml.tokens: 256 and 258 are both 'he' (and 1 more like these): "
                                 "both decode, and the text becomes the last");
    CHECK_EQ_STR(encoded(&o, "he", 0), "258");
    CHECK_EQ_STR(decoded(&o, (int32_t[]){256, 258}, 2, 0), "hehe");
    close_toy(&o);
    // A marker and a plain token: each where it is looked for. Two markers: the last, and both end a generation.
    for (int i = 0; i < 260; i++)
        kinds[i] = i == 256 || i == 257 || i == 259 ? GEMEL_TOKEN_CONTROL : GEMEL_TOKEN_NORMAL;
    v.kinds = kinds, v.n_kinds = 260, v.eos = 259;
    CHECK(strstr(warned(&v, &o), "256 and 258 are both 'he'") || strstr(o.said.text[0], "257 and 259 are both 'x1'"));
    CHECK_EQ_STR(encoded(&o, "he", 0), "258");
    CHECK_EQ_STR(encoded(&o, "he", GEMEL_TEXT_SPECIAL), "256");
    CHECK_EQ_STR(encoded(&o, "x1x1 x", GEMEL_TEXT_SPECIAL), "259 259 32 120");
    CHECK_EQ_INT(tokenizer_is_eog(o.t, 257), 1);
    CHECK_EQ_INT(tokenizer_is_eog(o.t, 259), 1);
    close_toy(&o);
}

static void invalid_merges_are_refused_by_index(void) {
    static const char *const bad[][2] = {
        {"h e", "he"}, {"h e", "he "}, {"h e", " he"}, {"h e", "he xy"}, {"h e", "he \xE4\xB8\xAD"}};
    static const char *const more[] = {"he"};
    toy v = byte_toy("gpt-2", NULL, 0, more, 1);
    check_refused(&v, GEMEL_E_FORMAT, "merges is missing");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v.merges = bad[i], v.n_merges = 2;
        check_refused(&v, GEMEL_E_FORMAT, "merges[1]");
    }
}

static void texts_too_long_to_match_are_refused(void) {
    char text[400];
    int kinds[257], pieces[N_PIECES];
    const char *more[] = {text}, *tokens[N_PIECES];
    memset(text, 'a', sizeof text - 1);
    text[399] = 0;
    toy v = byte_toy("gpt-2", MERGES, 0, more, 1);
    v.merges = MERGES;
    for (int i = 0; i < 257; i++) kinds[i] = i == 256 ? GEMEL_TOKEN_CONTROL : GEMEL_TOKEN_NORMAL;
    v.kinds = kinds, v.n_kinds = 257;
    check_refused(&v, GEMEL_E_UNSUPPORTED, "special token 256 has 399 bytes");
    v = piece_toy(pieces);
    memcpy(tokens, PIECES, sizeof tokens);
    tokens[7] = text, v.tokens = tokens;
    check_refused(&v, GEMEL_E_UNSUPPORTED, "tokens[7] has 399 bytes");
}

static void pieces_without_bytes_or_unknown_are_refused(void) {
    int kinds[N_PIECES];
    toy v = piece_toy(kinds);
    kinds[0] = GEMEL_TOKEN_NORMAL;
    check_refused(&v, GEMEL_E_FORMAT, "lacks 253 of the byte tokens <0x00> to <0xFF>");
}

int main(int argc, char **argv) {
    // clang-format off
    static const check table[] = {
        CHECK_ENTRY(bpe_merges_by_rank_inside_words), CHECK_ENTRY(any_bytes_come_back_from_bpe),
        CHECK_ENTRY(long_runs_of_one_character_come_back), CHECK_ENTRY(special_tokens_are_seen_only_when_asked),
        CHECK_ENTRY(whole_words_win_over_merges_where_the_rule_says_so),
        CHECK_ENTRY(a_merge_may_pass_through_a_text_without_an_id),
        CHECK_ENTRY(bytes_without_a_token_become_unknown_or_are_dropped),
        CHECK_ENTRY(pieces_outside_the_alphabet_stand_for_themselves), CHECK_ENTRY(pieces_merge_by_score),
        CHECK_ENTRY(a_piece_may_reach_across_a_space),
        CHECK_ENTRY(characters_without_a_piece_may_merge),
        CHECK_ENTRY(decoding_pieces_undoes_the_added_space), CHECK_ENTRY(long_runs_of_pieces_come_back),
        CHECK_ENTRY(bos_and_eos_are_added_as_the_file_says),
        CHECK_ENTRY(a_generation_ends_at_named_roles_and_at_known_control_tokens),
        CHECK_ENTRY(nothing_is_written_past_the_capacity), CHECK_ENTRY(values_out_of_range_are_refused),
        CHECK_ENTRY(unsupported_models_and_pre_tokenizers_are_named), CHECK_ENTRY(arrays_that_disagree_are_refused),
        CHECK_ENTRY(ids_that_do_not_exist_are_none_and_a_warning),
        CHECK_ENTRY(missing_ids_are_those_of_the_kind_of_tokenizer),
        CHECK_ENTRY(a_flag_without_an_id_is_refused_where_even_the_default_does_not_exist),
        CHECK_ENTRY(a_missing_pre_tokenizer_is_a_warning),
        CHECK_ENTRY(of_ids_with_the_same_text_the_last_encodes_and_all_decode),
        CHECK_ENTRY(invalid_merges_are_refused_by_index), CHECK_ENTRY(texts_too_long_to_match_are_refused),
        CHECK_ENTRY(pieces_without_bytes_or_unknown_are_refused),
    };
    // clang-format on
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
