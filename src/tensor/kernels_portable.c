/* Kernels in plain C: the reference of all levels, the only one of the double build, and what runs on any
 * processor. */
#define TILE_ROWS    4
#define TILE_VECTORS 1
#define KERNELS      kernels_portable
#define KERNELS_NAME "portable"
#include "tensor/kernels.inc"
