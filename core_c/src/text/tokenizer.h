// Text to ids and back. Picks the model (byte-level BPE, SentencePiece) by the file's tokenizer.ggml.model and the
// splitting rule by tokenizer.ggml.pre. Linear time, no recursion. Knows the GGUF's vocabulary; knows no network.
//
//   text -> specials.c cuts out special tokens -> pretok.c cuts words (BPE) -> merge.c joins symbols -> ids
//
// What can't be expressed. Bytes that are not UTF-8 are kept: BPE has a token for a byte, SentencePiece has <0xNN>. A
// character for which SentencePiece lacks those becomes the unknown token. A byte for which BPE has no token becomes
// the unknown token when the file has one of kind UNKNOWN; otherwise it is left out before pieces merge, as by the
// tokenizers that such vocabularies were made with (SmolLM2's lacks six control characters, the lead bytes of planes
// that Unicode has not filled, and the bytes that UTF-8 never uses).
//
// Spaces of SentencePiece. encode puts a space before text that starts, or follows a special token, unless the file
// says not to; decode, the inverse of encode, removes one there; piece, which does not know its neighbours, never does.
// After the unknown token decode keeps the space: it nearly always replaces a character in the middle of a text.
//
// Ids without keys. A file that lacks a role's key has the id that llama.cpp gives the text model, if it exists:
// "llama" BOS 1 and EOS 2, "gpt2" BOS 11 and EOS 11 (GLM's no BOS). An id that does not exist counts as absent.
#pragma once
#include "../file/gguf.h"

typedef struct tokenizer tokenizer;

// `g` must outlive the tokenizer (pieces point into it). Checks every claim of the vocabulary; `said` (NULL: none) gets
// warnings.
int tokenizer_open(tokenizer **out, const gguf *g, warnings *said, errors *e);
void tokenizer_close(tokenizer *t);
int tokenizer_n_vocab(const tokenizer *t);
int tokenizer_special(const tokenizer *t, int field);   // GEMEL_MODEL_BOS .. GEMEL_MODEL_ADD_EOS; -1: none
// As gemel_tokenize, gemel_piece, gemel_token_*; ids out of range are GEMEL_E_ARGUMENT. At most 1 GiB of text per call.
// piece and decode write nothing when their text is over `capacity`.
int tokenizer_encode(const tokenizer *t, const char *text, size_t size, int flags, int32_t *ids, size_t capacity);
int tokenizer_piece(const tokenizer *t, int32_t id, int flags, char *text, size_t capacity);
int tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, int flags, char *text, size_t capacity);
// 1: decode leaves out the first space of the id's text, where the id starts a text.
int tokenizer_drops_space(const tokenizer *t, int32_t id);
int tokenizer_kind(const tokenizer *t, int32_t id);
int tokenizer_is_eog(const tokenizer *t, int32_t id);
