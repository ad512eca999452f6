// Copies the text. When an object closes, its members are sorted by their names; of those with one name the last stays.
#include "canon.h"
#include "../text/array.h"

void canon_close(canon *c) { free(c->out), free(c->sorted), free(c->open), free(c->members); }

static canon_open *top(canon *c) { return c->n_open ? &c->open[c->n_open - 1] : NULL; }

static int open_one(canon *c, int is_object) {
    if (!array_room((void **)&c->open, c->n_open, &c->open_room, c->n_open + 1, sizeof *c->open)) return 0;
    c->open[c->n_open++] = (canon_open){c->n_out, c->n_members, c->n_out + 1, 0, is_object};
    return 1;
}

// The member ends before what is written next.
static int end_member(canon *c) {
    canon_open *o = top(c);
    if (c->n_out == o->member) return 1;   // {}
    if (!array_room((void **)&c->members, c->n_members, &c->members_room, c->n_members + 1, sizeof *c->members))
        return 0;
    c->members[c->n_members] = (canon_member){o->member, c->n_out - o->member, o->name_size, c->n_members, NULL};
    c->n_members++;
    return 1;
}

static int by_name(const void *a, const void *b) {
    const canon_member *x = a, *y = b;
    size_t size = x->name_size < y->name_size ? x->name_size : y->name_size;
    int order = size ? memcmp(x->name, y->name, size) : 0;
    if (order) return order;
    if (x->name_size != y->name_size) return x->name_size < y->name_size ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int is_last_of_name(const canon_member *m, const canon_member *end) {
    return m + 1 == end || m[0].name_size != m[1].name_size || memcmp(m[0].name, m[1].name, m[0].name_size) != 0;
}

// Write the members of the object that closes again, in their order.
static int sort_members(canon *c) {
    canon_open *o = top(c);
    canon_member *first = c->members + o->n_members, *end = c->members + c->n_members;
    size_t n = (size_t)(end - first), used = 0;
    if (n < 2) return 1;
    if (!array_room((void **)&c->sorted, 0, &c->sorted_room, c->n_out - o->at, 1)) return 0;
    for (canon_member *m = first; m < end; m++) m->name = c->out + m->at;
    qsort(first, n, sizeof *first, by_name);
    for (canon_member *m = first; m < end; m++) {
        if (!is_last_of_name(m, end)) continue;
        if (used) c->sorted[used++] = ',';
        memcpy(c->sorted + used, c->out + m->at, m->size), used += m->size;
    }
    memcpy(c->out + o->at + 1, c->sorted, used);
    c->n_out = o->at + 1 + used;
    return 1;
}

// A byte outside of strings, before it is written.
static int read_sign(canon *c, uint8_t byte) {
    canon_open *o = top(c);
    if (byte == '{' || byte == '[') return open_one(c, byte == '{');
    if (!o) return 1;
    if (byte == ':' && o->is_object && !o->name_size) o->name_size = c->n_out - o->member;
    if (byte == ',' && o->is_object) {
        if (!end_member(c)) return 0;
        o->member = c->n_out + 1, o->name_size = 0;
    }
    if (byte == '}' && o->is_object && (!end_member(c) || !sort_members(c))) return 0;
    if (byte == '}' || byte == ']') c->n_members = o->n_members, c->n_open--;
    return 1;
}

int canon_spell(canon *c, const uint8_t *text, size_t size, const uint8_t **out, size_t *out_size) {
    int in_string = 0, is_escaped = 0;
    *out = text, *out_size = size;
    if (!size || (text[0] != '{' && text[0] != '[')) return 1;
    if (!array_room((void **)&c->out, 0, &c->out_room, size, 1)) return 0;
    c->n_out = c->n_open = c->n_members = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = text[i];
        if (is_escaped) is_escaped = 0;
        else if (in_string) is_escaped = byte == '\\', in_string = byte != '"';
        else if (byte == '"') in_string = 1;
        else if (!read_sign(c, byte)) return 0;
        c->out[c->n_out++] = byte;
    }
    *out = c->out, *out_size = c->n_out;
    return 1;
}
