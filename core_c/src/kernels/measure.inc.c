// What limits the kernels of an instruction set: reading memory once, and dot products alone.

enum { STREAMS = 4, SEEN = W == 16 ? 3 : 2, MET = W == 16 ? 4 : 5 };

// Reads size bytes, except a rest of less than a few cache lines.
KERNEL int measure_read(const uint8_t *p, size_t size) {
    const size_t step = STREAMS * 4 * W;
    vu seen[STREAMS];
    if (size < step) return 0;
    TIMES (i, STREAMS) seen[i] = vu_load(p);
    for (size_t at = 0; at + step <= size; at += step) {
        if (PREFETCH_BYTES > 0 && at % 64 == 0)
            TIMES (i, (STREAMS * 4 * W + 63) / 64) PREFETCH(p + at + PREFETCH_BYTES + 64 * i);
        TIMES (i, STREAMS) seen[i] = vu_or(seen[i], vu_load(p + at + (size_t)(i * 4 * W)));
    }
    TIMES (i, STREAMS) seen[0] = vu_or(seen[0], seen[i]);
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
