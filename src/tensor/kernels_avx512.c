/* Kernels for x86-64 with AVX-512 (F, DQ, VL, BW); compiled with these.  A 14 x 32 tile fills 31 of the 32
 * registers. */
#define LEVEL_AVX512
#define TILE_ROWS    14
#define TILE_VECTORS 2
#define KERNELS      kernels_avx512
#define KERNELS_NAME "avx512"
#include "tensor/kernels.inc"
