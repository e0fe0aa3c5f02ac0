/*
 * Games of numbers: v is a table of 2^p values for each target, or a formula; optionally with noise that depends on the draw, as
 * under a random removal.  Estimators are tested on them against brute force.
 */
#ifndef EXPLAIN_TOY_GAME_H
#define EXPLAIN_TOY_GAME_H

#include "explain/game.h"

typedef double toy_formula(const void *user, const uint64_t *set, size_t which);

typedef struct toy_game {
    game g;                       /* what estimators are given; budget and the other limits may be set */
    double *table;                /* [2^players][targets]; NULL: a formula                             */
    toy_formula *formula;
    const void *user;
    double noise;                 /* deviation of what toy_make_random adds                            */
    size_t fails_after;           /* questions after which asking fails with cancelled; 0: never       */
    /* what was asked */
    size_t calls, questions, most_at_once;
    size_t distinct;              /* pairs of set and draw (games without noise: sets)                 */
    uint64_t *seen;               /* [seen_room] hashes of them, 0: free                               */
    size_t seen_room;
} toy_game;

/* All values 0; no targets or players: fails.  The seed of the estimator's own draws is 1. */
toy_game *toy_new(size_t players, size_t targets);
/* One target with the values of a table [2^players]. */
toy_game *toy_of(size_t players, const double *values);
/* Normal values. */
toy_game *toy_random(size_t players, size_t targets, uint64_t seed);
/* v(S) = formula(user, S, number of the target): for more players than a table takes. */
toy_game *toy_formula_game(size_t players, size_t targets, toy_formula *formula, const void *user);
void toy_free(toy_game *t);

/* From now on v(S, draw) = v(S) + noise whose mean over draws is 0 and which is 0 for the full set: for every removed player
 * a normal number of the draw, and one of draw and set, all of them of the game's seed too. */
void toy_make_random(toy_game *t, double noise);
/* Forget what was asked. */
void toy_reset(toy_game *t);

/* v(S) without noise; set: its bits, for tables. */
double toy_value(const toy_game *t, uint64_t set, size_t which);
/* Shapley values [targets][players] by the definition: a sum over all sets for each player. */
void toy_shapley(const toy_game *t, double *values);

#endif
