/*
 * A scorer for --external that behaves as told: scorer_child MODE [ARGUMENT].  The score of a text is the number of its words
 * "good" less that of its words "bad"; the labels are "up" and "down", its negative.
 *
 * The mode says what it does at request ARGUMENT (from 1; default 1), counted from its own start; before that it is good.
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_ROOM = 1 << 20, FLOOD = 100 << 20, CHATTER = 3 << 20 };

static int count_word(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        count++;
    return count;
}

static void say(const char *line)
{
    fputs(line, stdout);
    fputc('\n', stdout);
    fflush(stdout);
}

static void answer(const json_t *request, size_t rows_left_out, size_t numbers_left_out, int id_off)
{
    json_t *rows = json_array(), *root = json_object();
    const json_t *texts = json_object_get(request, "texts");
    for (size_t i = 0; i + rows_left_out < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        double score = count_word(text, "good") - count_word(text, "bad");
        json_t *row = json_array();
        json_array_append_new(row, json_real(score));
        if (!numbers_left_out)
            json_array_append_new(row, json_real(-score));
        json_array_append_new(rows, row);
    }
    json_object_set_new(root, "id", json_integer(json_integer_value(json_object_get(request, "id")) + id_off));
    json_object_set_new(root, "scores", rows);
    char *line = json_dumps(root, JSON_COMPACT);
    say(line);
    free(line);
    json_decref(root);
}

static void wait_long(void)
{
    for (;;)
        pause();
}

static void flood(FILE *stream, size_t bytes, const char *piece)
{
    for (size_t sent = 0; sent < bytes; sent += strlen(piece))
        fputs(piece, stream);
    fflush(stream);
}

/* What is wrong at this request; false: nothing, it is to be answered. */
static int misbehave(const char *mode, const json_t *request)
{
    if (!strcmp(mode, "exit")) {
        fputs("Traceback:\n  out of ideas \x1b[31m\n", stderr);
        _exit(1);
    }
    if (!strcmp(mode, "signal"))
        raise(SIGKILL);
    else if (!strcmp(mode, "text"))
        say("I think it is good.");
    else if (!strcmp(mode, "nan"))
        say("{\"id\":1,\"scores\":[[NaN,0]]}");
    else if (!strcmp(mode, "huge"))
        say("{\"id\":1,\"scores\":[[1e300,0]]}");
    else if (!strcmp(mode, "string"))
        say("{\"id\":1,\"scores\":[[\"high\",0]]}");
    else if (!strcmp(mode, "flat"))
        say("{\"id\":1,\"scores\":[1]}");
    else if (!strcmp(mode, "list"))
        say("[1,2]");
    else if (!strcmp(mode, "no-scores"))
        say("{\"id\":1}");
    else if (!strcmp(mode, "error"))
        say("{\"id\":1,\"error\":\"the vectorizer is not fitted\"}");
    else if (!strcmp(mode, "id"))
        answer(request, 0, 0, 6);
    else if (!strcmp(mode, "rows"))
        answer(request, 1, 0, 0);
    else if (!strcmp(mode, "numbers"))
        answer(request, 0, 1, 0);
    else if (!strcmp(mode, "flood"))
        flood(stdout, FLOOD, "0123456789012345678901234567890123456789012345678901234567890123");
    else if (!strcmp(mode, "silent"))
        wait_long();
    else if (!strcmp(mode, "deaf")) {
        close(STDIN_FILENO);
        wait_long();
    } else if (!strcmp(mode, "mute")) {
        close(STDOUT_FILENO);
        wait_long();
    } else {
        return 0;
    }
    return 1;
}

/* Modes of the beginning. */
static void begin(const char *mode, const char *argument)
{
    if (!strcmp(mode, "stubborn")) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
    }
    if (!strcmp(mode, "stubborn") || !strcmp(mode, "pid")) {
        FILE *file = fopen(argument, "w");
        fprintf(file, "%ld", (long)getpid());
        fclose(file);
    }
    if (!strcmp(mode, "at-once")) {
        fputs("no licence\n", stderr);
        _exit(3);
    }
    if (!strcmp(mode, "late"))
        wait_long();
    if (!strcmp(mode, "other-labels") && access(argument, F_OK) == 0)
        say("{\"labels\":[\"left\",\"right\"]}");
    else if (!strcmp(mode, "one-label"))
        say("{\"labels\":\"up\"}");
    else
        say("{\"labels\":[\"up\",\"down\"]}");
    if (!strcmp(mode, "closes")) {
        close(STDIN_FILENO);
        wait_long();
    }
}

int main(int argc, char **argv)
{
    static char line[LINE_ROOM];
    const char *mode = argc > 1 ? argv[1] : "good", *argument = argc > 2 ? argv[2] : "1";
    begin(mode, argument);
    for (int number = 1; fgets(line, sizeof line, stdin); number++) {
        json_t *request = json_loads(line, 0, NULL);
        if (!strcmp(mode, "chatty"))
            flood(stderr, CHATTER, "warning: I say a lot while I work, and nobody asked\n");
        if (number != atoi(argument) || !misbehave(mode, request))
            answer(request, 0, 0, 0);
        if (!strcmp(mode, "one-shot") || (!strcmp(mode, "dies-after") && number == atoi(argument)))
            _exit(7);
        if (!strcmp(mode, "other-labels")) {
            fclose(fopen(argument, "w"));
            _exit(0);
        }
        json_decref(request);
    }
    if (!strcmp(mode, "stubborn"))
        wait_long();
    return 0;
}
