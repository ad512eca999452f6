// Metadata that a host gives in place of a file's: it has the same effect and the same checks as the file's, and one
// without effect is refused.
#define N_LAYER 1
#include "llama.h"
#include <math.h>

enum {
    INT = GEMEL_OVERRIDE_INT,
    FLOAT = GEMEL_OVERRIDE_FLOAT,
    BOOL = GEMEL_OVERRIDE_BOOL,
    TEXT = GEMEL_OVERRIDE_STRING
};
#define BASE "llama.rope.freq_base"

typedef struct given {
    const char *key;
    int type;
    double number;
    const char *text;
} given;

static int give(gemel_loader *l, given one) {
    err[0] = 0;
    return gemel_loader_override(l, one.key, one.key ? strlen(one.key) : 0, one.type, one.number, one.text,
                                 one.text ? strlen(one.text) : 0, err, sizeof err);
}

// A loader that knows the header and n overrides.
static gemel_loader *open_with(const file *f, const given *all, int n) {
    gemel_loader *l;
    CHECK_EQ_INT(gemel_loader_open((double)f->b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, f->b.at, f->b.n, err, sizeof err), 0);
    for (int i = 0; i < n; i++) CHECK_EQ_INT(give(l, all[i]), 0);
    return l;
}

static gemel_model *model_with(const given *all, int n) {
    file f = write_file(-1, -1);
    gemel_loader *l = open_with(&f, all, n);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    free(f.b.at);
    return finish(l);
}

static void logits_with(const given *all, int n, float *out) {
    gemel_model *m = model_with(all, n);
    logits_of(m, 20, out);
    gemel_model_close(m);
}

static void says(const char *words) {
    if (strstr(err, words)) return;
    printf("    \"%s\" does not say \"%s\"\n", err, words);
    CHECK(!"the sentence says it");
}

// ---- Counting ------------------------------------------------------------------------------------------------------

static void overrides_act_as_the_files_own_values(void) {
    const given usual = {BASE, FLOAT, 10000, NULL}, other = {BASE, FLOAT, 500, NULL}, whole = {BASE, INT, 500, NULL};
    float plain[N_VOCAB], got[N_VOCAB], changed[N_VOCAB];
    logits_with(NULL, 0, plain);
    logits_with(&usual, 1, got);
    CHECK(!memcmp(got, plain, sizeof got));
    logits_with(&other, 1, changed);
    CHECK(memcmp(changed, plain, sizeof changed) != 0);
    logits_with(&whole, 1, got);   // an integer is accepted for a float
    CHECK(!memcmp(got, changed, sizeof got));
}

static void overrides_may_come_before_the_header(void) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    CHECK_EQ_INT(gemel_loader_open((double)f.b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(give(l, (given){"llama.context_length", INT, 4 * N_CTX, NULL}), 0);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, f.b.at, f.b.n, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    gemel_model *m = finish(l);
    gemel_session *s;
    double n_ctx;
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_N_CTX_TRAIN, &n_ctx), 0);
    CHECK_EQ_INT(n_ctx, 4 * N_CTX);
    CHECK_EQ_INT(gemel_session_open(m, 4 * N_CTX, &s), 0);
    close_both(s, m);
    free(f.b.at);
}

static void the_header_stays_as_the_file_has_it(void) {
    const given all[] = {{"llama.context_length", INT, 64, NULL}, {BASE, FLOAT, 500, NULL}};
    gemel_model *m = model_with(all, 2);
    const gemel_gguf *g = gemel_model_gguf(m);
    double number;
    int exact;
    CHECK_EQ_INT(gemel_gguf_number(g, gemel_gguf_find(g, "llama.context_length", 20), 0, &number, &exact), 0);
    CHECK_EQ_INT(number, N_CTX);
    CHECK_EQ_INT(gemel_gguf_find(g, BASE, strlen(BASE)), -1);
    gemel_model_close(m);
}

static void scalars_of_the_tokenizer_can_be_overridden(void) {
    const given all[] = {{"tokenizer.ggml.bos_token_id", INT, 3, NULL},
                         {"tokenizer.ggml.add_bos_token", BOOL, 1, NULL}};
    gemel_model *m = model_with(all, 2);
    int32_t got[4];
    CHECK_EQ_INT(gemel_tokenize(m, "b", 1, GEMEL_TEXT_BOS_EOS, got, 4), 2);
    CHECK_EQ_INT(got[0], 3);
    gemel_model_close(m);
}

static void a_plan_uses_overrides_and_they_can_be_forgotten(void) {
    file f = write_file(-1, -1);
    const given longer = {"llama.context_length", INT, 4 * N_CTX, NULL};
    gemel_loader *l = open_with(&f, &longer, 1);
    double plan[GEMEL_PLAN_SIZE];
    CHECK(gemel_loader_plan(l, 4 * N_CTX, GEMEL_KV_F16, plan, err, sizeof err) > 0);
    CHECK_EQ_INT(give(l, (given){0}), 0);
    CHECK_EQ_INT(gemel_loader_plan(l, 4 * N_CTX, GEMEL_KV_F16, plan, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(give(l, (given){"tokenizer.ggml.pre", TEXT, 0, "qwen2"}), 0);   // the vocabulary is not checked
    CHECK(gemel_loader_plan(l, N_CTX, GEMEL_KV_F16, plan, err, sizeof err) > 0);
    CHECK_EQ_INT(give(l, (given){"llama.rope.base", FLOAT, 1, NULL}), 0);
    CHECK_EQ_INT(gemel_loader_plan(l, N_CTX, GEMEL_KV_F16, plan, err, sizeof err), GEMEL_E_ARGUMENT);
    says("llama.rope.base=1 has no effect");
    gemel_loader_close(l);
    free(f.b.at);
}

// ---- Refusing ------------------------------------------------------------------------------------------------------

static void begin_refuses(const given *all, int n, int code, const char *words, const char *more) {
    file f = write_file(-1, -1);
    gemel_loader *l = open_with(&f, all, n);
    err[0] = 0;
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), code);
    says(words), says(more);
    CHECK_EQ_INT(give(l, (given){0}), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);   // without them
    CHECK_EQ_INT(give(l, all[0]), GEMEL_E_ARGUMENT);           // too late
    gemel_loader_close(l);
    free(f.b.at);
}

static void overrides_are_checked_as_the_files_values_are(void) {
    // clang-format off
    static const struct { given one; int code; const char *words, *more; } cases[] = {
        {{BASE, FLOAT, 0.5, NULL}, GEMEL_E_ARGUMENT, BASE " is 0.5; it must be 1 to 1e+12", "is an override"},
        {{BASE, FLOAT, 1e300, NULL}, GEMEL_E_ARGUMENT, BASE, "it must be a finite 32-bit number"},
        {{BASE, TEXT, 0, "500"}, GEMEL_E_ARGUMENT, BASE "=\"500\" is a string", "it must be a number"},
        {{BASE, BOOL, 1, NULL}, GEMEL_E_ARGUMENT, BASE "=true is true or false", "it must be a number"},
        {{"llama.context_length", FLOAT, 64.5, NULL}, GEMEL_E_ARGUMENT, "llama.context_length=64.5 is a float",
         "it must be an integer"},
        {{"llama.context_length", INT, -3, NULL}, GEMEL_E_ARGUMENT, "llama.context_length\" is -3", "is an override"},
        {{"llama.context_length", INT, 9007199254740992.0, NULL}, GEMEL_E_ARGUMENT, "9007199254740992", "override"},
        {{"llama.context_length", INT, 0, NULL}, GEMEL_E_ARGUMENT, "llama.context_length is 0; it must", "override"},
        {{"llama.rope.scaling.type", TEXT, 0, "su"}, GEMEL_E_UNSUPPORTED, "\"su\" is not supported", "is an override"},
        {{"llama.rope.scaling.type", INT, 2, NULL}, GEMEL_E_ARGUMENT, "type=2 is an integer", "it must be a string"},
        {{"llama.expert_count", INT, 8, NULL}, GEMEL_E_FORMAT, "llama.expert_used_count is missing",
         "read with the override llama.expert_count=8"},
        {{"llama.block_count", INT, 2, NULL}, GEMEL_E_FORMAT, "blk.1.attn_norm.weight is missing",
         "read with the override llama.block_count=2"},
        {{"general.architecture", TEXT, 0, "tapir"}, GEMEL_E_UNSUPPORTED, "\"tapir\"", "is an override"},
        {{"general.architecture", TEXT, 0, "qwen2"}, GEMEL_E_FORMAT, "qwen2.context_length is missing", "read with"},
        {{"tokenizer.ggml.pre", TEXT, 0, "zzz"}, GEMEL_E_UNSUPPORTED, "tokenizer.ggml.pre is 'zzz'", "is an override"},
        {{"tokenizer.ggml.eos_token_id", INT, 24, NULL}, GEMEL_E_ARGUMENT, "eos_token_id is 24; it must be below 24",
         "is an override"},
        {{"tokenizer.ggml.add_bos_token", INT, 1, NULL}, GEMEL_E_ARGUMENT, "=1 is an integer", "must be true or false"},
        {{"tokenizer.ggml.tokens", TEXT, 0, "a"}, GEMEL_E_ARGUMENT, "ggml.tokens is an array", "can't replace"},
        {{"tokenizer.ggml.token_type", INT, 1, NULL}, GEMEL_E_ARGUMENT, "token_type=1 is an integer", "an array"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        begin_refuses(&cases[i].one, 1, cases[i].code, cases[i].words, cases[i].more);
}

static void overrides_that_nothing_reads_are_refused(void) {
    static const given unread[] = {
        {"llama.rope.freqbase", FLOAT, 500, NULL},           // misspelt
        {"qwen2.rope.freq_base", FLOAT, 500, NULL},          // of another architecture
        {"general.name", TEXT, 0, "x"},                      // nothing reads it
        {"tokenizer.ggml.padding_token_id", INT, 1, NULL},   // read, and not used
        {"llama.rope.scaling.yarn_beta_fast", FLOAT, 16, NULL},
        {"llama.rope.scaling.original_context_length", INT, 16, NULL},
        {"llama.attention.sliding_window_pattern", INT, 2, NULL},
        {"\xff", INT, 2, NULL},
    };
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++)
        begin_refuses(&unread[i], 1, GEMEL_E_ARGUMENT, "has no effect", "the architecture llama");
    begin_refuses(unread, 3, GEMEL_E_ARGUMENT, "general.name=\"x\" has no effect, nor do 2 other overrides", "llama");
    const given none[] = {{"llama.rope.scaling.type", TEXT, 0, "none"}, {"llama.rope.scaling.factor", FLOAT, 2, NULL}};
    begin_refuses(none, 2, GEMEL_E_ARGUMENT, "llama.rope.scaling.factor=2 has no effect", "llama");
    const given both[] = {{"llama.rope.scale_linear", FLOAT, 3, NULL}, {"llama.rope.scaling.factor", FLOAT, 2, NULL}};
    begin_refuses(both, 2, GEMEL_E_ARGUMENT, "llama.rope.scale_linear=3 has no effect", "llama");
}

static void invalid_values_are_refused_immediately(void) {
    // clang-format off
    static const struct { given one; const char *words; } cases[] = {
        {{BASE, FLOAT, NAN, NULL}, "nan; it must be finite"}, {{BASE, FLOAT, INFINITY, NULL}, "inf; it must be finite"},
        {{BASE, INT, 0.5, NULL}, "0.5; it must be an integer"}, {{BASE, INT, 1e16, NULL}, "an integer from"},
        {{BASE, INT, NAN, NULL}, "an integer from"}, {{BASE, BOOL, 2, NULL}, "0 or 1"},
        {{BASE, 0, 1, NULL}, "type 0"}, {{BASE, 5, 1, NULL}, "type 5"}, {{"", INT, 1, NULL}, "has 0 bytes"},
        {{"split.count", INT, 2, NULL}, "split.count can't be overridden"},
        {{"general.alignment", INT, 64, NULL}, "general.alignment can't be overridden"},
    };
    // clang-format on
    file f = write_file(-1, -1);
    gemel_loader *l = open_with(&f, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ_INT(give(l, cases[i].one), GEMEL_E_ARGUMENT);
        says(cases[i].words);
    }
    CHECK_EQ_INT(gemel_loader_override(l, NULL, 5, INT, 1, NULL, 0, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_override(l, "a", 1, TEXT, 0, NULL, 5, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_override(l, "a\0b", 3, INT, 1, NULL, 0, err, sizeof err), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_loader_override(NULL, "a", 1, INT, 1, NULL, 0, err, sizeof err), GEMEL_E_ARGUMENT);
    char *huge = calloc(1, 70000);
    memset(huge, 'x', 69999);
    CHECK_EQ_INT(give(l, (given){huge, INT, 1, NULL}), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(give(l, (given){"llama.rope.scaling.type", TEXT, 0, huge}), GEMEL_E_ARGUMENT);
    says("69999 bytes");
    huge[65535] = 0;
    CHECK_EQ_INT(give(l, (given){"llama.rope.scaling.type", TEXT, 0, huge}), 0);
    CHECK_EQ_INT(give(l, (given){huge, INT, 1, NULL}), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), GEMEL_E_UNSUPPORTED);
    says("xxx...");
    free(huge);
    gemel_loader_close(l);
    free(f.b.at);
}

static void repeated_keys_and_too_many_are_refused(void) {
    file f = write_file(-1, -1);
    gemel_loader *l = open_with(&f, NULL, 0);
    char key[40];
    CHECK_EQ_INT(give(l, (given){BASE, INT, 500, NULL}), 0);
    CHECK_EQ_INT(give(l, (given){BASE, INT, 500, NULL}), GEMEL_E_ARGUMENT);
    says("llama.rope.freq_base is given twice");
    for (int i = 1; i < 4096; i++) {
        snprintf(key, sizeof key, "key.%d", i * 7919 % 10007);
        CHECK_EQ_INT(give(l, (given){key, INT, i, NULL}), 0);
    }
    CHECK_EQ_INT(give(l, (given){"one.more", INT, 1, NULL}), GEMEL_E_ARGUMENT);
    says("4096");
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), GEMEL_E_ARGUMENT);
    says("nor do 4094 other overrides");
    gemel_loader_close(l);
    free(f.b.at);
}

static void a_saved_session_needs_the_same_overrides(void) {
    const given first = {BASE, FLOAT, 500, NULL}, same = {BASE, INT, 500, NULL}, other = {BASE, FLOAT, 501, NULL};
    const struct {
        const given *all;
        int n, code;
    } cases[] = {{&first, 1, 0}, {&same, 1, 0}, {&other, 1, GEMEL_E_STATE}, {NULL, 0, GEMEL_E_STATE}};
    gemel_model *m = model_with(&first, 1);
    gemel_session *s = open_session(m);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 20), 20);
    size_t size = gemel_session_save_size(s);
    uint8_t *saved = malloc(size);
    CHECK_EQ_INT(gemel_session_save(s, saved, size), 0);
    close_both(s, m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        m = model_with(cases[i].all, cases[i].n);
        s = open_session(m);
        CHECK_EQ_INT(gemel_session_restore(s, saved, size, err, sizeof err), cases[i].code);
        if (cases[i].code) says("different overrides");
        close_both(s, m);
    }
    free(saved);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(overrides_act_as_the_files_own_values),
        CHECK_ENTRY(overrides_may_come_before_the_header),
        CHECK_ENTRY(the_header_stays_as_the_file_has_it),
        CHECK_ENTRY(scalars_of_the_tokenizer_can_be_overridden),
        CHECK_ENTRY(a_plan_uses_overrides_and_they_can_be_forgotten),
        CHECK_ENTRY(overrides_are_checked_as_the_files_values_are),
        CHECK_ENTRY(overrides_that_nothing_reads_are_refused),
        CHECK_ENTRY(invalid_values_are_refused_immediately),
        CHECK_ENTRY(repeated_keys_and_too_many_are_refused),
        CHECK_ENTRY(a_saved_session_needs_the_same_overrides),
    };
    choose_ids();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
