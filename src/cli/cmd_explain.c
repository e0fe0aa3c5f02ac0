/*
 * tokray explain: ask, show, save.  The question is only carried to the library; what it means is decided there.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/complaint.h"
#include "cli/events.h"
#include "cli/exports.h"
#include "cli/heap.h"
#include "cli/inputs.h"
#include "cli/report.h"
#include "cli/scorer_process.h"
#include "cli/signals.h"

static const double LONG_RUN_SECONDS = 10;

typedef struct job {
    inputs in;
    exports out;
    tkr_question question;
    char *features, *fixed; /* spans read from files */
    scorer_process *external; /* NULL: a model of files */
    tkr_model *model;
    tkr_session *session;
} job;

/* ---- the question ---- */

/* spans:FILE becomes spans:[[...]]: the library reads no files of its user. */
static tkr_status read_spans(cli *c, option_id which, char **kept, const char **spec)
{
    const use *u = arguments_find(&c->args, which);
    *spec = u ? u->value : NULL;
    if (!u || strncmp(u->value, "spans:", 6) != 0 || u->value[6] == '[' || u->value[6] == '{')
        return TKR_OK;
    size_t bytes = 0;
    char *text = inputs_read_file(c, u->value + 6, &bytes);
    if (!text)
        return c->error.code;
    *spec = *kept = heap_format("spans:%s", text);
    heap_free(text);
    return TKR_OK;
}

static tkr_status make_question(cli *c, job *j)
{
    const arguments *a = &c->args;
    j->question = tkr_question_defaults();
    j->question.target = arguments_text(a, OPTION_TARGET, NULL);
    j->question.measure = arguments_text(a, OPTION_MEASURE, NULL);
    j->question.removal = arguments_text(a, OPTION_REMOVAL, NULL);
    j->question.at = arguments_text(a, OPTION_AT, NULL);
    j->question.pair = arguments_text(a, OPTION_PAIR, NULL);
    j->question.ids = j->in.ids;
    j->question.id_count = j->in.id_count;
    j->question.output_text = arguments_text(a, OPTION_OUTPUT_TEXT, NULL);
    j->question.output_ids = j->in.output_ids;
    j->question.output_id_count = j->in.output_id_count;
    j->question.max_new = (size_t)arguments_number(a, OPTION_MAX_NEW, 0);
    j->question.per_target = arguments_text(a, OPTION_PER_TARGET, NULL);
    j->question.prompt_only = arguments_has(a, OPTION_PROMPT_ONLY);
    if (arguments_is(a, OPTION_TRUNCATE, "end"))
        j->question.truncate = TKR_TRUNCATE_END;
    else if (arguments_is(a, OPTION_TRUNCATE, "start"))
        j->question.truncate = TKR_TRUNCATE_START;
    tkr_status status = read_spans(c, OPTION_FEATURES, &j->features, &j->question.features);
    if (!status)
        status = read_spans(c, OPTION_FIXED, &j->fixed, &j->question.context);
    return status ? status : methods_text_init(&c->methods, a, &c->error);
}

static tkr_status check_exports(cli *c, const job *j)
{
    if (j->out.count == 0 || j->in.count < 2)
        return TKR_OK;
    complain(&c->error, TKR_E_USAGE_CONFLICT, "%s and %zu texts exclude each other: a file holds one explanation",
             j->out.list[0].use->spelled, j->in.count);
    complain_help(&c->error, "one text a call");
    return c->error.code;
}

/* ---- plan ---- */

static void put_bytes(stream *s, const char *name, uint64_t bytes)
{
    if (bytes < 1000000)
        stream_format(s, "%s%.1f kB", name, (double)bytes / 1e3);
    else
        stream_format(s, "%s%.1f MB", name, (double)bytes / 1e6);
}

static tkr_status show_plan(cli *c, const job *j)
{
    tkr_plan plan;
    tkr_model_facts facts;
    tkr_status status = tkr_plan_explain(j->session, &j->question, c->methods.text, &plan, &c->error);
    if (status)
        return status;
    tkr_model_describe(j->model, &facts);
    stream_format(&c->out, "plan: %s on %s, nothing computed\n", c->methods.text ? c->methods.text : j->external ? "occlusion" : "ig", facts.name);
    stream_format(&c->out, "  evaluations   %" PRIu64 "\n", plan.evaluations);
    stream_format(&c->out, "  token rows    %" PRIu64 " forward, %" PRIu64 " backward, %zu at once\n", plan.forward_rows,
                  plan.backward_rows, plan.batch_rows);
    if (j->external)
        stream_text(&c->out, "  work          the external model's own\n");
    else
        stream_format(&c->out, "  work          %.3g GFLOP, about %.2g s\n", plan.gflop, plan.seconds_estimate);
    put_bytes(&c->out, "  memory        ", plan.bytes);
    put_bytes(&c->out, ": activations ", plan.bytes_activations);
    put_bytes(&c->out, ", weights ", plan.bytes_weights);
    put_bytes(&c->out, ", results ", plan.bytes_results);
    stream_text(&c->out, "\n");
    return TKR_OK;
}

/* Dear things announce their price. */
static void announce(cli *c, const job *j)
{
    tkr_plan plan;
    tkr_error ignored = {0};
    if (c->quiet || !c->around.err_terminal || tkr_plan_explain(j->session, &j->question, c->methods.text, &plan, &ignored))
        return;
    if (plan.seconds_estimate > LONG_RUN_SECONDS) {
        stream_format(&c->err, "about %.0f s (%" PRIu64 " evaluations)%sCtrl-C stops\n", plan.seconds_estimate, plan.evaluations,
                      c->around.ascii ? " - " : " · ");
        stream_flush(&c->err);
    }
}

/* ---- answers ---- */

static tkr_status answer(cli *c, job *j, size_t index)
{
    j->question.text = j->in.list[index].text;
    j->question.text_bytes = j->in.list[index].bytes;
    if (arguments_has(&c->args, OPTION_DRY_RUN))
        return show_plan(c, j);
    announce(c, j);
    if (exports_want(&j->out, EXPORT_JSON))
        (void)tkr_model_weights_sha256(j->model); /* a result made after this carries it */
    double begun = seconds_now();
    progress_begin(&c->progress);
    tkr_result *result = tkr_explain(j->session, &j->question, c->methods.text, &c->error);
    progress_erase(&c->progress);
    if (!result)
        return c->error.code;
    if (index > 0 && !c->silent && !j->out.owns_output)
        stream_text(&c->out, "\n");
    tkr_status status = TKR_OK;
    if (!j->out.owns_output)
        status = answer_show(c, result, (answer_look){0});
    if (!status)
        status = exports_write(&j->out, c, result);
    if (!status)
        status = answer_warn(c, result);
    if (!status && c->verbose)
        answer_costs(c, result, seconds_now() - begun);
    if (c->shows_events) {
        event_begin(&c->err, "done");
        event_real(&c->err, "seconds", seconds_now() - begun);
        event_end(&c->err);
    }
    tkr_result_free(result);
    return status;
}

/* --external, unless --model comes from a stronger source; both from one are a conflict. */
static const use *find_external(cli *c)
{
    const use *external = arguments_find(&c->args, OPTION_EXTERNAL), *model = arguments_find(&c->args, OPTION_MODEL);
    const use *task = arguments_find(&c->args, OPTION_TASK), *other = model ? model : task;
    if (external && model && model->source > external->source)
        return NULL;
    if (external && other && other->source == external->source)
        complain(&c->error, TKR_E_USAGE_CONFLICT, "%s and %s exclude each other", external->spelled, other->spelled);
    return external;
}

static tkr_model *open_external(cli *c, job *j, const use *u)
{
    size_t outputs = 0;
    j->external = scorer_process_open(u->value, (double)arguments_number(&c->args, OPTION_EXTERNAL_TIMEOUT, 60), &c->error);
    if (!j->external)
        return NULL;
    const char *const *labels = scorer_process_labels(j->external, &outputs);
    return tkr_model_from_scorer(scorer_process_score, j->external, labels, outputs, &c->error);
}

static tkr_status open_all(cli *c, job *j)
{
    const use *external = find_external(c);
    if (c->error.code)
        return c->error.code;
    background_ask(&c->background, &c->around, &c->args);
    j->model = external ? open_external(c, j, external) : cli_open_model(c, NULL, false);
    if (!j->model) {
        if (!c->error.field[0])
            snprintf(c->error.field, sizeof c->error.field, "%s", external ? "external" : "model");
        return c->error.code;
    }
    if (signals_received())
        return complain(&c->error, TKR_E_CANCELLED, "stopped while the model was opened");
    tkr_session_options options = answer_session_options(c);
    j->session = tkr_session_new(j->model, &options, &c->error);
    return j->session ? TKR_OK : c->error.code;
}

static tkr_status run_job(cli *c, job *j)
{
    tkr_status status = exports_read(&j->out, c);
    if (!status)
        status = inputs_read(&j->in, c);
    if (!status)
        status = make_question(c, j);
    if (!status)
        status = check_exports(c, j);
    if (!status)
        status = exports_open(&j->out, c);
    if (!status)
        status = open_all(c, j);
    if (!status)
        background_finish(&c->background, &c->around);
    for (size_t i = 0; !status && i < j->in.count; i++)
        status = answer(c, j, i);
    return status;
}

/* A next command that fits what was just done. */
static const char *next_step(const cli *c, const job *j)
{
    tkr_model_facts facts;
    tkr_model_describe(j->model, &facts);
    bool puts_out = facts.task == TKR_TASK_NEXT_TOKEN || facts.task == TKR_TASK_SEQUENCE_TO_SEQUENCE;
    if (puts_out && !arguments_has(&c->args, OPTION_TARGET))
        return "add -t all to see what made each token of the output";
    return arguments_has(&c->args, OPTION_METHOD) ? "add -o why.json to keep the numbers"
                                                  : "add -M all to compare methods, -o why.json to keep the numbers";
}

tkr_status explain_command(cli *c)
{
    job j = {0};
    tkr_status status = run_job(c, &j);
    if (!status && j.out.count == 0 && !arguments_has(&c->args, OPTION_DRY_RUN))
        report_hint(c, next_step(c, &j));
    exports_close(&j.out);
    inputs_free(&j.in);
    heap_free(j.features);
    heap_free(j.fixed);
    tkr_session_free(j.session);
    tkr_model_close(j.model);
    scorer_process_close(j.external);
    return status;
}
