/*
 * What random removals put in place of removed features (methods.md 4.2): tokens drawn from the vocabulary (`random`: uniformly
 * from its ordinary entries, or by the counts of a corpus file), or what a masked language model draws (`mlm`).
 *
 * A draw is a pure function of seed, draw and place (and, of a masked language model, of what is left of the text), so variants
 * under the same draw have common random numbers, and neither batches nor threads nor order matter.
 */
#ifndef EXPLAIN_REPLACEMENT_H
#define EXPLAIN_REPLACEMENT_H

#include "explain/mlm_sampler.h"
#include "explain/token_counts.h"
#include "explain/variants.h"

/* Of a question's removal, whose name is asked[0 .. name_size): read what follows the name, and open what it asks for, kept by the
 * session until another is asked for: counts of a corpus, a sampler model.  Any removal: an error when one takes no options.
 * Errors: usage.value, usage.capability, what opening says; each with field and byte offset. */
tkr_status replacement_read(question *q, view asked, size_t name_size, tkr_error *error);
/* Free what the session keeps. */
void replacement_forget(tkr_session *s);

/* Can this token not be replaced?  (Words are drawn for the input's text only, not for earlier outputs.) */
bool replacement_keeps(const question *q, size_t token);

typedef struct replacement replacement;

/* For a question whose removal is random.  Errors: usage.capability, limit.oom. */
replacement *replacement_new(const question *q, tkr_error *error);
void replacement_free(replacement *r);

/* The input with the removed features replaced. */
typedef struct replaced {
    int32_t *ids, *types;
    size_t length;
    bool is_aligned;   /* token i stands where token i stood: the question's own rows are read.  Else the tokens were made from a
                          new text, and reads [question.reads] says where its rows are; rows after the input's are as many as ever */
    uint32_t *reads;
    view text;         /* where words were drawn: the new first text */
} replaced;

/* Of each variant of a list; arrays in the arena. */
tkr_status replacement_make(replacement *r, const variant *list, size_t count, arena *a, replaced *out, tkr_error *error);

/* Bytes that replacing will take at most, beside what the session holds already. */
tkr_status replacement_plan(const question *q, size_t *bytes, tkr_error *error);

#endif
