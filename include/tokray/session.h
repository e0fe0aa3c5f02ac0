/*
 * Sessions: one thread's working memory for one model.
 *
 * A session belongs to one thread at a time; any number of sessions may share a model.  Every call may be repeated after
 * an error or a cancellation.  A session's threads end with the session.
 */
#ifndef TOKRAY_SESSION_H
#define TOKRAY_SESSION_H

#include <tokray/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tkr_session tkr_session;

/* Called from the calling thread at least every 100 ms of work.  phase is borrowed for the call; done and total are in
 * the unit named (evaluations, gradient points).  Return false to stop: the call then ends with TKR_E_CANCELLED. */
typedef struct tkr_progress {
    const char *phase, *unit;
    uint64_t done, total;
} tkr_progress;
typedef bool tkr_progress_fn(void *user, const tkr_progress *progress);

typedef struct tkr_session_options {
    int threads;                /* 0: as many as the process may use (affinity and cgroup), at most 1024 */
    uint64_t memory_bytes;      /* 0: 80 % of what is available now                                      */
    uint64_t seed;              /* all randomness                                                        */
    size_t batch_rows;          /* rows run at once; 0: chosen to fit the cache and the memory            */
    tkr_progress_fn *progress;  /* may be NULL                                                           */
    void *progress_user;
    /* Of methods that sample, each run of one for itself; 0: none.  They take fewer draws than they were asked for ... */
    uint64_t budget_evaluations; /* ... so that their evaluations stay within this (at least one draw)            */
    double budget_seconds;       /* ... once this much time has passed; looked at after every batch.  Methods that need all
                                    sets of features have no smaller answer: time.deadline                      */
    double wanted_error;         /* ... once no standard error is above this share of its target's score range  */
    unsigned char reserved[40];
} tkr_session_options;

TKR_API tkr_session_options tkr_session_options_defaults(void);

/* options NULL: defaults.  The model must outlive the session.  Errors: limit.oom, usage.range. */
TKR_API tkr_session *tkr_session_new(const tkr_model *model, const tkr_session_options *options, tkr_error *error);
TKR_API void tkr_session_free(tkr_session *session);

/* Threads the session runs on. */
TKR_API int tkr_session_threads(const tkr_session *session);

/* Bytes of heap the library holds now, and the most it ever held in this process (its own allocations: not the
 * mapped weight files, not the JSON trees while a folder is opened). */
TKR_API uint64_t tkr_memory_now(void);
TKR_API uint64_t tkr_memory_peak(void);
TKR_API void tkr_memory_reset_peak(void);

#ifdef __cplusplus
}
#endif
#endif
