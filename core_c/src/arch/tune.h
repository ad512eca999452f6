// What the files of one architecture alone take for granted: the last column of archs.def. Each is called when every
// number of the file has been read, and before what follows from them is computed.
#pragma once
#include "../model/model.h"
#include "keys.h"

void tune_gemma2(gemel_model *m, keys *r);
void tune_gemma3(gemel_model *m, keys *r);
void tune_phi3(gemel_model *m, keys *r);
void tune_smollm3(gemel_model *m, keys *r);
void tune_olmo2(gemel_model *m, keys *r);
void tune_granite(gemel_model *m, keys *r);
void tune_mpt(gemel_model *m, keys *r);
