// Quantising and products on every usable instruction set against scalar, to the bit, on random and edge inputs; and
// scalar's matmul against the formula of docs/bits.md, weight by weight.
#include <stdlib.h>
#include "kernel_checks.h"
#include "../../core_c/src/quant/families.h"

static const int types[] = {T_F32,    T_F16,     T_BF16,  T_Q4_0,  T_Q4_1,  T_Q5_0,    T_Q5_1,
                            T_Q8_0,   T_Q2_K,    T_Q3_K,  T_Q4_K,  T_Q5_K,  T_Q6_K,    T_IQ4_NL,
                            T_IQ4_XS, T_MXFP4,   T_NVFP4, T_IQ1_S, T_IQ1_M, T_IQ2_XXS, T_IQ2_XS,
                            T_IQ2_S,  T_IQ3_XXS, T_IQ3_S, T_TQ1_0, T_TQ2_0, T_Q1_0,    T_Q2_0};
enum { N_TYPES = sizeof types / sizeof types[0] };

// Where a block keeps its f16 scales, which are made finite and small; the other bytes are random.
static void tame(int type, uint8_t *b) {
    int at[2] = {-1, -1};
    switch (type) {
    case T_Q4_0:
    case T_Q5_0:
    case T_Q8_0:
    case T_IQ4_NL:
    case T_IQ1_S:
    case T_IQ2_XXS:
    case T_IQ2_XS:
    case T_IQ2_S:
    case T_IQ3_XXS:
    case T_IQ3_S:
    case T_Q1_0:
    case T_Q2_0:
    case T_IQ4_XS: at[0] = 0; break;
    case T_IQ1_M: b[55] = (uint8_t)((b[55] & 0x8f) | 0x20); break;
    case T_TQ1_0: at[0] = 52; break;
    case T_TQ2_0: at[0] = 64; break;
    case T_Q4_1:
    case T_Q5_1:
    case T_Q4_K:
    case T_Q5_K: at[0] = 0, at[1] = 2; break;
    case T_Q2_K: at[0] = 80, at[1] = 82; break;
    case T_Q3_K: at[0] = 108; break;
    case T_Q6_K: at[0] = 208; break;
    case T_MXFP4: b[0] = (uint8_t)(110 + random_below(20)); break;
    case T_F16: at[0] = 0; break;
    case T_BF16: b[1] = (uint8_t)((b[1] & 0x80) | 0x3d), b[0] &= 0x7f; break;
    case T_F32: {
        float f = random_float();
        memcpy(b, &f, 4);
    }
    }
    for (int i = 0; i < 2; i++) {
        uint16_t h = f32_to_f16(random_float() * (random_below(8) ? 0.01f : 0x1p-20f));   // subnormals among them
        if (at[i] >= 0) memcpy(b + at[i], &h, 2);
    }
}

typedef struct matrix {
    weight w;
    uint8_t *rows;   // as in a file
    size_t row_size;
} matrix;

static matrix random_matrix(int type, int n_in, int n_out) {
    const format *f = format_of(type);
    matrix m = {.w = {.type = type, .n_in = n_in, .n_out = n_out, .n_panels = (n_out + 15) / 16}};
    m.row_size = (size_t)(n_in / f->block) * (size_t)f->block_size;
    m.rows = memory_get(m.row_size * (size_t)n_out);
    for (size_t i = 0; i < m.row_size * (size_t)n_out; i++) m.rows[i] = (uint8_t)random_bits();
    for (size_t i = 0; i < m.row_size * (size_t)n_out; i += (size_t)f->block_size) tame(type, m.rows + i);
    m.w.panel_size = panel_size_of(type, n_in);
    m.w.data = memory_get(m.w.panel_size * (size_t)m.w.n_panels);
    for (int p = 0; p < m.w.n_panels; p++) {
        int n = n_out - 16 * p < 16 ? n_out - 16 * p : 16;
        int r = panel_pack(type, n_in, m.rows + (size_t)p * 16 * m.row_size, m.row_size, n,
                           m.w.data + (size_t)p * m.w.panel_size);
        CHECK(r != PANEL_NOT_FINITE);
        if (r == PANEL_HAS_MIN8) m.w.type = FORMAT_COUNT + T_Q8_0;
    }
    return m;
}
static void free_matrix(matrix *m) {
    memory_free(m->rows);
    memory_free(m->w.data);
}

// ---- Activations ---------------------------------------------------------------------------------------------------

static void fill_edges(float *x, size_t n) {   // blocks of zeros, tiny, huge, equal and ordinary values
    for (size_t i = 0; i < n; i++) {
        int kind = (int)(i / 32 % 7);
        x[i] = kind == 0   ? 0.0f
               : kind == 1 ? x[i] * 1e-36f
               : kind == 2 ? x[i] * 1e30f
               : kind == 3 ? 0.5f
               : kind == 4 ? x[i] * 1e-42f
                           : x[i];
    }
    x[0] = -0.0f;
}

static void quantise_is_the_same_on_every_isa(void) {
    enum { N = 67, IN = 224 };
    seed = 1;
    float *x = random_floats(N * IN);
    fill_edges(x, N * IN);
    acts a = quantised(scalar(), x, N, IN);
    EACH_ISA(k) {
        acts b = quantised(k, x, N, IN);
        size_t e = N * IN / 32;
        same(k->name, "scales", a.d, b.d, e * 4), same(k->name, "sums", a.z, b.z, e * 4),
            same(k->name, "scaled sums", a.s, b.s, e * 4);
        same(k->name, "half sums", a.z2, b.z2, e * 8), same(k->name, "scaled half sums", a.s2, b.s2, e * 8);
        int wrong = 0;
        for (size_t i = 0; i < N * IN; i++) wrong += scalar()->act_get(a.q, i) != k->act_get(b.q, i);
        CHECK_EQ_INT(wrong, 0);
        free_acts(&b);
    }
    free_acts(&a);
    memory_free(x);
}

static void codes_follow_the_definition(void) {
    float x[32] = {127, -127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f};
    acts a = quantised(scalar(), x, 1, 32);
    const int wanted[8] = {127, -127, 0, 2, 2, 0, -2, 126};   // ties to even
    for (int i = 0; i < 8; i++) CHECK_EQ_INT(scalar()->act_get(a.q, (size_t)i), wanted[i]);
    CHECK(a.d[0] == 1.0f);
    CHECK_EQ_INT(a.z[0], 128);
    free_acts(&a);
}

// ---- Products ------------------------------------------------------------------------------------------------------

// The value of a code, as quant/ says.
static int value_of(const panel_kind *k, int type, uint8_t q) {
    switch (type) {
    case T_IQ4_NL:
    case T_IQ4_XS: return iq4nl_values[q];
    case T_MXFP4:
    case T_NVFP4: return mxfp4_values[q];
    case T_IQ2_XXS:
    case T_IQ2_XS:
    case T_IQ2_S: return iq2_values[q];
    case T_IQ3_XXS: return iq3_xxs_values[q];
    case T_IQ3_S: return iq3_s_values[q];
    case T_IQ1_S:
    case T_IQ1_M: return iq1_values[q];
    case T_Q1_0: return 2 * q - 1;
    default: return k->planes & P8 ? (int8_t)q : q - k->zero;
    }
}
static float scale_of(const panel_kind *k, const block_codes *c, int s) {
    switch (k->scale) {
    case SCALE_BD: return bf16_to_f32(c->d);
    case SCALE_DD: return f16_to_f32(ue4m3_half((uint8_t)c->scale[s]));
    case SCALE_SF: return c->f;
    default: return f16_to_f32(c->d);
    }
}

// One output by the definition, from the file's blocks.
static float product_by_definition(const matrix *m, const acts *a, int ir, int t) {
    int type = m->w.type % FORMAT_COUNT;
    const format *f = format_of(type);
    const panel_kind *k = panel_kind_of(type);
    const uint8_t *src = m->rows + (size_t)ir * m->row_size;
    float acc = 0;
    for (int b = 0; b < m->w.n_in / f->block; b++, src += f->block_size) {
        block_codes c;
        f->codes(src, &c);
        for (int s = 0; s < f->block / k->sub; s++) {
            int first = b * f->block + s * k->sub;
            size_t at = act_at(a->n, m->w.n_in / 32, t, first / 32);
            int32_t isum = 0, xsum = 0;
            for (int i = 0; i < k->sub; i++) {
                int q = value_of(k, type, c.q[s * k->sub + i]);
                int x = scalar()->act_get(a->q, at * 32 + (size_t)(first % 32 + i));
                isum += q * x;
                xsum += x;
            }
            float d = scale_of(k, &c, s), m_w = f16_to_f32(c.m);
            if (kind_is_super(k)) d = d * (float)c.scale[s], m_w = -(m_w * (float)c.min[s]);
            float scaled = d * a->d[at], sx = a->d[at] * (float)xsum;
            acc = acc + scaled * (float)isum;
            if (kind_is_affine(k)) acc = acc + m_w * sx;
        }
    }
    return acc;
}

static void scalar_matmul_is_the_definition(void) {
    for (int i = 3; i < N_TYPES; i++) {
        seed = 100 + (uint64_t)i;
        matrix m = random_matrix(types[i], 512, 21);
        float *x = random_floats(5 * 512), *y = memory_get(5 * 32 * sizeof *y);
        acts a = quantised(scalar(), x, 5, 512);
        scalar()->matmul(&m.w, &a, 0, 2, y, 32);
        int wrong = 0;
        for (int t = 0; t < 5; t++)
            for (int ir = 0; ir < 21; ir++) {
                float want = product_by_definition(&m, &a, ir, t);
                wrong += memcmp(&want, &y[t * 32 + ir], 4) != 0;
            }
        if (wrong) printf("    %s: %d of 105 differ\n", format_of(types[i])->name, wrong);
        CHECK_EQ_INT(wrong, 0);
        free_acts(&a), free_matrix(&m), memory_free(x), memory_free(y);
    }
}

static void check_matmul(int type, int n_in, int n_out, int n, int edges) {
    matrix m = random_matrix(type, n_in, n_out);
    size_t ld = (size_t)m.w.n_panels * 16, size = ld * (size_t)n * sizeof(float);
    float *x = random_floats((size_t)n * (size_t)n_in), *y = memory_get(size), *z = memory_get(size);
    if (edges) fill_edges(x, (size_t)n * (size_t)n_in);
    acts a = quantised(scalar(), x, n, n_in);
    scalar()->matmul(&m.w, &a, 0, m.w.n_panels, y, ld);
    EACH_ISA(k) {
        char what[80];
        acts b = quantised(k, x, n, n_in);
        int middle = m.w.n_panels / 2;   // in two parts, as two threads would
        k->matmul(&m.w, &b, middle, m.w.n_panels, z, ld);
        k->matmul(&m.w, &b, 0, middle, z, ld);
        snprintf(what, sizeof what, "%s %d x %d, %d tokens", format_of(type)->name, n_in, n_out, n);
        same(k->name, what, y, z, size);
        free_acts(&b);
    }
    free_acts(&a), free_matrix(&m), memory_free(x), memory_free(y), memory_free(z);
}

static void matmul_is_the_same_on_every_isa(void) {
    static const int tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 64, 65, 77};
    for (int i = 0; i < N_TYPES; i++)
        for (size_t j = 0; j < sizeof tokens / sizeof tokens[0]; j++) {
            seed = 1000 * (uint64_t)i + j;
            check_matmul(types[i], j % 2 ? 256 : 512, tokens[j] == 1 ? 150 : 33, tokens[j], j % 3 == 2);
        }
    for (int n = 1; n < 10; n++) check_matmul(T_F32, 40, 5, n, 0), check_matmul(T_F16, 17, 31, n, 0);
    for (int i = 0; i < 3; i++) check_matmul(types[i], 250, 180, 23, 0), check_matmul(types[i], 97, 70, 65, 1);
}

static void codes_of_minus_128_are_exact(void) {
    seed = 5;
    matrix m = random_matrix(T_Q8_0, 64, 16);
    memset(m.rows + 2, 0x80, 32);   // the first block of the first row
    CHECK_EQ_INT(panel_pack(T_Q8_0, 64, m.rows, m.row_size, 16, memset(m.w.data, 0, m.w.panel_size)), PANEL_HAS_MIN8);
    m.w.type = FORMAT_COUNT + T_Q8_0;
    float x[64], y[16], z[16];
    for (int i = 0; i < 64; i++) x[i] = i % 3 ? -127.0f : 127.0f;
    acts a = quantised(scalar(), x, 1, 64);
    scalar()->matmul(&m.w, &a, 0, 1, y, 16);
    float want = product_by_definition(&m, &a, 0, 0);
    CHECK(!memcmp(&want, y, 4));
    EACH_ISA(k) {
        acts b = quantised(k, x, 1, 64);
        k->matmul(&m.w, &b, 0, 1, z, 16);
        same(k->name, "Q8_0 with -128", y, z, sizeof y);
        free_acts(&b);
    }
    free_acts(&a), free_matrix(&m);
}

static void panels_give_their_rows_back(void) {
    for (int i = 0; i < N_TYPES; i++) {
        const format *f = format_of(types[i]);
        seed = 77 + (uint64_t)i;
        matrix m = random_matrix(types[i], 512, 37);
        float want[512], got[512];
        for (int ir = 0; ir < 37; ir++) {
            for (int k = 0; k < 512; k += f->block)
                f->unpack(m.rows + (size_t)ir * m.row_size + (size_t)(k / f->block * f->block_size), want + k);
            panel_row(&m.w, ir, got);
            int wrong = 0;
            for (int k = 0; k < 512; k++) wrong += !(want[k] == got[k]);
            if (wrong) printf("    %s row %d\n", f->name, ir);
            CHECK_EQ_INT(wrong, 0);
        }
        free_matrix(&m);
    }
}

static void infinite_scales_are_refused(void) {
    for (int i = 3; i < N_TYPES; i++) {
        seed = 7;
        matrix m = random_matrix(types[i], 256, 16);
        const format *f = format_of(types[i]);
        for (int at = 0; at + 1 < f->block_size; at++) {   // put an infinity wherever it makes the block not finite
            uint8_t keep[2] = {m.rows[at], m.rows[at + 1]};
            m.rows[at] = types[i] == T_MXFP4 ? 0xff : 0x00, m.rows[at + 1] = 0x7c;
            int bad = !f->finite(m.rows);
            int got = panel_pack(types[i], 256, m.rows, m.row_size, 16, memset(m.w.data, 0, m.w.panel_size));
            CHECK_EQ_INT(got == PANEL_NOT_FINITE, bad);
            memcpy(m.rows + at, keep, 2);
        }
        free_matrix(&m);
    }
}

// ---- Inf and NaN ---------------------------------------------------------------------------------------------------

static void no_quantised_product_hides_inf_or_nan(void) {
    enum { N = 41, IN = 256, OUT = 33, LD = 48 };
    for (int i = 3; i < N_TYPES; i++) {
        seed = 300 + (uint64_t)i;
        matrix m = random_matrix(types[i], IN, OUT);
        float *x = odd_rows(N, IN), *y = memory_get(N * LD * 4), *z = memory_get(N * LD * 4);
        acts a = quantised(scalar(), x, N, IN);
        scalar()->matmul(&m.w, &a, 0, 3, y, LD);
        for (int t = 0; t < N; t++)
            for (int r = 0; r < OUT && !is_finite(x + t * IN, IN); r++) CHECK(!is_finite(y + t * LD + r, 1));
        EACH_ISA(k) {
            acts b = quantised(k, x, N, IN);
            k->matmul(&m.w, &b, 0, 3, z, LD);
            same_but_nan(k->name, format_of(types[i])->name, y, z, N * LD);
            for (size_t j = 0; j < N * IN; j++) CHECK(scalar()->act_get(a.q, j) == k->act_get(b.q, j));
            free_acts(&b);
        }
        free_acts(&a), free_matrix(&m), memory_free(x), memory_free(y), memory_free(z);
    }
}

static void the_instruction_sets_of_this_machine(void) {
    for (int i = 0; i < isa_count(); i++)
        printf("    %s: %s\n", isa_at(i)->k->name, isa_at(i)->usable() ? "checked" : "not usable here");
}

// ---- Benchmarks ----------------------------------------------------------------------------------------------------

enum { BENCH_IN = 1024, BENCH_OUT = 256, BENCH_TOKENS = 64 };
typedef struct bench_work {
    matrix m;
    acts a;
    float *x, *y;
} bench_work;

static void run_matmul(const kernels *k, void *arg) {
    bench_work *w = arg;
    k->matmul(&w->m.w, &w->a, 0, w->m.w.n_panels, w->y, BENCH_OUT);
}
static void run_quantise(const kernels *k, void *arg) {
    bench_work *w = arg;
    k->quantise(w->x, BENCH_IN / 32, 0, BENCH_IN / 32, &w->a, 0);
}
// Activations are stored as scalar does: other instruction sets read them as other numbers, in the same time.
static int benchmarks(void) {
    bench_work w = {.x = random_floats(BENCH_TOKENS * BENCH_IN), .y = random_floats(BENCH_TOKENS * BENCH_OUT)};
    w.a = quantised(scalar(), w.x, BENCH_TOKENS, BENCH_IN);
    for (int i = 0; i < N_TYPES; i++) {
        w.m = random_matrix(types[i], BENCH_IN, BENCH_OUT);
        for (int n = 1; n <= BENCH_TOKENS; n *= 8) {
            char what[100];
            snprintf(what, sizeof what, "%s [%d][%d] x %d", format_of(types[i])->name, BENCH_OUT, BENCH_IN, n);
            w.a.n = n;
            bench(what, run_matmul, &w);
        }
        free_matrix(&w.m);
    }
    bench("quantise [1024]", run_quantise, &w);
    free_acts(&w.a);
    memory_free(w.x), memory_free(w.y);
    return 0;
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(the_instruction_sets_of_this_machine),  CHECK_ENTRY(quantise_is_the_same_on_every_isa),
        CHECK_ENTRY(codes_follow_the_definition),           CHECK_ENTRY(scalar_matmul_is_the_definition),
        CHECK_ENTRY(matmul_is_the_same_on_every_isa),       CHECK_ENTRY(codes_of_minus_128_are_exact),
        CHECK_ENTRY(panels_give_their_rows_back),           CHECK_ENTRY(infinite_scales_are_refused),
        CHECK_ENTRY(no_quantised_product_hides_inf_or_nan),
    };
    if (is_bench(argc, argv)) return benchmarks();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
