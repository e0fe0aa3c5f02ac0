/*
 * Cooperative games: the players are the features that the removal can take away, and v(S) is what a target scores when the
 * players outside S are removed (methods.md 4.3).  Every target is a game of its own over the same sets, so one evaluation
 * of a set answers all of them.
 *
 * Estimators (estimators.h) know games only: tests play them on tables of numbers.  A set (set.h) has the players that are
 * kept.  A draw is a number: under a removal that is random, sets with the same draw replace the same token by the same token;
 * under any other, v does not depend on it.
 */
#ifndef EXPLAIN_GAME_H
#define EXPLAIN_GAME_H

#include "explain/method.h"
#include "explain/set.h"

typedef struct game game;

/* v of `count` sets [count][words], under draws [count] (NULL: draw 0 for all), into values [count][targets]. */
typedef tkr_status game_ask_fn(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error);

/* The same with what the model answers (score.answer) to each, answers [count][targets]. */
typedef tkr_status game_answer_fn(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values,
                                  int32_t *answers, tkr_error *error);

struct game {
    size_t players, words, targets;
    bool is_random;          /* v depends on the draw: v(S) is its mean over draws  */
    uint64_t seed;           /* of the estimator's own random numbers               */
    uint32_t purpose;        /* random_purpose of the method's id: keys those numbers */
    /* limits of the session, 0: none (session.h) */
    uint64_t budget;         /* evaluations */
    double seconds, wanted_error;
    double begun;            /* clock_seconds() at the start */
    game_ask_fn *ask;
    game_answer_fn *answer;
    void *user;
    /* of games that a method plays */
    method_call *call;       /* NULL: a table */
    uint32_t *feature;       /* [players] which feature each player is */
    uint64_t *room;          /* [room_sets][features' words] sets of features */
    size_t room_sets;
};

/* Features of a question that the removal takes away: the players. */
size_t game_players(const question *q);
/* The game behind a call: its features that the removal takes away.  The arrays are the heap's: game_fini also after a failure. */
tkr_status game_init(game *g, method_call *c, tkr_error *error);
void game_fini(game *g);

/* Ask; NULL draws: all 0. */
static inline tkr_status game_values(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values,
                                     tkr_error *error)
{
    return g->ask(g, sets, draws, count, values, error);
}
static inline tkr_status game_answers(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values,
                                      int32_t *answers, tkr_error *error)
{
    return g->answer(g, sets, draws, count, values, answers, error);
}
/* v(empty) and v(N), each [targets].  A random game's v(empty) is the mean over `draws` draws, from draw 0 on (10.8), with
 * its standard error in empty_error (NULL: not wanted; 0 for other games); v(N) needs one evaluation always. */
tkr_status game_ends(const game *g, size_t draws, double *empty, double *empty_error, double *full, tkr_error *error);

/* A random order of the players, number `index` of this game's orders (Fisher and Yates over Philox: the same for any batch). */
void game_order(const game *g, uint32_t index, uint32_t *order);

/* ---- limits: the same choice whatever the batch size and the number of threads (sampling.h) ---- */

/* Evaluations, of those asked for, that the budget pays. */
uint64_t game_limit(const game *g, uint64_t asked);
/* Is the time over? */
bool game_is_late(const game *g);
/* values and errors [targets][players]: is every target's error below the wanted share of its score range?  False when none is wanted. */
bool game_is_enough(const game *g, const double *values, const double *errors);
/* Samples between two looks at error and clock: all of them when neither limit is set. */
size_t game_stride(const game *g, size_t samples);

/* ---- random games under methods that have no sampling of their own ---- */

/* Plays the whole of an exact method under one draw: values [count] into out. */
typedef tkr_status game_once_fn(void *user, const game *g, uint32_t draw, double *out, tkr_error *error);
/* The mean over draws 0 .. draws - 1 and its standard error, each [count]; one draw and errors 0 when the game is not random.
 * Stops early at the limits, after two draws at least; done: draws that were played. */
tkr_status game_over_draws(const game *g, size_t draws, size_t count, game_once_fn *once, void *user, double *mean, double *errors,
                           size_t *done, tkr_error *error);

/* ---- the call of a method ---- */

/* Player values [targets][players] and errors (NULL: none) become the call's scores and errors; features that are no players
 * keep 0.  Errors that are all 0 make the call exact.  base[t]: v(empty) of methods whose scores sum to v(N) - v(empty), else NULL. */
void game_write(const game *g, const double *values, const double *errors, const double *base);

/* What a method does with its game: play, write, say what was used.  values and errors [targets][players] and more, all 0, are
 * for it to use. */
typedef tkr_status game_play_fn(game *g, double *values, double *errors, double *more, tkr_error *error);
/* A method's run: the game behind the call is played with `more` numbers a target, and what it took is counted into the call. */
tkr_status game_run(method_call *c, size_t more, game_play_fn *play, tkr_error *error);

#endif
