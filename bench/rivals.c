/* OpenBLAS and oneDNN through their C interfaces, found at run time. */
#include "bench/rivals.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/gemm.h"

static void *open_first(const char *const *names)
{
    void *library = NULL;
    for (size_t i = 0; names[i] && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* ISO C has no conversion from data to function pointers, so the bytes are copied. */
static void find(void *library, const char *name, void *function)
{
    void *found = library ? dlsym(library, name) : NULL;
    memcpy(function, &found, sizeof found);
}

static void choose_level(void)
{
    const char *level = kernels_best()->name;
    if (strcmp(level, "avx512") == 0)
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    if (strcmp(level, "avx2") == 0) {
        setenv("OPENBLAS_CORETYPE", "Haswell", 0);
        setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 0);
    }
}

rivals rivals_load(void)
{
    static const char *const blas_names[] = {"libopenblas.so.0", NULL};
    static const char *const onednn_names[] = {"libdnnl.so.2", "libdnnl.so.3", NULL};
    rivals r = {0};
    choose_level();
    void *blas = open_first(blas_names), *onednn = open_first(onednn_names);
    find(blas, "cblas_sgemm", &r.openblas);
    find(blas, "openblas_set_num_threads", &r.openblas_threads);
    find(blas, "openblas_get_corename", &r.openblas_core);
    find(onednn, "dnnl_sgemm", &r.onednn);
    find(onednn, "omp_set_num_threads", &r.openmp_threads);
    if (!r.openblas || !r.openblas_threads)
        r.openblas = NULL, r.openblas_threads = NULL, r.openblas_core = NULL;
    if (!r.onednn || !r.openmp_threads)
        r.onednn = NULL, r.openmp_threads = NULL;
    return r;
}

void rivals_set_threads(const rivals *r, int threads)
{
    if (r->openblas)
        r->openblas_threads(threads);
    if (r->onednn)
        r->openmp_threads(threads);
}

void rivals_openblas(const rivals *r, float *c, const float *a, const float *w, int m, int n, int k)
{
    enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };
    r->openblas(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, m, n, k, 1, a, k, w, k, 0, c, n);
}

void rivals_onednn(const rivals *r, float *c, const float *a, const float *w, int m, int n, int k)
{
    r->onednn('N', 'T', m, n, k, 1, a, k, w, k, 0, c, n);
}
