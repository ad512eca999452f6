// Follows the lists of an answer whose items the grammar compares, byte by byte, so that one may have each item once.
// They are JSON; what is around them may be any text, and is not kept.
#pragma once
#include "canon.h"

enum { SEEN_TEXT_MAX = 1 << 23, SEEN_ITEMS_MAX = 1 << 19 };

typedef struct seen_frame {   // an object or list that is open
    uint32_t start;           // of a list: where the item begins in `text` that is read
    uint32_t first;           // of a list: its first item
    uint32_t is_list;
    uint64_t hash;   // of a list: of the item that is read, unless an object or list is in it
} seen_frame;

typedef struct seen_item {
    uint64_t hash;          // of its canonical spelling
    uint32_t at, size;      // in `text`
    uint32_t depth, next;   // n_frames in its list; 1 + the next item in the table, 0: none
} seen_item;

typedef struct seen_undo {   // what one byte changes
    seen_frame top;
    uint32_t n_frames, n_items, n_text;
    uint8_t in_string, is_escaped;
} seen_undo;

typedef struct seen {
    uint8_t *text;        // of the outermost watched list, without space outside of strings
    seen_frame *frames;   // from that list on; none: no list is watched
    seen_item *items;
    uint32_t *table;   // [n_table] by hash: 1 + the item that came last; 0: none
    seen_undo *undo;
    canon canon;
    size_t text_room, frames_room, items_room, undo_room;
    uint32_t n_text, n_frames, n_items, n_table, n_undo;
    uint8_t in_string, is_escaped;
    int is_trial;   // bytes are read to be taken back
} seen;

void seen_close(seen *s);   // of zeros; one is opened by seen_begin
void seen_begin(seen *s);
// 1: behind this byte, the item of the innermost list is whole, and equal to an earlier one. 0: it is not. -1: there is
// no memory, or the lists are too long; nothing was read.
int seen_read(seen *s, uint8_t byte);
// Watch the list that was opened by the byte before, and all in it. 0: no memory.
int seen_watch(seen *s);
static inline int seen_is_watched(const seen *s) { return s->n_frames > 0; }
// Between `try` and `end_trial`, bytes are taken back by their number.
static inline void seen_try(seen *s) { s->is_trial = 1, s->n_undo = 0; }
void seen_back(seen *s, uint32_t n_undo);   // until n_undo of them are left
static inline void seen_end_trial(seen *s) { seen_back(s, 0), s->is_trial = 0; }

// As bytes, a multiple of 8. Returns how many; writes them when that is at most `capacity`.
size_t seen_save(const seen *s, uint8_t *data, size_t capacity);
int seen_restore(seen *s, const uint8_t *data, size_t size);   // 1: done; 0: the data is wrong, or there is no memory
