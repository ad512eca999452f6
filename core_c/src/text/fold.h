// Text without accents and capitals: canonical decomposition, without nonspacing marks, in lower case, character by
// character.
//
// fold_data has an entry for each character that changes, ascending, in varints (7 bits a byte, the lowest first):
//   4 * (code - code of the entry before) + n      n: characters that it becomes, 0 to 3
//   n > 0: the first one - that of the entry before with n > 0; then each - the one before it; the sign is in bit 0
//   n = 0: how many characters after this one become nothing, too
// The tables are made by core_c/tools/make_unicode.py.
#pragma once
#include <stdint.h>

enum { FOLD_MAX = 3 };

typedef struct fold_place {
    uint32_t code, target;   // of the entry before, and the first character that the last one with n > 0 becomes
    uint32_t at;             // in fold_data
} fold_place;
extern const uint32_t fold_index_size, fold_data_size;
extern const fold_place fold_index[];
extern const uint8_t fold_data[];

// What a character becomes: to[0..n). Returns n, 0 to FOLD_MAX.
int fold_rune(uint32_t code, uint32_t to[FOLD_MAX]);
