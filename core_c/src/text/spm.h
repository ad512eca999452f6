// SentencePiece's BPE: tokenizer.ggml.model llama.
#pragma once
#include "encoder.h"

extern const text_model spm_model;
