/*
 * Result files, schema tokray.result/1: one function a section, keys in the order of docs/result.md.
 *
 * Saved scores are raw.  Reals are the shortest text that reads back to the same float32; what is not finite is null and
 * counted in "nonfinite", except scores of later outputs for earlier steps, which are null because there are none.  Arrays over
 * 1,024 elements are base64 of little-endian float32.
 * created, seconds, threads and peak_memory_bytes are the only fields that may differ between equal runs.
 */
#include <math.h>
#include <tokray/version.h>

#include "base/failure.h"
#include "present/json_result.h"
#include "present/ranking.h"

enum { INLINE_ELEMENTS = 1024, TOP_DEFAULT = 10 };

tkr_json_options tkr_json_options_defaults(void) { return (tkr_json_options){.top = TOP_DEFAULT}; }

static void write_tool(json_writer *w)
{
    writer_key(w, "tool");
    writer_open(w, '{', true);
    writer_key_text(w, "name", "tokray");
    writer_key_text(w, "version", tkr_version());
    writer_key_text(w, "build", tkr_build_info());
    writer_close(w, '}');
}

static const char *axis_kind_name(tkr_axis_kind kind)
{
    static const char *const names[] = {
        [TKR_AXIS_TARGETS] = "TARGETS", [TKR_AXIS_FEATURES] = "FEATURES", [TKR_AXIS_TOKENS] = "TOKENS",
        [TKR_AXIS_LAYERS] = "LAYERS",   [TKR_AXIS_HEADS] = "HEADS",       [TKR_AXIS_HIDDEN] = "HIDDEN",
        [TKR_AXIS_OUTPUTS] = "OUTPUTS", [TKR_AXIS_PARTS] = "PARTS"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "UNKNOWN";
}

static void write_axis_ids(json_writer *w, const tkr_result *r, const tkr_axis *axis)
{
    if (axis->kind == TKR_AXIS_TOKENS) {
        writer_key_text(w, "of", json_input_id(r, 0));
    } else if (axis->kind == TKR_AXIS_TARGETS || axis->kind == TKR_AXIS_LAYERS || axis->kind == TKR_AXIS_HEADS ||
               axis->kind == TKR_AXIS_PARTS) {
        writer_key(w, "ids");
        writer_open(w, '[', true);
        for (size_t i = 0; i < axis->size; i++) {
            if (axis->kind == TKR_AXIS_TARGETS && i < r->target_count)
                writer_text(w, r->targets[i].id);
            else if (axis->labels)
                writer_text(w, axis->labels[i]);
            else
                writer_unsigned(w, i);
        }
        writer_close(w, ']');
    }
}

/* True when an earlier axis of an earlier or the same array has this name. */
static bool axis_was_seen(const tkr_result *r, size_t array, size_t dimension)
{
    const char *name = r->arrays[array]->axes[dimension]->name;
    for (size_t a = 0; a <= array; a++)
        for (size_t d = 0; d < (a == array ? dimension : r->arrays[a]->rank); d++)
            if (view_is(view_of(r->arrays[a]->axes[d]->name), name))
                return true;
    return false;
}

static void write_axes(json_writer *w, const tkr_result *r)
{
    writer_key(w, "axes");
    writer_open(w, '{', false);
    for (size_t a = 0; a < r->array_count; a++)
        for (size_t d = 0; d < r->arrays[a]->rank; d++) {
            const tkr_axis *axis = r->arrays[a]->axes[d];
            if (axis_was_seen(r, a, d))
                continue;
            writer_key(w, axis->name);
            writer_open(w, '{', true);
            writer_key_text(w, "kind", axis_kind_name(axis->kind));
            writer_key_unsigned(w, "size", axis->size);
            write_axis_ids(w, r, axis);
            writer_close(w, '}');
        }
    writer_close(w, '}');
}

static void write_checks(json_writer *w, const tkr_result *r, const char *method)
{
    writer_key(w, "checks");
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->check_count; i++) {
        const tkr_check *c = &r->checks[i];
        if (!view_is(view_of(c->method), method))
            continue;
        writer_open(w, '{', true);
        writer_key_text(w, "name", c->name);
        writer_key_real(w, "expected", c->expected);
        writer_key_real(w, "actual", c->actual);
        writer_key_real(w, "gap", c->gap);
        writer_key_real(w, "tolerance", c->tolerance);
        writer_key_bool(w, "ok", c->ok);
        writer_close(w, '}');
    }
    writer_close(w, ']');
}

static void write_own_arrays(json_writer *w, const tkr_result *r, const char *method)
{
    size_t length = strlen(method);
    writer_key(w, "arrays");
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->array_count; i++) {
        const char *name = r->arrays[i]->name;
        if (strncmp(name, method, length) == 0 && name[length] == '.')
            writer_text(w, name);
    }
    writer_close(w, ']');
}

static bool write_top(json_writer *w, const tkr_result *r, const result_run *run, size_t most)
{
    const tkr_array *errors = run->scores ? result_errors(r, run->scores) : NULL;
    writer_key(w, "top");
    writer_open(w, '[', false);
    for (size_t t = 0; run->scores && t < r->target_count; t++) {
        ranking rank;
        if (!ranking_init(&rank, r, run, t))
            return false;
        for (size_t k = 0; k < rank.defined && k < most; k++) {
            uint32_t i = rank.order[k];
            writer_open(w, '{', true);
            if (r->target_count > 1)
                writer_key_text(w, "target", r->targets[t].id);
            writer_key_unsigned(w, "i", i);
            writer_key_text(w, "token", r->features[i].label);
            writer_key_real(w, "score", (double)rank.scores[i]);
            if (errors) {
                writer_key_real(w, "stderr", (double)errors->data[t * r->feature_count + i]);
            } else {
                writer_key(w, "stderr");
                writer_null(w);
            }
            writer_key_real(w, "share", ranking_share(&rank, (double)rank.scores[i]));
            writer_close(w, '}');
        }
        ranking_fini(&rank);
    }
    writer_close(w, ']');
    return true;
}

static void write_cost(json_writer *w, const tkr_run_facts *f, bool reproducible)
{
    writer_key(w, "cost");
    writer_open(w, '{', true);
    writer_key_unsigned(w, "evaluations", f->evaluations);
    writer_key_unsigned(w, "forward", f->forward);
    writer_key_unsigned(w, "backward", f->backward);
    if (!reproducible)
        writer_key_real(w, "seconds", f->seconds);
    writer_close(w, '}');
}

static void write_warnings(json_writer *w, const tkr_result *r, const char *only_method)
{
    writer_key(w, "warnings");
    writer_open(w, '[', false);
    for (size_t i = 0; i < r->warning_count; i++) {
        const tkr_warning *warning = &r->warnings[i];
        if (only_method && (!warning->method || !view_is(view_of(warning->method), only_method)))
            continue;
        writer_open(w, '{', true);
        writer_key_text(w, "code", warning->code);
        if (!only_method)
            writer_key_text(w, "method", warning->method);
        writer_key_text(w, "message", warning->message);
        writer_key_text(w, "help", warning->help);
        writer_close(w, '}');
    }
    writer_close(w, ']');
}

static bool write_run(json_writer *w, const tkr_result *r, const result_run *run, const tkr_json_options *options)
{
    const tkr_run_facts *f = &run->facts;
    writer_open(w, '{', false);
    writer_key_text(w, "id", f->id);
    writer_key_text(w, "method", f->method);
    writer_key_text(w, "title", f->title);
    writer_key_text(w, "family", f->family);
    writer_key_bool(w, "signed", f->is_signed);
    writer_key_bool(w, "additive", f->is_additive);
    writer_key(w, "params");
    writer_open(w, '{', true);
    for (size_t i = 0; i < run->parameter_count; i++) {
        writer_key(w, run->parameters[i].name);
        writer_raw(w, run->parameters[i].value);
    }
    writer_close(w, '}');
    write_cost(w, f, options->reproducible);
    write_checks(w, r, f->id);
    write_own_arrays(w, r, f->id);
    writer_key(w, "special");
    writer_open(w, '{', true);
    writer_key_unsigned(w, "tokens", run->special_count);
    writer_key_real(w, "score", run->special);
    writer_close(w, '}');
    bool complete = write_top(w, r, run, options->top ? options->top : TOP_DEFAULT);
    write_warnings(w, r, f->id);
    writer_close(w, '}');
    return complete;
}

static size_t count_nonfinite(const tkr_result *r, const tkr_array *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->size; i++)
        count += !isfinite(a->data[i]) && !ranking_is_undefined(r, a, i);
    return count;
}

static void write_array_data(json_writer *w, const tkr_array *a)
{
    writer_key(w, "data");
    if (a->size <= INLINE_ELEMENTS) {
        writer_open(w, '[', true);
        for (size_t i = 0; i < a->size; i++)
            writer_real(w, (double)a->data[i]);
        writer_close(w, ']');
        return;
    }
    writer_open(w, '{', true);
    writer_key_text(w, "codec", "base64");
    writer_key_unsigned(w, "bytes", a->size * sizeof(float));
    writer_key(w, "value");
    writer_base64(w, (const unsigned char *)a->data, a->size * sizeof(float));
    writer_close(w, '}');
}

static void write_array(json_writer *w, const tkr_result *r, const tkr_array *a)
{
    size_t nonfinite = count_nonfinite(r, a);
    writer_open(w, '{', true);
    writer_key_text(w, "name", a->name);
    writer_key(w, "axes");
    writer_open(w, '[', true);
    for (size_t d = 0; d < a->rank; d++)
        writer_text(w, a->axes[d]->name);
    writer_close(w, ']');
    writer_key(w, "shape");
    writer_open(w, '[', true);
    for (size_t d = 0; d < a->rank; d++)
        writer_unsigned(w, a->axes[d]->size);
    writer_close(w, ']');
    writer_key_text(w, "dtype", "f32");
    writer_key_text(w, "unit", a->unit);
    writer_key_bool(w, "signed", a->is_signed);
    writer_key_text(w, "normalized", NULL);
    const tkr_array *errors = result_errors(r, a);
    writer_key_text(w, "stderr", errors ? errors->name : NULL);
    if (nonfinite)
        writer_key_unsigned(w, "nonfinite", nonfinite);
    write_array_data(w, a);
    writer_close(w, '}');
}

static void write_checked(json_writer *w, const tkr_result *r)
{
    writer_key(w, "checked");
    writer_open(w, '[', false);
    for (size_t i = 0; i < r->checked_count; i++) {
        const tkr_checked *c = &r->checked[i];
        writer_open(w, '{', true);
        writer_key_text(w, "method", c->method);
        writer_key(w, "removed");
        writer_open(w, '[', true);
        writer_unsigned(w, c->feature);
        writer_close(w, ']');
        writer_key_text(w, "removal", c->removal);
        writer_key_real(w, "before", c->before);
        writer_key_real(w, "after", c->after);
        writer_key_text(w, "measure", c->measure);
        writer_close(w, '}');
    }
    writer_close(w, ']');
}

static void write_provenance(json_writer *w, const tkr_result *r, const tkr_json_options *options)
{
    writer_key(w, "provenance");
    writer_open(w, '{', false);
    if (options->command) {
        writer_key(w, "command");
        writer_open(w, '[', true);
        for (size_t i = 0; options->command[i]; i++)
            writer_text(w, options->command[i]);
        writer_close(w, ']');
    }
    writer_key_text(w, "at", r->at);
    writer_key_text(w, "removal", r->removal);
    writer_key_unsigned(w, "seed", r->seed);
    if (!options->reproducible) {
        writer_key(w, "threads");
        writer_signed(w, r->threads);
    }
    writer_key_text(w, "gemm", r->gemm);
    writer_key_text(w, "cpu", r->cpu);
    if (!options->reproducible) {
        writer_key(w, "seconds");
        writer_open(w, '{', true);
        writer_key_real(w, "tokenize", r->seconds_tokenize);
        writer_key_real(w, "explain", r->seconds_explain);
        writer_key_real(w, "total", r->seconds_total);
        writer_close(w, '}');
        writer_key_unsigned(w, "peak_memory_bytes", r->peak_memory);
    }
    writer_close(w, '}');
}

static void write_list(json_writer *w, const char *key)
{
    writer_key(w, key);
    writer_open(w, '[', false);
}

static bool write_runs_and_arrays(json_writer *w, const tkr_result *r, const tkr_json_options *options)
{
    bool complete = true;
    write_list(w, "methods");
    for (size_t i = 0; i < r->run_count; i++)
        complete &= write_run(w, r, &r->runs[i], options);
    writer_close(w, ']');
    write_list(w, "arrays");
    for (size_t i = 0; i < r->array_count; i++)
        write_array(w, r, r->arrays[i]);
    writer_close(w, ']');
    return complete;
}

static bool write_result(json_writer *w, const tkr_result *r, const tkr_json_options *options)
{
    writer_open(w, '{', false);
    writer_key_text(w, "schema", "tokray.result/1");
    writer_key_text(w, "id", r->id);
    writer_key_text(w, "kind", r->kind);
    writer_key_text(w, "status", r->status);
    if (!options->reproducible)
        writer_key_text(w, "created", r->created);
    write_tool(w);
    json_write_question(w, r);
    write_axes(w, r);
    bool complete = write_runs_and_arrays(w, r, options);
    write_list(w, "agreement");
    writer_close(w, ']');
    write_list(w, "faithfulness");
    writer_close(w, ']');
    write_checked(w, r);
    write_provenance(w, r, options);
    write_warnings(w, r, NULL);
    writer_close(w, '}');
    return complete;
}

tkr_status tkr_present_json(const tkr_result *result, const tkr_json_options *options, tkr_sink_fn *sink, void *user,
                            tkr_error *error)
{
    if (!result || !sink)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_present_json needs a result and a sink");
    tkr_json_options used = options ? *options : tkr_json_options_defaults();
    out o;
    json_writer w;
    out_init(&o, sink, user);
    writer_init(&w, &o, used.compact);
    bool complete = write_result(&w, result, &used);
    out_text(&o, "\n");
    o.bytes.failed |= !complete;
    return out_finish(&o, error);
}
