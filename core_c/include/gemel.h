// gemel: run GGUF language models on a CPU. This is the whole public API of the library. (The threaded engine of a
// browser tab adds a few exports for its own loader: src/threads/wasm.c and src/run/engine_flag.c.)
//
//   bytes -> gemel_loader -> gemel_model (immutable, shared) -> gemel_session (one mutable timeline) -> ids, text
//
// Calling rules. Handles are opaque. `open` calls return a code and fill *out; `close` accepts NULL. Arguments are
// scalars and flat arrays. Calls return 0 or a count on success and a negative gemel_error on failure. A value out of
// range is GEMEL_E_ARGUMENT; nothing is clamped. Calls that read untrusted bytes take `err`, which receives one
// sentence (UTF-8, always terminated) saying what is wrong and where. File sizes and offsets are doubles: integers up
// to 2^53 are exact, and any host can pass them. Text is UTF-8 with a length, and may contain any byte. No call prints,
// exits, aborts or reads the environment.
//
// Threads. Many threads may use a model at the same time; its calls that compute take turns on its pool of threads,
// which several models may share. A session, a sampler or a loader belongs to one thread at a time; only
// gemel_session_cancel may be called from another.
#ifndef GEMEL_H
#define GEMEL_H
#include <stddef.h>
#include <stdint.h>

#if defined _WIN32
#define GEMEL_API __declspec(dllexport)
#else
#define GEMEL_API __attribute__((visibility("default"), used))
#endif

#define GEMEL_ABI 5
#define GEMEL_BITS 1   // of docs/bits.md: a version with another number may compute other bits

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gemel_loader gemel_loader;
typedef struct gemel_gguf gemel_gguf;
typedef struct gemel_model gemel_model;
typedef struct gemel_session gemel_session;
typedef struct gemel_sampler gemel_sampler;
typedef struct gemel_grammar gemel_grammar;
typedef struct gemel_threads gemel_threads;
typedef struct gemel_ngrams gemel_ngrams;

typedef enum gemel_error {
    GEMEL_OK = 0,
    GEMEL_E_ARGUMENT = -1,     // a value out of range, a handle in the wrong state
    GEMEL_E_MEMORY = -2,       // out of memory
    GEMEL_E_FORMAT = -3,       // the file is malformed
    GEMEL_E_UNSUPPORTED = -4,  // well formed, but not supported
    GEMEL_E_CONTEXT = -5,      // more tokens than n_ctx
    GEMEL_E_CANCELLED = -6,    // gemel_session_cancel was called
    GEMEL_E_NUMERIC = -7,      // a pass met NaN, Inf, or a number too large for attention
    GEMEL_E_STATE = -8,        // saved state that belongs to another model or is damaged
    GEMEL_E_THREADS = -9,      // the system could not start a thread
    GEMEL_E_GRAMMAR = -10,     // a grammar is invalid or too large; or no id may follow
} gemel_error;

// ---- The library -------------------------------------------------------------------------------------------------

GEMEL_API int gemel_abi(void);                       // GEMEL_ABI of the library that was loaded
GEMEL_API const char *gemel_version(void);
GEMEL_API const char *gemel_error_name(int code);    // "GEMEL_E_FORMAT"; never NULL

// The instruction sets that this build has kernels for, the fastest last. `usable` asks the CPU.
GEMEL_API int gemel_isa_count(void);
GEMEL_API const char *gemel_isa_name(int isa);       // "scalar", "avx2", ...; NULL: no such number
GEMEL_API int gemel_isa_usable(int isa);             // 1 or 0
GEMEL_API int gemel_isa_best(void);                  // the last usable one

// Tensor formats by GGUF type number. Names and sizes are known for every type of the format.
GEMEL_API const char *gemel_format_name(int type);   // "Q4_1"; NULL when there is no such type
GEMEL_API int gemel_format_block(int type);          // weights in a block, 0 when there is no such type
GEMEL_API int gemel_format_block_size(int type);     // bytes in a block
GEMEL_API int gemel_format_computed(int type);       // 1 when it is supported: kernels exist for it
// Dequantise n weights (a whole number of blocks) to floats. This defines the format.
GEMEL_API int gemel_format_unpack(int type, const uint8_t *src, size_t src_size, float *dst, size_t n);

// ---- Threads --------------------------------------------------------------------------------------------------------
// A pool of threads that models share (gemel_loader_use). While a pass of one model runs on it, passes of the others
// wait. A model that is given no pool opens one. No bit of any result depends on the number of threads.

// n is 1..256 and includes the calling thread: n - 1 workers are started, and sleep while nothing computes.
// GEMEL_E_THREADS: the system could not start a thread.
GEMEL_API int gemel_threads_open(int n, gemel_threads **out);
GEMEL_API int gemel_threads_count(const gemel_threads *threads);
// n is 1..256. Waits for the running pass. On failure the number stays as it was. Models that use more threads than
// remain run on those that remain.
GEMEL_API int gemel_threads_resize(gemel_threads *threads, int n);
// Call it in a forked child before anything computes there: it starts the workers again. On failure one thread remains.
GEMEL_API int gemel_threads_after_fork(gemel_threads *threads);
GEMEL_API void gemel_threads_close(gemel_threads *threads);   // after the models that use it

// ---- GGUF: metadata and tensor table -----------------------------------------------------------------------------
// A gemel_gguf lives as long as the loader or model it came from. Strings are not terminated; *size is their length.

GEMEL_API int gemel_gguf_version(const gemel_gguf *gguf);
GEMEL_API double gemel_gguf_data_offset(const gemel_gguf *gguf);   // where tensor data starts in the file
GEMEL_API int gemel_gguf_n_kv(const gemel_gguf *gguf);
// The key's index, or -1 when the file does not have it
GEMEL_API int gemel_gguf_find(const gemel_gguf *gguf, const char *key, size_t key_size);
GEMEL_API const char *gemel_gguf_key(const gemel_gguf *gguf, int i, size_t *size);
GEMEL_API int gemel_gguf_type(const gemel_gguf *gguf, int i);      // GGUF value type number 0..12; 9 is an array
GEMEL_API int gemel_gguf_item_type(const gemel_gguf *gguf, int i); // of an array's items; a scalar's own type
GEMEL_API double gemel_gguf_count(const gemel_gguf *gguf, int i);  // items of an array; 1 for a scalar
// Item j of value i: a number or boolean as a double. *exact is 0 when a 64-bit integer does not fit a double.
GEMEL_API int gemel_gguf_number(const gemel_gguf *gguf, int i, size_t j, double *out, int *exact);
GEMEL_API const char *gemel_gguf_string(const gemel_gguf *gguf, int i, size_t j, size_t *size);   // NULL: not a string
GEMEL_API int gemel_gguf_n_tensors(const gemel_gguf *gguf);
GEMEL_API const char *gemel_gguf_tensor_name(const gemel_gguf *gguf, int i, size_t *size);
GEMEL_API int gemel_gguf_tensor_type(const gemel_gguf *gguf, int i);
// Fills ne[4]; returns the number of dimensions in the file
GEMEL_API int gemel_gguf_tensor_dims(const gemel_gguf *gguf, int i, double *ne);
GEMEL_API double gemel_gguf_tensor_offset(const gemel_gguf *gguf, int i);          // in the file; see gemel_loader_part
GEMEL_API double gemel_gguf_tensor_size(const gemel_gguf *gguf, int i);            // bytes

// ---- Loading: a file's bytes, in pieces, become a model ------------------------------------------------------------
//
//   open(file size) -> feed until gemel_loader_gguf is not NULL -> [set, override] -> begin -> feed the rest -> finish
//
// Feed the header in file order. After `begin`, pieces may start at any offset, but the bytes of each tensor must
// arrive in order; bytes outside tensors are ignored. Memory is never taken for a size that file_size rules out.
//
// A split model (metadata key split.count over 1) is several files, each with its own header; the first has all the
// metadata. Before `begin`, for each further part: gemel_loader_part(its file size) -> feed until gemel_loader_n_parts
// counts it. Offsets in `feed` and in the tensor table are those of the files laid end to end.

typedef enum gemel_loader_option {
    // Threads for the model's passes and for loading: 1..256, default 1; with a shared pool 1..its count, default all
    GEMEL_LOADER_N_THREADS = 1,
    GEMEL_LOADER_ISA = 2,         // 0..gemel_isa_count()-1, usable; default gemel_isa_best()
} gemel_loader_option;

GEMEL_API int gemel_loader_open(double file_size, gemel_loader **out, char *err, size_t err_size);
GEMEL_API int gemel_loader_set(gemel_loader *loader, int option, int value);
// Before begin: run the model on this pool, which must outlive the model. GEMEL_E_ARGUMENT also when
// GEMEL_LOADER_N_THREADS was set to more than the pool has. Without this call the model opens its own pool.
GEMEL_API int gemel_loader_use(gemel_loader *loader, gemel_threads *threads);
// Before begin: override the value of a metadata key, or give one that the file lacks. It is checked as the file's own
// values are, and used by plan and begin; gemel_gguf_* still show the file. An integer is accepted for a float.
// GEMEL_E_ARGUMENT here: a key given twice, a value that is not of `type`, or split.* and general.alignment. From plan
// and begin: a type or value that doesn't fit the key, a key whose value is an array in the file, or a key that nothing
// reads. key NULL and key_size 0: forget all overrides.
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
// The first file's header; NULL until it is complete. For a split model it has the first part's tensors until the last
// part's header is complete, and those of all parts afterwards.
GEMEL_API const gemel_gguf *gemel_loader_gguf(const gemel_loader *loader);
// Begin a split model's next part, of file_size bytes, when the header before is complete. Once the part's own header
// is complete, it is checked to be the next part (split.no) of the same model.
GEMEL_API int gemel_loader_part(gemel_loader *loader, double file_size, char *err, size_t err_size);
GEMEL_API int gemel_loader_n_parts(const gemel_loader *loader);   // parts whose headers are complete
// The memory that a model with the loader's options and one session of it will need. Call it between the complete
// header and begin; no weights are needed. n_ctx is 1..the file's context length, kv_type a gemel_kv_type. Fills
// out[GEMEL_PLAN_SIZE] with bytes and returns the type of the cache. What `begin` refuses in numbers and tensors is the
// same error here; the vocabulary is not checked.
typedef enum gemel_plan_field {
    GEMEL_PLAN_WEIGHTS = 0,     // in panels
    GEMEL_PLAN_HEADER = 1,      // metadata and vocabulary; its tables are estimated
    GEMEL_PLAN_WORKSPACE = 2,   // buffers of passes: one set for all sessions
    GEMEL_PLAN_SESSION = 3,     // ids, logits, those of drafts, and states of recurrent layers
    GEMEL_PLAN_CACHE = 4,       // keys and values of n_ctx positions
    GEMEL_PLAN_TOTAL = 5, GEMEL_PLAN_SIZE = 6,   // their sum; the number of fields
} gemel_plan_field;
GEMEL_API int gemel_loader_plan(gemel_loader *loader, int n_ctx, int kv_type, double *out, char *err,
                                size_t err_size);
// gemel_model_warning of the model that begin would make, from the complete header alone: i = 0 reads the vocabulary,
// so ask for 0, 1, ... in order. NULL also where begin would refuse the vocabulary.
GEMEL_API const char *gemel_loader_warning(gemel_loader *loader, int i);
GEMEL_API int gemel_loader_begin(gemel_loader *loader, char *err, size_t err_size);
// The model while it loads, from begin to finish; else NULL. It belongs to the loader: closing the loader closes it, so
// close its sessions first. It may be used for gemel_model_get, _gguf, _arch, text calls, and gemel_session_open, _set,
// _preload, _truncate, _sync, _cancel and _close. Sessions may be used on another thread than the loader.
GEMEL_API gemel_model *gemel_loader_model(const gemel_loader *loader);
// Complete layers of the loading model, counted up to the first that is not complete. -1 without such a model, and
// until token_embd and the RoPE factors, which sessions need, are loaded.
GEMEL_API int gemel_loader_n_layers(const gemel_loader *loader);
// Once all tensors are complete: hand the model over, with its sessions. Close the loader next.
GEMEL_API int gemel_loader_finish(gemel_loader *loader, gemel_model **out, char *err, size_t err_size);
GEMEL_API void gemel_loader_close(gemel_loader *loader);

// ---- Models --------------------------------------------------------------------------------------------------------

typedef enum gemel_model_field {   // all non-negative integers
    GEMEL_MODEL_N_VOCAB = 1, GEMEL_MODEL_N_CTX_TRAIN = 2, GEMEL_MODEL_N_EMBD = 3, GEMEL_MODEL_N_LAYER = 4,
    // Of the first layer, where layers differ
    GEMEL_MODEL_N_HEAD = 5, GEMEL_MODEL_N_HEAD_KV = 6, GEMEL_MODEL_HEAD_DIM = 7, GEMEL_MODEL_N_ROT = 8,
    GEMEL_MODEL_N_FF = 9, GEMEL_MODEL_N_THREADS = 10, GEMEL_MODEL_ISA = 11,
    GEMEL_MODEL_WEIGHT_SIZE = 12,   // bytes of weights in memory, panels included
    GEMEL_MODEL_KV_SIZE = 13,       // bytes of KV cache per position, of the default type
    GEMEL_MODEL_N_PARAMS = 14, GEMEL_MODEL_N_BATCH = 15,   // tokens of a micro-batch
    GEMEL_MODEL_BOS = 16, GEMEL_MODEL_EOS = 17, GEMEL_MODEL_EOT = 18, GEMEL_MODEL_UNK = 19,   // -1: none
    GEMEL_MODEL_ADD_BOS = 20, GEMEL_MODEL_ADD_EOS = 21,
    GEMEL_MODEL_DECODE_SIZE = 22,   // bytes of weights read to decode one token
    GEMEL_MODEL_DECODE_MACS = 23,   // multiply-adds in weights to decode one token
    GEMEL_MODEL_PREFILL_MACS = 24,  // the same for a token of a prompt, without logits
    GEMEL_MODEL_KV_SIZE_F16 = 25, GEMEL_MODEL_KV_SIZE_Q8_0 = 26,   // bytes of KV cache per position, of each type
    GEMEL_MODEL_KV_SIZE_F32 = 27,
    GEMEL_MODEL_KV_TYPE = 28,   // the gemel_kv_type that GEMEL_KV_DEFAULT means
    GEMEL_MODEL_CACHE_SIZE = 29,   // bytes of the KV caches of all sessions, and of the draft's, shared pages once
    GEMEL_MODEL_IS_ENCODER = 30,   // 1: each position sees its whole text; there are hidden states, but no logits
    GEMEL_MODEL_POOLING = 31,      // a gemel_pooling, as the file says it; 0: it doesn't
    GEMEL_MODEL_N_SCORES = 32,     // of gemel_model_rank; 0: the file has no classifier
    GEMEL_MODEL_RANK_POOLING = 33, // the gemel_pooling of the row that it reads
    GEMEL_MODEL_STATE_SIZE = 35,   // bytes of a session's state of recurrent layers; 0: the model has none
    GEMEL_MODEL_N_TYPES = 34,      // token types of an encoder, such as 2: query and document; 0: it has none
} gemel_model_field;

typedef enum gemel_pooling {   // GGUF's pooling_type: how the hidden states of a text become one row
    GEMEL_POOLING_NONE = 0,
    GEMEL_POOLING_MEAN = 1,
    GEMEL_POOLING_CLS = 2,    // the first one
    GEMEL_POOLING_LAST = 3,
    GEMEL_POOLING_RANK = 4,   // a classifier's scores
} gemel_pooling;

GEMEL_API int gemel_model_get(const gemel_model *model, int field, double *out);
GEMEL_API const gemel_gguf *gemel_model_gguf(const gemel_model *model);
GEMEL_API const char *gemel_model_arch(const gemel_model *model);            // "llama"
// What the file says of its vocabulary that the model goes without, one sentence each: ids of roles that don't exist
// (the model has no such id), no tokenizer.ggml.pre ("default" is used), ids with the same text (the text becomes the
// last), more rows of embeddings than tokens (they are not used). i is 0, 1, ...; NULL: there are no more.
GEMEL_API const char *gemel_model_warning(const gemel_model *model, int i);
// While no call computes. 1..256: resize the model's own pool; 1..gemel_threads_count: use that many of a shared pool.
GEMEL_API int gemel_model_set_threads(gemel_model *model, int n_threads);
GEMEL_API int gemel_model_set_isa(gemel_model *model, int isa);              // while no call computes
// Drafts: gemel_session_next and gemel_model_step evaluate ids that may follow in the pass of the last id, as they do
// with forced text (GEMEL_USE_MASK_ONLY). Later steps with these ids take no pass. Ids, random numbers, logits and
// texts are the same with and without. Sources propose ids, and those of the fastest are evaluated.
typedef enum gemel_draft {
    GEMEL_DRAFT_NONE = 0,
    GEMEL_DRAFT_FAST = 1,     // the default: as many ids as make most ids per second, by the times measured so far
    GEMEL_DRAFT_ALWAYS = 2,   // as many as fit, to verify and to measure; the only way on hosts without a clock
} gemel_draft;
GEMEL_API int gemel_model_set_draft(gemel_model *model, int draft);          // at any time
typedef enum gemel_draft_source {
    GEMEL_SOURCE_FORCED = 0,    // text that the grammar forces
    GEMEL_SOURCE_REPEATS = 1,   // what followed where the end of the session's ids occurred before in them
    GEMEL_SOURCE_NGRAMS = 2,    // what a file of n-grams says: gemel_model_draft_from
    GEMEL_SOURCE_MODEL = 3,     // what a draft model draws: gemel_model_draft_by
    GEMEL_N_SOURCES = 4,
} gemel_draft_source;
// At any time: let a smaller model of the same vocabulary draft for this one's sessions, by the sampler that draws
// their ids. NULL: none does. It is evaluated within the calls that evaluate, and each session keeps one of the draft
// model. Close the draft after the sessions of the model. Any thread may go on using it. GEMEL_E_UNSUPPORTED, with a
// sentence: the vocabularies differ in more than ids that are UNUSED in one of them, or a model is an encoder.
GEMEL_API int gemel_model_draft_by(gemel_model *model, gemel_model *draft, char *err, size_t err_size);
// A file of n-grams for a model's vocabulary: docs/drafts.md has the format. The bytes are copied. GEMEL_E_FORMAT: they
// are malformed. GEMEL_E_UNSUPPORTED: they are another vocabulary's.
GEMEL_API int gemel_ngrams_open(const gemel_model *model, const uint8_t *data, size_t size, gemel_ngrams **out,
                                char *err, size_t err_size);
GEMEL_API void gemel_ngrams_close(gemel_ngrams *ngrams);   // after the model
// At any time: let its sessions draft from n-grams of its vocabulary. NULL: not any more.
GEMEL_API int gemel_model_draft_from(gemel_model *model, const gemel_ngrams *ngrams);
// hash[8]: what the ids of the vocabulary mean, as files of n-grams have it; UNUSED ids don't count.
GEMEL_API int gemel_model_vocab_hash(const gemel_model *model, uint8_t *hash);
// In a forked child: start the workers of the model's own pool again. For a shared pool: gemel_threads_after_fork.
GEMEL_API int gemel_model_after_fork(gemel_model *model);
GEMEL_API void gemel_model_close(gemel_model *model);                        // after its sessions and samplers

// ---- Text ----------------------------------------------------------------------------------------------------------

typedef enum gemel_text_flag {
    GEMEL_TEXT_BOS_EOS = 1,   // add BOS and EOS where the file's flags say so
    GEMEL_TEXT_SPECIAL = 2,   // encode: parse special tokens written out in the text; piece: render them
} gemel_text_flag;

// Returns the number of ids. When it is over `capacity`, only the first `capacity` were written: call again with room.
GEMEL_API int gemel_tokenize(const gemel_model *model, const char *text, size_t size, int flags, int32_t *ids,
                             size_t capacity);
// The bytes of one id (not always complete UTF-8). Returns their count; writes nothing when it is over `capacity`.
GEMEL_API int gemel_piece(const gemel_model *model, int32_t id, int flags, char *text, size_t capacity);
GEMEL_API int gemel_detokenize(const gemel_model *model, const int32_t *ids, size_t n, int flags, char *text,
                               size_t capacity);
typedef enum gemel_token_kind {   // GGUF's tokenizer.ggml.token_type
    GEMEL_TOKEN_NORMAL = 1, GEMEL_TOKEN_UNKNOWN = 2, GEMEL_TOKEN_CONTROL = 3, GEMEL_TOKEN_USER_DEFINED = 4,
    GEMEL_TOKEN_UNUSED = 5, GEMEL_TOKEN_BYTE = 6,
} gemel_token_kind;
GEMEL_API int gemel_token_kind_of(const gemel_model *model, int32_t id);
GEMEL_API int gemel_token_is_eog(const gemel_model *model, int32_t id);   // 1 when generation ends at this id

// ---- Sessions ------------------------------------------------------------------------------------------------------
// A session holds ids[0..n_past), their KV cache and the logits of the last of them.
//
// A session of an encoder reads a text whole: gemel_session_hidden and gemel_session_layers, with n_past 0, of all its
// ids; truncate(0) before the next text. All calls that give or need logits are GEMEL_E_UNSUPPORTED, as are a cache of
// Q8_0, more ids, and keeping a part of them. gemel_model_embed has no need of sessions.

// n_ctx: 1..the file's context length. GEMEL_E_ARGUMENT also on a loading model whose gemel_loader_n_layers is -1.
GEMEL_API int gemel_session_open(gemel_model *model, int n_ctx, gemel_session **out);
typedef enum gemel_kv_type {   // what keys and values are rounded to, by GGUF's numbers of tensor types
    GEMEL_KV_F32 = 0,   // not rounded; twice the memory of F16, and slower
    GEMEL_KV_F16 = 1,
    GEMEL_KV_Q8_0 = 8,   // about half the memory of F16, and integer attention: much faster; other bits
    GEMEL_KV_DEFAULT = -1,   // the model's: Q8_0, or F16 where keys have channels so large that Q8_0 loses the rest
} gemel_kv_type;
typedef enum gemel_session_option {
    GEMEL_SESSION_KV_TYPE = 1,   // a gemel_kv_type; default GEMEL_KV_DEFAULT
} gemel_session_option;
// While n_past is 0 and nothing is preloaded; otherwise GEMEL_E_ARGUMENT.
GEMEL_API int gemel_session_set(gemel_session *session, int option, int value);
GEMEL_API int gemel_session_kv_type(const gemel_session *session);
// If a running pass uses the session, it is freed when the pass ends.
GEMEL_API void gemel_session_close(gemel_session *session);
// A new session with the first n_past ids of this one, sharing its cache: pages of 64 positions are kept once, and the
// last one is copied when either session first writes to it. The bits of both are those of separate sessions.
// GEMEL_E_UNSUPPORTED: pages that a sliding window needs at that position were freed, or the state of recurrent layers
// there would have to be made from embeddings.
GEMEL_API int gemel_session_fork(const gemel_session *session, int n_past, gemel_session **out);
// Pages of 64 positions in the session's cache; *n_shared (or NULL): how many of them it shares with other sessions.
GEMEL_API int gemel_session_pages(const gemel_session *session, int *n_shared);
// Which of the model's RoPE tables this session uses: 0, or 1 where the file scales RoPE by "longrope" and n_ctx is
// over the original context. Sessions with different tables can't share pages.
GEMEL_API int gemel_session_rope_table(const gemel_session *session);
GEMEL_API int gemel_session_n_past(const gemel_session *session);
GEMEL_API int gemel_session_n_ctx(const gemel_session *session);
// [n_past]; -1 where an embedding was evaluated
GEMEL_API const int32_t *gemel_session_ids(const gemel_session *session);
// Keep the longest common prefix of the cache and ids[0..n) and drop the rest; with recurrent layers, up to the last
// place in it at which their state is kept. At least the last id is left to
// evaluate, unless its logits are available. Returns the number of ids kept; evaluate ids + kept next.
GEMEL_API int gemel_session_sync(gemel_session *session, const int32_t *ids, size_t n);
// Keep the first n_past ids. GEMEL_E_UNSUPPORTED, with nothing changed: as gemel_session_fork.
GEMEL_API int gemel_session_truncate(gemel_session *session, int n_past);
// Recurrent layers keep their state at some places only. Cut back to another place, or forked there, a session
// evaluates the ids since the last of these again, in its next call that evaluates. Returns the most ids, up to n
// (0..n_past), of which none is: n without recurrent layers; 0 where truncate is GEMEL_E_UNSUPPORTED.
GEMEL_API int gemel_session_keeps(const gemel_session *session, int n);
// Append n ids, in micro-batches. Returns n. On GEMEL_E_CANCELLED the micro-batches that finished stay in the cache.
GEMEL_API int gemel_session_eval(gemel_session *session, const int32_t *ids, size_t n);
// The same, without logits: for all parts of a prompt except the last.
GEMEL_API int gemel_session_fill(gemel_session *session, const int32_t *ids, size_t n);
// Evaluate a prompt layer by layer in an empty session, while the model loads: all n ids (at least 1) pass through
// layers [done, n_layers); returns the number of layers done. Call it again with the same ids and more layers. After
// the last layer of a finished model, the session has the ids and their logits, with the bits of eval.
// GEMEL_E_ARGUMENT: other ids than before, layers that are not loaded, or a session that is not empty. Until it is
// done, n_past stays 0 and calls that evaluate return GEMEL_E_ARGUMENT; truncate(0), sync and restore discard it. On
// GEMEL_E_CANCELLED and GEMEL_E_MEMORY finished work is kept: call again. GEMEL_E_NUMERIC discards it.
GEMEL_API int gemel_session_preload(gemel_session *session, const int32_t *ids, size_t n, int n_layers);
// eval, and log_probs[i] = log p(ids[i] | everything before it), 0 for the first id of an empty session;
// top[i] = the most likely id at that position (-1 for the first). Either may be NULL.
GEMEL_API int gemel_session_score(gemel_session *session, const int32_t *ids, size_t n, double *log_probs,
                                  int32_t *top);
// eval, and rows[n][n_embd] = last hidden states, after the output norm.
GEMEL_API int gemel_session_hidden(gemel_session *session, const int32_t *ids, size_t n, float *rows);
// eval of n embeddings rows[n][n_embd] in place of ids. The embeddings of ids give the bits of the ids.
// GEMEL_E_UNSUPPORTED: each layer has embeddings of ids, too (Gemma 4 E2B).
GEMEL_API int gemel_session_eval_rows(gemel_session *session, const float *rows, size_t n);
// Layers [from, to) only (0 <= from <= to <= n_layer), for n rows[n][n_embd] at the next n positions: embeddings, or
// the output of layer from - 1. out[n][n_embd] is the residual stream after them. n_past grows by n; there are no
// logits. For verifying single layers, and for models that are spread over machines. GEMEL_E_UNSUPPORTED: a layer reads
// what one before `from` made (keys and values, RWKV-7's values of layer 0), or has embeddings of ids.
GEMEL_API int gemel_session_layers(gemel_session *session, const float *rows, size_t n, int from, int to, float *out);
// How many ids were evaluated ahead in this session so far, forced ones included; n_taken (NULL: not wanted): how many
// of them were drawn. Both count modulo 2^31. Any thread may call it.
GEMEL_API int gemel_session_drafted(const gemel_session *session, int32_t *n_taken);
// The same of one gemel_draft_source.
GEMEL_API int gemel_session_drafted_by(const gemel_session *session, int source, int32_t *n_taken);
// Logits [n_vocab] of the last id, computed now unless they were before; NULL: nothing was evaluated
GEMEL_API const float *gemel_session_logits(gemel_session *session);
// log_probs[i] = log p(ids[i] | the session's ids), from the same logits, with the bits of score; GEMEL_E_ARGUMENT
// without logits
GEMEL_API int gemel_session_log_probs(gemel_session *session, const int32_t *ids, size_t n, double *log_probs);
// The n (1..256, at most n_vocab) most likely next ids, the most likely first, equal ones by id. Returns n.
GEMEL_API int gemel_session_likeliest(gemel_session *session, int32_t *ids, size_t n);
// One token of generation: evaluate `pending` (an id, or -1 when logits are available), sample, detokenise. Returns the
// id drawn. `text` receives complete UTF-8 only: bytes of an incomplete character wait for the next call. *text_size is
// its length (at most 4 more than the longest piece; GEMEL_E_ARGUMENT when over capacity).
GEMEL_API int gemel_session_next(gemel_session *session, gemel_sampler *sampler, int32_t pending, int flags,
                                 char *text, size_t capacity, size_t *text_size);
// Embed n texts with an encoder: the hidden states of each are pooled into rows[i][n_embd] (a gemel_pooling: MEAN, CLS
// or LAST). Text i has n_ids[i] ids, the special ones included; they follow each other in `ids`, and in `types` (or
// NULL: all are 0) the part of its text that each belongs to. Texts share passes, without padding; the bits of each are
// those that it has alone. kv_type: a gemel_kv_type, F16 or F32. codes[i]: 0, or GEMEL_E_NUMERIC: the row is undefined.
// GEMEL_E_ARGUMENT, GEMEL_E_CONTEXT (a text is longer than the context) and GEMEL_E_MEMORY are of the whole call;
// GEMEL_E_UNSUPPORTED: the model is no encoder.
GEMEL_API int gemel_model_embed(gemel_model *model, const int32_t *ids, const int32_t *types, const int32_t *n_ids,
                                size_t n, int pooling, int kv_type, double *rows, int32_t *codes);
// Embeddings made[n][n_dim] from pooled rows[n][n_dim]: each divided by its length, the root of the sum of its squares.
// The bits are those of Model.embed. codes[i]: 0, or GEMEL_E_NUMERIC: all are zero, or a number is Inf, NaN or beyond
// 1e140.
GEMEL_API int gemel_unit_rows(const double *rows, size_t n, size_t n_dim, float *made, int32_t *codes);
// The scores of a classifier (a reranker's) for a text, from its pooled row[n_embd], as gemel_model_embed makes it by
// GEMEL_MODEL_RANK_POOLING: scores[GEMEL_MODEL_N_SCORES]. as_chances 0: as the classifier makes them, any numbers; 1:
// one score becomes its sigmoid, several their softmax. GEMEL_E_UNSUPPORTED: the file has no classifier.
// GEMEL_E_NUMERIC: a number of the row is Inf or NaN, or too large.
GEMEL_API int gemel_model_rank(gemel_model *model, const double *row, int as_chances, double *scores);
// One pass for n (1..GEMEL_MODEL_N_BATCH) different sessions of a model. Session i appends its n_ids[i] ids: the next
// id of an answer, or a chunk of a prompt. They follow each other in `ids`, at most GEMEL_MODEL_N_BATCH in all;
// n_ids[i] may be 0 when logits are available. Where samplers[i] is not NULL (all different, of the model's
// vocabulary), an id is drawn after the last one, accepted, and turned into text. The weights are read once; the bits
// are those of each session alone.
// drawn[i] is the id, or -1. text[i * capacity] and text_sizes[i] are its complete characters, as in
// gemel_session_next. codes[i] is 0; or 1, if a step with the id drawn takes no pass (see GEMEL_USE_MASK_ONLY); or why
// session i did not change (GEMEL_E_ARGUMENT, _CONTEXT, _CANCELLED, _MEMORY, _NUMERIC); when the sampler fails, the ids
// have been evaluated and stay. Returns the number of sessions whose code is no error.
// samplers NULL: nothing is drawn; drawn, text and text_sizes are not used.
// wants[i]: what else session i's ids give, of gemel_want; NULL: nothing. Sessions that want hidden states get theirs
// in `hidden`, those of one session after those of the other, and likewise log-probabilities in `log_probs`, with the
// bits of gemel_session_hidden and gemel_session_score. They are undefined for sessions whose code is an error.
// A session that wants something needs ids; else the step is refused (GEMEL_E_ARGUMENT). codes[i] is GEMEL_E_ARGUMENT
// when session i wants log-probabilities, and its last id left no logits (after gemel_session_fill).
// Until it returns, no other call may use these sessions and samplers, except gemel_session_cancel, which takes effect
// before the pass, and gemel_session_close.
typedef enum gemel_step_flag {
    GEMEL_STEP_LOGITS = 4,   // compute the logits of each session's last id in the pass, not when first asked for
} gemel_step_flag;           // flags may include GEMEL_TEXT_SPECIAL
typedef enum gemel_want {
    GEMEL_WANT_HIDDEN = 1,   // hidden[n_ids[i]][n_embd] = last hidden states, after the output norm
    GEMEL_WANT_SCORES = 2,   // log_probs[n_ids[i]] = log p of each id, 0 for the first id of an empty session
} gemel_want;
GEMEL_API int gemel_model_step(gemel_model *model, gemel_session *const *sessions, const int32_t *n_ids,
                               const int32_t *ids, gemel_sampler *const *samplers, size_t n, int flags, int32_t *drawn,
                               char *text, size_t capacity, int32_t *text_sizes, int32_t *codes,
                               const int32_t *wants, float *hidden, double *log_probs);
// The bytes of an incomplete character that wait; returns their count
GEMEL_API int gemel_session_flush(gemel_session *session, char *text, size_t capacity);
GEMEL_API void gemel_session_cancel(gemel_session *session, int on);   // any thread; stays on until switched off
// A session as bytes. A version of gemel with other bits, or another layout of these bytes, refuses them
// (GEMEL_E_STATE); it can still read their ids, so that a host evaluates them again.
GEMEL_API size_t gemel_session_save_size(gemel_session *session);
GEMEL_API int gemel_session_save(gemel_session *session, uint8_t *data, size_t capacity);
GEMEL_API int gemel_session_restore(gemel_session *session, const uint8_t *data, size_t size, char *err,
                                    size_t err_size);
// 1: a session that such a version saved. 0: one that restore takes, or none
GEMEL_API int gemel_session_saved_elsewhere(const uint8_t *data, size_t size);
// Write the first `capacity` ids of a saved session of this one's model, cache type and at most n_ctx ids, whichever
// version saved it; returns how many it has. -1 stands for an embedding; one that was saved elsewhere is GEMEL_E_STATE.
GEMEL_API int gemel_session_saved_ids(const gemel_session *session, const uint8_t *data, size_t size, int32_t *ids,
                                      size_t capacity, char *err, size_t err_size);

// ---- Measuring -----------------------------------------------------------------------------------------------------
// Where a session's time goes, as events, and what the machine could reach. GEMEL_E_UNSUPPORTED: this host has no clock
// (a host without threads). Times are seconds since an arbitrary moment.

typedef enum gemel_op {
    GEMEL_OP_PASS = 0,        // a thread's share of an evaluation; the others divide it without gaps:
    GEMEL_OP_WAIT = 1,        // for the other threads
    GEMEL_OP_EMBED = 2,           // and cos and sin of the rows' positions
    GEMEL_OP_NORM = 3,        // norms, and quantising of activations for the next products
    GEMEL_OP_ATTENTION_IN = 4,    // its input projections
    GEMEL_OP_ATTENTION_PUT = 5,   // RoPE of queries and keys; keys and values into the cache
    GEMEL_OP_ATTENTION = 6,       // scores and values
    GEMEL_OP_ATTENTION_OUT = 7,   // its output projection
    GEMEL_OP_FFN_IN = 8,          // the feed-forward's first products
    GEMEL_OP_FFN_ACT = 9,         // its activation function, and quantising
    GEMEL_OP_FFN_OUT = 10,        // its last product
    GEMEL_OP_HEAD = 11,           // logits, their check, and log-probabilities
    GEMEL_OP_SAMPLE = 12,         // drawing an id, and its text
} gemel_op;
typedef enum gemel_event {   // the fields of an event
    GEMEL_EVENT_START = 0, GEMEL_EVENT_END = 1, GEMEL_EVENT_OP = 2,
    GEMEL_EVENT_LAYER = 3,   // -1: none
    GEMEL_EVENT_THREAD = 4, GEMEL_EVENT_TOKENS = 5, GEMEL_EVENT_SIZE = 6,   // the number of fields
} gemel_event;

// From now on, write an event per operation into the caller's events[capacity][GEMEL_EVENT_SIZE], which must live until
// a call with NULL and 0 stops it. gemel_model_step writes to the first of its sessions. Events of different threads
// are in no order. No bit of any result changes.
GEMEL_API int gemel_session_profile(gemel_session *session, double *events, size_t capacity);
// The number of events so far; those over capacity were not written.
GEMEL_API size_t gemel_session_profile_count(const gemel_session *session);

typedef enum gemel_measure {
    GEMEL_MEASURE_READ = 1,   // bytes per second, reading the model's weights in order
    GEMEL_MEASURE_DOT = 2,    // multiply-adds per second of the instruction set's fastest dot product
} gemel_measure;
// The best that all of the model's threads reach within `seconds` (0.001..60). It waits for passes as evaluations do.
GEMEL_API int gemel_model_measure(gemel_model *model, int what, double seconds, double *out);

// ---- Grammars ------------------------------------------------------------------------------------------------------
// A grammar says which texts an answer may be. It is compiled for a model's vocabulary, never changes, and may be used
// by many samplers at the same time. docs/structured.md describes the sources.

typedef enum gemel_grammar_source {
    GEMEL_GRAMMAR_GBNF = 1,    // llama.cpp's language; its rule "root" is the whole answer
    GEMEL_GRAMMAR_REGEX = 2,   // a regular expression that matches the whole answer
} gemel_grammar_source;

// GEMEL_E_GRAMMAR, with line and column in `err`: not valid, or too large.
GEMEL_API int gemel_grammar_open(gemel_model *model, int source, const char *text, size_t size, gemel_grammar **out,
                                 char *err, size_t err_size);
// The answer is one of n (at least 1) texts, which follow each other in `text`; sizes[n] are their bytes.
GEMEL_API int gemel_grammar_choices(gemel_model *model, const char *text, const int32_t *sizes, size_t n,
                                    gemel_grammar **out, char *err, size_t err_size);
// Bytes that it takes. 0: NULL.
GEMEL_API size_t gemel_grammar_size(const gemel_grammar *grammar);
GEMEL_API void gemel_grammar_close(gemel_grammar *grammar);   // after its samplers, before its model
typedef enum gemel_match {
    GEMEL_MATCH_BEGINS = 1,   // some answer begins with the text
    GEMEL_MATCH_WHOLE = 2,    // the text is an answer
} gemel_match;
// What a text is to the grammar: 0, or gemel_match flags. A grammar that needs ids as such matches no text.
GEMEL_API int gemel_grammar_match(const gemel_grammar *grammar, const char *text, size_t size);

// ---- Sampling ------------------------------------------------------------------------------------------------------
// The steps, in this order, each off at its neutral value: the grammar's mask, logit bias, repeat/frequency/presence
// penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, then the draw. Mirostat 2, when on, replaces top-k to
// XTC.
// Equal logits sort by id. temperature 0 is greedy: the most likely id after mask, bias, penalties and DRY; nothing is
// drawn. Otherwise each sample takes one number from the generator, two with XTC. The same seed gives the same ids
// everywhere.

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
    GEMEL_SAMPLER_SEED = 19,                // an integer, 0..2^53; default 0; gemel_sampler_seed takes 64 bits
} gemel_sampler_option;

GEMEL_API int gemel_sampler_open(const gemel_model *model, gemel_sampler **out);
GEMEL_API void gemel_sampler_close(gemel_sampler *sampler);   // before its model
// At any time. Set the look-back options before the first `accept`: ids that were not kept before can't be looked at.
GEMEL_API int gemel_sampler_set(gemel_sampler *sampler, int option, double value);
// The seed high * 2^32 + low; up to 2^53 the same as by GEMEL_SAMPLER_SEED.
GEMEL_API int gemel_sampler_seed(gemel_sampler *sampler, uint32_t low, uint32_t high);
// A finite bias, or -INFINITY to forbid the id. It replaces an earlier bias of the same id. Penalised and biased logits
// saturate at the largest float, so nothing else forbids an id.
GEMEL_API int gemel_sampler_bias(gemel_sampler *sampler, int32_t id, float bias);
// Add a sequence of 1..20 ids that ends a repeat. DRY never penalises an id that is a sequence by itself.
GEMEL_API int gemel_sampler_dry_breaker(gemel_sampler *sampler, const int32_t *ids, size_t n);
// From now on an answer begins, and each id accepted continues it: ids that the grammar does not allow next are never
// drawn. Where the answer may end, the ids that end a generation are allowed, and only there. NULL: no grammar. All
// memory that the grammar's steps need, about 10 MB, is taken here.
// flags: GEMEL_USE_MESSAGE: the answer is a message, which lacks the space that some tokenizers put before a text.
// GEMEL_USE_MASK_ONLY: evaluate nothing ahead, no drafts either. Otherwise, where the grammar forces text,
// gemel_session_next and gemel_model_step evaluate its ids in the pass of the id before them, and later steps with
// these ids take no pass. Ids, random numbers, logits and texts are the same with and without.
typedef enum gemel_use {
    GEMEL_USE_MESSAGE = 1,
    GEMEL_USE_MASK_ONLY = 2,
} gemel_use;
GEMEL_API int gemel_sampler_use(gemel_sampler *sampler, const gemel_grammar *grammar, int flags);
// The answer has at most n (at least 1) ids from here on, and the grammar closes it: ids after which too few are left
// to end it are not allowed. Call it after gemel_sampler_use; that and gemel_sampler_reset end it. Returns the ids that
// the rest takes, at most; when these are more than n, nothing changed. GEMEL_E_ARGUMENT: there is no grammar.
// GEMEL_E_UNSUPPORTED: no text was found that ends the answer with each item of @unique rules once.
// GEMEL_E_GRAMMAR: the vocabulary lacks bytes that must follow, or finding out takes more memory or time than there is.
GEMEL_API int gemel_sampler_close_within(gemel_sampler *sampler, int n);
// 0: there is no grammar, or the answer needs more; 1: it may end here; 2: it is whole: nothing can follow, or no id is
// left of those that gemel_sampler_close_within allows
GEMEL_API int gemel_sampler_ends(const gemel_sampler *sampler);
// allowed[n_vocab]: 1 where the grammar allows the id next, else 0. Returns their number; GEMEL_E_ARGUMENT: no grammar.
GEMEL_API int gemel_sampler_allowed(gemel_sampler *sampler, uint8_t *allowed);
// Add an id (of the prompt, or drawn) to those that penalties look back at. GEMEL_E_ARGUMENT, with nothing changed: the
// grammar, or the limit of gemel_sampler_close_within, does not allow it. GEMEL_E_GRAMMAR: following it takes more
// memory or time than there is, because the grammar reads what was accepted in too many ways.
GEMEL_API int gemel_sampler_accept(gemel_sampler *sampler, int32_t id);
// Forget the ids; the generator, mirostat and the grammar start again, without gemel_sampler_close_within
GEMEL_API int gemel_sampler_reset(gemel_sampler *sampler);
// Draw an id from logits[n_vocab]; call accept next. An id with logit -INFINITY is never drawn. GEMEL_E_ARGUMENT: every
// id is forbidden or has logit -INFINITY. GEMEL_E_NUMERIC: a logit is NaN or +Inf. GEMEL_E_GRAMMAR: the grammar allows
// no id of this vocabulary, or finding out takes more memory or time than there is.
GEMEL_API int gemel_sampler_sample(gemel_sampler *sampler, const float *logits);
// The state that accepting and drawing change, as bytes: the generator, mirostat, and the ids that the penalties in use
// look back at (48 bytes when none is in use), the place in the grammar, and the ids that gemel_sampler_close_within
// leaves. Options, biases, breakers, the grammar and whether it closes the answer are not saved: set the same ones, and
// a restored sampler of the same model draws what the saved one would have drawn.
// GEMEL_E_STATE, with the sampler unchanged: not a saved sampler, another vocabulary, another grammar, one of the two
// closes its answer and the other doesn't, more ids left than this one's limit or too few to end the answer, or
// penalties that look back further than the saved ones.
GEMEL_API size_t gemel_sampler_save_size(const gemel_sampler *sampler);
GEMEL_API int gemel_sampler_save(const gemel_sampler *sampler, uint8_t *data, size_t capacity);
GEMEL_API int gemel_sampler_restore(gemel_sampler *sampler, const uint8_t *data, size_t size, char *err,
                                    size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
