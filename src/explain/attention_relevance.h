/*
 * Relevance of attention weighted by gradients: Chefer, Gur, Wolf 2021b ("Generic attention-model explainability", eqs. 5-11) and the
 * row-normalised product of Chefer, Gur, Wolf 2021a, as methods.md 3.6 writes them.  Pure mathematics over matrices of doubles, row =
 * query, column = key.
 */
#ifndef EXPLAIN_ATTENTION_RELEVANCE_H
#define EXPLAIN_ATTENTION_RELEVANCE_H

#include "explain/attention_maps.h"

/* What of the products of two maps is averaged over heads. */
typedef enum weighing { WEIGH_RELU, WEIGH_ABS, WEIGH_SIGNED } weighing;

/* Maps of the same layers with one head: the mean over heads of max(0, a b), |a b| or a b.  room: in the arena. */
tkr_status attention_weigh(weighing how, const attention_maps *a, const attention_maps *b, arena *room, attention_maps *out, tkr_error *error);
/* Maps with one head, zeroed, of the same layers as other maps. */
tkr_status attention_maps_of_one_head(const attention_maps *like, arena *room, attention_maps *out, tkr_error *error);

/* What each token holds of each: of one stack `self` alone; of an encoder-decoder `encoder`, and of the decoder's tokens `self` over
 * themselves and `cross` over the source. */
typedef struct token_relevance {
    size_t source, output;            /* tokens; source 0: one stack of `output` tokens */
    double *self, *cross, *encoder;   /* [output][output], [output][source], [source][source]; NULL without a source */
} token_relevance;

/* Room for it, self and encoder the identity, cross 0; bytes of it and of what the steps borrow. */
tkr_status token_relevance_new(const attention_maps *maps, arena *room, token_relevance *out, tkr_error *error);
size_t token_relevance_bytes(size_t tokens);

/* The generic rule over weighted maps (one head): R += Abar R, and for cross attention R_de += norm(R_dd)^T Abar_de norm(R_ee).
 * Invariants: R - I >= 0 where Abar is; all Abar 0 leaves R = I.  Cost: layers x tokens^3. */
tkr_status attention_relevance_generic(const attention_maps *weighted, arena *room, token_relevance *out, tkr_error *error);
/* One stack: R is the product of the matrices I + Abar, each row divided by its sum, first layer rightmost. */
tkr_status attention_relevance_product(const attention_maps *weighted, arena *room, token_relevance *out, tkr_error *error);

/* Divide each row by its sum; a row of zeros stays. */
void rows_to_shares(double *m, size_t rows, size_t columns);
/* r [inner][columns] becomes m [rows][inner] r; room [rows][columns].  rows = inner where r is overwritten. */
void matrix_product(double *out, const double *m, const double *r, size_t rows, size_t inner, size_t columns);

#endif
