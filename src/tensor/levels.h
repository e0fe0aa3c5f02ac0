/* The tables of kernels that this build holds, one a processor level; kernels_best chooses. */
#ifndef TENSOR_LEVELS_H
#define TENSOR_LEVELS_H

#include "tensor/kernels.h"

#if defined(__x86_64__) && !defined(TOKRAY_REAL_DOUBLE)
#define HAS_X86_LEVELS 1
#else
#define HAS_X86_LEVELS 0
#endif

extern const kernels kernels_portable;
extern const kernels kernels_avx2;   /* only with HAS_X86_LEVELS */
extern const kernels kernels_avx512; /* only with HAS_X86_LEVELS */

#endif
