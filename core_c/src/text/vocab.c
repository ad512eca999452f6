// Reads tokenizer.ggml.* into a vocab. Texts stay in the GGUF; a hash leads from a text to its id.
// Published files have roles with ids that do not exist, and ids with the same text: these are warnings. Arrays of
// unequal length are errors.
#include "vocab.h"
#include <stdio.h>
#include "array.h"

#define KEY "tokenizer.ggml."

// ---- From text to id -----------------------------------------------------------------------------------------------

static const gguf_span NOTHING = {"", 0};

static uint32_t hash_more(uint32_t h, gguf_span text) {
    for (size_t i = 0; i < text.size; i++) h = (h ^ (uint8_t)text.at[i]) * 16777619u;
    return h;
}

static uint32_t hash_of(gguf_span left, gguf_span right) {   // FNV-1a, then a mixer so that the low bits are good
    uint32_t h = hash_more(hash_more(2166136261u, left), right);
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    h = (h ^ h >> 12) * 0x297A2D39u;
    return h ^ h >> 15;
}

static int is_plain(const vocab *v, int32_t id) { return id >= v->n || kind_is_plain(v->kind[id]); }

// The slot that holds the text, or the free one where it belongs; NULL after MAX_PROBES.
static vocab_slot *slot_of(const vocab *v, uint32_t hash, gguf_span left, gguf_span right, int plain) {
    for (uint32_t probe = 0; probe < MAX_PROBES; probe++) {
        vocab_slot *slot = &v->slots[(hash + probe) & v->mask];
        if (slot->id < 0) return slot;
        if (slot->hash != hash || is_plain(v, slot->id) != plain) continue;
        gguf_span text = vocab_text(v, slot->id);
        if (text.size == left.size + right.size && !memcmp(text.at, left.at, left.size) &&
            !memcmp(text.at + left.size, right.at, right.size))
            return slot;
    }
    return NULL;
}

static int32_t find(const vocab *v, gguf_span left, gguf_span right, int plain) {
    const vocab_slot *slot = slot_of(v, hash_of(left, right), left, right, plain);
    return slot ? slot->id : -1;
}

int32_t vocab_find(const vocab *v, const char *at, size_t size) { return find(v, (gguf_span){at, size}, NOTHING, 1); }
int32_t vocab_find_joined(const vocab *v, gguf_span left, gguf_span right) { return find(v, left, right, 1); }
int32_t vocab_find_marker(const vocab *v, const char *at, size_t size) {
    return find(v, (gguf_span){at, size}, NOTHING, 0);
}

static int too_many_collisions(errors *e) {
    return fail(e, GEMEL_E_FORMAT, KEY "tokens: more than %d texts have colliding hashes", MAX_PROBES);
}

// Make the table at least twice as large as the texts in it.
static int slots_room(vocab *v, size_t texts, errors *e) {
    if (v->slots && texts * 2 <= (size_t)v->mask + 1) return 0;
    size_t count = 64;
    while (count < texts * 2) count *= 2;
    vocab_slot *old = v->slots, *slots = array_new(count, sizeof *slots);
    if (!slots) return fail(e, GEMEL_E_MEMORY, "no memory for a table of %zu texts", texts);
    for (size_t i = 0; i < count; i++) slots[i].id = -1;
    size_t old_count = old ? (size_t)v->mask + 1 : 0;
    v->slots = slots;
    v->mask = (uint32_t)(count - 1);
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].id < 0) continue;
        uint32_t probe = 0;
        while (probe < MAX_PROBES && slots[(old[i].hash + probe) & v->mask].id >= 0) probe++;
        if (probe == MAX_PROBES) {
            free(old);
            return too_many_collisions(e);
        }
        slots[(old[i].hash + probe) & v->mask] = old[i];
    }
    free(old);
    return 0;
}

// Add a text of `id`. Returns 0, or 1 when another id had the text, *before: from now on the text leads to `id`.
static int insert(vocab *v, const char *at, size_t size, int32_t id, int32_t *before, errors *e) {
    int rc = slots_room(v, (size_t)v->used + 1, e);
    if (rc) return rc;
    gguf_span text = {at, size};
    uint32_t hash = hash_of(text, NOTHING);
    vocab_slot *slot = slot_of(v, hash, text, NOTHING, is_plain(v, id));
    if (!slot) return too_many_collisions(e);
    *before = slot->id;
    *slot = (vocab_slot){hash, id};
    if (*before >= 0) return 1;
    v->used++;
    return 0;
}

gguf_span vocab_text(const vocab *v, int32_t id) {
    if (id < v->n) return gguf_array_string(v->g, v->tokens, (size_t)id);
    size_t part = (size_t)(id - v->n), start = part ? v->part_end[part - 1] : 0;
    return (gguf_span){v->part_text + start, v->part_end[part] - start};
}

int32_t vocab_add_part(vocab *v, const char *at, size_t size, errors *e) {
    size_t n = (size_t)v->n_parts;
    if (n >= (size_t)INT32_MAX / 2 ||
        !array_room((void **)&v->part_end, n, &v->part_end_room, n + 1, sizeof *v->part_end) ||
        !array_room((void **)&v->part_text, v->part_used, &v->part_room, v->part_used + size, 1))
        return fail(e, GEMEL_E_MEMORY, "no memory for %zu intermediate results of merges", n + 1);
    memcpy(v->part_text + v->part_used, at, size);
    v->part_used += size;
    v->part_end[n] = v->part_used;
    int32_t id = v->n + v->n_parts++, before;
    int rc = insert(v, v->part_text + v->part_used - size, size, id, &before, e);
    return rc < 0 ? rc : id;
}

// ---- From the file -------------------------------------------------------------------------------------------------

static int read_kinds(vocab *v, errors *e) {
    int index, found;
    size_t n;
    memset(v->kind, GEMEL_TOKEN_NORMAL, (size_t)v->n);
    found = gguf_get_array(v->g, KEY "token_type", GGUF_I32, &index, &n, e);
    if (found <= 0) return found;
    if (n != (size_t)v->n)
        return fail(e, GEMEL_E_FORMAT, KEY "token_type has %zu items, but " KEY "tokens has %d", n, v->n);
    for (int32_t id = 0; id < v->n; id++) {
        double kind = gguf_array_number(v->g, index, (size_t)id);
        if (!(kind >= GEMEL_TOKEN_NORMAL && kind <= GEMEL_TOKEN_BYTE))
            return fail(e, GEMEL_E_FORMAT, KEY "token_type[%d] is %.0f; types are %d..%d", id, kind, GEMEL_TOKEN_NORMAL,
                        GEMEL_TOKEN_BYTE);
        v->kind[id] = (uint8_t)kind;
    }
    return 0;
}

// Ids that share their text with another id.
typedef struct twins {
    int32_t n, first, second;   // how many texts; the ids of the first that was found
} twins;

static void note_twin(twins *t, int32_t first, int32_t second) {
    if (!t->n++) t->first = first, t->second = second;
}

static void warn_of_twins(const vocab *v, const twins *t) {
    gguf_span text = vocab_text(v, t->second);
    char more[60] = "";
    if (t->n > 1) snprintf(more, sizeof more, " (and %d more like these)", t->n - 1);
    warn(v->said, KEY "tokens: %d and %d are both '%s'%s: both decode, and the text becomes the last", t->first,
         t->second, printable_name(text.at, text.size).text, more);
}

// Texts of size 0 have ids, but can't be looked up. Of ids with one text, the last is found, as by others who read it
// into a map. Plain texts and markers are looked up separately, so that each may have the text.
static int read_texts(vocab *v, twins *t, errors *e) {
    int rc = slots_room(v, (size_t)v->n, e);
    for (int32_t id = 0; rc >= 0 && id < v->n; id++) {
        gguf_span text = vocab_text(v, id);
        int32_t before;
        if (text.size > v->longest) v->longest = text.size;
        if (!text.size) continue;
        rc = insert(v, text.at, text.size, id, &before, e);
        if (rc == 1) note_twin(t, before, id);
    }
    for (int32_t id = 0; rc >= 0 && id < v->n; id++) {
        if (is_plain(v, id)) continue;
        gguf_span text = vocab_text(v, id);
        int32_t other = text.size ? vocab_find(v, text.at, text.size) : -1;
        if (other >= 0) note_twin(t, id < other ? id : other, id < other ? other : id);
    }
    if (rc >= 0 && t->n) warn_of_twins(v, t);
    return rc < 0 ? rc : 0;
}

// Roles whose ids do not exist, as text: "key is 999, key is -1".
typedef struct strays {
    int n;
    char text[1200];
} strays;

static void note_stray(strays *s, const char *key, double id) {
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof s->text - at, "%s%s is %.0f", s->n++ ? ", " : "", key, id);
}

// The file's id, -1 where no such id exists; *id is unchanged when the file has no such key. A host must give an id
// that exists.
static int read_id(const vocab *v, const char *key, int32_t *id, strays *s, errors *e) {
    uint32_t value;
    double own;
    if (!gguf_is_given(v->g, key) && gguf_own_integer(v->g, key, &own)) {
        int exists = own >= 0 && own < v->n;
        *id = exists ? (int32_t)own : -1;
        if (!exists) note_stray(s, key, own);
        return 1;
    }
    int found = gguf_get_u32(v->g, key, &value, e);
    if (found <= 0) return found;
    if (value >= (uint32_t)v->n) return fail(e, GEMEL_E_FORMAT, "%s is %u; it must be below %d", key, value, v->n);
    *id = (int32_t)value;
    return 1;
}

// Ids of roles that gemel has no use for.
static void check_other_ids(const vocab *v, strays *s) {
    static const char *const keys[] = {KEY "seperator_token_id", KEY "separator_token_id", KEY "mask_token_id",
                                       KEY "cls_token_id",       KEY "prefix_token_id",    KEY "suffix_token_id",
                                       KEY "middle_token_id",    KEY "fim_pre_token_id",   KEY "fim_suf_token_id",
                                       KEY "fim_mid_token_id",   KEY "fim_pad_token_id",   KEY "fim_rep_token_id",
                                       KEY "fim_sep_token_id"};
    double id;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (gguf_own_integer(v->g, keys[i], &id) && !(id >= 0 && id < v->n)) note_stray(s, keys[i], id);
}

static int read_flag(vocab *v, int field, int id_field, const char *key, const char *id_key, errors *e) {
    int on = 0, found = gguf_get_bool(v->g, key, &on, e), is_missing = vocab_role(v, id_field) < 0;
    double own;
    if (found <= 0) return found;
    // An id that does not exist was warned of; the file's flag goes with it.
    if (on && is_missing && gguf_own_integer(v->g, id_key, &own) && !gguf_is_given(v->g, key)) on = 0;
    else if (on && is_missing) return fail(e, GEMEL_E_FORMAT, "%s is true, but %s is missing", key, id_key);
    v->role[field - GEMEL_MODEL_BOS] = on;
    return 0;
}

static int32_t default_id(const vocab *v, int32_t id) { return id < v->n ? id : -1; }

static int read_roles(vocab *v, vocab_defaults d, strays *s, errors *e) {
    // clang-format off
    static const struct { int field; const char *key; } ids[] = {
        {GEMEL_MODEL_BOS, KEY "bos_token_id"}, {GEMEL_MODEL_EOS, KEY "eos_token_id"},
        {GEMEL_MODEL_EOT, KEY "eot_token_id"}, {GEMEL_MODEL_UNK, KEY "unknown_token_id"}};
    // clang-format on
    int32_t start[] = {default_id(v, d.bos), default_id(v, d.eos), -1, default_id(v, d.unk), -1, -1}, unused = -1;
    memcpy(v->role, start, sizeof start);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int found = read_id(v, ids[i].key, &v->role[ids[i].field - GEMEL_MODEL_BOS], s, e);
        if (found < 0) return found;
    }
    const char *own[] = {d.bos_key, d.eos_key};
    for (int i = 0; i < 2; i++) {   // the roles of BOS and EOS are the first two
        int found = own[i] ? read_id(v, own[i], &v->role[i], s, e) : 0;
        if (found < 0) return found;
    }
    int rc = read_flag(v, GEMEL_MODEL_ADD_BOS, GEMEL_MODEL_BOS, KEY "add_bos_token", KEY "bos_token_id", e);
    if (!rc) rc = read_flag(v, GEMEL_MODEL_ADD_EOS, GEMEL_MODEL_EOS, KEY "add_eos_token", KEY "eos_token_id", e);
    if (rc >= 0) rc = read_id(v, KEY "padding_token_id", &unused, s, e);
    check_other_ids(v, s);
    return rc < 0 ? rc : 0;
}

static int has_control(const vocab *v, const char *name) {
    int32_t id = vocab_find_marker(v, name, strlen(name));
    return id >= 0 && v->kind[id] == GEMEL_TOKEN_CONTROL;
}

// A generation ends at the file's EOS, EOT and EOM, and at control tokens known by name to end a turn or a text.
static int read_eog(vocab *v, const twins *t, strays *s, errors *e) {
    // clang-format off
    static const char *const names[] = {
        "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<end_of_turn>", "<|end|>",
        "</s>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
        "<turn|>", "[e~[", "<end_of_utterance>", "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};
    // clang-format on
    int32_t eom = -1;
    int rc = read_id(v, KEY "eom_token_id", &eom, s, e);
    if (rc < 0) return rc;
    // Where <|return|> and <|call|> exist, or <|flush|> and <|calls|>, <|end|> ends a message in the middle of a turn.
    int end_is_inside = (has_control(v, "<|return|>") && has_control(v, "<|call|>")) ||
                        (has_control(v, "<|flush|>") && has_control(v, "<|calls|>"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!has_control(v, names[i]) || (end_is_inside && !strcmp(names[i], "<|end|>"))) continue;
        v->eog[vocab_find_marker(v, names[i], strlen(names[i]))] = 1;
    }
    int32_t ids[] = {vocab_role(v, GEMEL_MODEL_EOS), vocab_role(v, GEMEL_MODEL_EOT), eom};
    for (int i = 0; i < 3; i++)
        if (ids[i] >= 0) v->eog[ids[i]] = 1;
    for (int32_t id = 0; t->n && id < v->n; id++) {   // a marker with the text of another that ends a generation
        gguf_span text = vocab_text(v, id);
        int32_t last = is_plain(v, id) || !text.size ? -1 : vocab_find_marker(v, text.at, text.size);
        if (last >= 0) v->eog[id] |= v->eog[last];
    }
    return 0;
}

int vocab_scores(const vocab *v, const char *model, int *index, errors *e) {
    int found = gguf_find(v->g, KEY "scores");
    size_t n;
    if (found < 0) return fail(e, GEMEL_E_FORMAT, KEY "scores is missing; " KEY "model %s needs it", model);
    int is_float = gemel_gguf_item_type(v->g, found) == GGUF_F32 || gemel_gguf_item_type(v->g, found) == GGUF_F64;
    int rc = gguf_get_array(v->g, KEY "scores", is_float ? GGUF_F32 : GGUF_I32, index, &n, e);
    if (rc < 0) return rc;
    if (n != (size_t)v->n)
        return fail(e, GEMEL_E_FORMAT, KEY "scores has %zu items, but " KEY "tokens has %d", n, v->n);
    for (int32_t id = 0; id < v->n; id++) {
        double score = gguf_array_number(v->g, *index, (size_t)id);
        if (score != score) return fail(e, GEMEL_E_FORMAT, KEY "scores[%d] is NaN", id);
    }
    return 0;
}

static int read_all(vocab *v, vocab_defaults d, errors *e) {
    twins same = {0};
    strays out = {0};
    int rc = read_kinds(v, e);
    if (!rc) rc = read_texts(v, &same, e);
    if (!rc) rc = read_roles(v, d, &out, e);
    if (!rc) rc = read_eog(v, &same, &out, e);
    if (!rc && out.n)
        warn(v->said, "%s, but ids are 0 to %d: %s", out.text, v->n - 1,
             out.n > 1 ? "these count as absent" : "it counts as absent");
    return rc;
}

int vocab_open(vocab *v, const gguf *g, vocab_defaults defaults, errors *e) {
    size_t n;
    v->g = g;
    int found = gguf_get_array(g, KEY "tokens", GGUF_STRING, &v->tokens, &n, e);
    if (found < 0) return found;
    if (!found || !n) return fail(e, GEMEL_E_FORMAT, KEY "tokens is missing or empty");
    if (n > INT32_MAX / 4)
        return fail(e, GEMEL_E_UNSUPPORTED, KEY "tokens has %zu items; at most %d are supported", n, INT32_MAX / 4);
    v->n = (int32_t)n;
    v->kind = array_new(n, 1);
    v->eog = array_zero(n, 1);
    if (!v->kind || !v->eog) return fail(e, GEMEL_E_MEMORY, "no memory for a vocabulary of %zu tokens", n);
    return read_all(v, defaults, e);
}

void vocab_close(vocab *v) {
    free(v->kind);
    free(v->eog);
    free(v->part_text);
    free(v->part_end);
    free(v->slots);
}
