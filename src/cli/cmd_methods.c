/* tokray methods: the library's table of methods, or one of them in full. */
#include <string.h>

#include "cli/cli.h"
#include "cli/columns_table.h"
#include "cli/complaint.h"
#include "cli/suggest.h"

static void list_methods(cli *c)
{
    columns_table t;
    columns_table_init(&t, 7, 0);
    static const char *const heads[] = {"method", "family", "needs", "sign", "adds up", "cost", "what it says"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        columns_table_add(&t, heads[i]);
    const tkr_method *m;
    for (size_t i = 0; (m = tkr_method_at(i)); i++) {
        columns_table_add(&t, m->id);
        columns_table_add(&t, m->family);
        columns_table_add(&t, m->needs);
        columns_table_add(&t, m->is_signed ? "yes" : "no");
        columns_table_add(&t, m->is_additive ? "yes" : "no");
        columns_table_add(&t, m->cost);
        columns_table_add(&t, m->summary);
    }
    columns_table_print(&t, &c->out);
    stream_text(&c->out, "\n  n: number of features. tokray methods NAME shows parameters.\n");
}

static void show_fact(cli *c, const char *name, const char *value)
{
    if (value && *value)
        stream_format(&c->out, "  %-10s%s\n", name, value);
}

static void show_parameters(cli *c, const tkr_method *m)
{
    columns_table t;
    columns_table_init(&t, 4, 0);
    for (const tkr_parameter *p = m->parameters; p && p->name; p++) {
        columns_table_add(&t, p->name);
        columns_table_add(&t, p->default_value);
        columns_table_add(&t, p->range);
        columns_table_add(&t, p->help);
    }
    if (t.count == 0) {
        stream_text(&c->out, "\nno parameters\n");
        return;
    }
    stream_text(&c->out, "\nparameters: name, default, range\n");
    columns_table_print(&t, &c->out);
    stream_format(&c->out, "\n  -M %s:%s=%s\n", m->id, m->parameters[0].name, m->parameters[0].default_value);
}

static void show_method(cli *c, const tkr_method *m)
{
    stream_format(&c->out, "%s: %s\n\n  %s\n\n", m->id, m->title, m->summary);
    show_fact(c, "family", m->family);
    show_fact(c, "paper", m->paper);
    show_fact(c, "needs", m->needs);
    show_fact(c, "cost", m->cost);
    show_fact(c, "sign", m->is_signed ? "yes: towards and away from the target" : "no: says how much, not in which direction");
    show_fact(c, "adds up", m->is_additive ? "yes: to f(input) - f(baseline)" : "no");
    show_fact(c, "caveat", m->caveat);
    if (m->aliases && m->aliases[0]) {
        stream_text(&c->out, "  aliases   ");
        for (size_t i = 0; m->aliases[i]; i++)
            stream_format(&c->out, "%s%s", i ? ", " : "", m->aliases[i]);
        stream_text(&c->out, "\n");
    }
    show_parameters(c, m);
}

static tkr_status no_method(cli *c, const char *name)
{
    suggestion near;
    size_t count = 0;
    suggest_begin(&near, name);
    for (const tkr_method *m; (m = tkr_method_at(count)); count++) {
        suggest_try(&near, m->id);
        for (size_t i = 0; m->aliases && m->aliases[i]; i++)
            suggest_try(&near, m->aliases[i]);
    }
    complain(&c->error, TKR_E_USAGE_METHOD, "no method %s", SHOWN(name));
    if (near.best)
        complain_help(&c->error, "tokray methods %s", near.best);
    else
        complain_help(&c->error, "tokray methods lists all %zu", count);
    return c->error.code;
}

tkr_status methods_command(cli *c)
{
    tkr_status status = cli_operands_most(c, 1);
    if (status)
        return status;
    if (cli_operand_count(c) == 0) {
        list_methods(c);
        return TKR_OK;
    }
    const char *name = cli_operand(c, 0)->text;
    const tkr_method *m = tkr_method_find(name);
    if (!m)
        return no_method(c, name);
    show_method(c, m);
    return TKR_OK;
}
