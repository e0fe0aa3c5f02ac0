/* Matrices over the features: which parts of the input, and of the output so far, made each token of the output; and where in
 * depth a feature's share lies. */
#ifndef PRESENT_MATRIX_H
#define PRESENT_MATRIX_H

#include "present/screen.h"

/* Several steps of an output, each a target of its own? */
bool matrix_applies(const tkr_result *r);
/* Rows: features of the input, then those of the output; columns: the targets, as many side by side as there is room for. */
void matrix_print(screen *s, const result_run *run);

/* What pairs of features do together, TARGETS x FEATURES x FEATURES: features as rows and columns. */
void matrix_print_pairs(screen *s, const tkr_array *pairs, size_t target);

/* The scores of a run inside the layers ("<id>.layers"); NULL: it has none. */
const tkr_array *matrix_layers(const tkr_result *r, const result_run *run);
/* Rows: tokens; columns: the layers that were asked about. */
void matrix_print_layers(screen *s, const result_run *run, const tkr_array *layers, size_t target);

#endif
