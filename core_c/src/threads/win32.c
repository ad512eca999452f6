// Windows threads, slim locks and condition variables.
#include <windows.h>

typedef SRWLOCK os_lock;
typedef CONDITION_VARIABLE os_cond;
typedef HANDLE os_thread;

static void os_lock_open(os_lock *l) { InitializeSRWLock(l); }
static void os_lock_take(os_lock *l) { AcquireSRWLockExclusive(l); }
static void os_lock_give(os_lock *l) { ReleaseSRWLockExclusive(l); }
static void os_lock_destroy(os_lock *l) { (void)l; }
static void os_cond_open(os_cond *c) { InitializeConditionVariable(c); }
static void os_cond_wait(os_cond *c, os_lock *l) { SleepConditionVariableSRW(c, l, INFINITE, 0); }
static void os_cond_wake_all(os_cond *c) { WakeAllConditionVariable(c); }
static void os_cond_destroy(os_cond *c) { (void)c; }
static int os_cpus(void) {   // that this process may use: of its mask, or of several groups all
    DWORD_PTR mine = 0, all = 0;
    USHORT groups[64], n = 64;
    int count = 0;
    if (!GetProcessGroupAffinity(GetCurrentProcess(), &n, groups)) n = 0;
    if (n <= 1 && GetProcessAffinityMask(GetCurrentProcess(), &mine, &all) && mine)
        return __builtin_popcountll((unsigned long long)mine);
    for (int i = 0; i < n; i++) count += (int)GetActiveProcessorCount(groups[i]);
    return count ? count : (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
}
static double os_now(void) {   // seconds
    LARGE_INTEGER now, a_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&a_second);
    return (double)now.QuadPart / (double)a_second.QuadPart;
}
static int os_thread_start(os_thread *t, void *worker);
static void os_thread_join(os_thread *t) {
    WaitForSingleObject(*t, INFINITE);
    CloseHandle(*t);
}

#include "pool.inc.c"

static DWORD WINAPI entry(LPVOID worker) {
    work(worker);
    return 0;
}
static int os_thread_start(os_thread *t, void *worker) {
    *t = CreateThread(0, 0, entry, worker, 0, 0);
    return *t ? 0 : -1;
}
