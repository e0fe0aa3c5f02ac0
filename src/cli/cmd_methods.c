/* tokray methods: the library's table of methods, or one of them in full. */
#include <string.h>

#include "cli/cli.h"
#include "cli/columns_table.h"
#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/suggest.h"

enum { NAME_COLUMN = 23, FACT_COLUMN = 12, NARROW = 60, WIDTH_MOST = 100 };

static size_t line_width(const cli *c)
{
    size_t width = c->around.width > 0 ? (size_t)c->around.width : 80;
    return width > WIDTH_MOST ? WIDTH_MOST : width;
}

/* For pipes: one line a method. */
static void list_in_lines(cli *c)
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
}

static void list_one(cli *c, const tkr_method *m)
{
    bool is_narrow = line_width(c) < NARROW;
    size_t column = is_narrow ? 4 : NAME_COLUMN, used = 2 + strlen(m->id);
    char *costs = heap_format("%s%s%s", m->cost, m->is_signed ? "; has a sign" : "; no sign", m->is_additive ? "; adds up" : "");
    stream_format(&c->out, "  %s", m->id);
    if (is_narrow || used >= column) {
        stream_text(&c->out, "\n");
        used = 0;
    }
    stream_spaces(&c->out, column - used);
    help_put_wrapped(c, m->summary, column, line_width(c));
    stream_spaces(&c->out, column);
    help_put_wrapped(c, costs, column, line_width(c));
    heap_free(costs);
}

/* For people: family by family, in the order of the table. */
static void list_families(cli *c)
{
    const tkr_method *m, *before;
    for (size_t i = 0; (m = tkr_method_at(i)); i++) {
        bool is_new = true;
        for (size_t k = 0; k < i && (before = tkr_method_at(k)); k++)
            is_new = is_new && strcmp(before->family, m->family) != 0;
        if (!is_new)
            continue;
        stream_format(&c->out, "%s%s (needs %s)\n", i ? "\n" : "", m->family, m->needs);
        const tkr_method *member;
        for (size_t k = i; (member = tkr_method_at(k)); k++)
            if (strcmp(member->family, m->family) == 0)
                list_one(c, member);
    }
}

static void list_methods(cli *c)
{
    if (c->around.out_terminal)
        list_families(c);
    else
        list_in_lines(c);
    stream_text(&c->out, "\n");
    stream_spaces(&c->out, 2);
    help_put_wrapped(c, "n: number of features. tokray methods NAME shows parameters.", 2, line_width(c));
}

static void show_fact(cli *c, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    stream_format(&c->out, "  %-10s", name);
    help_put_wrapped(c, value, FACT_COLUMN, line_width(c));
}

static void show_parameters(cli *c, const tkr_method *m)
{
    const tkr_parameter *p = m->parameters;
    if (!p || !p->name) {
        stream_text(&c->out, "\nno parameters\n");
        return;
    }
    stream_text(&c->out, "\nparameters: name, default, range\n");
    for (; p->name; p++) {
        stream_format(&c->out, "  %s = %s   (%s)\n    ", p->name, p->default_value, p->range);
        help_put_wrapped(c, p->help, 4, line_width(c));
    }
    stream_format(&c->out, "\n  -M %s:%s=%s\n", m->id, m->parameters[0].name, m->parameters[0].default_value);
}

static void show_method(cli *c, const tkr_method *m)
{
    stream_format(&c->out, "%s: %s\n\n  ", m->id, m->title);
    help_put_wrapped(c, m->summary, 2, line_width(c));
    stream_text(&c->out, "\n");
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
