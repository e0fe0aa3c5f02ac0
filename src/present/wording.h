/* The sentences around the numbers: what was asked, what the signs mean, what was found, what was checked. */
#ifndef PRESENT_WORDING_H
#define PRESENT_WORDING_H

#include "present/ranking.h"
#include "present/screen.h"

/* "POSITIVE 0.98 · why? · integrated gradients, 32 steps, logit, words" */
void wording_head(screen *s, size_t target);
/* Orange pushes towards "POSITIVE", blue pushes away from it; or that there is no sign. */
void wording_sign(screen *s, size_t target, bool any_signed, bool any_unsigned);
/* f(baseline) + sum = ... , or why there is no such line. */
void wording_additive(screen *s, const result_run *run, size_t target);
/* Which features have no score, and why: the removal cannot take them away, or they come too late; nothing when all have one. */
void wording_fixed(screen *s, const result_run *run, size_t target);
/* "superb" pushes hardest towards ...; Checked: without "superb", ... */
void wording_finding(screen *s, const result_run *run, const ranking *rank, size_t target);
/* gap 0.4% · checked: without "superb" 0.98 -> 0.44 */
void wording_brief(screen *s, const result_run *run, const ranking *rank, size_t target);
/* Above a generation matrix: what was put out, how it is explained, how to read it; below: its strongest cells, and the check
 * of the first step (whose scores `first` ranks). */
void wording_matrix_head(screen *s);
void wording_matrix_finding(screen *s, const result_run *run, const ranking *first);
/* Beside the point, dim: details of the run such as "R² 0.83 · intercept +0.12", and what estimates took; nothing when there is
 * neither. */
void wording_run(screen *s, const result_run *run, size_t target);
/* "gap 0.4%", "no sign", "not additive": beside a method's strip.  Text lives in room. */
enum { WORDING_NOTE_ROOM = 96 };
const char *wording_note(const screen *s, const result_run *run, char room[WORDING_NOTE_ROOM]);
/* The measure of a run's scores: some methods score the probability whatever is asked. */
const char *wording_measure(const tkr_target_facts *t, const result_run *run);

#endif
