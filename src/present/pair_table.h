/* What pairs of features do together: the strongest ones, and where it fits all of them as a matrix. */
#ifndef PRESENT_PAIR_TABLE_H
#define PRESENT_PAIR_TABLE_H

#include "present/run_arrays.h"
#include "present/screen.h"

/* Nothing for runs that score no pairs. */
void pair_table(screen *s, const result_run *run, size_t target);

#endif
