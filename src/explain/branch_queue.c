/* A binary heap of branches; see branch_queue.h.  Their contexts and ends stay where they are while the heap moves. */
#include "explain/branch_queue.h"

#include "base/failure.h"
#include "base/memory.h"

static bool comes_first(branch_item a, branch_item b) { return a.key > b.key || (!(a.key < b.key) && a.number < b.number); }

tkr_status branch_queue_reserve(branch_queue *q, size_t more, tkr_error *error)
{
    if (more <= q->unused_count)
        return TKR_OK;
    size_t capacity = 2 * q->capacity + more;
    branch_item *heap = memory_resize(q->heap, capacity, sizeof *heap);
    q->heap = heap ? heap : q->heap;
    uint64_t *contexts = memory_resize(q->contexts, capacity, q->words * sizeof *contexts);
    q->contexts = contexts ? contexts : q->contexts;
    double *ends = memory_resize(q->ends, capacity, 2 * q->targets * sizeof *ends);
    q->ends = ends ? ends : q->ends;
    size_t *unused = memory_resize(q->unused, capacity, sizeof *unused);
    q->unused = unused ? unused : q->unused;
    if (!heap || !contexts || !ends || !unused)
        return fail_memory(error, "a queue of branches", capacity);
    for (; q->capacity < capacity; q->capacity++)
        q->unused[q->unused_count++] = q->capacity;
    return TKR_OK;
}

void branch_queue_fini(branch_queue *q)
{
    memory_free(q->heap);
    memory_free(q->contexts);
    memory_free(q->ends);
    memory_free(q->unused);
    *q = (branch_queue){0};
}

void branch_queue_push(branch_queue *q, branch_item it)
{
    size_t at = q->count++;
    for (; at > 0 && comes_first(it, q->heap[(at - 1) / 2]); at = (at - 1) / 2)
        q->heap[at] = q->heap[(at - 1) / 2];
    q->heap[at] = it;
}

branch_item branch_queue_pop(branch_queue *q)
{
    branch_item first = q->heap[0], last = q->heap[--q->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < q->count; at = child) {
        if (child + 1 < q->count && comes_first(q->heap[child + 1], q->heap[child]))
            child++;
        if (!comes_first(q->heap[child], last))
            break;
        q->heap[at] = q->heap[child];
    }
    q->heap[at] = last;
    return first;
}
