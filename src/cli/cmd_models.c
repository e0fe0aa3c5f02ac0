/* tokray models: list, info NAME, check DIR. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/columns_table.h"
#include "cli/complaint.h"
#include "cli/suggest.h"

static tkr_status list_models(cli *c)
{
    tkr_model_list *list = tkr_model_list_new(&c->error);
    if (!list)
        return c->error.code;
    columns_table t;
    columns_table_init(&t, 4, 0);
    tkr_model_entry entry;
    size_t count = 0;
    for (; tkr_model_list_entry(list, count, &entry); count++) {
        columns_table_add(&t, entry.name);
        columns_table_add(&t, entry.source);
        columns_table_add(&t, entry.summary[0] ? entry.summary : "not readable or not supported");
        columns_table_add(&t, c->verbose ? entry.path : "");
    }
    columns_table_print(&t, &c->out);
    if (count == 0)
        stream_text(&c->out, "  no models found; -m DIR takes a model's folder\n");
    tkr_model_list_free(list);
    return TKR_OK;
}

static void put_fact(columns_table *t, const char *name, const char *value)
{
    columns_table_add(t, name);
    columns_table_add(t, value);
}

static void put_labels(cli *c, const tkr_model *model)
{
    stream_text(&c->out, "  labels: ");
    for (size_t i = 0; tkr_model_label(model, i); i++) {
        const char *label = tkr_model_label(model, i);
        stream_text(&c->out, i ? ", " : "");
        stream_safe(&c->out, label, strlen(label));
    }
    stream_text(&c->out, "\n");
}

static void show_facts(cli *c, const tkr_model *model)
{
    tkr_model_facts f;
    columns_table t;
    (void)tkr_model_weights_sha256(model); /* asked for, so the facts hold it */
    tkr_model_describe(model, &f);
    columns_table_init(&t, 2, 0);
    put_fact(&t, "name", f.name);
    put_fact(&t, "source", f.source);
    put_fact(&t, "family", f.family_title);
    columns_table_add(&t, "task");
    columns_table_format(&t, "%s%s%s", f.task_name, f.problem[0] ? ", " : "", f.problem);
    columns_table_add(&t, "shape");
    columns_table_format(&t, "%zu layers, hidden %zu, %zu heads, inner %zu", f.layers, f.hidden, f.heads, f.inner);
    columns_table_add(&t, "text");
    columns_table_format(&t, "%zu vocabulary entries, at most %zu tokens (%s)", f.vocab, f.max_tokens, f.tokenizer_file);
    columns_table_add(&t, "weights");
    columns_table_format(&t, "%" PRIu64 " parameters, %" PRIu64 " bytes, %s", f.parameters, f.weight_bytes, f.dtype);
    put_fact(&t, "sha256", f.weights_sha256);
    columns_table_print(&t, &c->out);
    if (f.labels > 0)
        put_labels(c, model);
}

static tkr_status describe(cli *c, const char *name, bool is_check)
{
    tkr_model *model = cli_open_model(c, name, false);
    if (!model)
        return c->error.code;
    if (is_check) {
        tkr_model_facts f;
        tkr_model_describe(model, &f);
        stream_text(&c->out, "ok: ");
        stream_safe(&c->out, name, strlen(name));
        stream_format(&c->out, " can be explained (%s, %s, %" PRIu64 " parameters, all finite)\n", f.family_title, f.task_name,
                      f.parameters);
    } else {
        show_facts(c, model);
    }
    tkr_model_close(model);
    return TKR_OK;
}

static tkr_status no_action(cli *c, const char *action)
{
    static const char *const actions[] = {"list", "info", "check"};
    suggestion near;
    suggest_begin(&near, action);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        suggest_try(&near, actions[i]);
    complain(&c->error, TKR_E_USAGE_COMMAND, "no command \"models %s\"", action);
    complain_help(&c->error, near.best ? "tokray models %s" : "tokray models list, tokray models info NAME, tokray models check DIR",
                  near.best);
    return c->error.code;
}

tkr_status models_command(cli *c)
{
    size_t count = cli_operand_count(c);
    const char *action = count > 0 ? cli_operand(c, 0)->text : "list";
    bool is_list = strcmp(action, "list") == 0, is_info = strcmp(action, "info") == 0, is_check = strcmp(action, "check") == 0;
    if (!is_list && !is_info && !is_check)
        return no_action(c, action);
    tkr_status status = cli_operands_most(c, is_list ? 1 : 2);
    if (status)
        return status;
    if (is_list)
        return list_models(c);
    if (count < 2 && is_check)
        return complain(&c->error, TKR_E_USAGE_VALUE, "tokray models check needs a folder");
    return describe(c, count > 1 ? cli_operand(c, 1)->text : tkr_default_model(), is_check);
}
