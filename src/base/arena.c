/*
 * Arena: a stack of blocks; allocation moves a mark inside the newest.
 *
 * A block that is given up by release or reset becomes the spare if it is the largest so far: a loop of mark, allocate and
 * release soon asks the heap for nothing.  The limit is compared with the room of the blocks (their 64-byte heads are not
 * counted), so an arena of limit n can hold one allocation of n bytes.  Under AddressSanitizer what is not handed out is
 * poisoned, so reading past an allocation or after a release is caught as with malloc.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/size.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SANITIZED 1
#endif
#endif
#if (defined(ARENA_SANITIZED) || defined(__SANITIZE_ADDRESS__)) && __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(at, bytes)   ASAN_POISON_MEMORY_REGION((at), (bytes))
#define ARENA_UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
#else
#define ARENA_POISON(at, bytes)   ((void)(at), (void)(bytes))
#define ARENA_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { ARENA_ALIGNMENT = 64, ARENA_FIRST = 64 << 10, ARENA_GROWN = 1 << 20 };

typedef struct arena_block arena_block;
struct arena_block {
    _Alignas(ARENA_ALIGNMENT) arena_block *older;
    size_t used, capacity;
};

struct arena {
    arena_block *newest, *spare;
    size_t limit, held;
    bool failed;
};

static char *block_data(arena_block *block) { return (char *)(block + 1); }

arena *arena_new(size_t limit)
{
    arena *a = NEW(arena, 1);
    if (a)
        a->limit = limit;
    return a;
}

static void block_free(arena *a, arena_block *block)
{
    if (!block)
        return;
    a->held -= block->capacity;
    ARENA_UNPOISON(block_data(block), block->capacity);
    memory_free(block);
}

/* Keep the larger of `block` and the spare. */
static void block_retire(arena *a, arena_block *block)
{
    ARENA_POISON(block_data(block), block->capacity);
    if (a->spare && a->spare->capacity >= block->capacity) {
        block_free(a, block);
        return;
    }
    block_free(a, a->spare);
    a->spare = block;
}

static void blocks_retire_until(arena *a, const arena_block *stay)
{
    while (a->newest != stay) {
        arena_block *block = a->newest;
        assert(block); /* a mark of another arena, or one released already */
        a->newest = block->older;
        block_retire(a, block);
    }
}

void arena_free(arena *a)
{
    if (!a)
        return;
    blocks_retire_until(a, NULL);
    block_free(a, a->spare);
    memory_free(a);
}

/* A block with room for `bytes`: more than that only for small requests, and while the limit allows it. */
static arena_block *block_new(arena *a, size_t bytes)
{
    block_free(a, a->spare); /* too small, and it counts against the limit */
    a->spare = NULL;
    size_t left = a->limit - a->held, total;
    if (bytes > left)
        return NULL;
    size_t capacity = a->newest ? ARENA_GROWN : ARENA_FIRST;
    if (capacity > left || capacity < bytes)
        capacity = bytes;
    if (!size_add(&total, capacity, sizeof(arena_block)))
        return NULL;
    arena_block *block = memory_new_aligned(total);
    if (!block)
        return NULL;
    *block = (arena_block){.capacity = capacity};
    ARENA_POISON(block_data(block), capacity);
    a->held += capacity;
    return block;
}

/* Make a->newest a block with `bytes` free. */
static bool arena_reserve(arena *a, size_t bytes)
{
    if (a->newest && a->newest->capacity - a->newest->used >= bytes)
        return true;
    arena_block *block = a->spare;
    if (block && block->capacity >= bytes)
        a->spare = NULL;
    else
        block = block_new(a, bytes);
    if (!block)
        return false;
    block->used = 0;
    block->older = a->newest;
    a->newest = block;
    return true;
}

void *arena_alloc(arena *a, size_t count, size_t size)
{
    size_t bytes, rounded;
    if (!size_mul(&bytes, count, size) || !size_add(&rounded, bytes, ARENA_ALIGNMENT - 1)) {
        a->failed = true;
        return NULL;
    }
    rounded = bytes ? rounded / ARENA_ALIGNMENT * ARENA_ALIGNMENT : ARENA_ALIGNMENT;
    if (!arena_reserve(a, rounded)) {
        a->failed = true;
        return NULL;
    }
    char *block = block_data(a->newest) + a->newest->used;
    a->newest->used += rounded;
    ARENA_UNPOISON(block, bytes);
    if (bytes > 0)
        memset(block, 0, bytes);
    return block;
}

char *arena_copy_text(arena *a, view text)
{
    size_t with_nul;
    if (!size_add(&with_nul, text.size, 1)) {
        a->failed = true;
        return NULL;
    }
    char *copy = arena_alloc(a, with_nul, 1);
    if (copy && text.size > 0)
        memcpy(copy, text.data, text.size);
    return copy;
}

bool arena_failed(const arena *a) { return a->failed; }

arena_mark arena_get_mark(const arena *a)
{
    return (arena_mark){.block = a->newest, .used = a->newest ? a->newest->used : 0};
}

void arena_release(arena *a, arena_mark mark)
{
    blocks_retire_until(a, mark.block);
    if (!a->newest)
        return;
    assert(mark.used <= a->newest->used);
    ARENA_POISON(block_data(a->newest) + mark.used, a->newest->capacity - mark.used);
    a->newest->used = mark.used;
}

void arena_reset(arena *a)
{
    blocks_retire_until(a, NULL);
    a->failed = false;
}

size_t arena_held(const arena *a) { return a->held; }
