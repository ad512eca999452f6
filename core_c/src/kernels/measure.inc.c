// What limits the kernels of an instruction set: reading memory once, and dot products alone.

enum { LOADS = 4, SEEN = W == 16 ? 3 : 2, MET = W == 16 ? 4 : 5 };

// Reads size bytes in STREAMS parts side by side, except a rest of less than a few cache lines of each.
KERNEL int measure_read(const uint8_t *p, size_t size) {
    const size_t step = LOADS * 4 * W, part = size / STREAMS / step * step;
    vu seen[LOADS];
    if (!part) return 0;
    TIMES (i, LOADS) seen[i] = vu_load(p);
    for (size_t at = 0; at < part; at += step)
        TIMES (s, STREAMS) {
            const uint8_t *from = p + (size_t)s * part + at;
            if (PREFETCH_BYTES > 0 && PREFETCH_T == 1 && at % 64 == 0)
                TIMES (i, (LOADS * 4 * W + 63) / 64)
                    PREFETCH(from + (STREAMS > 1 ? STREAM_BYTES : PREFETCH_BYTES) + 64 * i);
            TIMES (i, LOADS) seen[i] = vu_or(seen[i], vu_load(from + (size_t)(i * 4 * W)));
        }
    TIMES (i, LOADS) seen[0] = vu_or(seen[0], seen[i]);
    int some;
    memcpy(&some, &seen[0], sizeof some);
    return some;
}

// n steps, each the dots of MET activations with SEEN vectors of codes, in independent sums. Codes have 4 bits: an
// instruction set may add them up in fewer bits and widen the sums after 8 steps.
KERNEL int measure_dot(int n, double *macs) {
    act x[4 * MET] = {1};
    uint8_t codes[SEEN][4 * W] = {{1}};
    vi sum = vi_set1(0);
    for (int at = 0; at < n; at += 8) {
        va4 a[MET][SEEN];
        TIMES (t, MET)
            TIMES (g, SEEN) a[t][g] = va4_zero();
        TIMES (j, 8) {
            __asm__ volatile("" ::"r"(x), "r"(codes) : "memory");   // the compiler must load them again
            vu c[SEEN];
            TIMES (g, SEEN) c[g] = vu_load(codes[g]);
            TIMES (t, MET)
                TIMES (g, SEEN) a[t][g] = va4_dot(a[t][g], c[g], x + 4 * t);
        }
        TIMES (t, MET)
            TIMES (g, SEEN) sum = vi_add(sum, va4_sum(a[t][g]));
    }
    *macs = (double)((n + 7) / 8 * 8) * MET * SEEN * 4 * W;
    return vi_fold(sum);
}
