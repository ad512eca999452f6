// gemel: run GGUF language models on a CPU. The whole public API; a host reads this file and no other.
//
//   bytes -> gemel_loader -> gemel_model (immutable, shared) -> gemel_session (one mutable timeline) -> ids, text
//
// Calling rules. Handles are opaque. `open` calls return a code and fill *out; `close` accepts NULL. Scalars and flat
// arrays only. 0 or a count on success, a negative gemel_error otherwise. A value out of range is GEMEL_E_ARGUMENT,
// never a clamp. Calls that read foreign bytes take `err`, which receives one sentence (UTF-8, always terminated)
// saying what is wrong and where. File sizes and offsets are doubles: exact integers up to 2^53 that any host can pass.
// Text is UTF-8 with a length, and may hold any byte. Nothing here prints, exits, aborts or reads the environment.
//
// Threads. A model may be used by many threads at once; its calls that compute take turns on its pool of threads, which
// several models may share.
// A session, a sampler or a loader belongs to one thread at a time; only gemel_session_cancel may come from another.
#ifndef GEMEL_H
#define GEMEL_H
#include <stddef.h>
#include <stdint.h>

#if defined _WIN32
#define GEMEL_API __declspec(dllexport)
#else
#define GEMEL_API __attribute__((visibility("default"), used))
#endif

#define GEMEL_ABI 4

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gemel_loader gemel_loader;
typedef struct gemel_gguf gemel_gguf;
typedef struct gemel_model gemel_model;
typedef struct gemel_session gemel_session;
typedef struct gemel_sampler gemel_sampler;
typedef struct gemel_threads gemel_threads;

typedef enum gemel_error {
    GEMEL_OK = 0,
    GEMEL_E_ARGUMENT = -1,     // a value out of range, a handle in the wrong state
    GEMEL_E_MEMORY = -2,       // the allocator said no
    GEMEL_E_FORMAT = -3,       // the file is malformed
    GEMEL_E_UNSUPPORTED = -4,  // well formed, but not supported
    GEMEL_E_CONTEXT = -5,      // more tokens than n_ctx
    GEMEL_E_CANCELLED = -6,    // gemel_session_cancel was called
    GEMEL_E_NUMERIC = -7,      // a pass met NaN, Inf or a number past what attention bears
    GEMEL_E_STATE = -8,        // saved state that belongs to another model or is damaged
    GEMEL_E_THREADS = -9,      // the system refused a thread
} gemel_error;

// ---- The library -------------------------------------------------------------------------------------------------

GEMEL_API int gemel_abi(void);                       // GEMEL_ABI of the library that was loaded
GEMEL_API const char *gemel_version(void);
GEMEL_API const char *gemel_error_name(int code);    // "GEMEL_E_FORMAT"; never NULL

// Rows of the kernel table, best last. `usable` asks the CPU.
GEMEL_API int gemel_isa_count(void);
GEMEL_API const char *gemel_isa_name(int isa);       // "scalar", "avx2", ...; NULL when there is no such row
GEMEL_API int gemel_isa_usable(int isa);             // 1 or 0
GEMEL_API int gemel_isa_best(void);                  // the last usable row

// Tensor formats by GGUF type number. Names and sizes are known for every type of the format.
GEMEL_API const char *gemel_format_name(int type);   // "Q4_1"; NULL when there is no such type
GEMEL_API int gemel_format_block(int type);          // weights in a block, 0 when there is no such type
GEMEL_API int gemel_format_block_size(int type);     // bytes in a block
GEMEL_API int gemel_format_computed(int type);       // 1 when kernels exist for it
// Dequantise n weights (a whole number of blocks) to float: the definition of a format.
GEMEL_API int gemel_format_unpack(int type, const uint8_t *src, size_t src_size, float *dst, size_t n);

// ---- Threads --------------------------------------------------------------------------------------------------------
// A pool of threads that models share (gemel_loader_use): while a pass of one of them runs on it, the others' passes
// wait for their turn. A model without one opens its own. No bit of any result depends on the number of threads.

// 1..256, the caller's own thread included: n - 1 workers sleep while nothing computes. GEMEL_E_THREADS: the system
// refuses one.
GEMEL_API int gemel_threads_open(int n, gemel_threads **out);
GEMEL_API int gemel_threads_count(const gemel_threads *threads);
// 1..256. Waits for the pass that is running. On failure the old number stays. Models that use more threads than are
// left run on those that are.
GEMEL_API int gemel_threads_resize(gemel_threads *threads, int n);
// In a forked child, before anything computes there: its workers are started again. On failure one thread is left.
GEMEL_API int gemel_threads_after_fork(gemel_threads *threads);
GEMEL_API void gemel_threads_close(gemel_threads *threads);   // after the models that use it

// ---- GGUF: metadata and tensor table -----------------------------------------------------------------------------
// A gemel_gguf lives as long as the loader or model it came from. Strings are not terminated; *size is their length.

GEMEL_API int gemel_gguf_version(const gemel_gguf *gguf);
GEMEL_API double gemel_gguf_data_offset(const gemel_gguf *gguf);   // where tensor data starts in the file
GEMEL_API int gemel_gguf_n_kv(const gemel_gguf *gguf);
// Index, or -1: none (no error)
GEMEL_API int gemel_gguf_find(const gemel_gguf *gguf, const char *key, size_t key_size);
GEMEL_API const char *gemel_gguf_key(const gemel_gguf *gguf, int i, size_t *size);
GEMEL_API int gemel_gguf_type(const gemel_gguf *gguf, int i);      // GGUF value type number 0..12; 9 is an array
GEMEL_API int gemel_gguf_item_type(const gemel_gguf *gguf, int i); // of an array's items; of a scalar: its own type
GEMEL_API double gemel_gguf_count(const gemel_gguf *gguf, int i);  // items of an array; 1 for a scalar
// Item j of value i. Numbers and booleans as double, with *exact set to 0 where a 64-bit integer does not fit one.
GEMEL_API int gemel_gguf_number(const gemel_gguf *gguf, int i, size_t j, double *out, int *exact);
GEMEL_API const char *gemel_gguf_string(const gemel_gguf *gguf, int i, size_t j, size_t *size);   // NULL: not a string
GEMEL_API int gemel_gguf_n_tensors(const gemel_gguf *gguf);
GEMEL_API const char *gemel_gguf_tensor_name(const gemel_gguf *gguf, int i, size_t *size);
GEMEL_API int gemel_gguf_tensor_type(const gemel_gguf *gguf, int i);
// Fills ne[4]; returns how many the file gives
GEMEL_API int gemel_gguf_tensor_dims(const gemel_gguf *gguf, int i, double *ne);
GEMEL_API double gemel_gguf_tensor_offset(const gemel_gguf *gguf, int i);          // in the file; see gemel_loader_part
GEMEL_API double gemel_gguf_tensor_size(const gemel_gguf *gguf, int i);            // bytes

// ---- Loading: a file's bytes, in pieces, become a model ------------------------------------------------------------
//
//   open(file size) -> feed until gemel_loader_gguf is not NULL -> [set, override] -> begin -> feed the rest -> finish
//
// The header is fed in file order. After `begin`, pieces may start at any offset, so long as the bytes of one tensor
// arrive in order; bytes outside tensors are ignored. Nothing is allocated for a claim that file_size cannot hold.
//
// A split model (metadata key split.count over 1) is several files, each with a header of its own; the first has all
// the metadata. Before `begin`, part by part: gemel_loader_part(its file size) -> feed until gemel_loader_n_parts has
// counted it. Offsets are virtual, in `feed` and in the tensor table: the files lie one after the other.

typedef enum gemel_loader_option {
    // Threads of the model's passes, and of the packing of panels: 1..256, default 1; of a shared pool, 1..its count,
    // default all of it
    GEMEL_LOADER_N_THREADS = 1,
    GEMEL_LOADER_ISA = 2,         // 0..gemel_isa_count()-1, usable; default gemel_isa_best()
} gemel_loader_option;

GEMEL_API int gemel_loader_open(double file_size, gemel_loader **out, char *err, size_t err_size);
GEMEL_API int gemel_loader_set(gemel_loader *loader, int option, int value);
// Before begin: the model runs on this pool, which lives longer than it. GEMEL_E_ARGUMENT also when
// GEMEL_LOADER_N_THREADS was set to more than the pool has. Without it the model opens a pool of its own.
GEMEL_API int gemel_loader_use(gemel_loader *loader, gemel_threads *threads);
// Before begin: the value of a metadata key in place of the file's, or of one that the file lacks, checked as the
// file's own are. It counts in plan and begin; gemel_gguf_* show the file as it is. An integer will do for a float.
// GEMEL_E_ARGUMENT here: a key twice, a value of another type, split.* and general.alignment; in plan and begin: a type
// or value that doesn't fit, an array in the file, a key that nothing reads. No key (NULL and 0): all are forgotten.
typedef enum gemel_override_type {
    GEMEL_OVERRIDE_INT = 1,      // number: an integer from -2^53 to 2^53
    GEMEL_OVERRIDE_FLOAT = 2,    // number: finite
    GEMEL_OVERRIDE_BOOL = 3,     // number: 0 or 1
    GEMEL_OVERRIDE_STRING = 4,   // text[text_size]: at most 65535 bytes
} gemel_override_type;
GEMEL_API int gemel_loader_override(gemel_loader *loader, const char *key, size_t key_size, int type, double number,
                                    const char *text, size_t text_size, char *err, size_t err_size);
GEMEL_API int gemel_loader_feed(gemel_loader *loader, double offset, const uint8_t *data, size_t size, char *err,
                                size_t err_size);
// The first file's, NULL unless its header is whole. Of a split model it holds the tensors of all parts, at their
// virtual offsets, from the last part's header on; of the first part alone before.
GEMEL_API const gemel_gguf *gemel_loader_gguf(const gemel_loader *loader);
// A split model's next part, of file_size bytes, after the header of the part before is whole. It must be the part that
// split.no says, and of the same model: checked when its header is whole.
GEMEL_API int gemel_loader_part(gemel_loader *loader, double file_size, char *err, size_t err_size);
GEMEL_API int gemel_loader_n_parts(const gemel_loader *loader);   // parts whose headers are whole; 1: a single file's
// The memory that a model and one session of it will need, before a byte of weights is read: after the whole header, of
// a model that begins with these options. n_ctx 1..what the file was trained for; kv_type: a gemel_kv_type. Fills
// out[GEMEL_PLAN_SIZE] with bytes and returns the type of the cache. Numbers and tensors that `begin` refuses are the
// same error here; the vocabulary is not looked at.
typedef enum gemel_plan_field {
    GEMEL_PLAN_WEIGHTS = 0,     // in panels
    GEMEL_PLAN_HEADER = 1,      // metadata and vocabulary; its tables are estimated
    GEMEL_PLAN_WORKSPACE = 2,   // of passes: one set, whatever the number of sessions
    GEMEL_PLAN_SESSION = 3,     // ids, logits
    GEMEL_PLAN_CACHE = 4,       // keys and values of n_ctx positions
    GEMEL_PLAN_TOTAL = 5, GEMEL_PLAN_SIZE = 6,   // their sum; how many numbers
} gemel_plan_field;
GEMEL_API int gemel_loader_plan(gemel_loader *loader, int n_ctx, int kv_type, double *out, char *err,
                                size_t err_size);
GEMEL_API int gemel_loader_begin(gemel_loader *loader, char *err, size_t err_size);
// From begin to finish: the model that is arriving; else NULL. The loader's: closing the loader closes it, so close its
// sessions before. For gemel_model_get, _gguf, _arch, text calls, gemel_session_open, _set, _preload, _truncate, _sync,
// _cancel and _close; nothing else is evaluated yet. Sessions may be used on another thread than the loader's.
GEMEL_API gemel_model *gemel_loader_model(const gemel_loader *loader);
// Of the arriving model: layers that are whole, counted up to the first that is not. -1 when there is no such model,
// and until token_embd and the RoPE factors are in, which sessions need.
GEMEL_API int gemel_loader_n_layers(const gemel_loader *loader);
// All tensors are in: the model, which takes its sessions along. Close the loader next.
GEMEL_API int gemel_loader_finish(gemel_loader *loader, gemel_model **out, char *err, size_t err_size);
GEMEL_API void gemel_loader_close(gemel_loader *loader);

// ---- Models --------------------------------------------------------------------------------------------------------

typedef enum gemel_model_field {   // all non-negative integers
    GEMEL_MODEL_N_VOCAB = 1, GEMEL_MODEL_N_CTX_TRAIN = 2, GEMEL_MODEL_N_EMBD = 3, GEMEL_MODEL_N_LAYER = 4,
    // Of the first layer, where layers differ
    GEMEL_MODEL_N_HEAD = 5, GEMEL_MODEL_N_HEAD_KV = 6, GEMEL_MODEL_HEAD_DIM = 7, GEMEL_MODEL_N_ROT = 8,
    GEMEL_MODEL_N_FF = 9, GEMEL_MODEL_N_THREADS = 10, GEMEL_MODEL_ISA = 11,
    GEMEL_MODEL_WEIGHT_SIZE = 12,   // bytes of weights in memory, panels included
    GEMEL_MODEL_KV_SIZE = 13,       // bytes of KV cache a position, in a cache of its default type
    GEMEL_MODEL_N_PARAMS = 14, GEMEL_MODEL_N_BATCH = 15,   // tokens of a micro-batch
    GEMEL_MODEL_BOS = 16, GEMEL_MODEL_EOS = 17, GEMEL_MODEL_EOT = 18, GEMEL_MODEL_UNK = 19,   // -1: the file names none
    GEMEL_MODEL_ADD_BOS = 20, GEMEL_MODEL_ADD_EOS = 21,
    GEMEL_MODEL_DECODE_SIZE = 22,   // bytes of weights read to decode one token
    GEMEL_MODEL_DECODE_MACS = 23,   // multiply-adds in weights to decode one token
    GEMEL_MODEL_PREFILL_MACS = 24,  // the same for a token of a prompt, whose logits nobody asks for
    GEMEL_MODEL_KV_SIZE_F16 = 25, GEMEL_MODEL_KV_SIZE_Q8_0 = 26,   // bytes of KV cache per position, of each type
    GEMEL_MODEL_KV_SIZE_F32 = 27,
    GEMEL_MODEL_KV_TYPE = 28,   // the gemel_kv_type that GEMEL_KV_DEFAULT means
} gemel_model_field;

GEMEL_API int gemel_model_get(const gemel_model *model, int field, double *out);
GEMEL_API const gemel_gguf *gemel_model_gguf(const gemel_model *model);
GEMEL_API const char *gemel_model_arch(const gemel_model *model);            // "llama"
// While no call computes. 1..256: the model's own pool is resized; 1..gemel_threads_count of a shared one, which stays.
GEMEL_API int gemel_model_set_threads(gemel_model *model, int n_threads);
GEMEL_API int gemel_model_set_isa(gemel_model *model, int isa);              // while no call computes; the bits stay
// In a forked child: the workers of the model's own pool are started again. A shared pool: gemel_threads_after_fork.
GEMEL_API int gemel_model_after_fork(gemel_model *model);
GEMEL_API void gemel_model_close(gemel_model *model);                        // after its sessions and samplers

// ---- Text ----------------------------------------------------------------------------------------------------------

typedef enum gemel_text_flag {
    GEMEL_TEXT_BOS_EOS = 1,   // add BOS and EOS where the file's flags say so
    GEMEL_TEXT_SPECIAL = 2,   // encode: parse special tokens written out in the text; piece: render them
} gemel_text_flag;

// Returns the number of ids; when it is over `capacity`, nothing past it was written: call again with room.
GEMEL_API int gemel_tokenize(const gemel_model *model, const char *text, size_t size, int flags, int32_t *ids,
                             size_t capacity);
// The bytes of one id (not always whole UTF-8). Returns their count; nothing is written when it is over `capacity`.
GEMEL_API int gemel_piece(const gemel_model *model, int32_t id, int flags, char *text, size_t capacity);
GEMEL_API int gemel_detokenize(const gemel_model *model, const int32_t *ids, size_t n, int flags, char *text,
                               size_t capacity);
typedef enum gemel_token_kind {   // GGUF's tokenizer.ggml.token_type
    GEMEL_TOKEN_NORMAL = 1, GEMEL_TOKEN_UNKNOWN = 2, GEMEL_TOKEN_CONTROL = 3, GEMEL_TOKEN_USER_DEFINED = 4,
    GEMEL_TOKEN_UNUSED = 5, GEMEL_TOKEN_BYTE = 6,
} gemel_token_kind;
GEMEL_API int gemel_token_kind_of(const gemel_model *model, int32_t id);
GEMEL_API int gemel_token_is_eog(const gemel_model *model, int32_t id);   // 1 when a generation ends at it

// ---- Sessions ------------------------------------------------------------------------------------------------------
// A session holds ids[0..n_past), their KV cache and the logits of the last of them.

// n_ctx: 1..what the file was trained for. GEMEL_E_ARGUMENT also on an arriving model with gemel_loader_n_layers -1.
GEMEL_API int gemel_session_open(gemel_model *model, int n_ctx, gemel_session **out);
typedef enum gemel_kv_type {   // what keys and values are rounded to: numbers of GGUF's tensor types
    GEMEL_KV_F32 = 0,   // as they are: to compare with; twice the memory of F16, and slower
    GEMEL_KV_F16 = 1,
    GEMEL_KV_Q8_0 = 8,   // about half the memory, and integer attention: much faster, and the bits are others
    GEMEL_KV_DEFAULT = -1,   // the model's own: Q8_0, or F16 where keys have channels so large that Q8_0 loses the rest
} gemel_kv_type;
typedef enum gemel_session_option {
    GEMEL_SESSION_KV_TYPE = 1,   // a gemel_kv_type; default GEMEL_KV_DEFAULT
} gemel_session_option;
// While n_past is 0 and nothing was evaluated ahead. GEMEL_E_ARGUMENT otherwise, and for other values.
GEMEL_API int gemel_session_set(gemel_session *session, int option, int value);
GEMEL_API int gemel_session_kv_type(const gemel_session *session);
// A session whose rows a running pass reads is freed when the pass ends.
GEMEL_API void gemel_session_close(gemel_session *session);
// A new session that holds the first n_past (0..n_past) ids of this one and shares its cache: whole pages of 64
// positions are held once, and the last one is copied when either session first writes to it. Each has the bits it has
// alone. GEMEL_E_UNSUPPORTED: a window's pages for that place were given back.
GEMEL_API int gemel_session_fork(const gemel_session *session, int n_past, gemel_session **out);
// Pages of 64 positions that the session's cache holds; *n_shared (or NULL): how many of them other sessions hold, too.
GEMEL_API int gemel_session_pages(const gemel_session *session, int *n_shared);
// Which of the model's RoPE tables turns this session's keys: 0, or 1 where the file scales RoPE by "longrope" and
// n_ctx is over the original context. Sessions of different tables can share no page.
GEMEL_API int gemel_session_rope_table(const gemel_session *session);
GEMEL_API int gemel_session_n_past(const gemel_session *session);
GEMEL_API int gemel_session_n_ctx(const gemel_session *session);
// [n_past]; -1 where an embedding was evaluated
GEMEL_API const int32_t *gemel_session_ids(const gemel_session *session);
// Keep the longest common prefix of the cache and ids[0..n), dropping the rest, so that at least the last id is left to
// evaluate unless its logits are at hand. Returns how many ids are kept; evaluate ids + kept next.
GEMEL_API int gemel_session_sync(gemel_session *session, const int32_t *ids, size_t n);
// 0..n_past. GEMEL_E_UNSUPPORTED, and nothing is changed: a window's pages for that place were given back.
GEMEL_API int gemel_session_truncate(gemel_session *session, int n_past);
// Append n ids, in micro-batches. Returns n. On GEMEL_E_CANCELLED the micro-batches that ended stay in the cache.
GEMEL_API int gemel_session_eval(gemel_session *session, const int32_t *ids, size_t n);
// The same without logits afterwards: for the first parts of a prompt.
GEMEL_API int gemel_session_fill(gemel_session *session, const int32_t *ids, size_t n);
// The same for an empty session, a layer at a time, so that it can be done while layers arrive: evaluate all n (1 and
// more) ids through layers [done, n_layers), and return the number of layers done. Call again with the same ids and
// more layers; when n_layers is all of a finished model's, the session holds ids and logits, the same bits as eval's.
// GEMEL_E_ARGUMENT: other ids than before, layers that have not arrived, a session that is not empty. Until it ends,
// n_past stays 0 and calls that evaluate are GEMEL_E_ARGUMENT; truncate(0), sync and restore drop it. On
// GEMEL_E_CANCELLED and GEMEL_E_MEMORY what was done is kept: call again. On GEMEL_E_NUMERIC it is dropped.
GEMEL_API int gemel_session_preload(gemel_session *session, const int32_t *ids, size_t n, int n_layers);
// eval, and log_probs[i] = log p(ids[i] | everything before it), 0 for the first id of an empty session;
// top[i] = the most likely id at that place (-1 for the first). Either may be NULL.
GEMEL_API int gemel_session_score(gemel_session *session, const int32_t *ids, size_t n, double *log_probs,
                                  int32_t *top);
// eval, and rows[n][n_embd] = last hidden states, after the output norm.
GEMEL_API int gemel_session_hidden(gemel_session *session, const int32_t *ids, size_t n, float *rows);
// eval, of n embeddings rows[n][n_embd] in place of ids: the bits are those of the ids whose embeddings they are.
GEMEL_API int gemel_session_eval_rows(gemel_session *session, const float *rows, size_t n);
// Layers [from, to) alone (0 <= from <= to <= n_layer), for n rows[n][n_embd] at the next n positions: embeddings, or
// what layer from - 1 gave. out[n][n_embd] is the residual stream after them. The positions count; there are no
// logits. For verifying layers one by one, and for models that are spread over machines.
GEMEL_API int gemel_session_layers(gemel_session *session, const float *rows, size_t n, int from, int to, float *out);
// Logits [n_vocab] of the last id, made now unless the call that evaluated it made them; NULL: nothing evaluated
GEMEL_API const float *gemel_session_logits(gemel_session *session);
// log_probs[i] = log p(ids[i] | what is there), from the same logits, with score's bits; GEMEL_E_ARGUMENT without them
GEMEL_API int gemel_session_log_probs(gemel_session *session, const int32_t *ids, size_t n, double *log_probs);
// The n (1..256, at most n_vocab) most likely ids there, the most likely first, equal ones by id. Returns n.
GEMEL_API int gemel_session_likeliest(gemel_session *session, int32_t *ids, size_t n);
// One token of generation: evaluate `pending` (an id, or -1 when the logits are at hand), sample, detokenise. Returns
// the id drawn. `text` receives whole UTF-8 only: a split character waits for the next call. *text_size is its length
// (at most 4 more than the longest piece; GEMEL_E_ARGUMENT when over capacity).
GEMEL_API int gemel_session_next(gemel_session *session, gemel_sampler *sampler, int32_t pending, int flags,
                                 char *text, size_t capacity, size_t *text_size);
// One pass for n (1..GEMEL_MODEL_N_BATCH) different sessions of a model: session i appends its n_ids[i] ids (the next
// id of an answer, or a chunk of a prompt; they follow each other in `ids`, at most GEMEL_MODEL_N_BATCH in all), and
// where samplers[i] is not NULL (all different, of the model's vocabulary), an id is drawn after the last, accepted,
// and turned into text. The weights are read once; the bits are those of each session alone. n_ids[i] may be 0 where
// logits are at hand. drawn[i]: the id, or -1. text[i * capacity] and text_sizes[i]: its whole characters, as
// gemel_session_next gives them. codes[i]: 0, or why session i was left as it was (GEMEL_E_ARGUMENT, _CONTEXT,
// _CANCELLED, _MEMORY, _NUMERIC); an error of the sampler comes after the ids were evaluated, and they stay. Returns
// how many sessions have code 0. samplers NULL: nothing is drawn, and drawn, text and text_sizes are not used. No other
// call may use any of the sessions or samplers meanwhile, except gemel_session_cancel, which counts before the pass,
// and gemel_session_close.
typedef enum gemel_step_flag {
    GEMEL_STEP_LOGITS = 4,   // make the logits of each session's last id in the pass; else when they are asked for
} gemel_step_flag;           // and GEMEL_TEXT_SPECIAL
GEMEL_API int gemel_model_step(gemel_model *model, gemel_session *const *sessions, const int32_t *n_ids,
                               const int32_t *ids, gemel_sampler *const *samplers, size_t n, int flags, int32_t *drawn,
                               char *text, size_t capacity, int32_t *text_sizes, int32_t *codes);
// The bytes that wait; returns their count
GEMEL_API int gemel_session_flush(gemel_session *session, char *text, size_t capacity);
GEMEL_API void gemel_session_cancel(gemel_session *session, int on);   // any thread; stays on until switched off
GEMEL_API size_t gemel_session_save_size(gemel_session *session);
GEMEL_API int gemel_session_save(gemel_session *session, uint8_t *data, size_t capacity);
GEMEL_API int gemel_session_restore(gemel_session *session, const uint8_t *data, size_t size, char *err,
                                    size_t err_size);

// ---- Measuring -----------------------------------------------------------------------------------------------------
// What a session does, as events, and what the machine can do, to compare that with. GEMEL_E_UNSUPPORTED: this host has
// no clock (one without threads). Times are seconds since some moment.

typedef enum gemel_op {
    GEMEL_OP_PASS = 0,        // a thread's share of an evaluation; within it, in turn and without gaps:
    GEMEL_OP_WAIT = 1,        // for the other threads
    GEMEL_OP_EMBED = 2,           // and cos and sin of the rows' positions
    GEMEL_OP_NORM = 3,        // norms, and activations quantised for the products that follow
    GEMEL_OP_ATTENTION_IN = 4,    // its input projections
    GEMEL_OP_ATTENTION_PUT = 5,   // positions into queries and keys; keys and values into the cache
    GEMEL_OP_ATTENTION = 6,       // scores and values
    GEMEL_OP_ATTENTION_OUT = 7,   // its output projection
    GEMEL_OP_FFN_IN = 8,          // the feed-forward's first products
    GEMEL_OP_FFN_ACT = 9,         // its activation; and quantised
    GEMEL_OP_FFN_OUT = 10,        // its last product
    GEMEL_OP_HEAD = 11,           // logits, and what is made of them at once: their check, log-probabilities
    GEMEL_OP_SAMPLE = 12,         // an id drawn, and its text
} gemel_op;
typedef enum gemel_event {   // the numbers of an event
    GEMEL_EVENT_START = 0, GEMEL_EVENT_END = 1, GEMEL_EVENT_OP = 2,
    GEMEL_EVENT_LAYER = 3,   // -1: none
    GEMEL_EVENT_THREAD = 4, GEMEL_EVENT_TOKENS = 5, GEMEL_EVENT_SIZE = 6,   // how many numbers
} gemel_event;

// From now on, write an event for each operation into events[capacity][GEMEL_EVENT_SIZE], the caller's, which must live
// until NULL and 0 switch it off. Of several sessions' gemel_model_step, the first one counts. Events of different
// threads stand in no order. No bit of any result changes.
GEMEL_API int gemel_session_profile(gemel_session *session, double *events, size_t capacity);
// How many events there were; those past capacity were not written.
GEMEL_API size_t gemel_session_profile_count(const gemel_session *session);

typedef enum gemel_measure {
    GEMEL_MEASURE_READ = 1,   // bytes a second of reading the model's weights, in order, and nothing else
    GEMEL_MEASURE_DOT = 2,    // multiply-adds a second of the instruction set's fastest dot product, and nothing else
} gemel_measure;
// The best of what the model's threads reach together in `seconds` (0.001..60). It takes a turn as evaluations do.
GEMEL_API int gemel_model_measure(gemel_model *model, int what, double seconds, double *out);

// ---- Sampling ------------------------------------------------------------------------------------------------------
// Steps in this order, each off at its neutral value: logit bias, repeat/frequency/presence penalties, DRY, top-k,
// typical, top-p, min-p, XTC, temperature, then the draw; mirostat 2, when on, takes the place of top-k to XTC.
// Equal logits sort by id. temperature 0 is greedy: the most likely id after bias, penalties and DRY; nothing is drawn.
// Otherwise each sample takes one number from the generator, two with XTC. The same seed gives the same ids everywhere.

typedef enum gemel_sampler_option {
    GEMEL_SAMPLER_TEMPERATURE = 1,          // >= 0; default 0.8
    GEMEL_SAMPLER_TOP_K = 2,                // >= 0; 0 is off; default 40
    GEMEL_SAMPLER_TOP_P = 3,                // 0 < p <= 1; 1 is off; default 0.95
    GEMEL_SAMPLER_MIN_P = 4,                // 0 <= p < 1; 0 is off; default 0.05
    GEMEL_SAMPLER_TYPICAL_P = 5,            // 0 < p <= 1; 1 is off
    GEMEL_SAMPLER_REPEAT_PENALTY = 6,       // > 0; 1 is off
    GEMEL_SAMPLER_FREQUENCY_PENALTY = 7,    // -2..2; 0 is off
    GEMEL_SAMPLER_PRESENCE_PENALTY = 8,     // -2..2; 0 is off
    GEMEL_SAMPLER_PENALTY_LAST_N = 9,       // tokens looked back at, 0..2^20; default 64
    GEMEL_SAMPLER_DRY_MULTIPLIER = 10,      // >= 0; 0 is off
    GEMEL_SAMPLER_DRY_BASE = 11,            // >= 1; default 1.75
    GEMEL_SAMPLER_DRY_ALLOWED_LENGTH = 12,  // 1..2^20; default 2
    GEMEL_SAMPLER_DRY_LAST_N = 13,          // 0..2^20; default 1024
    GEMEL_SAMPLER_XTC_PROBABILITY = 14,     // 0..1; 0 is off
    GEMEL_SAMPLER_XTC_THRESHOLD = 15,       // 0..0.5; default 0.1
    GEMEL_SAMPLER_MIROSTAT = 16,            // 0 or 2
    GEMEL_SAMPLER_MIROSTAT_TAU = 17,        // > 0; default 5
    GEMEL_SAMPLER_MIROSTAT_ETA = 18,        // > 0; default 0.1
    GEMEL_SAMPLER_SEED = 19,                // an integer, 0..2^53; default 0. gemel_sampler_seed takes all of 64 bits
} gemel_sampler_option;

GEMEL_API int gemel_sampler_open(const gemel_model *model, gemel_sampler **out);
GEMEL_API void gemel_sampler_close(gemel_sampler *sampler);   // before its model
// At any time; a longer look back sees no more ids than were still held, so set it before the first `accept`.
GEMEL_API int gemel_sampler_set(gemel_sampler *sampler, int option, double value);
// The seed high * 2^32 + low, in place of GEMEL_SAMPLER_SEED: up to 2^53 it is the same seed.
GEMEL_API int gemel_sampler_seed(gemel_sampler *sampler, uint32_t low, uint32_t high);
// Finite, or -INFINITY, which forbids the id. It replaces an earlier one of the same id. Penalised and biased logits
// saturate at the largest float: nothing else forbids an id.
GEMEL_API int gemel_sampler_bias(gemel_sampler *sampler, int32_t id, float bias);
// One sequence of 1..20 ids that ends a repeat. DRY never penalises an id that is a sequence by itself.
GEMEL_API int gemel_sampler_dry_breaker(gemel_sampler *sampler, const int32_t *ids, size_t n);
// what penalties look back at (prompt, drawn ids)
GEMEL_API int gemel_sampler_accept(gemel_sampler *sampler, int32_t id);
// forget ids; seed and mirostat start again
GEMEL_API int gemel_sampler_reset(gemel_sampler *sampler);
// logits[n_vocab] -> id, which is not accepted yet. A logit of -INFINITY is never drawn; GEMEL_E_ARGUMENT: all of them
// are that, or are forbidden; GEMEL_E_NUMERIC: one is NaN or +Inf.
GEMEL_API int gemel_sampler_sample(gemel_sampler *sampler, const float *logits);
// What accepting and drawing change, as bytes: the states of the generator and of mirostat, and the ids that the
// penalties in use look back at (48 bytes when none is in use). Options, biases and breakers are not part of it: a
// sampler of the same model with the same ones goes on as if it had never stopped. GEMEL_E_STATE leaves the sampler as
// it was: other bytes, another vocabulary, or penalties that look back further than those of the saved sampler.
GEMEL_API size_t gemel_sampler_save_size(const gemel_sampler *sampler);
GEMEL_API int gemel_sampler_save(const gemel_sampler *sampler, uint8_t *data, size_t capacity);
GEMEL_API int gemel_sampler_restore(gemel_sampler *sampler, const uint8_t *data, size_t size, char *err,
                                    size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
