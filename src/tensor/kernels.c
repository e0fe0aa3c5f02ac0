/*
 * Which table of kernels runs: the highest level of the processor, or the one that TOKRAY_CPU names.
 *
 * Nothing is remembered: asking the processor costs next to nothing and is done once a model or session.
 * A TOKRAY_CPU that names no level of this processor is passed over.
 */
#include "tensor/kernels.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/levels.h"

enum { LEVELS_MOST = 3 };

/* Tables that this processor runs, lowest first. */
static size_t levels(const kernels *out[LEVELS_MOST])
{
    size_t count = 0;
    out[count++] = &kernels_portable;
#if HAS_X86_LEVELS
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2)
        out[count++] = &kernels_avx2;
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        out[count++] = &kernels_avx512;
#endif
    return count;
}

const kernels *kernels_at(size_t index)
{
    const kernels *all[LEVELS_MOST];
    return index < levels(all) ? all[index] : NULL;
}

const kernels *kernels_best(void)
{
    const kernels *all[LEVELS_MOST];
    const size_t count = levels(all);
    const char *wanted = getenv("TOKRAY_CPU");
    for (size_t i = 0; wanted && i < count; i++)
        if (strcmp(all[i]->name, wanted) == 0)
            return all[i];
    return all[count - 1];
}
