/*
 * What the methods that remove features compute, as functions of a game (game.h).  Each is in the file of its method,
 * methods/x.c, whose other half puts question, parameters and result around it; tests play them on tables.
 *
 * Results are [targets][players] unless said otherwise.  evaluations: what a method asks for, not what is new to the scorer.
 * Sets, orders and weights that are given stand for the random ones (reference vectors).
 */
#ifndef EXPLAIN_ESTIMATORS_H
#define EXPLAIN_ESTIMATORS_H

#include "explain/game.h"

enum { EXACT_PLAYERS_MOST = 20, DRAWS_STANDARD = 20 };

/* occlusion (4.1): windows of neighbouring players taken out of all, or kept alone; mean over the windows that a player is in. */
typedef struct occlusion_options {
    bool keeps_only;          /* v(the window) - v(empty) instead of v(N) - v(N without it) */
    size_t window, stride;    /* players; stride at most window                  */
    size_t draws;
    size_t done;              /* out: draws that were played                     */
} occlusion_options;
/* full: v(N) [targets]; errors over draws, else 0. */
tkr_status occlusion(const game *g, occlusion_options *o, const double *full, double *values, double *errors, tkr_error *error);

/* exact-shapley (methods.md 4.3): sum over all sets, compensated; p at most EXACT_PLAYERS_MOST. errors: over draws, else 0. */
tkr_status exact_shapley(const game *g, size_t draws, double *values, double *errors, double *base, tkr_error *error);

/* banzhaf: exact up to `exact` players, else the mean of marginals v(S + i) - v(S - i) over `samples` uniform sets S, each set
 * serving all players at once (maximum sample reuse, Wang and Jia 2023). */
typedef struct banzhaf_options {
    size_t exact, samples, draws;
} banzhaf_options;
tkr_status banzhaf(const game *g, const banzhaf_options *o, double *values, double *errors, tkr_error *error);

/* permutation-shapley (4.4): pairs of an order and its reverse. */
typedef struct permutation_options {
    size_t pairs;             /* planned                                         */
    const uint32_t *orders;   /* [pairs][players] given orders, or NULL          */
    size_t done;              /* out: pairs that were walked                     */
} permutation_options;
tkr_status permutation_shapley(const game *g, permutation_options *o, double *values, double *errors, double *base, tkr_error *error);

/* kernel-shap (4.5), paired half-difference form. */
typedef enum kernel_design { KERNEL_LEVERAGE, KERNEL_SIZES, KERNEL_COMPAT } kernel_design;
typedef struct kernel_options {
    kernel_design design;
    size_t samples;           /* evaluations of sets between empty and full: two a pair                      */
    const uint64_t *sets;     /* [set_count][words] given members of pairs, with weights omega; or NULL      */
    const double *omega;      /* [set_count]; NULL: 1 each                                                   */
    size_t set_count;
    size_t done;              /* out: evaluations asked for                                                  */
    bool is_exact;            /* out: all sets were asked                                                    */
    bool is_deficient;        /* out: rank below p - 1, the values are the shortest solution                 */
} kernel_options;
tkr_status kernel_shap(const game *g, kernel_options *o, double *values, double *errors, double *base, tkr_error *error);

/* linear-shap (4.6): plain least squares over random sets. */
typedef enum linear_coding { LINEAR_KEPT, LINEAR_MASKED, LINEAR_INTERCEPT } linear_coding;
typedef struct linear_options {
    linear_coding coding;     /* kept and masked: no intercept               */
    size_t samples;
    double share;             /* q: probability that a player is kept        */
    const uint64_t *sets;     /* [samples][words] given, or NULL             */
    size_t done;              /* out */
} linear_options;
/* intercept [targets] (0 without one); empty: v(empty) [targets], asked only to say what the sum misses. */
tkr_status linear_shap(const game *g, linear_options *o, double *values, double *errors, double *intercept, double *empty,
                       tkr_error *error);

/* lime (4.8): weighted ridge regression. */
typedef struct lime_options {
    size_t samples;           /* the unperturbed input among them            */
    double width, alpha;
    const uint64_t *sets;     /* [samples][words] given, or NULL             */
    size_t done;              /* out */
} lime_options;
tkr_status lime(const game *g, lime_options *o, double *values, double *errors, double *intercept, double *r2, tkr_error *error);

/* partition-shap (4.7): Owen values over a binary tree.  Nodes 0 .. p - 1 are the players; node p + k joins left[k] and
 * right[k], whose numbers are smaller; the last node is the root (p - 1 joints). */
typedef struct player_tree {
    size_t players;
    const uint32_t *left, *right; /* [players - 1] */
} player_tree;
typedef struct partition_options {
    player_tree tree;
    size_t evaluations;       /* budget, the two ends among them; 0: none      */
    int fixed_context;        /* -1: all contexts; 0, 1: along one             */
    size_t draws;             /* out too: those that were played               */
    double *shared_out;       /* out, [targets], or NULL: share of the credit that no evaluation parted: branches divided it by size */
    size_t done;              /* out: distinct sets asked for, over all draws  */
    bool is_complete;         /* out: the budget sufficed for the exact values */
} partition_options;
tkr_status partition_shap(const game *g, partition_options *o, double *values, double *errors, double *base, tkr_error *error);

/* interactions (4.9): Shapley-Taylor index of order 2.  pairs, pair_errors [targets][players][players], symmetric, the diagonal
 * v({i}) - v(empty). */
typedef struct interactions_options {
    size_t exact, orders, draws;
    size_t done;              /* out: orders walked; 0: exact */
} interactions_options;
tkr_status interactions(const game *g, interactions_options *o, double *pairs, double *pair_errors, double *base, tkr_error *error);

/* counterfactual (4.9): the smallest set whose removal changes the model's answer.  members [targets][players]: 1 for those of
 * it (all 0: not found); details [targets][COUNTERFACTUAL_DETAILS]. */
enum { COUNTERFACTUAL_FOUND, COUNTERFACTUAL_SIZE, COUNTERFACTUAL_PROVEN, COUNTERFACTUAL_ANSWER, COUNTERFACTUAL_VALUE, COUNTERFACTUAL_DETAILS };
typedef struct counterfactual_options {
    size_t exact;             /* sets up to this size are all tried          */
    size_t evaluations;       /* at most                                     */
} counterfactual_options;
tkr_status counterfactual(const game *g, const counterfactual_options *o, double *members, double *details, tkr_error *error);

/* sufficient (4.9): the smallest set that keeps the answer when all others are replaced at random. */
enum { SUFFICIENT_FOUND, SUFFICIENT_SIZE, SUFFICIENT_SHARE, SUFFICIENT_LOW, SUFFICIENT_HIGH, SUFFICIENT_DETAILS };
typedef struct sufficient_options {
    double share;             /* of draws that must keep the answer          */
    size_t draws, evaluations;
} sufficient_options;
tkr_status sufficient(const game *g, const sufficient_options *o, double *members, double *details, tkr_error *error);

#endif
