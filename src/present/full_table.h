/* The closing table: every feature with rank, position, token ids, score and what it does; then the totals. */
#ifndef PRESENT_FULL_TABLE_H
#define PRESENT_FULL_TABLE_H

#include "present/ranking.h"
#include "present/screen.h"

void full_table(screen *s, const result_run *run, const ranking *rank, size_t target);

/* "Helpful", "Harmful", with a question mark when two standard errors reach 0; "" for 0 and where scores have no sign; why a
 * feature has no score. */
const char *full_table_effect(const tkr_result *r, const result_run *run, const ranking *rank, size_t target, size_t feature);
/* The features in the order of the table: ranked, then those without a score.  [count], the caller frees; NULL: out of memory. */
uint32_t *full_table_order(const ranking *rank);

/* Sums over the features that have a score. */
typedef struct full_totals {
    double positive, negative, overall;
} full_totals;
full_totals full_table_totals(const ranking *rank);

#endif
