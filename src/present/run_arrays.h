/* What a run says beside its scores: standard errors, pairs, details; found by the names of its arrays. */
#ifndef PRESENT_RUN_ARRAYS_H
#define PRESENT_RUN_ARRAYS_H

#include "explain/result.h"

/* "<id>.<kind>", or NULL. */
const tkr_array *run_array(const tkr_result *r, const result_run *run, const char *kind);
/* Standard errors of one target's scores [features]; NULL: none. */
const float *run_errors(const tkr_result *r, const result_run *run, size_t target);
/* Pairs of features that a run has scored, TARGETS x FEATURES x FEATURES, and their standard errors; NULL: none. */
const tkr_array *run_pairs(const tkr_result *r, const result_run *run);
const tkr_array *run_pair_errors(const tkr_result *r, const result_run *run);
/* A named detail of one target; NaN: there is none. */
double run_detail(const tkr_result *r, const result_run *run, size_t target, const char *name);
/* A parameter as it was used, as JSON text; NULL: there is none. */
const char *run_parameter(const result_run *run, const char *name);

/* Runs that found a set of features instead of a number for each: what becomes of the answer without it, or with it alone. */
typedef enum set_kind { SET_NONE, SET_REMOVED, SET_KEPT } set_kind;
set_kind run_set(const tkr_result *r, const result_run *run);

/* Is a number less than two standard errors from 0?  Then its sign says nothing. */
bool is_unsure(double value, double error);

#endif
