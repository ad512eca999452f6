// Texts become pooled rows: the same bits alone and beside others; what a caller gets wrong is an error. An encoder of
// one layer, made here.
#include "toy.h"

enum { N_VOCAB = 24, N_EMBD = 16, N_FF = 20, N_CTX = 200, N_TYPES = 2, N_TEXTS = 22 };
enum { VECTOR_OF_NORM = 1, VECTOR_OF_BIAS = 2 };   // what a tensor holds; 0: a matrix

typedef struct shape {
    const char *name;
    int n_in, n_out, kind;
} shape;
#define NORM(name)                                                                                                     \
    {name ".weight", N_EMBD, 0, VECTOR_OF_NORM}, { name ".bias", N_EMBD, 0, VECTOR_OF_BIAS }
static const shape SHAPES[] = {
    {"token_embd.weight", N_EMBD, N_VOCAB, 0},
    {"position_embd.weight", N_EMBD, N_CTX, 0},
    {"token_types.weight", N_EMBD, N_TYPES, 0},
    NORM("token_embd_norm"),
    {"blk.0.attn_q.weight", N_EMBD, N_EMBD, 0},
    {"blk.0.attn_k.weight", N_EMBD, N_EMBD, 0},
    {"blk.0.attn_v.weight", N_EMBD, N_EMBD, 0},
    {"blk.0.attn_output.weight", N_EMBD, N_EMBD, 0},
    NORM("blk.0.attn_output_norm"),
    {"blk.0.ffn_up.weight", N_EMBD, N_FF, 0},
    {"blk.0.ffn_down.weight", N_FF, N_EMBD, 0},
    NORM("blk.0.layer_output_norm"),
    {"cls.weight", N_EMBD, N_EMBD, 0},
    {"cls.bias", N_EMBD, 0, VECTOR_OF_BIAS},
    {"cls.output.weight", N_EMBD, 1, 0},
    {"cls.output.bias", 1, 0, VECTOR_OF_BIAS},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, N_CLASSIFIER = 4 };   // the last ones are the classifier's

static char err[1024];

static void put_number(bytes *b, const char *key, uint32_t value) {
    put_text(b, key), put_u32(b, GGUF_U32), put_u32(b, value), b->n_kv++;
}

static void put_keys(bytes *b) {
    static const char *tokens[N_VOCAB];
    static char letters[N_VOCAB][2];
    const float eps = 1e-5f;
    for (int i = 0; i < N_VOCAB; i++) letters[i][0] = (char)('a' + i), tokens[i] = letters[i];
    put_text(b, "general.architecture"), put_u32(b, GGUF_STRING), put_text(b, "bert"), b->n_kv++;
    put_number(b, "bert.context_length", N_CTX);
    put_number(b, "bert.embedding_length", N_EMBD);
    put_number(b, "bert.block_count", 1);
    put_number(b, "bert.feed_forward_length", N_FF);
    put_number(b, "bert.attention.head_count", 2);
    put_text(b, "bert.attention.layer_norm_epsilon"), put_u32(b, GGUF_F32), put(b, &eps, sizeof eps), b->n_kv++;
    put_text_pair(b, "model", "gpt2");
    put_text_pair(b, "pre", "gpt-2");
    put_texts(b, "tokens", tokens, N_VOCAB);
    put_texts(b, "merges", tokens, 0);
}

static size_t count_of(const shape *s) { return (size_t)s->n_in * (size_t)(s->n_out ? s->n_out : 1); }

static bytes write_model(int n_shapes) {
    bytes b = {0};
    uint64_t offset = 0, rng = 5, n_tensors = (uint64_t)n_shapes;
    put(&b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    put_keys(&b);
    for (int i = 0; i < n_shapes; i++) {
        put_text(&b, SHAPES[i].name);
        put_u32(&b, SHAPES[i].n_out ? 2 : 1);
        put_u64(&b, (uint64_t)SHAPES[i].n_in);
        if (SHAPES[i].n_out) put_u64(&b, (uint64_t)SHAPES[i].n_out);
        put_u32(&b, 0);
        put_u64(&b, offset);
        offset += (4 * count_of(&SHAPES[i]) + 31) / 32 * 32;
    }
    memcpy(b.at + 8, &n_tensors, 8);
    memcpy(b.at + 16, &b.n_kv, 8);
    while (b.n % 32) put(&b, "", 1);
    for (int i = 0; i < n_shapes; i++) {
        for (size_t k = 0; k < count_of(&SHAPES[i]); k++) {
            float x = (float)(check_random(&rng) >> 40) * 0x1p-24f - 0.5f;
            x = SHAPES[i].kind == VECTOR_OF_NORM ? 1 + x : x;
            put(&b, &x, sizeof x);
        }
        while (b.n % 32) put(&b, "", 1);
    }
    return b;
}

static gemel_model *open_model(int n_shapes) {
    bytes b = write_model(n_shapes);
    gemel_loader *l;
    gemel_model *m = NULL;
    err[0] = 0;
    CHECK_EQ_INT(gemel_loader_open((double)b.n, &l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, b.at, b.n, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_set(l, GEMEL_LOADER_N_THREADS, 1), 0);
    CHECK_EQ_INT(gemel_loader_begin(l, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_feed(l, 0, b.at, b.n, err, sizeof err), 0);
    CHECK_EQ_INT(gemel_loader_finish(l, &m, err, sizeof err), 0);
    CHECK_EQ_STR(err, "");
    gemel_loader_close(l);
    free(b.at);
    return m;
}

// ---- Texts ---------------------------------------------------------------------------------------------------------

// Enough short ones for several passes of each thread alone, and longer ones between them.
static const int32_t LENGTHS[N_TEXTS] = {1,  7,  200, 64, 130, 2,  12, 9,  33, 12, 30,
                                         12, 41, 12,  1,  12,  30, 12, 12, 28, 12, 3};
static int32_t ids[1024], types[1024];
static int choose_texts(void) {   // returns the number of ids
    uint64_t rng = 3;
    int n = 0;
    for (int i = 0; i < N_TEXTS; n += LENGTHS[i++])
        for (int k = 0; k < LENGTHS[i]; k++)
            ids[n + k] = (int32_t)(check_random(&rng) % N_VOCAB), types[n + k] = k > LENGTHS[i] / 2;
    return n;
}

static void texts_have_the_bits_that_they_have_alone(void) {
    static const int poolings[] = {GEMEL_POOLING_MEAN, GEMEL_POOLING_CLS, GEMEL_POOLING_LAST};
    choose_texts();
    gemel_model *m = open_model(N_SHAPES);
    for (int threads = 1; threads <= 3; threads += 2) {
        if (gemel_model_set_threads(m, threads) == GEMEL_E_THREADS) continue;   // a host without them
        for (int p = 0; p < 3; p++) {
            double all[N_TEXTS][N_EMBD], one[N_EMBD];
            int32_t codes[N_TEXTS];
            CHECK_EQ_INT(gemel_model_embed(m, ids, types, LENGTHS, N_TEXTS, poolings[p], GEMEL_KV_F16, all[0], codes),
                         0);
            for (int i = 0, at = 0; i < N_TEXTS; at += LENGTHS[i++]) {
                CHECK_EQ_INT(codes[i], 0);
                CHECK_EQ_INT(
                    gemel_model_embed(m, ids + at, types + at, &LENGTHS[i], 1, poolings[p], GEMEL_KV_F16, one, codes),
                    0);
                CHECK(!memcmp(one, all[i], sizeof one));
            }
        }
    }
    gemel_model_close(m);
}

// The hidden states of a session, pooled here.
static void rows_are_pooled_hidden_states(void) {
    gemel_model *m = open_model(N_SHAPES);
    int n = LENGTHS[1];
    choose_texts();
    float hidden[7][N_EMBD];
    double row[N_EMBD], mean[N_EMBD] = {0};
    int32_t code;
    gemel_session *s;
    CHECK_EQ_INT(gemel_session_open(m, N_CTX, &s), 0);
    CHECK_EQ_INT(gemel_session_hidden(s, ids + LENGTHS[0], (size_t)n, hidden[0]), n);
    for (int k = 0; k < N_EMBD; k++) {
        for (int i = 0; i < n; i++) mean[k] += (double)hidden[i][k];
        mean[k] /= n;
    }
    const int32_t *text = ids + LENGTHS[0];
    CHECK_EQ_INT(gemel_model_embed(m, text, NULL, &LENGTHS[1], 1, GEMEL_POOLING_MEAN, GEMEL_KV_DEFAULT, row, &code), 0);
    CHECK(!memcmp(row, mean, sizeof row));
    CHECK_EQ_INT(gemel_model_embed(m, text, NULL, &LENGTHS[1], 1, GEMEL_POOLING_LAST, GEMEL_KV_DEFAULT, row, &code), 0);
    for (int k = 0; k < N_EMBD; k++) CHECK(row[k] == (double)hidden[n - 1][k]);
    gemel_session_close(s);
    gemel_model_close(m);
}

static void what_is_wrong_is_an_error(void) {
    gemel_model *m = open_model(N_SHAPES);
    double row[N_EMBD];
    int32_t code, id[] = {N_VOCAB, 1}, kind[] = {N_TYPES, 0}, good[N_CTX + 1] = {0}, n = 1, none = 0, many = N_CTX + 1;
    const int mean = GEMEL_POOLING_MEAN, f16 = GEMEL_KV_F16;
    CHECK_EQ_INT(gemel_model_embed(m, id, NULL, &n, 1, mean, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, kind, &n, 1, mean, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &none, 1, mean, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &n, 0, mean, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &n, 1, GEMEL_POOLING_RANK, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &n, 1, mean, GEMEL_KV_Q8_0, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(NULL, good, NULL, &n, 1, mean, f16, row, &code), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &many, 1, mean, f16, row, &code), GEMEL_E_CONTEXT);
    CHECK_EQ_INT(gemel_model_embed(m, good, NULL, &n, 1, mean, f16, row, &code), 0);
    gemel_model_close(m);
}

static void rows_become_embeddings_of_length_one(void) {
    double rows[4][2] = {{3, -4}, {0, 0}, {1, 1e308}, {1e-160, 0}};
    float made[4][2] = {{0}};
    int32_t codes[4];
    CHECK_EQ_INT(gemel_unit_rows(rows[0], 4, 2, made[0], codes), 0);
    CHECK(codes[0] == 0 && made[0][0] == 0.6f && made[0][1] == -0.8f);
    CHECK(codes[1] == GEMEL_E_NUMERIC && codes[2] == GEMEL_E_NUMERIC);   // all zero; too large
    CHECK(codes[3] == 0 && made[3][0] > 0.9f);                           // its square is subnormal
    CHECK_EQ_INT(gemel_unit_rows(rows[0], 0, 2, made[0], codes), 0);
    CHECK_EQ_INT(gemel_unit_rows(rows[0], 1, 0, made[0], codes), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_unit_rows(NULL, 1, 2, made[0], codes), GEMEL_E_ARGUMENT);
}

static void rows_of_any_range_have_a_length(void) {   // the exact sum of their squares has many parts
    double row[384];
    float made[384];
    int32_t code;
    uint64_t state = 21;
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 384; k++) {
            row[k] = (double)(check_random(&state) >> 11) * 0x1p-53;
            for (int by = (int)(check_random(&state) % 800) - 400; by; by += by < 0 ? 1 : -1)
                row[k] *= by < 0 ? 0.5 : 2;
        }
        CHECK_EQ_INT(gemel_unit_rows(row, 1, 384, made, &code), 0);
        CHECK_EQ_INT(code, 0);
    }
}

// ---- Classifiers ---------------------------------------------------------------------------------------------------

static void a_classifier_scores_a_row(void) {
    gemel_model *m = open_model(N_SHAPES);
    double row[N_EMBD], score, chance, n_scores, pooling;
    int32_t code;
    choose_texts();
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_N_SCORES, &n_scores), 0);
    CHECK_EQ_INT(gemel_model_get(m, GEMEL_MODEL_RANK_POOLING, &pooling), 0);
    CHECK(n_scores == 1 && pooling == GEMEL_POOLING_CLS);
    CHECK_EQ_INT(gemel_model_embed(m, ids, types, LENGTHS, 1, (int)pooling, GEMEL_KV_F16, row, &code), 0);
    CHECK_EQ_INT(gemel_model_rank(m, row, 0, &score), 0);
    CHECK_EQ_INT(gemel_model_rank(m, row, 1, &chance), 0);
    CHECK(chance > 0 && chance < 1 && (chance > 0.5) == (score > 0));
    CHECK_EQ_INT(gemel_model_rank(m, row, 2, &score), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_rank(m, NULL, 0, &score), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_model_rank(NULL, row, 0, &score), GEMEL_E_ARGUMENT);
    row[3] = 1e308, row[3] *= 10;
    CHECK_EQ_INT(gemel_model_rank(m, row, 0, &score), GEMEL_E_NUMERIC);
    gemel_model_close(m);
    m = open_model(N_SHAPES - N_CLASSIFIER);
    row[3] = 0;
    CHECK_EQ_INT(gemel_model_rank(m, row, 0, &score), GEMEL_E_UNSUPPORTED);
    gemel_model_close(m);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(texts_have_the_bits_that_they_have_alone),
        CHECK_ENTRY(rows_are_pooled_hidden_states),
        CHECK_ENTRY(what_is_wrong_is_an_error),
        CHECK_ENTRY(rows_become_embeddings_of_length_one),
        CHECK_ENTRY(rows_of_any_range_have_a_length),
        CHECK_ENTRY(a_classifier_scores_a_row),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
