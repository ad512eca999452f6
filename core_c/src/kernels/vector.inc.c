// Kernels over one row of floats: activation quantising, norms, gates, soft caps, softmax statistics.

static int act_get(const void *q, size_t i) {
    const act *x = q;
    if (sizeof(act) == 1) return x[i];
    return x[(i & ~(size_t)3) + (i >> 1 & 1) + 2 * (i & 1)];   // pairs (0,2) (1,3), see simd_wasm.h
}

WORD vi vi_code(vf x) { return vi_round(vf_max(vf_min(x, vf_set1(127.0f)), vf_set1(-127.0f))); }

// The scale of a block, and sums of its codes; `first` and `second` add up to those of its halves.
WORD void store_sums(acts *a, size_t at, float d, vi first, vi second) {
    int32_t z = vi_fold(vi_add(first, second));
    a->d[at] = d;
    a->z[at] = z;
    a->s[at] = d * (float)z;
    if (!a->z2) return;
    int32_t lo = vi_fold(first), hi = z - lo;
    a->z2[2 * at] = lo;
    a->z2[2 * at + 1] = hi;
    a->s2[2 * at] = d * (float)lo;
    a->s2[2 * at + 1] = d * (float)hi;
}

// The largest |x| of a block of 32, or NaN.
WORD float block_most(const float *x) {
    vf m[V];
    EACH (g) m[g] = vf_amax(vf_load(x + g * W), vf_load(x + LANES + g * W));
    return fold_amax(m);
}

// Scales of n <= 16 blocks and their inverses, in vectors: division is slow.
WORD void block_scales_of(const float *x, int n, float *d, float *inv) {
    float most[LANES] = {0};
    for (int i = 0; i < n; i++) most[i] = block_most(x + (size_t)i * 32);
    for (int i = 0; i < LANES; i += W) {
        vf m = vf_load(most + i);
        vf_store(d + i, vf_div(m, vf_set1(127.0f)));
        vf_store(inv + i, vf_div(vf_set1(127.0f), m));
    }
    for (int i = 0; i < n; i++) inv[i] = most[i] < 1e-30f ? 0.0f : inv[i];
}

KERNEL void quantise(const float *x, int nb, int b0, int b1, acts *a, int t) {
    float d[LANES], inv[LANES];
    for (int b = b0; b < b1; b++) {
        int i = (b - b0) % LANES;
        const float *p = x + (size_t)b * 32;
        if (i == 0) block_scales_of(p, b1 - b < LANES ? b1 - b : LANES, d, inv);
        size_t at = act_at(a->n, nb, t, b);
        act *q = (act *)a->q + at * 32;
        vi c[2 * V];
        TIMES (g, 2 * V) {
            c[g] = vi_code(vf_mul(vf_load(p + g * W), vf_set1(inv[i])));
            vi_store_act(q + g * W, c[g]);
        }
        if (WIDE_ACTS && a->wide)
            TIMES (g, 2 * V) vi_store_wide(a->wide + at * 32 + g * W, c[g]);
        vi first = c[0], second = c[V];
        RANGE (g, 1, V) first = vi_add(first, c[g]), second = vi_add(second, c[V + g]);
        store_sums(a, at, d[i], first, second);
    }
}

// The sum of x - less, or of its squares, in two chains of 16 lanes; a tail is padded with what adds zeros.
WORD float sum_of(const float *x, int n, float less, const int squares) {
    vf a[V], b[V], by = vf_set1(less);
    EACH (g) a[g] = b[g] = vf_set1(0);
    for (int i = 0; i < n; i += 32) {
        float tail[32];
        const float *p = x + i;
        if (n - i < 32) {
            for (int j = 0; j < 32; j++) tail[j] = j < n - i ? p[j] : less;
            p = tail;
        }
        EACH (g) {
            vf u = vf_sub(vf_load(p + g * W), by), v = vf_sub(vf_load(p + LANES + g * W), by);
            a[g] = vf_add(a[g], squares ? vf_mul(u, u) : u);
            b[g] = vf_add(b[g], squares ? vf_mul(v, v) : v);
        }
    }
    EACH (g) a[g] = vf_add(a[g], b[g]);
    return fold_add(a);
}
WORD float mean_of(const float *x, int n, float less, const int squares) {
    return sum_of(x, n, less, squares) / (float)n;
}

// y = (x - less) / sqrt(the mean of its squares + eps), times weights and plus biases where given.
KERNEL int norm_beside(const float *x, float less, const float *w, const float *b, int n, float eps, float *y) {
    float mean = mean_of(x, n, less, 1), root[LANES];
    vf_store(root, vf_sqrt(vf_set1(mean + eps)));
    float r = 1.0f / root[0];
    int i = 0;
    for (; i + W <= n; i += W) {
        vf v = vf_mul(vf_sub(vf_load(x + i), vf_set1(less)), vf_set1(r));
        if (w) v = vf_mul(v, vf_load(w + i));
        if (b) v = vf_add(v, vf_load(b + i));
        vf_store(y + i, v);
    }
    for (; i < n; i++) {
        y[i] = (x[i] - less) * r;
        if (w) y[i] = y[i] * w[i];
        if (b) y[i] = y[i] + b[i];
    }
    return mean * 0.0f == 0;
}
KERNEL int norm_rms(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    return norm_beside(x, 0, w, b, n, eps, y);
}
KERNEL int norm_layer(const float *x, const float *w, const float *b, int n, float eps, float *y) {
    return norm_beside(x, mean_of(x, n, 0, 0), w, b, n, eps, y);
}

KERNEL int bounded(const float *x, int n, float bound) {   // all |x| < bound; n a multiple of 16
    vf m[V];
    EACH (g) m[g] = vf_set1(0);
    for (int i = 0; i < n; i += LANES)
        EACH (g) m[g] = vf_amax(m[g], vf_load(x + i + g * W));
    return fold_amax(m) < bound;   // NaN is not
}

// ---- Activations ---------------------------------------------------------------------------------------------------

// x / (1 + exp(-z))
WORD vf vf_gate(vf x, vf z) { return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_sub(vf_set1(0), z)))); }
WORD vf vf_silu(vf x) { return vf_gate(x, x); }

// x * (1 + tanh(y)) / 2 is x / (1 + exp(-2 y)); y = sqrt(2 / pi) * (x + 0.044715 x^3).
WORD vf vf_gelu_tanh(vf x) {
    vf a = vf_add(vf_mul(vf_mul(x, x), vf_set1(0.0713548162726f)), vf_set1(1.5957691216057308f));
    return vf_gate(x, vf_mul(x, a));
}

// max(x, 0) - |x| * erfc(z) / 2, z = |x| / sqrt(2): erfc within 1.5e-7 by Abramowitz and Stegun, 7.1.26.
WORD vf vf_gelu(vf x) {
    static const float c[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    vf p = vf_abs(x), z = vf_mul(p, vf_set1(0.70710678f));
    vf t = vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_mul(z, vf_set1(0.3275911f)))), h = vf_set1(c[0]);
    RANGE (i, 1, 5) h = vf_add(vf_mul(h, t), vf_set1(c[i]));
    h = vf_mul(vf_mul(vf_mul(h, t), vf_exp(vf_sub(vf_set1(0), vf_mul(z, z)))), vf_set1(0.5f));
    return vf_sub(vf_max(x, vf_set1(0)), vf_mul(p, h));
}

// max(x, 0) squared. x * 0 changes nothing finite.
WORD vf vf_relu2(vf x) {
    vf r = vf_max(x, vf_set1(0));
    return vf_add(vf_mul(r, r), vf_mul(x, vf_set1(0)));
}

// xIELU (arXiv:2411.13010): above 0, alpha x^2 + beta x; else (exp(min(x, eps)) - 1 - x) alpha + beta x.
WORD vf vf_xielu(vf x, const float *by) {
    vf e = vf_sub(vf_exp(vf_min(x, vf_set1(by[3]))), vf_set1(1.0f)), below = vf_mul(vf_sub(e, x), vf_set1(by[1]));
    vf above = vf_mul(vf_mul(x, vf_set1(by[0])), x);
    vi is_above = vi_sub(vi_set1(0), vi_shr(vi_bits(vf_sub(vf_set1(0), x)), 31));   // all ones, or 0
    vi not_above = vi_sub(vi_set1(-1), is_above);
    vi chosen = vi_add(vi_and(vi_bits(above), is_above), vi_and(vi_bits(below), not_above));
    return vf_add(vf_bits(chosen), vf_mul(x, vf_set1(by[2])));
}

#define ACTIVATION(name, value)                                                                                        \
    KERNEL void name(const float *gate, const float *up, const float *by, int n, float *y) {                           \
        (void)by;                                                                                                      \
        for (int i = 0; i < n; i += W) {                                                                               \
            vf x = vf_load(gate + i), v = value;                                                                       \
            if (up) v = vf_mul(v, vf_load(up + i));                                                                    \
            vf_store(y + i, v);                                                                                        \
        }                                                                                                              \
    }
ACTIVATION(silu, vf_silu(x))
ACTIVATION(gelu_tanh, vf_gelu_tanh(x))
ACTIVATION(gelu, vf_gelu(x))
ACTIVATION(relu2, vf_relu2(x))
ACTIVATION(xielu, vf_xielu(x, by))

// Both are clamped first. Times 0, what is finite changes nothing; Inf would be lost otherwise.
KERNEL void clamped(const float *gate, const float *up, const float *by, int n, float *y) {
    (void)by;
    const vf most = vf_set1(7.0f), least = vf_set1(-7.0f), zero = vf_set1(0);
    for (int i = 0; i < n; i += W) {
        vf g = vf_load(gate + i), x = vf_min(g, most), v = vf_gate(x, vf_mul(x, vf_set1(1.702f)));
        vf odd = vf_mul(g, zero);
        if (up) {
            vf u = vf_load(up + i);
            v = vf_mul(v, vf_add(vf_max(vf_min(u, most), least), vf_set1(1.0f)));
            odd = vf_add(odd, vf_mul(u, zero));
        }
        vf_store(y + i, vf_add(v, odd));
    }
}

// ---- A soft cap ----------------------------------------------------------------------------------------------------

typedef struct cap {   // c * tanh(s / c) is c - 2 c / (1 + exp(2 s / c)): c, 2 c, 2 / c
    float c, twice, by;
} cap;
static cap cap_of(double c) { return (cap){(float)c, (float)(2 * c), c > 0 ? (float)(2 / c) : 0}; }   // of 0: none
WORD vf vf_cap(vf s, const cap *c) {
    vf e = vf_exp(vf_mul(s, vf_set1(c->by)));
    return vf_sub(vf_set1(c->c), vf_div(vf_set1(c->twice), vf_add(vf_set1(1.0f), e)));
}

// s * 0 changes nothing finite. A tail is computed in a padded vector.
KERNEL void soft_cap(float *x, int n, float at) {
    const cap c = cap_of((double)at);
    float tail[LANES] = {0};
    for (int i = 0; i < n; i += W) {
        float *p = i + W <= n ? x + i : tail;
        if (p == tail) memcpy(tail, x + i, sizeof *x * (size_t)(n - i));
        vf s = vf_load(p);
        vf_store(p, vf_add(vf_cap(s, &c), vf_mul(s, vf_set1(0))));
        if (p == tail) memcpy(x + i, tail, sizeof *x * (size_t)(n - i));
    }
}

// ---- Sums and rotations --------------------------------------------------------------------------------------------

KERNEL void add_to(float *x, const float *y, int n) {
    int i = 0;
    for (; i + W <= n; i += W) vf_store(x + i, vf_add(vf_load(x + i), vf_load(y + i)));
    for (; i < n; i++) x[i] = x[i] + y[i];
}

KERNEL void add_scaled(float *x, const float *y, float by, int n) {
    vf b = vf_set1(by);
    int i = 0;
    for (; i + W <= n; i += W) vf_store(x + i, vf_add(vf_load(x + i), vf_mul(vf_load(y + i), b)));
    for (; i < n; i++) {
        float z = y[i] * by;
        x[i] = x[i] + z;
    }
}

KERNEL void lerp(const float *x, const float *to, const float *by, int n, float *y) {
    int i = 0;
    for (; i + W <= n; i += W) {
        vf v = vf_load(x + i);
        vf_store(y + i, vf_add(v, vf_mul(vf_sub(vf_load(to + i), v), vf_load(by + i))));
    }
    for (; i < n; i++) {
        float far = (to[i] - x[i]) * by[i];
        y[i] = x[i] + far;
    }
}

KERNEL void exps(const float *x, float less, int n, float *y) {
    for (int i = 0; i < n; i += W) vf_store(y + i, vf_exp(vf_sub(vf_load(x + i), vf_set1(less))));
}
KERNEL void sigmoids(const float *x, int n, float *y) {
    for (int i = 0; i < n; i += W) vf_store(y + i, vf_gate(vf_set1(1.0f), vf_load(x + i)));
}

// Channels from..to-1, whose partners lie `by` channels away; 0: neighbours are each other's.
WORD void rotate(const float *x, const float *cos, const float *sin, int from, int to, int by, float scale, float *y) {
    int i = from;
    for (; i + W <= to; i += W) {
        vf other = by ? vf_load(x + i + by) : vf_load_swapped(x, i);
        vf v = vf_add(vf_mul(vf_load(x + i), vf_load(cos + i)), vf_mul(other, vf_load(sin + i)));
        vf_store(y + i, vf_mul(v, vf_set1(scale)));
    }
    for (; i < to; i++) y[i] = (x[i] * cos[i] + x[by ? i + by : i ^ 1] * sin[i]) * scale;
}

KERNEL void rope(const float *x, const float *cs, int n_rot, int far, int n, float scale, float *y) {
    const float *cos = cs, *sin = cs + n_rot;
    if (far == 1) rotate(x, cos, sin, 0, n_rot, 0, scale, y);
    else {
        rotate(x, cos, sin, 0, far, far, scale, y);
        rotate(x, cos, sin, far, n_rot, -far, scale, y);
    }
    for (int i = n_rot; i < n; i++) y[i] = x[i] * scale;
}

KERNEL void to_f16(const float *x, int n, uint16_t *y) {
    for (int i = 0; i < n; i += W) vf_store_f16(y + i, vf_load(x + i));
}

enum { PEAK_PIECE = 512 };
KERNEL int peak(const float *x, int n, float *max, int *argmax) {
    int whole = n / LANES * LANES,
        best = 0;   // later than `best` is nothing larger, before the piece that begins there
    vf f[V];
    EACH (g) f[g] = vf_set1(0);
    float top = -FLT_MAX;
    for (int from = 0; from < whole; from += PEAK_PIECE) {
        int to = whole - from < PEAK_PIECE ? whole : from + PEAK_PIECE;
        vf m[V];
        EACH (g) m[g] = vf_set1(-FLT_MAX);
        for (int i = from; i < to; i += LANES)
            EACH (g) {
                vf v = vf_load(x + i + g * W);
                m[g] = vf_max(m[g], v);
                f[g] = vf_add(f[g], vf_mul(v, vf_set1(0)));   // NaN once any is NaN or Inf
            }
        float of_piece = fold_max(m);
        if (of_piece > top) top = of_piece, best = from;
    }
    float zero = fold_add(f);
    for (int i = whole; i < n; i++) {
        if (x[i] > top) top = x[i], best = i;
        zero += x[i] * 0.0f;
    }
    while (best < n - 1 && !(x[best] == top)) best++;
    *max = top;
    *argmax = best;
    return zero == 0.0f;
}

// Sums run in 16 lanes over pieces of 1024, each folded, then added in double.
KERNEL double exp_sum(const float *x, int n, float max) {
    int whole = n / LANES * LANES;
    double total = 0;
    for (int from = 0; from < whole; from += 1024) {
        int to = whole - from < 1024 ? whole : from + 1024;
        vf s[V];
        EACH (g) s[g] = vf_set1(0);
        for (int i = from; i < to; i += LANES)
            EACH (g) s[g] = vf_add(s[g], vf_exp(vf_sub(vf_load(x + i + g * W), vf_set1(max))));
        total += fold_add(s);
    }
    for (int i = whole; i < n; i++) {
        float e[LANES];
        vf_store(e, vf_exp(vf_set1(x[i] - max)));
        total += e[0];
    }
    return total;
}
