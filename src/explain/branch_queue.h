/*
 * What waits to be parted in partition-shap (methods/partition_shap.c): branches of a tree in a context, the one with the largest key
 * first, equals in the order they came.
 */
#ifndef EXPLAIN_BRANCH_QUEUE_H
#define EXPLAIN_BRANCH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokray/error.h>

/* A branch in a context. */
typedef struct branch_item {
    double key, weight;
    uint64_t number; /* how many came before */
    uint32_t piece;  /* of the tree          */
    size_t slot;     /* of context and ends  */
} branch_item;

typedef struct branch_queue {
    size_t words, targets;
    branch_item *heap;
    size_t count, capacity;
    uint64_t *contexts;  /* [capacity][words] what is kept of everything else               */
    double *ends;        /* [capacity][2][targets] v of the context without and with all of it */
    size_t *unused;      /* slots */
    size_t unused_count;
} branch_queue;

/* Starts zeroed but for words and targets.  Room for `more` slots beside those in use; moves contexts and ends. */
tkr_status branch_queue_reserve(branch_queue *q, size_t more, tkr_error *error);
void branch_queue_fini(branch_queue *q);

/* A slot to fill for an item that will be pushed; given back when what was popped is done with. */
static inline size_t branch_queue_slot(branch_queue *q) { return q->unused[--q->unused_count]; }
static inline void branch_queue_return(branch_queue *q, size_t slot) { q->unused[q->unused_count++] = slot; }
static inline uint64_t *branch_queue_context(const branch_queue *q, size_t slot) { return q->contexts + slot * q->words; }
static inline double *branch_queue_ends(const branch_queue *q, size_t slot) { return q->ends + 2 * slot * q->targets; }

void branch_queue_push(branch_queue *q, branch_item it);
branch_item branch_queue_pop(branch_queue *q); /* there must be one */

#endif
