// The heap's memory: WebAssembly's own, behind the program's data.
#include <stdint.h>
#include "heap.h"

enum { PAGE = 1 << 16 };

extern char __heap_base;   // the linker's: where data and the first stack end

char *heap_start(size_t *room) {
    uintptr_t start = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    size_t size = (size_t)__builtin_wasm_memory_size(0) * PAGE;
    *room = size > start ? size - start : 0;
    return (char *)start;
}

size_t heap_grow(size_t least) {
    if (least > SIZE_MAX - (PAGE - 1)) return 0;
    size_t pages = (least + PAGE - 1) / PAGE;
    return (size_t)__builtin_wasm_memory_grow(0, pages) == SIZE_MAX ? 0 : pages * PAGE;
}
