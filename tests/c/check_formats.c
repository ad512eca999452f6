// Formats: the table against the file format's numbers, unpacked blocks against their codes, 16-bit floats against
// arithmetic in double. tests/python/test_reference.py checks the meaning of a block's bits.
#include <math.h>
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/quant/formats.h"
#include "../../core_c/src/quant/half.h"

// How codes become weights, as a second statement: the formula, the zero point or code-book, the size of a sub-block.
typedef struct recipe {
    int type, affine, zero, sub;
    const int8_t *values;
} recipe;
static const int8_t bits[2] = {-1, 1};
static const recipe recipes[] = {
    {T_Q4_0, 0, 8, 32, NULL},          {T_Q5_0, 0, 16, 32, NULL},          {T_Q8_0, 0, 0, 32, NULL},
    {T_Q4_1, 1, 0, 32, NULL},          {T_Q5_1, 1, 0, 32, NULL},           {T_Q2_K, 1, 0, 16, NULL},
    {T_Q4_K, 1, 0, 32, NULL},          {T_Q5_K, 1, 0, 32, NULL},           {T_Q3_K, 0, 4, 16, NULL},
    {T_Q6_K, 0, 32, 16, NULL},         {T_IQ4_NL, 0, 0, 32, iq4nl_values}, {T_IQ4_XS, 0, 0, 32, iq4nl_values},
    {T_MXFP4, 0, 0, 32, mxfp4_values}, {T_NVFP4, 0, 0, 16, mxfp4_values},  {T_IQ2_XXS, 0, 0, 32, iq2_values},
    {T_IQ2_XS, 0, 0, 16, iq2_values},  {T_IQ2_S, 0, 0, 16, iq2_values},    {T_IQ3_XXS, 0, 0, 32, iq3_xxs_values},
    {T_IQ3_S, 0, 0, 32, iq3_s_values}, {T_IQ1_S, 0, 0, 32, iq1_values},    {T_IQ1_M, 0, 0, 16, iq1_values},
    {T_TQ1_0, 0, 1, 32, NULL},         {T_TQ2_0, 0, 1, 32, NULL},          {T_Q2_0, 0, 1, 32, NULL},
    {T_Q1_0, 0, 0, 32, bits},
};
enum { N_RECIPES = sizeof recipes / sizeof *recipes, ROUNDS = 2000 };

// x * 2^n, exact in double.
static double times_power(double x, int n) {
    for (; n > 0; n--) x *= 2;
    for (; n < 0; n++) x /= 2;
    return x;
}

// A block of random bytes in memory of exactly its size, so that the sanitizer sees a read past it.
static uint8_t *random_block(const format *f, uint64_t *seed) {
    uint8_t *src = malloc((size_t)f->block_size);
    for (int i = 0; i < f->block_size; i++) src[i] = (uint8_t)check_random(seed);
    return src;
}

// The scale of sub-block s, without its integer.
static float scale_of(const recipe *r, const block_codes *c, int s) {
    switch (r->type) {
    case T_MXFP4: return bf16_to_f32(c->d);
    case T_NVFP4: {
        int x = (uint8_t)c->scale[s], e = x >> 3 & 15, m = x & 7;
        return x == 127 ? 0 : (float)(e ? times_power(1 + m / 8.0, e - 8) : times_power(m, -10));
    }
    case T_IQ3_XXS: return f16_to_f32(c->d) * 0.25f;
    case T_IQ2_XXS:
    case T_IQ2_XS:
    case T_IQ2_S:
    case T_IQ1_S:
    case T_IQ1_M: return f16_to_f32(c->d) * 0.125f;
    default: return f16_to_f32(c->d);
    }
}

static float code_value(const recipe *r, const block_codes *c, int i) {
    if (r->values) return (float)r->values[c->q[i]];
    return r->type == T_Q8_0 ? (float)(int8_t)c->q[i] : (float)(c->q[i] - r->zero);
}

static float weight(const recipe *r, const block_codes *c, int i) {
    int is_k = gemel_format_block(r->type) == 256;
    float d = scale_of(r, c, i / r->sub), m = f16_to_f32(c->m);
    if (is_k) d = d * (float)c->scale[i / r->sub];
    float product = d * code_value(r, c, i);
    if (!r->affine) return product;
    if (!is_k) return product + m;
    float min = m * (float)c->min[i / r->sub];
    return product - min;
}

static void unpacked_weights_are_the_formula_of_their_codes(void) {
    uint64_t seed = 1;
    for (const recipe *r = recipes; r < recipes + N_RECIPES; r++) {
        const format *f = format_of(r->type);
        for (int round = 0; round < ROUNDS; round++) {
            uint8_t *src = random_block(f, &seed);
            if (f->finite(src)) {
                block_codes c;
                float w[BLOCK_MAX];
                f->codes(src, &c);
                f->unpack(src, w);
                for (int i = 0; i < f->block; i++) CHECK_EQ_INT(f32_to_bits(w[i]), f32_to_bits(weight(r, &c, i)));
            }
            free(src);
        }
    }
}

static void sub_scales_that_a_format_lacks_are_neutral(void) {
    uint64_t seed = 2;
    for (const recipe *r = recipes; r < recipes + N_RECIPES; r++) {
        const format *f = format_of(r->type);
        uint8_t *src = random_block(f, &seed);
        block_codes c;
        memset(&c, 0xaa, sizeof c);
        f->codes(src, &c);
        for (int i = f->block == 256 || r->type == T_NVFP4 ? f->block / r->sub : 0; i < SUB_MAX; i++) {
            CHECK_EQ_INT(c.scale[i], 1);
            CHECK_EQ_INT(c.min[i], 0);
        }
        for (int i = 0; !r->affine && i < SUB_MAX; i++) CHECK_EQ_INT(c.min[i], 0);
        if (!r->affine) CHECK_EQ_INT(c.m, 0);
        free(src);
    }
}

// The largest code, since kernels rely on the width of their bit planes.
static void codes_stay_in_their_bits(void) {
    static const struct {
        int type, bits;
    } widths[] = {
        {T_Q4_0, 4},  {T_Q4_1, 4},    {T_Q5_0, 5},   {T_Q5_1, 5},   {T_Q2_K, 2},    {T_Q3_K, 3},
        {T_Q4_K, 4},  {T_Q5_K, 5},    {T_Q6_K, 6},   {T_IQ4_NL, 4}, {T_IQ4_XS, 4},  {T_MXFP4, 4},
        {T_NVFP4, 4}, {T_IQ2_XXS, 3}, {T_IQ2_XS, 3}, {T_IQ2_S, 3},  {T_IQ3_XXS, 4}, {T_IQ3_S, 4},
        {T_IQ1_S, 3}, {T_IQ1_M, 3},   {T_TQ1_0, 2},  {T_TQ2_0, 2},  {T_Q2_0, 2},    {T_Q1_0, 1},
    };
    uint64_t seed = 3;
    for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        const format *f = format_of(widths[k].type);
        int all = 0;
        for (int round = 0; round < 100; round++) {
            uint8_t *src = random_block(f, &seed);
            block_codes c;
            f->codes(src, &c);
            for (int i = 0; i < f->block; i++) all |= c.q[i];
            free(src);
        }
        CHECK_EQ_INT(all, (1 << widths[k].bits) - 1);
    }
}

// Every bit of a block matters: flipping it changes what the block is taken apart into.
static void every_bit_of_a_block_is_read(void) {
    uint64_t seed = 4;
    for (const recipe *r = recipes; r < recipes + N_RECIPES; r++) {
        const format *f = format_of(r->type);
        if (r->type == T_TQ1_0) continue;   // five digits have 243 of a byte's 256 values
        for (int bit = 0; bit < 8 * f->block_size; bit++) {
            uint8_t *src = random_block(f, &seed);
            block_codes before, after;
            memset(&before, 0, sizeof before);
            memset(&after, 0, sizeof after);
            f->codes(src, &before);
            src[bit / 8] ^= (uint8_t)(1 << bit % 8);
            f->codes(src, &after);
            CHECK(memcmp(&before, &after, sizeof before) != 0);
            free(src);
        }
    }
}

static void finite_sees_inf_and_nan_in_every_scale(void) {
    // where the f16 scales of a block lie; -1: none
    static const struct {
        int type, d, m;
    } at[] = {
        {T_Q4_0, 0, -1},   {T_Q4_1, 0, 2},     {T_Q5_0, 0, -1},  {T_Q5_1, 0, 2},     {T_Q8_0, 0, -1},
        {T_Q2_K, 80, 82},  {T_Q3_K, 108, -1},  {T_Q4_K, 0, 2},   {T_Q5_K, 0, 2},     {T_Q6_K, 208, -1},
        {T_IQ4_NL, 0, -1}, {T_IQ4_XS, 0, -1},  {T_F16, 0, -1},   {T_IQ2_XXS, 0, -1}, {T_IQ2_XS, 0, -1},
        {T_IQ2_S, 0, -1},  {T_IQ3_XXS, 0, -1}, {T_IQ3_S, 0, -1}, {T_IQ1_S, 0, -1},   {T_TQ1_0, 52, -1},
        {T_TQ2_0, 64, -1}, {T_Q2_0, 0, -1},    {T_Q1_0, 0, -1},
    };
    for (size_t k = 0; k < sizeof at / sizeof *at; k++)
        for (int high = 0; high < 256; high++)
            for (int which = 0; which < 2; which++) {
                int offset = which ? at[k].m : at[k].d;
                if (offset < 0) continue;
                uint8_t src[256] = {0};
                src[offset + 1] = (uint8_t)high;
                CHECK_EQ_INT(format_of(at[k].type)->finite(src), (high & 0x7c) != 0x7c);
            }
    for (int e = 0; e < 256; e++) {
        uint8_t mxfp4[17] = {(uint8_t)e}, bf16[2] = {0x80, (uint8_t)e}, f32[4] = {1, 0, 0x80, (uint8_t)e};
        uint8_t iq1_m[56] = {0};   // four bits of d end each of four words
        iq1_m[55] = (uint8_t)(e & 0xf0), iq1_m[53] = (uint8_t)(e << 4);
        CHECK_EQ_INT(format_of(T_IQ1_M)->finite(iq1_m), (e & 0x7c) != 0x7c);
        CHECK_EQ_INT(format_of(T_MXFP4)->finite(mxfp4), e != 255);
        CHECK_EQ_INT(format_of(T_BF16)->finite(bf16), (e & 127) != 127);
        CHECK_EQ_INT(format_of(T_F32)->finite(f32), (e & 127) != 127);
    }
}

static void mxfp4_scales_are_exact_powers_of_two(void) {
    for (int e = 0; e < 255; e++) {
        uint8_t src[17] = {(uint8_t)e, 2};   // code 2 is 1.0, twice that in the table
        float w[32];
        block_codes c;
        format_of(T_MXFP4)->codes(src, &c);
        format_of(T_MXFP4)->unpack(src, w);
        CHECK(bf16_to_f32(c.d) == times_power(1, e - 128));
        CHECK(w[0] == times_power(1, e - 127));
    }
}

static void the_table_names_and_sizes_every_type(void) {
    static const struct {
        int type;
        const char *name;
        int block, size, computed;
    } rows[] = {
        {0, "F32", 1, 4, 1},        {1, "F16", 1, 2, 1},         {2, "Q4_0", 32, 18, 1},
        {3, "Q4_1", 32, 20, 1},     {4, NULL, 0, 0, 0},          {8, "Q8_0", 32, 34, 1},
        {12, "Q4_K", 256, 144, 1},  {16, "IQ2_XXS", 256, 66, 1}, {23, "IQ4_XS", 256, 136, 1},
        {27, "I64", 1, 8, 0},       {30, "BF16", 1, 2, 1},       {34, "TQ1_0", 256, 54, 1},
        {39, "MXFP4", 32, 17, 1},   {40, "NVFP4", 64, 36, 1},    {42, "Q2_0", 64, 18, 1},
        {43, NULL, 0, 0, 0},        {-1, NULL, 0, 0, 0},         {INT32_MAX, NULL, 0, 0, 0},
        {INT32_MIN, NULL, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].name) CHECK_EQ_STR(gemel_format_name(rows[i].type), rows[i].name);
        else CHECK(gemel_format_name(rows[i].type) == NULL);
        CHECK_EQ_INT(gemel_format_block(rows[i].type), rows[i].block);
        CHECK_EQ_INT(gemel_format_block_size(rows[i].type), rows[i].size);
        CHECK_EQ_INT(gemel_format_computed(rows[i].type), rows[i].computed);
    }
    int computed = 0;
    for (int type = 0; type < FORMAT_COUNT; type++) computed += gemel_format_computed(type);
    CHECK_EQ_INT(computed, 28);
}

static void unpack_refuses_what_is_not_whole_blocks(void) {
    uint8_t src[36] = {0};
    float dst[64];
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 36, dst, 64), GEMEL_OK);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 0, dst, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, NULL, 0, NULL, 0), GEMEL_OK);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 35, dst, 64), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 36, dst, 63), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 36, dst, SIZE_MAX / 32 * 32), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, NULL, 36, dst, 64), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_format_unpack(T_Q4_0, src, 36, NULL, 64), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_format_unpack(9, src, 0, dst, 0), GEMEL_E_UNSUPPORTED);
    CHECK_EQ_INT(gemel_format_unpack(4, src, 0, dst, 0), GEMEL_E_ARGUMENT);
}

// ---- 16-bit floats ------------------------------------------------------------------------------------------------

static void every_f16_widens_exactly_and_comes_back(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        int e = h >> 10 & 31, m = h & 0x3ff;
        float f = f16_to_f32((uint16_t)h);
        if (e == 31 && m) {
            CHECK(f != f);
            CHECK((f32_to_f16(f) & 0x7c00) == 0x7c00 && (f32_to_f16(f) & 0x3ff));
            continue;
        }
        double wanted = e == 31 ? INFINITY : e ? times_power(1024 + m, e - 25) : times_power(m, -24);
        CHECK(f == (h >> 15 ? -wanted : wanted));
        CHECK_EQ_INT(f32_to_f16(f), h);   // the sign of zero too
    }
}

// Between two neighbours lo < hi: their middle goes to the even one, what is on either side of it to the nearer.
static void narrowing_to_f16_rounds_to_nearest_even(void) {
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float lo = f16_to_f32((uint16_t)h);
        float hi = h == 0x7bff ? 65536.0f : f16_to_f32((uint16_t)(h + 1)), middle = lo + (hi - lo) / 2;
        uint32_t even = h & 1 ? h + 1 : h;
        CHECK_EQ_INT(f32_to_f16(middle), even);
        CHECK_EQ_INT(f32_to_f16(bits_to_f32(f32_to_bits(middle) - 1)), h);
        CHECK_EQ_INT(f32_to_f16(bits_to_f32(f32_to_bits(middle) + 1)), h + 1);
        CHECK_EQ_INT(f32_to_f16(-middle), even | 0x8000);
    }
    CHECK_EQ_INT(f32_to_f16(bits_to_f32(1)), 0);
    CHECK_EQ_INT(f32_to_f16(3e38f), 0x7c00);
    CHECK_EQ_INT(f32_to_f16(-INFINITY), 0xfc00);
    CHECK_EQ_INT(f32_to_f16(bits_to_f32(0x7f800001)) & 0x7e00, 0x7e00);   // the least NaN payload stays a NaN
}

static void bf16_is_the_upper_half_rounded_to_nearest_even(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        float f = bf16_to_f32((uint16_t)h);
        CHECK_EQ_INT(f32_to_bits(f), h << 16);
        if ((h & 0x7fff) > 0x7f80) {
            CHECK((f32_to_bf16(f) & 0x7fff) > 0x7f80);
            continue;
        }
        CHECK_EQ_INT(f32_to_bf16(f), h);
        if ((h & 0x7fff) == 0x7f80) continue;
        CHECK_EQ_INT(f32_to_bf16(bits_to_f32(h << 16 | 0x7fff)), h);
        CHECK_EQ_INT(f32_to_bf16(bits_to_f32(h << 16 | 0x8000)), h + (h & 1));
        CHECK_EQ_INT(f32_to_bf16(bits_to_f32(h << 16 | 0x8001)), h + 1);
    }
    CHECK_EQ_INT(f32_to_bf16(bits_to_f32(0x7f800001)), 0x7fc0);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(the_table_names_and_sizes_every_type),
        CHECK_ENTRY(unpacked_weights_are_the_formula_of_their_codes),
        CHECK_ENTRY(sub_scales_that_a_format_lacks_are_neutral),
        CHECK_ENTRY(codes_stay_in_their_bits),
        CHECK_ENTRY(every_bit_of_a_block_is_read),
        CHECK_ENTRY(finite_sees_inf_and_nan_in_every_scale),
        CHECK_ENTRY(mxfp4_scales_are_exact_powers_of_two),
        CHECK_ENTRY(unpack_refuses_what_is_not_whole_blocks),
        CHECK_ENTRY(every_f16_widens_exactly_and_comes_back),
        CHECK_ENTRY(narrowing_to_f16_rounds_to_nearest_even),
        CHECK_ENTRY(bf16_is_the_upper_half_rounded_to_nearest_even),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
