// What some models do to the scores of attention before they become weights: a soft cap, then a slope by the key's
// distance, or a bias for it. Lanes that a query does not see may hold anything: they are masked afterwards.

// Scores s[n] of one query, for keys at far, far + 1, ... relative to its own position. A slope of 0 changes nothing.
KERNEL void bend(float *s, int n, const cap *c, float slope, int far) {   // n a multiple of 16
    static const uint8_t lanes[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < n; i += W) {
        vf v = vf_load(s + i), by = vf_set1(slope);
        vi at = vi_add(vi_set1(far + i / LANES * LANES), vi_u8(lanes + i % LANES));
        if (c->c > 0) v = vf_cap(v, c);
        vf d = vf_cvt(at);
        vf_store(s + i, vf_add(v, vf_mul(by, vf_min(d, vf_sub(vf_set1(0), d)))));
    }
}

// Add to the scores s[16] of query h its biases for keys at far, far + 1, ... relative to its own position.
KERNEL void add_biases(float *s, const attend_args *a, int h, int far) {
    const int least = -BIAS_FAR - LANES, at = far < least ? least : far > BIAS_FAR ? BIAS_FAR : far;
    const uint8_t *bucket = a->buckets + (at - least);
    for (int i = 0; i < LANES; i++) s[i] = s[i] + a->bias[h][bucket[i] * a->bias_stride];
}

static int is_bent(const attend_args *a) { return a->soft_cap > 0 || a->has_slopes || a->buckets; }
static float slope_of(const attend_args *a, int h) { return a->has_slopes ? a->slope[h] : 0; }
