// The table of tensor types by GGUF number, made from formats.def, and the public calls about it.
#include "formats.h"
#include "families.h"

#define PLAIN(number, name, lower, block, block_size)                                                                  \
    [number] = {#name, block, block_size, NULL, unpack_##lower, finite_##lower},
#define CODED(number, name, lower, block, block_size)                                                                  \
    [number] = {#name, block, block_size, codes_##lower, unpack_##lower, finite_##lower},
#define KNOWN(number, name, block, block_size) [number] = {#name, block, block_size, NULL, NULL, NULL},
static const format table[FORMAT_COUNT] = {
#include "formats.def"
};
#undef PLAIN
#undef CODED
#undef KNOWN

#define PLAIN(number, name, lower, block, block_size) _Static_assert(block == 1, #name);
#define CODED(number, name, lower, block, block_size) _Static_assert(block <= BLOCK_MAX, #name);
#define KNOWN(number, name, block, block_size)
#include "formats.def"
#undef PLAIN
#undef CODED
#undef KNOWN

const format *format_of(int type) { return type >= 0 && type < FORMAT_COUNT && table[type].name ? &table[type] : NULL; }

const char *gemel_format_name(int type) {
    const format *f = format_of(type);
    return f ? f->name : NULL;
}

int gemel_format_block(int type) {
    const format *f = format_of(type);
    return f ? f->block : 0;
}

int gemel_format_block_size(int type) {
    const format *f = format_of(type);
    return f ? f->block_size : 0;
}

int gemel_format_computed(int type) {
    const format *f = format_of(type);
    return f && f->unpack;
}

int gemel_format_unpack(int type, const uint8_t *src, size_t src_size, float *dst, size_t n) {
    const format *f = format_of(type);
    if (!f || ((!src || !dst) && n)) return GEMEL_E_ARGUMENT;
    if (!f->unpack) return GEMEL_E_UNSUPPORTED;
    size_t block = (size_t)f->block, block_size = (size_t)f->block_size, n_block = n / block;
    if (n % block || n_block > SIZE_MAX / block_size || src_size != n_block * block_size) return GEMEL_E_ARGUMENT;
    for (size_t ib = 0; ib < n_block; ib++) f->unpack(src + ib * block_size, dst + ib * block);
    return GEMEL_OK;
}
