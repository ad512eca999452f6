// What the core uses of <math.h>: macros. It calls no function of a math library anywhere.
#pragma once
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
