// Byte-level BPE: tokenizer.ggml.model gpt2.
#pragma once
#include "encoder.h"

extern const text_model bpe_model;
