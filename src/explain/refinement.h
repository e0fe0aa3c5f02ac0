/*
 * Adaptive integration of many functions over [0, 1] at common nodes, where the exact integral of their sum between any two nodes
 * is known: gradients on a path, whose sum over the tokens is the derivative of f (methods.md 5.1).
 *
 * Between neighbouring nodes each function is the mean of the two parabolas through both and one node more, to the left or to the
 * right, so any set of nodes is a rule and no point is ever thrown away.  Where one of the two bends much more than the other, there
 * is a jump behind it, and the other is taken alone (the choice of ENO schemes: Harten, Engquist, Osher, Chakravarthy 1987).  A
 * cell's error is how far the sum is off f(end) - f(begin), plus how much the parabolas differ from the straight line in all
 * functions together, since errors of tokens may cancel in the sum.  The worst cells are halved, a few at a time, until the whole
 * is good.
 *
 * Where the functions jump (a ReLU that switches on the way) global rules lose their order and are off by a share of a step;
 * here nodes gather at the jumps.  On smooth paths the order is between three and four, and where a gap
 * below about 1e-4 is wanted a Gauss-Legendre rule wins.
 */
#ifndef EXPLAIN_REFINEMENT_H
#define EXPLAIN_REFINEMENT_H

#include <stdbool.h>
#include <tokray/error.h>

#include "base/arena.h"

enum { REFINEMENT_FIRST = 9, REFINEMENT_MOST = 300 };

typedef struct refinement_node {
    double at;
    double *value;      /* [targets] f there                                         */
    double *part;       /* [targets][parts] the functions there, which sum to df/dat */
} refinement_node;

typedef struct refinement {
    arena *arena;
    size_t targets, parts, most;
    double *range;             /* [targets] what errors are shares of: the caller's       */
    size_t count;              /* nodes that have been looked at ...                      */
    refinement_node *node;     /* ... [most] ascending, behind them those that are asked for: */
    size_t asked;              /* to be filled in at node[count ...], then taken          */
    double *sum, *before;      /* [targets][parts] integrals: with all nodes, one step ago */
    double *error;             /* [most] of each cell, a share; the greatest over targets */
    double *rough, *bent, *off; /* [most] work                                            */
} refinement;

/* Ask for the first nodes, 0 and 1 among them.  most: nodes in all, at least REFINEMENT_FIRST.  In an arena of the caller's, which
 * grows with the nodes.  Error: resource.memory. */
tkr_status refinement_init(refinement *r, arena *a, size_t targets, size_t parts, size_t most, tkr_error *error);
/* What it holds at most. */
size_t refinement_bytes(size_t targets, size_t parts, size_t most);
/* The nodes that were asked for are filled in: sum them up. */
void refinement_take(refinement *r);
/* Is every target's sum within `wanted` of f(1) - f(0), and has no function's integral moved by more in the last step (both as
 * shares of the range)? */
bool refinement_is_done(const refinement *r, double wanted);
/* |sum of the integrals - (f(1) - f(0))| of a target. */
double refinement_miss(const refinement *r, size_t target);
/* Ask for the middles of the worst cells; r->asked is 0 where none is left or `most` is reached.  Error: resource.memory. */
tkr_status refinement_ask(refinement *r, tkr_error *error);

#endif
