/*
 * Value-weighted attention: how long the vectors are that each token gives to each (Kobayashi et al. 2020, eq. 5; 2021, eqs. 6-9;
 * methods.md 3.5).  With f_h(x_j) = (x_j Wv_h + bv_h) Wo_h, the output bias left out,
 *     attn    || sum_h A^h_ij f_h(x_j) ||
 *     res     || sum_h A^h_ij f_h(x_j) + [i = j] r_i ||,   r the residual stream beside the attention
 *     resln   || M(sum_h A^h_ij f_h(x_j) + [i = j] r_i) || / s_i,   M(v) = gain (v - mean v), s_i of the norm behind the sum
 */
#ifndef EXPLAIN_ATTENTION_NORMS_H
#define EXPLAIN_ATTENTION_NORMS_H

#include "explain/attention_maps.h"
#include "explain/attention_relevance.h"

#define NORM_FORMS(X) X(ATTN, "attn") X(RES, "res") X(RESLN, "resln")
typedef enum norm_form {
#define NORM_FORM_ENUM(name, id) NORM_##name,
    NORM_FORMS(NORM_FORM_ENUM)
#undef NORM_FORM_ENUM
} norm_form;

/* Where the vectors of one attention are in a graph; NODE_NONE: there is no such node. */
typedef struct value_path {
    node attention, value; /* A V of all heads, and V                                        */
    node mix;              /* the linear map behind it, with Wo                              */
    node sum, rest;        /* mix + rest, the residual stream                                */
    node norm;             /* a layer norm that alone reads the sum (post-norm models)       */
} value_path;
value_path value_path_find(const graph *g, node attention);
/* f_h(x_j) of all heads for one key, [heads][hidden], of a pass that has run with the value kept; wo [hidden][heads x head width].  They
 * and the output bias sum to the attention's output, weighted by A (INV-N1). */
void value_path_vectors(const pass *p, const value_path *at, const real *wo, size_t hidden, size_t key, double *out);

/* Norms of every pair: maps with one head.  Cross attention has no column for the residual: its norms are beside it. */
typedef struct attention_norms {
    attention_maps maps;
    double *rest; /* [layers][queries] of cross attention, NULL for form attn and without any */
} attention_norms;

/* Has the model what the form needs?  usage.capability: resln needs a norm behind the sum. */
tkr_status attention_norms_check(const question *q, norm_form form, tkr_error *error);
/* Run the question's input and compute them, of the last layer of the stack with the head alone or of all; in the arena.
 * Cost: a forward pass and, for each layer, tokens x hidden^2 + tokens x heads^2 (hidden + tokens). */
tkr_status attention_norms_capture(const question *q, norm_form form, bool last_alone, arena *a, attention_norms *out, tkr_error *error);
/* Bytes of it and of its pass; an upper bound. */
size_t attention_norms_bytes(const question *q);

/* What each token holds of each through all layers: R_l = S_l R_(l-1), S the norms with rows divided by their sums (form attn: half of
 * it and half of I).  A cross step keeps the share of its residual and takes the rest from the encoder's.  Rows sum to 1. */
tkr_status attention_norms_rollout(const attention_norms *n, norm_form form, arena *a, token_relevance *out, tkr_error *error);

/* ---- pure mathematics ---- */

/* out[i step] = || sum_h p[h][i] f_h || for i < count, f [heads][width], p[h][i] at p[(h count + i) step]: by the Gram matrix of f.
 * gram: room [heads][heads]. */
void norms_of_mixtures(double *out, const double *p, size_t step, size_t count, const double *f, size_t heads, size_t width, double *gram);
/* v becomes gain (v - mean v). */
void center_vector(double *v, const real *gain, size_t width);

#endif
