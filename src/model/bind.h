/*
 * Binding: the tensors of a checkpoint to the rows of a family's tables: names, prefix, legacy spelling, ties.
 */
#ifndef MODEL_BIND_H
#define MODEL_BIND_H

#include "model/checkpoint.h"
#include "model/config.h"

/* Which head the model gets: the one asked for, else the one config.json names, else the first whose tensors are there.
 * checkpoint NULL: by name only.  *out NULL: hidden states only.
 * Errors: unsupported.head, which says what the folder can do. */
tkr_status bind_head(const checkpoint *c, const model_config *config, tkr_task wanted, const head **out,
                     tkr_error *error);

/* Find, check and widen every tensor that the family and m->head need: fills m's weights, names and counts.
 * Errors: weight.missing, weight.mixed, weight.shape, unsupported.dtype, weight.extra (strict), limit.oom. */
tkr_status bind_weights(tkr_model *m, const checkpoint *c, bool strict, notes *n, tkr_error *error);

#endif
