/*
 * Texts and questions of the catalogue (sections F, G, H), through the built program: each refused one ends with its exit code
 * and exactly one error message within two seconds of processor time and shows nothing on standard output; each hostile one
 * that is answered is shown, never obeyed, by every presenter.
 *
 * TOKRAY_PROGRAM names the built program, TOKRAY_MODELS the bundled models, TOKRAY_TEST_DATA the data of the tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/program.h"
#include "support/workplace.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECONDS_ALLOWED 20.0
#else
#define SECONDS_ALLOWED 2.0
#endif

static const char SENTIMENT[] = "tiny-distilbert-sentiment", MASKED[] = "tiny-bert-mlm", WRITES[] = "tiny-gpt2-stories", REWRITES[] = "tiny-t5-tasks";
static const char *const models[] = {"tiny-distilbert-sentiment", "tiny-bert-mlm", "tiny-gpt2-stories", "tiny-t5-tasks"};

/* Methods that remove features; sufficient needs 75 draws to show its share. */
static const char *const removing[] = {"occlusion", "perturb-mask", "perturb-random:draws=2", "exact-shapley", "permutation-shapley", "banzhaf",
                                       "interactions", "kernel-shap", "linear-shap", "lime", "partition-shap", "counterfactual", "sufficient:draws=75"};

/* ---- helpers ---- */

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* Processor time of all children so far: what the machine does besides does not count. */
static double children_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* No byte that a terminal obeys: no control character but the line break (and, in tables, the tab), no bidirectional control. */
static bool is_safe(const char *text, size_t size, bool tabs)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_break = c == '\n' || (tabs && c == '\t') || (c == '\r' && i + 1 < size && text[i + 1] == '\n');
        if ((c < 0x20 && !is_break) || c == 0x7F)
            return false;
        if (c == 0xC2 && i + 1 < size && (unsigned char)text[i + 1] < 0xA0)
            return false;
        if (c == 0xE2 && i + 2 < size && (unsigned char)text[i + 1] == 0x80 && (unsigned char)text[i + 2] >= 0xAA && (unsigned char)text[i + 2] <= 0xAE)
            return false;
    }
    return true;
}

/* One call that is refused: `input`, when it is not NULL, comes through standard input. */
static void refused(int code, const char *message, const char *help, const char *input, size_t bytes, const char *const *args)
{
    run_options o = {.input = input, .input_bytes = bytes};
    double begun = children_seconds();
    run_result r = run_program(args, &o);
    double seconds = children_seconds() - begun;
    if (r.code != code || r.out_size != 0 || count_of(r.err, "error: ") != 1 || !strstr(r.err, message) || !is_safe(r.err, r.err_size, false) ||
        (help && (!strstr(r.err, "  help: ") || !strstr(r.err, help))))
        fail_msg("%s: wanted exit %d with \"%s\" and help \"%s\"; got exit %d, %zu bytes out, and:\n%s", args[0], code, message,
                 help ? help : "", r.code, r.out_size, r.err);
    if (seconds > SECONDS_ALLOWED)
        fail_msg("\"%s\" took %.2f s of processor time", message, seconds);
    run_free(&r);
}

#define REFUSED(code, message, help, ...) refused(code, message, help, NULL, 0, (const char *const[]){"explain", "-q", __VA_ARGS__, NULL})
#define REFUSED_TEXT(code, message, help, input, bytes, ...) \
    refused(code, message, help, input, bytes, (const char *const[]){"explain", "-q", __VA_ARGS__, NULL})

/* Standard output of a call that is answered; it is freed with free(). */
static char *answered_with(const char *input, size_t bytes, const char *const *args)
{
    run_options o = {.input = input, .input_bytes = bytes};
    run_result r = run_program(args, &o);
    bool tabs = false;
    for (size_t i = 0; args[i]; i++)
        tabs |= strcmp(args[i], "--tsv") == 0 || strcmp(args[i], "--csv") == 0;
    if (r.code != 0 || strlen(r.out) != r.out_size || !is_safe(r.out, r.out_size, tabs) || !is_safe(r.err, r.err_size, false))
        fail_msg("exit %d, %zu bytes (%zu before a NUL):\n%s\n%s", r.code, r.out_size, strlen(r.out), r.out, r.err);
    char *out = r.out;
    free(r.err);
    return out;
}

#define ANSWER(...) answered_with(NULL, 0, (const char *const[]){"explain", "-q", __VA_ARGS__, NULL})

static void expect_shown(char *out, const char *part)
{
    if (!strstr(out, part))
        fail_msg("no \"%s\" in:\n%s", part, out);
    free(out);
}

static void test_model(char path[WORK_PATH], const char *name)
{
    const char *data = getenv("TOKRAY_TEST_DATA");
    char folder[WORK_PATH];
    assert_true(work_path(folder, data ? data : "tests/data", "models"));
    assert_true(work_path(path, folder, name));
}

/* ---- H: texts ---- */

static void test_cli_texts__138_bytes_that_are_no_text(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {{"good \xC0 bad", "text: byte 5 (0xC0) is not UTF-8"},
               {"\xED\xA0\x80", "text: byte 0 (0xED) is not UTF-8"},     /* half a surrogate pair */
               {"a\xE0\x80\xAF", "text: byte 1 (0xE0) is not UTF-8"},    /* overlong */
               {"\xF4\x90\x80\x80", "text: byte 0 (0xF4) is not UTF-8"}, /* beyond U+10FFFF */
               {"cut \xF0\x9F\x98", "text: byte 4 (0xF0) is not UTF-8"}};
    (void)state;
    for (size_t m = 0; m < 4; m++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            REFUSED(3, bad[i].message + strlen("text: "), NULL, "-m", models[m], bad[i].text);
            REFUSED_TEXT(3, bad[i].message, NULL, bad[i].text, strlen(bad[i].text), "-m", models[m]);
        }
    REFUSED(2, "argument 4: byte 2 (0xC0) is not UTF-8", NULL, "--pair", "b \xC0", "a"); /* an option's value is use, not input */
}

static void test_cli_texts__139_nothing_to_explain(void **state)
{
    static const char *const empty[] = {"", "   ", "\t\n", "[SEP]"};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        REFUSED(3, "the text has no token to explain", NULL, "-m", SENTIMENT, empty[i]);
    REFUSED(3, "the text has no token to explain", NULL, "-m", MASKED, "[MASK]");
    REFUSED(3, "the text has no token to explain", NULL, "-m", WRITES, "");
    REFUSED(3, "the text has no token to explain", NULL, "-m", WRITES, "<|endoftext|>");
    REFUSED(3, "the text has no token to explain", NULL, "-m", REWRITES, ""); /* before an output is made of nothing */
    REFUSED(3, "the text has no token to explain", NULL, "-m", REWRITES, "  ");
    REFUSED(3, "the text has no token to explain", NULL, "-m", REWRITES, "</s>");
    REFUSED(3, "the text has no token to explain", NULL, "-m", REWRITES, "--output-text", "made", "");
    REFUSED(3, "the output has no token to explain", NULL, "-m", REWRITES, "--output-text", "", "a");
    for (size_t i = 0; i < sizeof removing / sizeof *removing; i++)
        REFUSED(3, "the text has no token to explain", NULL, "-m", SENTIMENT, "-M", removing[i], " \n");
}

static void test_cli_texts__140_one_token(void **state)
{
    (void)state;
    expect_shown(ANSWER("-m", SENTIMENT, "-M", "ig,gxi,occlusion", "superb"), "superb");
    expect_shown(ANSWER("-m", MASKED, "-M", "ig,gxi,occlusion", "good [MASK]"), "good");
    expect_shown(ANSWER("-m", WRITES, "-M", "ig,gxi,occlusion", "Lily"), "occlusion cannot remove it");
    expect_shown(ANSWER("-m", REWRITES, "-M", "ig,gxi,occlusion", "Lily"), "Lily");
}

/* Column `name` of the first row below the header. */
static double number_in_csv(const char *text, const char *name)
{
    const char *row = strchr(text, '\n'), *column = strstr(text, name);
    double value = 0;
    assert_true(row && column && column < row++);
    for (const char *at = text; at < column; at++)
        if (*at == ',')
            row = strchr(row, ',') + 1;
    assert_true(sscanf(row, "%lf", &value) == 1);
    return value;
}

/* One feature has all that the input has over nothing: so say all that are Shapley values. */
static void test_cli_texts__140_one_token_of_methods_that_remove(void **state)
{
    static const char *const shapley[] = {"exact-shapley", "permutation-shapley", "kernel-shap", "partition-shap", "banzhaf"};
    (void)state;
    for (size_t i = 0; i < sizeof removing / sizeof *removing; i++)
        for (size_t m = 0; m < 4; m++) {
            char *out = ANSWER("-m", models[m], "-M", removing[i], m == 1 ? "good [MASK]" : "superb");
            expect_shown(out, m == 1 ? "good" : "superb");
        }
    double first = 0;
    for (size_t i = 0; i < sizeof shapley / sizeof *shapley; i++) {
        char *out = ANSWER("-m", SENTIMENT, "-M", shapley[i], "--csv", "superb");
        double score = number_in_csv(out, "score");
        if (i == 0)
            first = score;
        if (first < 0.01 || score - first > 1e-6 || first - score > 1e-6)
            fail_msg("%s says %g, %s %g", shapley[0], first, shapley[i], score);
        free(out);
    }
}

static void test_cli_texts__148_too_many_features_for_all_sets(void **state)
{
    static const char text[] = "a b c d e f g h i j k l m n o p q r s t u v w x"; /* 24 */
    (void)state;
    REFUSED(6, "exact-shapley needs 16777216 evaluations for 24 words; at most 1048576 (20 words)", "-M shap", "-M", "exact-shapley", text);
    REFUSED(6, "needs 16777216 evaluations", "-M shap", "--budget", "100000000", "-M", "exact-shapley", text);
    REFUSED(6, "needs 8 evaluations for 3 words; the budget is 7", "--budget 8", "--budget", "7", "-M", "exact-shapley", "good bad fun");
    expect_shown(ANSWER("--budget", "8", "-M", "exact-shapley", "good bad fun"), "bad");
    REFUSED(6, "the run needs ", "--memory ", "--memory", "64M", "--removal", "random", "-M", "exact-shapley:draws=100000", "a b c d e f g h i j k l m n");
}

/* 1 MiB of one thing: too long, or for some tokenizers one unknown word; never slow. */
static void test_cli_texts__141_a_megabyte(void **state)
{
    enum { COUNT = 1 << 20 };
    static const char *const pieces[] = {"a", "\xCC\x81", "\xF0\x9F\x91\xA9\xE2\x80\x8D", "[MASK]", "a "};
    (void)state;
    char *text = calloc(COUNT + 16, 1);
    assert_non_null(text);
    for (size_t m = 0; m < 4; m++)
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            size_t size = 0, piece = strlen(pieces[i]);
            for (; size + piece <= COUNT; size += piece)
                memcpy(text + size, pieces[i], piece);
            run_options o = {.input = text, .input_bytes = size};
            double begun = children_seconds();
            run_result r = RUN_WITH(&o, "explain", "-q", "-m", models[m], "-M", "gxi");
            double seconds = children_seconds() - begun;
            bool is_long = r.code == 3 && (strstr(r.err, "tokens, the model takes ") || strstr(r.err, "no token to explain") || strstr(r.err, "the text has no [MASK]"));
            if ((!is_long && r.code != 0) || (r.code == 3 && r.out_size) || seconds > SECONDS_ALLOWED)
                fail_msg("%s, %s: exit %d after %.2f s\n%s", models[m], pieces[i], r.code, seconds, r.err);
            if (strstr(r.err, "the model takes "))
                assert_non_null(strstr(r.err, "help: --truncate end"));
            run_free(&r);
        }
    free(text);
}

static void test_cli_texts__truncation_is_said(void **state)
{
    char text[4096] = "";
    (void)state;
    for (size_t i = 0; i < 300; i++)
        strcat(text, "boat ");
    expect_shown(ANSWER("-m", SENTIMENT, "-M", "gxi", "--truncate", "end", text), "first 128 of 302 tokens");
    expect_shown(ANSWER("-m", WRITES, "-M", "gxi", "--truncate", "start", text), "last 256 of ");
}

/* Every presenter of every model: the input is shown, never obeyed; so is what the model puts out. */
static void test_cli_texts__142_hostile_bytes_in_every_presenter(void **state)
{
    static const char text[] = "a\0b \x1b[31mred \xE2\x80\xAE" "evil </script><script> =cmd() \xC2\x9B good [MASK]";
    static const char *const looks[] = {"-q", "--json", "--csv", "--tsv", "--color=always", "--ascii"};
    (void)state;
    for (size_t m = 0; m < 4; m++)
        for (size_t i = 0; i < 6; i++) {
            const char *target = m < 2 ? "predicted" : "all";
            run_options o = {.input = text, .input_bytes = sizeof text - 1};
            run_result r = RUN_WITH(&o, "explain", "-q", "-M", "gxi", "-m", models[m], "-t", target, looks[i]);
            assert_int_equal(r.code, 0);
            assert_int_equal(strlen(r.out), r.out_size);
            assert_null(strstr(r.out, "\x1b[31mred"));
            assert_true(i == 4 || is_safe(r.out, r.out_size, i == 2 || i == 3));
            run_free(&r);
        }
}

/* The generation matrix, the output line and its tokens, with an output of hostile bytes. */
static void test_cli_texts__142_hostile_bytes_in_an_output(void **state)
{
    static const char output[] = "\x1b[2Jred \xE2\x80\xAE" "evil\xC2\x9B </script> =cmd()\t\xF0\x9F\x98\x80";
    static const char *const looks[] = {"--no-hints", "--json", "--csv", "--tsv", "--ascii"};
    static const char *const targets[] = {"all", "gen:3", "predicted"};
    (void)state;
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < 5; i++)
            free(ANSWER("-m", WRITES, "-M", "gxi", "-t", targets[t], looks[i], "--output-text", output, "say \x1b[31mred"));
    expect_shown(ANSWER("-m", WRITES, "-M", "gxi", "-t", "all", "--output-text", output, "say"), "output given: ␛[2Jred ⟨U+202E⟩evil⟨U+009B⟩");
    /* a token inside a character is named by its bytes, its output by the whole character */
    char *matrix = ANSWER("-m", WRITES, "-M", "gxi", "-t", "all", "--output-text", output, "say");
    assert_non_null(strstr(matrix, "<0xF0>"));
    assert_non_null(strstr(matrix, "😀"));
    assert_null(strstr(matrix, "\xEF\xBF\xBD"));
    assert_null(strstr(matrix, "\n  \xC3\xB0")); /* the vocabulary's own letter for that byte */
    free(matrix);
    expect_shown(ANSWER("-m", WRITES, "-M", "gxi", "-t", "gen:4", "--output-text", "red \xF0\x9F\x98\x80", "say"), "  →  red  😀\n");
}

static void test_cli_texts__143_no_mask(void **state)
{
    char roberta[WORK_PATH];
    (void)state;
    test_model(roberta, "roberta-mlm");
    REFUSED(3, "the text has no [MASK]", "write [MASK] where", "-m", MASKED, "nothing is missing");
    REFUSED(3, "the text has no <mask>", "write <mask> where", "-m", roberta, "nothing is missing");
}

static void test_cli_texts__147_spans(void **state)
{
    static const struct {
        const char *spans, *message;
    } bad[] = {{"spans:[[3,6],[5,9]]", "span 1 [5, 9) overlaps span 0 [3, 6)"}, {"spans:[[0,400]]", "span 0 [0, 400) leaves the text"},
               {"spans:[[-1,4]]", "span 0 [-1, 4) leaves the text"},            {"spans:[[4,2]]", "span 0 [4, 2) is empty"},
               {"spans:[[0,1]]", "splits a character at byte 1"},               {"spans:[[2,1.5]]", "span 0 is not a pair"},
               {"spans:[]", "1 to 2048 pairs"},                                 {"spans:[[0,", "spans"},
               {"spans:/nonexistent/file", "/nonexistent/file"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        REFUSED(3, bad[i].message, NULL, "-f", bad[i].spans, "\xC3\xA9t\xC3\xA9 is a good summer");
}

/* ---- how features are removed, and for how long ---- */

static void test_cli_texts__limits_of_methods_that_sample(void **state)
{
    static const char *const budgets[] = {"abc", "5x", "", "-1", "1e3", "1.5", "10 s", "0x10", "s"}, *const shares[] = {"2", "nan", "", "0", "-0.1", "5%"};
    (void)state;
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++)
        REFUSED(2, "is no budget", "--budget 2000 (evaluations) or --budget 10s", "--budget", budgets[i], "-M", "shap", "x");
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        REFUSED(2, "is no share", "--wanted-error 0.05", "--wanted-error", shares[i], "-M", "shap", "x");
    REFUSED(2, "--budget \"0\" is out of range", "1 to ", "--budget", "0", "-M", "shap", "x");
    REFUSED(2, "--budget needs ", NULL, "x", "--budget");
}

static void test_cli_texts__removals_that_are_none(void **state)
{
    static const struct {
        int code;
        const char *removal, *message;
    } bad[] = {{2, "foo", "no removal \"foo\"; auto, mask"},         {2, "", "no removal \"\""},
               {2, "mask:x", "removal mask takes nothing after"},    {2, "random:count=3", "no option \"count=3\" of removal random"},
               {2, "random:counts=", "no option \"counts=\""},       {3, "random:counts=/nonexistent", "/nonexistent cannot be read: there is no such file"},
               {3, "random:counts=/dev/null", "/dev/null is empty"}, {3, "random:counts=/", "cannot be read: it is a folder"},
               {2, "mlm:", "takes model=NAME"},                      {4, "mlm:model=/nonexistent", "no such model folder"},
               {2, "mlm:model=tiny-gpt2-stories", "is no masked language model"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        REFUSED(bad[i].code, bad[i].message, NULL, "--removal", bad[i].removal, "-M", "occlusion", "good fun");
    REFUSED(2, "removal mask: the model's tokenizer has no such token", NULL, "-m", WRITES, "--removal", "mask", "Lily was");
}

static void test_cli_texts__contexts_that_are_not_there(void **state)
{
    static const struct {
        int code;
        const char *fixed, *message;
    } bad[] = {{3, "text:\"zzz\"", "the fixed context \"zzz\" is nowhere in the input"}, {3, "text:", "is nowhere in the input"},
               {2, "foo", "no fixed context \"foo\""},                                   {2, "", "no fixed context \"\""},
               {3, "spans:[[0,400]]", "span 0 [0, 400) leaves the text (8 bytes)"},      {3, "spans:[[2,1]]", "span 0 [2, 1) is empty"},
               {3, "spans:/nonexistent", "/nonexistent"},                                {2, "pair", "is the second of two texts, and there is one"},
               {2, "first", "is the first of two texts, and there is one"},              {3, "text:\"good fun\"", "no token is left to explain"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        REFUSED(bad[i].code, bad[i].message, NULL, "--fixed", bad[i].fixed, "-M", "occlusion", "good fun");
}

static void test_cli_texts__parameters_of_methods_that_remove(void **state)
{
    static const char *const bad[][2] = {
        {"occlusion:window=0", "window 0 is out of range"},
        {"occlusion:keep=both", "keep \"both\" is none of out|only"},
        {"occlusion:stride=3,window=2", "stride 3 is above window 2"},
        {"perturb-random:draws=1", "draws 1 is out of range"},
        {"perturb-mask:draws=3", "perturb-mask has no parameter \"draws\""},
        {"exact-shapley:draws=0", "draws 0 is out of range"},
        {"permutation-shapley:pairs=-1", "pairs -1 is out of range"},
        {"permutation-shapley:pairs=1e9", "pairs \"1e9\" is not a whole number"},
        {"banzhaf:exact=21", "exact 21 is out of range"},
        {"banzhaf:samples=9", "samples 9 is out of range"},
        {"interactions:exact=17", "exact 17 is out of range"},
        {"kernel-shap:design=foo", "design \"foo\" is none of leverage|kernel|shap-compat"},
        {"shap:samples=99999999", "samples 99999999 is out of range"},
        {"linear-shap:share=1", "share 1 is out of range"},
        {"linear-shap:share=nan", "share \"nan\" is not a finite number"},
        {"linear-shap:coding=x", "coding \"x\" is none of kept|masked|intercept"},
        {"lime:width=0", "width 0 is out of range"},
        {"lime:alpha=-1", "alpha -1 is out of range"},
        {"lime:width=inf", "width \"inf\" is not a finite number"},
        {"partition-shap:tree=oak", "tree \"oak\" is none of phrases|words|balanced|shap"},
        {"partition-shap:fixed_context=2", "fixed_context \"2\" is none of none|0|1"},
        {"partition-shap:evaluations=1048577", "evaluations 1048577 is out of range"},
        {"counterfactual:exact=65", "exact 65 is out of range"},
        {"counterfactual:evaluations=0", "evaluations 0 is out of range"},
        {"sufficient:share=1", "share 1 is out of range"},
        {"sufficient:draws=5", "5 draws cannot show a share of 0.95"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        REFUSED(2, bad[i][1], NULL, "-M", bad[i][0], "good bad fun");
}

/* ---- F, G: questions ---- */

static void test_cli_texts__112_a_token_the_model_has_no_row_for(void **state)
{
    (void)state;
    REFUSED(3, "token 1 has id 999999; the model has 4096 rows", NULL, "-m", WRITES, "--ids", "5,999999");
    REFUSED(3, "output token 0 has id 999999", NULL, "-m", REWRITES, "--output-ids", "999999", "a");
}

static void test_cli_texts__134_135_reliability(void **state)
{
    (void)state;
    REFUSED(2, "ig with the zero baseline does not converge on t5", "ig:baseline=pad", "-m", REWRITES, "-M", "ig:baseline=zero", "date: May 1, 2001");
    free(ANSWER("-m", REWRITES, "-M", "ig:baseline=zero,force=1", "-t", "gen:0", "date: May 1, 2001"));
    run_result r = RUN("explain", "-q", "--strict", "-M", "ig:steps=1", "The plot is thin, but the acting is superb.");
    assert_int_equal(r.code, 5);
    assert_non_null(strstr(r.err, "ig has a gap of "));
    assert_non_null(strstr(r.err, "-M ig:steps="));
    run_free(&r);
}

static void test_cli_texts__136_targets_that_are_not_there(void **state)
{
    (void)state;
    REFUSED(3, "class 7; the model has 0 to 1", NULL, "-t", "class:7", "x");
    REFUSED(3, "no label \"positve\" in model tiny-distilbert-sentiment", "--target label:POSITIVE", "-t", "label:positve", "x");
    REFUSED(3, "position 99; the input has tokens 0 to ", NULL, "-m", WRITES, "-t", "pos:99", "Lily was sad");
    REFUSED(3, "nothing comes before the first", NULL, "-m", WRITES, "-t", "pos:0", "Lily was sad");
    REFUSED(3, "is not a mask", NULL, "-m", MASKED, "-t", "token:cat@1", "The [MASK]");
    REFUSED(3, "\"\xE2\x98\x83\" is not in this model's vocabulary", NULL, "-m", MASKED, "-t", "token:\xE2\x98\x83", "The [MASK]");
    REFUSED(3, "id 4096; the model has 0 to 4095", NULL, "-m", WRITES, "-t", "id:4096", "Lily");
    REFUSED(3, "step 9; the output has steps 0 to 1", NULL, "-m", WRITES, "-t", "gen:9", "--output-text", " and it", "Lily");
    REFUSED(3, "target \"token:\" names no token", NULL, "-m", WRITES, "-t", "token:", "Lily");
    REFUSED(3, "the second one is missing", NULL, "-m", WRITES, "-t", "next~", "Lily");
    REFUSED(3, "the first one is missing", NULL, "-m", WRITES, "-t", "~next", "Lily");
    REFUSED(3, "target \"gen:3\" cannot be the second side", NULL, "-m", WRITES, "-t", "gen:2~gen:3", "Lily");
}

static void test_cli_texts__137_a_contrast_with_itself(void **state)
{
    (void)state;
    REFUSED(3, "both sides of the contrast are \"POSITIVE\"", NULL, "-t", "class:1~label:positive", "x");
    REFUSED(3, "the score is always 0", NULL, "-m", WRITES, "-t", "next~predicted", "Lily was");
    REFUSED(3, "the score is always 0", NULL, "-m", MASKED, "-t", "token:cat~token:cat", "The [MASK]");
}

/* ---- what a first user met ---- */

/* A tokenizer without a pre-tokenizer calls a whole text one word; white space parts it all the same. */
static void test_cli_texts__words_of_every_tokenizer(void **state)
{
    static const char *const names[] = {"llama-lm", "mistral-lm", "llama-linear", "gpt2-lm", "qwen2-lm"};
    char path[WORK_PATH];
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        test_model(path, names[i]);
        char *out = ANSWER("-m", path, "-M", "gxi", "--json", "the boat  was on\nit");
        json_t *root = json_loads(out, 0, NULL), *labels = json_object_get(json_object_get(root, "features"), "labels");
        char words[256] = "";
        for (size_t k = 0; k < json_array_size(labels); k++)
            if (strspn(json_string_value(json_array_get(labels, k)), " \n") < json_string_length(json_array_get(labels, k)))
                strcat(strcat(words, json_string_value(json_array_get(labels, k))), "|");
        assert_string_equal(words, "the|boat|was|on|it|");
        json_decref(root);
        free(out);
    }
}

static void test_cli_texts__what_has_no_score_and_why(void **state)
{
    (void)state;
    expect_shown(ANSWER("-m", WRITES, "-t", "pos:2", "Lily was sad because"), "no score for \"sad\", \"because\": they come after what is explained\n");
    expect_shown(ANSWER("-m", WRITES, "-M", "occlusion", "Lily was sad"), "no score for \"Lily\", \"sad\": occlusion cannot remove them (--removal)\n");
    expect_shown(ANSWER("-m", WRITES, "Lily was sad because"), "not checked: \"because\" cannot be removed (--removal)\n");
    expect_shown(ANSWER("-m", WRITES, "-M", "occlusion", "--output-text", " and it was", "Lily"), "occlusion cannot remove");
}

static void test_cli_texts__labels_of_each_token_leave_the_template_out(void **state)
{
    char path[WORK_PATH];
    (void)state;
    test_model(path, "bert-token");
    char *out = ANSWER("-m", path, "-M", "gxi", "-t", "label:B-PER", "the boat");
    assert_null(strstr(out, "[CLS]"));
    assert_null(strstr(out, "[SEP]"));
    assert_int_equal(count_of(out, "gxi · "), 2);
    free(out);
}

static void test_cli_texts__a_token_that_is_no_mask(void **state)
{
    (void)state;
    expect_shown(ANSWER("-m", MASKED, "-M", "gxi", "-t", "pos:2", "The happy dog"), "token 2 is \"");
}

static void test_cli_texts__an_output_that_was_cut(void **state)
{
    (void)state;
    expect_shown(ANSWER("-m", REWRITES, "-M", "gxi", "--max-new", "3", "date: May 1, 2001"), "(cut after 3 tokens: --max-new)");
    char text[2048] = "the";
    for (size_t i = 0; i < 253; i++)
        strcat(text, " boat");
    expect_shown(ANSWER("-m", WRITES, "-M", "gxi", "-t", "all", "--max-new", "50", text), "(cut after 3 tokens: the model takes 256)");
}

/* Text of the terminal, its line ends as in a file. */
static char *on_terminal(const char *const *args)
{
    run_options o = {.on_terminal = true};
    run_result r = run_program(args, &o);
    assert_int_equal(r.code, 0);
    free(r.err);
    return r.out;
}

#define TERMINAL(...) on_terminal((const char *const[]){"explain", "--no-hints", "--color", "never", "--progress", "never", __VA_ARGS__, NULL})

/* A side that is too small for a column of its own must not flatten the other. */
static void test_cli_texts__bars_of_one_side(void **state)
{
    (void)state;
    char *out = TERMINAL("-m", MASKED, "-t", "pos:2", "The happy dog was red");
    assert_non_null(strstr(out, "red      −0.02"));
    assert_non_null(strstr(out, "│████████"));
    free(out);
}

/* A number of the additive line, behind `label`; the true minus is three bytes. */
static double number_after(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    double value = 0;
    assert_non_null(at);
    at += strlen(label);
    bool is_negative = strncmp(at, "−", strlen("−")) == 0;
    assert_true(sscanf(at + (is_negative ? strlen("−") : 0), "%lf", &value) == 1);
    return is_negative ? -value : value;
}

static void test_cli_texts__the_additive_line_adds_up_as_printed(void **state)
{
    static const char *const texts[][2] = {{"tiny-t5-tasks", "date: March 5, 2019"}, {"tiny-t5-tasks", "date: May 1, 2001"},
                                           {"tiny-distilbert-sentiment", "The plot is thin, but the acting is superb."}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = TERMINAL("-m", texts[i][0], texts[i][1]);
        double base = number_after(out, "f(baseline) "), sum = number_after(out, "Σ "), both = number_after(out, " = ");
        if (base + sum - both > 1e-6 || base + sum - both < -1e-6)
            fail_msg("%g + %g is not %g:\n%s", base, sum, both, out);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_texts__138_bytes_that_are_no_text),
        cmocka_unit_test(test_cli_texts__139_nothing_to_explain),
        cmocka_unit_test(test_cli_texts__140_one_token),
        cmocka_unit_test(test_cli_texts__140_one_token_of_methods_that_remove),
        cmocka_unit_test(test_cli_texts__148_too_many_features_for_all_sets),
        cmocka_unit_test(test_cli_texts__141_a_megabyte),
        cmocka_unit_test(test_cli_texts__truncation_is_said),
        cmocka_unit_test(test_cli_texts__142_hostile_bytes_in_every_presenter),
        cmocka_unit_test(test_cli_texts__142_hostile_bytes_in_an_output),
        cmocka_unit_test(test_cli_texts__143_no_mask),
        cmocka_unit_test(test_cli_texts__147_spans),
        cmocka_unit_test(test_cli_texts__limits_of_methods_that_sample),
        cmocka_unit_test(test_cli_texts__removals_that_are_none),
        cmocka_unit_test(test_cli_texts__contexts_that_are_not_there),
        cmocka_unit_test(test_cli_texts__parameters_of_methods_that_remove),
        cmocka_unit_test(test_cli_texts__112_a_token_the_model_has_no_row_for),
        cmocka_unit_test(test_cli_texts__134_135_reliability),
        cmocka_unit_test(test_cli_texts__136_targets_that_are_not_there),
        cmocka_unit_test(test_cli_texts__137_a_contrast_with_itself),
        cmocka_unit_test(test_cli_texts__words_of_every_tokenizer),
        cmocka_unit_test(test_cli_texts__what_has_no_score_and_why),
        cmocka_unit_test(test_cli_texts__labels_of_each_token_leave_the_template_out),
        cmocka_unit_test(test_cli_texts__a_token_that_is_no_mask),
        cmocka_unit_test(test_cli_texts__an_output_that_was_cut),
        cmocka_unit_test(test_cli_texts__bars_of_one_side),
        cmocka_unit_test(test_cli_texts__the_additive_line_adds_up_as_printed),
    };
    return cmocka_run_group_tests_name("cli_texts", tests, NULL, NULL);
}
