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
