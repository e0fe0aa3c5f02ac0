/*
 * What variants share against what they compute alone: the same numbers, bit for bit unless keys are left out of a sum, and less
 * work.  The scores of each family, head and removal are compared with a session that shares nothing, for several batch sizes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/random.h"
#include "explain/made.h"
#include "explain/session.h"
#include "explain/variants.h"

enum { SHARE_ALL = SHARE_ROWS | SHARE_PREFIX | SHARE_SOURCE | SHARE_HIDDEN | SHARE_HEAD, VARIANTS = 40, TARGETS = 8 };

/* A question about a made model, understood. */
typedef struct asked {
    made m;
    arena *arena;
    char *text;
    question q;
} asked;

typedef struct way {
    const char *family;
    made_head head;
    const char *removal, *measure;
    const char *more_config;
    size_t words;
} way;

static void ask(asked *a, const way *w)
{
    model_recipe recipe = made_recipe(w->family, w->head, 11);
    recipe.more_config = w->more_config;
    tkr_error error = {0};
    *a = (asked){.m = made_open(&recipe, NULL), .arena = arena_new(SIZE_MAX)};
    a->text = made_text(&a->m, w->words ? w->words : 9, 5);
    tkr_question asked_for = tkr_question_defaults();
    asked_for.text = a->text;
    asked_for.features = "tokens";
    asked_for.removal = w->removal;
    asked_for.measure = w->measure;
    asked_for.max_new = w->head == MADE_SEQUENCE_TO_SEQUENCE ? 4 : 0;
    if (question_init(&a->q, a->m.session, &asked_for, (question_wish){0}, a->arena, &error) ||
        question_run(&a->q, (question_wish){0}, &error))
        fail_msg("%s, removal %s: %s", w->family, w->removal, error.message);
    assert_in_range(a->q.feature_count, 2, 64);
    assert_in_range(a->q.target_count, 1, TARGETS);
}

static void ask_end(asked *a)
{
    question_fini(&a->q);
    arena_free(a->arena);
    free(a->text);
    made_close(&a->m);
}

static variants_work run(asked *a, unsigned unshared, size_t sequences, const uint64_t *masks, size_t count, score_wish wish, score *out)
{
    tkr_error error = {0};
    variant *list = calloc(count, sizeof *list);
    a->m.session->unshared = unshared;
    variants *v = variants_new(&a->q, sequences, &error);
    for (size_t i = 0; i < count; i++)
        list[i] = (variant){.mask = &masks[i], .draw = (uint32_t)(i % 3)};
    if (!v || variants_run(v, "test", list, count, wish, out, &error))
        fail_msg("%s", error.message);
    variants_work work = variants_worked(v);
    assert_int_equal(variants_rows(v), work.rows);
    variants_free(v);
    free(list);
    a->m.session->unshared = 0;
    return work;
}

/* Coalitions of any size. */
static void draw_masks(const asked *a, uint64_t *masks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        masks[i] = 0;
        for (size_t f = 0; f < a->q.feature_count; f++)
            masks[i] |= (uint64_t)(random_below((random_key){.seed = 8, .item = (uint32_t)i}, f, 9) > i % 9) << f;
    }
}

static void expect_close(const way *w, size_t sequences, const score *got, const score *want, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i].value - want[i].value) <= tolerance) || got[i].answer != want[i].answer)
            fail_msg("%s, head %d, removal %s, %zu at once: score %zu is %.9g, alone %.9g; answers %d and %d", w->family, (int)w->head,
                     w->removal, sequences, i, got[i].value, want[i].value, (int)got[i].answer, (int)want[i].answer);
}

/* Everything shared, and each kind alone switched off, for some batch sizes. */
static void check_way(const way *w, double tolerance)
{
    static const size_t sizes[] = {1, 3, 200};
    static const unsigned offs[] = {0, SHARE_ROWS, SHARE_PREFIX, SHARE_SOURCE, SHARE_HIDDEN, SHARE_HEAD};
    asked a;
    ask(&a, w);
    uint64_t masks[VARIANTS];
    score alone[VARIANTS * TARGETS], got[VARIANTS * TARGETS];
    draw_masks(&a, masks, VARIANTS);
    run(&a, SHARE_ALL, 4, masks, VARIANTS, SCORE_ANSWER, alone);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t k = 0; k < sizeof offs / sizeof *offs; k++) {
            bool is_left_out = tolerance > 0 && !(offs[k] & SHARE_HIDDEN);
            run(&a, offs[k], sizes[s], masks, VARIANTS, SCORE_ANSWER, got);
            expect_close(w, sizes[s], got, alone, VARIANTS * a.q.target_count, is_left_out ? tolerance : 0);
        }
    ask_end(&a);
}

static const char *const encoder_removals[] = {"mask", "pad", "unk", "zero", "mean", "delete", "random", "attn", NULL};
static const char *const decoder_removals[] = {"unk", "pad", "zero", "mean", "delete", "random", "attn", NULL};

static void check_family(const char *family_name, made_head kind, const char *const *removals, const char *more_config)
{
    for (; *removals; removals++) {
        bool cannot = kind == MADE_SPAN && strcmp(*removals, "delete") == 0;
        bool hides = strcmp(*removals, "attn") == 0;
        way w = {.family = family_name, .head = kind, .removal = *removals, .more_config = more_config};
        if (!cannot)
            check_way(&w, hides ? 2e-5 : 0);
    }
}

static void test_variants__encoders_score_as_alone(void **state)
{
    (void)state;
    check_family("bert", MADE_MASKED_LM, encoder_removals, NULL);
    check_family("bert", MADE_CLASSIFIER, encoder_removals, NULL);
    check_family("roberta", MADE_CLASSIFIER, encoder_removals, NULL);
    check_family("albert", MADE_CLASSIFIER, encoder_removals, NULL);
    check_family("distilbert", MADE_CLASSIFIER, encoder_removals, NULL);
    check_family("bert", MADE_SPAN, encoder_removals, NULL);
}

static void test_variants__decoders_score_as_alone(void **state)
{
    (void)state;
    check_family("gpt2", MADE_NEXT_TOKEN, decoder_removals, NULL);
    check_family("gpt2", MADE_CLASSIFIER, decoder_removals, NULL);
    check_family("llama", MADE_NEXT_TOKEN, decoder_removals, NULL);
}

/* A window shorter than the text: what is left out must not widen it. */
static void test_variants__windows_count_what_is_left_out(void **state)
{
    (void)state;
    check_family("mistral", MADE_NEXT_TOKEN, decoder_removals, "\"sliding_window\": 4");
}

static void test_variants__encoder_decoders_score_as_alone(void **state)
{
    (void)state;
    check_family("t5", MADE_SEQUENCE_TO_SEQUENCE, decoder_removals, NULL);
}

/* ---- the work ---- */

static void all_masks(uint64_t *masks, size_t features)
{
    for (size_t i = 0; i < (size_t)1 << features; i++)
        masks[i] = i;
}

/* Scores of all sets of features, with and without one kind of sharing: the same bits, and the work of both. */
static void compare_work(const way *w, unsigned kind, size_t sequences, bool is_exact, size_t *features, variants_work work[2])
{
    enum { MOST = 1 << 12 };
    asked a;
    ask(&a, w);
    *features = a.q.feature_count;
    assert_in_range(a.q.feature_count, 2, 12);
    size_t count = (size_t)1 << a.q.feature_count, scores = count * a.q.target_count;
    uint64_t *masks = calloc(MOST, sizeof *masks);
    score *shared = calloc(scores, sizeof *shared), *alone = calloc(scores, sizeof *alone);
    all_masks(masks, a.q.feature_count);
    work[0] = run(&a, SHARE_ALL & ~kind, sequences, masks, count, SCORE_VALUE, shared);
    work[1] = run(&a, SHARE_ALL, sequences, masks, count, SCORE_VALUE, alone);
    expect_close(w, sequences, shared, alone, kind == SHARE_HEAD ? 0 : scores, is_exact ? 0 : 2e-5);
    for (size_t i = 0; i < scores; i++)
        assert_true(fabs(shared[i].value - alone[i].value) <= (is_exact ? 0 : 2e-5));
    free(masks);
    free(shared);
    free(alone);
    ask_end(&a);
}

/* Each prefix once: 2 + 4 + ... + 2^p rows, where p tokens are all that there is (methods.md 10.3). */
static void test_variants__prefixes_are_run_once(void **state)
{
    (void)state;
    way w = {.family = "gpt2", .head = MADE_NEXT_TOKEN, .removal = "unk", .words = 5};
    variants_work work[2];
    size_t p;
    compare_work(&w, SHARE_PREFIX, 512, true, &p, work);
    assert_int_equal(work[1].rows, p << p);
    assert_int_equal(work[0].rows, ((size_t)2 << p) - 2);
    /* small batches begin again with a path of their own */
    compare_work(&w, SHARE_PREFIX, 10, true, &p, work);
    assert_in_range(work[0].rows, ((size_t)2 << p) - 2, p << (p - 1));
}

static void test_variants__first_rows_are_run_once(void **state)
{
    (void)state;
    way w = {.family = "bert", .head = MADE_CLASSIFIER, .removal = "mask", .words = 6};
    variants_work work[2];
    size_t p;
    compare_work(&w, SHARE_ROWS, 64, true, &p, work);
    assert_int_equal(work[0].rows, work[1].rows);
    assert_int_equal(work[1].rows, work[1].first_rows);
    assert_int_equal(work[0].first_rows, work[0].rows / (64 * (p + 2)) * (2 * p + 2)); /* and [CLS], [SEP] */
}

static void test_variants__hidden_rows_are_not_run(void **state)
{
    (void)state;
    way w = {.family = "bert", .head = MADE_CLASSIFIER, .removal = "attn", .words = 6};
    variants_work work[2];
    size_t p;
    compare_work(&w, SHARE_HIDDEN, 64, false, &p, work);
    assert_int_equal(work[1].rows, (p + 2) << p);
    assert_int_equal(work[0].rows, ((size_t)2 << p) + (p << (p - 1)));
    w = (way){.family = "t5", .head = MADE_SEQUENCE_TO_SEQUENCE, .removal = "attn", .words = 3};
    compare_work(&w, SHARE_HIDDEN, 64, false, &p, work);
    assert_true(work[0].rows < work[1].rows);
}

static void test_variants__sources_are_run_once(void **state)
{
    (void)state;
    way w = {.family = "t5", .head = MADE_SEQUENCE_TO_SEQUENCE, .removal = "unk", .words = 9};
    asked a;
    ask(&a, &w);
    uint64_t masks[16] = {0};
    score shared[16 * TARGETS], alone[16 * TARGETS];
    size_t count = 0, outputs = 0;
    for (size_t f = 0; f < a.q.feature_count && count < 16; f++)
        if (a.q.features[f].members[0] >= a.q.input_length) {
            outputs++;
            masks[count++] = ~(UINT64_C(1) << f);
        }
    assert_true(outputs >= 2);
    masks[count++] = ~UINT64_C(0);
    masks[count++] = ~UINT64_C(1); /* another source */
    variants_work less = run(&a, SHARE_ALL & ~(unsigned)SHARE_SOURCE, 16, masks, count, SCORE_ANSWER, shared);
    variants_work more = run(&a, SHARE_ALL, 16, masks, count, SCORE_ANSWER, alone);
    expect_close(&w, 16, shared, alone, count * a.q.target_count, 0);
    assert_int_equal(more.rows, count * a.q.length);
    assert_int_equal(less.rows, 2 * a.q.input_length + count * (a.q.length - a.q.input_length));
    ask_end(&a);
}

static void test_variants__few_logits_are_run_alone(void **state)
{
    (void)state;
    static const struct {
        way w;
        size_t logits; /* of each variant; 0: all */
    } ways[] = {
        {{.family = "gpt2", .head = MADE_NEXT_TOKEN, .removal = "unk", .measure = "logit", .words = 5}, 1},
        {{.family = "bert", .head = MADE_MASKED_LM, .removal = "mask", .measure = "logit", .words = 5}, 1},
        {{.family = "bert", .head = MADE_MASKED_LM, .removal = "mask", .measure = "margin", .words = 5}, 2},
        {{.family = "gpt2", .head = MADE_NEXT_TOKEN, .removal = "unk", .measure = "logprob", .words = 5}, 0},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        variants_work work[2];
        size_t p;
        compare_work(&ways[i].w, SHARE_HEAD, 16, true, &p, work);
        assert_int_equal(work[0].logits, ways[i].logits ? ways[i].logits << p : work[1].logits);
        assert_true(ways[i].logits == 0 || work[0].logits < work[1].logits);
        assert_int_equal(work[0].rows, work[1].rows);
    }
}

/* ---- progress ---- */

typedef struct listener {
    size_t calls, stop_after;
    uint64_t done;
} listener;

static bool listen(void *user, const tkr_progress *p)
{
    listener *l = user;
    assert_string_equal(p->phase, "test");
    assert_string_equal(p->unit, "evaluations");
    assert_int_equal(p->total, VARIANTS);
    assert_true(p->done >= l->done && p->done <= VARIANTS);
    l->done = p->done;
    return ++l->calls != l->stop_after;
}

/* Each batch is told of, whatever it shares, and any of them may be the last. */
static void test_variants__batches_are_told_of_and_may_be_the_last(void **state)
{
    (void)state;
    static const way ways[] = {{.family = "gpt2", .head = MADE_NEXT_TOKEN, .removal = "unk"},
                               {.family = "bert", .head = MADE_CLASSIFIER, .removal = "attn"},
                               {.family = "t5", .head = MADE_SEQUENCE_TO_SEQUENCE, .removal = "pad"}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        asked a;
        ask(&a, &ways[w]);
        uint64_t masks[VARIANTS];
        score got[VARIANTS * TARGETS];
        draw_masks(&a, masks, VARIANTS);
        listener all = {0}, few = {.stop_after = 3};
        a.m.session->reporter = (reporter){.call = listen, .user = &all};
        run(&a, 0, 4, masks, VARIANTS, SCORE_VALUE, got);
        assert_in_range(all.calls, 4, VARIANTS + 1);
        assert_int_equal(all.done, VARIANTS);

        tkr_error error = {0};
        variant list[VARIANTS];
        for (size_t i = 0; i < VARIANTS; i++)
            list[i] = (variant){.mask = &masks[i]};
        a.m.session->reporter = (reporter){.call = listen, .user = &few};
        variants *v = variants_new(&a.q, 4, &error);
        assert_int_equal(variants_run(v, "test", list, VARIANTS, SCORE_VALUE, got, &error), TKR_E_CANCELLED);
        assert_int_equal(few.calls, 3);
        variants_free(v);
        ask_end(&a);
    }
}

/* ---- memory ---- */

/* peak <= plan <= 1.15 peak + 16 MiB, however much of a batch is shared. */
static void test_variants__the_plan_holds(void **state)
{
    (void)state;
    static const struct {
        const char *family;
        made_head head;
        const char *removal, *measure;
        size_t words;
    } cases[] = {{"gpt2", MADE_NEXT_TOKEN, "unk", "logprob", 40},  {"gpt2", MADE_NEXT_TOKEN, "attn", "logprob", 20},
                 {"gpt2", MADE_NEXT_TOKEN, "unk", "logit", 5},     {"llama", MADE_NEXT_TOKEN, "random", "logprob", 10},
                 {"bert", MADE_CLASSIFIER, "attn", NULL, 80},      {"bert", MADE_MASKED_LM, "mask", NULL, 30},
                 {"t5", MADE_SEQUENCE_TO_SEQUENCE, "attn", NULL, 8}, {"t5", MADE_SEQUENCE_TO_SEQUENCE, "unk", NULL, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_recipe recipe = made_recipe(cases[i].family, cases[i].head, 3);
        recipe.hidden = 80;
        recipe.inner = 320;
        recipe.positions = 512;
        made m = made_open(&recipe, NULL);
        char *text = made_text(&m, cases[i].words, 1);
        tkr_question q = tkr_question_defaults();
        q.text = text;
        q.removal = cases[i].removal;
        q.measure = cases[i].measure;
        q.features = "tokens";
        q.max_new = cases[i].head == MADE_SEQUENCE_TO_SEQUENCE ? 4 : 0;
        tkr_plan plan;
        tkr_error error = {0};
        if (tkr_plan_explain(m.session, &q, "occlusion", &plan, &error))
            fail_msg("plan: %s", error.message);
        tkr_memory_reset_peak();
        tkr_result_free(made_explain(&m, &q, "occlusion"));
        uint64_t peak = tkr_memory_peak();
        if (peak > plan.bytes || (double)plan.bytes > 1.15 * (double)peak + 16.0 * (1 << 20))
            fail_msg("case %zu: plan %.1f KiB, peak %.1f KiB", i, (double)plan.bytes / 1024, (double)peak / 1024);
        free(text);
        made_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants__encoders_score_as_alone),
        cmocka_unit_test(test_variants__decoders_score_as_alone),
        cmocka_unit_test(test_variants__windows_count_what_is_left_out),
        cmocka_unit_test(test_variants__encoder_decoders_score_as_alone),
        cmocka_unit_test(test_variants__prefixes_are_run_once),
        cmocka_unit_test(test_variants__first_rows_are_run_once),
        cmocka_unit_test(test_variants__hidden_rows_are_not_run),
        cmocka_unit_test(test_variants__sources_are_run_once),
        cmocka_unit_test(test_variants__few_logits_are_run_alone),
        cmocka_unit_test(test_variants__batches_are_told_of_and_may_be_the_last),
        cmocka_unit_test(test_variants__the_plan_holds),
    };
    return cmocka_run_group_tests_name("variants", tests, NULL, NULL);
}
