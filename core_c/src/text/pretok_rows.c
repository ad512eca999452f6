// The splitting rules by name: sets of characters, passes, rows.
#include <string.h>
#include "pretok.h"

// ---- Sets of characters --------------------------------------------------------------------------------------------

#define SET(classes, ranges, all_but) {classes, ranges, sizeof(ranges) / sizeof *(ranges), all_but}

// clang-format off
static const char_range space_range[] = {{' ', ' '}}, newline_range[] = {{'\n', '\n'}},
    newline_ranges[] = {{'\n', '\n'}, {'\r', '\r'}}, digit_range[] = {{'0', '9'}},
    default_ranges[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'|', '|'}, {'~', '~'}},
    falcon_ranges[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'`', '`'}, {'|', '|'}, {'~', '~'}};
static const char_range bloom_ranges[] = {
    {'!', '!'}, {'(', ')'}, {',', ','}, {'.', '.'}, {'?', '?'}, {'|', '|'}, {0x60C, 0x60C}, {0x6D4, 0x6D4},
    {0x964, 0x964}, {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C}};
static const char_range cased_ranges[] = {   // letters that have a case, in an older Unicode
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA}, {0x1BC, 0x1BF}, {0x1C4,
    0x293}, {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x377}, {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386}, {0x388,
    0x38A}, {0x38C, 0x38C}, {0x38E, 0x3A1}, {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556}, {0x10A0,
    0x10C5}, {0x13A0, 0x13F5}, {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B,
    0x1D77}, {0x1D79, 0x1D9A}, {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50,
    0x1F57}, {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4}, {0x1FB6,
    0x1FBC}, {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FE0,
    0x1FEC}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113}, {0x2115,
    0x2115}, {0x2119, 0x211D}, {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F,
    0x2134}, {0x2139, 0x2139}, {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2184}, {0x2C00,
    0x2C7B}, {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF3}, {0xA640, 0xA66D}, {0xA680, 0xA69B}, {0xA722,
    0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF}, {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21,
    0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
static const char_range sign_ranges[] = {
    {0x21, 0x2F}, {0x3A, 0x7E}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const char_range asian_ranges[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const char_range kana_ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const char_range hangul_ranges[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}}, bopomofo_range[] = {{0x3105, 0x312F}};
static const char_range cjk_sign_ranges[] = {
    {0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D}, {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
    {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
static const char_range han_ranges[] = {   // \p{Han}, of Unicode 16
    {0x2E80, 0x2E99}, {0x2E9B, 0x2EF3}, {0x2F00, 0x2FD5}, {0x3005, 0x3005}, {0x3007, 0x3007}, {0x3021, 0x3029},
    {0x3038, 0x303B}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFA6D}, {0xFA70, 0xFAD9}, {0x16FE2, 0x16FE3},
    {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D}, {0x2B820, 0x2CEA1},
    {0x2CEB0, 0x2EBE0}, {0x2EBF0, 0x2EE5D}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A}, {0x31350, 0x323AF}};

static const char_range afmoe_ranges[] = {
    {0xE40, 0xEFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF}, {0x2F00, 0x2FDF}, {0x3040, 0x30FF},
    {0x3400, 0x4DBF}, {0x4E00, 0xFAFF}, {0xFF65, 0xFF9F}};
static const char_range chameleon_ranges[] = {{0x21, 0x2F}, {0x3A, 0x40}, {0x5B, 0x60}, {0x7B, 0x7E}};
static const char_range word_ranges[] = {   // \w of Oniguruma that is neither a letter, a mark nor a decimal digit
    {0x5F, 0x5F}, {0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}, {0x203F, 0x2040}, {0x2054, 0x2054}, {0x24B6, 0x24E9},
    {0xFE33, 0xFE34}, {0xFE4D, 0xFE4F}, {0xFF3F, 0xFF3F}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
    {0x1F170, 0x1F189}};

static const char_set blank = {U_SPACE, NULL, 0, 0}, letter = {U_LETTER, NULL, 0, 0}, number = {U_NUMBER, NULL, 0, 0},
    punct = {U_PUNCT, NULL, 0, 0};
static const char_set space = SET(0, space_range, 0), newline = SET(0, newline_range, 0),
    newlines = SET(0, newline_ranges, 0), digit = SET(0, digit_range, 0),
    default_mark = SET(U_PUNCT, default_ranges, 0),
    falcon_mark = SET(U_PUNCT, falcon_ranges, 0), bloom_word = SET(U_SPACE, bloom_ranges, 1),
    cased = SET(0, cased_ranges, 0), sign = SET(0, sign_ranges, 0), asian = SET(0, asian_ranges, 0),
    kana = SET(0, kana_ranges, 0), hangul = SET(0, hangul_ranges, 0), bopomofo = SET(0, bopomofo_range, 0),
    cjk_sign = SET(0, cjk_sign_ranges, 0), han = SET(0, han_ranges, 0), afmoe_asian = SET(0, afmoe_ranges, 0),
    chameleon_mark = SET(U_PUNCT, chameleon_ranges, 0),
    word = SET(U_LETTER | U_MARK | U_DECIMAL | U_LETTERLIKE, word_ranges, 0);

// ---- Passes --------------------------------------------------------------------------------------------------------

#define END {0}
#define RUN(of, n, m) {.next = next_run, .set = &of, .least = n, .most = m}
#define LED(before, of) {.next = next_run, .lead = &before, .set = &of}
#define LLAMA(n, in, after) {.next = next_llama, .most = n, .letters = in, .tail = after}
#define OF(rule, of) {.next = rule, .set = &of}
#define DEEPSEEK(line, after) {.next = next_deepseek, .is_line = line, .tail = after}
#define CASED(n, bare, after) {.next = next_cased, .most = n, .is_bare = bare, .tail = after}

static const pass gpt2[] = {{.next = next_gpt2}, END};
static const pass smollm[] = {RUN(number, 1, 1), {.next = next_gpt2}, END};
static const pass default_[] = {
    RUN(default_mark, 1, 0), {.next = next_gpt2}, RUN(number, 1, 0), RUN(digit, 3, 3), END};
static const pass falcon[] = {RUN(falcon_mark, 1, 0), {.next = next_gpt2}, RUN(digit, 3, 3), END};
static const pass bloom[] = {LED(space, bloom_word), END};
static const pass viking[] = {LED(space, bloom_word), RUN(number, 1, 1), END};
static const pass llama3[] = {LLAMA(3, U_LETTER, "\r\n"), END};
static const pass minicpm5[] = {RUN(number, 1, 3), LLAMA(0, U_LETTER, "\r\n"), END};
static const pass qwen2[] = {LLAMA(1, U_LETTER, "\r\n"), END};
static const pass qwen35[] = {LLAMA(1, U_LETTER | U_MARK, "\r\n"), END};
static const pass seed_coder[] = {LLAMA(1, U_LETTER, ""), END};
static const pass laguna[] = {RUN(newline, 1, 0), LLAMA(1, U_LETTER, "\r\n"), END};
static const pass ufakzeka[] = {
    {.next = next_llama, .most = 1, .letters = U_LETTER, .is_bare = 1, .tail = "\r\n"}, END};
static const pass exaone_moe[] = {{.next = next_phrases}, END};
static const pass gpt4o[] = {CASED(3, 0, "\r\n/"), END};
static const pass tekken[] = {CASED(1, 1, "\r\n/"), END};
static const pass kimi_k2[] = {{.next = next_cased, .set = &han, .most = 3, .tail = "\r\n"}, END};
static const pass youtu[] = {
    RUN(hangul, 1, 0), RUN(cjk_sign, 1, 0), RUN(bopomofo, 1, 0), RUN(kana, 1, 0), CASED(1, 0, "\r\n/"), END};
static const pass deepseek_llm[] = {
    RUN(newlines, 1, 1), LED(blank, cased), LED(blank, sign), {.next = next_last_blanks}, RUN(asian, 1, 0),
    RUN(number, 1, 1), END};
static const pass deepseek_coder[] = {
    RUN(newlines, 1, 1), LED(blank, letter), LED(blank, punct), RUN(asian, 1, 0), RUN(number, 1, 1), END};
static const pass deepseek_v3[] = {RUN(number, 1, 3), RUN(kana, 1, 0), DEEPSEEK(0, "\r\n"), END};
static const pass spark[] = {RUN(number, 1, 3), RUN(kana, 1, 0), DEEPSEEK(1, ""), RUN(number, 1, 1), END};
static const pass afmoe[] = {
    RUN(number, 1, 0), OF(next_head, number), OF(next_threes, number), RUN(afmoe_asian, 1, 0), DEEPSEEK(0, "\r\n"),
    END};
static const pass tiny_aya[] = {
    OF(next_bounded, word), {.next = next_head}, {.next = next_threes}, CASED(3, 0, "\r\n/"), END};
static const pass superbpe[] = {
    RUN(number, 1, 0), {.next = next_before_threes}, {.next = next_threes, .is_bare = 1}, END};
static const pass jais2[] = {LLAMA(3, U_LETTER, "\r\n"), {.next = next_halves}, END};
static const pass chameleon[] = {
    {.next = next_marker}, {.next = next_indent}, RUN(number, 1, 1), RUN(chameleon_mark, 1, 1), {.next = next_gpt2},
    END};
static const pass lines[] = {RUN(newline, 1, 0), END};
static const pass no_blanks[] = {RUN(blank, 1, 0), END};
// clang-format on

// ---- The table -----------------------------------------------------------------------------------------------------

#define ROW(name, passes) {name, passes, WHOLE_NONE, 0, PIECES_OF_BYTES}
#define WHOLE(name, passes, bos) {name, passes, WHOLE_WORDS, bos, PIECES_OF_BYTES}

// clang-format off
static const pretok rows[] = {
    ROW("default", default_), ROW("gpt-2", gpt2), ROW("phi-2", gpt2), ROW("mpt", gpt2), ROW("olmo", gpt2),
    ROW("jais", gpt2), ROW("trillion", gpt2), ROW("gigachat", gpt2), ROW("a.x-4.0", gpt2), ROW("mellum", gpt2),
    ROW("exaone4", gpt2), ROW("granite-docling", gpt2), ROW("jina-es", gpt2), ROW("jina-de", gpt2),
    ROW("jina-v1-en", gpt2), ROW("jina-v2-es", gpt2), ROW("jina-v2-de", gpt2), ROW("jina-v2-code", gpt2),
    ROW("roberta-bpe", gpt2), ROW("modern-bert", gpt2), ROW("smollm", smollm), ROW("starcoder", smollm),
    ROW("refact", smollm), ROW("command-r", smollm), ROW("codeshell", smollm), ROW("exaone", smollm),
    ROW("minerva-7b", smollm), ROW("mellum2", smollm), ROW("falcon", falcon), ROW("bloom", bloom),
    ROW("gpt3-finnish", bloom), ROW("poro-chat", bloom), ROW("viking", viking), WHOLE("llama-bpe", llama3, 1),
    WHOLE("llama-v3", llama3, 1), WHOLE("llama3", llama3, 1), WHOLE("falcon3", llama3, 1),
    WHOLE("falcon-h1", llama3, 1), WHOLE("pixtral", llama3, 1), WHOLE("lfm2", llama3, 1), WHOLE("midm-2.0", llama3, 1),
    WHOLE("jina-v5-nano", llama3, 1), ROW("dbrx", llama3), ROW("smaug-bpe", llama3),
    {"chatglm-bpe", llama3, WHOLE_NONE, -1, PIECES_OF_BYTES}, WHOLE("glm4", llama3, -1), WHOLE("glm5", llama3, -1),
    WHOLE("minicpm5", minicpm5, 0), ROW("qwen2", qwen2), ROW("deepseek-r1-qwen", qwen2), ROW("stablelm2", qwen2),
    ROW("megrez", qwen2), ROW("hunyuan", qwen2), ROW("solar-open", qwen2), ROW("grok-2", qwen2),
    ROW("bailingmoe", qwen2), ROW("bailingmoe2", qwen2), ROW("llada-moe", qwen2), ROW("kormo", qwen2),
    ROW("f2llmv2", qwen2), ROW("qwen35", qwen35), ROW("seed-coder", seed_coder), ROW("laguna", laguna),
    ROW("ufakzeka", ufakzeka), ROW("exaone-moe", exaone_moe), ROW("gpt-4o", gpt4o), ROW("llama4", gpt4o),
    ROW("kanana2", gpt4o), ROW("talkie", gpt4o), ROW("minimax-m2", gpt4o), WHOLE("granite-embed-multi-97m", gpt4o, 0),
    WHOLE("tekken", tekken, 1), ROW("kimi-k2", kimi_k2), WHOLE("youtu", youtu, 0), ROW("deepseek-llm", deepseek_llm),
    ROW("deepseek-coder", deepseek_coder), ROW("deepseek-v3", deepseek_v3), ROW("hunyuan-dense", deepseek_v3),
    ROW("joyai-llm", deepseek_v3), ROW("hy_v4", deepseek_v3), ROW("spark2_5", spark), ROW("afmoe", afmoe),
    ROW("tiny_aya", tiny_aya), ROW("cohere2moe", tiny_aya), ROW("superbpe", superbpe), ROW("jais-2", jais2),
    {"chameleon", chameleon, WHOLE_NONE, 1, PIECES_OF_BYTES}, {"gemma4", lines, WHOLE_BREAKS, 1, PIECES_WITH_MARKS},
    {"granite-embed-multi-311m", lines, WHOLE_BREAKS, 1, PIECES_WITH_MARKS},
    {"sarvam-moe", lines, WHOLE_NONE, 0, PIECES_WITH_MARKS},
    {"whitespace", no_blanks, WHOLE_NONE, 0, PIECES_OF_CHARACTERS},
};
// clang-format on

const pretok *pretok_at(size_t i) { return i < sizeof rows / sizeof *rows ? &rows[i] : NULL; }

const pretok *pretok_find(const char *name, size_t size) {
    const pretok *row;
    for (size_t i = 0; (row = pretok_at(i)); i++)
        if (strlen(row->name) == size && !memcmp(row->name, name, size)) return row;
    return NULL;
}
