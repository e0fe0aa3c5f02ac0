/* Runs that found a set of features: which, and what the model says without it or with it alone. */
#ifndef PRESENT_SET_SENTENCE_H
#define PRESENT_SET_SENTENCE_H

#include "present/run_arrays.h"
#include "present/screen.h"

/* What marks and shading mean for a set. */
void set_sentence_sign(screen *s, const result_run *run);
/* Without "superb" and "not" (2 of 12 words) the model says NEGATIVE instead of POSITIVE; smallest possible: proven. */
void set_sentence(screen *s, const result_run *run, size_t target);

#endif
