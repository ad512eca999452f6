// Weights as the kernels read them: 16 rows of a tensor side by side. Knows formats and layout, no arithmetic.
#pragma once
#include "kind.h"

typedef struct weight {
    int type;            // GGUF type, or FORMAT_COUNT + T_Q8_0 where a Q8_0 tensor holds the code -128
    int n_in, n_out;     // y[n_out] = W[n_out][n_in] x[n_in]
    int n_panels;        // 16 rows each; the last is padded with zeros
    int n_mats;          // matrices of these sizes
    size_t panel_size;   // bytes
    uint8_t *data;       // [n_mats][n_panels][panel_size], 64-byte aligned
} weight;

static inline weight weight_at(const weight *w, int i) {   // matrix i alone
    weight one = *w;
    one.n_mats = 1;
    one.data += (size_t)i * (size_t)w->n_panels * w->panel_size;
    return one;
}
static inline int weight_is_float(const weight *w) { return format_float_size(w->type) > 0; }   // else it is quantised
const panel_kind *panel_kind_of(int type);   // NULL: plain floats, and what is not supported
size_t panel_size_of(int type, int n_in);    // bytes of one panel; 0 when the type is not supported
// Lay n_rows (1..16) source rows, row_size bytes apart, into one panel of zeroed memory. Returns PANEL_OK, or what the
// kernels don't support.
enum { PANEL_OK = 0, PANEL_NOT_FINITE = 1, PANEL_HAS_MIN8 = 2 };   // MIN8: the weight's type must become q8_0_full
int panel_pack(int type, int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel);
// The same for any format, slower: the definition, made of the formats' own functions.
int panel_pack_any(int type, int n_in, const uint8_t *rows, size_t row_size, int n_rows, uint8_t *panel);
// Dequantise row `ir` of a weight: x[n_in], the same floats as the format's own unpack gives.
void panel_row(const weight *w, int ir, float *x);
