/*
 * The only door to the heap.  Counts what is held (tkr_memory_now, tkr_memory_peak) and can be told to fail, so that tests
 * reach every out-of-memory path.  The counters are the one piece of process-wide mutable state in the library; they are
 * atomic and never steer a computation.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* count * size bytes, zeroed; NULL on overflow or when the system has no more.  Zero bytes give a valid pointer. */
void *memory_new(size_t count, size_t size) __attribute__((malloc));
/* 64-byte aligned, not zeroed. */
void *memory_new_aligned(size_t bytes) __attribute__((malloc));
/* Grow or shrink what memory_new gave; the old block stays valid when NULL is returned. */
void *memory_resize(void *block, size_t count, size_t size);
char *memory_copy_text(const char *text, size_t bytes); /* adds a NUL */
/* Frees either kind; NULL is allowed. */
void memory_free(void *block);

#define NEW(type, count) ((type *)memory_new((count), sizeof(type)))

/* Tests only: let allocation number `nth` from now (1 = the next) fail; 0 switches failing off.  every: all later ones too. */
void memory_fail_at(uint64_t nth, int every);
/* Allocations made since the last memory_fail_at. */
uint64_t memory_allocations(void);

#endif
