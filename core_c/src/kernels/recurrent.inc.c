// Kernels of recurrent layers: a step of a position, whose lanes are channels.

// W channels of a short convolution. w: a row of n_taps for each channel; u: what it reads now.
WORD vf conv_lanes(const float *w, int n_taps, vf u, size_t ld, float *state) {
    vf sum = vf_set1(0);
    for (int i = 0; i < n_taps; i++) {
        float taps[W];
        TIMES (j, W) taps[j] = w[j * n_taps + i];
        vf at = i + 1 < n_taps ? vf_load(state + (size_t)i * ld) : u;
        if (i) vf_store(state + (size_t)(i - 1) * ld, at);
        vf part = vf_mul(vf_load(taps), at);
        sum = i ? vf_add(sum, part) : part;
    }
    return sum;
}

// The same of one channel.
WORD float conv_one(const float *w, int n_taps, float u, size_t ld, float *state) {
    float sum = 0;
    for (int i = 0; i < n_taps; i++) {
        float at = i + 1 < n_taps ? state[(size_t)i * ld] : u, part = w[i] * at;
        if (i) state[(size_t)(i - 1) * ld] = at;
        sum = i ? sum + part : part;
    }
    return sum;
}

KERNEL int short_conv(const float *w, int n_taps, const float *b, const float *c, const float *x, int n, size_t ld,
                      float *state, float *y) {
    vf zeros = vf_set1(0);
    float odd[LANES] = {0}, zero = 0;
    int i = 0;
    for (; i + W <= n; i += W) {
        vf u = b ? vf_mul(vf_load(b + i), vf_load(x + i)) : vf_load(x + i);
        vf v = conv_lanes(w + i * n_taps, n_taps, u, ld, state + i);
        if (c) v = vf_mul(vf_load(c + i), v);
        zeros = vf_add(zeros, vf_mul(v, vf_set1(0)));   // NaN once any is NaN or Inf
        vf_store(y + i, v);
    }
    vf_store(odd, zeros);
    for (int j = 0; j < W; j++) zero = zero + odd[j];
    for (; i < n; i++) {
        float v = conv_one(w + i * n_taps, n_taps, b ? b[i] * x[i] : x[i], ld, state + i);
        y[i] = c ? c[i] * v : v;
        zero = zero + y[i] * 0;
    }
    return zero == 0;
}

// ---- The delta rule ------------------------------------------------------------------------------------------------

// n vectors of channels of values, from j on: sums over channels of keys, in ascending order.
WORD void delta_lanes(const delta_args *a, int j, const int n) {
    vf d[DELTA_G], o[DELTA_G];
    const size_t ld = (size_t)a->v_dim;
    TIMES (g, n) d[g] = o[g] = vf_set1(0);
    for (int i = 0; i < a->k_dim; i++) {
        const float *row = a->from + (size_t)i * ld + j;
        TIMES (g, n) d[g] = vf_add(d[g], vf_mul(vf_load(row + g * W), vf_set1(a->k[i])));
    }
    TIMES (g, n) {
        vf less = vf_mul(d[g], vf_set1(a->decay));
        d[g] = vf_mul(vf_sub(vf_load(a->v + j + g * W), less), vf_set1(a->beta));
    }
    for (int i = 0; i < a->k_dim; i++) {
        const float *row = a->from + (size_t)i * ld + j;
        float *to = a->to + (size_t)i * ld + j;
        TIMES (g, n) {
            vf s = vf_add(vf_mul(vf_load(row + g * W), vf_set1(a->decay)), vf_mul(d[g], vf_set1(a->k[i])));
            vf_store(to + g * W, s);
            o[g] = vf_add(o[g], vf_mul(s, vf_set1(a->q[i])));
        }
    }
    TIMES (g, n) vf_store(a->o + j + g * W, o[g]);
}

// The same of one channel.
WORD void delta_one(const delta_args *a, int j) {
    float d = 0, o = 0;
    const size_t ld = (size_t)a->v_dim;
    for (int i = 0; i < a->k_dim; i++) d = d + a->from[(size_t)i * ld + (size_t)j] * a->k[i];
    d = (a->v[j] - d * a->decay) * a->beta;
    for (int i = 0; i < a->k_dim; i++) {
        size_t at = (size_t)i * ld + (size_t)j;
        float s = a->from[at] * a->decay + d * a->k[i];
        a->to[at] = s;
        o = o + s * a->q[i];
    }
    a->o[j] = o;
}

KERNEL void delta_step(const delta_args *a) {
    int j = 0;
    for (; j + DELTA_G * W <= a->v_dim; j += DELTA_G * W) delta_lanes(a, j, DELTA_G);
    for (; j + W <= a->v_dim; j += W) delta_lanes(a, j, 1);
    for (; j < a->v_dim; j++) delta_one(a, j);
}

// ---- Selective state spaces (Mamba) --------------------------------------------------------------------------------

// The first n lanes of a vector, if it has more: the others are 0, and are not stored.
WORD vf load_some(const float *x, int n) {
    if (n >= W) return vf_load(x);
    float part[LANES] = {0};
    for (int j = 0; j < n; j++) part[j] = x[j];
    return vf_load(part);
}
WORD void store_some(float *x, int n, vf v) {
    float part[LANES];
    if (n >= W) {
        vf_store(x, v);
        return;
    }
    vf_store(part, v);
    for (int j = 0; j < n; j++) x[j] = part[j];
}

// Whether what was multiplied by 0 and added up here is finite.
WORD int is_zero(vf sum) {
    float part[LANES], zero = 0;
    vf_store(part, sum);
    for (int j = 0; j < W; j++) zero = zero + part[j];
    return zero == 0;
}

// max(x, 0) + ln(1 + e), e = exp(-|x|): the logarithm is 2 artanh(e / (2 + e)). x * 0 changes nothing finite.
WORD vf vf_softplus(vf x) {
    static const float c[] = {0.06666667f, 0.07692308f, 0.09090909f, 0.11111111f, 0.14285715f, 0.2f, 0.33333334f, 1.0f};
    vf e = vf_exp(vf_sub(vf_set1(0), vf_abs(x))), s = vf_div(e, vf_add(e, vf_set1(2.0f)));
    vf square = vf_mul(s, s), p = vf_set1(c[0]);
    RANGE (i, 1, 8) p = vf_add(vf_mul(p, square), vf_set1(c[i]));
    vf log = vf_mul(p, vf_add(s, s));
    return vf_add(vf_add(vf_max(x, vf_set1(0)), log), vf_mul(x, vf_set1(0)));
}

KERNEL int conv_silu(const conv_step *k) {
    vf odd = vf_set1(0);
    for (int i = 0; i < k->n; i += W) {
        int n = k->n - i;
        vf sum = vf_set1(0), at = sum;
        for (int tap = 0; tap < k->n_taps; tap++) {
            at = load_some(tap + 1 < k->n_taps ? k->before + (size_t)tap * k->ld + i : k->x + i, n);
            if (tap) store_some(k->after + (size_t)(tap - 1) * k->ld + i, n, at);
            vf part = vf_mul(vf_load(k->w + tap * CONV_CHANNELS + i), at);
            sum = tap ? vf_add(sum, part) : part;
        }
        if (k->b) sum = vf_add(sum, load_some(k->b + i, n));
        vf y = vf_silu(sum);
        odd = vf_add(odd, vf_mul(y, vf_set1(0)));   // NaN once any is NaN or Inf
        store_some(k->y + i, n, y);
    }
    return is_zero(odd);
}

// (sum + d * x) * silu(z)
WORD vf gated_sum(const scan_step *s, int i, int n, vf sum, vf d, vf x) {
    return vf_mul(vf_add(sum, vf_mul(d, x)), vf_silu(load_some(s->z + i, n)));
}

// `count` vectors of a head's channels from channel i on, of which n are left.
WORD vf head_lanes(const scan_step *s, vf decay, vf dt, int i, int n, const int count) {
    vf x[4], u[4], sum[4], odd = vf_set1(0);
    TIMES (g, count) {
        x[g] = load_some(s->x + i + g * W, n - g * W);
        u[g] = vf_mul(x[g], dt);
        sum[g] = vf_set1(0);
    }
    for (int m = 0; m < s->n_state; m++) {
        const float *before = s->before + (size_t)m * s->ld + i;
        float *after = s->after + (size_t)m * s->ld + i;
        vf b = vf_set1(s->b[m]), c = vf_set1(s->c[m]);
        TIMES (g, count) {
            vf h = vf_add(vf_mul(load_some(before + g * W, n - g * W), decay), vf_mul(u[g], b));
            store_some(after + g * W, n - g * W, h);
            sum[g] = vf_add(sum[g], vf_mul(h, c));
        }
    }
    TIMES (g, count) {
        vf y = gated_sum(s, i + g * W, n - g * W, sum[g], vf_set1(s->d[0]), x[g]);
        odd = vf_add(odd, vf_mul(y, vf_set1(0)));
        store_some(s->y + i + g * W, n - g * W, y);
    }
    return odd;
}

KERNEL int scan_head(const scan_step *s) {
    vf dt = vf_softplus(vf_add(vf_set1(s->dt[0]), vf_set1(s->dt_b[0])));
    vf decay = vf_exp(vf_mul(dt, vf_set1(s->a[0]))), odd = vf_set1(0);
    int i = 0;
    for (; i + 4 * W <= s->n; i += 4 * W) odd = vf_add(odd, head_lanes(s, decay, dt, i, 4 * W, 4));
    for (; i + W <= s->n; i += W) odd = vf_add(odd, head_lanes(s, decay, dt, i, W, 1));
    if (i < s->n) odd = vf_add(odd, head_lanes(s, decay, dt, i, s->n - i, 1));
    return is_zero(odd);
}

// W channels from channel i on, of which n are left.
WORD vf channel_lanes(const scan_step *s, int i, int n) {
    vf x = load_some(s->x + i, n), dt = vf_softplus(load_some(s->dt + i, n)), u = vf_mul(x, dt), sum = vf_set1(0);
    for (int m = 0; m < s->n_state; m++) {
        vf decay = vf_exp(vf_mul(dt, vf_load(s->a + m * LANES + i)));
        vf old = load_some(s->before + (size_t)m * s->ld + i, n);
        vf h = vf_add(vf_mul(old, decay), vf_mul(u, vf_set1(s->b[m])));
        store_some(s->after + (size_t)m * s->ld + i, n, h);
        sum = vf_add(sum, vf_mul(h, vf_set1(s->c[m])));
    }
    vf y = gated_sum(s, i, n, sum, load_some(s->d + i, n), x);
    store_some(s->y + i, n, y);
    return vf_mul(y, vf_set1(0));
}

KERNEL int scan_channels(const scan_step *s) {
    vf odd = vf_set1(0);
    int i = 0;
    for (; i + W <= s->n; i += W) odd = vf_add(odd, channel_lanes(s, i, W));
    if (i < s->n) odd = vf_add(odd, channel_lanes(s, i, s->n - i));
    return is_zero(odd);
}

// ---- RWKV-7 --------------------------------------------------------------------------------------------------------

#define LENGTH_LEAST 1e-24f   // added to the squared length of keys
#define HEAD_EPSILON 64e-5f
typedef struct wkv_row {   // padded to whole vectors
    float decay[WKV_MAX], k[WKV_MAX], v[WKV_MAX];
    float at[WKV_MAX], less[WKV_MAX];   // the key of length one that is read; what is taken away there
} wkv_row;

WORD vf vf_sigmoid(vf x) { return vf_gate(vf_set1(1.0f), x); }

// What a head's matrix is read and written by. Returns zeros, or NaN where Inf would be lost.
WORD vf wkv_gather(const wkv_step *s, wkv_row *x) {
    const float unit = (float)(1 / fm_sqrt((double)s->n));
    const vf zero = vf_set1(0);
    vf odd = zero;
    int i = 0;
    do {   // n is 1 or more
        int n = s->n - i;
        vf k = load_some(s->k + i, n), v = load_some(s->v + i, n), a = load_some(s->rate + i, n);
        vf w = load_some(s->decay + i, n), rate = vf_sigmoid(a), some = vf_mul(k, load_some(s->k_a + i, n));
        odd = vf_add(odd, vf_add(vf_mul(a, zero), vf_mul(w, zero)));
        if (s->mix) {
            vf mix = load_some(s->mix + i, n);
            odd = vf_add(odd, vf_mul(mix, zero));
            v = vf_add(v, vf_mul(vf_sub(load_some(s->first + i, n), v), vf_sigmoid(mix)));
        }
        vf_store(x->decay + i, vf_exp(vf_mul(vf_sigmoid(w), vf_set1(-0.606531f))));   // -1 / sqrt(e)
        vf_store(x->k + i, vf_add(k, vf_sub(vf_mul(rate, some), some)));
        vf_store(x->v + i, v);
        vf_store(x->at + i, vf_mul(k, load_some(s->k_k + i, n)));
        vf_store(x->less + i, rate);
        i += W;
    } while (i < s->n);
    norm_rms(x->at, NULL, NULL, s->n, LENGTH_LEAST / (float)s->n, x->at);
    for (i = 0; i < s->n; i += W) {
        vf at = vf_mul(vf_load(x->at + i), vf_set1(unit));
        vf_store(x->at + i, at);
        vf_store(x->less + i, vf_mul(at, vf_load(x->less + i)));
    }
    return odd;
}

// `count` vectors of channels of values from i on, of which n are left: sums over channels of keys, in ascending order.
WORD void wkv_lanes(const wkv_step *s, const wkv_row *x, int i, int n, const int count, float *o) {
    vf d[DELTA_G], v[DELTA_G], sum[DELTA_G];
    TIMES (g, count) d[g] = sum[g] = vf_set1(0), v[g] = vf_load(x->v + i + g * W);
    for (int j = 0; j < s->n; j++) {
        const float *row = s->before + (size_t)j * (size_t)s->n + i;
        TIMES (g, count) d[g] = vf_add(d[g], vf_mul(load_some(row + g * W, n - g * W), vf_set1(x->at[j])));
    }
    for (int j = 0; j < s->n; j++) {
        const float *row = s->before + (size_t)j * (size_t)s->n + i;
        float *to = s->after + (size_t)j * (size_t)s->n + i;
        TIMES (g, count) {
            vf kept = vf_mul(load_some(row + g * W, n - g * W), vf_set1(x->decay[j]));
            vf h = vf_sub(vf_add(kept, vf_mul(v[g], vf_set1(x->k[j]))), vf_mul(d[g], vf_set1(x->less[j])));
            store_some(to + g * W, n - g * W, h);
            sum[g] = vf_add(sum[g], vf_mul(h, vf_set1(s->r[j])));
        }
    }
    TIMES (g, count) vf_store(o + i + g * W, sum[g]);
}

// The position's own value: by the sum of r * k * r_k.
WORD float wkv_own(const wkv_step *s, const wkv_row *x) {
    float p[WKV_MAX];
    for (int i = 0; i < s->n; i += W) {
        int n = s->n - i;
        vf_store(p + i, vf_mul(vf_mul(vf_load(x->k + i), load_some(s->r + i, n)), load_some(s->r_k + i, n)));
    }
    return sum_of(p, s->n, 0, 0);
}

KERNEL int wkv(const wkv_step *s) {
    wkv_row x;
    float o[WKV_MAX];
    vf odd = wkv_gather(s, &x), own = vf_set1(wkv_own(s, &x));
    int i = 0, n = s->n;
    for (; i + DELTA_G * W <= n; i += DELTA_G * W) wkv_lanes(s, &x, i, DELTA_G * W, DELTA_G, o);
    for (; i + 4 * W <= n; i += 4 * W) wkv_lanes(s, &x, i, 4 * W, 4, o);
    for (; i + W <= n; i += W) wkv_lanes(s, &x, i, W, 1, o);
    if (i < n) wkv_lanes(s, &x, i, n - i, 1, o);
    if (s->norm_w) norm_layer(o, s->norm_w, s->norm_b, n, HEAD_EPSILON, o);
    for (i = 0; i < n; i += W) {
        vf y = vf_add(vf_load(o + i), vf_mul(vf_load(x.v + i), own));
        if (s->gate) y = vf_mul(y, load_some(s->gate + i, n - i));
        odd = vf_add(odd, vf_mul(y, vf_set1(0)));
        store_some(s->y + i, n - i, y);
    }
    return is_zero(odd);
}
