/* Finding a run's arrays; see run_arrays.h. */
#include "present/run_arrays.h"

#include <math.h>

const tkr_array *run_array(const tkr_result *r, const result_run *run, const char *kind)
{
    view id = view_of(run->facts.id);
    for (size_t i = 0; i < r->array_count; i++) {
        view name = view_of(r->arrays[i]->name);
        if (name.size > id.size && view_begins(name, id) && name.data[id.size] == '.' &&
            view_is(view_slice(name, id.size + 1, name.size), kind))
            return r->arrays[i];
    }
    return NULL;
}

const float *run_errors(const tkr_result *r, const result_run *run, size_t target)
{
    const tkr_array *errors = run->scores ? result_errors(r, run->scores) : NULL;
    return errors ? errors->data + target * r->feature_count : NULL;
}

static const tkr_array *pairs_of(const tkr_result *r, const result_run *run, const char *kind)
{
    const tkr_array *a = run_array(r, run, kind);
    size_t n = r->feature_count;
    return a && a->rank == 3 && a->size == r->target_count * n * n ? a : NULL;
}

const tkr_array *run_pairs(const tkr_result *r, const result_run *run) { return pairs_of(r, run, "pairs"); }
const tkr_array *run_pair_errors(const tkr_result *r, const result_run *run) { return pairs_of(r, run, "pairs_se"); }

double run_detail(const tkr_result *r, const result_run *run, size_t target, const char *name)
{
    const tkr_array *a = run_array(r, run, "details");
    if (!a || a->rank != 2 || !a->axes[1]->labels)
        return (double)NAN;
    for (size_t i = 0; i < a->axes[1]->size; i++)
        if (view_is(view_of(a->axes[1]->labels[i]), name))
            return (double)a->data[target * a->axes[1]->size + i];
    return (double)NAN;
}

const char *run_parameter(const result_run *run, const char *name)
{
    for (size_t i = 0; i < run->parameter_count; i++)
        if (view_is(view_of(run->parameters[i].name), name))
            return run->parameters[i].value;
    return NULL;
}

set_kind run_set(const tkr_result *r, const result_run *run)
{
    if (!isfinite(run_detail(r, run, 0, "found")))
        return SET_NONE;
    const tkr_array *a = run_array(r, run, "details");
    for (size_t i = 0; i < a->axes[1]->size; i++)
        if (view_is(view_of(a->axes[1]->labels[i]), "share"))
            return SET_KEPT;
    return SET_REMOVED;
}

bool is_unsure(double value, double error) { return isfinite(error) && fabs(value) < 2 * error; }
