/*
 * Which sets of players a regression asks for, and asking for them.
 *
 * A design is a list of pairs, a set and its complement, in the order in which they are asked; every beginning of the list is a
 * design of its own (for as many pairs), so that a run can stop early or be given more without throwing anything away.  Pairs
 * belong to strata: inside one each stands for the same share of its weight.
 */
#ifndef EXPLAIN_COALITIONS_H
#define EXPLAIN_COALITIONS_H

#include "base/random.h"
#include "explain/estimators.h"

#define COALITIONS_MANY (UINT64_C(1) << 62)

/* Sets of `size` of `players`; COALITIONS_MANY when there are that many or more. */
uint64_t coalition_count(size_t players, size_t size);
/* Number `rank` of them, in the order of their bits read as a number, added to a set. */
void coalition_unrank(size_t size, uint64_t rank, uint64_t *set);
/* One of them at random, added to a set; index: where the stream is. */
void coalition_draw(random_key key, uint64_t *index, size_t players, size_t size, uint64_t *set);

/* Pairs that stand for each other. */
typedef struct coalition_stratum {
    size_t size;        /* of the smaller member; 0: all sizes that have no stratum of their own  */
    double weight;      /* of all its pairs in the regression                                     */
    uint64_t pairs;     /* there are                                                              */
    bool is_finite;     /* drawn without replacement, and nothing else is random                  */
} coalition_stratum;

typedef struct coalition_design {
    size_t players, words, pairs;
    uint64_t *sets;     /* [pairs][words] one member of each  */
    uint32_t *stratum;  /* [pairs]                            */
    uint32_t *asked;    /* [pairs] evaluations of all up to this one: repetitions in compat cost nothing */
    coalition_stratum *strata;
    size_t stratum_count;
    bool is_complete;   /* every pair there is, once          */
    size_t least;       /* pairs below which no look makes sense */
} coalition_design;

/* Pairs for `samples` evaluations, fewer when all there are take less (then the design is complete, whatever was asked for);
 * 2 players at least.  The arrays are the heap's: coalition_design_fini also after a failure. */
tkr_status coalition_design_init(coalition_design *d, const game *g, kernel_design kind, size_t samples, tkr_error *error);
void coalition_design_fini(coalition_design *d);
/* Evaluations of all sets but the empty and the full one; COALITIONS_MANY when there are that many. */
uint64_t coalition_all(size_t players);

/* Sets to ask for, row by row; is_paired: with their complements, the value of a row is half the difference. */
typedef struct coalition_rows {
    const uint64_t *sets;    /* [count][words]                                          */
    size_t count, least;     /* least: rows before the first look                        */
    bool is_paired;
    uint32_t first_draw;     /* row k of a random game is played under draw first_draw + k */
    double *values;          /* [count][targets] out                                    */
    /* Are the errors small enough after `done` rows?  Called when an error is wanted, ever more rarely. */
    tkr_status (*look)(void *user, size_t done, bool *is_enough, tkr_error *error);
    void *user;
} coalition_rows;

/* Asks for rows in their order until all are there, the time is over or the errors are small enough. */
tkr_status coalitions_ask(const game *g, const coalition_rows *r, size_t *done, tkr_error *error);

#endif
