// Numbers that overflow, in models of F32 that are written here: Inf, NaN, and numbers too large for attention are
// GEMEL_E_NUMERIC on every instruction set, and only for the row of the batch that has them.
#define N_LAYER 3
#include "llama.h"
#include "../../core_c/src/kernels/kernels.h"

enum { BAD = 5 };   // the one token whose embedding has anything in channel 0, which no layer writes to

typedef struct overflow {
    const char *tensor;
    float size;   // of what channel 0 is multiplied by
} overflow;
static const overflow TABLE[] = {
    {"token_embd.weight", 4e37f},   {"blk.0.attn_norm.weight", 2e38f}, {"blk.0.attn_q.weight", 1e18f},
    {"blk.0.attn_q.weight", 3e38f}, {"blk.1.attn_k.weight", 1e18f},    {"blk.2.attn_k.weight", 3e38f},
    {"blk.1.attn_v.weight", 3e38f}, {"blk.0.ffn_norm.weight", 2e38f},  {"blk.1.ffn_gate.weight", 3e38f},
    {"blk.2.ffn_up.weight", 3e38f}, {"blk.0.ffn_up.weight", 3e38f},    {"output_norm.weight", 2e38f},
    {"output.weight", 3e38f},
};
enum { N_CASES = sizeof TABLE / sizeof *TABLE };

static float *row_of(const file *f, int tensor, int row) {
    return (float *)(f->b.at + f->start[tensor]) + row * SHAPES[tensor].n_in;
}

// Column 0 of the tensor times its size; only BAD has anything in channel 0.
static gemel_model *open_overflowing(const overflow *o) {
    file f = write_file(-1, -1);
    gemel_loader *l;
    for (int i = 0; i < N_TENSORS; i++) {
        int is_embd = !strcmp(SHAPES[i].name, "token_embd.weight"), rows = SHAPES[i].n_out ? SHAPES[i].n_out : 1;
        int is_out = strstr(SHAPES[i].name, "attn_output") || strstr(SHAPES[i].name, "ffn_down");
        for (int r = 0; r < rows; r++) {
            float *x = row_of(&f, i, r);
            if ((is_out && r == 0) || (is_embd && r == BAD)) memset(x, 0, sizeof *x * (size_t)SHAPES[i].n_in);
            if (is_embd) x[0] = r == BAD ? 8 : 0;
            if (!strcmp(SHAPES[i].name, o->tensor)) x[0] *= o->size;
        }
    }
    CHECK_EQ_INT(begin(&l, &f), 0);
    CHECK_EQ_INT(feed(l, &f, 0, f.b.n), 0);
    free(f.b.at);
    return finish(l);
}

static int is_deep(const overflow *o) { return !strncmp(o->tensor, "output.", 7); }   // only rows with logits fail

static void check_one_session(gemel_model *m, const overflow *o) {
    static double log_probs[20];
    static float rows[20 * N_EMBD];
    float before[N_VOCAB];
    int32_t some[20], bad = BAD;
    gemel_session *s = open_session(m);
    memcpy(some, ids, sizeof some);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 20), 20);
    CHECK_EQ_INT(gemel_session_eval(s, &bad, 1), GEMEL_E_NUMERIC);
    CHECK_EQ_INT(gemel_session_n_past(s), 20);
    CHECK(!gemel_session_logits(s));
    some[11] = BAD;
    CHECK_EQ_INT(gemel_session_score(s, some, 20, log_probs, NULL), GEMEL_E_ARGUMENT);   // without logits
    CHECK_EQ_INT(gemel_session_truncate(s, 0), 0);
    CHECK_EQ_INT(gemel_session_score(s, some, 20, log_probs, NULL), GEMEL_E_NUMERIC);
    if (!is_deep(o)) CHECK_EQ_INT(gemel_session_hidden(s, some, 20, rows), GEMEL_E_NUMERIC);
    CHECK_EQ_INT(gemel_session_eval(s, some, 12), GEMEL_E_NUMERIC);
    CHECK_EQ_INT(gemel_session_preload(s, some, 12, N_LAYER), GEMEL_E_NUMERIC);
    CHECK_EQ_INT(gemel_session_n_past(s), 0);
    CHECK_EQ_INT(gemel_session_eval(s, ids, 30), 30);   // as if nothing had happened
    logits_of(m, 30, before);
    CHECK(has_logits(s, before));
    gemel_session_close(s);
}

static void check_a_batch(gemel_model *m) {
    enum { N = 19, AT = 17 };
    gemel_session *s[N];
    int32_t next[N], codes[N];
    float wanted[N_VOCAB];
    for (int i = 0; i < N; i++) {
        s[i] = open_session(m);
        CHECK_EQ_INT(gemel_session_eval(s[i], ids, 7), 7);
        next[i] = i == AT ? BAD : ids[7];
    }
    CHECK_EQ_INT(decode(m, s, next, N, codes), N - 1);
    logits_of(m, 8, wanted);
    for (int i = 0; i < N; i++) {
        CHECK_EQ_INT(codes[i], i == AT ? GEMEL_E_NUMERIC : 0);
        CHECK_EQ_INT(gemel_session_n_past(s[i]), i == AT ? 7 : 8);
        CHECK(i == AT ? !gemel_session_logits(s[i]) : has_logits(s[i], wanted));
        gemel_session_close(s[i]);
    }
}

static void check_case(const overflow *o) {
    gemel_model *m = open_overflowing(o);
    int failures = check_failures;
    for (int isa = 0; isa < isa_count(); isa++) {
        if (!isa_at(isa)->usable()) continue;
        for (int threads = 1; threads <= 3; threads += 2) {
            CHECK_EQ_INT(gemel_model_set_isa(m, isa), 0);
            int code = gemel_model_set_threads(m, threads);
            if (code == GEMEL_E_THREADS) continue;   // a host without them
            CHECK_EQ_INT(code, 0);
            check_one_session(m, o);
            check_a_batch(m);
        }
    }
    if (check_failures > failures) printf("    that was %s times %g\n", o->tensor, (double)o->size);
    gemel_model_close(m);
}

static void numbers_that_overflow_are_an_error_on_every_isa(void) {
    for (int i = 0; i < N_CASES; i++) check_case(&TABLE[i]);
}
static void numbers_that_overflow_are_an_error_over_f16(void) {
    kv_type = GEMEL_KV_F16;
    for (int i = 0; i < N_CASES; i++) check_case(&TABLE[i]);
    kv_type = GEMEL_KV_Q8_0;
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(numbers_that_overflow_are_an_error_on_every_isa),
        CHECK_ENTRY(numbers_that_overflow_are_an_error_over_f16),
    };
    choose_ids();
    for (int i = 0; i <= N_CTX; i++) ids[i] += ids[i] == BAD;
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
