/* Features of one row of scores, the strongest first: what tables and the finding are made of. */
#ifndef PRESENT_RANKING_H
#define PRESENT_RANKING_H

#include "explain/result.h"
#include "present/figures.h"

typedef struct ranking {
    uint32_t *order;  /* [defined] feature indices by |score|, equal ones in text order; owned */
    const float *scores;
    const float *errors; /* standard errors of the scores; NULL: none      */
    size_t count;     /* features                                          */
    size_t defined;   /* those that have a score: a later output has none for an earlier step */
    bool is_signed;
    double largest;   /* |score| of the first; 0 when there is none       */
    double total;     /* sum of |score|, the fold of special tokens included: what shares are of */
    double special;   /* fold of the template's tokens; known for the first target, else NaN */
    double least, most; /* extent of the scores, 0 included                  */
} ranking;

/* Has the model put this feature out after what the target is about?  (Its score is not a number then, and no error.) */
bool ranking_is_undefined(const tkr_result *r, const tkr_array *scores, size_t entry);

/* Why may a feature have no score? */
typedef enum missing {
    MISSING_NOTHING,
    MISSING_REMOVAL, /* the removal cannot take it away       */
    MISSING_LATER,   /* the model answers before it sees this */
    MISSING_OUTPUT,  /* it was put out after what is explained */
} missing;
missing ranking_missing(const tkr_result *r, const tkr_array *scores, size_t target, size_t feature);

/* Row `target` of a run's scores.  False when out of memory. */
bool ranking_init(ranking *r, const tkr_result *result, const result_run *run, size_t target);
void ranking_fini(ranking *r);
/* Is a feature's sign uncertain: less than two standard errors from 0? */
bool ranking_is_unsure(const ranking *r, size_t feature);
/* |score| / total, or NaN when everything is 0. */
double ranking_share(const ranking *r, double score);
/* A score as people read it: with the decimals of the largest one, and a sign when the method has signs;
 * nothing for one that is not defined. */
char *ranking_figure(const ranking *r, char out[FIGURE_ROOM], double score, bool ascii);
/* "± 0.05": the error of a feature, with the decimals of the scores; nothing where there is none. */
char *ranking_error_figure(const ranking *r, char out[FIGURE_ROOM], size_t feature, bool ascii);

#endif
