// One spelling for all texts of a JSON value that differ only in the order of members, and in members that come again.
// Strings and numbers are as they are: a grammar that compares items spells each of them in one way.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct canon_open {     // an object or list that is not closed
    size_t at, n_members;       // its bracket in `out`; members of the objects around it
    size_t member, name_size;   // where the member begins that is read; 0: its name is not whole
    int is_object;
} canon_open;
typedef struct canon_member {
    size_t at, size, name_size, order;
    const uint8_t *name;
} canon_member;

typedef struct canon {
    uint8_t *out, *sorted;
    canon_open *open;
    canon_member *members;
    size_t n_out, n_open, n_members, out_room, sorted_room, open_room, members_room;
} canon;

void canon_close(canon *c);
// The spelling of a text of compact JSON, in *out until the next call, or the text itself. 0: no memory.
int canon_spell(canon *c, const uint8_t *text, size_t size, const uint8_t **out, size_t *out_size);
