/* A model in a child process; see scorer_process.h. */
#include "cli/scorer_process.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/child.h"
#include "cli/complaint.h"
#include "cli/heap.h"

enum { LINE_SHOWN = 80 };

struct scorer_process {
    char *command;         /* cut up: the words point into it   */
    char **words;
    char name[SHOWN_ROOM]; /* of the program, for messages      */
    double seconds;
    child child;
    char **labels;
    size_t label_count;
    uint64_t requests;     /* answered                          */
    bool was_started_again;
};

/* ---- the command ---- */

/* Moves one word's bytes to `out`; *at goes behind it.  False: a quote is not closed. */
static bool take_word(const char **at, char **out)
{
    char quote = 0;
    for (; **at && (quote || !strchr(" \t\n", **at)); ++*at) {
        bool escapes = **at == '\\' && quote != '\'' && (*at)[1];
        if (escapes && quote && !strchr("\"\\", (*at)[1]))
            escapes = false; /* between double quotes only those two are special */
        if (escapes)
            *(*out)++ = *++*at;
        else if (quote ? **at == quote : **at == '"' || **at == '\'')
            quote = quote ? 0 : **at;
        else
            *(*out)++ = **at;
    }
    *(*out)++ = '\0';
    return !quote;
}

static tkr_status split(scorer_process *p, const char *command, tkr_error *error)
{
    size_t count = 0;
    p->command = heap_new(strlen(command) + 2, 1);
    p->words = heap_new(strlen(command) / 2 + 2, sizeof *p->words);
    char *out = p->command;
    for (const char *at = command + strspn(command, " \t\n"); *at; at += strspn(at, " \t\n")) {
        p->words[count++] = out;
        if (!take_word(&at, &out))
            return complain(error, TKR_E_USAGE_VALUE, "--external %s: a quote is not closed", SHOWN(command));
    }
    if (count > 0 && p->words[0][0])
        return TKR_OK;
    complain(error, TKR_E_USAGE_VALUE, "--external %s names no program", SHOWN(command));
    complain_help(error, "--external \"python3 scorer.py\"");
    return error->code;
}

/* ---- what goes wrong ---- */

static void show_line(const scorer_process *p, tkr_error *error)
{
    char shown[LINE_SHOWN + 1];
    snprintf(shown, sizeof shown, "%s", p->child.line);
    size_t bad = first_bad_utf8(shown, strlen(shown)); /* not in the middle of a character */
    shown[bad < LINE_SHOWN - 4 ? strlen(shown) : bad] = '\0';
    snprintf(error->facts, sizeof error->facts, "the line begins %.280s", SHOWN(shown));
}

/* How a child that is gone has ended. */
static void describe_end(const scorer_process *p, bool in_order, char room[64])
{
    int status = p->child.status;
    if (!in_order)
        snprintf(room, 64, "closed its output");
    else if (WIFSIGNALED(status))
        snprintf(room, 64, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(room, 64, "ended with status %d", WEXITSTATUS(status));
}

static tkr_status tell_end(scorer_process *p, bool in_order, tkr_error *error)
{
    char how[64], when[64];
    const char *words = child_last_words(&p->child);
    describe_end(p, in_order, how);
    if (!p->labels)
        snprintf(when, sizeof when, "before it wrote its labels");
    else
        snprintf(when, sizeof when, "after %llu request%s", (unsigned long long)p->requests, p->requests == 1 ? "" : "s");
    if (*words)
        complain(error, TKR_E_INPUT_SCORER, "%s %s %s; its last words: %.400s", p->name, how, when, SHOWN(words));
    else
        complain(error, TKR_E_INPUT_SCORER, "%s %s %s", p->name, how, when);
    if (p->was_started_again)
        snprintf(error->facts, sizeof error->facts, "it had been started again once");
    return error->code;
}

static tkr_status tell_late(const scorer_process *p, tkr_error *error)
{
    if (p->labels)
        complain(error, TKR_E_TIME_SCORER, "%s gave no answer to request %llu within %.0f s", p->name,
                 (unsigned long long)p->requests + 1, p->seconds);
    else
        complain(error, TKR_E_TIME_SCORER, "%s wrote no labels within %.0f s", p->name, p->seconds);
    complain_help(error, "--external-timeout %.0f", 2 * p->seconds);
    return error->code;
}

/* Of everything but its end, which may be mended. */
static tkr_status tell_event(scorer_process *p, child_event event, tkr_error *error)
{
    switch (event) {
    case CHILD_LATE: tell_late(p, error); break;
    case CHILD_DEAF:
        complain(error, TKR_E_INPUT_SCORER, "%s closed its input before it answered request %llu", p->name,
                 (unsigned long long)p->requests + 1);
        break;
    case CHILD_TOO_LONG:
        complain(error, TKR_E_INPUT_SCORER, "%s wrote a line of more than %d MiB", p->name, CHILD_LINE_MOST >> 20);
        break;
    case CHILD_STOPPED: complain(error, TKR_E_CANCELLED, "stopped while %s was asked", p->name); break;
    case CHILD_LINE:
    case CHILD_ENDED: break;
    }
    child_end(&p->child, true);
    return error->code;
}

/* ---- labels ---- */

static json_t *parse(const scorer_process *p)
{
    json_error_t ignored;
    return json_loads(p->child.line, JSON_REJECT_DUPLICATES, &ignored);
}

static tkr_status bad_labels(const scorer_process *p, tkr_error *error)
{
    complain(error, TKR_E_INPUT_SCORER, "%s does not begin with a line {\"labels\":[\"...\"]}", p->name);
    show_line(p, error);
    return error->code;
}

/* The labels of the first line; those of a second start must be the same. */
static tkr_status read_labels(scorer_process *p, tkr_error *error)
{
    json_t *root = parse(p), *list = json_object_get(root, "labels");
    size_t count = json_array_size(list);
    bool is_good = count > 0, is_first = !p->labels, is_same = count == p->label_count;
    for (size_t i = 0; i < count; i++) {
        const char *label = json_string_value(json_array_get(list, i));
        is_good = is_good && label;
        is_same = is_same && label && strcmp(label, p->labels[i]) == 0;
    }
    if (!is_good)
        bad_labels(p, error);
    else if (!is_first && !is_same)
        complain(error, TKR_E_INPUT_SCORER, "%s was started again and has other labels now", p->name);
    if (is_good && is_first)
        p->labels = heap_new(count, sizeof *p->labels);
    for (; is_good && is_first && p->label_count < count; p->label_count++) {
        const char *label = json_string_value(json_array_get(list, p->label_count));
        p->labels[p->label_count] = heap_text(label, strlen(label));
    }
    json_decref(root);
    return error->code;
}

static tkr_status start(scorer_process *p, tkr_error *error)
{
    int failure = child_start(&p->child, p->words);
    if (failure)
        return complain(error, TKR_E_INPUT_SCORER, "%s cannot be started: %s", p->name, strerror(failure));
    child_event event = child_ask(&p->child, NULL, 0, p->seconds);
    if (event == CHILD_ENDED)
        return tell_end(p, child_end(&p->child, false), error);
    return event == CHILD_LINE ? read_labels(p, error) : tell_event(p, event, error);
}

scorer_process *scorer_process_open(const char *command, double seconds, tkr_error *error)
{
    scorer_process *p = heap_new(1, sizeof *p);
    p->seconds = seconds;
    p->child = (child){.in = -1, .out = -1, .err = -1};
    tkr_status status = split(p, command, error);
    if (!status) {
        shown_into(p->name, p->words[0]);
        status = start(p, error);
    }
    if (!status)
        return p;
    scorer_process_close(p);
    return NULL;
}

void scorer_process_close(scorer_process *p)
{
    if (!p)
        return;
    child_end(&p->child, false);
    child_fini(&p->child);
    for (size_t i = 0; i < p->label_count; i++)
        heap_free(p->labels[i]);
    heap_free(p->labels);
    heap_free(p->words);
    heap_free(p->command);
    heap_free(p);
}

const char *const *scorer_process_labels(const scorer_process *p, size_t *count)
{
    *count = p->label_count;
    return (const char *const *)p->labels;
}

/* ---- requests ---- */

/* {"id":3,"texts":[...]} and a line break; freed with heap_free; NULL: no memory. */
static char *write_request(uint64_t id, const char *const *texts, size_t count)
{
    json_t *list = json_array(), *root = json_object();
    bool good = list && root;
    for (size_t i = 0; good && i < count; i++)
        good = json_array_append_new(list, json_string(texts[i])) == 0;
    good = good && json_object_set_new(root, "id", json_integer((json_int_t)id)) == 0 && json_object_set(root, "texts", list) == 0;
    char *text = good ? json_dumps(root, JSON_COMPACT) : NULL, *line = text ? heap_format("%s\n", text) : NULL;
    free(text);
    json_decref(list);
    json_decref(root);
    return line;
}

static tkr_status bad_answer(const scorer_process *p, tkr_error *error)
{
    show_line(p, error);
    return error->code;
}

static tkr_status read_row(const scorer_process *p, const json_t *row, uint64_t id, size_t text, float *scores, tkr_error *error)
{
    const unsigned long long number = id;
    if (!json_is_array(row))
        return complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu: row %zu of \"scores\" is no list of numbers", p->name, number, text);
    if (json_array_size(row) != p->label_count)
        return complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu has %zu numbers; %zu were asked for: one a label, of text %zu",
                        p->name, number, json_array_size(row), p->label_count, text);
    for (size_t i = 0; i < p->label_count; i++) {
        const json_t *value = json_array_get(row, i);
        double score = json_number_value(value);
        if (!json_is_number(value) || !(fabs(score) <= (double)FLT_MAX))
            return complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu, text %zu: the score of %.200s is no number of this size", p->name,
                            number, text, SHOWN(p->labels[i]));
        scores[i] = (float)score;
    }
    return TKR_OK;
}

static tkr_status read_object(const scorer_process *p, const json_t *root, uint64_t id, size_t count, float *scores, tkr_error *error)
{
    const json_t *said = json_object_get(root, "id"), *rows = json_object_get(root, "scores");
    const char *trouble = json_string_value(json_object_get(root, "error"));
    const unsigned long long number = id;
    if (!json_is_integer(said) || (uint64_t)json_integer_value(said) != id)
        return complain(error, TKR_E_INPUT_SCORER, "%s: the answer to request %llu has another id", p->name, number);
    if (trouble)
        return complain(error, TKR_E_INPUT_SCORER, "%s: request %llu: %.400s", p->name, number, SHOWN(trouble));
    if (!json_is_array(rows))
        return complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu has no list \"scores\"", p->name, number);
    if (json_array_size(rows) != count)
        return complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu has %zu rows; %zu were asked for: one a text", p->name, number,
                        json_array_size(rows), count);
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = read_row(p, json_array_get(rows, i), id, i, scores + i * p->label_count, error);
    return status;
}

static tkr_status read_answer(scorer_process *p, uint64_t id, size_t count, float *scores, tkr_error *error)
{
    json_t *root = parse(p);
    if (!json_is_object(root)) {
        complain(error, TKR_E_INPUT_SCORER, "%s: answer %llu is no JSON object", p->name, (unsigned long long)id);
        if (strstr(p->child.line, "NaN") || strstr(p->child.line, "Infinity"))
            complain_help(error, "JSON has no NaN and no Infinity: scores are finite numbers");
    } else {
        read_object(p, root, id, count, scores, error);
    }
    json_decref(root);
    if (error->code) {
        child_end(&p->child, true);
        return bad_answer(p, error);
    }
    p->requests++;
    return TKR_OK;
}

tkr_status scorer_process_score(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    scorer_process *p = user;
    uint64_t id = p->requests + 1;
    char *line = write_request(id, texts, count);
    if (!line)
        return complain(error, TKR_E_LIMIT_OOM, "no memory for a request of %zu texts", count);
    child_event event = p->child.id ? child_ask(&p->child, line, strlen(line), p->seconds) : CHILD_ENDED;
    bool in_order = event == CHILD_ENDED && child_end(&p->child, false);
    if (event == CHILD_ENDED && p->requests > 0 && !p->was_started_again) {
        child_fini(&p->child);
        p->was_started_again = true;
        if (start(p, error) == TKR_OK) {
            event = child_ask(&p->child, line, strlen(line), p->seconds);
            in_order = event == CHILD_ENDED && child_end(&p->child, false);
        }
    }
    heap_free(line);
    if (error->code)
        return error->code;
    if (event == CHILD_ENDED)
        return tell_end(p, in_order, error);
    return event == CHILD_LINE ? read_answer(p, id, count, scores, error) : tell_event(p, event, error);
}
