/*
 * Tokray's side of bench/peers/explain_peers.py: explanations in a warm process, timed on request, so that its turns can alternate
 * with those of other libraries in one run.
 *
 *     explain_server [--threads N] MODEL
 *
 * MODEL: a bundled name, a folder, or "distilbert": a random model of that size, whose folder goes at the end.  Says
 * "folder PATH" (of a model that was given: the same again), then takes lines from standard input:
 *     ids 101,2,...     the input as token ids          (no answer)
 *     text TEXT         the input as text               (no answer)
 *     output TEXT       the output that is explained    (no answer)
 *     target SPEC, measure NAME, methods LIST           (no answer)
 *     time SECONDS      answers "seconds X": median of the explanations within about that time, at least one
 */
#include <string.h>
#include <tokray/tokray.h>

#include "base/clock.h"
#include "base/number.h"
#include "bench/report.h"
#include "bench/sized.h"

enum { LINE_ROOM = 8192, IDS_MOST = 512 };
static const char PROGRAM[] = "explain_server";

typedef struct server {
    sized made; /* its folder is empty when the model was given */
    tkr_model *model;
    tkr_session *session;
    tkr_question question;
    char text[LINE_ROOM], output[LINE_ROOM], target[LINE_ROOM], measure[LINE_ROOM], methods[LINE_ROOM];
    int32_t ids[IDS_MOST];
} server;

static void start(server *s, const char *name, int threads)
{
    tkr_error error = {0};
    s->question = tkr_question_defaults();
    s->question.features = "tokens";
    if (strcmp(name, "distilbert") == 0) {
        sized_open(&s->made, PROGRAM, name, threads);
        s->model = s->made.model;
        s->session = s->made.session;
        return;
    }
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    s->model = tkr_model_open(name, NULL, &error);
    s->session = s->model ? tkr_session_new(s->model, &options, &error) : NULL;
    if (!s->session)
        report_stop(PROGRAM, name, &error);
}

static void stop(server *s)
{
    if (*s->made.folder) {
        sized_close(&s->made);
        return;
    }
    tkr_session_free(s->session);
    tkr_model_close(s->model);
}

static void take_ids(server *s, char *list)
{
    size_t count = 0;
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        int64_t value;
        if (count == IDS_MOST || !number_parse_int(view_of(word), &value) || value < 0 || value > INT32_MAX)
            report_stop(PROGRAM, "ids are numbers with commas, at most 512 of them", NULL);
        s->ids[count++] = (int32_t)value;
    }
    s->question.text = NULL;
    s->question.ids = s->ids;
    s->question.id_count = count;
}

static void take_text(server *s, const char *text)
{
    memcpy(s->text, text, strlen(text) + 1);
    s->question.text = s->text;
    s->question.ids = NULL;
    s->question.id_count = 0;
}

static const char *keep(char *room, const char *text)
{
    memcpy(room, text, strlen(text) + 1);
    return room;
}

static void explain(server *s)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(s->session, &s->question, s->methods, &error);
    if (!r)
        report_stop(PROGRAM, s->methods, &error);
    tkr_result_free(r);
}

static void time_explanations(server *s, const char *seconds)
{
    double limit, times[ROUNDS_MOST], begun = clock_seconds(), now = begun;
    size_t count = 0;
    if (!number_parse_real(view_of(seconds), &limit))
        report_stop(PROGRAM, "time takes seconds", NULL);
    while (count == 0 || (count < ROUNDS_MOST && now - begun < limit)) {
        const double begin = now;
        explain(s);
        now = clock_seconds();
        times[count++] = now - begin;
    }
    printf("seconds %.9f\n", report_median(times, count));
    fflush(stdout);
}

static bool takes(char *line, const char *word, char **rest)
{
    const size_t size = strlen(word);
    *rest = line + size;
    return strncmp(line, word, size) == 0;
}

int main(int argc, char **argv)
{
    static server s;
    static char line[LINE_ROOM];
    char *rest;
    report_options options = report_begin(PROGRAM, argc, argv);
    if (!options.operand)
        report_stop(PROGRAM, "which model?", NULL);
    start(&s, options.operand, options.threads);
    printf("folder %s\n", *s.made.folder ? s.made.folder : options.operand);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (takes(line, "ids ", &rest))
            take_ids(&s, rest);
        else if (takes(line, "text ", &rest))
            take_text(&s, rest);
        else if (takes(line, "output ", &rest))
            s.question.output_text = keep(s.output, rest);
        else if (takes(line, "target ", &rest))
            s.question.target = keep(s.target, rest);
        else if (takes(line, "measure ", &rest))
            s.question.measure = keep(s.measure, rest);
        else if (takes(line, "methods ", &rest))
            keep(s.methods, rest);
        else if (takes(line, "time ", &rest))
            time_explanations(&s, rest);
        else
            report_stop(PROGRAM, line, NULL);
    }
    stop(&s);
    return report_end(&options);
}
