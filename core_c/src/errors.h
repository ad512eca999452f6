// One sentence for the caller, written where the error is found; and sentences about a file that opens all the same.
#pragma once
#include "gemel.h"

typedef struct errors {
    char *text;
    size_t size;
} errors;   // size 0: the caller wants none

// Write the sentence (printf's language, cut to fit at a whole UTF-8 character) and return `code`.
__attribute__((format(printf, 3, 4))) int fail(errors *e, int code, const char *format, ...);

// What a file says that gemel leaves out, one sentence each. Every kind is said at most once, so that they always fit.
enum { WARNINGS_MAX = 8 };
typedef struct warnings {
    int n;
    char text[WARNINGS_MAX][1300];
} warnings;

// Add a sentence (printf's language, cut as by fail). w NULL: the caller wants none.
__attribute__((format(printf, 2, 3))) void warn(warnings *w, const char *format, ...);

// A name from a file, made printable: at most 64 bytes, others and control characters as \xNN. For use in fail().
typedef struct printable {
    char text[300];
} printable;
printable printable_name(const char *at, size_t size);
