// Names in a text, each with a number: 0 for the first. A search takes time linear in the name, whatever others are.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct name {
    const char *at;   // without a zero byte
    size_t size;
} name;

typedef struct name_fork {
    uint32_t byte, bit;   // names below are alike before this bit of this byte
    uint32_t under[2];    // where it is 0 or 1: 2 * fork, or 2 * name + 1
    uint32_t any;         // one of the names below
} name_fork;

enum { NAMES_RECENT = 1 << 10 };

typedef struct names {
    name *list;
    name_fork *forks;   // [n - 1]
    uint32_t n, top;
    uint32_t recent[NAMES_RECENT];   // by hash, 1 + the number of a name: most are asked for again soon. 0: none
    size_t list_room, forks_room;
} names;

void names_close(names *n);
// The number of a name. 1: it is new; 0: it was there; below 0: no memory.
int names_number(names *n, const char *at, size_t size, uint32_t *number);
