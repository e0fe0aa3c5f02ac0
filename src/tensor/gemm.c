/*
 * Matrix products over weights that are packed once, in both directions over the same pack.
 *
 * The pack: N is cut into panels of kernels.panel columns (the last filled up with zeros), K into blocks of
 * BLOCK_K.  All panels of a block of k lie one after the other, each k-major; so a product reads the pack
 * from front to back. The product: the grid of threads is chosen by shape (columns for few rows, rows for
 * many).  Each cell runs over blocks of BLOCK_M rows and BLOCK_K of k; with enough rows the block of A is
 * first copied into the order of the tiles, so that it streams from the second-level cache.  What a cell
 * computes never depends on the others, and each element is summed over k upwards, so neither the grid nor
 * the blocks show in the bits.
 * OpenBLAS, when it stands behind the door, gets the matrix as it is.
 * Source of the scheme: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34
 * (2008).
 */
#include "tensor/gemm.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "base/size.h"
#include "tensor/openblas.h"

enum {
    BLOCK_K = 768,
    BLOCK_M = 224,
    WORK_LEAST = 1 << 17, /* multiply-adds that are worth a thread */
    HUGE_LEAST = 4 << 20, /* bytes from which a pack asks for huge pages */
    ROWS_GRAIN = 16
};

struct packed {
    const kernels *kernels;
    size_t outputs, inputs; /* N, K: rows and columns of the matrix */
    openblas blas;          /* gemm is NULL: our own kernels        */
    real *w;
};

/* ---- The door ---- */

/* OpenBLAS when TOKRAY_GEMM asks for it, or when the processor has no vector kernel and nobody chose a level.
 * */
static bool door_is_openblas(openblas *blas)
{
    const char *wanted = getenv("TOKRAY_GEMM");
    const bool is_asked = wanted && strcmp(wanted, "openblas") == 0,
               is_refused = wanted && strcmp(wanted, "own") == 0;
#ifdef TOKRAY_REAL_DOUBLE
    const bool is_needed = false; /* the test build is about right, not fast */
#else
    const bool is_needed = !kernels_at(1) && !getenv("TOKRAY_CPU");
#endif
    return (is_asked || (is_needed && !is_refused)) && openblas_load(blas);
}

const char *gemm_door(void)
{
    openblas blas;
    return door_is_openblas(&blas) ? "openblas" : "own";
}

/* ---- Packing ---- */

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Elements from one panel to the next.  The way back reads a short stretch of every panel at a time: their distance must not be a
 * multiple of a page, or all stretches would fall into the same few sets of the caches. */
static size_t panel_step(const kernels *k, size_t depth)
{
    enum { PANEL_GAP = 448, GAP_LEAST = 128 };
    return depth * k->panel + (depth >= GAP_LEAST ? PANEL_GAP : 0);
}

/* Where panel number `panel` of the block that begins at k lies. */
static real *panel_at(const packed *w, size_t k, size_t panel)
{
    const size_t panels = round_up(w->outputs, w->kernels->panel) / w->kernels->panel;
    return w->w + k / BLOCK_K * panels * panel_step(w->kernels, BLOCK_K) + panel * panel_step(w->kernels, least(BLOCK_K, w->inputs - k));
}

typedef struct packing {
    packed *w;
    matrix_row_fn *row;
    const void *source;
    real *buffers; /* one a thread */
    size_t buffer;
} packing;

/* Panels [begin, end): rows of the matrix are columns of the pack. */
static void pack_panels(void *context, size_t begin, size_t end, int thread)
{
    const packing *p = context;
    const packed *w = p->w;
    const size_t width = w->kernels->panel, inputs = w->inputs;
    real *rows = p->buffers + (size_t)thread * p->buffer;
    for (size_t panel = begin; panel < end; panel++) {
        const size_t count = least(width, w->outputs - panel * width);
        for (size_t i = 0; i < count; i++)
            p->row(p->source, panel * width + i, rows + i * inputs);
        for (size_t k = 0; k < inputs; k += BLOCK_K) {
            const size_t depth = least(BLOCK_K, inputs - k);
            real *to = panel_at(w, k, panel);
            if (count < width)
                memset(to, 0, width * depth * sizeof *to);
            w->kernels->transpose(to, width, rows + k, inputs, count, depth);
        }
    }
}

/* As it is, for OpenBLAS. */
static void pack_plain(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const packing *p = context;
    for (size_t i = begin; i < end; i++)
        p->row(p->source, i, p->w->w + i * p->w->inputs);
}

/* Elements of the pack; false when that wraps. */
static bool pack_elements(size_t *elements, const kernels *k, size_t rows, size_t columns, bool is_plain)
{
    size_t padded, gaps, whole = columns / BLOCK_K, rest = columns % BLOCK_K;
    if (is_plain)
        return size_mul(elements, rows, columns);
    if (!size_add(&padded, rows, k->panel - 1) || !size_mul(elements, padded / k->panel * k->panel, columns))
        return false;
    const size_t gap = panel_step(k, BLOCK_K) - BLOCK_K * k->panel, last = panel_step(k, rest) - rest * k->panel;
    return size_mul(&gaps, padded / k->panel, whole * gap + last) && size_add(elements, *elements, gaps);
}

/* Fewer, larger pages for what is read in one sweep; only a wish, and only for the pages that lie wholly
 * inside. */
static void ask_for_huge_pages(void *block, size_t bytes)
{
    const uintptr_t page = 4096, begin = ((uintptr_t)block + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)block + bytes) / page * page;
    if (bytes >= HUGE_LEAST && begin < end)
        madvise((char *)block + (begin - (uintptr_t)block), end - begin, MADV_HUGEPAGE);
}

static bool pack_fill(packed *w, matrix_row_fn *row, const void *source, pool *threads)
{
    packing p = {.w = w, .row = row, .source = source};
    if (w->blas.gemm) {
        parallel_for(threads, w->outputs, ROWS_GRAIN, pack_plain, &p);
        return true;
    }
    const size_t width = w->kernels->panel, count = (size_t)pool_threads(threads);
    size_t bytes;
    p.buffer = width * w->inputs;
    if (!size_mul(&bytes, p.buffer, count * sizeof *p.buffers) || !(p.buffers = memory_new_aligned(bytes)))
        return false;
    parallel_for(threads, round_up(w->outputs, width) / width, 1, pack_panels, &p);
    memory_free(p.buffers);
    return true;
}

packed *packed_new(const kernels *k, size_t rows, size_t columns, matrix_row_fn *row, const void *source, pool *threads)
{
    packed *w = NEW(packed, 1);
    if (!w)
        return NULL;
    *w = (packed){.kernels = k, .outputs = rows, .inputs = columns};
    if (rows > INT_MAX || columns > INT_MAX || !door_is_openblas(&w->blas))
        w->blas.gemm = NULL;
    size_t elements, bytes;
    if (!pack_elements(&elements, k, rows, columns, w->blas.gemm) ||
        !size_mul(&bytes, elements, sizeof *w->w) || !(w->w = memory_new_aligned(bytes)))
        goto fail;
    ask_for_huge_pages(w->w, bytes);
    if (!pack_fill(w, row, source, threads))
        goto fail;
    return w;
fail:
    packed_free(w);
    return NULL;
}

void packed_free(packed *w)
{
    if (!w)
        return;
    memory_free(w->w);
    memory_free(w);
}

size_t packed_bytes(const kernels *k, size_t rows, size_t columns)
{
    openblas blas;
    size_t elements, bytes;
    const bool is_plain = rows <= INT_MAX && columns <= INT_MAX && door_is_openblas(&blas);
    if (!pack_elements(&elements, k, rows, columns, is_plain) ||
        !size_mul(&bytes, elements, sizeof(real)) || !size_add(&bytes, bytes, sizeof(packed)))
        return SIZE_MAX;
    return bytes;
}

size_t packed_outputs(const packed *w) { return w->outputs; }
size_t packed_inputs(const packed *w) { return w->inputs; }

/* ---- Products ---- */

typedef struct multiplication {
    pool *threads;
    real *c;
    size_t ldc;
    const real *a;
    size_t lda, m;
    const packed *w;
    const real *bias;
    size_t panels, row_cells, column_cells;
    size_t row_unit;      /* rows are done in so many at a time              */
    const uint32_t *rows; /* of a and c: row number i of the m; NULL: row i  */
} multiplication;

/* A copy of the block pays when it is read by several panels and does not fit beside them in the first-level
 * cache. */
static bool is_copy_worth(const kernels *k, size_t rows, size_t panels)
{
    return rows > k->tile_rows && panels >= 8;
}

/* Rows [row, row + rows) and panels [panel, panel + panels), over all of k. */
static void multiply_block(const multiplication *x, size_t row, size_t rows, size_t panel, size_t panels,
                           real *scratch)
{
    const packed *w = x->w;
    const kernels *table = w->kernels;
    const size_t width = table->panel, column = panel * width;
    real *c = x->c + row * x->ldc + column;
    for (size_t k = 0; k == 0 || k < w->inputs; k += BLOCK_K) {
        const size_t depth = least(BLOCK_K, w->inputs - k);
        product p = {.rows = rows,
                     .k = depth,
                     .columns = least(panels * width, w->outputs - column),
                     .a = x->a + row * x->lda + k,
                     .lda = x->lda,
                     .w = panel_at(w, k, panel),
                     .panel_step = panel_step(table, depth),
                     .c = c,
                     .ldc = x->ldc,
                     .start = c,
                     .lds = x->ldc};
        if (k == 0) {
            p.start = x->bias ? x->bias + column : NULL;
            p.lds = 0;
        }
        if (scratch) {
            table->pack_rows(scratch, p.a, p.lda, rows, depth);
            p.a = scratch;
            p.side = SIDE_PACKED;
        }
        table->product(&p);
    }
}

/* Cells [begin, end) of the grid, row cells first. */
static void multiply_cells(void *context, size_t begin, size_t end, int thread)
{
    const multiplication *x = context;
    const kernels *table = x->w->kernels;
    for (size_t cell = begin; cell < end; cell++) {
        const size_t i = cell % x->row_cells, j = cell / x->row_cells;
        const size_t row = x->m * i / x->row_cells, row_end = x->m * (i + 1) / x->row_cells;
        const size_t panel = x->panels * j / x->column_cells, panel_end = x->panels * (j + 1) / x->column_cells;
        const size_t rows = row_end - row, blocks = (rows + BLOCK_M - 1) / BLOCK_M;
        real *scratch = is_copy_worth(table, rows, panel_end - panel)
                            ? pool_scratch(x->threads, thread, gemm_scratch_bytes(table))
                            : NULL;
        for (size_t b = 0; b < blocks; b++) {
            const size_t first = row + rows * b / blocks, last = row + rows * (b + 1) / blocks;
            multiply_block(x, first, last - first, panel, panel_end - panel, scratch);
        }
    }
}

/* The grid whose largest cell costs least: tiles times panels, the copy of its rows, and reading its share of
 * the weights, which costs a panel about as much as five rows do. */
static void choose_grid(multiplication *x, size_t threads)
{
    size_t best = SIZE_MAX;
    for (size_t row_cells = 1; row_cells <= threads; row_cells++) {
        if (threads % row_cells != 0)
            continue;
        const size_t column_cells = threads / row_cells;
        const size_t rows = round_up((x->m + row_cells - 1) / row_cells, x->row_unit),
                     panels = (x->panels + column_cells - 1) / column_cells;
        const size_t cost = (rows + 5) * panels + rows;
        if (cost < best) {
            best = cost;
            x->row_cells = row_cells;
            x->column_cells = column_cells;
        }
    }
}

/* The product, spread over as many threads as it is worth. */
static void run_cells(multiplication *x, task_fn *cells)
{
    const double worth = (double)x->m * (double)x->w->inputs * (double)x->w->outputs / WORK_LEAST;
    const size_t most = (size_t)pool_threads(x->threads);
    choose_grid(x, worth >= (double)most ? most : worth > 1 ? (size_t)worth : 1);
    parallel_for(x->threads, x->row_cells * x->column_cells, 1, cells, x);
}

static void multiply_openblas(pool *threads, real *c, size_t ldc, const real *a, size_t lda, size_t m,
                              const packed *w, const real *bias, bool is_turned)
{
    enum { ROW_MAJOR = 101, AS_IS = 111, TURNED = 112 };
    const size_t width = is_turned ? w->inputs : w->outputs, depth = is_turned ? w->outputs : w->inputs;
    assert(lda <= INT_MAX && ldc <= INT_MAX);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < width; j++)
            c[i * ldc + j] = bias ? bias[j] : 0;
    w->blas.set_threads(pool_threads(threads));
    for (size_t row = 0; row < m && depth > 0; row += INT_MAX)
        w->blas.gemm(ROW_MAJOR, AS_IS, is_turned ? AS_IS : TURNED, (int)least(INT_MAX, m - row), (int)width, (int)depth, 1,
                     a + row * lda, (int)lda, w->w, (int)w->inputs, 1, c + row * ldc, (int)ldc);
}

void gemm(pool *threads, real *c, size_t ldc, const real *a, size_t lda, size_t m, const packed *w,
          const real *bias)
{
    if (m == 0 || w->outputs == 0)
        return;
    if (w->blas.gemm) {
        multiply_openblas(threads, c, ldc, a, lda, m, w, bias, false);
        return;
    }
    multiplication x = {.threads = threads,
                        .c = c,
                        .ldc = ldc,
                        .a = a,
                        .lda = lda,
                        .m = m,
                        .w = w,
                        .bias = bias,
                        .row_unit = 1,
                        .panels = round_up(w->outputs, w->kernels->panel) / w->kernels->panel};
    run_cells(&x, multiply_cells);
}

/* ---- The way back ----
 *
 * A stretch of A is turned, so that its rows become the vectors of panels like those of the weights, and the kernel reads the
 * pack across.  What it gives is C turned, a few steps of k at a time, which is turned back into place. */

enum {
    TURN_N = 1536,         /* most columns of A in a stretch          */
    TURN_NUMBERS = 1 << 18, /* of A that are turned at a time          */
    TURN_STEPS = 112,      /* columns of C that are turned back at once: whole tiles of each level (14 x 8; 6 and 4 nearly) */
    TURN_UNIT = 16,        /* the narrower width of vectors            */
    TURN_WIDTH_MOST = 32
};

size_t gemm_scratch_bytes(const kernels *k)
{
    const size_t forward = k->pack_rows_size(BLOCK_M, BLOCK_K), back = TURN_NUMBERS + TURN_STEPS * TURN_WIDTH_MOST;
    return (forward > back ? forward : back) * sizeof(real);
}

/* Rows of a block: as many as may be turned at a time. */
static size_t turned_rows(const packed *w)
{
    const size_t width = w->kernels->panel, rows = TURN_NUMBERS / least(TURN_N, w->outputs) / width * width;
    return rows < width ? width : rows;
}

/* Width of the vectors for what is left of a block's rows. */
static size_t turned_width(const kernels *k, size_t rows) { return rows > TURN_UNIT ? k->panel : TURN_UNIT; }

/* Row number i of a product. */
static size_t row_at(const multiplication *x, size_t i) { return x->rows ? x->rows[i] : i; }

/* How many of the rows from number i on lie one below the other, at most `most`. */
static size_t run_of_rows(const multiplication *x, size_t i, size_t most)
{
    size_t count = 1;
    while (count < most && (!x->rows || x->rows[i + count] == x->rows[i] + count))
        count++;
    return count;
}

/* The columns [n, n + depth) of `count` rows of A become rows of `out`, which are `width` wide. */
static void turn_rows_in(const multiplication *x, size_t row, size_t count, size_t n, size_t depth, real *out, size_t width)
{
    for (size_t i = 0, run; i < count; i += run) {
        run = run_of_rows(x, row + i, count - i);
        x->w->kernels->transpose(out + i, width, x->a + row_at(x, row + i) * x->lda + n, x->lda, run, depth);
    }
}

/* Columns [k, k + steps) of `count` rows of C and the room where they lie turned, one way or the other. */
static void turn_rows_out(const multiplication *x, size_t row, size_t count, size_t k, size_t steps, real *room, size_t width, bool is_back)
{
    for (size_t i = 0, run; i < count; i += run) {
        run = run_of_rows(x, row + i, count - i);
        real *c = x->c + row_at(x, row + i) * x->ldc + k;
        if (is_back)
            x->w->kernels->transpose(room + i, width, c, x->ldc, run, steps);
        else
            x->w->kernels->transpose(c, x->ldc, room + i, width, steps, run);
    }
}

/* Rows [row, row + rows) of A, columns [n, n + depth), one vector's width after the other; missing rows are 0. */
static void turn_in(const multiplication *x, size_t row, size_t rows, size_t n, size_t depth, real *out)
{
    const kernels *table = x->w->kernels;
    for (size_t done = 0, width; done < rows; done += width, out += depth * width) {
        width = turned_width(table, rows - done);
        const size_t now = least(width, rows - done);
        if (now < width)
            memset(out, 0, depth * width * sizeof *out);
        turn_rows_in(x, row + done, now, n, depth, out, width);
    }
}

/* Columns [k, k + steps) of C for the rows that are turned in; they lie in one block of the pack. */
static void turn_steps(const multiplication *x, size_t row, size_t rows, size_t n, size_t depth, size_t k, size_t steps, const real *in,
                       real *room)
{
    const packed *w = x->w;
    const kernels *table = w->kernels;
    const size_t block = k - k % BLOCK_K, step = panel_step(table, least(BLOCK_K, w->inputs - block));
    for (size_t done = 0, width; done < rows; done += width, in += depth * width) {
        width = turned_width(table, rows - done);
        const size_t now = least(width, rows - done);
        if (n > 0)
            turn_rows_out(x, row + done, now, k, steps, room, width, true);
        const across p = {.steps = steps, .n = depth, .width = width, .w = panel_at(w, block, n / table->panel) + (k - block) * table->panel,
                          .panel_step = step, .b = in, .c = room, .goes_on = n > 0};
        table->across(&p);
        turn_rows_out(x, row + done, now, k, steps, room, width, false);
    }
}

/* Rows [row, row + rows) of C, columns [begin, end). */
static void turn_block(const multiplication *x, size_t row, size_t rows, size_t begin, size_t end, real *scratch)
{
    const packed *w = x->w;
    for (size_t n = 0; n == 0 || n < w->outputs; n += TURN_N) {
        const size_t depth = least(TURN_N, w->outputs - n);
        turn_in(x, row, rows, n, depth, scratch + TURN_STEPS * TURN_WIDTH_MOST);
        for (size_t k = begin, steps; k < end; k += steps) {
            steps = least(least(TURN_STEPS, end - k), BLOCK_K - k % BLOCK_K);
            turn_steps(x, row, rows, n, depth, k, steps, scratch + TURN_STEPS * TURN_WIDTH_MOST, scratch);
        }
    }
}

/* The same without working memory, one number after the other. */
static void turn_slowly(const multiplication *x, size_t row, size_t rows, size_t begin, size_t end)
{
    const packed *w = x->w;
    const size_t width = w->kernels->panel;
    for (size_t i = row; i < row + rows; i++)
        for (size_t k = begin; k < end; k++) {
            real sum = 0;
            for (size_t n = 0; n < w->outputs; n++)
                sum = real_fma(panel_at(w, k - k % BLOCK_K, n / width)[k % BLOCK_K * width + n % width], x->a[row_at(x, i) * x->lda + n], sum);
            x->c[row_at(x, i) * x->ldc + k] = sum;
        }
}

static void turn_cells(void *context, size_t begin, size_t end, int thread)
{
    const multiplication *x = context;
    real *scratch = pool_scratch(x->threads, thread, gemm_scratch_bytes(x->w->kernels));
    for (size_t cell = begin; cell < end; cell++) {
        const size_t i = cell % x->row_cells, j = cell / x->row_cells;
        const size_t row = x->m * i / x->row_cells, row_end = x->m * (i + 1) / x->row_cells;
        const size_t k = x->w->inputs * j / x->column_cells, k_end = x->w->inputs * (j + 1) / x->column_cells;
        const size_t most = turned_rows(x->w);
        for (size_t first = row; scratch && first < row_end; first += most)
            turn_block(x, first, least(most, row_end - first), k, k_end, scratch);
        if (!scratch)
            turn_slowly(x, row, row_end - row, k, k_end);
    }
}

void gemm_turned(pool *threads, real *c, size_t ldc, const real *a, size_t lda, const uint32_t *rows, size_t m, const packed *w)
{
    if (m == 0 || w->inputs == 0)
        return;
    multiplication x = {.threads = threads, .c = c, .ldc = ldc, .a = a, .lda = lda, .m = m, .w = w, .row_unit = TURN_UNIT, .rows = rows,
                        .panels = round_up(w->inputs, w->kernels->panel) / w->kernels->panel};
    for (size_t i = 0, run; w->blas.gemm && i < m; i += run) {
        run = run_of_rows(&x, i, m - i);
        multiply_openblas(threads, c + row_at(&x, i) * ldc, ldc, a + row_at(&x, i) * lda, lda, run, w, NULL, true);
    }
    if (!w->blas.gemm)
        run_cells(&x, turn_cells);
}
