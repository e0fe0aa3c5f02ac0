/*
 * Weights: reading stored numbers in place, and packing them once for products.
 *
 * The stored bytes stay where they are (a mapped file); a row is widened when somebody asks for it.  float16 and bfloat16
 * widen exactly, subnormals and NaN payloads included; float64 is rounded to nearest even where real is float, and a finite
 * number that becomes infinite by that counts as not finite.
 *
 * Several weights may be parts of one tensor: columns of its stored rows.
 *
 * Known to go wrong: the data of a safetensors file start at any address, so nothing here casts the byte pointer; Conv1D
 * checkpoints store [in, out], so a row of the matrix is a column of the file; two threads may ask for the same pack.
 */
#include "tensor/weight.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/size.h"

enum { WIDEN_RUN = 64, SCAN_BLOCK = 1024, SCAN_GRAIN_BLOCKS = 64 };

size_t weight_dtype_bytes(weight_dtype dtype)
{
    switch (dtype) {
    case WEIGHT_F16:
    case WEIGHT_BF16: return 2;
    case WEIGHT_F64: return 8;
    case WEIGHT_F32: break;
    }
    return 4;
}

/* Little-endian numbers at any address. */
static inline uint16_t load16(const unsigned char *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return le16toh(bits);
}

static inline uint32_t load32(const unsigned char *at)
{
    uint32_t bits;
    memcpy(&bits, at, sizeof bits);
    return le32toh(bits);
}

static inline uint64_t load64(const unsigned char *at)
{
    uint64_t bits;
    memcpy(&bits, at, sizeof bits);
    return le64toh(bits);
}

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Exponent and fraction move 13 places up; the product with 2^112 corrects the bias and normalises subnormals, exactly. */
static inline float widen_f16(uint16_t half)
{
    uint32_t magnitude = half & 0x7fffU, sign = (uint32_t)(half & 0x8000U) << 16;
    float scaled = float_of_bits(magnitude << 13) * 0x1p112F;
    uint32_t bits;
    memcpy(&bits, &scaled, sizeof bits);
    if (magnitude >= 0x7c00U)
        bits = 0x7f800000U | magnitude << 13;
    return float_of_bits(bits | sign);
}

static inline float widen_bf16(uint16_t brain) { return float_of_bits((uint32_t)brain << 16); }

/* Numbers side by side are widened in runs of a fixed length, which compilers turn into vector code. */
#define WIDEN(convert, load, bytes)                                                                                   \
    do {                                                                                                              \
        size_t i = 0;                                                                                                 \
        for (; stride == (bytes) && i + WIDEN_RUN <= count; i += WIDEN_RUN)                                           \
            for (size_t j = 0; j < WIDEN_RUN; j++)                                                                    \
                out[i + j] = (real)convert(load(from + (i + j) * (bytes)));                                           \
        for (; i < count; i++)                                                                                        \
            out[i] = (real)convert(load(from + i * stride));                                                          \
    } while (0)

/* count numbers that lie `stride` bytes apart. */
static void widen(weight_dtype dtype, const unsigned char *from, size_t stride, size_t count, real *out)
{
    switch (dtype) {
    case WEIGHT_F32: WIDEN(float_of_bits, load32, 4); return;
    case WEIGHT_F16: WIDEN(widen_f16, load16, 2); return;
    case WEIGHT_BF16: WIDEN(widen_bf16, load16, 2); return;
    case WEIGHT_F64: WIDEN(double_of_bits, load64, 8); return;
    }
}

void weight_row(const weight *w, size_t row, real *out)
{
    size_t bytes = weight_dtype_bytes(w->dtype);
    if (w->is_transposed)
        widen(w->dtype, w->data + row * bytes, w->stride * bytes, w->columns, out);
    else
        widen(w->dtype, w->data + row * w->stride * bytes, bytes, w->columns, out);
}

/* Numbers in a stored row, and how many such rows. */
static size_t stored_width(const weight *w) { return w->is_transposed ? w->rows : w->columns; }
static size_t stored_rows(const weight *w) { return w->is_transposed ? w->columns : w->rows; }

tkr_status weight_init(weight *w, const char *name, weight_dtype dtype, const void *data, size_t rows, size_t columns,
                       bool is_transposed, tkr_error *error)
{
    return weight_init_part(w, name, dtype, data, rows, columns, is_transposed, 0, error);
}

tkr_status weight_init_part(weight *w, const char *name, weight_dtype dtype, const void *data, size_t rows, size_t columns,
                            bool is_transposed, size_t stride, tkr_error *error)
{
    memset(w, 0, sizeof *w);
    w->name = name;
    w->rows = rows;
    w->columns = columns;
    w->is_transposed = is_transposed;
    w->stride = stride != 0 ? stride : stored_width(w);
    w->dtype = dtype;
    w->data = data;
    atomic_init(&w->pack, NULL);
    if (pthread_mutex_init(&w->lock, NULL) != 0)
        return fail_memory(error, name, sizeof w->lock);
    if (rows != 1)
        return TKR_OK;

    size_t bytes = 0;
    if (size_mul(&bytes, columns, sizeof(real)))
        w->vector = memory_new_aligned(bytes);
    if (w->vector == NULL) {
        weight_fini(w);
        return fail_memory(error, name, bytes);
    }
    weight_row(w, 0, w->vector);
    return TKR_OK;
}

void weight_fini(weight *w)
{
    if (w == NULL)
        return;
    packed_free(atomic_load(&w->pack));
    memory_free(w->vector);
    pthread_mutex_destroy(&w->lock);
    memset(w, 0, sizeof *w);
}

/* After a sweep over all numbers: what is packed is read from the pack, what was searched is read again when it is needed. */
static void let_go(const weight *w)
{
    if (w->is_mapped && w->rows > 0)
        file_pages_let_go(w->data, ((stored_rows(w) - 1) * w->stride + stored_width(w)) * weight_dtype_bytes(w->dtype));
}

static void row_for_packing(const void *source, size_t row, real *out) { weight_row(source, row, out); }

const packed *weight_packed(weight *w, const kernels *k, pool *threads, tkr_error *error)
{
    packed *found = atomic_load_explicit(&w->pack, memory_order_acquire);
    if (found != NULL)
        return found;

    pthread_mutex_lock(&w->lock);
    found = atomic_load_explicit(&w->pack, memory_order_relaxed);
    if (found == NULL) {
        found = packed_new(k, w->rows, w->columns, row_for_packing, w, threads);
        atomic_store_explicit(&w->pack, found, memory_order_release);
        let_go(w);
    }
    pthread_mutex_unlock(&w->lock);
    if (found == NULL)
        fail_memory(error, w->name, packed_bytes(k, w->rows, w->columns));
    return found;
}

size_t weight_packed_missing(const weight *w, const kernels *k)
{
    if (atomic_load_explicit(&w->pack, memory_order_acquire) != NULL)
        return 0;
    return packed_bytes(k, w->rows, w->columns);
}

/* What a scan found. */
typedef struct scan {
    const weight *weight;
    size_t numbers, number_bytes;      /* numbers of a run: the whole tensor, or one stored row of a part */
    size_t blocks;                     /* of a run                                                        */
    size_t run_stride;                 /* bytes from run to run                                           */
    _Atomic size_t nan, infinite, too_large, first;
} scan;

/* Does any of the block's exponents have all bits set?  Constant trip counts, no branches: compilers vectorise it. */
static bool block_is_suspect(weight_dtype dtype, const unsigned char *at)
{
    uint32_t found = 0;
    switch (dtype) {
    case WEIGHT_F32:
        for (size_t i = 0; i < SCAN_BLOCK; i++)
            found |= (uint32_t)((load32(at + i * 4) & 0x7f800000U) == 0x7f800000U);
        break;
    case WEIGHT_F16:
        for (size_t i = 0; i < SCAN_BLOCK; i++)
            found |= (uint32_t)((load16(at + i * 2) & 0x7c00U) == 0x7c00U);
        break;
    case WEIGHT_BF16:
        for (size_t i = 0; i < SCAN_BLOCK; i++)
            found |= (uint32_t)((load16(at + i * 2) & 0x7f80U) == 0x7f80U);
        break;
    case WEIGHT_F64: /* from 2^127 on: too large for float32, or close to it */
        for (size_t i = 0; i < SCAN_BLOCK; i++)
            found |= (uint32_t)((load64(at + i * 8) & 0x7ff0000000000000U) >= 0x47e0000000000000U);
        break;
    }
    return found != 0;
}

static void note_first(scan *s, size_t index)
{
    size_t seen = atomic_load(&s->first);
    while (index < seen && !atomic_compare_exchange_weak(&s->first, &seen, index))
        continue;
}

/* Look at numbers of a run one by one. */
static void scan_numbers(scan *s, size_t run, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        const unsigned char *at = s->weight->data + run * s->run_stride + i * s->number_bytes;
        real value;
        widen(s->weight->dtype, at, s->number_bytes, 1, &value);
        if (isfinite(value))
            continue;
        if (isnan(value))
            atomic_fetch_add(&s->nan, 1);
        else if (s->weight->dtype == WEIGHT_F64 && isfinite(double_of_bits(load64(at))))
            atomic_fetch_add(&s->too_large, 1);
        else
            atomic_fetch_add(&s->infinite, 1);
        note_first(s, run * s->numbers + i);
    }
}

static void scan_task(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    scan *s = context;
    for (size_t block = begin; block < end; block++) {
        size_t run = block / s->blocks, first = block % s->blocks * SCAN_BLOCK;
        size_t last = s->numbers - first < SCAN_BLOCK ? s->numbers : first + SCAN_BLOCK;
        const unsigned char *at = s->weight->data + run * s->run_stride + first * s->number_bytes;
        if (last - first < SCAN_BLOCK || block_is_suspect(s->weight->dtype, at))
            scan_numbers(s, run, first, last);
    }
}

/* "2 NaN, 1 Inf" of the counts that are not zero. */
static void describe(const scan *s, char *text, size_t room)
{
    const struct {
        size_t count;
        const char *what;
    } parts[] = {{s->nan, "NaN"}, {s->infinite, "Inf"}, {s->too_large, "too large for float32"}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].count == 0 || used >= room)
            continue;
        int wrote = snprintf(text + used, room - used, "%s%zu %s", used ? ", " : "", parts[i].count, parts[i].what);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

tkr_status weight_scan(const weight *w, pool *threads, tkr_error *error)
{
    bool is_part = w->stride != stored_width(w) && stored_rows(w) > 1;
    scan s = {.weight = w, .number_bytes = weight_dtype_bytes(w->dtype)};
    s.numbers = is_part ? stored_width(w) : w->rows * w->columns;
    s.run_stride = w->stride * s.number_bytes;
    s.blocks = s.numbers / SCAN_BLOCK + (s.numbers % SCAN_BLOCK != 0);
    atomic_init(&s.first, SIZE_MAX);
    parallel_for(threads, s.blocks * (is_part ? stored_rows(w) : 1), SCAN_GRAIN_BLOCKS, scan_task, &s);
    let_go(w);
    if (s.first == SIZE_MAX)
        return TKR_OK;

    char counts[128] = "";
    describe(&s, counts, sizeof counts);
    const char *name = QUOTE(view_of(w->name));
    if (w->rows == 1) {
        fail(error, TKR_E_WEIGHT_NONFINITE, "tensor %s: %s, first at [%zu]", name, counts, w->part_at + s.first);
    } else {
        size_t width = stored_width(w);
        fail(error, TKR_E_WEIGHT_NONFINITE, "tensor %s: %s, first at [%zu, %zu]", name, counts, s.first / width,
             w->part_at + s.first % width);
    }
    fail_help(error, "the file was damaged or written by a training run that diverged: download or export it again");
    return TKR_E_WEIGHT_NONFINITE;
}
