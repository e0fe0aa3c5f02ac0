/* A session: one thread's model, threads, options and what it keeps between calls. */
#ifndef EXPLAIN_SESSION_H
#define EXPLAIN_SESSION_H

#include <tokray/session.h>

#include "base/progress.h"
#include "base/threads.h"
#include "model/model.h"

struct tkr_session {
    const tkr_model *model;
    tkr_session_options options; /* with the 0s filled in */
    pool *threads;
    reporter reporter;
    real *mean_embedding;        /* [hidden], made on first use */
    struct token_counts *counts; /* of the corpus that a removal was asked with last, and its file (replacement.h) */
    char *counts_file;
    struct mlm_sampler *sampler; /* the same of a masked language model; "": the bundled one */
    char *sampler_name;
    const struct stored_draws *stored; /* tests: draws that are not random (sampling.h) */
    unsigned unshared;           /* tests: SHARE_* that variants must do without (variants.h)         */
};

/* Mean of the word embedding rows of all ordinary tokens (methods.md 5.1), kept by the session.  NULL: limit.oom. */
const real *session_mean_embedding(tkr_session *s, tkr_error *error);

/* Tell how far a phase is; cancelled when the caller wants to stop. */
tkr_status session_tell(tkr_session *s, const char *phase, const char *unit, uint64_t done, uint64_t total,
                        tkr_error *error);

#endif
