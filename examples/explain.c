/*
 * The smallest useful program: open a model, ask, print, free.
 *
 *     cc explain.c $(pkg-config --cflags --libs tokray) -o explain && ./explain
 */
#include <stdio.h>
#include <tokray/tokray.h>

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "The plot is thin, but the acting is superb.";
    tkr_error error = {0};
    tkr_model *model = tkr_model_open("tiny-distilbert-sentiment", NULL, &error); /* a name or a folder */
    tkr_session *session = model ? tkr_session_new(model, NULL, &error) : NULL;   /* one thread's working memory */

    tkr_question question = tkr_question_defaults();
    question.text = text;
    question.target = "label:POSITIVE";

    tkr_result *result = session ? tkr_explain(session, &question, "ig", &error) : NULL;
    if (!result) {
        fprintf(stderr, "%s\n", error.message); /* one sentence: what, where, expected, found */
    } else {
        const tkr_array *scores = tkr_result_array(result, "ig.scores"); /* TARGETS x FEATURES, borrowed */
        const tkr_axis *words = tkr_array_axis(scores, 1);
        for (size_t i = 0; i < tkr_axis_size(words); i++)
            printf("%-12s %+.3f\n", tkr_axis_label(words, i), (double)tkr_array_f32(scores)[i]);
    }
    int failed = result == NULL;
    tkr_result_free(result);
    tkr_session_free(session);
    tkr_model_close(model);
    return failed;
}
