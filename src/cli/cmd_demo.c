/*
 * tokray demo: one example of each task, by the bundled models; computed now, not canned.  Each part is shown as soon as it is
 * there.  With a name, that part alone and in full.
 */
#include <string.h>

#include "cli/answer.h"
#include "cli/complaint.h"
#include "cli/signals.h"
#include "cli/suggest.h"

enum { GUESSES = 5, DEMO_ROWS = 3 };

typedef struct part {
    const char *name, *title, *model, *text, *target;
    bool has_guesses; /* the likeliest answers are worth a line */
} part;

static const part parts[] = {
    {"class", "classification", "tiny-distilbert-sentiment", "A boring start, but a superb and moving finish.", NULL, false},
    {"mask", "a masked word", "tiny-bert-mlm", "Once upon a time, there was a little [MASK] named Lily.", NULL, true},
    {"next", "the next token", "tiny-gpt2-stories", "Lily was sad because", NULL, true},
    {"date", "text to text, token by token", "tiny-t5-tasks", "date: March 5th, 1999", "all", false},
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

/* girl 0.93 · boy 0.02 · ... */
static void show_guesses(cli *c, const tkr_result *result)
{
    tkr_prediction guess;
    for (size_t i = 0; i < GUESSES && tkr_result_prediction(result, i, &guess); i++) {
        char label[256];
        const char *from = guess.label + strspn(guess.label, " ");
        tkr_escape(label, sizeof label, from, strlen(from));
        stream_format(&c->out, "%s%s %.3f", i == 0 ? "  " : c->around.ascii ? " - " : " · ", label, guess.probability);
    }
    stream_text(&c->out, "\n\n");
}

static tkr_status show_part(cli *c, tkr_session *session, const part *p, bool is_brief)
{
    tkr_question question = tkr_question_defaults();
    question.text = p->text;
    question.target = p->target;
    progress_begin(&c->progress);
    tkr_result *result = tkr_explain(session, &question, NULL, &c->error);
    progress_erase(&c->progress);
    if (!result)
        return c->error.code;
    if (p->has_guesses && !c->silent)
        show_guesses(c, result);
    tkr_status status = answer_show(c, result, (answer_look){.rows = DEMO_ROWS, .is_brief = is_brief});
    if (!status)
        status = answer_warn(c, result);
    tkr_result_free(result);
    return status;
}

static tkr_status run_part(cli *c, const part *p, bool is_brief)
{
    if (!c->silent)
        stream_format(&c->out, "%s: \"%s\" (%s)\n%s", p->title, p->text, p->model, p->has_guesses ? "" : "\n");
    tkr_model *model = cli_open_model(c, p->model, false);
    if (!model)
        return c->error.code;
    background_finish(&c->background, &c->around);
    tkr_session_options options = answer_session_options(c);
    tkr_session *session = tkr_session_new(model, &options, &c->error);
    tkr_status status = session ? show_part(c, session, p, is_brief) : c->error.code;
    tkr_session_free(session);
    tkr_model_close(model);
    return status;
}

/* The part that was asked for; *status tells when there is none of that name. */
static const part *find_part(cli *c, tkr_status *status)
{
    *status = cli_operands_most(c, 1);
    if (*status || cli_operand_count(c) == 0)
        return NULL;
    const char *name = cli_operand(c, 0)->text;
    suggestion near;
    suggest_begin(&near, name);
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (strcmp(parts[i].name, name) == 0)
            return &parts[i];
        suggest_try(&near, parts[i].name);
    }
    complain(&c->error, TKR_E_USAGE_VALUE, "no example %s; class, mask, next or date", SHOWN(name));
    if (near.best)
        complain_help(&c->error, "tokray demo %s", near.best);
    *status = c->error.code;
    return NULL;
}

static void lead_on(cli *c, const part *p)
{
    if (c->quiet)
        return;
    stream_text(&c->out, "\nedit the sentence: tokray explain ");
    if (strcmp(p->model, tkr_default_model()) != 0)
        stream_format(&c->out, "-m %s ", p->model);
    if (p->target)
        stream_format(&c->out, "-t %s ", p->target);
    stream_format(&c->out, "\"%s\"\n", p->text);
}

tkr_status demo_command(cli *c)
{
    tkr_status status;
    const part *only = find_part(c, &status);
    if (status)
        return status;
    background_ask(&c->background, &c->around, &c->args);
    for (size_t i = 0; !status && i < PART_COUNT; i++) {
        if (only && only != &parts[i])
            continue;
        if (i > 0 && !only && !c->silent)
            stream_text(&c->out, "\n");
        status = run_part(c, &parts[i], !only && i > 0);
        if (!status && signals_received())
            status = complain(&c->error, TKR_E_CANCELLED, "stopped");
    }
    if (!status)
        lead_on(c, only ? only : &parts[0]);
    return status;
}
