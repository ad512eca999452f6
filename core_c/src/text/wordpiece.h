// WordPiece, of BERT: tokenizer.ggml.model bert.
#pragma once
#include "encoder.h"

extern const text_model wordpiece_model;
