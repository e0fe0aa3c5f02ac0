/*
 * Trees over the players of a game, for Owen values (methods/partition_shap.c): who is decided about together first.
 *
 *   phrases   tokens -> words -> clauses -> sentences -> texts, each level joined by halves
 *   words     tokens -> words, and the words by halves
 *   balanced  by halves
 *   shap      neighbours joined greedily by the scores of shap's text masker, for comparison (methods.md 4.7)
 *
 * By halves: the first half, larger by one where the number is odd, is one branch and the rest the other.
 */
#ifndef EXPLAIN_PLAYER_TREE_H
#define EXPLAIN_PLAYER_TREE_H

#include "explain/estimators.h"

/* What lies between a player and the next; a break holds for all levels below it. */
typedef enum player_break { BREAK_NONE, BREAK_WORD, BREAK_CLAUSE, BREAK_SENTENCE, BREAK_TEXT, BREAK_LEVELS } player_break;

/* "phrases", "words", "balanced" or "shap" over these features of the question, in text order; arrays in the arena. */
tkr_status player_tree_make(player_tree *t, const question *q, const uint32_t *feature, size_t players, view kind, arena *a,
                            tkr_error *error);
/* The same from the breaks alone, breaks [players - 1] between neighbours. */
tkr_status player_tree_join(player_tree *t, const player_break *breaks, size_t players, arena *a, tkr_error *error);
/* Levels of breaks between neighbours, breaks [players - 1]. */
void player_tree_breaks(player_break *breaks, const question *q, const uint32_t *feature, size_t players);

static inline size_t player_tree_nodes(const player_tree *t) { return t->players ? 2 * t->players - 1 : 0; }
/* Evaluations of the exact values, the two ends among them: 2 for each joint and each on and off of the branches above it. */
double player_tree_evaluations(const player_tree *t, int fixed_context);

#endif
