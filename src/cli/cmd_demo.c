/*
 * tokray demo: a sentence judged by one bundled model, a mask filled by another; computed now, not canned.  Each part is shown
 * as soon as it is there.
 */
#include <string.h>

#include "cli/answer.h"
#include "cli/complaint.h"
#include "cli/signals.h"

enum { GUESSES = 5, DEMO_ROWS = 3 };

static const char SENTENCE[] = "A boring start, but a superb and moving finish.";
static const char MASKED[] = "Once upon a time, there was a little [MASK] named Lily.";

/* girl 0.93 · boy 0.02 · ... */
static void show_guesses(cli *c, const tkr_result *result)
{
    tkr_prediction guess;
    for (size_t i = 0; i < GUESSES && tkr_result_prediction(result, i, &guess); i++) {
        char label[256];
        tkr_escape(label, sizeof label, guess.label, strlen(guess.label));
        stream_format(&c->out, "%s%s %.3f", i == 0 ? "  " : c->around.ascii ? " - " : " · ", label, guess.probability);
    }
    stream_text(&c->out, "\n\n");
}

static tkr_status show_part(cli *c, tkr_session *session, const char *text, bool with_guesses)
{
    tkr_question question = tkr_question_defaults();
    question.text = text;
    progress_begin(&c->progress);
    tkr_result *result = tkr_explain(session, &question, NULL, &c->error);
    progress_erase(&c->progress);
    if (!result)
        return c->error.code;
    if (with_guesses && !c->silent)
        show_guesses(c, result);
    tkr_status status = answer_show(c, result, DEMO_ROWS);
    if (!status)
        status = answer_warn(c, result);
    tkr_result_free(result);
    return status;
}

static tkr_status run_part(cli *c, const char *name, const char *text, bool with_guesses)
{
    if (!c->silent)
        stream_format(&c->out, "%s\"%s\" (%s)\n%s", with_guesses ? "\n" : "", text, name, with_guesses ? "" : "\n");
    tkr_model *model = cli_open_model(c, name, false);
    if (!model)
        return c->error.code;
    background_finish(&c->background, &c->around);
    tkr_session_options options = answer_session_options(c);
    tkr_session *session = tkr_session_new(model, &options, &c->error);
    tkr_status status = session ? show_part(c, session, text, with_guesses) : c->error.code;
    tkr_session_free(session);
    tkr_model_close(model);
    return status;
}

tkr_status demo_command(cli *c)
{
    tkr_status status = cli_operands_most(c, 0);
    if (status)
        return status;
    background_ask(&c->background, &c->around, &c->args);
    status = run_part(c, tkr_default_model(), SENTENCE, false);
    if (!status && signals_received())
        status = complain(&c->error, TKR_E_CANCELLED, "stopped");
    if (!status)
        status = run_part(c, "tiny-bert-mlm", MASKED, true);
    if (!status && !c->quiet)
        stream_format(&c->out, "\nedit the sentence: tokray explain \"%s\"\n", SENTENCE);
    return status;
}
