/* Kernels for x86-64 with AVX2 and FMA; compiled with -mavx2 -mfma.  A 6 x 16 tile fills 15 of the 16
 * registers. */
#define LEVEL_AVX2
#define TILE_ROWS    6
#define TILE_VECTORS 1
#define KERNELS      kernels_avx2
#define KERNELS_NAME "avx2"
#include "tensor/kernels.inc"
