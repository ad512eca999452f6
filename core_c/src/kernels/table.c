// The instruction sets of this build, slowest first. cmake/rows.cmake says which isa_*.c are compiled, with what flags.
#include "../cpu.h"
#include "kernels.h"

#if defined __clang__ && defined __APPLE__
__attribute__((used)) static void code_after_kernels(void) {}   // the linker puts this file behind them
#endif

static int always(void) { return 1; }

#define ISA(name) extern const kernels kernels_##name
#if defined GEMEL_HAVE_SCALAR
ISA(scalar);
#endif
#if defined GEMEL_HAVE_AVX2
ISA(avx2);
#endif
#if defined GEMEL_HAVE_AVXVNNI
ISA(avxvnni);
#endif
#if defined GEMEL_HAVE_AVX512VNNI
ISA(avx512vnni);
#endif
#if defined GEMEL_HAVE_NEON
ISA(neon);
#endif
#if defined GEMEL_HAVE_NEONDOT
ISA(neondot);
#endif
#if defined GEMEL_HAVE_NEONI8MM
ISA(neoni8mm);
#endif
#if defined GEMEL_HAVE_WASM128
ISA(wasm128);
#endif
#if defined GEMEL_HAVE_WASMPAIRS
ISA(wasmpairs);
#endif
#if defined GEMEL_HAVE_WASMRELAXED
ISA(wasmrelaxed);
#endif

static const isa_entry isas[] = {
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
#if defined GEMEL_HAVE_NEONI8MM
    {&kernels_neoni8mm, cpu_has_neoni8mm},
#endif
#if defined GEMEL_HAVE_WASM128
    {&kernels_wasm128, always},
#endif
#if defined GEMEL_HAVE_WASMPAIRS
    {&kernels_wasmpairs, always},
#endif
#if defined GEMEL_HAVE_WASMRELAXED
    {&kernels_wasmrelaxed, always},
#endif
};

int isa_count(void) { return (int)(sizeof isas / sizeof isas[0]); }
const isa_entry *isa_at(int i) { return i >= 0 && i < isa_count() ? &isas[i] : NULL; }
