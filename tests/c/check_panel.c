// Packing: the fast packers write the bytes that panel_pack_any defines, for any block and any number of rows, never
// write elsewhere, and detect the same Inf, NaN and -128.
#include <stdlib.h>
#include "check.h"
#include "../../core_c/src/panel/panel.h"

enum { ROWS = 16, GUARD = 64 };

typedef struct sample {
    int type, n_in, n_rows;
    size_t row_size, row_step, panel_size;   // rows lie row_step bytes apart
    uint8_t *rows, *fast, *any;
} sample;

// Rows in memory of exactly their size, so that the sanitizer sees a read past them.
static sample open_sample(int type, int n_in, int n_rows, size_t gap, uint64_t *rng) {
    const format *f = format_of(type);
    sample s = {.type = type, .n_in = n_in, .n_rows = n_rows};
    s.row_size = (size_t)(n_in / f->block * f->block_size);
    s.row_step = s.row_size + gap;
    s.panel_size = panel_size_of(type, n_in);
    size_t size = s.row_step * (size_t)(n_rows - 1) + s.row_size;
    s.rows = malloc(size);
    s.fast = calloc(1, s.panel_size + GUARD);
    s.any = calloc(1, s.panel_size + GUARD);
    for (size_t i = 0; i < size; i++) s.rows[i] = (uint8_t)check_random(rng);
    return s;
}
static void close_sample(sample *s) {
    free(s->rows);
    free(s->fast);
    free(s->any);
}

// Pack both ways: the same result, and the same bytes unless it is NOT_FINITE. Returns the result.
static int pack_both(sample *s) {
    memset(s->fast, 0, s->panel_size + GUARD);
    memset(s->any, 0, s->panel_size + GUARD);
    int wanted = panel_pack_any(s->type, s->n_in, s->rows, s->row_step, s->n_rows, s->any);
    int got = panel_pack(s->type, s->n_in, s->rows, s->row_step, s->n_rows, s->fast);
    CHECK_EQ_INT(got, wanted);
    if (wanted != PANEL_NOT_FINITE) CHECK(memcmp(s->fast, s->any, s->panel_size) == 0);
    for (int i = 0; i < GUARD; i++) CHECK_EQ_INT(s->fast[s->panel_size + (size_t)i], 0);
    return wanted;
}

// Give every block finite scales: the byte with the exponent's upper bits loses one.
static void make_finite(sample *s) {
    static const struct {
        int type, d, m;   // that byte's place; m: of a second scale, or the same
    } at[] = {
        {T_F32, 3, 3},      {T_F16, 1, 1},     {T_BF16, 1, 1},   {T_Q4_0, 1, 1},     {T_Q4_1, 1, 3},    {T_Q5_0, 1, 1},
        {T_Q5_1, 1, 3},     {T_Q8_0, 1, 1},    {T_Q2_K, 81, 83}, {T_Q3_K, 109, 109}, {T_Q4_K, 1, 3},    {T_Q5_K, 1, 3},
        {T_Q6_K, 209, 209}, {T_IQ4_NL, 1, 1},  {T_IQ4_XS, 1, 1}, {T_MXFP4, 0, 0},    {T_NVFP4, 0, 0},   {T_IQ1_S, 1, 1},
        {T_IQ1_M, 55, 55},  {T_IQ2_XXS, 1, 1}, {T_IQ2_XS, 1, 1}, {T_IQ2_S, 1, 1},    {T_IQ3_XXS, 1, 1}, {T_IQ3_S, 1, 1},
        {T_TQ1_0, 53, 53},  {T_TQ2_0, 65, 65}, {T_Q1_0, 1, 1},   {T_Q2_0, 1, 1},
    };
    const format *f = format_of(s->type);
    size_t k = 0;
    while (at[k].type != s->type) k++;
    for (int ir = 0; ir < s->n_rows; ir++)
        for (size_t i = 0; i < s->row_size; i += (size_t)f->block_size) {
            uint8_t *block = s->rows + (size_t)ir * s->row_step + i;
            block[at[k].d] &= 0xbf;
            block[at[k].m] &= 0xbf;
        }
}

static void fast_packers_write_the_defined_bytes(void) {
    uint64_t rng = 1;
    for (int type = 0; type < FORMAT_COUNT; type++) {
        if (!gemel_format_computed(type)) continue;
        int block = gemel_format_block(type), verdicts[3] = {0};
        for (int round = 0; round < 200; round++) {
            int n_in = block * (int)(1 + check_random(&rng) % (block > 1 ? 4 : 90));
            sample s = open_sample(type, n_in, (int)(1 + check_random(&rng) % ROWS), check_random(&rng) % 3 * 7, &rng);
            if (round % 4) make_finite(&s);
            verdicts[pack_both(&s)]++;
            close_sample(&s);
        }
        CHECK(verdicts[PANEL_OK] + verdicts[PANEL_HAS_MIN8] >= 150);
        CHECK((verdicts[PANEL_HAS_MIN8] > 20) == (type == T_Q8_0));
    }
}

// Each bit of a block alone: where it goes, and whether it makes a scale infinite.
static void every_bit_goes_where_it_is_defined_to(void) {
    uint64_t rng = 2;
    for (int type = 0; type < FORMAT_COUNT; type++) {
        const format *f = format_of(type);
        if (!gemel_format_computed(type)) continue;
        sample s = open_sample(type, f->block * 2, 3, 5, &rng);
        for (int at = 0; at < 8 * f->block_size; at++)
            for (int ones = 0; ones < 2; ones++) {
                memset(s.rows, ones ? 0xff : 0, 2 * s.row_step + s.row_size);
                if (ones) make_finite(&s);
                s.rows[s.row_step + (size_t)f->block_size + (size_t)(at / 8)] ^= (uint8_t)(1 << at % 8);
                pack_both(&s);
            }
        close_sample(&s);
    }
}

static void an_inf_or_nan_anywhere_is_seen(void) {
    uint64_t rng = 3;
    for (int type = 0; type < FORMAT_COUNT; type++) {
        const format *f = format_of(type);
        if (!gemel_format_computed(type)) continue;
        int n_in = f->block > 1 ? 2 * f->block : 11, seen = 0;
        sample s = open_sample(type, n_in, 5, 0, &rng);
        for (size_t at = 0; at + 1 < 5 * s.row_size; at++) {
            memset(s.rows, 0, 5 * s.row_size);
            s.rows[at] = type == T_MXFP4 ? 0xff : 0x80;   // f32 and bf16 have their exponent over two bytes
            s.rows[at + 1] = 0x7f;
            seen += pack_both(&s) == PANEL_NOT_FINITE;
        }
        if (type == T_NVFP4) CHECK_EQ_INT(seen, 0);       // no scale is an Inf or a NaN
        else if (type != T_IQ1_M) CHECK(seen >= 5 * 2);   // rows, blocks or more; that of IQ1_M lies in two words
        close_sample(&s);
    }
}

static void the_code_minus_128_is_seen_anywhere(void) {
    uint64_t rng = 4;
    sample s = open_sample(T_Q8_0, 64, ROWS, 0, &rng);
    for (int ir = 0; ir < ROWS; ir++)
        for (size_t at = 0; at < s.row_size; at++)
            for (int i = 0; i < 4; i++) {   // among neighbours that come near it
                static const uint8_t neighbours[4] = {0, 0x7f, 0x81, 0xff};
                int is_scale = at % 34 < 2;
                memset(s.rows, neighbours[i], ROWS * s.row_size);
                for (size_t ib = 0; ib < ROWS * 2; ib++) memset(s.rows + 34 * ib, 0, 2);
                s.rows[(size_t)ir * s.row_size + at] = 0x80;
                CHECK_EQ_INT(pack_both(&s), is_scale ? PANEL_OK : PANEL_HAS_MIN8);
                s.rows[(size_t)ir * s.row_size + at] = 0x81;
                if (!is_scale) CHECK_EQ_INT(pack_both(&s), PANEL_OK);
            }
    close_sample(&s);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(fast_packers_write_the_defined_bytes),
        CHECK_ENTRY(every_bit_goes_where_it_is_defined_to),
        CHECK_ENTRY(an_inf_or_nan_anywhere_is_seen),
        CHECK_ENTRY(the_code_minus_128_is_seen_anywhere),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
