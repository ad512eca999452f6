// RWKV's vocabulary of bytes: tokenizer.ggml.model rwkv.
#pragma once
#include "encoder.h"

extern const text_model world_model;
