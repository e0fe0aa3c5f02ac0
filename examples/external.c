/*
 * Explaining a model that Tokray does not load: any function that scores texts.  This one counts words that praise and words that
 * blame; yours may call a service, another library, or a model of another kind.
 *
 *     cc external.c $(pkg-config --cflags --libs tokray) -o external && ./external
 */
#include <stdio.h>
#include <string.h>
#include <tokray/tokray.h>

static const char *const praise[] = {"superb", "fine", "touching"}, *const blame[] = {"thin", "dull", "loud"};

static float count(const char *text, const char *const words[3])
{
    float found = 0;
    for (int i = 0; i < 3; i++)
        for (const char *at = strstr(text, words[i]); at; at = strstr(at + 1, words[i]))
            found += 1;
    return found;
}

/* One row a text, one number a label.  A scorer that fails fills error and returns its code. */
static tkr_status score(void *user, const char *const *texts, size_t n, float *scores, tkr_error *error)
{
    (void)user;
    (void)error;
    for (size_t i = 0; i < n; i++) {
        scores[2 * i] = count(texts[i], blame);
        scores[2 * i + 1] = count(texts[i], praise);
    }
    return TKR_OK;
}

int main(int argc, char **argv)
{
    static const char *const labels[] = {"blame", "praise"};
    tkr_error error = {0};
    tkr_model *model = tkr_model_from_scorer(score, NULL, labels, 2, &error);
    tkr_session *session = model ? tkr_session_new(model, NULL, &error) : NULL;

    tkr_question question = tkr_question_defaults();
    question.text = argc > 1 ? argv[1] : "The plot is thin, but the acting is superb and the end touching.";
    question.target = "label:praise~label:blame"; /* what speaks for the one rather than the other */

    tkr_result *result = session ? tkr_explain(session, &question, "occlusion", &error) : NULL;
    if (!result) {
        fprintf(stderr, "%s\n", error.message);
    } else {
        const tkr_array *scores = tkr_result_array(result, "occlusion.scores");
        const tkr_axis *words = tkr_array_axis(scores, 1);
        for (size_t i = 0; i < tkr_axis_size(words); i++)
            printf("%-12s %+.1f\n", tkr_axis_label(words, i), (double)tkr_array_f32(scores)[i]);
    }
    int failed = result == NULL;
    tkr_result_free(result);
    tkr_session_free(session);
    tkr_model_close(model);
    return failed;
}
