// What this CPU can do, and the floating-point mode in which all results are defined.
#pragma once
#include <stdint.h>

int cpu_has_avx2(void);   // with F16C, and an operating system that saves ymm
int cpu_has_avxvnni(void);
int cpu_has_avx512vnni(void);   // F, BW, VL, DQ, VNNI, and zmm saved
int cpu_has_neondot(void);
int cpu_has_neoni8mm(void);   // with the dot product

// Round to nearest even, denormals on, exceptions masked. Returns the caller's mode, to be given back.
#if defined __x86_64__ || defined __i386__
#include <xmmintrin.h>
static inline uint64_t cpu_float_enter(void) {
    unsigned old = _mm_getcsr();
    if ((old & ~0x3fu) != 0x1f80) _mm_setcsr(0x1f80);
    return old;
}
static inline void cpu_float_leave(uint64_t old) {
    if ((old & ~0x3fu) != 0x1f80) _mm_setcsr((unsigned)old);
}
#elif defined __aarch64__
static inline uint64_t cpu_float_enter(void) {
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    if (old) __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
    return old;
}
static inline void cpu_float_leave(uint64_t old) {
    if (old) __asm__ volatile("msr fpcr, %0" ::"r"(old));
}
#else
static inline uint64_t cpu_float_enter(void) { return 0; }
static inline void cpu_float_leave(uint64_t old) { (void)old; }
#endif
