// Kernels of recurrent layers: a step of a position, whose lanes are channels.

// W channels of a short convolution. w: a row of n_taps for each channel.
WORD vf conv_lanes(const float *w, int n_taps, vf b, vf c, vf x, size_t ld, float *state) {
    vf u = vf_mul(b, x), sum = vf_set1(0);
    for (int i = 0; i < n_taps; i++) {
        float taps[W];
        TIMES (j, W) taps[j] = w[j * n_taps + i];
        vf at = i + 1 < n_taps ? vf_load(state + (size_t)i * ld) : u;
        if (i) vf_store(state + (size_t)(i - 1) * ld, at);
        vf part = vf_mul(vf_load(taps), at);
        sum = i ? vf_add(sum, part) : part;
    }
    return vf_mul(c, sum);
}

// The same of one channel.
WORD float conv_one(const float *w, int n_taps, float b, float c, float x, size_t ld, float *state) {
    float u = b * x, sum = 0;
    for (int i = 0; i < n_taps; i++) {
        float at = i + 1 < n_taps ? state[(size_t)i * ld] : u, part = w[i] * at;
        if (i) state[(size_t)(i - 1) * ld] = at;
        sum = i ? sum + part : part;
    }
    return c * sum;
}

KERNEL int short_conv(const float *w, int n_taps, const float *b, const float *c, const float *x, int n, size_t ld,
                      float *state, float *y) {
    vf zeros = vf_set1(0);
    float odd[LANES] = {0}, zero = 0;
    int i = 0;
    for (; i + W <= n; i += W) {
        vf v = conv_lanes(w + i * n_taps, n_taps, vf_load(b + i), vf_load(c + i), vf_load(x + i), ld, state + i);
        zeros = vf_add(zeros, vf_mul(v, vf_set1(0)));   // NaN once any is NaN or Inf
        vf_store(y + i, v);
    }
    vf_store(odd, zeros);
    for (int j = 0; j < W; j++) zero = zero + odd[j];
    for (; i < n; i++) {
        y[i] = conv_one(w + i * n_taps, n_taps, b[i], c[i], x[i], ld, state + i);
        zero = zero + y[i] * 0;
    }
    return zero == 0;
}
