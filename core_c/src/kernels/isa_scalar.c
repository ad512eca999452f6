// Scalar C, which defines the bits.
#define ISA_NAME "scalar"
#define TABLE kernels_scalar
#include "kernels.inc.c"
