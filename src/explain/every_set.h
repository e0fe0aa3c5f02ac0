/*
 * All sets of a small game, for methods that are exact: Shapley, Banzhaf and pair values are weighted sums over them.
 *
 * The sets come in the order in which the first players change least often, so that decoders, whose variants share what they
 * begin with, compute little more than a row a set (methods.md 10.3).  Values pass by; no table of them is kept here.  Sums over
 * a million values are compensated (Neumaier, ZAMM 54, 1974).
 */
#ifndef EXPLAIN_EVERY_SET_H
#define EXPLAIN_EVERY_SET_H

#include <math.h>

#include "explain/game.h"

enum { SETS_AT_ONCE = 4096, EVERY_SET_PLAYERS = 30 };

/* A sum and what its rounding lost: compensated_of is their total. */
typedef struct compensated {
    double sum, lost;
} compensated;

static inline void compensated_add(compensated *s, double x)
{
    double sum = s->sum + x;
    s->lost += fabs(s->sum) >= fabs(x) ? s->sum - sum + x : x - sum + s->sum;
    s->sum = sum;
}

static inline double compensated_of(compensated s) { return s.sum + s.lost; }

/* Call visit for every set (its bits) with its values [targets] under a draw. */
typedef void set_visit_fn(void *user, uint64_t set, const double *values);
tkr_status every_set(const game *g, uint32_t draw, set_visit_fn *visit, void *user, tkr_error *error);

/* Semivalues: values [targets][players] = sum over S of v(S) * (i in S ? gain[|S|] : -loss[|S|]), gain and loss [players + 1];
 * empty [targets]: v(empty). */
tkr_status semivalues(const game *g, uint32_t draw, const double *gain, const double *loss, double *values, double *empty,
                      tkr_error *error);

/* Evaluations of all sets of a game; with more than 63 players the largest number there is. */
uint64_t every_set_count(size_t players);
/* Heap bytes that every_set holds for so many targets. */
size_t every_set_bytes(size_t targets);

#endif
