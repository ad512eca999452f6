// The kernels: a table of function pointers for each instruction set, all equal to the bit. forward/ does its
// arithmetic with them, except embeddings (panel_row), RoPE's cos and sin (fill_rope), biases, scales and clamps.
#pragma once
#include "../cache/layout.h"
#include "../panel/panel.h"
#include "words.h"

enum { CHUNK = 64 };   // tokens whose activations stay in the cache while panels stream past

// A micro-batch's activations, quantised in blocks of 32: entry [chunk of 64 tokens][block][token]. See act_at.
typedef struct acts {
    void *q;         // act[32] per entry
    float *d;        // scale: amax / 127
    float *s, *s2;   // d * sum of codes, of the block; of its two halves of 16: [2], or NULL where no weight needs them
    int32_t *z, *z2;   // sum of codes, of the block; of its halves: [2], or NULL likewise
    int16_t *wide;     // [32] per entry: the codes in 16 bits; or NULL where no weight needs them, or no kernel
    const float *x;    // the rows themselves, for F32, F16 and BF16 weights: [n][ldx]
    size_t ldx;
    int n;   // tokens
} acts;
static inline size_t act_at(int n, int nb, int t, int b) {
    int c0 = t / CHUNK * CHUNK, cn = n - c0 < CHUNK ? n - c0 : CHUNK;
    return (size_t)c0 * (size_t)nb + (size_t)b * (size_t)cn + (size_t)(t - c0);
}

enum { ATTEND_MAX = 24, ATTEND_DIM = 1024 };   // queries of one attend call; the widest head of keys and values
enum { BIAS_FAR = 128, BIAS_WIDTH = 2 * (BIAS_FAR + 16) };   // see attend_args.buckets
enum { KV_PARTIAL_HEAD = 32 };                               // floats before what a block gives: see partials
// Queries that share one KV head, whose blocks are at byte `at` of the pages. A query sees positions first..n_pos-1.
typedef struct attend_args {
    int n, k_dim, v_dim;          // queries; channels of a query and of an output, padded as the cache's are
    const float *q[ATTEND_MAX];   // [k_dim], already scaled: by 1 / div (docs/bits.md); for Q8_0 also by log2(e)
    float *o[ATTEND_MAX];         // [v_dim]
    int first[ATTEND_MAX], n_pos[ATTEND_MAX];   // 0 <= first < n_pos
    int ahead[ATTEND_MAX];                      // positions that it sees past its own; over a Q8_0 cache 0
    float soft_cap;                             // of scores: 1e-3..1e6; 0: none
    int has_slopes;                             // then a score is changed, after the cap, by
    float slope[ATTEND_MAX];                    // slope * -|the key's position - the query's own|; at most 1e3
    const uint8_t *buckets;          // [BIAS_WIDTH] of the distances from -BIAS_FAR - 16 on; NULL: no biases. Then
    const float *bias[ATTEND_MAX];   // bias[bucket * bias_stride] is added to a score, after cap and slope, over F16
    int bias_stride;                 // and F32; below 2^57. Keys BIAS_FAR away, and farther, share a bucket
    int has_sinks;                   // then the weights' sum has one more term, of a score that belongs to no position:
    float sink[ATTEND_MAX];          // below 2^57
    uint8_t *const *pages;           // by position / 64; those before every query's first may be NULL
    size_t at;
    const uint8_t *next;   // where the next call's keys begin, to be prefetched; or NULL
    float *
        partials[ATTEND_MAX];   // what blocks of 64 positions give before they are joined, of which several threads may
    // make some each: [position / 64][KV_PARTIAL_HEAD + v_dim]: log2 of the largest weight, sums[16]
    // from element 16 on, out[v_dim]
} attend_args;

enum { CONV_CHANNELS = 64, SCAN_CHANNELS = 16 };   // of one call, at most
// Channels of Mamba's convolution at a position. What it read before is [n_taps - 1][ld], the oldest first: `before`
// the position and `after` it, which may be the same.
typedef struct conv_step {
    int n, n_taps;
    const float *w, *b;   // [n_taps][CONV_CHANNELS]; NULL: no biases
    const float *x, *before;
    float *after, *y;   // y may be x
    size_t ld;
} conv_step;
// Mamba's scan at a position, of one head's n channels or of n channels of Mamba-1. States are [n_state][ld], `before`
// and `after`, which may be the same.
typedef struct scan_step {
    int n, n_state;
    const float *dt, *dt_b;   // before softplus; of a head: one, and its bias
    const float *a, *d;       // of a head: one each; of channels: [n_state][SCAN_CHANNELS], [n]
    const float *x, *z;       // [n]: what is read, and what gates the result
    const float *b, *c;       // [n_state]: what goes in, and what comes out
    const float *before;
    float *after, *y;
    size_t ld;
} scan_step;

enum { WKV_MAX = 256 };   // channels of a head
// A head's step of RWKV-7's time mix: what the matrices made of the position becomes what the head makes of it. Its
// matrix is [n][n], keys by values: `before` the position and `after` it, which may be the same.
typedef struct wkv_step {
    int n;
    const float *r, *k, *v, *decay, *rate;   // [n]
    const float *mix, *first;                // [n]: how far values move to those of layer 0; NULL: they don't
    const float *gate;                       // [n]; NULL: none
    const float *k_k, *k_a, *r_k;            // [n]: weights of keys, and of the position's own value
    const float *norm_w, *norm_b;            // [n]; NULL: no norm
    const float *before;
    float *after, *y;
} wkv_step;

// The kernels of one type of cache.
typedef struct kv_kernels {
    // Returns 0 when some |q| is 2^57 or more, or NaN; o is undefined then. Otherwise no sum overflows.
    int (*attend)(const attend_args *a);
    // k[k_dim] and v[v_dim] become position `in` of a block. Returns 0, and stores nothing, when some |k| or |v| is
    // 2^57 or more, or rounds to Inf in F16, or is NaN.
    int (*store)(const float *k, const float *v, const kv_layout *l, uint8_t *block, int in);
} kv_kernels;
enum { KV_TYPES = 9 };   // every gemel_kv_type is below this

typedef struct delta_args {
    int k_dim, v_dim;
    const float *q, *k, *v;   // [k_dim], [k_dim], [v_dim]
    float decay, beta;
    const float *from;
    float *to, *o;
} delta_args;

typedef struct kernels {
    const char *name;
    size_t act_size;   // bytes of a stored activation
    int has_wide;      // products with bytes read acts.wide
    // Blocks b0..b1 of row t; x is the row's start: d, codes and sums.
    void (*quantise)(const float *x, int nb, int b0, int b1, acts *a, int t);
    int (*act_get)(const void *q, size_t i);   // activation i of an entry array, for checks
    // y[t*ld + row] for rows 16*p0..16*p1-1 and all tokens of a.
    void (*matmul)(const weight *w, const acts *a, int p0, int p1, float *y, size_t ld);
    // By norm_kind. RMS: y = x / sqrt(mean(x^2) + eps) * w + b. LAYER: the same of x - mean(x). w NULL: no weights; b
    // NULL: no bias; y may be x. Returns 0 when a mean is NaN or Inf.
    int (*norm[N_NORMS])(const float *x, const float *w, const float *b, int n, float eps, float *y);
    // By act_kind: y = act(gate) * up (ACT_CLAMPED: docs/bits.md), or act(gate) where up is NULL; n a multiple of 16; y
    // may be gate. Inf and NaN give Inf or NaN. by[ACT_NUMBERS] is read by xIELU alone.
    void (*act[N_ACTS])(const float *gate, const float *up, const float *by, int n, float *y);
    // x = cap * tanh(x / cap), 1e-3 <= cap <= 1e6; Inf becomes NaN, so that a check of x sees it.
    void (*soft_cap)(float *x, int n, float cap);
    void (*add_to)(float *x, const float *y, int n);                 // x += y
    void (*add_scaled)(float *x, const float *y, float by, int n);   // x += y * by
    // n a multiple of 16, x finite: y = exp(x - less), y = 1 / (1 + exp(-x)); y may be x
    void (*exps)(const float *x, float less, int n, float *y);
    void (*sigmoids)(const float *x, int n, float *y);
    // y = scale * (x * cos + partner * sin) for n_rot channels, partners `far` channels apart: 1, or n_rot / 2; then
    // scale * x.
    void (*rope)(const float *x, const float *cs, int n_rot, int far, int n, float scale, float *y);
    // n channels of a short convolution's position: b, c and x of each (b and c NULL: x alone), state[n_taps - 1][ld],
    // w[n][n_taps]. y may be x. Returns 0 when a y is NaN or Inf.
    int (*short_conv)(const float *w, int n_taps, const float *b, const float *c, const float *x, int n, size_t ld,
                      float *state, float *y);
    // A head's step of a delta rule: the state [k_dim][v_dim] before the position, `from`, becomes that after it, `to`,
    // which may be the same; o[v_dim] is what q reads of it. docs/bits.md has the formulas.
    void (*delta_step)(const delta_args *a);
    // Selective state spaces: each returns 0 when a y is NaN or Inf.
    int (*conv_silu)(const conv_step *k);
    int (*scan_head)(const scan_step *s);                                              // Mamba-2
    int (*scan_channels)(const scan_step *s);                                          // Mamba-1: at most SCAN_CHANNELS
    int (*wkv)(const wkv_step *s);                                                     // RWKV-7; likewise
    void (*lerp)(const float *x, const float *to, const float *by, int n, float *y);   // y = x + (to - x) * by
    kv_kernels kv[KV_TYPES];                                                           // by gemel_kv_type
    // Attention over a Q8_0 cache in two steps, with the same bits, for queries that share first and n_pos: the
    // partials of blocks from..to-1 (position / 64), without touching o; then all partials joined into o.
    int (*attend_q8_partials)(const attend_args *a, int from, int to);
    void (*attend_q8_join)(const attend_args *a);
    // The largest value and the first index that holds it; returns 0 when any is NaN or Inf.
    int (*peak)(const float *x, int n, float *max, int *argmax);
    double (*exp_sum)(const float *x, int n, float max);   // sum of exp(x - max), x <= max
    // For measuring. The first reads size bytes; the second does n steps of the fastest dot product and counts their
    // multiply-adds. The returned values mean nothing.
    int (*measure_read)(const uint8_t *p, size_t size);
    int (*measure_dot)(int n, double *macs);
} kernels;

typedef struct isa_entry {
    const kernels *k;
    int (*usable)(void);
} isa_entry;
int isa_count(void);              // instruction sets of this build
const isa_entry *isa_at(int i);   // the fastest last
