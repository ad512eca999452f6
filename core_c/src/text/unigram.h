// SentencePiece's unigram model: tokenizer.ggml.model t5.
#pragma once
#include "encoder.h"

extern const text_model unigram_model;
