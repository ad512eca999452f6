// Text that a grammar forces: where only one byte may follow, and one after it. As ids, they are what an answer will
// probably go on with; the sampler may still draw other ids of the same text.
#pragma once
#include "mask.h"

// Up to `max` ids of the text that must follow: at each place the one with the longest text. Returns how many.
int mask_forced(mask *k, int32_t *ids, int max);
