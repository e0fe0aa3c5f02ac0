/* tokray doctor: what this build, machine and terminal can do; a block for bug reports. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/columns_table.h"

static const char *color_name(tkr_color color)
{
    static const char *const names[] = {"none", "16 colours", "256 colours", "24 bit"};
    return names[color];
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : "not set";
}

static void add(columns_table *t, const char *name, const char *value)
{
    columns_table_add(t, name);
    columns_table_add(t, value);
}

static void add_terminal(cli *c, columns_table *t)
{
    background_ask(&c->background, &c->around, &c->args);
    background_finish(&c->background, &c->around);
    columns_table_add(t, "terminal");
    columns_table_format(t, "%s, %d columns, %s, %s theme (%s), TERM %s, COLORTERM %s", c->around.out_terminal ? "yes" : "no",
                         c->around.width, color_name(c->around.color), c->around.is_light ? "light" : "dark", c->around.theme_from,
                         variable("TERM"), variable("COLORTERM"));
    add(t, "characters", c->around.ascii ? "ASCII" : "UTF-8");
    add(t, "settings", c->args.config_path ? c->args.config_path : "no file");
}

/* Each bundled model is opened; a failure is shown, not returned: the block must be complete. */
static void add_models(columns_table *t)
{
    tkr_error error = {0};
    tkr_model_list *list = tkr_model_list_new(&error);
    tkr_model_entry entry;
    size_t good = 0;
    for (size_t i = 0; list && tkr_model_list_entry(list, i, &entry); i++) {
        if (strcmp(entry.source, "bundled") != 0)
            continue;
        tkr_error why = {0};
        tkr_model *model = tkr_model_open(entry.name, NULL, &why);
        columns_table_add(t, "model");
        columns_table_format(t, "%s: %s", entry.name, model ? "ok" : why.message);
        good += model != NULL;
        tkr_model_close(model);
    }
    tkr_model_list_free(list);
    if (good == 0)
        add(t, "model", "no bundled model found");
}

tkr_status doctor_command(cli *c)
{
    columns_table t;
    tkr_status status = cli_operands_most(c, 0);
    if (status)
        return status;
    columns_table_init(&t, 2, 0);
    add(&t, "version", tkr_version());
    add(&t, "build", tkr_build_info());
    add_terminal(c, &t);
    add_models(&t);
    columns_table_print(&t, &c->out);
    return TKR_OK;
}
