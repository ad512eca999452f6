// Which rows this build has, slowest first. The build file says which isa_*.c it compiled, and with what flags.
#include "../cpu.h"
#include "kernels.h"

static int always(void) { return 1; }

#define ROW(name) extern const kernels kernels_##name
#if defined GEMEL_HAVE_SCALAR
ROW(scalar);
#endif
#if defined GEMEL_HAVE_AVX2
ROW(avx2);
#endif
#if defined GEMEL_HAVE_AVXVNNI
ROW(avxvnni);
#endif
#if defined GEMEL_HAVE_AVX512VNNI
ROW(avx512vnni);
#endif
#if defined GEMEL_HAVE_NEON
ROW(neon);
#endif
#if defined GEMEL_HAVE_NEONDOT
ROW(neondot);
#endif
#if defined GEMEL_HAVE_WASM128
ROW(wasm128);
#endif
#if defined GEMEL_HAVE_WASMRELAXED
ROW(wasmrelaxed);
#endif

static const isa_row rows[] = {
#if defined GEMEL_HAVE_SCALAR
    {&kernels_scalar, always},
#endif
#if defined GEMEL_HAVE_AVX2
    {&kernels_avx2, cpu_has_avx2},
#endif
#if defined GEMEL_HAVE_AVXVNNI
    {&kernels_avxvnni, cpu_has_avxvnni},
#endif
#if defined GEMEL_HAVE_AVX512VNNI
    {&kernels_avx512vnni, cpu_has_avx512vnni},
#endif
#if defined GEMEL_HAVE_NEON
    {&kernels_neon, always},
#endif
#if defined GEMEL_HAVE_NEONDOT
    {&kernels_neondot, cpu_has_neondot},
#endif
#if defined GEMEL_HAVE_WASM128
    {&kernels_wasm128, always},
#endif
#if defined GEMEL_HAVE_WASMRELAXED
    {&kernels_wasmrelaxed, always},
#endif
};

int isa_count(void) { return (int)(sizeof rows / sizeof rows[0]); }
const isa_row *isa_at(int i) { return i >= 0 && i < isa_count() ? &rows[i] : NULL; }
