// Parts of a grammar, put together by a parser, become rules. A part is a stretch of states and edges with one way in
// and one way out; the last one made can be copied, so that a repetition needs no tree. Refuses rules that never end,
// left recursion, and grammars over the limits.
#pragma once
#include "rules.h"

enum { STATES_MAX = 1 << 18, EDGES_MAX = 1 << 19 };

typedef struct part {
    uint32_t in, out;
    uint32_t first_state, first_edge;   // it has all states and edges from here on, until another part is begun
} part;

enum { EDGE_BYTES, EDGE_SKIP, EDGE_CALL, EDGE_ID, EDGE_NOT_ID };
typedef struct draft_edge {
    uint32_t from, to;
    uint32_t value;   // low | high << 8; an id; a rule
    int kind;
} draft_edge;

typedef struct builder {
    draft_edge *edges;
    size_t n_edges, edges_room;
    uint32_t n_states;
    rule *list;
    const char **names;   // [n_rules] of names_size bytes, in the text that is parsed
    size_t *names_size;
    size_t n_rules, rules_room, names_room, sizes_room;
    int code;   // the first failure: GEMEL_E_MEMORY, or GEMEL_E_GRAMMAR over a limit. Later calls change nothing
} builder;

typedef struct range {
    uint32_t low, high;   // code points
} range;
typedef struct ranges {
    range *at;
    size_t n, room;
} ranges;

void builder_open(builder *b);
void builder_close(builder *b);
// A rule that is called `name`. Returns its number. It needs no definition yet: its start is 0.
uint32_t builder_rule(builder *b, const char *name, size_t size);
void builder_define(builder *b, uint32_t rule);   // gives it a start and an end; outside of parts

part builder_begin(builder *b);   // an empty part: in and out are one state
uint32_t builder_state(builder *b);
void builder_skip(builder *b, uint32_t from, uint32_t to);
void builder_bytes(builder *b, uint32_t from, uint32_t to, uint8_t low, uint8_t high);
// Make a part longer.
void builder_add_byte(builder *b, part *p, uint8_t byte);
void builder_add_code(builder *b, part *p, uint32_t code);
// Parts of one item.
part builder_call(builder *b, uint32_t rule);
part builder_id(builder *b, int32_t id, int is_negated);
part builder_chars(builder *b, ranges *of, int is_negated);   // no character is left: in == out
// Repeat the part that was made last; most 0: without limit is `is_open`.
part builder_repeat(builder *b, part p, uint32_t least, uint32_t most, int is_open);

int ranges_add(ranges *of, uint32_t low, uint32_t high);   // 0: no memory
// The sentence of b->code.
int builder_failed(const builder *b, errors *e);
// Rule 0 is the root. `r` is zero; close it also on an error.
int builder_finish(builder *b, rules *r, errors *e);
