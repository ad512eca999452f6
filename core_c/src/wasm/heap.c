// malloc over a memory that only grows at its end, for all threads of the engine.
//
//   | head, payload | head, links, unused | head, payload | ... | end |      a chunk is a multiple of 16 bytes
//
// Free neighbours are joined immediately, so that a free chunk lies between used ones. Free chunks are in lists by the
// power of two below their size. Memory that was never handed out is still zero: calloc clears only what was used.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "heap.h"

typedef struct chunk {
    _Alignas(16) size_t before;   // size of the chunk before this one; 0: the first
    size_t size;                  // in bytes, this head included; bit 0: used. The end is used and of size 0
    _Alignas(16) struct chunk *next, *previous;   // while free
} chunk;

enum { HEAD = 16, LEAST = sizeof(chunk), STEP = 1 << 20, LISTS = 8 * sizeof(size_t) };

static struct heap {
    int lock;
    chunk *end;        // NULL until the first call
    uintptr_t dirty;   // from here on all bytes are zero, except the end's head
    chunk *lists[LISTS];
} heap;

static void lock(void) {
    while (__atomic_exchange_n(&heap.lock, 1, __ATOMIC_ACQUIRE)) {}
}
static void unlock(void) { __atomic_store_n(&heap.lock, 0, __ATOMIC_RELEASE); }

static size_t size_of(const chunk *c) { return c->size & ~(size_t)1; }
static int is_used(const chunk *c) { return (int)(c->size & 1); }
static chunk *at(chunk *c, size_t offset) { return (chunk *)((char *)c + offset); }
static chunk *after(chunk *c) { return at(c, size_of(c)); }
static chunk *previous_of(chunk *c) { return (chunk *)((char *)c - c->before); }   // c itself when it is the first
static int list_of(size_t size) { return 63 - __builtin_clzll(size); }
static void dirty_to(uintptr_t end) {
    if (end > heap.dirty) heap.dirty = end;
}

static void link_free(chunk *c) {
    chunk **list = &heap.lists[list_of(c->size)];
    c->next = *list;
    c->previous = NULL;
    if (*list) (*list)->previous = c;
    *list = c;
    dirty_to((uintptr_t)c + LEAST);
}
static void unlink_free(chunk *c) {
    if (c->next) c->next->previous = c->previous;
    if (c->previous) c->previous->next = c->next;
    else heap.lists[list_of(c->size)] = c->next;
}

// Make [c, c + size) a free chunk, joined with its free neighbours.
static void make_free(chunk *c, size_t size) {
    chunk *next = at(c, size), *before = previous_of(c);
    if (!is_used(next)) {
        unlink_free(next);
        size += next->size;
    }
    if (c->before && !is_used(before)) {
        unlink_free(before);
        size += before->size;
        c = before;
    }
    c->size = size;
    at(c, size)->before = size;
    link_free(c);
}

// Take the first `size` bytes of a chunk that is in no list; the rest becomes free where it is large enough.
static void cut(chunk *c, size_t whole, size_t size) {
    size_t rest = whole - size;
    if (rest < LEAST) size = whole;
    c->size = size | 1;
    at(c, size)->before = size;
    if (size == whole) return;
    at(c, size)->size = rest | 1;
    at(c, whole)->before = rest;
    make_free(at(c, size), rest);
}

// The first chunk, where the memory that the program itself uses ends.
static int begin(void) {
    size_t room;
    char *start = heap_start(&room);
    if (room < HEAD) return 0;
    heap.end = (chunk *)(start + room - HEAD);
    heap.end->before = 0;
    heap.end->size = 1;
    heap.dirty = (uintptr_t)start;
    if (room < HEAD + LEAST) return 1;
    chunk *first = (chunk *)start;
    first->before = 0;
    make_free(first, room - HEAD);
    return 1;
}

// Lengthen the memory until its last chunk is free and of `size` bytes.
static int lengthen(size_t size) {
    chunk *end = heap.end, *last = previous_of(end);
    size_t have = is_used(last) ? 0 : last->size, more = size - have;
    size_t got = heap_grow(more > STEP ? more : STEP);
    if (!got) got = heap_grow(more);
    if (!got) return 0;
    size_t before = end->before;
    heap.end = at(end, got);
    heap.end->size = 1;
    memset(end, 0, HEAD);
    end->before = before;
    make_free(end, got);
    if (have) memset(end, 0, HEAD);   // the old end is within the chunk now
    return 1;
}

static chunk *find(size_t size) {
    for (chunk *c = heap.lists[list_of(size)]; c; c = c->next)
        if (c->size >= size) return c;
    for (int i = list_of(size) + 1; i < LISTS; i++)
        if (heap.lists[i]) return heap.lists[i];
    return NULL;
}

// The size of a chunk for n bytes; 0: more than memory can hold.
static size_t chunk_size(size_t n) {
    if (n > PTRDIFF_MAX - LEAST) return 0;
    size_t size = (n + HEAD + 15) & ~(size_t)15;
    return size < LEAST ? LEAST : size;
}

// As malloc; from *dirty on, its bytes are zero.
static void *take(size_t n, uintptr_t *dirty) {
    size_t size = chunk_size(n);
    if (!size || (!heap.end && !begin())) return NULL;
    chunk *c = find(size);
    if (!c && lengthen(size)) c = find(size);
    if (!c) return NULL;
    unlink_free(c);
    *dirty = heap.dirty;
    cut(c, c->size, size);
    dirty_to((uintptr_t)after(c));
    return (char *)c + HEAD;
}

void *malloc(size_t n) {
    uintptr_t dirty;
    lock();
    void *p = take(n, &dirty);
    unlock();
    return p;
}

void *calloc(size_t count, size_t size) {
    uintptr_t dirty;
    if (size && count > SIZE_MAX / size) return NULL;
    lock();
    void *p = take(count * size, &dirty);
    unlock();
    if (!p) return NULL;
    size_t n = count * size, old = dirty > (uintptr_t)p ? dirty - (uintptr_t)p : 0;
    return memset(p, 0, old < n ? old : n);
}

static chunk *chunk_of(void *p) {
    chunk *c = (chunk *)((char *)p - HEAD);
    if (!is_used(c) || after(c)->before != size_of(c)) __builtin_trap();   // freed twice, or written past its end
    return c;
}

void free(void *p) {
    if (!p) return;
    lock();
    chunk *c = chunk_of(p);
    make_free(c, size_of(c));
    unlock();
}

// Shorten or lengthen the chunk in place, if possible.
static int resize(void *p, size_t n) {
    size_t size = chunk_size(n);
    chunk *c = chunk_of(p), *next = after(c);
    size_t whole = size_of(c) + (is_used(next) ? 0 : next->size);
    if (!size || whole < size) return 0;
    if (!is_used(next)) unlink_free(next);
    cut(c, whole, size);
    dirty_to((uintptr_t)after(c));
    return 1;
}

void *realloc(void *p, size_t n) {
    if (!p) return malloc(n);
    lock();
    size_t have = size_of(chunk_of(p)) - HEAD;
    int done = resize(p, n);
    unlock();
    if (done) return p;
    void *moved = malloc(n);
    if (!moved) return NULL;
    memcpy(moved, p, have < n ? have : n);
    free(p);
    return moved;
}
