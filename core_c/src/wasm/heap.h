// Where the heap's memory comes from.
#pragma once
#include <stddef.h>

char *heap_start(size_t *room);   // 16-aligned, with *room zeroed bytes (a multiple of 16) up to the memory's end
size_t heap_grow(size_t least);   // grow by at least that many zeroed bytes; returns how many, a multiple of 16, or 0
