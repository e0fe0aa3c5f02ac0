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

/* What a look at every tensor finds. */
typedef enum bind_finding {
    BIND_FINE,
    BIND_MISSING, /* needed, not there                                  */
    BIND_SHAPE,   /* needed, of another shape than the config says      */
    BIND_DTYPE,   /* needed, of a type that is not computed with        */
    BIND_UNUSED,  /* there, and nothing needs it                        */
    BIND_IGNORED  /* there, and known to be a buffer or of another head */
} bind_finding;
enum { STORED_NAME_ROOM = 256, BIND_DETAIL_ROOM = 2 * SHAPE_ROOM + 64 };

typedef struct bind_listener {
    void (*tell)(void *user, bind_finding finding, const char *name, const char *detail);
    void *user;
} bind_listener;

/* Tell all findings about a checkpoint for a family with a head (NULL: none); changes nothing.  Errors: limit.oom. */
tkr_status bind_survey(const checkpoint *c, const family *f, const family_config *config, const head *h, bind_listener to,
                       notes *n, tkr_error *error);
/* Are all tensors of the head there?  If not, the first that is lacking. */
bool bind_has_head(const checkpoint *c, const family *f, const family_config *config, const head *h,
                   char lacking[STORED_NAME_ROOM]);

#endif
