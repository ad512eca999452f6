// The table of tensor types by GGUF number, made from formats.def.
#pragma once
#include "format.h"

const format *format_of(int type);                // NULL: no such type
static inline int format_float_size(int type) {   // bytes of a weight of a format that is plain floats; 0: it is not
    switch (type) {
#define PLAIN(number, name, lower, block, block_size)                                                                  \
    case T_##name: return block_size;
#define CODED(number, name, lower, block, block_size)
#define KNOWN(number, name, block, block_size)
#include "formats.def"
#undef PLAIN
#undef CODED
#undef KNOWN
    default: return 0;
    }
}
