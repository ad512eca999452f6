#include "fold.h"

static uint32_t varint(uint32_t *at) {
    uint32_t value = 0, shift = 0;
    do value |= (uint32_t)(fold_data[*at] & 127) << shift, shift += 7;
    while (fold_data[(*at)++] & 128);
    return value;
}

static uint32_t changed(uint32_t from, uint32_t by) { return by & 1 ? from - (by + 1) / 2 : from + by / 2; }

// A syllable of two or three letters.
static int fold_hangul(uint32_t syllable, uint32_t to[FOLD_MAX]) {
    uint32_t last = syllable % 28;
    to[0] = 0x1100 + syllable / 588;
    to[1] = 0x1161 + syllable % 588 / 28;
    to[2] = 0x11A7 + last;
    return last ? 3 : 2;
}

int fold_rune(uint32_t code, uint32_t to[FOLD_MAX]) {
    to[0] = code;
    if (code < 128) {
        if (code >= 'A' && code <= 'Z') to[0] = code + 32;
        return 1;
    }
    if (code - 0xAC00u < 11172) return fold_hangul(code - 0xAC00u, to);
    uint32_t low = 0, high = fold_index_size;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (fold_index[middle].code < code) low = middle;
        else high = middle;
    }
    fold_place p = fold_index[low];
    while (p.at < fold_data_size) {
        uint32_t head = varint(&p.at), n = head & 3;
        p.code += head / 4;
        if (p.code > code) break;
        uint32_t by = varint(&p.at);
        if (!n && code - p.code <= by) return 0;
        if (!n) continue;
        uint32_t first = p.target = changed(p.target, by), own[FOLD_MAX] = {first};
        for (uint32_t i = 1; i < n; i++) own[i] = changed(own[i - 1], varint(&p.at));
        if (p.code != code) continue;
        for (uint32_t i = 0; i < n; i++) to[i] = own[i];
        return (int)n;
    }
    return 1;
}
