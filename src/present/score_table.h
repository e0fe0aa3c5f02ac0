/* The numbers under the sentence: ranked features with shares and diverging bars; several methods side by side. */
#ifndef PRESENT_SCORE_TABLE_H
#define PRESENT_SCORE_TABLE_H

#include "present/ranking.h"
#include "present/screen.h"

void score_table(screen *s, const result_run *run, const ranking *rank);
/* One column a method, rows in the order of the first one.  rankings [run_count]. */
void score_table_compare(screen *s, const ranking *rankings);

#endif
