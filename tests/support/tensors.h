/*
 * What the tests of the tensor room share: random numbers and weights, a source of given numbers, and the value of a whole
 * graph by the ops' own double references.
 */
#ifndef SUPPORT_TENSORS_H
#define SUPPORT_TENSORS_H

#include "base/arena.h"
#include "base/random.h"
#include "tensor/graph.h"
#include "tensor/op.h"
#include "tensor/run.h"

enum { FIXTURE_WEIGHTS = 256 };

typedef struct fixture {
    arena *arena;
    random_key key;
    uint64_t draws;
    weight *weights[FIXTURE_WEIGHTS];
    size_t weight_count;
} fixture;

void fixture_init(fixture *f, uint64_t seed);
void fixture_fini(fixture *f);
/* Let go of all packed weights, so that another kernel table can pack them. */
void fixture_forget_packs(fixture *f);

/* Zeroed room in the fixture's arena; never fails quietly. */
void *fixture_room(fixture *f, size_t count, size_t size);
double fixture_normal(fixture *f);
uint32_t fixture_below(fixture *f, uint32_t bound);
/* count normal draws. */
real *fixture_numbers(fixture *f, size_t count);
double *fixture_doubles(fixture *f, const real *numbers, size_t count);
/* A random weight, stored at an odd address.  Numbers are around `middle`, about `spread` apart. */
weight *fixture_weight(fixture *f, weight_dtype dtype, size_t rows, size_t columns, bool is_transposed, double middle,
                       double spread);
/* Segments of the given lengths. */
segments fixture_segments(fixture *f, const uint32_t *lengths, size_t count);

/* A node without inputs whose rows an intervention fills; params.heads is its width.  Its value is zeros. */
extern const op op_test_source;
node source_add(graph *g, size_t width, segments rows_of);
/* An intervention that copies rows from `user`, an array of the node's size. */
tkr_status intervene_copy(void *user, const graph_node *site, real *rows, tkr_error *error);

/* Values of all nodes 0 .. count - 1 by the double references; values[i] of sources are given, the others are filled in
 * (room is made where values[i] is NULL). */
void graph_reference(fixture *f, const graph *g, double **values);

#endif
