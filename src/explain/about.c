/* What this build is: version, compiler, threads, number type, processor level. */
#include <tokray/version.h>

#include <pthread.h>

#include "base/buffer.h"
#include "tensor/gemm.h"

const char *tkr_version(void) { return TKR_VERSION_STRING; }

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif
#ifdef TOKRAY_THREADS_OPENMP
#define THREADS "openmp"
#else
#define THREADS "pthreads"
#endif

static char info[256];
static pthread_once_t info_once = PTHREAD_ONCE_INIT;

static void fill_info(void)
{
    buffer b;
    buffer_init(&b, sizeof info - 1);
    buffer_format(&b, "tokray %s, %s, %s, real %s, cpu %s, gemm %s", TKR_VERSION_STRING, COMPILER, THREADS,
                  sizeof(real) == sizeof(double) ? "double" : "float", kernels_best()->name, gemm_door());
    if (b.data)
        memcpy(info, b.data, b.size + 1);
    buffer_fini(&b);
}

const char *tkr_build_info(void)
{
    pthread_once(&info_once, fill_info);
    return info;
}
