// Attention on every usable ISA row against the scalar row, to the bit, over caches of both types; and scalar over Q8_0
// against the formulas of docs/bits.md written out position by position.
#include "kernel_checks.h"
#include "../../core_c/src/fmath.h"
#include "../../core_c/src/quant/half.h"

enum { PAGES = 12 };
typedef int attend_fn(const attend_args *a);
typedef struct cache {   // filled by scalar
    uint8_t *pages[PAGES];
    int dim, is_q8;
} cache;
static attend_fn *attend_of(const kernels *k, const cache *c) { return c->is_q8 ? k->attend_q8 : k->attend_f16; }

// Queries at neighbouring positions, as in a prompt, in an order that forward would not take; each row of the table
// gives scalar's bits, together and alone.
static void check_attend(const cache *c, int n, int most, float size) {
    int dim = c->dim;
    float *q = random_floats((size_t)(ATTEND_MAX * dim)), *o = memory_get((size_t)(ATTEND_MAX * dim) * 4),
          *p = memory_get((size_t)(ATTEND_MAX * dim) * 4);
    attend_args a = {.n = n, .dim = dim, .pages = c->pages};
    for (int i = 0; i < ATTEND_MAX * dim; i++) q[i] *= size;
    for (int i = 0; i < n; i++) {
        a.q[i] = q + i * dim;
        a.o[i] = o + i * dim;
        a.n_pos[i] = most - (i / 2 < most ? i / 2 : 0);
    }
    CHECK_EQ_INT(attend_of(scalar(), c)(&a), 1);
    EACH_ROW (k) {
        attend_args b = a;
        for (int i = 0; i < n; i++) b.o[i] = p + i * dim;
        CHECK_EQ_INT(attend_of(k, c)(&b), 1);
        same(k->name, c->is_q8 ? "attention over Q8_0" : "attention over F16", o, p, (size_t)(n * dim) * 4);
        for (int i = 0; i < n; i++) {   // and alone
            attend_args one = b;
            one.n = 1, one.q[0] = b.q[i], one.o[0] = p, one.n_pos[0] = b.n_pos[i];
            CHECK_EQ_INT(attend_of(k, c)(&one), 1);
            same(k->name, "attention of one query", a.o[i], p, (size_t)dim * 4);
        }
    }
    memory_free(q), memory_free(o), memory_free(p);
}

// Blocks in any order, by several calls, and then joined: the bits of one call.
static void check_parts(const cache *c, int n, int n_pos, float size) {
    int dim = c->dim, blocks = (n_pos - 1) / KV_BLOCK + 1;
    size_t all = (size_t)(n * dim), part = (size_t)blocks * (size_t)(KV_PART + dim);
    float *q = random_floats(all), *o = random_floats(all), *p = random_floats(all),
          *parts = random_floats(part * (size_t)n);
    attend_args a = {.n = n, .dim = dim, .pages = c->pages};
    for (size_t i = 0; i < all; i++) q[i] *= size;
    for (int i = 0; i < n; i++) {
        a.q[i] = q + i * dim, a.o[i] = o + i * dim, a.n_pos[i] = n_pos;
        a.parts[i] = parts + part * (size_t)i;
    }
    CHECK_EQ_INT(scalar()->attend_q8(&a), 1);
    for (int i = 0; i < n; i++) a.o[i] = p + i * dim;
    EACH_ROW (k) {
        int middle = random_below(blocks + 1);
        for (size_t i = 0; i < all; i++) p[i] = 7;
        CHECK_EQ_INT(k->attend_q8_parts(&a, middle, blocks), 1);
        CHECK_EQ_INT(k->attend_q8_parts(&a, 0, middle), 1);
        for (size_t i = 0; i < all; i++) CHECK_EQ_INT(p[i] == 7, 1);
        k->attend_q8_join(&a);
        same(k->name, "attention over Q8_0 in parts", o, p, all * 4);
    }
    memory_free(q), memory_free(o), memory_free(p), memory_free(parts);
}

static void check_lengths(const cache *c, float size) {
    static const int lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 250, 256, 257, 300, 530, 768};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
        check_attend(c, 1 + (int)(7 * l + (size_t)c->dim / 16) % ATTEND_MAX, lengths[l], size);
}

static cache f16_cache(int dim) {
    cache c = {.dim = dim};
    size_t n = kv_f16_size(dim) / 2;
    for (int i = 0; i < PAGES; i++) {
        uint16_t *page = memory_get(n * 2);
        for (size_t j = 0; j < n; j++) page[j] = f32_to_f16(random_float() * (j % 9 ? 1.0f : 0x1p-18f));
        c.pages[i] = (uint8_t *)page;
    }
    return c;
}
static void free_cache(cache *c) {
    for (int i = 0; i < PAGES; i++) memory_free(c->pages[i]);
}

static void attention_over_f16_is_the_same_on_every_row(void) {
    static const int dims[] = {16, 48, 64, 80, 128, 256};
    seed = 8;
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        cache c = f16_cache(dims[d]);
        check_lengths(&c, 1);
        free_cache(&c);
    }
}

// A row of keys or values of every sort.
static void fill_row(float *x, int dim, int pos) {
    static const float sizes[] = {1, 3, 0.01f, 1, 0, 1e-35f, 40, 1e4f};
    for (int i = 0; i < dim; i++) x[i] = random_float() * sizes[random_below(64) ? pos % 3 : random_below(8)];
    if (pos % 41 == 7) memset(x, 0, sizeof *x * (size_t)dim);
}
static cache q8_cache(int dim) {
    cache c = {.dim = dim, .is_q8 = 1};
    size_t block = kv_q8_size(dim);
    float k[ATTEND_DIM], v[ATTEND_DIM];
    uint8_t *again = memory_get(block * (KV_PAGE / KV_BLOCK));
    for (int i = 0; i < PAGES; i++) c.pages[i] = memory_get(block * (KV_PAGE / KV_BLOCK));
    for (int i = 0; i < PAGES; i++) {
        uint64_t from = seed;
        for (int pos = 0; pos < KV_PAGE; pos++) {
            fill_row(k, dim, pos), fill_row(v, dim, pos);
            CHECK(scalar()->store_q8(k, v, dim, c.pages[i] + (size_t)(pos / KV_BLOCK) * block, pos % KV_BLOCK));
        }
        EACH_ROW (row) {
            seed = from;
            for (int pos = 0; pos < KV_PAGE; pos++) {
                fill_row(k, dim, pos), fill_row(v, dim, pos);
                CHECK(row->store_q8(k, v, dim, again + (size_t)(pos / KV_BLOCK) * block, pos % KV_BLOCK));
            }
            same(row->name, "a Q8_0 page", c.pages[i], again, block * (KV_PAGE / KV_BLOCK));
        }
    }
    memory_free(again);
    return c;
}
static void attention_over_q8_is_the_same_on_every_row(void) {
    static const int dims[] = {32, 64, 96, 128, 256, 1024};
    seed = 9;
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        cache c = q8_cache(dims[d]);
        check_lengths(&c, d % 2 ? 1 : 0.05f);
        check_attend(&c, ATTEND_MAX, 200, 0);     // all weights equal
        check_attend(&c, ATTEND_MAX, 200, 300);   // one weight is all
        static const int seen[] = {1, 64, 65, 128, 200, 257, 500, 768};
        for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++)
            check_parts(&c, 1 + random_below(ATTEND_MAX), seen[i], i % 3 ? 1.0f : 50.0f);
        free_cache(&c);
    }
}

static float exp2_by_definition(float x, float y) {   // y * 2^x
    static const float c[] = {9.58285317e-3f, 5.5906425e-2f, 0.240240986f, 0.693124193f, 1.0f};
    x = x > -126 ? x : -126;
    float n = (x + 12582912.0f) - 12582912.0f, r = x - n, p = c[0] * y;
    for (int i = 1; i < 5; i++) {
        float product = p * r, term = c[i] * y;
        p = product + term;
    }
    for (int i = 0; i > (int)n; i--) p *= 0.5f;
    return p;
}

typedef struct position {   // of a Q8_0 cache, read byte by byte
    int8_t k[ATTEND_DIM], v[ATTEND_DIM];
    float scale[ATTEND_DIM / 32], log_scale, inv_scale;
} position;
static position position_at(const cache *c, int pos) {
    position p;
    size_t dim = (size_t)c->dim, in = (size_t)(pos % KV_BLOCK);
    const uint8_t *b = c->pages[pos / KV_PAGE] + (size_t)(pos % KV_PAGE / KV_BLOCK) * kv_q8_size(c->dim);
    for (size_t i = 0; i < dim; i++) {
        p.k[i] = (int8_t)b[in / 16 * 16 * dim + i / 4 * 64 + in % 16 * 4 + i % 4];
        p.v[i] = (int8_t)b[64 * dim + in / 4 * 4 * dim + 4 * i + in % 4];
    }
    const float *f = (const float *)(b + 128 * dim) + in;
    for (size_t i = 0; i < dim / 32; i++) p.scale[i] = f[64 * i];
    p.log_scale = f[2 * dim], p.inv_scale = f[2 * dim + 64];
    return p;
}

// The formulas of docs/bits.md, position by position.
static void attend_by_definition(const cache *c, const float *q, int n_pos, float *out) {
    acts a = quantised(scalar(), q, 1, c->dim);
    float top = -3e38f, l[16] = {0};
    memset(out, 0, sizeof(float) * (size_t)c->dim);
    for (int p0 = 0; p0 < n_pos; p0 += KV_BLOCK) {
        int n = n_pos - p0 < KV_BLOCK ? n_pos - p0 : KV_BLOCK, code[KV_BLOCK];
        float t[KV_BLOCK], sum[16] = {0}, most = -3e38f;
        position *at = memory_get(sizeof *at * KV_BLOCK);
        for (int j = 0; j < n; j++) {
            at[j] = position_at(c, p0 + j);
            t[j] = 0;
            for (int b = 0; b < c->dim / 32; b++) {
                int32_t isum = 0;
                for (int i = 32 * b; i < 32 * b + 32; i++) isum += at[j].k[i] * scalar()->act_get(a.q, (size_t)i);
                float d = at[j].scale[b] * a.d[b], product = d * (float)isum;
                t[j] = t[j] + product;
            }
            t[j] = t[j] + at[j].log_scale;
            most = t[j] > most ? t[j] : most;
        }
        float now = most > top ? most : top, old_by = exp2_by_definition(top - now, 1),
              by = exp2_by_definition(most - now, 1);
        for (int j = 0; j < n; j++) {
            float w = exp2_by_definition(t[j] - most, 127), plain = w * at[j].inv_scale;
            float rounded = w + 12582912.0f;
            code[j] = (int)(rounded - 12582912.0f);
            CHECK(code[j] >= 0 && code[j] <= 127);
            sum[j % 16] = sum[j % 16] + plain;
        }
        for (int i = 0; i < 16; i++) {
            float a1 = l[i] * old_by, a2 = sum[i] * by;
            l[i] = a1 + a2;
        }
        for (int i = 0; i < c->dim; i++) {
            int32_t isum = 0;
            for (int j = 0; j < n; j++) isum += code[j] * at[j].v[i];
            float a1 = out[i] * old_by, a2 = (float)isum * by;
            out[i] = a1 + a2;
        }
        top = now;
        memory_free(at);
    }
    for (int h = 8; h; h /= 2)
        for (int i = 0; i < h; i++) l[i] = l[i] + l[i + h];
    float r = 1.0f / l[0];
    for (int i = 0; i < c->dim; i++) out[i] = out[i] * r;
    free_acts(&a);
}

static void scalar_attention_over_q8_is_the_definition(void) {
    static const int lengths[] = {1, 3, 16, 33, 64, 65, 127, 300};
    seed = 10;
    for (int dim = 32; dim <= 96; dim += 32) {
        cache c = q8_cache(dim);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            float *q = random_floats((size_t)dim), got[96], want[96];
            attend_args a = {.n = 1, .dim = dim, .q = {q}, .o = {got}, .n_pos = {lengths[i]}, .pages = c.pages};
            scalar()->attend_q8(&a);
            attend_by_definition(&c, q, lengths[i], want);
            same("scalar", "attention by its definition", want, got, sizeof(float) * (size_t)dim);
            memory_free(q);
        }
        free_cache(&c);
    }
}

// What was stored, read back: codes of -127..127 with the scales that the design names.
static void rows_of_q8_are_what_was_stored(void) {
    enum { DIM = 64 };
    seed = 11;
    cache c = {.dim = DIM, .is_q8 = 1};
    c.pages[0] = memory_get(kv_q8_size(DIM) * (KV_PAGE / KV_BLOCK));
    for (int pos = 0; pos < KV_PAGE; pos++) {
        float k[DIM], v[DIM], most = 1e-30f;
        fill_row(k, DIM, pos), fill_row(v, DIM, pos);
        scalar()->store_q8(k, v, DIM, c.pages[0] + (size_t)(pos / KV_BLOCK) * kv_q8_size(DIM), pos % KV_BLOCK);
        position p = position_at(&c, pos);
        acts a = quantised(scalar(), k, 1, DIM);
        int wrong = memcmp(p.scale, a.d, DIM / 32 * 4) != 0;
        for (int i = 0; i < DIM; i++) most = v[i] > most ? v[i] : -v[i] > most ? -v[i] : most;
        for (int i = 0; i < DIM; i++) {
            float scaled = v[i] * (127.0f / most), rounded = scaled + 12582912.0f;
            wrong += p.k[i] != scalar()->act_get(a.q, (size_t)i);
            wrong += p.v[i] != (int)(rounded - 12582912.0f);
        }
        wrong += p.inv_scale != 127.0f / most;
        CHECK_EQ_INT(wrong, 0);
        CHECK(p.log_scale - (float)(fm_log((double)(most / 127.0f)) / fm_log(2.0)) < 1e-5f);
        free_acts(&a);
    }
    memory_free(c.pages[0]);
}

static void keys_and_values_out_of_bounds_are_refused(void) {
    float k[32] = {0}, v[32] = {0};
    uint8_t *block = memory_get(kv_q8_size(32)), *before = memory_get(kv_q8_size(32));
    uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x5c000000, 0xdc000000};   // the last: 2^57
    for (int i = 0; i < isa_count(); i++)
        for (int j = 0; j < 12 && usable(i); j++) {
            float *x = (j % 2 ? k : v) + (5 * j + 3) % 32;
            memcpy(x, &bad[j / 2], 4);
            CHECK_EQ_INT(usable(i)->store_q8(k, v, 32, block, 3), 0);
            CHECK(!memcmp(block, before, kv_q8_size(32)));
            *x = 0;
        }
    memory_free(block), memory_free(before);
}

// How far attention over Q8_0 is from attention in double, where one channel of the keys is as large as `bias`, others
// within 1: in parts of a mean |value|.
static double error_beside(float bias) {
    enum { DIM = 64, POS = 4 * KV_PAGE };
    static double v_of[POS][DIM], score[POS];
    float k[DIM], v[DIM], q[DIM], out[DIM];
    double most = -1e30, sum = 0, off = 0;
    cache c = {.dim = DIM, .is_q8 = 1};
    for (int i = 0; i < 4; i++) c.pages[i] = memory_get(kv_q8_size(DIM));
    for (int i = 0; i < DIM; i++) q[i] = random_float();
    for (int pos = 0; pos < POS; pos++) {
        score[pos] = 0;
        for (int i = 0; i < DIM; i++) {
            k[i] = random_float() + (i == 5 ? bias : 0), v[i] = random_float();
            score[pos] += (double)k[i] * (double)q[i];
            v_of[pos][i] = (double)v[i];
        }
        most = score[pos] > most ? score[pos] : most;
        CHECK(scalar()->store_q8(k, v, DIM, c.pages[pos / KV_PAGE], pos % KV_BLOCK));
    }
    for (int pos = 0; pos < POS; pos++) sum += score[pos] = fm_exp((score[pos] - most) * fm_log(2));
    attend_args a = {.n = 1, .dim = DIM, .q = {q}, .o = {out}, .n_pos = {POS}, .pages = c.pages};
    CHECK_EQ_INT(scalar()->attend_q8(&a), 1);
    for (int i = 0; i < DIM; i++) {
        double exact = 0;
        for (int pos = 0; pos < POS; pos++) exact += score[pos] / sum * v_of[pos][i];
        off += exact > (double)out[i] ? exact - (double)out[i] : (double)out[i] - exact;
    }
    free_cache(&c);
    return off / DIM / 0.5;
}

static void one_large_channel_of_the_keys_costs_what_its_size_is(void) {
    static const float biases[] = {0, 10, 100};
    static const double most[] = {0.006, 0.015, 0.12};   // a code's width grows with the block's largest key
    seed = 15;
    for (int i = 0; i < 3; i++) {
        double error = 0;
        for (int round = 0; round < 50; round++) error += error_beside(biases[i]) / 50;
        if (error > most[i]) printf("    %g beside %g\n", error, (double)biases[i]);
        CHECK(error <= most[i] && error > most[i] / 4);
    }
}

static void queries_out_of_bounds_are_refused(void) {
    static const uint32_t good[] = {0x5bffffff, 0xdbffffff, 0, 0x80000000, 1, 0x80000001};
    static const uint32_t bad[] = {0x5c000000, 0xdc000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffffffff};
    cache caches[] = {f16_cache(64), q8_cache(64)};
    for (int i = 0; i < isa_count(); i++)
        for (int at = 0; at < 64 && usable(i); at++) {
            float q[3][64] = {{0}}, o[64];
            attend_args a = {.n = 3, .dim = 64, .q = {q[0], q[1], q[2]}, .o = {o, o, o}, .n_pos = {5, 3, 4}};
            for (int c = 0; c < 2; c++) {
                a.pages = caches[c].pages;
                for (size_t j = 0; j < sizeof good / sizeof *good; j++) {
                    memcpy(&q[at % 3][at], &good[j], 4);
                    CHECK_EQ_INT(attend_of(usable(i), &caches[c])(&a), 1);
                }
                for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
                    memcpy(&q[at % 3][at], &bad[j], 4);
                    CHECK_EQ_INT(attend_of(usable(i), &caches[c])(&a), 0);
                }
            }
        }
    free_cache(&caches[0]), free_cache(&caches[1]);
}

// ---- Numbers that forward never lets come this far -----------------------------------------------------------------

static void spoil_f16(uint16_t *page, size_t dim, size_t in) {
    for (size_t i = 0; i < dim; i++) {
        page[in / 16 * 16 * dim + 16 * i + in % 16] = (uint16_t)random_bits();
        page[(KV_PAGE + in) * dim + i] = (uint16_t)(0x7c00 | random_bits());
    }
}
static void spoil_scales(uint8_t *block, size_t dim, size_t in) {
    float *scale = (float *)(block + 128 * dim) + in;
    for (size_t i = 0; i < dim / 32 + 2; i++) scale[64 * i] = odd_float();
}
static void spoil_q8(uint8_t *block, size_t dim, size_t in) {
    for (size_t i = 0; i < dim; i++) {
        block[in / 16 * 16 * dim + i / 4 * 64 + in % 16 * 4 + i % 4] = (uint8_t)random_bits();
        block[64 * dim + in / 4 * 4 * dim + 4 * i + in % 4] = (uint8_t)random_bits();
    }
    spoil_scales(block, dim, in);
}
// Everything behind the first n positions of a cache.
static void spoil(const cache *c, int n) {
    for (int pos = n; pos < PAGES * KV_PAGE; pos++) {
        uint8_t *page = c->pages[pos / KV_PAGE];
        size_t in = (size_t)(pos % KV_PAGE), dim = (size_t)c->dim;
        if (c->is_q8) spoil_q8(page + in / KV_BLOCK * kv_q8_size(c->dim), dim, in % KV_BLOCK);
        else spoil_f16((uint16_t *)page, dim, in);
    }
}

static void what_lies_behind_a_position_weighs_nothing(void) {
    static const int lengths[] = {511, 300, 257, 100, 65, 63, 17, 16, 5, 1};
    static const float sizes[] = {1, 0, 30, 1e17f};
    seed = 12;
    for (int dim = 32; dim <= 96; dim += 32)
        for (int is_q8 = 0; is_q8 < 2; is_q8++) {
            cache c = is_q8 ? q8_cache(dim) : f16_cache(dim);
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (size_t s = 0; s < 4; s++) {
                    float *q = random_floats((size_t)dim), clean[96], got[96];
                    for (int i = 0; i < dim; i++) q[i] *= sizes[s];
                    attend_args a = {.n = 1, .dim = dim, .q = {q}, .o = {clean}, .n_pos = {lengths[l]}};
                    a.pages = c.pages;
                    CHECK_EQ_INT(attend_of(scalar(), &c)(&a), 1);
                    spoil(&c, lengths[l]);
                    a.o[0] = got;
                    for (int i = 0; i < isa_count(); i++) {
                        if (!usable(i)) continue;
                        CHECK_EQ_INT(attend_of(usable(i), &c)(&a), 1);
                        same_but_nan(usable(i)->name, "attention before spoilt memory", clean, got, (size_t)dim);
                    }
                    memory_free(q);
                }
            free_cache(&c);
        }
}

// Scales of every sort, as no call stores or restores them.
static void scores_that_overflow_are_the_same_on_every_row(void) {
    static const float sizes[] = {1, 1e9f, 1e17f};
    seed = 13;
    for (int round = 0; round < 200; round++) {
        int dim = 32 * (1 + random_below(5)), n = 1 + random_below(ATTEND_MAX), n_pos = 1 + random_below(KV_PAGE);
        cache c = round % 2 ? q8_cache(dim) : f16_cache(dim);
        size_t all = (size_t)(n * dim);
        float *q = random_floats(all), *o = random_floats(all), *p = random_floats(all), size = sizes[round / 2 % 3];
        attend_args a = {.n = n, .dim = dim, .pages = c.pages};
        for (int pos = random_below(n_pos); pos < n_pos && c.is_q8; pos += 1 + random_below(20))
            spoil_scales(c.pages[0] + (size_t)(pos / KV_BLOCK) * kv_q8_size(dim), (size_t)dim,
                         (size_t)(pos % KV_BLOCK));
        for (size_t i = 0; i < all; i++) q[i] *= size;
        for (int i = 0; i < n; i++) { a.q[i] = q + i * dim, a.o[i] = o + i * dim, a.n_pos[i] = n_pos; }
        CHECK_EQ_INT(attend_of(scalar(), &c)(&a), 1);
        EACH_ROW (k) {
            attend_args b = a;
            for (int i = 0; i < n; i++) b.o[i] = p + i * dim;
            CHECK_EQ_INT(attend_of(k, &c)(&b), 1);
            same_but_nan(k->name, c.is_q8 ? "overflow over Q8_0" : "overflow over F16", o, p, all);
        }
        memory_free(q), memory_free(o), memory_free(p);
        free_cache(&c);
    }
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(attention_over_f16_is_the_same_on_every_row),
        CHECK_ENTRY(attention_over_q8_is_the_same_on_every_row),
        CHECK_ENTRY(scalar_attention_over_q8_is_the_definition),
        CHECK_ENTRY(rows_of_q8_are_what_was_stored),
        CHECK_ENTRY(keys_and_values_out_of_bounds_are_refused),
        CHECK_ENTRY(one_large_channel_of_the_keys_costs_what_its_size_is),
        CHECK_ENTRY(queries_out_of_bounds_are_refused),
        CHECK_ENTRY(what_lies_behind_a_position_weighs_nothing),
        CHECK_ENTRY(scores_that_overflow_are_the_same_on_every_row),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
