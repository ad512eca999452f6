// The GGUF reader: what it reads, in pieces of any size; what it refuses, and with which message; mutations of a header
// cause nothing worse than an error.
#include "check.h"
#include "../../core_c/src/file/gguf.h"
#include "../../core_c/src/file/gguf_read.h"
#include <stdlib.h>

typedef struct file {
    uint8_t bytes[1 << 16];
    size_t size;
} file;   // a GGUF file under construction

static void put(file *f, const void *data, size_t size) {
    memcpy(f->bytes + f->size, data, size);
    f->size += size;
}

static void put_int(file *f, uint64_t value, int size) {
    for (int i = 0; i < size; i++) f->bytes[f->size++] = (uint8_t)(value >> 8 * i);
}

static void put_text(file *f, const char *text) {
    put_int(f, strlen(text), 8);
    put(f, text, strlen(text));
}

static void put_key(file *f, const char *key, int type) {
    put_text(f, key);
    put_int(f, (uint64_t)type, 4);
}

static void put_array(file *f, const char *key, int item_type, uint64_t count) {
    put_key(f, key, GGUF_ARRAY);
    put_int(f, (uint64_t)item_type, 4);
    put_int(f, count, 8);
}

static void put_start(file *f, int version, uint64_t n_tensors, uint64_t n_kv) {
    f->size = 0;
    put(f, "GGUF", 4);
    put_int(f, (uint64_t)version, 4);
    put_int(f, n_tensors, 8);
    put_int(f, n_kv, 8);
}

static void put_tensor(file *f, const char *name, int type, int n_dims, const uint64_t *ne, uint64_t offset) {
    put_text(f, name);
    put_int(f, (uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims; i++) put_int(f, ne[i], 8);
    put_int(f, (uint64_t)type, 4);
    put_int(f, offset, 8);
}

static void put_padding(file *f, size_t alignment) {
    while (f->size % alignment) f->bytes[f->size++] = 0;
}

enum { N_SAMPLE_KV = 17, SAMPLE_DATA = 192 };

// Every value type, three arrays, two tensors. Returns the header's size.
static size_t put_sample(file *f) {
    float small = 1.5f;
    double wide = 1e-300, pair[2] = {0.25, -2};
    put_start(f, 3, 2, N_SAMPLE_KV);
    put_key(f, "u8", GGUF_U8), put_int(f, 200, 1);
    put_key(f, "i8", GGUF_I8), put_int(f, (uint64_t)-2, 1);
    put_key(f, "u16", GGUF_U16), put_int(f, 65535, 2);
    put_key(f, "i16", GGUF_I16), put_int(f, (uint64_t)-300, 2);
    put_key(f, "u32", GGUF_U32), put_int(f, 4294967295u, 4);
    put_key(f, "i32", GGUF_I32), put_int(f, 7, 4);
    put_key(f, "f32", GGUF_F32), put(f, &small, 4);
    put_key(f, "yes", GGUF_BOOL), put_int(f, 1, 1);
    put_key(f, "text", GGUF_STRING), put_text(f, "h\xC3\xA9llo");
    put_key(f, "u64", GGUF_U64), put_int(f, ((uint64_t)1 << 53) + 1, 8);
    put_key(f, "i64", GGUF_I64), put_int(f, (uint64_t)-5, 8);
    put_key(f, "f64", GGUF_F64), put(f, &wide, 8);
    put_array(f, "words", GGUF_STRING, 3), put_text(f, "one"), put_text(f, ""), put_text(f, "three");
    put_array(f, "numbers", GGUF_I32, 3), put_int(f, 1, 4), put_int(f, (uint64_t)-1, 4), put_int(f, 70000, 4);
    put_array(f, "doubles", GGUF_F64, 2), put(f, pair, 16);
    put_array(f, "none", GGUF_STRING, 0);
    put_key(f, "general.alignment", GGUF_U32), put_int(f, 64, 4);
    put_tensor(f, "a.weight", 3, 2, (uint64_t[]){64, 3}, 0);   // Q4_1: 2 x 3 blocks of 20 bytes
    put_tensor(f, "b.weight", 0, 1, (uint64_t[]){16}, 128);    // F32: 64 bytes
    put_padding(f, 64);
    size_t header = f->size;
    for (int i = 0; i < SAMPLE_DATA; i++) f->bytes[f->size++] = (uint8_t)i;
    return header;
}

static char message[1024];
static errors listener = {message, sizeof message};

// Feed bytes[0..size) of a file of file_size in pieces of `piece`: 1 and *out, 0 for more, or an error.
static int parse(const uint8_t *bytes, size_t size, uint64_t file_size, size_t piece, gguf **out, size_t *taken) {
    message[0] = 0;
    *taken = 0;
    int code = gguf_open(out, file_size, &listener);
    while (code == 0 && *taken < size) {
        size_t part = size - *taken < piece ? size - *taken : piece, used = 0;
        uint8_t *copy = malloc(part);   // a separate allocation, so that a sanitizer sees a read past its end
        memcpy(copy, bytes + *taken, part);
        code = gguf_feed(*out, copy, part, &used, &listener);
        free(copy);
        *taken += used;
        if (code == 0 && used != part) check_note(__FILE__, __LINE__, "a header that wants more left bytes behind");
    }
    return code;
}

static int code_of(const file *f) {
    gguf *g = NULL;
    size_t taken;
    int code = parse(f->bytes, f->size, f->size, f->size, &g, &taken);
    gguf_close(g);
    return code;
}

// The file is refused as malformed, with a message that contains all the parts.
#define REFUSED(f, ...) refused(__LINE__, f, (const char *[]){__VA_ARGS__, NULL})
static void refused(int line, const file *f, const char **parts) {
    int code = code_of(f), as_wanted = code == GEMEL_E_FORMAT;
    for (; *parts; parts++) as_wanted &= strstr(message, *parts) != NULL;
    if (as_wanted) return;
    char text[1200];
    snprintf(text, sizeof text, "code %d, \"%s\"", code, message);
    check_note(__FILE__, line, text);
}

// ---- Reading -------------------------------------------------------------------------------------------------------

static void check_sample_values(const gguf *g) {
    uint32_t u = 0;
    float f = 0;
    int b = 0;
    gguf_span s = {0};
    CHECK_EQ_INT(gguf_get_u32(g, "u8", &u, &listener), 1), CHECK_EQ_INT(u, 200);
    CHECK_EQ_INT(gguf_get_u32(g, "u32", &u, &listener), 1), CHECK_EQ_INT(u, 4294967295u);
    CHECK_EQ_INT(gguf_get_u32(g, "i32", &u, &listener), 1), CHECK_EQ_INT(u, 7);
    CHECK_EQ_INT(gguf_get_u32(g, "absent", &u, &listener), 0);
    CHECK_EQ_INT(gguf_get_u32(g, "i16", &u, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_STR(message, "key \"i16\" is -300; it must be 0 to 4294967295");
    CHECK_EQ_INT(gguf_get_u32(g, "u64", &u, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_u32(g, "words", &u, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_STR(message, "key \"words\" is an array of STRING; it must be an integer");
    CHECK_EQ_INT(gguf_get_f32(g, "f32", &f, &listener), 1), CHECK(f == 1.5f);
    CHECK_EQ_INT(gguf_get_f32(g, "f64", &f, &listener), 1);
    CHECK_EQ_INT(gguf_get_f32(g, "u8", &f, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_bool(g, "yes", &b, &listener), 1), CHECK_EQ_INT(b, 1);
    CHECK_EQ_INT(gguf_get_bool(g, "u8", &b, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_string(g, "text", &s, &listener), 1), CHECK(s.size == 6 && !memcmp(s.at, "h\xC3\xA9llo", 6));
    CHECK_EQ_INT(gguf_get_string(g, "u8", &s, &listener), GEMEL_E_FORMAT);
}

static void check_sample_arrays(const gguf *g) {
    int i = -1;
    size_t n = 0;
    CHECK_EQ_INT(gguf_get_array(g, "words", GGUF_STRING, &i, &n, &listener), 1), CHECK_EQ_INT(n, 3);
    CHECK(gguf_array_string(g, i, 0).size == 3 && gguf_array_string(g, i, 1).size == 0);
    CHECK(gguf_array_string(g, i, 2).size == 5 && !memcmp(gguf_array_string(g, i, 2).at, "three", 5));
    CHECK_EQ_INT(gguf_get_array(g, "numbers", GGUF_I32, &i, &n, &listener), 1), CHECK_EQ_INT(n, 3);
    CHECK(gguf_array_number(g, i, 1) == -1 && gguf_array_number(g, i, 2) == 70000);
    CHECK_EQ_INT(gguf_get_array(g, "numbers", GGUF_I64, &i, &n, &listener), 1);
    CHECK_EQ_INT(gguf_get_array(g, "numbers", GGUF_U32, &i, &n, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_STR(message, "key \"numbers\": item 1 is -1, which doesn't fit U32");
    CHECK_EQ_INT(gguf_get_array(g, "numbers", GGUF_I16, &i, &n, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_array(g, "numbers", GGUF_STRING, &i, &n, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_array(g, "u32", GGUF_U32, &i, &n, &listener), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_get_array(g, "doubles", GGUF_F32, &i, &n, &listener), 1);
    CHECK(gguf_array_number(g, i, 0) == 0.25 && gguf_array_number(g, i, 1) == -2);
    CHECK_EQ_INT(gguf_get_array(g, "none", GGUF_STRING, &i, &n, &listener), 1), CHECK_EQ_INT(n, 0);
}

static void check_sample_tensors(const gguf *g, size_t header) {
    CHECK_EQ_INT(gguf_n_tensors(g), 2);
    int ia = gguf_tensor_find(g, "a.weight"), ib = gguf_tensor_find(g, "b.weight");
    const gguf_tensor *a = gguf_tensor_at(g, ia), *b = gguf_tensor_at(g, ib);
    CHECK(gguf_tensor_find(g, "c.weight") == -1 && gguf_tensor_find(g, "a.weigh") == -1);
    CHECK(a == gguf_tensor_at(g, 0) && b == gguf_tensor_at(g, 1));
    CHECK_EQ_INT(a->n_dims, 2), CHECK_EQ_INT(a->ne[0], 64), CHECK_EQ_INT(a->ne[1], 3), CHECK_EQ_INT(a->ne[3], 1);
    CHECK_EQ_INT(a->type, 3), CHECK_EQ_INT(a->size, 120), CHECK_EQ_INT(a->offset, header);
    CHECK_EQ_INT(b->size, 64), CHECK_EQ_INT(b->offset, header + 128);
    CHECK(b->name.size == 8 && !memcmp(b->name.at, "b.weight", 8));
}

static void values_are_read_whatever_the_pieces(void) {
    static file f;
    size_t header = put_sample(&f), pieces[] = {1, 2, 3, 7, 64, 1000, sizeof f.bytes};
    uint64_t fingerprint = 0xCBF29CE484222325u;
    for (size_t i = 0; i < header; i++) fingerprint = (fingerprint ^ f.bytes[i]) * 0x100000001B3u;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        gguf *g = NULL;
        size_t taken;
        CHECK_EQ_INT(parse(f.bytes, f.size, f.size, pieces[i], &g, &taken), 1);
        CHECK_EQ_STR(message, "");
        CHECK_EQ_INT(taken, header);
        CHECK_EQ_INT(gguf_header_size(g), header);
        CHECK(gguf_fingerprint(g) == fingerprint);
        check_sample_values(g);
        check_sample_arrays(g);
        check_sample_tensors(g, header);
        size_t used = 1;
        CHECK_EQ_INT(gguf_feed(g, f.bytes, f.size, &used, &listener), 1), CHECK_EQ_INT(used, 0);
        gguf_close(g);
    }
}

static void hosts_see_the_same_through_gemel_h(void) {
    static file f;
    size_t header = put_sample(&f), taken, size;
    gguf *g = NULL;
    CHECK_EQ_INT(parse(f.bytes, f.size, f.size, 11, &g, &taken), 1);
    CHECK_EQ_INT(gemel_gguf_version(g), 3);
    CHECK(gemel_gguf_data_offset(g) == (double)header);
    CHECK_EQ_INT(gemel_gguf_n_kv(g), N_SAMPLE_KV);
    double number = 0, ne[4];
    int exact = -1, i = gemel_gguf_find(g, "u64", 3);
    CHECK_EQ_INT(gemel_gguf_number(g, i, 0, &number, &exact), 0), CHECK(exact == 0 && number == 9007199254740992.0);
    CHECK_EQ_INT(gemel_gguf_number(g, gemel_gguf_find(g, "i64", 3), 0, &number, &exact), 0);
    CHECK(exact == 1 && number == -5);
    CHECK_EQ_INT(gemel_gguf_number(g, i, 1, &number, &exact), GEMEL_E_ARGUMENT);
    i = gemel_gguf_find(g, "words", 5);
    CHECK_EQ_INT(gemel_gguf_type(g, i), GGUF_ARRAY), CHECK_EQ_INT(gemel_gguf_item_type(g, i), GGUF_STRING);
    CHECK(gemel_gguf_count(g, i) == 3);
    CHECK(!memcmp(gemel_gguf_string(g, i, 2, &size), "three", 5)), CHECK_EQ_INT(size, 5);
    CHECK(gemel_gguf_string(g, i, 3, &size) == NULL), CHECK_EQ_INT(size, 0);
    CHECK_EQ_INT(gemel_gguf_number(g, i, 0, &number, &exact), GEMEL_E_ARGUMENT);
    CHECK(!memcmp(gemel_gguf_key(g, i, &size), "words", 5)), CHECK_EQ_INT(size, 5);
    CHECK_EQ_INT(gemel_gguf_find(g, "word", 4), -1);
    CHECK(gemel_gguf_key(g, N_SAMPLE_KV, &size) == NULL && gemel_gguf_key(g, -1, &size) == NULL);
    CHECK_EQ_INT(gemel_gguf_type(g, -1), GEMEL_E_ARGUMENT);
    CHECK_EQ_INT(gemel_gguf_tensor_dims(g, 0, ne), 2), CHECK(ne[0] == 64 && ne[1] == 3 && ne[2] == 1 && ne[3] == 1);
    CHECK_EQ_INT(gemel_gguf_tensor_type(g, 0), 3);
    CHECK(gemel_gguf_tensor_size(g, 1) == 64 && gemel_gguf_tensor_offset(g, 1) == (double)header + 128);
    CHECK_EQ_INT(gemel_gguf_tensor_type(g, 2), GEMEL_E_ARGUMENT);
    gguf_close(g);
}

static void a_file_without_tensors_is_whole(void) {
    static file f;
    put_start(&f, 2, 0, 1);
    put_key(&f, "k", GGUF_U8), put_int(&f, 1, 1);
    CHECK_EQ_INT(code_of(&f), 1);
    put_start(&f, 3, 0, 0);
    CHECK_EQ_INT(code_of(&f), 1);
}

// ---- Refusing ------------------------------------------------------------------------------------------------------

static void what_is_not_gguf_is_named(void) {
    static file f;
    put_start(&f, 3, 0, 0);
    memcpy(f.bytes, "GGUX", 4);
    REFUSED(&f, "at offset 0", "not a GGUF file", "47 47 55 58");
    memcpy(f.bytes, "vers", 4);
    REFUSED(&f, "Git LFS");
    memcpy(f.bytes, "tjgg", 4);
    REFUSED(&f, "from before GGUF");
    f.size = 3;
    REFUSED(&f, "needs 4 bytes, but the file has 3 left");
    put_start(&f, 0, 0, 0);
    REFUSED(&f, "version 0");
    put_start(&f, 4, 0, 0);
    REFUSED(&f, "version 4", "versions 2 and 3");
    put_start(&f, 1, 0, 0);
    CHECK_EQ_INT(code_of(&f), GEMEL_E_UNSUPPORTED), CHECK(strstr(message, "version 1") != NULL);
    put_start(&f, 0x03000000, 0, 0);
    CHECK_EQ_INT(code_of(&f), GEMEL_E_UNSUPPORTED), CHECK(strstr(message, "big-endian") != NULL);
    f.size = 0;
    REFUSED(&f, "empty");
}

static void claims_that_the_file_cannot_hold_are_refused_immediately(void) {
    static file f;
    put_start(&f, 3, (uint64_t)1 << 60, 0);
    REFUSED(&f, "1152921504606846976 tensors");
    put_start(&f, 3, 0, UINT64_MAX);
    REFUSED(&f, "18446744073709551615 keys");
    put_start(&f, 3, 0, 1), put_int(&f, UINT64_MAX, 8), put_int(&f, 0, 8);
    REFUSED(&f, "at offset 24", "a key has 18446744073709551615 bytes");
    put_start(&f, 3, 0, 1), put_key(&f, "k", GGUF_STRING), put_int(&f, (uint64_t)1 << 40, 8), put_int(&f, 0, 8);
    REFUSED(&f, "at offset 45, key \"k\"", "the string needs 1099511627776 bytes");
    put_start(&f, 3, 0, 1), put_array(&f, "k", GGUF_U64, (uint64_t)1 << 61), put_int(&f, 0, 8);
    REFUSED(&f, "key \"k\"", "2305843009213693952 array items");
    put_start(&f, 3, 0, 1), put_array(&f, "k", GGUF_STRING, 2), put_text(&f, "");
    REFUSED(&f, "key \"k\"", "2 array items of 8 bytes");
}

static void sparse_files_do_not_make_endless_headers(void) {
    static file f;
    gguf *g = NULL;
    size_t taken;
    put_start(&f, 3, 0, 1), put_array(&f, "k", GGUF_STRING, (uint64_t)1 << 40);
    CHECK_EQ_INT(parse(f.bytes, f.size, (uint64_t)1 << 50, 4096, &g, &taken), GEMEL_E_FORMAT);
    CHECK(strstr(message, "256 MiB") != NULL);
    gguf_close(g);
    put_start(&f, 3, 0, 1), put_key(&f, "k", GGUF_STRING), put_int(&f, (uint64_t)1 << 40, 8);
    CHECK_EQ_INT(parse(f.bytes, f.size, (uint64_t)1 << 50, 4096, &g, &taken), GEMEL_E_FORMAT);
    CHECK(strstr(message, "sparse") != NULL);
    gguf_close(g);
}

static void metadata_that_breaks_the_format_names_its_key(void) {
    static file f;
    put_start(&f, 3, 0, 1), put_key(&f, "", GGUF_U8), put_int(&f, 1, 2);
    REFUSED(&f, "at offset 24", "a key is empty");
    put_start(&f, 3, 0, 1), put_key(&f, "kee", 13), put_int(&f, 0, 8);
    REFUSED(&f, "at offset 35, key \"kee\"", "value type 13");
    put_start(&f, 3, 0, 1), put_array(&f, "k", 13, 1), put_int(&f, 0, 8);
    REFUSED(&f, "key \"k\"", "array item type 13");
    put_start(&f, 3, 0, 1), put_array(&f, "k", GGUF_ARRAY, 1), put_array(&f, "", GGUF_U8, 0);
    REFUSED(&f, "key \"k\"", "array of arrays");
    put_start(&f, 3, 0, 1), put_key(&f, "k", GGUF_BOOL), put_int(&f, 2, 1);
    REFUSED(&f, "key \"k\"", "a boolean must be 0 or 1");
    put_start(&f, 3, 0, 3);
    for (int i = 0; i < 3; i++) put_key(&f, i == 1 ? "j" : "k", GGUF_U8), put_int(&f, 1, 1);
    REFUSED(&f, "key \"k\" appears twice, at offsets 32 and 60");
    put_start(&f, 3, 0, 1), put_int(&f, 3, 8), put(&f, "a\0b", 3), put_int(&f, 0, 8);
    REFUSED(&f, "key \"a\\x00b\"", "NUL");
    put_start(&f, 3, 0, 1), put_key(&f, "general.alignment", GGUF_U32), put_int(&f, 24, 4);
    REFUSED(&f, "general.alignment", "24");
    put_start(&f, 3, 0, 1), put_key(&f, "general.alignment", GGUF_U64), put_int(&f, 32, 8);
    REFUSED(&f, "general.alignment", "of type U64; it must be U32");
    put_start(&f, 3, 0, 1), put_int(&f, 70000, 8), put_int(&f, 0, 8);
    REFUSED(&f, "a key has 70000 bytes; at most 65535");
}

// A file of one tensor, of whatever shape, and 256 bytes of data.
static void put_one(file *f, const char *name, int type, int n_dims, const uint64_t *ne, uint64_t offset) {
    put_start(f, 3, 1, 0);
    put_tensor(f, name, type, n_dims, ne, offset);
    put_padding(f, 32);
    memset(f->bytes + f->size, 0, 256);
    f->size += 256;
}

static void tensors_that_break_the_format_are_named(void) {
    static file f;
    uint64_t big = (uint64_t)1 << 32;
    put_one(&f, "ok", 0, 1, (uint64_t[]){64}, 0);
    CHECK_EQ_INT(code_of(&f), 1);
    put_one(&f, "", 0, 1, (uint64_t[]){64}, 0);
    REFUSED(&f, "name is empty");
    put_one(&f, "x", 0, 0, NULL, 0);
    REFUSED(&f, "tensor \"x\"", "0 dimensions");
    put_one(&f, "x", 0, 5, (uint64_t[]){1, 1, 1, 1, 1}, 0);
    REFUSED(&f, "tensor \"x\"", "5 dimensions");
    put_one(&f, "x", 0, 2, (uint64_t[]){64, 0}, 0);
    REFUSED(&f, "tensor \"x\"", "ne[1] is 0");
    put_one(&f, "x", 0, 4, (uint64_t[]){big, big, big, big}, 0);
    REFUSED(&f, "tensor \"x\"", "64 bits");
    put_one(&f, "x", 0, 2, (uint64_t[]){big, big >> 1}, 0);
    REFUSED(&f, "tensor \"x\"", "64 bits");
    put_one(&f, "x", 3, 1, (uint64_t[]){48}, 0);
    REFUSED(&f, "tensor \"x\"", "ne[0] is 48", "Q4_1", "32");
    for (int type = 63; type < 66; type++) {
        put_one(&f, "x", type, 1, (uint64_t[]){32}, 0);
        REFUSED(&f, "tensor \"x\"", "tensor type 6");
    }
    put_one(&f, "x", -1, 1, (uint64_t[]){32}, 0);
    REFUSED(&f, "tensor \"x\"", "tensor type 4294967295");
    put_one(&f, "x", 0, 1, (uint64_t[]){32}, 16);
    REFUSED(&f, "tensor \"x\"", "data offset 16", "alignment, 32");
}

static void tensors_outside_the_file_or_over_each_other_are_refused(void) {
    static file f;
    put_one(&f, "x", 0, 1, (uint64_t[]){65}, 0);
    REFUSED(&f, "truncated", "tensor \"x\" needs bytes 64..324, but the file has 320");
    put_one(&f, "x", 0, 1, (uint64_t[]){32}, 160);
    REFUSED(&f, "truncated", "tensor \"x\" needs bytes 224..352, but the file has 320");
    put_one(&f, "x", 0, 1, (uint64_t[]){32}, UINT64_MAX - 31);
    REFUSED(&f, "tensor \"x\"", "does not fit 64 bits");
    put_start(&f, 3, 2, 0);
    put_tensor(&f, "x", 0, 1, (uint64_t[]){32}, 32), put_tensor(&f, "y", 0, 1, (uint64_t[]){9}, 0);
    put_padding(&f, 32), f.size += 256;
    REFUSED(&f, "\"y\" (bytes 96..132) and \"x\" (from byte 128 on) overlap");
    put_start(&f, 3, 2, 0);
    put_tensor(&f, "x", 0, 1, (uint64_t[]){32}, 0), put_tensor(&f, "x", 0, 1, (uint64_t[]){32}, 128);
    put_padding(&f, 32), f.size += 256;
    REFUSED(&f, "tensor \"x\" appears twice");
}

static void names_are_made_printable(void) {
    CHECK_EQ_STR(printable_name("blk.0 \"q\"", 9).text, "blk.0 \"q\"");
    CHECK_EQ_STR(printable_name("a\n\x1B[31m\x7F", 8).text, "a\\x0A\\x1B[31m\\x7F");
    static const char whole[] = "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";   // characters of 2, 3 and 4 bytes
    CHECK_EQ_STR(printable_name(whole, 9).text, whole);
    CHECK_EQ_STR(printable_name("\xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80\xC3", 10).text,
                 "\\xC0\\xAF\\xED\\xA0\\x80\\xF4\\x90\\x80\\x80\\xC3");
    CHECK_EQ_STR(printable_name("\xE2\x80\xAE"
                                "x",
                                4)
                     .text,
                 "\\xE2\\x80\\xAEx");   // right-to-left override
    char bad[70];
    memset(bad, 0xFF, sizeof bad);
    CHECK_EQ_INT(strlen(printable_name(bad, 70).text), 64 * 4 + 3);
    CHECK_EQ_INT(strlen(printable_name(bad, 64).text), 64 * 4);
}

static void sentences_are_cut_at_whole_characters(void) {
    char text[8];
    for (size_t size = 1; size <= sizeof text; size++) {
        errors e = {text, size};
        memset(text, '#', sizeof text);
        CHECK_EQ_INT(fail(&e, GEMEL_E_STATE, "%s", "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), GEMEL_E_STATE);
        static const size_t kept[] = {0, 0, 1, 1, 3, 3, 3, 6, 6};   // by size; 1, 3, 6 and 10 are the characters' ends
        CHECK_EQ_INT(strlen(text), kept[size]);
    }
    errors ignored = {text, 0};
    text[0] = '#';
    CHECK_EQ_INT(fail(&ignored, -7, "x"), -7), CHECK_EQ_INT(text[0], '#');
}

// ---- Everything ----------------------------------------------------------------------------------------------------

static void every_truncation_is_an_error_or_waits_for_more(void) {
    static file f;
    size_t header = put_sample(&f), taken;
    for (size_t cut = 0; cut < f.size; cut++) {
        gguf *g = NULL;
        int code = parse(f.bytes, cut, cut, 5, &g, &taken);   // the file ends here
        CHECK_EQ_INT(code, GEMEL_E_FORMAT);
        CHECK(message[0] != 0);
        gguf_close(g);
        code = parse(f.bytes, cut, f.size, 5, &g, &taken);   // the rest is still to come
        CHECK_EQ_INT(code, cut >= header);
        gguf_close(g);
    }
}

static void touch_everything(const gguf *g) {
    volatile double sum = 0;
    double value;
    size_t size;
    int exact;
    for (int i = 0; i < gemel_gguf_n_kv(g); i++) {
        const char *key = gemel_gguf_key(g, i, &size);
        CHECK_EQ_INT(gemel_gguf_find(g, key, size), i);
        for (size_t j = 0; j < (size_t)gemel_gguf_count(g, i); j++) {
            const char *text = gemel_gguf_string(g, i, j, &size);
            for (size_t k = 0; k < size; k++) sum += text[k];
            if (gemel_gguf_number(g, i, j, &value, &exact) == 0) sum += value;
        }
    }
    for (int i = 0; i < gguf_n_tensors(g); i++) sum += (double)gguf_tensor_at(g, i)->name.at[0];
}

static void mutations_do_no_worse_than_an_error(void) {
    static file original, f;
    size_t header = put_sample(&original), taken;
    uint64_t rng = 1;
    int n_whole = 0;
    for (int round = 0; round < 20000; round++) {
        f = original;
        for (uint64_t n = 1 + check_random(&rng) % 3; n-- > 0;) {
            size_t at = check_random(&rng) % header;
            uint64_t how = check_random(&rng);
            f.bytes[at] = how & 1 ? (uint8_t)(how >> 8) : f.bytes[at] ^ (uint8_t)(1u << (how >> 8 & 7));
        }
        gguf *g = NULL;
        int code = parse(f.bytes, f.size, f.size, 1 + check_random(&rng) % 200, &g, &taken);
        CHECK(code == 1 || code == GEMEL_E_FORMAT || code == GEMEL_E_UNSUPPORTED);
        CHECK((code == 1) == (message[0] == 0));
        if (code == 1) touch_everything(g), n_whole++;
        gguf_close(g);
    }
    CHECK(n_whole > 100 && n_whole < 19900);
}

static void a_refused_header_stays_refused(void) {
    static file f;
    gguf *g = NULL;
    size_t taken, used;
    put_start(&f, 9, 0, 0);
    CHECK_EQ_INT(parse(f.bytes, f.size, f.size, 100, &g, &taken), GEMEL_E_FORMAT);
    CHECK_EQ_INT(gguf_feed(g, f.bytes, f.size, &used, &listener), GEMEL_E_ARGUMENT);
    gguf_close(g);
    gguf_close(NULL);
}

static void many_names_are_told_apart(void) {
    enum { N = 100000 };
    size_t size = 24, capacity = 24 + (size_t)N * 32, taken;
    uint8_t *bytes = malloc(capacity);
    static file f;
    put_start(&f, 3, 0, N);
    memcpy(bytes, f.bytes, 24);
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i * 7 % N);
        f.size = 0;
        put_key(&f, key, GGUF_U32), put_int(&f, (uint64_t)i, 4);
        memcpy(bytes + size, f.bytes, f.size);
        size += f.size;
    }
    gguf *g = NULL;
    uint32_t value = 0;
    CHECK_EQ_INT(parse(bytes, size, size, 1 << 16, &g, &taken), 1);
    CHECK_EQ_INT(gguf_get_u32(g, "7", &value, &listener), 1), CHECK_EQ_INT(value, 1);
    CHECK_EQ_INT(gguf_get_u32(g, "99993", &value, &listener), 1), CHECK_EQ_INT(value, N - 1);
    gguf_close(g);
    free(bytes);
}

int main(int argc, char **argv) {
    static const check table[] = {
        CHECK_ENTRY(values_are_read_whatever_the_pieces),
        CHECK_ENTRY(hosts_see_the_same_through_gemel_h),
        CHECK_ENTRY(a_file_without_tensors_is_whole),
        CHECK_ENTRY(what_is_not_gguf_is_named),
        CHECK_ENTRY(claims_that_the_file_cannot_hold_are_refused_immediately),
        CHECK_ENTRY(sparse_files_do_not_make_endless_headers),
        CHECK_ENTRY(metadata_that_breaks_the_format_names_its_key),
        CHECK_ENTRY(tensors_that_break_the_format_are_named),
        CHECK_ENTRY(tensors_outside_the_file_or_over_each_other_are_refused),
        CHECK_ENTRY(names_are_made_printable),
        CHECK_ENTRY(sentences_are_cut_at_whole_characters),
        CHECK_ENTRY(every_truncation_is_an_error_or_waits_for_more),
        CHECK_ENTRY(mutations_do_no_worse_than_an_error),
        CHECK_ENTRY(a_refused_header_stays_refused),
        CHECK_ENTRY(many_names_are_told_apart),
    };
    return check_main(table, sizeof table / sizeof *table, argc, argv);
}
