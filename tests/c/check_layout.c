// A block of the KV cache: on every instruction set, stores write what cache/layout.h draws, where it draws it; what
// they refuse; clearing; what a saved block must not hold.
#include "kernel_checks.h"
#include "cache_checks.h"
#include "../../core_c/src/fmath.h"

static const int types[] = {GEMEL_KV_F32, GEMEL_KV_F16, GEMEL_KV_Q8_0};
enum { N_TYPES = 3, K_DIM = 64, V_DIM = 96 };

// ---- Stores --------------------------------------------------------------------------------------------------------

static void floats_are_stored_where_the_drawing_says(void) {
    seed = 11;
    for (int i = 0; i < 2; i++) {
        cache c = empty_cache(types[i], 48, 80);
        for (int pos = 0; pos < 2 * KV_PAGE; pos++) {
            float k[48], v[80];
            int wrong = 0;
            fill_row(k, 48, pos), fill_row(v, 80, pos);
            CHECK(scalar()->kv[types[i]].store(k, v, &c.l, c.pages[pos / KV_PAGE], pos % KV_BLOCK));
            position p = position_at(&c, pos);
            for (int j = 0; j < 48; j++) wrong += p.k[j] != (i ? f16_to_f32(f32_to_f16(k[j])) : k[j]);
            for (int j = 0; j < 80; j++) wrong += p.v[j] != (i ? f16_to_f32(f32_to_f16(v[j])) : v[j]);
            CHECK_EQ_INT(wrong, 0);
        }
        free_cache(&c);
    }
}

// Codes of -127..127 with the scales of docs/bits.md.
static void codes_are_what_was_stored(void) {
    seed = 11;
    cache c = empty_cache(GEMEL_KV_Q8_0, K_DIM, V_DIM);
    for (int pos = 0; pos < 2 * KV_PAGE; pos++) {
        float k[K_DIM], v[V_DIM], most = 1e-30f;
        fill_row(k, K_DIM, pos), fill_row(v, V_DIM, pos);
        CHECK(scalar()->kv[GEMEL_KV_Q8_0].store(k, v, &c.l, c.pages[pos / KV_PAGE], pos % KV_BLOCK));
        position p = position_at(&c, pos);
        acts a = quantised(scalar(), k, 1, K_DIM);
        int wrong = memcmp(p.scale, a.d, K_DIM / 32 * 4) != 0;
        for (int i = 0; i < V_DIM; i++) most = v[i] > most ? v[i] : -v[i] > most ? -v[i] : most;
        for (int i = 0; i < K_DIM; i++) wrong += (int)p.k[i] != scalar()->act_get(a.q, (size_t)i);
        for (int i = 0; i < V_DIM; i++) {
            float scaled = v[i] * (127.0f / most), rounded = scaled + 12582912.0f;
            wrong += (int)p.v[i] != (int)(rounded - 12582912.0f);
        }
        wrong += p.inv_scale != 127.0f / most;
        CHECK_EQ_INT(wrong, 0);
        CHECK(p.log_scale - (float)(fm_log((double)(most / 127.0f)) / fm_log(2.0)) < 1e-5f);
        free_acts(&a);
    }
    free_cache(&c);
}

// Every exponent, ties between two halves, infinities; no NaN.
static void rounding_to_f16_is_the_same_on_every_isa(void) {
    const kv_layout l = kv_layout_of(GEMEL_KV_F16, 16, 16);
    seed = 4;
    for (int round = 0; round < 1024; round++) {
        float x[16];
        uint16_t want[2048], got[2048];
        int is_good = 1;
        memset(want, 0, sizeof want);
        for (int i = 0; i < 16; i++) {
            uint32_t bits = random_bits();
            if ((bits >> 23 & 255) == 255) bits &= 0xff800000;
            if (i % 4 == 0) bits = (bits & 0x8fffe000) | 0x38001000;
            if (round % 2 && (bits & 0x7fffffff) >= 0x47800000) bits &= 0x9fffffff;
            memcpy(&x[i], &bits, 4);
            want[16 * i] = want[1024 + i] = f32_to_f16(x[i]);
            is_good &= (want[16 * i] & 0x7c00) != 0x7c00;
        }
        if (!is_good) memset(want, 0, sizeof want);
        for (int isa = 0; isa < isa_count(); isa++) {
            if (!usable(isa)) continue;
            memset(got, 0, sizeof got);
            CHECK_EQ_INT(usable(isa)->kv[GEMEL_KV_F16].store(x, x, &l, (uint8_t *)got, 0), is_good);
            same(usable(isa)->name, "f16", want, got, sizeof want);
        }
    }
}

// One number of a key or of a value: stored, or refused with nothing written.
static void check_number(const kernels *k, const kv_layout *l, int place, uint32_t bits, int is_good) {
    float key[32] = {0}, value[64] = {0};
    uint8_t *block = memory_get(kv_block_size(l)), *zero = memory_get(kv_block_size(l));
    memcpy((place % 2 ? key : value) + (5 * place + 3) % 32, &bits, 4);
    CHECK_EQ_INT(k->kv[l->type].store(key, value, l, block, 0), is_good);
    CHECK_EQ_INT(memcmp(block, zero, kv_block_size(l)) != 0, is_good);
    CHECK(!is_good || kv_block_wrong(l, block, 1) == NULL);
    memory_free(block), memory_free(zero);
}
static void keys_and_values_out_of_bounds_are_refused(void) {
    static const uint32_t never[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f7fffff};
    static const uint32_t bounds[] = {0x5c000000, 0xdc000000}, bounds_f16[] = {0x477ff000, 0xc77ff000};   // 2^57, 65520
    for (int t = 0; t < N_TYPES; t++) {
        const kv_layout l = kv_layout_of(types[t], 32, 64);
        const uint32_t *bound = types[t] == GEMEL_KV_F16 ? bounds_f16 : bounds;
        for (int i = 0; i < isa_count(); i++)
            for (int place = 0; place < 10 && usable(i); place++) {
                check_number(usable(i), &l, place, never[place / 2], 0);
                check_number(usable(i), &l, place, bound[place / 2 % 2], 0);
                check_number(usable(i), &l, place, bound[place / 2 % 2] - 1, 1);
            }
    }
}

// ---- Whole blocks --------------------------------------------------------------------------------------------------

// A block whose first n positions were stored, and nothing else.
static uint8_t *block_of(const kv_layout *l, int n) {
    uint8_t *block = memory_get(kv_block_size(l));
    float k[K_DIM], v[V_DIM];
    seed = 14;
    for (int in = 0; in < n; in++) {
        fill_row(k, K_DIM, in), fill_row(v, V_DIM, in);
        CHECK(scalar()->kv[l->type].store(k, v, l, block, in));
    }
    return block;
}

static void a_cleared_block_is_one_that_never_held_more(void) {
    for (int t = 0; t < N_TYPES; t++) {
        const kv_layout l = kv_layout_of(types[t], K_DIM, V_DIM);
        for (int n = 0; n <= KV_BLOCK; n++) {
            uint8_t *want = block_of(&l, n), *got = block_of(&l, KV_BLOCK);
            kv_block_clear(&l, got, n);
            CHECK(!memcmp(want, got, kv_block_size(&l)));
            CHECK(kv_block_wrong(&l, got, n) == NULL);
            memory_free(want), memory_free(got);
        }
    }
}

static void dims_are_padded_and_parts_follow_each_other(void) {
    const kv_layout f = kv_layout_of(GEMEL_KV_F16, 40, 33), q = kv_layout_of(GEMEL_KV_Q8_0, 40, 65);
    CHECK(f.k_dim == 48 && f.v_dim == 48 && q.k_dim == 64 && q.v_dim == 96);
    CHECK_EQ_INT(kv_block_size(&f), 64 * 2 * (48 + 48));
    CHECK_EQ_INT(kv_v_part(&f), 64 * 2 * 48);
    CHECK_EQ_INT(kv_k_scales(&q), 64 * (64 + 96));
    CHECK_EQ_INT(kv_log_scales(&q) - kv_k_scales(&q), 2 * 256);
    CHECK_EQ_INT(kv_inv_scales(&q) - kv_log_scales(&q), 256);
    CHECK_EQ_INT(kv_block_size(&q) - kv_inv_scales(&q), 256);
    for (int in = 0; in < KV_BLOCK; in++) {
        CHECK_EQ_INT(kv_k_at(&f, in), 2 * k_index(&f, in, 0)), CHECK_EQ_INT(kv_k_at(&q, in), k_index(&q, in, 0));
        CHECK_EQ_INT(kv_v_at(&f, in) - kv_v_part(&f), 2 * v_index(&f, in, 0));
        CHECK_EQ_INT(kv_v_at(&q, in) - kv_v_part(&q), v_index(&q, in, 0));
    }
}

static void values_that_no_store_writes_are_named(void) {
    static const uint32_t never[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x5c000000, 0xdc000000};
    const uint16_t inf = 0x7c00;
    const uint8_t code = 0x80;
    for (int t = 0; t < N_TYPES; t++) {
        const kv_layout l = kv_layout_of(types[t], K_DIM, V_DIM);
        const int size = types[t] == GEMEL_KV_F32 ? 4 : types[t] == GEMEL_KV_F16 ? 2 : 1;
        const char *why = size == 4   ? "a number is out of range"
                          : size == 2 ? "a number is Inf or NaN"
                                      : "a code is -128";
        uint8_t *block = block_of(&l, 20), before[4];
        for (size_t i = 0; i < 40; i++) {
            uint8_t *at = block + (i % 2 ? kv_v_at(&l, (int)i / 2) : kv_k_at(&l, (int)i / 2));
            memcpy(before, at, (size_t)size);
            memcpy(at, size == 4 ? (const void *)&never[i % 5] : size == 2 ? (const void *)&inf : &code, (size_t)size);
            CHECK_EQ_STR(kv_block_wrong(&l, block, 20), why);
            memcpy(at, before, (size_t)size);
            CHECK(kv_block_wrong(&l, block, 20) == NULL);
        }
        memory_free(block);
    }
}

static void scales_that_no_store_writes_are_named(void) {
    const kv_layout l = kv_layout_of(GEMEL_KV_Q8_0, K_DIM, V_DIM);
    const size_t parts[] = {kv_k_scales(&l), kv_k_scales(&l) + 256, kv_log_scales(&l), kv_inv_scales(&l)};
    static const float least[] = {-0.0f, -1e-45f, -108, 0}, most[] = {0x1p51f, 0x1p51f, 52, 2e32f};
    uint8_t *block = block_of(&l, 20);
    for (int i = 0; i < 4; i++)
        for (int in = 0; in < 21; in++)
            for (int high = 0; high < 2; high++) {
                float *at = (float *)(block + parts[i]) + in, before = *at;
                *at = high ? most[i] : least[i];
                const char *why = i < 2 ? "a key scale is out of range" : "a value scale is out of range";
                if (in < 20) CHECK_EQ_STR(kv_block_wrong(&l, block, 20), why);
                else CHECK(kv_block_wrong(&l, block, 20) == NULL);   // behind the last position
                *at = before;
            }
    memory_free(block);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(floats_are_stored_where_the_drawing_says),
        CHECK_ENTRY(codes_are_what_was_stored),
        CHECK_ENTRY(rounding_to_f16_is_the_same_on_every_isa),
        CHECK_ENTRY(keys_and_values_out_of_bounds_are_refused),
        CHECK_ENTRY(a_cleared_block_is_one_that_never_held_more),
        CHECK_ENTRY(dims_are_padded_and_parts_follow_each_other),
        CHECK_ENTRY(values_that_no_store_writes_are_named),
        CHECK_ENTRY(scales_that_no_store_writes_are_named),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
