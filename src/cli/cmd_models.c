/* tokray models: list, info NAME, check DIR, families. */
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

enum { LABELS_SHOWN = 20 };

static void put_bytes(columns_table *t, const char *name, const char *what, uint64_t bytes)
{
    double kibibytes = (double)bytes / 1024;
    columns_table_add(t, name);
    if (kibibytes < 1024)
        columns_table_format(t, "%.0f KiB %s", kibibytes, what);
    else
        columns_table_format(t, "%.1f MiB %s", kibibytes / 1024, what);
}

static void put_abilities(columns_table *t, const tkr_model *model)
{
    for (size_t i = 0; tkr_model_ability(model, i); i++)
        put_fact(t, i ? "" : "can do", tkr_model_ability(model, i));
    put_fact(t, tkr_model_ability(model, 0) ? "" : "can do", "hidden states");
}

static void put_labels(cli *c, const tkr_model *model)
{
    stream_text(&c->out, "  labels: ");
    for (size_t i = 0; tkr_model_label(model, i); i++) {
        if (i == LABELS_SHOWN && !c->verbose) {
            stream_text(&c->out, ", …");
            break;
        }
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
    put_bytes(&t, "memory", "for packed weights to run it", f.pack_bytes);
    put_abilities(&t, model);
    put_fact(&t, "sha256", f.weights_sha256);
    columns_table_print(&t, &c->out);
    if (f.labels > 0)
        put_labels(c, model);
}

static tkr_status describe(cli *c, const char *name)
{
    tkr_model *model = cli_open_model(c, name, false);
    if (!model)
        return c->error.code;
    show_facts(c, model);
    tkr_model_close(model);
    return TKR_OK;
}

/* ---- check ------------------------------------------------------------------------------------------------------ */

static void put_finding(columns_table *t, const tkr_finding *f)
{
    static const char *const titles[] = {
        [TKR_FINDING_TOKENIZER] = "tokenizer",       [TKR_FINDING_TASK] = "task",
        [TKR_FINDING_MISSING] = "missing tensor",    [TKR_FINDING_SHAPE] = "wrong shape",
        [TKR_FINDING_DTYPE] = "unsupported type",    [TKR_FINDING_UNUSED] = "unused tensor",
        [TKR_FINDING_IGNORED] = "ignored tensor",    [TKR_FINDING_NOTE] = "note",
    };
    columns_table_add(t, titles[f->kind]);
    if (f->kind == TKR_FINDING_TASK)
        columns_table_format(t, f->detail[0] ? "%s: no, it lacks %s" : "%s: yes", f->name, f->detail);
    else
        columns_table_format(t, "%s%s%s", f->name, f->name[0] && f->detail[0] ? " " : "", f->detail);
}

static tkr_status check(cli *c, const char *name)
{
    tkr_model_options options = cli_model_options(c, false);
    tkr_model_report *report = tkr_model_check(name, &options, &c->error);
    if (!report)
        return c->error.code;
    const tkr_error *why = tkr_model_report_error(report);
    tkr_finding finding;
    columns_table t;
    stream_text(&c->out, why ? "not usable: " : "ok: ");
    stream_safe(&c->out, name, strlen(name));
    stream_text(&c->out, why ? "\n" : " can be explained, all numbers are finite\n");
    columns_table_init(&t, 2, 0);
    for (size_t i = 0; tkr_model_report_finding(report, i, &finding); i++)
        put_finding(&t, &finding);
    columns_table_print(&t, &c->out);
    if (why)
        c->error = *why;
    tkr_model_report_free(report);
    return c->error.code;
}

/* ---- families --------------------------------------------------------------------------------------------------- */

static void put_names(cli *c, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        stream_format(&c->out, "%s%s", i ? ", " : "", names[i]);
    stream_text(&c->out, "\n");
}

/* docs/models.md is made of this: tools/models-page. */
static tkr_status list_families(cli *c)
{
    tkr_family_facts family;
    tkr_head_facts head;
    for (size_t i = 0; tkr_family_describe(i, &family); i++) {
        stream_format(&c->out, "%s: ", family.title);
        put_names(c, family.model_types);
        for (size_t j = 0; tkr_family_head(i, j, &head); j++) {
            stream_format(&c->out, "  %s: ", head.title);
            put_names(c, head.architectures);
        }
    }
    return TKR_OK;
}

static tkr_status no_action(cli *c, const char *action)
{
    static const char *const actions[] = {"list", "info", "check", "families"};
    suggestion near;
    suggest_begin(&near, action);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        suggest_try(&near, actions[i]);
    complain(&c->error, TKR_E_USAGE_COMMAND, "no command \"models %s\"", action);
    complain_help(&c->error, near.best ? "tokray models %s" : "tokray models list, tokray models info NAME, tokray models check DIR, tokray models families",
                  near.best);
    return c->error.code;
}

tkr_status models_command(cli *c)
{
    size_t count = cli_operand_count(c);
    const char *action = count > 0 ? cli_operand(c, 0)->text : "list";
    bool is_list = strcmp(action, "list") == 0, is_info = strcmp(action, "info") == 0, is_check = strcmp(action, "check") == 0;
    bool is_families = strcmp(action, "families") == 0;
    if (!is_list && !is_info && !is_check && !is_families)
        return no_action(c, action);
    tkr_status status = cli_operands_most(c, is_list || is_families ? 1 : 2);
    if (status)
        return status;
    if (is_list)
        return list_models(c);
    if (is_families)
        return list_families(c);
    if (count < 2 && is_check)
        return complain(&c->error, TKR_E_USAGE_VALUE, "tokray models check needs a folder");
    return is_check ? check(c, cli_operand(c, 1)->text) : describe(c, count > 1 ? cli_operand(c, 1)->text : tkr_default_model());
}
