// Items are found by a hash table whose chains have the latest item first, so that items leave it in reverse order.
#include "seen.h"
#include "../text/array.h"

enum { FIRST_TABLE = 64 };

void seen_close(seen *s) {
    free(s->text), free(s->frames), free(s->items), free(s->table), free(s->undo);
    canon_close(&s->canon);
}

void seen_begin(seen *s) {
    s->n_text = s->n_frames = s->n_items = s->n_undo = 0;
    s->in_string = s->is_escaped = 0, s->is_trial = 0;
    if (s->table) memset(s->table, 0, s->n_table * sizeof *s->table);
}

static seen_frame *top(const seen *s) { return s->n_frames ? &s->frames[s->n_frames - 1] : NULL; }

// ---- Items ---------------------------------------------------------------------------------------------------------

static const uint64_t NO_BYTES = 0xcbf29ce484222325u;
static uint64_t hash_more(uint64_t h, uint8_t byte) { return (h ^ byte) * 0x100000001b3u; }
static uint64_t hash_bytes(const uint8_t *at, size_t size) {
    uint64_t h = NO_BYTES;
    for (size_t i = 0; i < size; i++) h = hash_more(h, at[i]);
    return h;
}

static uint32_t *slot_of(const seen *s, uint64_t hash) { return &s->table[(hash ^ hash >> 32) & (s->n_table - 1)]; }

static void link_item(seen *s, uint32_t i) {
    uint32_t *slot = slot_of(s, s->items[i].hash);
    s->items[i].next = *slot, *slot = i + 1;
}

static void drop_items(seen *s, uint32_t n) {
    while (s->n_items > n) {
        const seen_item *last = &s->items[--s->n_items];
        *slot_of(s, last->hash) = last->next;
    }
}

static int room_for_item(seen *s) {
    if (s->n_items == SEEN_ITEMS_MAX ||
        !array_room((void **)&s->items, s->n_items, &s->items_room, (size_t)s->n_items + 1, sizeof *s->items))
        return 0;
    if (s->n_items < s->n_table) return 1;
    uint32_t n = s->n_table ? 2 * s->n_table : FIRST_TABLE, *table = array_zero(n, sizeof *table);
    if (!table) return 0;
    free(s->table);
    s->table = table, s->n_table = n;
    for (uint32_t i = 0; i < s->n_items; i++) link_item(s, i);
    return 1;
}

// The hash of a part of the text, in its canonical spelling. 0: no memory.
static int spell(seen *s, uint32_t at, uint32_t size, const uint8_t **out, size_t *out_size) {
    return canon_spell(&s->canon, s->text + at, size, out, out_size);
}

static int are_equal(seen *s, const seen_item *a, const uint8_t *spelling, size_t spelling_size, uint8_t *kept) {
    const uint8_t *other;
    size_t other_size;
    memcpy(kept, spelling, spelling_size);   // the next spelling overwrites it
    if (!spell(s, a->at, a->size, &other, &other_size)) return -1;
    return other_size == spelling_size && !memcmp(other, kept, other_size);
}

// Whether the item that ends here is in its list already; *hash: its own. -1: no memory.
static int find_item(seen *s, uint64_t *hash) {
    const seen_frame *f = top(s);
    const uint8_t *spelling;
    size_t size;
    uint32_t at = f->start, raw = s->n_text - at;
    if (!spell(s, at, raw, &spelling, &size)) return -1;
    *hash = spelling == s->text + at ? f->hash : hash_bytes(spelling, size);
    for (uint32_t i = s->n_table ? *slot_of(s, *hash) : 0; i; i = s->items[i - 1].next) {
        const seen_item *one = &s->items[i - 1];
        if (one->hash != *hash || one->depth != s->n_frames || i - 1 < f->first) continue;
        if (one->size == raw && !memcmp(s->text + one->at, s->text + at, raw)) return 1;
        uint8_t *kept = array_new(size, 1);
        int is_equal = kept ? are_equal(s, one, spelling, size, kept) : -1;
        free(kept);
        if (is_equal) return is_equal;
        if (!spell(s, at, raw, &spelling, &size)) return -1;
    }
    return 0;
}

// The item that is read ends. Room for it was made.
static int end_item(seen *s) {
    const seen_frame *f = top(s);
    uint64_t hash;
    if (s->n_text == f->start) return 1;
    if (find_item(s, &hash) < 0) return 0;
    s->items[s->n_items] = (seen_item){hash, f->start, s->n_text - f->start, s->n_frames, 0};
    link_item(s, s->n_items++);
    return 1;
}

// ---- Bytes ---------------------------------------------------------------------------------------------------------

static int make_room(seen *s) {
    if (s->n_text == SEEN_TEXT_MAX ||
        !array_room((void **)&s->text, s->n_text, &s->text_room, (size_t)s->n_text + 1, 1))
        return 0;
    if (!array_room((void **)&s->frames, s->n_frames, &s->frames_room, (size_t)s->n_frames + 1, sizeof *s->frames))
        return 0;
    if (!room_for_item(s)) return 0;
    return !s->is_trial ||
           array_room((void **)&s->undo, s->n_undo, &s->undo_room, (size_t)s->n_undo + 1, sizeof *s->undo);
}

static void note(seen *s) {
    if (!s->is_trial) return;
    seen_frame none = {0, 0, 0, 0}, *last = top(s);
    s->undo[s->n_undo++] =
        (seen_undo){last ? *last : none, s->n_frames, s->n_items, s->n_text, s->in_string, s->is_escaped};
}

void seen_back(seen *s, uint32_t n_undo) {
    while (s->n_undo > n_undo) {
        const seen_undo *u = &s->undo[--s->n_undo];
        drop_items(s, u->n_items);
        s->n_frames = u->n_frames, s->n_text = u->n_text;
        s->in_string = u->in_string, s->is_escaped = u->is_escaped;
        if (s->n_frames) *top(s) = u->top;
    }
}

static void put(seen *s, uint8_t byte) {
    if (!seen_is_watched(s)) return;   // the last list closed
    s->text[s->n_text++] = byte;
    top(s)->hash = hash_more(top(s)->hash, byte);
}

static void close_one(seen *s) {
    seen_frame f = *top(s);
    s->n_frames--;
    if (!s->is_trial && f.is_list) drop_items(s, f.first);   // those of a trial stay until it is taken back
    if (!s->is_trial && !s->n_frames) s->n_text = 0;
}

static int read_sign(seen *s, uint8_t byte) {
    int is_end = byte == ']' || byte == ',', in_list = (int)top(s)->is_list;
    if (is_end && in_list && !end_item(s)) return 0;
    if (byte == ']' || byte == '}') close_one(s);
    put(s, byte);
    if (byte == '[' || byte == '{')
        s->frames[s->n_frames++] = (seen_frame){s->n_text, s->n_items, byte == '[', NO_BYTES};
    else if (byte == ',' && in_list) top(s)->start = s->n_text, top(s)->hash = NO_BYTES;
    return 1;
}

int seen_read(seen *s, uint8_t byte) {
    uint64_t hash;
    int is_space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r', ok = 1;
    if (!make_room(s)) return -1;
    note(s);
    if (!seen_is_watched(s)) return 0;
    if (s->in_string) {
        put(s, byte);
        s->in_string = s->is_escaped || byte != '"';
        s->is_escaped = !s->is_escaped && byte == '\\';
    } else if (byte == '"') put(s, byte), s->in_string = 1;
    else if (byte == '[' || byte == ']' || byte == '{' || byte == '}' || byte == ',') ok = read_sign(s, byte);
    else if (!is_space) put(s, byte);
    if (!ok) return -1;
    if (s->in_string || !seen_is_watched(s) || !top(s)->is_list || s->n_text == top(s)->start) return 0;
    return find_item(s, &hash);
}

int seen_watch(seen *s) {
    if (seen_is_watched(s)) return 1;
    if (!make_room(s)) return 0;
    s->frames[s->n_frames++] = (seen_frame){s->n_text, s->n_items, 1, NO_BYTES};
    put(s, '[');
    top(s)->start = s->n_text, top(s)->hash = NO_BYTES;
    return 1;
}

// ---- Saving --------------------------------------------------------------------------------------------------------
// The size of the text, what is open in it, and the text: reading it again makes all the rest.

typedef struct saved_seen {
    uint32_t n_text;
    uint16_t in_string, is_escaped;
} saved_seen;

size_t seen_save(const seen *s, uint8_t *data, size_t capacity) {
    saved_seen h = {s->n_text, s->in_string, s->is_escaped};
    size_t size = (sizeof h + s->n_text + 7) / 8 * 8;
    if (size > capacity) return size;
    memset(data, 0, size);
    memcpy(data, &h, sizeof h);
    if (s->n_text) memcpy(data + sizeof h, s->text, s->n_text);
    return size;
}

static int read_again(seen *s, const uint8_t *text, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = text[i];
        int is_close = !s->in_string && (byte == ']' || byte == '}');
        if (is_close && i && top(s)->is_list != (byte == ']')) return 0;
        if (seen_read(s, byte) < 0 || (!i && (byte != '[' || !seen_watch(s)))) return 0;
        if (!seen_is_watched(s)) return 0;
    }
    return s->n_text == size;   // no space
}

int seen_restore(seen *s, const uint8_t *data, size_t size) {
    saved_seen h;
    if (size < sizeof h) return 0;
    memcpy(&h, data, sizeof h);
    if (h.n_text > SEEN_TEXT_MAX || size != (sizeof h + h.n_text + 7) / 8 * 8) return 0;
    seen_begin(s);
    return read_again(s, data + sizeof h, h.n_text) && s->in_string == h.in_string && s->is_escaped == h.is_escaped;
}
