/* The generation matrix: which parts of the input, and of the output so far, made each token of the output. */
#ifndef PRESENT_MATRIX_H
#define PRESENT_MATRIX_H

#include "present/screen.h"

/* Several steps of an output, each a target of its own? */
bool matrix_applies(const tkr_result *r);
/* Rows: features of the input, then those of the output; columns: the targets, as many side by side as there is room for. */
void matrix_print(screen *s, const result_run *run);

#endif
