#include "rwkv.h"
#include "bounds.h"
#include "layer_state.h"

enum { RANK_TIMES = 16 };   // numbers between two matrices are at most so many times n_embd

static int pad(int n) { return (n + 15) / 16 * 16; }
static int most(int a, int b) { return a > b ? a : b; }

static int rank_of(const gemel_model *m, keys *r, const char *name, int least, int absent) {
    return keys_int(r, name, least, r->code ? least : RANK_TIMES * m->n_embd, absent);
}

// How many rows before it a row is mixed with: one of the time mix, one of the channel mix.
static void check_shifts(keys *r, const layer *l) {
    int must = l->ffn == FFN_CHANNEL ? 2 : 1, said = keys_int(r, "token_shift_count", 1, 2, 2);
    if (said != must && !r->code)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.token_shift_count is %d; it must be %d (absent means 2)", r->arch,
                          said, must));
}

void rwkv_read(gemel_model *m, keys *r, layer *l) {
    time_mix *t = &l->time;
    int has_gate = l->ffn == FFN_CHANNEL;   // every layer of rwkv7 has one
    l->attn = (attention){.rope = -1, .kv_of = -1, .cache_class = -1};
    t->n = keys_int(r, "wkv.head_size", 1, WKV_MAX, REQUIRED);
    t->decay_rank = rank_of(m, r, "attention.decay_lora_rank", 1, REQUIRED);
    t->rate_rank = rank_of(m, r, "attention.iclr_lora_rank", 1, REQUIRED);
    t->value_rank = rank_of(m, r, "attention.value_residual_mix_lora_rank", 1, REQUIRED);
    t->gate_rank = rank_of(m, r, "attention.gate_lora_rank", has_gate, has_gate ? REQUIRED : 0);
    check_shifts(r, l);
    if (!r->code && m->n_embd % t->n)
        keys_fail(r, fail(r->e, GEMEL_E_FORMAT, "%s.embedding_length is %d; it must be a multiple of wkv.head_size, %d",
                          r->arch, m->n_embd, t->n));
    if (r->code) return;
    uint64_t shifts = l->ffn == FFN_CHANNEL ? 2 : 1;
    layer_take_state(m, r, l, (uint64_t)m->n_embd * ((uint64_t)t->n + shifts));
}

void rwkv_finish(gemel_model *m, layer *l) {
    model_totals *t = &m->totals;
    const time_mix *x = &l->time;
    int width = pad(m->n_embd), ranks[] = {x->decay_rank, x->rate_rank, x->value_rank, x->gate_rank}, all = 0;
    t->mixed = most(t->mixed, width);
    for (int i = 0; i < 4; i++) {
        all += pad(ranks[i]);
        t->mixed = most(t->mixed, pad(ranks[i]));
    }
    m->n_first = width;
    l->heads_width = width;
    t->q = most(t->q, 7 * width);   // r, k, v, decay, rate, value, gate
    t->k = most(t->k, all);
    t->k_heads = most(t->k_heads, l->heads_width);
}
