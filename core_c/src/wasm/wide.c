// The product of two 128-bit integers, for which compilers call a library function.
#include <stdint.h>

__int128 __multi3(__int128 a, __int128 b);

__int128 __multi3(__int128 a, __int128 b) {
    unsigned __int128 x = (unsigned __int128)a, y = (unsigned __int128)b;
    uint64_t x0 = (uint32_t)x, x1 = (uint64_t)x >> 32, y0 = (uint32_t)y, y1 = (uint64_t)y >> 32;
    uint64_t low = x0 * y0, mid = x1 * y0 + (low >> 32), mid2 = x0 * y1 + (uint32_t)mid;
    uint64_t high = x1 * y1 + (mid >> 32) + (mid2 >> 32);
    high += (uint64_t)(x >> 64) * (uint64_t)y + (uint64_t)x * (uint64_t)(y >> 64);
    return (__int128)((unsigned __int128)high << 64 | mid2 << 32 | (uint32_t)low);
}
