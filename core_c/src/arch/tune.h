// What the files of a single architecture take for granted: the last column of archs.def. Each function is called after
// all numbers of the file are read, and before anything is derived from them.
#pragma once
#include "../model/model.h"
#include "keys.h"

void tune_gemma2(gemel_model *m, keys *r);
void tune_gemma3(gemel_model *m, keys *r);
void tune_phi3(gemel_model *m, keys *r);
void tune_smollm3(gemel_model *m, keys *r);
void tune_olmo2(gemel_model *m, keys *r);
void tune_gpt_oss(gemel_model *m, keys *r);
void tune_phimoe(gemel_model *m, keys *r);
void tune_granite(gemel_model *m, keys *r);
void tune_granite_hybrid(gemel_model *m, keys *r);
void tune_deepseek2(gemel_model *m, keys *r);
void tune_mpnet(gemel_model *m, keys *r);
void tune_modern_bert(gemel_model *m, keys *r);
void tune_gemma_embedding(gemel_model *m, keys *r);
void tune_qwen3next(gemel_model *m, keys *r);
void tune_mpt(gemel_model *m, keys *r);
void tune_minicpm(gemel_model *m, keys *r);
void tune_exaone4(gemel_model *m, keys *r);
void tune_hunyuan(gemel_model *m, keys *r);
void tune_mistral3(gemel_model *m, keys *r);
void tune_cohere2(gemel_model *m, keys *r);
void tune_glm4(gemel_model *m, keys *r);
void tune_gemma4(gemel_model *m, keys *r);
void tune_apertus(gemel_model *m, keys *r);
void tune_llama4(gemel_model *m, keys *r);
