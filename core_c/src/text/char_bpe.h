// BPE over characters: tokenizer.ggml.model gemma4, and gpt2 with a splitting rule whose pieces are characters.
#pragma once
#include "encoder.h"

extern const text_model char_bpe_model;
