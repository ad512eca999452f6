// qsort as a heap sort: no recursion, no memory, no slow inputs. Equal items may change places.
#include <stdlib.h>

static void swap(char *a, char *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char c = a[i];
        a[i] = b[i];
        b[i] = c;
    }
}

// Let the item at `root` sink until no child is larger.
static void sink(char *items, size_t root, size_t n, size_t size, int (*compare)(const void *, const void *)) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && compare(items + child * size, items + (child + 1) * size) < 0) child++;
        if (compare(items + root * size, items + child * size) >= 0) return;
        swap(items + root * size, items + child * size, size);
    }
}

void qsort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *)) {
    for (size_t i = n / 2; i-- > 0;) sink(items, i, n, size, compare);
    for (size_t end = n; end-- > 1;) {
        swap(items, (char *)items + end * size, size);
        sink(items, 0, end, size, compare);
    }
}
