/*
 * Arena: memory of one run.  Bump allocation, released back to a mark or all at once; nothing in it is freed singly.
 * The first failure is remembered (arena_failed), so a run of allocations can be checked once at the end.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/view.h"

typedef struct arena arena;
typedef struct arena_mark {
    void *block;
    size_t used;
} arena_mark;

/* limit: most bytes it will ever hold. */
arena *arena_new(size_t limit);
void arena_free(arena *a);

/* count * size bytes, 64-byte aligned, zeroed; NULL on overflow, limit or out of memory. */
void *arena_alloc(arena *a, size_t count, size_t size);
char *arena_copy_text(arena *a, view text); /* adds a NUL */
bool arena_failed(const arena *a);

arena_mark arena_get_mark(const arena *a);
void arena_release(arena *a, arena_mark mark);
void arena_reset(arena *a); /* forgets failures, keeps the largest block for the next run */
size_t arena_held(const arena *a); /* bytes held from the heap now */

#define ARENA_NEW(a, type, count) ((type *)arena_alloc((a), (count), sizeof(type)))

#endif
