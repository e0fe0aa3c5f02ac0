/*
 * The heap: malloc with a header before each block that remembers its size, so that what is held can be counted exactly.
 *
 * Counted are the bytes that were asked for.  All counters are relaxed atomics: they order nothing, and the peak is raised
 * by compare-exchange so that two threads cannot lower it for each other.
 */
#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <tokray/session.h>

#include "base/size.h"

enum { MEMORY_ALIGNMENT = 64 };

/* Directly before each block; its size keeps malloc's alignment. */
typedef struct memory_header {
    _Alignas(max_align_t) size_t bytes;
    void *start; /* what malloc gave */
} memory_header;

/* fail_nth 0: nothing fails. */
static struct {
    _Atomic uint64_t now, peak, allocations, fail_nth;
    atomic_bool fail_every;
} memory_state;

static memory_header *memory_header_of(void *block) { return (memory_header *)block - 1; }

/* One more allocation is tried; true when a test wants it to fail. */
static bool memory_must_fail(void)
{
    uint64_t number = atomic_fetch_add_explicit(&memory_state.allocations, 1, memory_order_relaxed) + 1;
    uint64_t nth = atomic_load_explicit(&memory_state.fail_nth, memory_order_relaxed);
    if (nth == 0 || number < nth)
        return false;
    return number == nth || atomic_load_explicit(&memory_state.fail_every, memory_order_relaxed);
}

static void memory_count_more(size_t bytes)
{
    uint64_t now = atomic_fetch_add_explicit(&memory_state.now, bytes, memory_order_relaxed) + bytes;
    uint64_t peak = atomic_load_explicit(&memory_state.peak, memory_order_relaxed);
    while (peak < now && !atomic_compare_exchange_weak_explicit(&memory_state.peak, &peak, now,
                                                                memory_order_relaxed, memory_order_relaxed))
        ;
}

static void memory_count_less(size_t bytes)
{
    atomic_fetch_sub_explicit(&memory_state.now, bytes, memory_order_relaxed);
}

static void *memory_block(void *start, size_t before, size_t bytes)
{
    void *block = (char *)start + before;
    *memory_header_of(block) = (memory_header){.bytes = bytes, .start = start};
    return block;
}

/* count * size plus `extra`, refusing what no object can be. */
static bool memory_total(size_t *bytes, size_t *total, size_t count, size_t size, size_t extra)
{
    return size_mul(bytes, count, size) && size_add(total, *bytes, extra) && *total <= (size_t)PTRDIFF_MAX;
}

void *memory_new(size_t count, size_t size)
{
    size_t bytes, total;
    if (!memory_total(&bytes, &total, count, size, sizeof(memory_header)) || memory_must_fail())
        return NULL;
    void *start = calloc(1, total);
    if (!start)
        return NULL;
    memory_count_more(bytes);
    return memory_block(start, sizeof(memory_header), bytes);
}

void *memory_new_aligned(size_t bytes)
{
    _Static_assert(sizeof(memory_header) <= MEMORY_ALIGNMENT,
                   "the header fits before the first aligned address");
    size_t same, total;
    if (!memory_total(&same, &total, bytes, 1, 2 * MEMORY_ALIGNMENT - 1) || memory_must_fail())
        return NULL;
    void *start = aligned_alloc(MEMORY_ALIGNMENT, total / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT);
    if (!start)
        return NULL;
    memory_count_more(bytes);
    return memory_block(start, MEMORY_ALIGNMENT, bytes);
}

void *memory_resize(void *block, size_t count, size_t size)
{
    if (!block)
        return memory_new(count, size);
    memory_header old = *memory_header_of(block);
    assert(old.start == (void *)memory_header_of(block)); /* aligned blocks do not grow */

    size_t bytes, total;
    if (!memory_total(&bytes, &total, count, size, sizeof(memory_header)) || memory_must_fail())
        return NULL;
    void *start = realloc(old.start, total);
    if (!start)
        return NULL;
    memory_count_more(bytes);
    memory_count_less(old.bytes);
    void *grown = memory_block(start, sizeof(memory_header), bytes);
    if (bytes > old.bytes)
        memset((char *)grown + old.bytes, 0, bytes - old.bytes);
    return grown;
}

char *memory_copy_text(const char *text, size_t bytes)
{
    size_t with_nul;
    if (!size_add(&with_nul, bytes, 1))
        return NULL;
    char *copy = NEW(char, with_nul);
    if (copy && bytes > 0)
        memcpy(copy, text, bytes);
    return copy;
}

void memory_free(void *block)
{
    if (!block)
        return;
    memory_header header = *memory_header_of(block);
    memory_count_less(header.bytes);
    free(header.start);
}

void memory_fail_at(uint64_t nth, int every)
{
    atomic_store(&memory_state.fail_nth, 0);
    atomic_store(&memory_state.allocations, 0);
    atomic_store(&memory_state.fail_every, every != 0);
    atomic_store(&memory_state.fail_nth, nth);
}

uint64_t memory_allocations(void) { return atomic_load(&memory_state.allocations); }

uint64_t tkr_memory_now(void) { return atomic_load_explicit(&memory_state.now, memory_order_relaxed); }
uint64_t tkr_memory_peak(void) { return atomic_load_explicit(&memory_state.peak, memory_order_relaxed); }
void tkr_memory_reset_peak(void) { atomic_store(&memory_state.peak, atomic_load(&memory_state.now)); }
