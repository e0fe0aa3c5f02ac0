/* Finding the system's OpenBLAS at run time. */
#include "tensor/openblas.h"

#include <dlfcn.h>
#include <string.h>

#ifdef TOKRAY_REAL_DOUBLE
#define OPENBLAS_GEMM "cblas_dgemm"
#else
#define OPENBLAS_GEMM "cblas_sgemm"
#endif

/* C has no cast from an object pointer to a function pointer; the bytes are the same on systems with dlsym. */
static bool find(void *library, const char *name, void *function, size_t size)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, size);
    return found != NULL;
}

bool openblas_load(openblas *out)
{
    /* Not closed: threads of the library may live on, and loading it again costs a look-up. */
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library && find(library, OPENBLAS_GEMM, &out->gemm, sizeof out->gemm) &&
           find(library, "openblas_set_num_threads", &out->set_threads, sizeof out->set_threads);
}
