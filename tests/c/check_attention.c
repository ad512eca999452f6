// Attention over caches of every type: each instruction set against scalar, to the bit; scalar against the formulas of
// docs/bits.md, position by position; positions that no query sees have no influence. All with and without a soft cap,
// slopes, biases and sinks.
#include "kernel_checks.h"
#include "cache_checks.h"
#include "../../core_c/src/fmath.h"

enum { N_DIMS = 7, CODES = GEMEL_KV_Q8_0 };
static const int types[] = {GEMEL_KV_F32, GEMEL_KV_F16, GEMEL_KV_Q8_0};
static const int dims[N_DIMS][2] = {{64, 64}, {32, 96}, {192, 128}, {96, 32}, {128, 256}, {80, 16}, {1024, 1024}};
#define EACH_TYPE(t)                                                                                                   \
    for (size_t t##_ = 0; t##_ < sizeof types / sizeof *types; t##_++)                                                 \
        for (int t = types[t##_], once_ = 1; once_; once_ = 0)

// ---- Instruction sets ----------------------------------------------------------------------------------------------

// Queries, outputs and the call; the pages before the first position that is seen are NULL.
typedef struct call {
    attend_args a;
    float *q, *o;
    uint8_t *pages[PAGES];
} call;

static void hide_pages(call *c, const cache *from) {
    int least = c->a.first[0];
    for (int i = 1; i < c->a.n; i++) least = c->a.first[i] < least ? c->a.first[i] : least;
    for (int i = 0; i < PAGES; i++) c->pages[i] = i < least / KV_PAGE ? NULL : from->pages[i];
    c->a.pages = c->pages;
}

static void open_call(call *c, const cache *from, int n, float size) {
    const kv_layout *l = &from->l;
    c->q = random_floats((size_t)(n * l->k_dim)), c->o = random_floats((size_t)(n * l->v_dim));
    c->a = (attend_args){.n = n, .k_dim = l->k_dim, .v_dim = l->v_dim};
    for (int i = 0; i < n * l->k_dim; i++) c->q[i] *= size;
    for (int i = 0; i < n; i++) c->a.q[i] = c->q + i * l->k_dim, c->a.o[i] = c->o + i * l->v_dim;
}
// Biases of distances, over floats. Keys that are BIAS_FAR away, and farther, share a bucket on each side.
enum { N_BUCKETS = 9 };
static uint8_t buckets[BIAS_WIDTH];
static float biases[N_BUCKETS * ATTEND_MAX];
static void bias_call(call *c, int type) {
    for (int i = 0; i < BIAS_WIDTH && !biases[0]; i++) {   // once: calls of one check share the tables
        int far = i - BIAS_WIDTH / 2;
        buckets[i] = (uint8_t)(far <= -BIAS_FAR ? 0 : far >= BIAS_FAR ? N_BUCKETS - 1 : random_below(N_BUCKETS));
    }
    for (int i = N_BUCKETS * ATTEND_MAX; i > 0 && !biases[0]; i--) biases[i - 1] = random_float() * (float)(1 + i % 9);
    for (int i = 0; i < ATTEND_MAX; i++) c->a.bias[i] = biases + i;
    c->a.bias_stride = ATTEND_MAX;
    c->a.buckets = type == GEMEL_KV_Q8_0 ? NULL : buckets;
}

// The caps, slopes, biases and sinks of a call, in any combination. Queries over floats may see past their own ones.
enum { PLAIN, CAPPED = 1, SLOPED = 2, SUNK = 4, N_BENDS = 8 };
static void bend_call(call *c, int type, int kind) {
    static const float caps[] = {50, 3, 0.1f, 1e-3f, 1e6f}, slopes[] = {0.5f, 0.00390625f, 0, 0.84089642f, 7, 300};
    static const float sinks[] = {0, 2.5f, -3, 60, 1e4f, -0x1.fffffep56f, 0x1.fffffep56f};
    c->a.soft_cap = kind & CAPPED ? caps[random_below(5)] : 0;
    c->a.has_slopes = (kind & SLOPED) != 0;
    c->a.has_sinks = (kind & SUNK) != 0;
    c->a.buckets = NULL;
    if (kind & SLOPED && random_below(2)) bias_call(c, type);
    for (int i = 0; i < ATTEND_MAX; i++) c->a.slope[i] = slopes[random_below(6)];   // ignored unless has_slopes
    for (int i = 0; i < ATTEND_MAX; i++) c->a.sink[i] = sinks[random_below(7)];     // ignored unless has_sinks
    for (int i = 0; i < c->a.n && type != GEMEL_KV_Q8_0; i++) c->a.ahead[i] = random_below(c->a.n_pos[i]);
}
static void free_call(call *c) { memory_free(c->q), memory_free(c->o); }

// The instruction set gives scalar's bits, for all queries together and for each alone.
static void check_row(const kernels *k, const cache *c, const call *want) {
    size_t v_dim = (size_t)c->l.v_dim, all = (size_t)want->a.n * v_dim;
    float *o = memory_get(all * sizeof *o);
    call got = *want;
    for (int i = 0; i < got.a.n; i++) got.a.o[i] = o + (size_t)i * v_dim;
    hide_pages(&got, c);
    CHECK_EQ_INT(k->kv[c->l.type].attend(&got.a), 1);
    same(k->name, name_of(c), want->o, o, all * sizeof *o);
    for (int i = 0; i < got.a.n; i++) {
        call one = got;
        one.a.n = 1, one.a.q[0] = got.a.q[i], one.a.o[0] = o;
        one.a.first[0] = got.a.first[i], one.a.n_pos[0] = got.a.n_pos[i];
        one.a.slope[0] = got.a.slope[i], one.a.sink[0] = got.a.sink[i], one.a.ahead[0] = got.a.ahead[i];
        one.a.bias[0] = got.a.bias[i];
        hide_pages(&one, c);
        CHECK_EQ_INT(k->kv[c->l.type].attend(&one.a), 1);
        same(k->name, "attention of one query", want->a.o[i], o, v_dim * sizeof *o);
    }
    memory_free(o);
}

// Every instruction set gives scalar's bits, with and without caps, slopes and sinks.
static void check_rows(const cache *c, call *want) {
    const int times = c->l.k_dim < ATTEND_DIM ? 2 : 1;   // the widest heads are slow
    hide_pages(want, c);
    for (int is_bent = 0; is_bent < times; is_bent++) {
        bend_call(want, c->l.type, is_bent ? 1 + random_below(N_BENDS - 1) : PLAIN);
        CHECK_EQ_INT(scalar()->kv[c->l.type].attend(&want->a), 1);
        for (int i = 0; i < isa_count(); i++)
            if (usable(i)) check_row(usable(i), c, want);
    }
}

// Neighbours in a prompt, in an order that forward does not use; each sees `window` positions at most.
static void check_neighbours(const cache *c, int n, int most, int window, float size) {
    call want;
    open_call(&want, c, n, size);
    for (int i = 0; i < n; i++) {
        want.a.n_pos[i] = most - (i / 2 < most ? i / 2 : 0);
        want.a.first[i] = want.a.n_pos[i] > window ? want.a.n_pos[i] - window : 0;
    }
    check_rows(c, &want);
    free_call(&want);
}

// A first position in the block of the last one, in the block before it, or anywhere.
static int random_first(int n_pos) {
    int last = n_pos - 1, block = last / KV_BLOCK * KV_BLOCK, kind = random_below(4);
    if (kind == 0) return block + random_below(last - block + 1);
    if (kind == 1 && block) return block - 1 - random_below(KV_BLOCK);
    return kind == 2 ? random_below(n_pos) : 0;
}

// Unrelated queries.
static void check_strangers(const cache *c, int n) {
    call want;
    open_call(&want, c, n, 1);
    for (int i = 0, most = 1 + random_below(N_POSITIONS); i < n; i++) {
        want.a.n_pos[i] = random_below(3) ? 1 + random_below(most) : most;
        want.a.first[i] = random_first(want.a.n_pos[i]);
    }
    check_rows(c, &want);
    free_call(&want);
}

static void check_type(int type) {
    static const int lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 250, 256, 257, 300, 530, 768};
    static const int windows[] = {N_POSITIONS, 1, 16, 20, 64, 100};
    for (int d = 0; d < N_DIMS; d++) {
        const size_t step = dims[d][0] < ATTEND_DIM ? 1 : 3;   // loops over positions know no width
        cache c = cache_of(type, dims[d][0], dims[d][1]);
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l += step)
            check_neighbours(&c, 1 + (int)(7 * l + (size_t)d) % ATTEND_MAX, lengths[l],
                             windows[l * (size_t)(d % 3) % 6], d % 2 ? 1 : 0.05f);
        check_neighbours(&c, ATTEND_MAX, 200, N_POSITIONS, 0);     // all weights equal
        check_neighbours(&c, ATTEND_MAX, 200, N_POSITIONS, 300);   // one weight dominates
        for (int i = 0; i < 10; i++) check_strangers(&c, 1 + random_below(ATTEND_MAX));
        free_cache(&c);
    }
}
static void attention_over_f32_is_the_same_on_every_isa(void) { seed = 7, check_type(GEMEL_KV_F32); }
static void attention_over_f16_is_the_same_on_every_isa(void) { seed = 8, check_type(GEMEL_KV_F16); }
static void attention_over_q8_is_the_same_on_every_isa(void) { seed = 9, check_type(GEMEL_KV_Q8_0); }

// ---- By several threads --------------------------------------------------------------------------------------------

// Blocks in any order, by several calls, then joined: the bits of one call.
static void check_partials(const cache *c, int n, int first, int n_pos, float size, int kind) {
    int begin = first / KV_BLOCK, end = (n_pos - 1) / KV_BLOCK + 1;
    size_t all = (size_t)(n * c->l.v_dim), stride = (size_t)end * (size_t)(KV_PARTIAL_HEAD + c->l.v_dim);
    float *p = random_floats(all), *partials = random_floats(stride * (size_t)n);
    call a;
    open_call(&a, c, n, size);
    for (int i = 0; i < n; i++)
        a.a.first[i] = first, a.a.n_pos[i] = n_pos, a.a.partials[i] = partials + stride * (size_t)i;
    bend_call(&a, GEMEL_KV_Q8_0, kind);
    hide_pages(&a, c);
    CHECK_EQ_INT(scalar()->kv[CODES].attend(&a.a), 1);
    for (int i = 0; i < n; i++) a.a.o[i] = p + i * c->l.v_dim;
    for (int isa = 0; isa < isa_count(); isa++) {
        const kernels *k = usable(isa);
        int middle = begin + random_below(end - begin + 1);
        if (!k) continue;
        for (size_t i = 0; i < all; i++) p[i] = 7;
        CHECK_EQ_INT(k->attend_q8_partials(&a.a, middle, end), 1);
        CHECK_EQ_INT(k->attend_q8_partials(&a.a, begin, middle), 1);
        for (size_t i = 0; i < all; i++) CHECK_EQ_INT(p[i] == 7, 1);
        k->attend_q8_join(&a.a);
        same(k->name, "attention over Q8_0 in partials", a.o, p, all * sizeof *p);
    }
    free_call(&a);
    memory_free(p), memory_free(partials);
}

static void partials_of_attention_join_to_the_bits_of_one_call(void) {
    static const int seen[] = {1, 64, 65, 128, 200, 257, 500, 768};
    seed = 16;
    for (int d = 0; d < N_DIMS; d++) {
        cache c = cache_of(GEMEL_KV_Q8_0, dims[d][0], dims[d][1]);
        const int step = dims[d][0] < ATTEND_DIM ? 1 : 8;   // the widest: each kind once, at one of the lengths
        for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
            for (int kind = (int)i % step; kind < 2 * N_BENDS; kind += step)
                check_partials(&c, 1 + random_below(ATTEND_MAX), kind & N_BENDS ? random_first(seen[i]) : 0, seen[i],
                               i % 3 ? 1.0f : 50.0f, kind % N_BENDS);
        free_cache(&c);
    }
}

// ---- The definition ------------------------------------------------------------------------------------------------

static float exp2_by_definition(float x, float y) {   // y * 2^x
    static const float c[] = {9.58285317e-3f, 5.5906425e-2f, 0.240240986f, 0.693124193f, 1.0f};
    x = x > -126 ? x : -126;
    float n = (x + 12582912.0f) - 12582912.0f, p = by_horner(c, 5, y, x - n);
    for (int i = 0; i > (int)n; i--) p *= 0.5f;
    return p;
}
typedef struct query {
    const kv_layout *d;
    const float *q;
    acts codes;   // of q, for Q8_0
    int at;       // its own position
    double cap;   // in units of the scores; 0: none
    float slope;
    const attend_args *a;     // its biases
    float top, l[16], *out;   // so far
} query;

// A score of the key at position pos, capped, sloped and biased.
static float bent_by_definition(const query *q, float s, int pos) {
    if (q->cap > 0) s = cap_by_definition(s, q->cap);
    float slope = q->slope * (float)(pos < q->at ? pos - q->at : q->at - pos);
    s = s + slope;
    if (!q->a->buckets) return s;
    int far = pos - q->at;
    far = far < -BIAS_FAR ? -BIAS_FAR : far > BIAS_FAR ? BIAS_FAR : far;
    return s + q->a->bias[0][q->a->buckets[far + BIAS_WIDTH / 2] * q->a->bias_stride];
}

// A block of 16 positions from p on, of which from..to-1 are seen, joins top, l and out.
static void float_block_by_definition(query *q, const position *at, int p, int from, int to) {
    float score[16], w[16] = {0}, most = -3e38f, fix = 1;
    for (int j = from; j < to; j++) {
        float chain[2] = {0, 0};
        for (int i = 0; i < q->d->k_dim; i++) {
            float product = at[j].k[i] * q->q[i];
            chain[i % 2] = chain[i % 2] + product;
        }
        score[j] = bent_by_definition(q, chain[0] + chain[1], p + j);
        most = score[j] > most ? score[j] : most;
    }
    if (most > q->top) {
        fix = exp_by_definition(q->top - most);
        q->top = most;
        for (int i = 0; i < 16; i++) q->l[i] = q->l[i] * fix;
    }
    for (int j = from; j < to; j++) w[j] = exp_by_definition(score[j] - q->top);
    for (int i = 0; i < 16; i++) q->l[i] = q->l[i] + w[i];
    for (int i = 0; i < q->d->v_dim; i++) {
        q->out[i] = q->out[i] * fix;
        for (int j = from; j < to; j++) {
            float product = at[j].v[i] * w[j];
            q->out[i] = q->out[i] + product;
        }
    }
}

static void finish_by_definition(query *q, const attend_args *a) {
    const int is_q8 = q->d->type == GEMEL_KV_Q8_0;
    for (int h = 8; h; h /= 2)
        for (int i = 0; i < h; i++) q->l[i] = q->l[i] + q->l[i + h];
    float r = 1.0f / q->l[0];
    if (a->has_sinks) {
        float sink = is_q8 ? (float)((double)a->sink[0] * 1.4426950408889634) : a->sink[0];
        float most = q->top > sink ? q->top : sink;
        float fix = is_q8 ? exp2_by_definition(q->top - most, 1) : exp_by_definition(q->top - most);
        float one = is_q8 ? exp2_by_definition(sink - most, 127) : exp_by_definition(sink - most);
        float all = q->l[0] * fix;
        r = fix / (all + one);
    }
    for (int i = 0; i < q->d->v_dim; i++) q->out[i] = q->out[i] * r;
}

static float code_score_by_definition(const query *q, const position *at, int pos) {
    float t = 0;
    for (int b = 0; b < q->d->k_dim / 32; b++) {
        int32_t isum = 0;
        for (int i = 32 * b; i < 32 * b + 32; i++) isum += (int)at->k[i] * scalar()->act_get(q->codes.q, (size_t)i);
        float scale = at->scale[b] * q->codes.d[b], product = scale * (float)isum;
        t = t + product;
    }
    t = bent_by_definition(q, t, pos);
    return t + at->log_scale;
}

static void code_block_by_definition(query *q, const position *at, int p, int from, int to) {
    float t[KV_BLOCK], sum[16] = {0}, most = -3e38f;
    int code[KV_BLOCK];
    for (int j = from; j < to; j++) {
        t[j] = code_score_by_definition(q, at + j, p + j);
        most = t[j] > most ? t[j] : most;
    }
    float now = most > q->top ? most : q->top, old_by = exp2_by_definition(q->top - now, 1),
          by = exp2_by_definition(most - now, 1);
    for (int j = from; j < to; j++) {
        float w = exp2_by_definition(t[j] - most, 127), plain = w * at[j].inv_scale, rounded = w + 12582912.0f;
        code[j] = (int)(rounded - 12582912.0f);
        CHECK(code[j] >= 0 && code[j] <= 127);
        sum[j % 16] = sum[j % 16] + plain;
    }
    for (int i = 0; i < 16; i++) {
        float before = q->l[i] * old_by, here = sum[i] * by;
        q->l[i] = before + here;
    }
    for (int i = 0; i < q->d->v_dim; i++) {
        int32_t isum = 0;
        for (int j = from; j < to; j++) isum += code[j] * (int)at[j].v[i];
        float before = q->out[i] * old_by, here = (float)isum * by;
        q->out[i] = before + here;
    }
    q->top = now;
}

// The call's first query.
static void attend_by_definition(const cache *c, const attend_args *a, float *out) {
    const int is_q8 = c->l.type == GEMEL_KV_Q8_0, block = is_q8 ? KV_BLOCK : 16, first = a->first[0];
    const double unit = is_q8 ? 1.4426950408889634 : 1, slope = a->has_slopes ? (double)a->slope[0] : 0;
    query q = {&c->l, a->q[0], .at = a->n_pos[0] - 1 - a->ahead[0], .cap = (double)a->soft_cap * unit, .top = -3e38f};
    q.out = out, q.a = a;
    position *at = memory_get(sizeof *at * KV_BLOCK);
    q.slope = (float)(slope * unit);
    if (is_q8) q.codes = quantised(scalar(), q.q, 1, c->l.k_dim);
    memset(out, 0, sizeof *out * (size_t)c->l.v_dim);
    for (int p = first / block * block; p < a->n_pos[0]; p += block) {
        int from = first > p ? first - p : 0, to = a->n_pos[0] - p < block ? a->n_pos[0] - p : block;
        for (int j = from; j < to; j++) at[j] = position_at(c, p + j);
        if (is_q8) code_block_by_definition(&q, at, p, from, to);
        else float_block_by_definition(&q, at, p, from, to);
    }
    finish_by_definition(&q, a);
    if (is_q8) free_acts(&q.codes);
    memory_free(at);
}

static void scalar_attention_is_the_definition(void) {
    static const int seen[][2] = {{0, 1},     {0, 3},     {0, 16},    {0, 33},    {0, 64},    {0, 65},
                                  {0, 127},   {0, 300},   {2, 3},     {15, 16},   {16, 20},   {17, 33},
                                  {40, 64},   {63, 64},   {63, 65},   {64, 65},   {1, 130},   {100, 130},
                                  {127, 300}, {128, 300}, {129, 257}, {255, 256}, {256, 300}, {290, 300}};
    seed = 10;
    EACH_TYPE(type)
    for (int d = 0; d < 4; d++) {
        cache c = cache_of(type, dims[d][0], dims[d][1]);
        for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
            float want[ATTEND_DIM];
            call got;
            open_call(&got, &c, 1, i % 5 ? 1.0f : 0.1f);
            got.a.first[0] = seen[i][0], got.a.n_pos[0] = seen[i][1];
            hide_pages(&got, &c);
            for (int kind = 0; kind < N_BENDS; kind++) {
                bend_call(&got, type, kind);
                CHECK_EQ_INT(scalar()->kv[type].attend(&got.a), 1);
                attend_by_definition(&c, &got.a, want);
                same("scalar", name_of(&c), want, got.o, sizeof *want * (size_t)c.l.v_dim);
            }
            free_call(&got);
        }
        free_cache(&c);
    }
}

// How far attention is from attention in double, where one channel of the keys is as large as `bias`, others within 1:
// relative to a mean |value|. cap 0: none; sink 0: none.
static double error_of(int type, float bias, float cap, float slope, float sink) {
    enum { DIM = 64, POS = 256 };
    static double v_of[POS][DIM], score[POS];
    const double unit = type == CODES ? fm_log(2) : 1;   // of scores
    float k[DIM], v[DIM], q[DIM], out[DIM];
    double most = -1e30, sum = 0, off = 0;
    cache c = empty_cache(type, DIM, DIM);
    for (int i = 0; i < DIM; i++) q[i] = random_float();
    for (int pos = 0; pos < POS; pos++) {
        score[pos] = 0;
        for (int i = 0; i < DIM; i++) {
            k[i] = random_float() + (i == 5 ? bias : 0), v[i] = random_float();
            score[pos] += (double)k[i] * (double)q[i] * unit;
            v_of[pos][i] = (double)v[i];
        }
        if (cap > 0) score[pos] = (double)cap * fm_tanh(score[pos] / (double)cap);
        score[pos] += (double)slope * (pos - (POS - 1));
        most = score[pos] > most ? score[pos] : most;
        CHECK(scalar()->kv[type].store(k, v, &c.l, c.pages[pos / KV_PAGE], pos % KV_BLOCK));
    }
    for (int pos = 0; pos < POS; pos++) sum += score[pos] = fm_exp(score[pos] - most);
    if (sink != 0) sum += fm_exp((double)sink - most);
    attend_args a = {.n = 1, .k_dim = DIM, .v_dim = DIM, .q = {q}, .o = {out}, .n_pos = {POS}, .pages = c.pages};
    a.soft_cap = cap, a.has_slopes = slope > 0, a.slope[0] = slope, a.has_sinks = sink != 0, a.sink[0] = sink;
    CHECK_EQ_INT(scalar()->kv[type].attend(&a), 1);
    for (int i = 0; i < DIM; i++) {
        double exact = 0;
        for (int pos = 0; pos < POS; pos++) exact += score[pos] / sum * v_of[pos][i];
        off += exact > (double)out[i] ? exact - (double)out[i] : (double)out[i] - exact;
    }
    free_cache(&c);
    return off / DIM / 0.5;
}

static void caps_slopes_and_sinks_mean_what_they_say(void) {
    enum { CASES = 10 };
    static const float caps[CASES] = {0, 50, 2, 0, 1, 30}, slopes[CASES] = {0, 0, 0, 0.05f, 0.01f, 0.3f};
    static const float sinks[CASES] = {0, 0, 0, 0, 0, -1, 2, 5, 20, -30};
    seed = 17;
    EACH_TYPE(type)
    for (int i = 0; i < CASES; i++) {
        double error = 0, most = type == GEMEL_KV_F32 ? 1e-6 : type == GEMEL_KV_F16 ? 5e-4 : 0.015;
        for (int round = 0; round < 20; round++) error += error_of(type, 0, caps[i], slopes[i], sinks[i]) / 20;
        if (!(error <= most)) printf("    %g, type %d, case %d\n", error, type, i);
        CHECK(error <= most);
    }
}

static void the_error_of_attention_grows_with_one_large_channel_of_keys(void) {
    static const float biases[] = {0, 10, 100};
    static const double most[] = {0.006, 0.015, 0.12};   // a code's width grows with the block's largest key
    seed = 15;
    for (int i = 0; i < 3; i++) {
        double error = 0;
        for (int round = 0; round < 50; round++) error += error_of(CODES, biases[i], 0, 0, 0) / 50;
        if (error > most[i]) printf("    %g beside %g\n", error, (double)biases[i]);
        CHECK(error <= most[i] && error > most[i] / 4);
    }
}

// ---- Numbers that forward never lets come this far -----------------------------------------------------------------

static void queries_out_of_bounds_are_refused(void) {
    static const uint32_t good[] = {0x5bffffff, 0xdbffffff, 0, 0x80000000, 1, 0x80000001};
    static const uint32_t bad[] = {0x5c000000, 0xdc000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffffffff};
    EACH_TYPE(type) {
        cache c = cache_of(type, 64, 32);
        for (int i = 0; i < isa_count(); i++)
            for (int at = 0; at < 64 && usable(i); at++) {
                float q[3][64] = {{0}}, o[32];
                attend_args a = {.n = 3, .k_dim = 64, .v_dim = 32, .q = {q[0], q[1], q[2]}, .o = {o, o, o}};
                a.pages = c.pages, a.n_pos[0] = 5, a.n_pos[1] = 3, a.n_pos[2] = 4;
                for (size_t j = 0; j < sizeof good / sizeof *good; j++) {
                    memcpy(&q[at % 3][at], &good[j], 4);
                    CHECK_EQ_INT(usable(i)->kv[type].attend(&a), 1);
                }
                for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
                    memcpy(&q[at % 3][at], &bad[j], 4);
                    CHECK_EQ_INT(usable(i)->kv[type].attend(&a), 0);
                }
            }
        free_cache(&c);
    }
}

static void what_a_query_does_not_see_weighs_nothing(void) {
    static const int seen[][2] = {{0, 511},   {0, 300},   {0, 257},   {70, 257},
                                  {130, 200}, {192, 193}, {140, 190}, {150, 151}};   // each within the one before
    static const float sizes[] = {1, 0, 30, 1e17f};
    seed = 12;
    EACH_TYPE(type)
    for (int dim = 32; dim <= 96; dim += 32)
        for (size_t s = 0; s < 4; s++) {
            cache c = cache_of(type, dim, 128 - dim);
            for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
                float want[N_BENDS][96], got[96];
                call clean, bent[N_BENDS];
                if (seen[i][0] == 140) free_cache(&c), c = cache_of(type, dim, 128 - dim);
                open_call(&clean, &c, 1, sizes[s]);
                clean.a.first[0] = seen[i][0], clean.a.n_pos[0] = seen[i][1];
                hide_pages(&clean, &c);
                for (int kind = 0; kind < N_BENDS; kind++) {
                    bend_call(&clean, type, kind);
                    bent[kind] = clean, bent[kind].a.o[0] = want[kind];
                    CHECK_EQ_INT(scalar()->kv[type].attend(&bent[kind].a), 1);
                    bent[kind].a.o[0] = got;
                }
                spoil(&c, 0, seen[i][0]), spoil(&c, seen[i][1], N_POSITIONS);
                for (int isa = 0; isa < isa_count(); isa++)
                    for (int kind = 0; kind < N_BENDS && usable(isa); kind++) {
                        CHECK_EQ_INT(usable(isa)->kv[type].attend(&bent[kind].a), 1);
                        same_but_nan(usable(isa)->name, "attention beside spoilt memory", want[kind], got,
                                     (size_t)c.l.v_dim);
                    }
                free_call(&clean);
            }
            free_cache(&c);
        }
}

// Scales of every kind, also those that no call stores.
static void scores_that_overflow_are_the_same_on_every_isa(void) {
    static const float sizes[] = {1, 1e9f, 1e17f};
    seed = 13;
    for (int round = 0; round < 300; round++) {
        int n = 1 + random_below(ATTEND_MAX), n_pos = 1 + random_below(250), first = random_first(n_pos);
        cache c = cache_of(types[round % 3], 32 * (1 + random_below(5)), 32 * (1 + random_below(5)));
        size_t all = (size_t)(n * c.l.v_dim);
        float *p = random_floats(all);
        call a;
        open_call(&a, &c, n, sizes[round / 3 % 3]);
        if (c.l.type == GEMEL_KV_Q8_0)
            for (int pos = random_below(n_pos); pos < n_pos; pos += 1 + random_below(20)) spoil_scales(&c, pos);
        for (int i = 0; i < n; i++) a.a.n_pos[i] = n_pos, a.a.first[i] = first;
        bend_call(&a, c.l.type, round / 9 % 2 ? 1 + random_below(N_BENDS - 1) : PLAIN);
        hide_pages(&a, &c);
        CHECK_EQ_INT(scalar()->kv[c.l.type].attend(&a.a), 1);
        EACH_ISA(k) {
            for (int i = 0; i < n; i++) a.a.o[i] = p + i * c.l.v_dim;
            CHECK_EQ_INT(k->kv[c.l.type].attend(&a.a), 1);
            same_but_nan(k->name, name_of(&c), a.o, p, all);
        }
        memory_free(p), free_call(&a);
        free_cache(&c);
    }
}

// ---- Benchmarks ----------------------------------------------------------------------------------------------------

static void run_attend(const kernels *k, void *arg) {
    const cache *c = ((void **)arg)[0];
    const call *a = ((void **)arg)[1];
    k->kv[c->l.type].attend(&a->a);
}
static void run_store(const kernels *k, void *arg) {
    cache *c = ((void **)arg)[0];
    call *a = ((void **)arg)[1];
    k->kv[c->l.type].store(a->q, a->q, &c->l, c->pages[0], 5);
}
static int benchmarks(void) {
    static const int sizes[] = {1, 3, 8, ATTEND_MAX};
    EACH_TYPE(type) {
        cache c = cache_of(type, 64, 64);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char what[100];
            call a;
            void *arg[] = {&c, &a};
            open_call(&a, &c, sizes[i], 1);
            for (int h = 0; h < sizes[i]; h++) a.a.n_pos[h] = N_POSITIONS;
            hide_pages(&a, &c);
            snprintf(what, sizeof what, "%s, %d x %d positions", name_of(&c), sizes[i], N_POSITIONS);
            bench(what, run_attend, arg);
            snprintf(what, sizeof what, "%s, a position stored", name_of(&c));
            if (i == 0) bench(what, run_store, arg);
            free_call(&a);
        }
        free_cache(&c);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(attention_over_f32_is_the_same_on_every_isa),
        CHECK_ENTRY(attention_over_f16_is_the_same_on_every_isa),
        CHECK_ENTRY(attention_over_q8_is_the_same_on_every_isa),
        CHECK_ENTRY(partials_of_attention_join_to_the_bits_of_one_call),
        CHECK_ENTRY(scalar_attention_is_the_definition),
        CHECK_ENTRY(caps_slopes_and_sinks_mean_what_they_say),
        CHECK_ENTRY(the_error_of_attention_grows_with_one_large_channel_of_keys),
        CHECK_ENTRY(queries_out_of_bounds_are_refused),
        CHECK_ENTRY(what_a_query_does_not_see_weighs_nothing),
        CHECK_ENTRY(scores_that_overflow_are_the_same_on_every_isa),
    };
    if (is_bench(argc, argv)) return benchmarks();
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
