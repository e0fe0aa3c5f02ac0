/*
 * Settings that are not typed: the configuration file ($TOKRAY_CONFIG, else $XDG_CONFIG_HOME/tokray/config, else
 * ~/.config/tokray/config) and the variables of the options' table.  The file holds one option a line, written as on the command
 * line; # begins a comment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/complaint.h"
#include "cli/heap.h"

enum { CONFIG_MOST = 64 * 1024 };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static char *default_path(void)
{
    const char *base = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
    if (base)
        return heap_format("%s/tokray/config", base);
    return home ? heap_format("%s/.config/tokray/config", home) : NULL;
}

/* The whole file, or NULL: *failure says why (errno; EFBIG when it is too large). */
static char *read_file(const char *path, int *failure)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    char *text = heap_new(CONFIG_MOST + 1, 1);
    size_t size = 0;
    ssize_t got = descriptor < 0 ? -1 : 1;
    while (got > 0 && size < CONFIG_MOST) {
        got = read(descriptor, text + size, CONFIG_MOST - size);
        size += got > 0 ? (size_t)got : 0;
    }
    *failure = got < 0 ? errno : size == CONFIG_MOST ? EFBIG : 0;
    if (descriptor >= 0)
        close(descriptor);
    if (*failure == 0)
        return text;
    heap_free(text);
    return NULL;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]))
        text[--length] = '\0';
    return text;
}

static tkr_status add_line(arguments *a, char *line, int number, tkr_error *error)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return TKR_OK;
    if (line[0] != '-' || line[1] == '\0')
        return complain(error, TKR_E_USAGE_OPTION, "line %d of the configuration file is no option", number);
    char *value = NULL;
    if (!strchr(line, '=') && (value = strpbrk(line, " \t"))) {
        *value++ = '\0';
        value = trim(value);
        size_t length = strlen(value);
        if (length > 1 && value[0] == '"' && value[length - 1] == '"') {
            value[length - 1] = '\0';
            value++;
        }
    }
    bool took_next = false;
    tkr_status status = arguments_add(a, (option_text){line, value, SOURCE_CONFIG, number}, &took_next, error);
    if (!status && value && !took_next)
        status = complain(error, TKR_E_USAGE_VALUE, "%s takes no value", line);
    return status;
}

static tkr_status add_lines(arguments *a, char *text, tkr_error *error)
{
    tkr_status status = TKR_OK;
    int number = 1;
    for (char *line = text; line && !status; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        status = add_line(a, line, number, error);
        line = end ? end + 1 : NULL;
    }
    if (status)
        snprintf(error->facts, sizeof error->facts, "line %d of %.200s", number - 1, a->config_path);
    return status;
}

static tkr_status read_config(arguments *a, tkr_error *error)
{
    const char *asked = variable("TOKRAY_CONFIG");
    char *path = asked ? heap_text(asked, strlen(asked)) : default_path();
    int failure = 0;
    char *text = path ? read_file(path, &failure) : NULL;
    if (text) {
        a->config_path = arguments_own(a, path);
        return add_lines(a, arguments_own(a, text), error);
    }
    tkr_status status = TKR_OK;
    if (asked)
        status = complain(error, TKR_E_INPUT_FILE, "the configuration file %s cannot be read: %s", SHOWN(asked), strerror(failure));
    heap_free(path);
    return status;
}

static tkr_status read_variables(arguments *a, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < OPTION_COUNT; i++) {
        const char *value = option_table[i].variable ? variable(option_table[i].variable) : NULL;
        if (!value)
            continue;
        bool took_next;
        char *name = arguments_own(a, heap_format("--%s", option_table[i].name));
        status = arguments_add(a, (option_text){name, value, SOURCE_VARIABLE, 0}, &took_next, error);
        if (status)
            snprintf(error->facts, sizeof error->facts, "from %s", option_table[i].variable);
    }
    return status;
}

tkr_status arguments_read_settings(arguments *a, tkr_error *error)
{
    tkr_status status = arguments_count(a, OPTION_NO_CONFIG) ? TKR_OK : read_config(a, error);
    return status ? status : read_variables(a, error);
}
