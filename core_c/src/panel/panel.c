#include "panel.h"
#include <string.h>
#include "../quant/families.h"

enum { ROWS = 16 };

static const panel_kind kinds[] = {
#define KIND(name, type, planes, dot, zero, book, scale, sub) {type, planes, dot, zero, book, SCALE_##scale, sub},
#define RARE KIND
#define SAME KIND   // its first column is not the row's
#include "kinds.def"
#undef KIND
#undef RARE
#undef SAME
};

const panel_kind *panel_kind_of(int type) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == type) return &kinds[i];
    return NULL;
}

size_t panel_size_of(int type, int n_in) {
    const panel_kind *k = panel_kind_of(type);
    if (k) return kind_panel_size(k, n_in / 32);
    return (size_t)format_float_size(type) * ROWS * (size_t)n_in;
}

static void put16(uint8_t *p, int i, uint16_t v) { memcpy(p + 2 * i, &v, 2); }
static void put_f32(uint8_t *p, int i, float v) { memcpy(p + 4 * i, &v, 4); }

// Sub-block bytes of the j-th block of 32 within source block c, for one row.
static void put_scales(const panel_kind *k, const block_codes *c, int j, int ir, uint8_t *to) {
    int subs = 32 / k->sub;
    if (k->scale == SCALE_S) return;
    if (k->scale == SCALE_DD) {
        for (int s = 0; s < subs; s++) put16(to, ROWS * s + ir, ue4m3_half((uint8_t)c->scale[j * subs + s]));
        return;
    }
    if (!kind_is_super(k)) {
        put16(to, ir, c->d);
        if (k->scale == SCALE_DM) put16(to, ROWS + ir, c->m);
        return;
    }
    for (int s = 0; s < subs; s++) {
        uint8_t scale = (uint8_t)c->scale[j * subs + s], min = c->min[j * subs + s];
        if (k->scale == SCALE_SDN) {
            to[ROWS * s + ir] = (uint8_t)(scale | min << 4);
            continue;
        }
        to[ROWS * s + ir] = scale;
        if (k->scale == SCALE_SDM) to[ROWS * (subs + s) + ir] = min;
    }
}

static void put_codes(const panel_kind *k, const uint8_t *q, int ir, uint8_t *to) {
    uint8_t *p4 = to + 4 * ir, *p2 = to + kind_plane(k, P2) + 4 * ir, *p1 = to + kind_plane(k, P1) + 4 * ir;
    int up2 = kind_shift(k, P2), up1 = kind_shift(k, P1);
    if (k->planes & P8) {
        for (int j = 0; j < 8; j++) memcpy(to + 64 * j + 4 * ir, q + 4 * j, 4);
        return;
    }
    if (k->planes & P4)
        for (int g = 0; g < 4; g++)
            for (int i = 0; i < 4; i++) p4[64 * g + i] = (uint8_t)((q[8 * g + i] & 15) | (q[8 * g + 4 + i] & 15) << 4);
    if (k->planes & P2)
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 4; i++) p2[64 * (j / 4) + i] |= (uint8_t)((q[4 * j + i] >> up2 & 3) << 2 * (j % 4));
    if (k->planes & P1)
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 4; i++) p1[i] |= (uint8_t)((q[4 * j + i] >> up1 & 1) << j);
}

static int has_min8(const uint8_t *q) {
    for (int i = 0; i < 32; i++)
        if (q[i] == 0x80) return 1;
    return 0;
}

static int pack_quantised(const panel_kind *k, int n_in, const uint8_t *rows, size_t row_size, int n_rows,
                          uint8_t *panel) {
    const format *f = format_of(k->type % FORMAT_COUNT);
    int per = f->block / 32, result = PANEL_OK;   // blocks of 32 in a source block
    for (int ir = 0; ir < n_rows; ir++) {
        const uint8_t *src = rows + (size_t)ir * row_size;
        uint8_t *to = panel;
        for (int b = 0; b < n_in / 32; b += per, src += f->block_size) {
            block_codes c;
            if (!f->finite(src)) return PANEL_NOT_FINITE;
            f->codes(src, &c);
            if (kind_is_super(k)) {
                if (k->scale == SCALE_SF) put_f32(to, ir, c.f);
                else put16(to, ir, c.d);
                if (k->scale == SCALE_SDM || k->scale == SCALE_SDN) put16(to, ROWS + ir, c.m);
                to += kind_header_size(k);
            }
            for (int j = 0; j < per; j++, to += kind_block_size(k)) {
                put_scales(k, &c, j, ir, to);
                put_codes(k, c.q + 32 * j, ir, to + kind_scale_size(k));
                if (k->planes & P8 && has_min8(c.q)) result = PANEL_HAS_MIN8;
            }
        }
    }
    return result;
}

static int pack_float(int type, int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    const format *f = format_of(type);
    size_t size = (size_t)format_float_size(type);
    for (int ir = 0; ir < n_rows; ir++)
        for (int k = 0; k < n_in; k++) {
            const uint8_t *src = rows + (size_t)ir * row_size + (size_t)k * size;
            if (!f->finite(src)) return PANEL_NOT_FINITE;
            memcpy(panel + ((size_t)k * ROWS + (size_t)ir) * size, src, size);
        }
    return PANEL_OK;
}

int panel_pack_any(int type, int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel) {
    const panel_kind *k = panel_kind_of(type);
    if (k) return pack_quantised(k, n_in, rows, row_size, n_rows, panel);
    return pack_float(type, n_in, rows, row_size, n_rows, panel);
}

static uint16_t get16(const uint8_t *p, int i) {
    uint16_t v;
    memcpy(&v, p + 2 * i, 2);
    return v;
}

static float get_f32(const uint8_t *p, int i) {
    float v;
    memcpy(&v, p + 4 * i, 4);
    return v;
}

static int get_code(const panel_kind *k, const uint8_t *q, int ir, int i) {   // weight i (0..31) of a block
    int j = i / 4, at = 4 * ir + i % 4, c = 0;
    if (k->planes & P8) return (int8_t)q[64 * j + at];
    if (k->planes & P4) c = q[64 * (j / 2) + at] >> 4 * (j & 1) & 15;
    if (k->planes & P2) c |= (q[kind_plane(k, P2) + 64 * (j / 4) + at] >> 2 * (j % 4) & 3) << kind_shift(k, P2);
    if (k->planes & P1) c |= (q[kind_plane(k, P1) + at] >> j & 1) << kind_shift(k, P1);
    if (k->book) c = k->dot >= DOT8 ? (int8_t)k->book[c] : k->book[c];
    return c - k->zero;
}

// Scale and min of sub-block s, as the kernels see them.
static void get_scales(const panel_kind *k, const uint8_t *p, const uint8_t *h, int ir, int s, float *d, float *m) {
    int subs = 32 / k->sub;
    *m = 0;
    if (!kind_is_super(k)) {
        uint16_t h = get16(p, k->scale == SCALE_DD ? ROWS * s + ir : ir);
        *d = k->scale == SCALE_BD ? bf16_to_f32(h) : f16_to_f32(h);
        if (k->scale == SCALE_DM) *m = f16_to_f32(get16(p, ROWS + ir));
        return;
    }
    uint8_t v = k->scale == SCALE_S ? 1 : p[ROWS * s + ir];
    int is_signed = k->scale == SCALE_SD || k->scale == SCALE_SF;
    float scale = is_signed ? (float)(int8_t)v : k->scale == SCALE_SDN ? (float)(v & 15) : (float)v;
    *d = (k->scale == SCALE_SF ? get_f32(h, ir) : f16_to_f32(get16(h, ir))) * scale;
    if (k->scale == SCALE_SDN) *m = -(f16_to_f32(get16(h, ROWS + ir)) * (float)(v >> 4));
    if (k->scale == SCALE_SDM) *m = -(f16_to_f32(get16(h, ROWS + ir)) * (float)p[ROWS * (subs + s) + ir]);
}

static void row_quantised(const panel_kind *k, const uint8_t *p, int nb, int ir, float *x) {
    const uint8_t *h = p;
    for (int b = 0; b < nb; b++, p += kind_block_size(k)) {
        if (kind_is_super(k) && b % 8 == 0) h = p, p += kind_header_size(k);
        for (int i = 0; i < 32; i++) {
            float d, m;
            get_scales(k, p, h, ir, i / k->sub, &d, &m);
            float w = d * (float)get_code(k, p + kind_scale_size(k), ir, i);
            x[32 * b + i] = kind_is_affine(k) ? w + m : w;
        }
    }
}

void panel_row(const weight *w, int ir, float *x) {
    const panel_kind *k = panel_kind_of(w->type);
    const uint8_t *p = w->data + (size_t)(ir / ROWS) * w->panel_size;
    ir %= ROWS;
    if (k) {
        row_quantised(k, p, w->n_in / 32, ir, x);
        return;
    }
    if (w->type == T_F32) {
        for (size_t i = 0; i < (size_t)w->n_in; i++) x[i] = ((const float *)(const void *)p)[i * ROWS + (size_t)ir];
        return;
    }
    const format *f = format_of(w->type);
    for (size_t i = 0; i < (size_t)w->n_in; i++) f->unpack(p + (i * ROWS + (size_t)ir) * (size_t)f->block_size, x + i);
}
