// Kernels of recurrent layers: every usable instruction set against the formulas of docs/bits.md, to the bit.
#include "kernel_checks.h"
#include "fmath.h"

enum { MOST = 80, TAPS = 5, ROWS = 4, AHEAD = 3 };   // AHEAD: channels of the state beside those that are computed

// Of a position, whose earlier products are before[taps - 1][MOST + AHEAD].
static void conv_by_definition(const float *w, int taps, const float *b, const float *c, const float *x, int n,
                               float *before, float *y) {
    const int ld = MOST + AHEAD;
    for (int i = 0; i < n; i++) {
        float u = b[i] * x[i], sum = 0;
        for (int k = 0; k < taps; k++) {
            float part = w[i * taps + k] * (k + 1 < taps ? before[k * ld + i] : u);
            sum = k ? sum + part : part;
        }
        for (int k = 0; k + 1 < taps; k++) before[k * ld + i] = k + 2 < taps ? before[(k + 1) * ld + i] : u;
        y[i] = c[i] * sum;
    }
}

static void check_conv(int taps, int n, const float *w, const float *rows) {
    const size_t size = sizeof(float) * TAPS * (MOST + AHEAD);
    for (int isa = 0; isa < isa_count(); isa++) {
        const kernels *k = usable(isa);
        float want[TAPS * (MOST + AHEAD)], got[TAPS * (MOST + AHEAD)], y[MOST + 1], z[MOST + 1];
        for (int i = 0; i < TAPS * (MOST + AHEAD); i++) want[i] = got[i] = (float)i;
        for (int t = 0; t < ROWS && k; t++) {
            const float *b = rows + 3 * t * MOST, *c = b + MOST, *x = c + MOST;
            y[n] = z[n] = 7;
            conv_by_definition(w, taps, b, c, x, n, want, y);
            CHECK_EQ_INT(k->short_conv(w, taps, b, c, x, n, MOST + AHEAD, got, z), 1);
            same(k->name, "a short convolution", y, z, sizeof *y * (size_t)(n + 1));
            same(k->name, "its state", want, got, size);
        }
    }
}

static void short_convolutions_are_the_definition_on_every_isa(void) {
    static const int sizes[] = {1, 5, 15, 16, 17, 31, 32, 64, 77, 80};
    seed = 5;
    float *w = random_floats(MOST * TAPS), *rows = random_floats(3 * ROWS * MOST);
    for (int taps = 2; taps <= TAPS; taps++)
        for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) check_conv(taps, sizes[i], w, rows);
    memory_free(w), memory_free(rows);
}

static void a_convolution_may_have_no_gates_on_any_isa(void) {
    seed = 8;
    float *w = random_floats(MOST * 4), *rows = random_floats(3 * MOST), ones[MOST];
    for (int i = 0; i < MOST; i++) ones[i] = 1;
    for (int isa = 0; isa < isa_count(); isa++)
        for (int n = 1; n <= MOST && usable(isa); n += 13) {
            float want[3 * MOST], got[3 * MOST], y[MOST], x[MOST];
            for (int i = 0; i < 3 * MOST; i++) want[i] = got[i] = rows[i];
            memcpy(x, rows + MOST, sizeof x);
            CHECK_EQ_INT(usable(isa)->short_conv(w, 4, ones, ones, x, n, MOST, want, y), 1);
            CHECK_EQ_INT(usable(isa)->short_conv(w, 4, NULL, NULL, x, n, MOST, got, x), 1);   // in its place
            same(usable(isa)->name, "a bare convolution", y, x, sizeof *y * (size_t)n);
            same(usable(isa)->name, "its state", want, got, sizeof want);
        }
    memory_free(w), memory_free(rows);
}

static void delta_by_definition(const delta_args *a) {
    for (int j = 0; j < a->v_dim; j++) {
        float read = 0, out = 0;
        for (int i = 0; i < a->k_dim; i++) {
            float part = a->from[i * a->v_dim + j] * a->k[i];
            read = read + part;
        }
        float less = read * a->decay, moved = (a->v[j] - less) * a->beta;
        for (int i = 0; i < a->k_dim; i++) {
            float old = a->from[i * a->v_dim + j] * a->decay, now = moved * a->k[i];
            a->to[i * a->v_dim + j] = old + now;
            float part = a->to[i * a->v_dim + j] * a->q[i];
            out = out + part;
        }
        a->o[j] = out;
    }
}

static void check_delta(int k_dim, int v_dim, const float *x) {
    const size_t size = sizeof(float) * (size_t)(k_dim * v_dim);
    float want[2 * MOST], got[2 * MOST], *before = memory_get(size + 64), *a = memory_get(size + 64),
                                         *b = memory_get(size + 64);
    for (int isa = 0; isa < isa_count(); isa++) {
        if (!usable(isa)) continue;
        memcpy(before, x + 3 * 2 * MOST, size);
        for (int t = 0; t < ROWS; t++) {
            delta_args args = {.k_dim = k_dim, .v_dim = v_dim, .q = x + t, .k = x + 100 + t, .v = x + 200 + t};
            args.decay = 0.25f * (float)(t + 1), args.beta = 0.7f, args.from = before, args.to = a, args.o = want;
            a[k_dim * v_dim] = b[k_dim * v_dim] = want[v_dim] = got[v_dim] = 7;
            delta_by_definition(&args);
            args.to = b, args.o = got;
            if (t % 2) memcpy(b, before, size), args.from = b;   // in its place
            usable(isa)->delta_step(&args);
            same(usable(isa)->name, "a step of a delta rule", want, got, sizeof *want * (size_t)(v_dim + 1));
            same(usable(isa)->name, "its state", a, b, size + sizeof(float));
            memcpy(before, a, size);
        }
    }
    memory_free(before), memory_free(a), memory_free(b);
}

static void delta_rules_are_the_definition_on_every_isa(void) {
    static const int sizes[][2] = {{1, 1}, {3, 15}, {16, 16}, {5, 33}, {32, 64}, {7, 80}, {64, 96}, {24, 127}};
    seed = 9;
    float *x = random_floats(3 * 2 * MOST + 64 * 128);
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) check_delta(sizes[i][0], sizes[i][1], x);
    memory_free(x);
}

static void what_is_not_finite_is_said_on_every_isa(void) {
    static const float odd[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    seed = 6;
    float *w = random_floats(MOST * 3), *rows = random_floats(3 * MOST);
    for (int isa = 0; isa < isa_count(); isa++)
        for (int i = 0; i < 3 * 3 * 33 && usable(isa); i++) {
            float state[2 * MOST] = {0}, y[MOST], one[3 * MOST];
            int part = i / 33 % 3, at = i % 33;
            memcpy(one, rows, sizeof one);
            one[part * MOST + at] = odd[i / 99];
            CHECK_EQ_INT(usable(isa)->short_conv(w, 3, one, one + MOST, one + 2 * MOST, 33, MOST, state, y), 0);
        }
    memory_free(w), memory_free(rows);
}

// ---- Selective state spaces ----------------------------------------------------------------------------------------

// exp by the scalar kernels, which docs/bits.md defines: they are checked there.
static float exp_of(float x) {
    float in[16] = {x}, out[16];
    isa_at(0)->k->exps(in, 0, 16, out);
    return out[0];
}
static float silu_of(float x) { return x / (1.0f + exp_of(0 - x)); }
static float softplus_of(float x) {
    static const float c[] = {0.06666667f, 0.07692308f, 0.09090909f, 0.11111111f, 0.14285715f, 0.2f, 0.33333334f, 1.0f};
    float e = exp_of(0 - (x < 0 ? -x : x)), s = e / (e + 2.0f), square = s * s, p = c[0];
    for (int i = 1; i < 8; i++) {
        float t = p * square;
        p = t + c[i];
    }
    float log = p * (s + s), top = x > 0 ? x : 0;
    return top + log;
}

static void conv_silu_by_definition(const conv_step *k, const float *w, float *after, float *y) {
    for (int i = 0; i < k->n; i++) {
        float sum = 0;
        for (int tap = 0; tap < k->n_taps; tap++) {
            float at = tap + 1 < k->n_taps ? k->before[(size_t)tap * k->ld + (size_t)i] : k->x[i];
            float part = w[tap * CONV_CHANNELS + i] * at;
            sum = tap ? sum + part : part;
            if (tap) after[(size_t)(tap - 1) * k->ld + (size_t)i] = at;
        }
        y[i] = silu_of(k->b ? sum + k->b[i] : sum);
    }
}

static void check_conv_silu(int taps, int n, const float *numbers) {
    enum { LD = CONV_CHANNELS + AHEAD };
    for (int isa = 0; isa < isa_count(); isa++) {
        const kernels *k = usable(isa);
        float want[TAPS * LD], got[TAPS * LD], y[LD], z[LD];
        const float *w = numbers, *before = w + TAPS * CONV_CHANNELS, *x = before + TAPS * LD, *b = x + LD;
        for (int in_place = 0; in_place < 4 && k; in_place++) {
            for (int i = 0; i < TAPS * LD; i++) want[i] = got[i] = in_place % 2 ? before[i] : (float)i;
            for (int i = 0; i < LD; i++) y[i] = z[i] = x[i];
            conv_step s = {
                .n = n, .n_taps = taps, .w = w, .b = in_place / 2 ? b : NULL, .x = x, .before = before, .ld = LD};
            conv_silu_by_definition(&s, w, want, y);
            s.before = in_place % 2 ? got : before, s.after = got, s.x = s.y = z;
            CHECK_EQ_INT(k->conv_silu(&s), 1);
            same(k->name, "a convolution", y, z, sizeof y);
            same(k->name, "its state", want, got, sizeof want);
        }
    }
}

static void convolutions_of_mamba_are_the_definition_on_every_isa(void) {
    static const int sizes[] = {1, 5, 15, 16, 17, 31, 33, 63, 64};
    seed = 7;
    float *numbers = random_floats(TAPS * CONV_CHANNELS + (TAPS + 3) * (CONV_CHANNELS + AHEAD));
    for (int taps = 2; taps <= TAPS; taps++)
        for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++) check_conv_silu(taps, sizes[i], numbers);
    memory_free(numbers);
}

enum { STATES = 9, WIDE = 80, STATE_LD = WIDE + AHEAD };

// is_head: all channels have one step, decay and skip.
static void scan_by_definition(const scan_step *s, int is_head, float *after, float *y) {
    for (int i = 0; i < s->n; i++) {
        float dt = softplus_of(is_head ? s->dt[0] + s->dt_b[0] : s->dt[i]), u = s->x[i] * dt, sum = 0;
        for (int m = 0; m < s->n_state; m++) {
            size_t at = (size_t)m * s->ld + (size_t)i;
            float decay = exp_of(dt * (is_head ? s->a[0] : s->a[m * SCAN_CHANNELS + i]));
            float kept = s->before[at] * decay, put = u * s->b[m];
            after[at] = kept + put;
            float part = after[at] * s->c[m];
            sum = sum + part;
        }
        float skip = s->d[is_head ? 0 : i] * s->x[i], all = sum + skip;
        y[i] = all * silu_of(s->z[i]);
    }
}

static void check_scan(int n, int n_state, int is_head, const float *numbers) {
    const float *x = numbers, *z = x + WIDE, *dt = z + WIDE, *d = dt + WIDE, *b = d + WIDE, *c = b + STATES;
    const float *bias = c + STATES, *a = bias + 1, *before = a + STATES * SCAN_CHANNELS;
    for (int isa = 0; isa < isa_count(); isa++)
        for (int in_place = 0; in_place < 2 && usable(isa); in_place++) {
            float want[STATES * STATE_LD], got[STATES * STATE_LD], y[WIDE + 1] = {0}, out[WIDE + 1] = {0};
            for (int i = 0; i < STATES * STATE_LD; i++) want[i] = got[i] = in_place ? before[i] : (float)i;
            scan_step s = {.n = n,
                           .n_state = n_state,
                           .dt = dt,
                           .dt_b = bias,
                           .a = a,
                           .d = d,
                           .x = x,
                           .z = z,
                           .b = b,
                           .c = c,
                           .before = before,
                           .after = got,
                           .y = out,
                           .ld = STATE_LD};
            scan_by_definition(&s, is_head, want, y);
            if (in_place) s.before = got;
            const kernels *k = usable(isa);
            CHECK_EQ_INT((is_head ? k->scan_head : k->scan_channels)(&s), 1);
            same(k->name, "a scan", y, out, sizeof y);
            same(k->name, "its states", want, got, sizeof want);
        }
}

static float *numbers_of_scans(void) {
    return random_floats(4 * WIDE + 2 * STATES + 1 + STATES * SCAN_CHANNELS + STATES * STATE_LD);
}

static void scans_are_the_definition_on_every_isa(void) {
    static const int sizes[] = {1, 3, 4, 5, 8, 15, 16, 17, 20, 33, 64, 65, 77, 80};
    seed = 8;
    float *numbers = numbers_of_scans();
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++)
        for (int n_state = 1; n_state <= STATES; n_state += 4) {
            check_scan(sizes[i], n_state, 1, numbers);
            if (sizes[i] <= SCAN_CHANNELS) check_scan(sizes[i], n_state, 0, numbers);
        }
    memory_free(numbers);
}

static void what_mamba_makes_of_inf_is_said_on_every_isa(void) {
    static const float odd[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    seed = 9;
    float *numbers = numbers_of_scans(), *out = random_floats(STATES * STATE_LD);
    const float *x = numbers, *z = x + WIDE, *dt = z + WIDE, *d = dt + WIDE, *b = d + WIDE, *c = b + STATES, one = 1;
    for (int isa = 0; isa < isa_count(); isa++)
        for (int i = 0; i < 3 * 6 && usable(isa); i++) {
            const kernels *k = usable(isa);
            float at[6][SCAN_CHANNELS], y[SCAN_CHANNELS];
            const float *from[6] = {x, z, dt, d, b, c};
            for (int part = 0; part < 6; part++)
                memcpy(at[part], from[part], sizeof(float) * (part < 4 ? SCAN_CHANNELS : STATES));
            at[i / 3][i / 3 == 2 || i / 3 == 3 ? 0 : 5] = odd[i % 3];
            scan_step s = {.n = 13,
                           .n_state = STATES,
                           .dt = at[2],
                           .dt_b = &one,
                           .a = c + STATES + 1,
                           .d = at[3],
                           .x = at[0],
                           .z = at[1],
                           .b = at[4],
                           .c = at[5],
                           .before = out,
                           .after = out,
                           .y = y,
                           .ld = STATE_LD};
            float kept[STATES * STATE_LD];
            memcpy(kept, out, sizeof kept);
            CHECK_EQ_INT(k->scan_head(&s), 0);
            memcpy(out, kept, sizeof kept);
            CHECK_EQ_INT(k->scan_channels(&s), 0);
            memcpy(out, kept, sizeof kept);
            conv_step v = {.n = 13, .n_taps = 2, .w = dt, .x = at[0], .before = x, .after = out, .y = y, .ld = WIDE};
            if (i < 3) CHECK_EQ_INT(k->conv_silu(&v), 0);
            memcpy(out, kept, sizeof kept);
        }
    memory_free(numbers), memory_free(out);
}

// ---- RWKV-7 --------------------------------------------------------------------------------------------------------

enum { HEAD_MOST = 80, ROWS_OF_HEAD = 13 };

static float sigmoid_of(float x) { return 1 / (1 + exp_of(0 - x)); }

// Its norms are the scalar kernel's, which check_vector holds to their formulas.
static void wkv_by_definition(const wkv_step *s, float *after, float *y) {
    const kernels *k = isa_at(0)->k;
    const int n = s->n;
    float decay[HEAD_MOST], key[HEAD_MOST], v[HEAD_MOST], at[HEAD_MOST], less[HEAD_MOST], own[32] = {0}, sum = 0;
    for (int i = 0; i < n; i++) {
        float rate = sigmoid_of(s->rate[i]), some = s->k[i] * s->k_a[i], moved = rate * some - some;
        decay[i] = exp_of(sigmoid_of(s->decay[i]) * -0.606531f);
        key[i] = s->k[i] + moved, v[i] = s->v[i], at[i] = s->k[i] * s->k_k[i], less[i] = rate;
        if (s->mix) v[i] = v[i] + (s->first[i] - v[i]) * sigmoid_of(s->mix[i]);
    }
    k->norm[NORM_RMS](at, NULL, NULL, n, 1e-24f / (float)n, at);
    for (int i = 0; i < n; i++) {
        at[i] = at[i] * (float)(1 / fm_sqrt((double)n)), less[i] = at[i] * less[i];
        float part = key[i] * s->r[i] * s->r_k[i];
        own[i % 32] = own[i % 32] + part;   // two chains of 16 lanes, folded by halves
    }
    for (int step = 16; step; step /= 2)
        for (int i = 0; i < step; i++) own[i] = own[i] + own[i + step];
    for (int i = 0; i < n; i++) {
        float read = 0;
        sum = 0;
        for (int j = 0; j < n; j++) read = read + s->before[j * n + i] * at[j];
        for (int j = 0; j < n; j++) {
            float kept = s->before[j * n + i] * decay[j] + v[i] * key[j];
            after[j * n + i] = kept - read * less[j];
            sum = sum + after[j * n + i] * s->r[j];
        }
        y[i] = sum;
    }
    if (s->norm_w) k->norm[NORM_LAYER](y, s->norm_w, s->norm_b, n, 64e-5f, y);
    for (int i = 0; i < n; i++) {
        y[i] = y[i] + v[i] * own[0];
        if (s->gate) y[i] = y[i] * s->gate[i];
    }
}

static wkv_step step_of(int n, const float *x) {
    wkv_step s = {.n = n};
    const float **rows[ROWS_OF_HEAD] = {&s.r,    &s.k,   &s.v,   &s.decay, &s.rate,   &s.mix,   &s.first,
                                        &s.gate, &s.k_k, &s.k_a, &s.r_k,   &s.norm_w, &s.norm_b};
    for (int i = 0; i < ROWS_OF_HEAD; i++) *rows[i] = x + i * HEAD_MOST;
    s.before = x + ROWS_OF_HEAD * HEAD_MOST;
    return s;
}

static void check_wkv(int n, int parts, const float *x) {
    static float want[HEAD_MOST * HEAD_MOST], got[HEAD_MOST * HEAD_MOST + 1];
    const size_t size = sizeof(float) * (size_t)(n * n);
    for (int isa = 0; isa < isa_count(); isa++)
        for (int in_place = 0; in_place < 2 && usable(isa); in_place++) {
            float y[HEAD_MOST + 1] = {0}, out[HEAD_MOST + 1] = {0};
            wkv_step s = step_of(n, x);
            if (!(parts & 1)) s.mix = s.first = NULL;
            if (!(parts & 2)) s.gate = NULL;
            if (!(parts & 4)) s.norm_w = s.norm_b = NULL;
            y[n] = out[n] = got[n * n] = 7;
            wkv_by_definition(&s, want, y);
            if (in_place) memcpy(got, s.before, size);
            if (in_place) s.before = got;
            s.after = got, s.y = out;
            CHECK_EQ_INT(usable(isa)->wkv(&s), 1);
            same(usable(isa)->name, "a step of RWKV-7", y, out, sizeof y);
            same(usable(isa)->name, "its state", want, got, size);
            CHECK_EQ_INT((int)got[n * n], 7);
        }
}

static void steps_of_rwkv_are_the_definition_on_every_isa(void) {
    static const int sizes[] = {1, 3, 8, 12, 15, 16, 17, 33, 48, 64, 77, 80};
    seed = 10;
    float *x = random_floats(ROWS_OF_HEAD * HEAD_MOST + HEAD_MOST * HEAD_MOST);
    for (int i = 0; i < (int)(sizeof sizes / sizeof *sizes); i++)
        for (int parts = 0; parts < 8; parts++) check_wkv(sizes[i], parts, x);
    memory_free(x);
}

static void what_rwkv_makes_of_inf_is_said_on_every_isa(void) {
    static const float odd[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    static float after[HEAD_MOST * HEAD_MOST];
    seed = 11;
    float *x = random_floats(ROWS_OF_HEAD * HEAD_MOST + HEAD_MOST * HEAD_MOST), y[HEAD_MOST];
    for (int isa = 0; isa < isa_count(); isa++)
        for (int i = 0; i < 8 * 3 && usable(isa); i++) {   // r, k, v, decay, rate, mix, first, gate
            float *at = x + i / 3 * HEAD_MOST + 11, kept = *at;
            wkv_step s = step_of(21, x);
            s.after = after, s.y = y;
            *at = odd[i % 3];
            CHECK_EQ_INT(usable(isa)->wkv(&s), 0);
            *at = kept;
            CHECK_EQ_INT(usable(isa)->wkv(&s), 1);
        }
    memory_free(x);
}

static void mixes_are_the_definition_on_every_isa(void) {
    seed = 12;
    float *x = random_floats(3 * MOST), want[MOST + 1], got[MOST + 1];
    for (int isa = 0; isa < isa_count(); isa++)
        for (int n = 1; n <= MOST && usable(isa); n++) {
            for (int i = 0; i < n; i++) {
                float far = (x[MOST + i] - x[i]) * x[2 * MOST + i];
                want[i] = x[i] + far;
            }
            want[n] = got[n] = 7;
            usable(isa)->lerp(x, x + MOST, x + 2 * MOST, n, got);
            same(usable(isa)->name, "a mix", want, got, sizeof *want * (size_t)(n + 1));
        }
    memory_free(x);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(steps_of_rwkv_are_the_definition_on_every_isa),
        CHECK_ENTRY(what_rwkv_makes_of_inf_is_said_on_every_isa),
        CHECK_ENTRY(mixes_are_the_definition_on_every_isa),
        CHECK_ENTRY(short_convolutions_are_the_definition_on_every_isa),
        CHECK_ENTRY(a_convolution_may_have_no_gates_on_any_isa),
        CHECK_ENTRY(delta_rules_are_the_definition_on_every_isa),
        CHECK_ENTRY(what_is_not_finite_is_said_on_every_isa),
        CHECK_ENTRY(convolutions_of_mamba_are_the_definition_on_every_isa),
        CHECK_ENTRY(scans_are_the_definition_on_every_isa),
        CHECK_ENTRY(what_mamba_makes_of_inf_is_said_on_every_isa),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
