/* Sessions: options with their defaults filled in, the thread pool, and the mean word embedding. */
#include "explain/session.h"

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/limits.h"
#include "explain/replacement.h"

#include <math.h>
#include <stdio.h>

tkr_session_options tkr_session_options_defaults(void) { return (tkr_session_options){0}; }

tkr_session *tkr_session_new(const tkr_model *model, const tkr_session_options *options, tkr_error *error)
{
    if (!model)
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "tkr_session_new: no model was given");
    if (!model->weights && !model->score)
        return fail_null(error, TKR_E_USAGE_ARGUMENT,
                         "tkr_session_new: the model was opened for its tokenizer only and has no weights");
    tkr_session_options o = options ? *options : tkr_session_options_defaults();
    if (o.threads < 0 || o.threads > 1024)
        return fail_null(error, TKR_E_USAGE_RANGE, "threads %d is out of range; 1 to 1024, or 0 for all", o.threads);
    if (!(o.budget_seconds >= 0 && isfinite(o.budget_seconds)))
        return fail_null(error, TKR_E_USAGE_RANGE, "budget_seconds is out of range; 0 for none, or seconds above it");
    if (!(o.wanted_error >= 0 && o.wanted_error <= 1))
        return fail_null(error, TKR_E_USAGE_RANGE, "wanted_error is out of range; 0 for none, or a share up to 1");
    tkr_session *s = NEW(tkr_session, 1);
    if (!s)
        return fail_memory(error, "a session", sizeof *s), NULL;
    if (o.memory_bytes == 0)
        o.memory_bytes = limits_default_memory();
    s->model = model;
    s->options = o;
    s->reporter = (reporter){.call = o.progress, .user = o.progress_user};
    s->threads = pool_new(o.threads);
    if (!s->threads) {
        memory_free(s);
        return fail_memory(error, "the threads of a session", 0), NULL;
    }
    s->options.threads = pool_threads(s->threads);
    return s;
}

void tkr_session_free(tkr_session *s)
{
    if (!s)
        return;
    replacement_forget(s);
    pool_free(s->threads);
    memory_free(s->mean_embedding);
    memory_free(s);
}

int tkr_session_threads(const tkr_session *s) { return s ? s->options.threads : 0; }

tkr_status session_tell(tkr_session *s, const char *phase, const char *unit, uint64_t done, uint64_t total, tkr_error *error)
{
    if (reporter_tell(&s->reporter, phase, unit, done, total))
        return TKR_OK;
    return fail(error, TKR_E_CANCELLED, "stopped on request after %llu of %llu %s", (unsigned long long)done,
                (unsigned long long)total, unit);
}

/* Sum the rows of ordinary tokens in double; rows in ascending order, so the result is the same on any machine. */
static size_t sum_ordinary_rows(const tkr_model *m, const weight *table, real *row, double *sum)
{
    size_t count = 0;
    for (size_t id = 0; id < table->rows; id++) {
        if (!tokenizer_is_ordinary(m->tokenizer, (int32_t)id))
            continue;
        weight_row(table, id, row);
        for (size_t i = 0; i < table->columns; i++)
            sum[i] += (double)row[i];
        count++;
    }
    return count;
}

const real *session_mean_embedding(tkr_session *s, tkr_error *error)
{
    if (s->mean_embedding)
        return s->mean_embedding;
    const weight *table = model_weight(s->model, "word");
    size_t width = table->columns;
    real *mean = memory_new_aligned(width * sizeof *mean);
    real *row = memory_new_aligned(width * sizeof *row);
    double *sum = NEW(double, width);
    if (mean && row && sum) {
        size_t count = sum_ordinary_rows(s->model, table, row, sum);
        for (size_t i = 0; i < width; i++)
            mean[i] = count ? (real)(sum[i] / (double)count) : 0;
        s->mean_embedding = mean;
    } else {
        fail_memory(error, "the mean embedding", width * sizeof *mean);
        memory_free(mean);
    }
    memory_free(row);
    memory_free(sum);
    return s->mean_embedding;
}
