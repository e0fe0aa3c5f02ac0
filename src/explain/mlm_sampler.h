/*
 * A masked language model as a source of tokens: for places of a text that are masked, its distribution over the entries that
 * may be drawn (methods.md 4.2, temperature 1).
 *
 *   MLM_TOKENS  ordinary entries (token_counts.h)
 *   MLM_WORDS   entries that are whole words: begin one and are made of letters only; what they are in a text is mlm_sampler_word
 *
 * A text is run once, all its masks at a time, whatever is drawn from it and however often.
 */
#ifndef EXPLAIN_MLM_SAMPLER_H
#define EXPLAIN_MLM_SAMPLER_H

#include "explain/session.h"

typedef struct mlm_sampler mlm_sampler;

typedef enum mlm_kind { MLM_TOKENS, MLM_WORDS, MLM_KINDS } mlm_kind;

/* Open by name or folder (NULL: the bundled one); it borrows the session's threads and options, and is to be freed before it.
 * Errors: those of tkr_model_open; usage.capability when the model is no masked language model or has nothing to draw. */
mlm_sampler *mlm_sampler_open(tkr_session *s, const char *name, tkr_error *error);
void mlm_sampler_free(mlm_sampler *m);

const tkr_model *mlm_sampler_model(const mlm_sampler *m);
int32_t mlm_sampler_mask(const mlm_sampler *m);
/* Has it the vocabulary of this model, the same ids for the same tokens? */
bool mlm_sampler_shares(const mlm_sampler *m, const tkr_model *model);

/* One text with masks.  places: where they are, ascending. */
typedef struct mlm_request {
    const int32_t *ids, *types;  /* [length] */
    size_t length;
    const uint32_t *places;      /* [place_count], at least one */
    size_t place_count;
} mlm_request;

/* Called for each place of each request, in any order; upto: the distribution there, for mlm_sampler_draw, gone after the call. */
typedef void mlm_visit_fn(void *user, size_t request, size_t place, const double *upto);

/* Run all requests, in batches.  Errors: input.too_long, num.forward, cancelled, limit.oom. */
tkr_status mlm_sampler_run(mlm_sampler *m, mlm_kind kind, const mlm_request *list, size_t count, mlm_visit_fn *visit, void *user,
                           tkr_error *error);

/* The entry at unit in [0, 1) of a distribution. */
int32_t mlm_sampler_draw(const mlm_sampler *m, mlm_kind kind, const double *upto, double unit);
/* Text of an entry of MLM_WORDS. */
view mlm_sampler_word(const mlm_sampler *m, int32_t id);

/* Entries that may be drawn. */
size_t mlm_sampler_entries(const mlm_sampler *m, mlm_kind kind, const int32_t **ids);
/* Bytes that a run over texts of at most `length` tokens with `places` masks takes at most, packed weights among them. */
tkr_status mlm_sampler_plan(mlm_sampler *m, size_t length, size_t places, size_t *bytes, tkr_error *error);

#endif
