#include "cpu.h"

#if defined __x86_64__
#include <cpuid.h>

static uint64_t saved_state(void) {   // XCR0: which registers the operating system saves
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}
static unsigned leaf(unsigned n, unsigned sub, int reg) {   // reg 0..3: eax ebx ecx edx; 0 when there is no such leaf
    unsigned r[4] = {0, 0, 0, 0};
    if (!__get_cpuid_count(n, sub, &r[0], &r[1], &r[2], &r[3])) return 0;
    return r[reg];
}
int cpu_has_avx2(void) {
    int f16c = leaf(1, 0, 2) >> 29 & 1, avx2 = leaf(7, 0, 1) >> 5 & 1;
    return f16c && avx2 && (saved_state() & 6) == 6;
}
int cpu_has_avxvnni(void) { return cpu_has_avx2() && (leaf(7, 1, 0) >> 4 & 1); }
int cpu_has_avx512vnni(void) {
    unsigned b = leaf(7, 0, 1), c = leaf(7, 0, 2);
    int all = (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1) && (c >> 11 & 1);   // F DQ BW VL VNNI
    return all && cpu_has_avx2() && (saved_state() & 0xe6) == 0xe6;
}
int cpu_has_neondot(void) { return 0; }
int cpu_has_neoni8mm(void) { return 0; }

#elif defined __aarch64__
#if defined __linux__
#include <sys/auxv.h>
int cpu_has_neondot(void) { return (int)(getauxval(AT_HWCAP) >> 20 & 1); }                     // HWCAP_ASIMDDP
int cpu_has_neoni8mm(void) { return cpu_has_neondot() && (getauxval(AT_HWCAP2) >> 13 & 1); }   // HWCAP2_I8MM
#elif defined __APPLE__
#include <sys/sysctl.h>
static int says(const char *name) {   // 0, too, where the system does not know the name
    int value = 0;
    size_t size = sizeof value;
    return !sysctlbyname(name, &value, &size, 0, 0) && value;
}
int cpu_has_neondot(void) { return 1; }   // every Apple CPU that runs macOS
int cpu_has_neoni8mm(void) { return says("hw.optional.arm.FEAT_I8MM"); }
#elif defined _WIN32
#include <windows.h>
// PF_ARM_V82_DP_..., PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE; a Windows that does not know a number says no.
int cpu_has_neondot(void) { return IsProcessorFeaturePresent(43) != 0; }
int cpu_has_neoni8mm(void) { return cpu_has_neondot() && IsProcessorFeaturePresent(66) != 0; }
#else
int cpu_has_neondot(void) { return 0; }
int cpu_has_neoni8mm(void) { return 0; }
#endif
int cpu_has_avx2(void) { return 0; }
int cpu_has_avxvnni(void) { return 0; }
int cpu_has_avx512vnni(void) { return 0; }

#else
int cpu_has_avx2(void) { return 0; }
int cpu_has_avxvnni(void) { return 0; }
int cpu_has_avx512vnni(void) { return 0; }
int cpu_has_neondot(void) { return 0; }
int cpu_has_neoni8mm(void) { return 0; }
#endif
