// What tokenizers are made of: code points and their classes, the splitting rules, the order of merges.
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/text/merge.h"
#include "../../core_c/src/text/pretok.h"
#include "../../core_c/src/text/unicode.h"

// ---- Unicode -------------------------------------------------------------------------------------------------------

static void every_code_point_is_read_as_it_is_written(void) {
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        char text[4];
        int size = rune_write(code, text);
        rune r = rune_at(text, text + size);
        if (r.code == code && r.size == size && r.classes == unicode_classes(code)) continue;
        CHECK_EQ_INT(r.code, code);
        return;
    }
}

static void bytes_that_are_not_utf8_stand_alone(void) {
    // clang-format off
    static const char *const bad[] = {
        "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE2\x82", "\xED\xA0\x80",
        "\xF0\x80\x80\x80", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"};
    // clang-format on
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rune r = rune_at(bad[i], bad[i] + strlen(bad[i]));
        CHECK_EQ_INT(r.size, 1);
        CHECK_EQ_INT(r.code, RUNE_BAD + (uint8_t)bad[i][0]);
        CHECK_EQ_INT(r.classes, 0);
        char byte;
        CHECK_EQ_INT(rune_write(r.code, &byte), 1);
        CHECK_EQ_INT(byte, bad[i][0]);
    }
}

// Of texts that begin and end anywhere, in runs of bytes that are part of no character, too.
static void the_last_character_is_found_from_the_end(void) {
    static const char bytes[] = "a\x80\x80\x80\xBF\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\xED\xA0\xFF";
    uint64_t seed = 5;
    for (int i = 0; i < 200000; i++) {
        char text[12];
        size_t n = 1 + check_random(&seed) % sizeof text;
        for (size_t k = 0; k < n; k++) text[k] = bytes[check_random(&seed) % (sizeof bytes - 1)];
        const char *last = text;
        for (const char *at = text; at < text + n; at += rune_at(at, text + n).size) last = at;
        if (rune_before(text, text + n) == last) continue;
        CHECK_EQ_INT(rune_before(text, text + n) - text, last - text);
        return;
    }
    static char stray[1 << 20];   // the start is looked for in four bytes, or this takes an hour
    memset(stray, 0x80, sizeof stray);
    const char *end = stray + sizeof stray;
    while (end > stray) end = rune_before(stray, end);
    CHECK(end == stray);
}

static void classes_are_those_of_unicode(void) {
    // clang-format off
    static const struct { uint32_t code; int classes; } facts[] = {
        {'A', U_LETTER | U_UPPER}, {'z', U_LETTER | U_LOWER}, {'5', U_NUMBER | U_DECIMAL}, {' ', U_SPACE},
        {'\n', U_SPACE}, {0x0B, U_SPACE}, {0x1C, 0}, {0, 0}, {0x7F, 0}, {0x85, U_SPACE}, {'_', U_PUNCT},
        {'$', U_SYMBOL}, {0xA0, U_SPACE}, {0xAA, U_LETTER}, {0xBD, U_NUMBER}, {0x1C5, U_LETTER | U_UPPER},
        {0x2B0, U_LETTER}, {0x301, U_MARK}, {0x663, U_NUMBER | U_DECIMAL}, {0x2028, U_SPACE}, {0x200B, 0},
        {0x2160, U_NUMBER | U_LETTERLIKE}, {0x3000, U_SPACE}, {0x4E00, U_LETTER}, {0x9FFF, U_LETTER},
        {0xAC01, U_LETTER}, {0xE000, 0}, {0xFFFD, U_SYMBOL}, {0x1F600, U_SYMBOL}, {0x20000, U_LETTER},
        {0x31350, U_LETTER}, {0xE0100, U_MARK}, {0xE01EF, U_MARK}, {0xE01F0, 0}, {0x10FFFF, 0}, {RUNE_BAD, 0},
        {UINT32_MAX, 0}};
    // clang-format on
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        int got = unicode_classes(facts[i].code);
        CHECK_EQ_INT(got, facts[i].classes);
        if (got != facts[i].classes) printf("    U+%04X\n", facts[i].code);
    }
}

// ---- Splitting -----------------------------------------------------------------------------------------------------

// The words of a text with `|` between them.
static const char *split(const char *pre, const char *text) {
    static char shown[512];
    const pretok *row = pretok_find(pre, strlen(pre));
    const char *end = text + strlen(text);
    size_t at = 0;
    CHECK(row != NULL);
    if (!row) return "";
    splitter words = split_begin(row, text, end);
    while (text < end) {
        size_t size = split_next(&words, text);
        if (at) shown[at++] = '|';
        memcpy(shown + at, text, size);
        at += size;
        text += size;
    }
    shown[at] = 0;
    return shown;
}

static void gpt2_splits_as_its_pattern_does(void) {
    CHECK_EQ_STR(split("gpt-2", "Hello world"), "Hello| world");
    CHECK_EQ_STR(split("gpt-2", "I'll don't 'S 's"), "I|'ll| don|'t| '|S| '|s");
    CHECK_EQ_STR(split("gpt-2", "a  b   "), "a| | b|   ");
    CHECK_EQ_STR(split("gpt-2", "a\n\n b\tc"), "a|\n\n| b|\t|c");
    CHECK_EQ_STR(split("gpt-2", "x12 345.6"), "x|12| 345|.|6");
    CHECK_EQ_STR(split("gpt-2", " !?\xC2\xA0\xC2\xA0z"), " !?|\xC2\xA0|\xC2\xA0|z");
    CHECK_EQ_STR(split("gpt-2", "\xE4\xB8\xAD\xE6\x96\x87"
                                "e\xCC\x81"),
                 "\xE4\xB8\xAD\xE6\x96\x87"
                 "e|\xCC\x81");
}

static void smollm_takes_digits_one_by_one_first(void) {
    CHECK_EQ_STR(split("smollm", "in 2024!"), "in| |2|0|2|4|!");
    CHECK_EQ_STR(split("smollm", "a   1"), "a|   |1");
    CHECK_EQ_STR(split("smollm", "a   b"), "a|  | b");
    CHECK_EQ_STR(split("smollm", "\xD9\xA3\xC2\xBD x"), "\xD9\xA3|\xC2\xBD| x");
    CHECK_EQ_STR(split("smollm", "'s1's"), "'s|1|'s");
}

static void default_splits_in_four_passes(void) {
    CHECK_EQ_STR(split("default", "Hi, 12345 $x`y"), "Hi|,| |123|45| |$|x|`|y");
    CHECK_EQ_STR(split("default", "it's  (ok)"), "it|'|s|  |(|ok|)");
    CHECK_EQ_STR(split("default", "a  1"), "a| | |1");
    CHECK_EQ_STR(split("default", "1\xD9\xA3"
                                  "23456"),
                 "1\xD9\xA3|234|56");
    CHECK_EQ_STR(split("default", " \xE2\x82\xAC `"), " \xE2\x82\xAC| `");
}

static void llama_and_qwen_split_as_their_patterns_do(void) {
    CHECK_EQ_STR(split("llama-bpe", "It'S 12345\r\n\r\n  x"), "It|'S| |123|45|\r\n\r\n| | x");
    CHECK_EQ_STR(split("qwen2", "It'S 123"), "It|'S| |1|2|3");
    CHECK_EQ_STR(split("llama-bpe", "(foo) --\n\nbar"), "(foo|)| --\n\n|bar");
    CHECK_EQ_STR(split("llama-bpe", " \n \n  a\tb \t"), " \n \n| | a|\tb| \t");
    CHECK_EQ_STR(split("llama-bpe", "'\xC5\xBFx"), "'\xC5\xBF|x");
    CHECK_EQ_STR(split("llama-bpe", "e\xCC\x81x"), "e|\xCC\x81x");
    CHECK_EQ_STR(split("qwen35", "e\xCC\x81x"), "e\xCC\x81x");
}

static void gpt4o_and_tekken_split_where_case_turns(void) {
    CHECK_EQ_STR(split("gpt-4o", "fooBar HTTPServer's X/\n"), "foo|Bar| HTTPServer's| X|/\n");
    CHECK_EQ_STR(split("tekken", "fooBar's 12"), "foo|Bar|'s| |1|2");
    CHECK_EQ_STR(split("gpt-4o", "\xE4\xB8\xAD\xE6\x96\x87\x41\x42 x"), "\xE4\xB8\xAD\xE6\x96\x87|AB| x");
}

static void falcon_also_cuts_at_a_backtick(void) {
    CHECK_EQ_STR(split("falcon", "Hi, 12345 $x`y"), "Hi|,| |123|45| |$|x|`|y");
    CHECK_EQ_STR(split("falcon", "a``.b  1"), "a|``.|b| | 1");
}

static void bloom_keeps_signs_and_numbers_in_words(void) {
    CHECK_EQ_STR(split("bloom", "It's 12x, e.g. (a)  b"), "It's| 12x|,| e|.|g|. (|a|) | b");
    CHECK_EQ_STR(split("bloom", "a\n b \xE3\x80\x82"), "a|\n| b| \xE3\x80\x82");
    CHECK_EQ_STR(split("viking", "It's 12x"), "It's| |1|2|x");
}

static void relatives_of_qwen_differ_in_ends_and_numbers(void) {
    CHECK_EQ_STR(split("seed-coder", "a;\n\nb"), "a|;|\n\n|b");
    CHECK_EQ_STR(split("qwen2", "a;\n\nb"), "a|;\n\n|b");
    CHECK_EQ_STR(split("ufakzeka", "Ali'd 12"), "Ali|'d| |1|2");
    CHECK_EQ_STR(split("ufakzeka", "I'llx"), "I|'llx");
    CHECK_EQ_STR(split("minicpm5", "12345 '9"), "123|45| '|9");
    CHECK_EQ_STR(split("laguna", "a \n\n b"), "a| |\n\n| b");
    CHECK_EQ_STR(split("exaone-moe", "Give it up, 12!\n\nto  me"), "Give it up|,| |1|2|!\n|\n|to| | me");
}

static void kimi_and_youtu_keep_scripts_apart(void) {
    CHECK_EQ_STR(split("kimi-k2", "a \xE4\xB8\xAD\xE6\x96\x87x\xE3\x81\x82 fooBar's"),
                 "a| |\xE4\xB8\xAD\xE6\x96\x87|x\xE3\x81\x82| foo|Bar's");
    CHECK_EQ_STR(split("kimi-k2", "a  \xE4\xB8\xAD/\n"), "a| | |\xE4\xB8\xAD|/\n");
    CHECK_EQ_STR(split("youtu", "\xE4\xB8\xAD\xE3\x81\x82\xEA\xB0\x80\xE3\x80\x81"
                                "a12"),
                 "\xE4\xB8\xAD\xE3\x81\x82|\xEA\xB0\x80|\xE3\x80\x81|a|1|2");
}

static void deepseek_splits_in_passes(void) {
    CHECK_EQ_STR(split("deepseek-llm", "a  b\n\nc, 12 \xC7\x86\xCC\x81 "),
                 "a| | b|\n|\n|c|,| |1|2| \xC7\x86|\xCC\x81| ");
    CHECK_EQ_STR(split("deepseek-coder", "x\t$y; \xE4\xB8\xAD+1"), "x|\t$|y|;| |\xE4\xB8\xAD|+|1");
    CHECK_EQ_STR(split("deepseek-v3", "if(x) .then 1234 \xE4\xB8\xAD\xE3\x81\x82!\n"),
                 "if|(x|)| .|then| |123|4| |\xE4\xB8\xAD\xE3\x81\x82|!\n");
    CHECK_EQ_STR(split("deepseek-v3", "\1\1a\1\1 b"), "\1|\1a|\1\1| b");
}

static void an_unknown_rule_is_not_guessed(void) {
    CHECK(!pretok_find("smollm ", 7));
    CHECK(!pretok_find("smoll", 5));
    CHECK(!pretok_find("", 0));
    CHECK(pretok_find("llama3", 6));
}

static void groups_of_digits_are_counted_from_the_right(void) {
    CHECK_EQ_STR(split("tiny_aya", "1234567 12 12345ab 1234_"), "1|234|567| |12| |123|45|ab| |123|4|_");
    CHECK_EQ_STR(split("tiny_aya", "  12345ab"), " | |123|45|ab");
    CHECK_EQ_STR(split("afmoe", "1234567ab 12\xC2\xB2\xC2\xB2"), "1|234|567|ab| |1|2\xC2\xB2\xC2\xB2");
    CHECK_EQ_STR(split("superbpe", "a bc 1234567, x 12"), "a bc |1|234|567|, x |12");
    CHECK_EQ_STR(split("superbpe", "\xC2\xB2"
                                   "1234\xC2\xB2"
                                   "123"),
                 "\xC2\xB2"
                 "1|234\xC2\xB2|123");
    CHECK_EQ_STR(split("spark2_5", "1234;\n\nb  \n\nc"), "1|2|3|4|;|\n|\n|b|  \n|\n|c");
}

static void jais_halves_white_space(void) {
    CHECK_EQ_STR(split("jais-2", "a       b"), "a|    |  | b");
    CHECK_EQ_STR(split("jais-2", "a   \n  1"), "a|   \n| | |1");
    CHECK_EQ_STR(split("jais-2", "a   "), "a|  | ");
}

static void chameleon_keeps_markers_and_indents_apart(void) {
    CHECK_EQ_STR(split("chameleon", "<sentinel:12>x <sentinel:>"), "<|sentinel|:|1|2|>|x| |<|sentinel|:|>");
    CHECK_EQ_STR(split("chameleon", "IMGIMGABZ IMGIMGABCDEZ"), "IMGIMGABZ| IMGIMGABCDEZ");
    CHECK_EQ_STR(split("chameleon", "\tif      x:"), "\t|if|    |  |x|:");
}

// For any bytes, words are not empty and lie end to end.
static void words_cover_any_bytes(void) {
    size_t n_pres = 0;
    while (pretok_at(n_pres)) n_pres++;
    static const char some[] = " \t\n\r'sSlL1/.$aA\xC3\xA9\xCC\x81\xE2\x80\xA8\xE4\xB8\xAD\xF0\x9F\x98\x80\xFF";
    uint64_t seed = 1;
    for (int round = 0; round < 40000; round++) {
        size_t n = check_random(&seed) % 24 + 1;
        char *text = malloc(n);
        for (size_t i = 0; i < n; i++)
            text[i] = round % 2 ? some[check_random(&seed) % (sizeof some - 1)] : (char)check_random(&seed);
        splitter words = split_begin(pretok_at((size_t)round / 2 % n_pres), text, text + n);
        for (size_t at = 0; at < n;) {
            size_t size = split_next(&words, text + at);
            CHECK(size > 0 && size <= n - at);
            if (!size || size > n - at) break;
            at += size;
        }
        free(text);
    }
}

// ---- Merging -------------------------------------------------------------------------------------------------------

enum { N_SYMBOLS = 12 };

typedef int pairs[N_SYMBOLS][N_SYMBOLS];

// The definition: the best pair, leftmost of equals, until none is left.
static size_t merge_plainly(const pairs ranks, const pairs results, int32_t *s, size_t n) {
    for (;;) {
        size_t best = SIZE_MAX;
        int best_rank = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            int rank = s[i] < 0 || s[i + 1] < 0 ? -1 : ranks[s[i]][s[i + 1]];
            if (rank >= 0 && (best_rank < 0 || rank < best_rank)) best = i, best_rank = rank;
        }
        if (best == SIZE_MAX) return n;
        s[best] = results[s[best]][s[best + 1]];
        memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
        n--;
    }
}

static void merges_go_best_first_then_leftmost_in_runs_of_any_length(void) {
    uint64_t seed = 7;
    for (int round = 0; round < 600; round++) {
        pairs ranks, results;
        merge_table table = {0};
        merge_scratch scratch = {0};
        errors ignored = {NULL, 0};
        for (int i = 0; i < N_SYMBOLS; i++)
            for (int j = 0; j < N_SYMBOLS; j++) {
                ranks[i][j] = check_random(&seed) % 3 ? -1 : (int)(check_random(&seed) % (round % 2 ? 1000 : 5));
                results[i][j] = (int)(check_random(&seed) % N_SYMBOLS);
                if (ranks[i][j] < 0) continue;
                CHECK_EQ_INT(merge_table_add(&table, i, j, (merge){ranks[i][j], results[i][j]}, &ignored), 0);
                CHECK_EQ_INT(merge_table_add(&table, i, j, (merge){0, 0}, &ignored), 0);   // twice: the first counts
            }
        size_t n = check_random(&seed) % 120, got = n;
        int32_t a[120], b[120];
        for (size_t i = 0; i < n; i++) a[i] = b[i] = (int)(check_random(&seed) % (N_SYMBOLS + 1)) - 1;
        CHECK_EQ_INT(merge_run((merge_rule){merge_table_find, &table}, &scratch, a, &got), 0);
        size_t wanted = merge_plainly(ranks, results, b, n);
        CHECK_EQ_INT(got, wanted);
        CHECK(got == wanted && !memcmp(a, b, got * sizeof *a));
        merge_table_close(&table);
        free(scratch.memory);
    }
}

int main(int argc, char **argv) {
    // clang-format off
    static const check table[] = {
        CHECK_ENTRY(every_code_point_is_read_as_it_is_written), CHECK_ENTRY(bytes_that_are_not_utf8_stand_alone),
        CHECK_ENTRY(the_last_character_is_found_from_the_end),
        CHECK_ENTRY(classes_are_those_of_unicode), CHECK_ENTRY(gpt2_splits_as_its_pattern_does),
        CHECK_ENTRY(smollm_takes_digits_one_by_one_first), CHECK_ENTRY(default_splits_in_four_passes),
        CHECK_ENTRY(llama_and_qwen_split_as_their_patterns_do), CHECK_ENTRY(gpt4o_and_tekken_split_where_case_turns),
        CHECK_ENTRY(falcon_also_cuts_at_a_backtick), CHECK_ENTRY(bloom_keeps_signs_and_numbers_in_words),
        CHECK_ENTRY(relatives_of_qwen_differ_in_ends_and_numbers), CHECK_ENTRY(kimi_and_youtu_keep_scripts_apart),
        CHECK_ENTRY(deepseek_splits_in_passes), CHECK_ENTRY(an_unknown_rule_is_not_guessed),
        CHECK_ENTRY(groups_of_digits_are_counted_from_the_right), CHECK_ENTRY(jais_halves_white_space),
        CHECK_ENTRY(chameleon_keeps_markers_and_indents_apart), CHECK_ENTRY(words_cover_any_bytes),
        CHECK_ENTRY(merges_go_best_first_then_leftmost_in_runs_of_any_length),
    };
    // clang-format on
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
