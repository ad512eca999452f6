// The layout of a panel: 16 output rows, interleaved so that each SIMD lane is one row. Shared by packer and kernels.
//
//   quantised   a block holds 32 weights of 16 rows:  [scales][plane P4][plane P2][plane P1]  or  [scales][P8]
//               super-block formats put a header of f16 or f32 scales before every eighth block
//     scales    one f16 (u8) per row, rows side by side: d[16], then m[16]; or sub-block bytes, first sub-block first
//     P8        512 B   byte 64*j + 4*row + i           is weight k = 4j + i
//     P4        256 B   byte 64*g + 4*row + i           low nibble k = 8g + i, high nibble k = 8g + 4 + i
//     P2        128 B   byte 64*g + 4*row + i           bits 2r, 2r+1: k = 16g + 4r + i
//     P1         64 B   byte 4*row + i                  bit r: k = 4r + i
//   plain floats   element [k][row]
#pragma once
#include <stddef.h>
#include "../quant/formats.h"

enum { P4 = 1, P2 = 2, P1 = 4, P8 = 8 };
enum { DOT4, DOT5, DOT6, DOT7, DOT8, DOT8_FULL };
enum { SCALE_D, SCALE_DM, SCALE_BD, SCALE_DD, SCALE_SD, SCALE_SDM, SCALE_SDN, SCALE_SF, SCALE_S };

typedef struct panel_kind {
    int type, planes, dot, zero;
    const uint8_t *book;
    int scale, sub;
} panel_kind;

static inline int kind_is_super(const panel_kind *k) { return k->scale >= SCALE_SD; }
static inline int kind_is_affine(const panel_kind *k) {
    return k->scale == SCALE_DM || k->scale == SCALE_SDM || k->scale == SCALE_SDN;
}
static inline int kind_scale_size(const panel_kind *k) {
    switch (k->scale) {
    case SCALE_DM:
    case SCALE_DD: return 64;
    case SCALE_S: return 0;
    case SCALE_SF:
    case SCALE_SD: return 16 * (32 / k->sub);
    case SCALE_SDM: return 32 * (32 / k->sub);
    case SCALE_SDN: return 16 * (32 / k->sub);
    default: return 32;
    }
}
static inline int kind_plane(const panel_kind *k, int plane) {   // offset of a plane within a block's codes
    return plane == P2   ? (k->planes & P4 ? 256 : 0)
           : plane == P1 ? (k->planes & P4 ? 256 : 0) + (k->planes & P2 ? 128 : 0)
                         : 0;
}
static inline int kind_shift(const panel_kind *k, int plane) {   // a plane's lowest bit within a code
    return plane == P2   ? (k->planes & P4 ? 4 : 0)
           : plane == P1 ? (k->planes & P4 ? 4 : 0) + (k->planes & P2 ? 2 : 0)
                         : 0;
}
static inline int kind_block_size(const panel_kind *k) {
    return kind_scale_size(k) + (k->planes & P4 ? 256 : 0) + (k->planes & P2 ? 128 : 0) + (k->planes & P1 ? 64 : 0) +
           (k->planes & P8 ? 512 : 0);
}
static inline int kind_header_size(const panel_kind *k) {
    return !kind_is_super(k) ? 0 : k->scale == SCALE_SD || k->scale == SCALE_S ? 32 : 64;
}
static inline size_t kind_panel_size(const panel_kind *k, int nb) {   // nb blocks of 32
    return (size_t)nb * (size_t)kind_block_size(k) + (size_t)(nb / 8) * (size_t)kind_header_size(k);
}

// Code-books as bytes. IQ4_NL's values are signed; the others are moved up by the kind's zero, MXFP4's also doubled.
static const uint8_t book_iq4nl[16] = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
static const uint8_t book_mxfp4[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
static const uint8_t book_iq2[16] = {51, 68, 86, 43, 35, 18, 0, 43};
static const uint8_t book_iq3_xxs[16] = {66, 74, 82, 90, 98, 106, 114, 124, 58, 50, 42, 34, 26, 18, 10, 0};
static const uint8_t book_iq3_s[16] = {16, 18, 20, 22, 24, 26, 28, 30, 14, 12, 10, 8, 6, 4, 2, 0};
static const uint8_t book_iq1[16] = {2, 10, 18, 9, 0, 8, 16, 9};
static const uint8_t book_q1[16] = {0, 2};
