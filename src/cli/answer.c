/* Showing a result; see answer.h. */
#include "cli/answer.h"

#include <inttypes.h>
#include <string.h>

#include "cli/complaint.h"
#include "cli/report.h"

static void set_budget(tkr_session_options *o, const arguments *a)
{
    uint64_t number = arguments_number(a, OPTION_BUDGET, 0);
    const char *text = arguments_text(a, OPTION_BUDGET, "");
    if (strchr(text, 's'))
        o->budget_seconds = (double)number / 1e6;
    else
        o->budget_evaluations = number;
}

tkr_session_options answer_session_options(cli *c)
{
    tkr_session_options o = tkr_session_options_defaults();
    o.threads = (int)arguments_number(&c->args, OPTION_THREADS, 0);
    o.memory_bytes = arguments_number(&c->args, OPTION_MEMORY, 0);
    o.seed = arguments_number(&c->args, OPTION_SEED, 0);
    set_budget(&o, &c->args);
    o.wanted_error = (double)arguments_number(&c->args, OPTION_WANTED_ERROR, 0) / 1e9;
    o.progress = progress_tell;
    o.progress_user = &c->progress;
    return o;
}

static tkr_terminal_options terminal_options(const cli *c, answer_look look)
{
    const arguments *a = &c->args;
    tkr_terminal_options o = tkr_terminal_options_defaults();
    o.width = c->around.width;
    o.color = c->around.color;
    o.style = (tkr_style)arguments_number(a, OPTION_STYLE, TKR_STYLE_AUTO); /* the choices are in the order of the enum */
    o.is_light = c->around.is_light;
    o.ascii = c->around.ascii;
    o.is_brief = look.is_brief || c->quiet || !c->around.out_terminal;
    o.full_table = arguments_is(a, OPTION_TABLE, "full");
    o.special = (tkr_special_view)arguments_number(a, OPTION_SPECIAL, TKR_SPECIAL_FOLD); /* likewise */
    o.top = (size_t)arguments_number(a, OPTION_TOP, look.rows);
    return o;
}

tkr_status answer_show(cli *c, const tkr_result *result, answer_look look)
{
    tkr_terminal_options options = terminal_options(c, look);
    if (c->silent)
        return TKR_OK;
    tkr_status status = tkr_present_terminal(result, &options, stream_sink, &c->out, &c->error);
    stream_flush(&c->out);
    return status;
}

tkr_status answer_warn(cli *c, const tkr_result *result)
{
    tkr_warning warning;
    bool is_strict = arguments_has(&c->args, OPTION_STRICT);
    size_t count = 0;
    stream_flush(&c->out); /* no message into a pager */
    for (; tkr_result_warning(result, count, &warning); count++)
        report_warning(c, &warning, is_strict && count == 0);
    if (!is_strict || count == 0)
        return TKR_OK;
    c->error.code = TKR_E_NUM_WARNING; /* the warning said it: no further message */
    return c->error.code;
}

void answer_costs(cli *c, const tkr_result *result, double seconds)
{
    tkr_run_facts run;
    for (size_t i = 0; tkr_result_run(result, i, &run); i++)
        report_note(c, "%s: %" PRIu64 " evaluations, %" PRIu64 " forward, %" PRIu64 " backward, %.3f s", run.id, run.evaluations,
                    run.forward, run.backward, run.seconds);
    report_note(c, "%.3f s in all, %.1f MB of memory at most", seconds, (double)tkr_memory_peak() / 1e6);
}
