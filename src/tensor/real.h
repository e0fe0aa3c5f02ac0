/*
 * The number type of activations: float, and double in the -Dreal=double test build, where the portable kernels run the same
 * graphs so that invariants can be checked to 1e-9.
 */
#ifndef TENSOR_REAL_H
#define TENSOR_REAL_H

#include <math.h>

#ifdef TOKRAY_REAL_DOUBLE
typedef double real;
#define REAL(x) x
#define real_fma fma
#else
typedef float real;
#define REAL(x) x##f
#define real_fma fmaf
#endif

#endif
