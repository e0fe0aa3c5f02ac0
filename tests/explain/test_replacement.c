/*
 * What random removals put in place of removed tokens: draws that are uniform, follow counts or a masked language model, are pure
 * functions of seed, draw and place, and are never what they should not be; texts with words replaced; what is refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "explain/made.h"
#include "explain/replacement.h"
#include "explain/variant_text.h"

enum { ROOM = 512 };

/* A question understood (not run), and its replacement. */
typedef struct opened {
    tkr_question asked;
    question q;
    arena *arena;
    replacement *r;
} opened;

static tkr_status open_question(opened *o, const made *m, const char *text, const char *features, const char *wanted, tkr_error *error)
{
    *o = (opened){.asked = tkr_question_defaults(), .arena = arena_new(SIZE_MAX)};
    o->asked.text = text;
    o->asked.features = features;
    o->asked.removal = wanted;
    tkr_status status = question_init(&o->q, m->session, &o->asked, (question_wish){0}, o->arena, error);
    if (!status && removal_is_random(o->q.removal))
        status = (o->r = replacement_new(&o->q, error)) ? TKR_OK : error->code;
    return status;
}

static void open_or_fail(opened *o, const made *m, const char *text, const char *features, const char *wanted)
{
    tkr_error error = {0};
    if (open_question(o, m, text, features, wanted, &error))
        fail_msg("%s: %s", wanted, error.message);
}

static void close_question(opened *o)
{
    replacement_free(o->r);
    question_fini(&o->q);
    arena_free(o->arena);
}

/* One variant. */
static replaced make(opened *o, const uint64_t *mask, uint32_t draw)
{
    replaced out;
    tkr_error error = {0};
    variant one = {mask, draw};
    if (replacement_make(o->r, &one, 1, o->arena, &out, &error))
        fail_msg("%s", error.message);
    return out;
}

static made open_tiny(uint64_t seed, made_head kind, size_t vocab)
{
    model_recipe recipe = made_recipe("bert", kind, seed);
    recipe.vocab = vocab;
    return made_open(&recipe, NULL);
}

/* ---- random ---- */

/* Wilson and Hilferty: a chi-square of k degrees of freedom as a standard normal number. */
static double as_normal(double chi2, double k) { return (cbrt(chi2 / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k)); }

static void test_replacement__uniform_draws_are_uniform_ordinary_and_never_the_original(void **state)
{
    (void)state;
    made m = open_tiny(1, MADE_CLASSIFIER, 60);
    char *text = made_text(&m, 4, 3);
    opened o;
    open_or_fail(&o, &m, text, "tokens", "random");
    uint64_t none = 0;
    static double seen[ROOM];
    memset(seen, 0, sizeof seen);
    size_t place = o.q.features[1].members[0], draws = 20000, can = 0, alike = 0;
    for (uint32_t d = 0; d < draws; d++) {
        replaced now = make(&o, &none, d);
        assert_true(now.is_aligned);
        assert_int_equal(now.length, o.q.length);
        for (size_t i = 0; i < now.length; i++) {
            bool is_player = o.q.feature_of[i] != UINT32_MAX;
            assert_int_equal(now.types[i], o.q.types[i]);
            if (is_player ? now.ids[i] == o.q.ids[i] : now.ids[i] != o.q.ids[i])
                fail_msg("draw %u, token %zu: id %d", d, i, now.ids[i]);
            assert_true(!is_player || token_is_drawable(m.model, now.ids[i]));
        }
        seen[now.ids[place]]++;
        alike += now.ids[place] == now.ids[o.q.features[2].members[0]];
    }
    for (int32_t id = 0; id < 60; id++)
        can += token_is_drawable(m.model, id) && id != o.q.ids[place];
    double want = (double)draws / (double)can, chi2 = 0;
    for (int32_t id = 0; id < 60; id++)
        if (token_is_drawable(m.model, id) && id != o.q.ids[place])
            chi2 += (seen[id] - want) * (seen[id] - want) / want;
    assert_true(can > 20);
    assert_true(fabs((double)alike - want) < 5 * sqrt(want) + 0.1 * want); /* places draw by themselves */
    double z = as_normal(chi2, (double)can - 1);
    if (fabs(z) > 4)
        fail_msg("chi-square %g of %zu", chi2, can - 1);
    close_question(&o);
    free(text);
    made_close(&m);
}

static void test_replacement__the_same_place_gets_the_same_token_whatever_else_is_removed(void **state)
{
    (void)state;
    made m = open_tiny(2, MADE_CLASSIFIER, 200);
    char *text = made_text(&m, 6, 3);
    opened o;
    open_or_fail(&o, &m, text, "tokens", "random");
    size_t n = o.q.feature_count;
    for (uint32_t draw = 0; draw < 5; draw++) {
        uint64_t none = 0;
        replaced all = make(&o, &none, draw);
        for (size_t f = 0; f < n; f++) {
            uint64_t one = ((UINT64_C(1) << n) - 1) & ~(UINT64_C(1) << f);
            replaced alone = make(&o, &one, draw);
            for (size_t i = 0; i < o.q.length; i++)
                assert_int_equal(alone.ids[i], o.q.feature_of[i] == f ? all.ids[i] : o.q.ids[i]);
        }
    }
    close_question(&o);
    free(text);
    made_close(&m);
}

static void test_replacement__another_seed_draws_other_tokens(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 2);
    size_t equal = 0, count = 0;
    tkr_session_options options = tkr_session_options_defaults();
    options.seed = 77;
    made a = made_open(&recipe, NULL), b = made_open(&recipe, &options);
    char *text = made_text(&a, 12, 3);
    opened x, y;
    open_or_fail(&x, &a, text, "tokens", "random");
    open_or_fail(&y, &b, text, "tokens", "random");
    uint64_t none = 0;
    replaced p = make(&x, &none, 0), q = make(&y, &none, 0), next = make(&x, &none, 1);
    for (size_t i = 0; i < p.length; i++)
        if (x.q.feature_of[i] != UINT32_MAX) {
            equal += (size_t)(p.ids[i] == q.ids[i]) + (size_t)(p.ids[i] == next.ids[i]);
            count += 2;
        }
    assert_true(count > 10 && equal < count / 3);
    close_question(&x);
    close_question(&y);
    free(text);
    made_close(&a);
    made_close(&b);
}

static void write_file(char path[WORK_PATH + 32], const made *m, const char *name, const void *bytes, size_t size)
{
    snprintf(path, WORK_PATH + 32, "%s/%s", m->folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void test_replacement__counts_of_a_corpus_are_the_frequencies(void **state)
{
    (void)state;
    made m = open_tiny(4, MADE_CLASSIFIER, 120);
    char *words = made_text(&m, 40, 9), *text = made_text(&m, 3, 5), path[WORK_PATH + 32], wanted[WORK_PATH + 64];
    char corpus[8192] = "", *word = words;
    for (size_t i = 0; i < 12; i++) { /* word i stands i + 1 times */
        size_t length = strcspn(word, " ");
        for (size_t k = 0; k <= i; k++) {
            strncat(corpus, word, length);
            strncat(corpus, k % 3 ? " " : "\n", 2);
        }
        word += length + 1;
    }
    write_file(path, &m, "corpus.txt", corpus, strlen(corpus));
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    opened o;
    open_or_fail(&o, &m, text, "tokens", wanted);
    assert_string_equal(o.q.removal_text, wanted);
    double want[ROOM] = {0}, total = 0, seen[ROOM] = {0};
    tkr_encoding *e = tkr_tokenize(m.model, corpus, strlen(corpus), NULL, 0, TKR_TRUNCATE_NEVER, 0, NULL);
    size_t place = o.q.features[0].members[0], draws = 20000, kinds = 0;
    for (size_t i = 0; i < tkr_encoding_count(e); i++) {
        int32_t id = tkr_encoding_tokens(e)[i].id;
        want[id] += token_is_drawable(m.model, id) && id != o.q.ids[place];
        total += token_is_drawable(m.model, id) && id != o.q.ids[place];
    }
    tkr_encoding_free(e);
    uint64_t none = 0;
    for (uint32_t d = 0; d < draws; d++)
        seen[make(&o, &none, d).ids[place]]++;
    double chi2 = 0;
    for (size_t id = 0; id < ROOM; id++) {
        if (want[id] < 1)
            assert_true(seen[id] < 1);
        else
            chi2 += pow(seen[id] - want[id] / total * (double)draws, 2) / (want[id] / total * (double)draws);
        kinds += want[id] > 0;
    }
    assert_true(kinds >= 8);
    if (fabs(as_normal(chi2, (double)kinds - 1)) > 4)
        fail_msg("chi-square %g of %zu", chi2, kinds - 1);
    close_question(&o);
    free(words);
    free(text);
    made_close(&m);
}

/* expected-gradients takes its baselines from the same counts: f at each is f of a word of the corpus. */
static void test_replacement__baselines_follow_the_counts_too(void **state)
{
    (void)state;
    made m = open_tiny(4, MADE_CLASSIFIER, 120);
    char *words = made_text(&m, 3, 9), path[WORK_PATH + 32], wanted[WORK_PATH + 64], *word[3] = {words};
    for (size_t i = 1; i < 3; i++) {
        word[i] = strchr(word[i - 1], ' ') + 1;
        word[i][-1] = '\0';
    }
    char corpus[512];
    snprintf(corpus, sizeof corpus, "%s\r\n%s", word[1], word[2]);
    write_file(path, &m, "corpus.txt", corpus, strlen(corpus));
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    double value[3];
    tkr_run_facts facts;
    tkr_question q = tkr_question_defaults();
    q.target = "class:1";
    for (size_t i = 0; i < 3; i++) {
        q.text = word[i];
        tkr_result *r = made_explain(&m, &q, "ig");
        assert_true(tkr_result_run(r, 0, &facts));
        value[i] = facts.full;
        tkr_result_free(r);
    }
    q.text = word[0];
    q.removal = wanted;
    tkr_result *r = made_explain(&m, &q, "expected-gradients:draws=40");
    assert_true(tkr_result_run(r, 0, &facts));
    double share = (facts.base - value[1]) / (value[2] - value[1]) * 40; /* how many of the draws were the second word */
    assert_true(fabs(value[2] - value[1]) > 1e-4);
    assert_true(fabs(share - round(share)) < 0.05 && share > 5 && share < 35);
    tkr_result_free(r);
    free(words);
    made_close(&m);
}

static void test_replacement__drawing_walks_the_counts_exactly(void **state)
{
    (void)state;
    int32_t ids[] = {3, 5, 9};
    uint64_t upto[] = {0, 1, 4, 6};
    token_counts t = {.ids = ids, .upto = upto, .count = 3};
    static const int32_t all[] = {3, 5, 5, 5, 9, 9}, without[] = {3, 9, 9};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(token_counts_draw(&t, -1, ((double)i + 0.5) / 6), all[i]);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(token_counts_draw(&t, 5, ((double)i + 0.5) / 3), without[i]);
    assert_int_equal(token_counts_draw(&t, 7, 0), 3);
    assert_int_equal(token_counts_draw(&t, 3, 0), 5);
    assert_int_equal(token_counts_draw(&t, 9, 0x1.fffffffffffffp-1), 5);
}

/* ---- mlm, the same vocabulary ---- */

/* The explained model's own folder is the sampler. */
static void open_own(opened *o, const made *m, const char *text, const char *features, char wanted[WORK_PATH + 32])
{
    snprintf(wanted, WORK_PATH + 32, "mlm:model=%s", m->folder);
    open_or_fail(o, m, text, features, wanted);
}

/* Softmax over ordinary entries of the masked text's logits, by a capture of the model itself. */
static void reference_distribution(const made *m, const int32_t *ids, size_t length, size_t row, double *p)
{
    tkr_error error = {0};
    int32_t input[ROOM];
    uint32_t lengths[1] = {(uint32_t)length};
    memcpy(input, ids, length * sizeof *input);
    pass *run = pass_new(m->session, &(pass_shape){.sequences = 1, .lengths = lengths, .reads = 1, .seeds = 1}, &error);
    assert_non_null(run);
    for (size_t i = 0; i < length; i++) {
        run->batch.ids[i] = input[i];
        run->batch.types[i] = 0;
    }
    model_positions(m->model, input, length, run->batch.positions);
    run->batch.target_rows[0] = (int32_t)row;
    assert_int_equal(pass_forward(run, &error), TKR_OK);
    const real *z = pass_logits(run, 0, 0);
    double sum = 0;
    for (size_t id = 0; id < model_outputs(m->model); id++)
        sum += p[id] = token_is_drawable(m->model, (int32_t)id) ? exp((double)z[id]) : 0;
    for (size_t id = 0; id < model_outputs(m->model); id++)
        p[id] /= sum;
    pass_free(run);
}

static void test_replacement__draws_follow_the_models_probabilities(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_MASKED_LM, 6);
    recipe.vocab = 80;
    recipe.deviation = 0.4; /* far from uniform */
    made m = made_open(&recipe, NULL);
    char *text = made_text(&m, 5, 3), wanted[WORK_PATH + 32];
    opened o;
    open_own(&o, &m, text, "tokens", wanted);
    assert_false(o.q.by_words);
    uint64_t mask = ((UINT64_C(1) << o.q.feature_count) - 1) & ~UINT64_C(5); /* features 0 and 2 are removed */
    size_t a = o.q.features[0].members[0], b = o.q.features[2].members[0], draws = 20000;
    int32_t masked[ROOM];
    memcpy(masked, o.q.ids, o.q.length * sizeof *masked);
    masked[a] = masked[b] = tokenizer_role_id(m.model->tokenizer, TKR_SPECIAL_MASK);
    double p[2][ROOM], seen[2][ROOM] = {{0}};
    reference_distribution(&m, masked, o.q.length, a, p[0]);
    reference_distribution(&m, masked, o.q.length, b, p[1]);
    double largest = 0, alike = 0, expected = 0;
    for (uint32_t d = 0; d < draws; d++) {
        replaced now = make(&o, &mask, d);
        assert_true(now.is_aligned);
        for (size_t i = 0; i < now.length; i++)
            assert_true(i == a || i == b || now.ids[i] == o.q.ids[i]);
        seen[0][now.ids[a]]++;
        seen[1][now.ids[b]]++;
        alike += now.ids[a] == now.ids[b];
    }
    for (size_t id = 0; id < 80; id++)
        expected += p[0][id] * p[1][id] * (double)draws;
    assert_true(fabs(alike - expected) < 5 * sqrt(expected)); /* places draw by themselves */
    for (size_t k = 0; k < 2; k++) {
        double chi2 = 0, pooled = 0, pooled_seen = 0;
        size_t kinds = 0;
        for (size_t id = 0; id < 80; id++) {
            largest = p[k][id] > largest ? p[k][id] : largest;
            if (p[k][id] * (double)draws < 5) { /* too rare for a chi-square of their own */
                pooled += p[k][id];
                pooled_seen += seen[k][id];
                continue;
            }
            chi2 += pow(seen[k][id] - p[k][id] * (double)draws, 2) / (p[k][id] * (double)draws);
            kinds++;
        }
        if (pooled * (double)draws >= 5) {
            chi2 += pow(pooled_seen - pooled * (double)draws, 2) / (pooled * (double)draws);
            kinds++;
        }
        assert_true(kinds > 5);
        if (fabs(as_normal(chi2, (double)kinds - 1)) > 4)
            fail_msg("place %zu: chi-square %g of %zu", k, chi2, kinds - 1);
    }
    assert_true(largest > 0.05);
    close_question(&o);
    free(text);
    made_close(&m);
}

/* The same draws one by one, in a list, in another order, and when all that is known was forgotten between. */
static void test_replacement__what_is_remembered_changes_nothing(void **state)
{
    (void)state;
    made m = open_tiny(7, MADE_MASKED_LM, 100);
    char *text = made_text(&m, 7, 3), wanted[WORK_PATH + 32];
    opened o;
    open_own(&o, &m, text, "tokens", wanted);
    enum { VARIANTS = 60 };
    uint64_t masks[VARIANTS];
    variant list[VARIANTS];
    replaced together[VARIANTS];
    tkr_error error = {0};
    for (uint32_t i = 0; i < VARIANTS; i++) {
        masks[i] = random_u32((random_key){.seed = 1}, i % 20) & ((1u << o.q.feature_count) - 1);
        list[i] = (variant){&masks[i], i * 7 % 90};
    }
    assert_int_equal(replacement_make(o.r, list, VARIANTS, o.arena, together, &error), TKR_OK);
    opened fresh;
    open_own(&fresh, &m, text, "tokens", wanted);
    for (size_t i = VARIANTS; i-- > 0;) {
        replaced alone = make(&fresh, &masks[i], list[i].draw);
        assert_memory_equal(alone.ids, together[i].ids, alone.length * sizeof *alone.ids);
    }
    close_question(&o);
    close_question(&fresh);
    free(text);
    made_close(&m);
}

/* ---- mlm, another vocabulary ---- */

/* The ids are those of a text in which words that stay are as they were.  Returns how many are not. */
static size_t check_words(const made *m, opened *o, const char *text, uint64_t mask, uint32_t draw)
{
    replaced now = make(o, &mask, draw);
    assert_false(now.is_aligned);
    size_t input = now.length - (o->q.length - o->q.input_length);
    assert_memory_equal(now.ids + input, o->q.ids + o->q.input_length, (o->q.length - o->q.input_length) * sizeof *now.ids);
    char *decoded = tkr_decode(m->model, now.ids, input, true, NULL);
    assert_non_null(decoded);
    size_t words = 0, other = 0;
    for (const char *a = text, *b = decoded; *a && *b; words++) {
        a += strspn(a, " ");
        b += strspn(b, " ");
        size_t of_a = strcspn(a, " "), of_b = strcspn(b, " ");
        bool is_same = of_a == of_b && strncmp(a, b, of_a) == 0;
        if (mask >> words & 1)
            assert_true(is_same);
        else
            other += !is_same;
        a += of_a;
        b += of_b;
    }
    assert_int_equal(words, o->q.feature_count);
    tkr_string_free(decoded);
    return other;
}

static void test_replacement__words_of_another_vocabulary_make_texts(void **state)
{
    (void)state;
    tkr_error error = {0};
    made m = {.model = tkr_model_open("tiny-gpt2-stories", NULL, &error)};
    m.session = m.model ? tkr_session_new(m.model, NULL, &error) : NULL;
    if (!m.session)
        fail_msg("%s", error.message);
    const char *text = "Once upon a time there was a little girl";
    opened o;
    open_or_fail(&o, &m, text, "words", "mlm");
    assert_true(o.q.by_words);
    assert_string_equal(o.q.removal_text, "mlm:model=tiny-bert-mlm");
    size_t other = 0;
    for (uint32_t draw = 0; draw < 40; draw++)
        other += check_words(&m, &o, text, (draw * 37u + 5u) % 512u, draw);
    assert_true(other > 60); /* of about 180 removed: the word itself may be drawn */
    uint64_t first = 0x1fe;
    replaced now = make(&o, &first, 3);
    assert_int_equal(now.reads[o.q.reads - 1], now.length - 1 - (o.q.length - 1 - o.q.read_positions[o.q.reads - 1]));
    close_question(&o);
    made_close(&m);
}

static void test_replacement__masks_are_read_again_in_a_new_text(void **state)
{
    (void)state;
    made m = open_tiny(8, MADE_MASKED_LM, 150);
    char *text = made_text(&m, 7, 3);
    opened o;
    open_or_fail(&o, &m, text, "words", "mlm");
    int32_t mask = tokenizer_role_id(m.model->tokenizer, TKR_SPECIAL_MASK);
    uint64_t none = 0;
    bool is_other_length = false;
    for (uint32_t draw = 0; draw < 20; draw++) {
        replaced now = make(&o, &none, draw);
        for (size_t r = 0; r < o.q.reads; r++)
            assert_int_equal(now.ids[now.reads[r]], mask);
        is_other_length = is_other_length || now.length != o.q.length;
    }
    assert_true(is_other_length);
    close_question(&o);
    free(text);
    made_close(&m);
}

/* ---- texts ---- */

static void expect_text(opened *o, uint64_t mask, stretch_unit unit, const char *with, const char *want)
{
    text_stretch *list;
    size_t count, places[ROOM];
    view instead[ROOM];
    buffer out;
    assert_int_equal(stretches_find(&o->q, unit, o->arena, &list, &count, NULL), TKR_OK);
    for (size_t i = 0; i < count; i++)
        instead[i] = view_of(with);
    buffer_init(&out, 1 << 20);
    variant_text(&o->q, 0, list, count, &mask, with ? instead : NULL, &out, places);
    assert_true(buffer_ok(&out));
    assert_string_equal(out.data ? out.data : "", want);
    for (size_t i = 0; with && i < count; i++)
        assert_true(places[i] == SIZE_MAX || strncmp(out.data + places[i], with, strlen(with)) == 0);
    buffer_fini(&out);
}

static void test_replacement__texts_without_features(void **state)
{
    (void)state;
    made m = open_tiny(1, MADE_CLASSIFIER, 200);
    opened o;
    open_or_fail(&o, &m, "Hello,  old WORLD!", "words", "mask"); /* Hello|,|old|WORLD|! */
    expect_text(&o, 0x1f, STRETCH_FEATURES, NULL, "Hello,  old WORLD!");
    expect_text(&o, 0x1b, STRETCH_FEATURES, NULL, "Hello,  WORLD!");
    expect_text(&o, 0x1e, STRETCH_FEATURES, NULL, ",  old WORLD!");
    expect_text(&o, 0x1c, STRETCH_FEATURES, NULL, "old WORLD!");
    expect_text(&o, 0x07, STRETCH_FEATURES, NULL, "Hello,  old");
    expect_text(&o, 0x00, STRETCH_FEATURES, NULL, "");
    expect_text(&o, 0x13, STRETCH_FEATURES, "[MASK]", "Hello,  [MASK] [MASK]!");
    close_question(&o);
    open_or_fail(&o, &m, "One two. Three four!", "sentences", "mask");
    expect_text(&o, 0x1, STRETCH_FEATURES, "X", "One two. X");
    expect_text(&o, 0x1, STRETCH_WORDS, "X", "One two. X XX");
    close_question(&o);
    made_close(&m);
}

/* ---- what is refused ---- */

static void expect_refused(const made *m, const char *text, const char *wanted, tkr_status status, int64_t offset, const char *part)
{
    opened o;
    tkr_error error = {0};
    tkr_status got = open_question(&o, m, text, "words", wanted, &error);
    if (got != status || !strstr(error.message, part) || strcmp(error.field, "removal") != 0 || error.offset != offset)
        fail_msg("%s: wanted %s \"%s\" at %lld, got %s [%s] \"%s\" at %lld", wanted, tkr_status_name(status), part, (long long)offset,
                 tkr_status_name(got), error.field, error.message, (long long)error.offset);
    close_question(&o);
}

static void test_replacement__bad_removals_are_refused(void **state)
{
    (void)state;
    made m = open_tiny(1, MADE_CLASSIFIER, 100), tags = open_tiny(2, MADE_TOKENS, 100);
    char *text = made_text(&m, 4, 1), path[WORK_PATH + 32], wanted[WORK_PATH + 64];
    expect_refused(&m, text, "randm", TKR_E_USAGE_VALUE, 0, "no removal \"randm\"");
    expect_refused(&m, text, "random:often", TKR_E_USAGE_VALUE, 7, "uniform or counts=FILE");
    expect_refused(&m, text, "random:", TKR_E_USAGE_VALUE, 6, "takes uniform or counts=FILE");
    expect_refused(&m, text, "random:counts=", TKR_E_USAGE_VALUE, 7, "counts=FILE");
    expect_refused(&m, text, "random:counts=/nowhere/at/all", TKR_E_INPUT_FILE, 14, "cannot be read");
    expect_refused(&m, text, "random:counts=/", TKR_E_INPUT_FILE, 14, "cannot be read");
    expect_refused(&m, text, "mask:x", TKR_E_USAGE_VALUE, 4, "takes nothing");
    expect_refused(&m, text, "mlm:modle=x", TKR_E_USAGE_VALUE, 4, "model=NAME");
    expect_refused(&m, text, "mlm:model=no-such-model-anywhere", TKR_E_PATH_NOT_FOUND, 10, "no-such-model-anywhere");
    expect_refused(&m, text, "mlm:model=tiny-gpt2-stories", TKR_E_USAGE_CAPABILITY, 10, "no masked language model");
    expect_refused(&tags, text, "mlm", TKR_E_USAGE_CAPABILITY, 0, "move the tokens that the answer is about");
    write_file(path, &m, "empty.txt", "", 0);
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    expect_refused(&m, text, wanted, TKR_E_INPUT_FILE, 14, "is empty");
    write_file(path, &m, "bad.txt", "fine\n\xff\xfe\n", 8);
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    expect_refused(&m, text, wanted, TKR_E_INPUT_UTF8, 14, "line 2 is not UTF-8 at byte 0");
    write_file(path, &m, "blank.txt", "\n\n\n", 3);
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    expect_refused(&m, text, wanted, TKR_E_INPUT_FILE, 14, "0 distinct ordinary tokens");
    char *line = malloc(3 << 20);
    memset(line, 'a', 3 << 20);
    write_file(path, &m, "long.txt", line, 3 << 20);
    free(line);
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    expect_refused(&m, text, wanted, TKR_E_LIMIT_TEXT, 14, "line 1 has more than");
    free(text);
    made_close(&m);
    made_close(&tags);
}

static void test_replacement__ids_have_no_words(void **state)
{
    (void)state;
    made m = open_tiny(1, MADE_CLASSIFIER, 100);
    int32_t ids[] = {2, 20, 30, 3};
    opened o = {.asked = tkr_question_defaults(), .arena = arena_new(SIZE_MAX)};
    tkr_error error = {0};
    o.asked.ids = ids;
    o.asked.id_count = 4;
    o.asked.removal = "mlm";
    assert_int_equal(question_init(&o.q, m.session, &o.asked, (question_wish){0}, o.arena, &error), TKR_E_USAGE_CAPABILITY);
    assert_non_null(strstr(error.message, "token ids are none"));
    close_question(&o);
    made_close(&m);
}

/* ---- memory ---- */

/* Opening the sampler included: what the session keeps from then on is in the plan of the first call. */
static void expect_plan(const model_recipe *recipe, const char *wanted, const char *methods)
{
    made m = made_open(recipe, NULL);
    char *text = made_text(&m, 20, 1);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.removal = wanted;
    tkr_error error = {0};
    tkr_plan plan;
    tkr_memory_reset_peak();
    if (tkr_plan_explain(m.session, &q, methods, &plan, &error))
        fail_msg("plan: %s", error.message);
    made again = made_open(recipe, NULL);
    tkr_session_free(m.session);
    tkr_model_close(m.model);
    tkr_memory_reset_peak();
    tkr_result_free(made_explain(&again, &q, methods));
    uint64_t peak = tkr_memory_peak();
    if (peak > plan.bytes || (double)plan.bytes > 1.15 * (double)peak + 24.0 * (1 << 20))
        fail_msg("%s, %s: plan %.1f KiB, peak %.1f KiB", wanted, methods, (double)plan.bytes / 1024, (double)peak / 1024);
    m.session = NULL;
    m.model = NULL;
    made_close(&m);
    made_close(&again);
    free(text);
}

static void test_replacement__the_plan_holds(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 3);
    recipe.hidden = 80;
    recipe.inner = 320;
    recipe.positions = 512;
    recipe.vocab = 1000;
    expect_plan(&recipe, "random", "occlusion,permutation-shapley");
    expect_plan(&recipe, "mlm", "occlusion:draws=3");
    expect_plan(&recipe, "mlm", "permutation-shapley");
    expect_plan(&recipe, "attn", "perturb-random,perturb-mask");
}

/* Open a sampler, explain with it, free everything. */
static bool whole_story(const char *own, const char *wanted, tkr_error *error)
{
    tkr_model *model = tkr_model_open(own, NULL, error);
    tkr_session *session = model ? tkr_session_new(model, NULL, error) : NULL;
    tkr_question q = tkr_question_defaults();
    q.text = "the cat [MASK]";
    q.removal = wanted;
    tkr_result *r = session ? tkr_explain(session, &q, "occlusion:draws=2,perturb-random:draws=2,perturb-mask", error) : NULL;
    bool done = r != NULL;
    tkr_result_free(r);
    tkr_session_free(session);
    tkr_model_close(model);
    return done;
}

static void fail_each(const char *own, const char *wanted)
{
    tkr_error error = {0};
    uint64_t held = tkr_memory_now();
    memory_fail_at(0, 0);
    if (!whole_story(own, wanted, &error))
        fail_msg("%s: %s", wanted, error.message);
    uint64_t allocations = memory_allocations();
    for (uint64_t n = 1; n <= allocations; n++) {
        tkr_error now = {0};
        memory_fail_at(n, 0);
        bool done = whole_story(own, wanted, &now);
        memory_fail_at(0, 0);
        if (!done && now.code != TKR_E_LIMIT_OOM && now.code != TKR_E_LIMIT_BUFFER)
            fail_msg("%s, allocation %d of %d: %s: %s", wanted, (int)n, (int)allocations, tkr_status_name(now.code), now.message);
        if (tkr_memory_now() != held)
            fail_msg("%s, allocation %d of %d: %d bytes are left", wanted, (int)n, (int)allocations, (int)(tkr_memory_now() - held));
    }
}

static void test_replacement__every_allocation_may_fail(void **state)
{
    (void)state;
    char own[WORK_PATH], other[WORK_PATH], path[WORK_PATH + 32], wanted[WORK_PATH + 64];
    model_recipe recipe = made_recipe("bert", MADE_MASKED_LM, 1), second = made_recipe("distilbert", MADE_MASKED_LM, 1);
    recipe.layers = second.layers = 1;
    recipe.vocab = 60;
    second.vocab = 80;
    assert_true(work_folder_new(own) && make_model(own, &recipe) && work_folder_new(other) && make_model(other, &second));
    snprintf(wanted, sizeof wanted, "mlm:model=%s", own);
    fail_each(own, wanted);
    snprintf(wanted, sizeof wanted, "mlm:model=%s", other);
    fail_each(own, wanted);
    snprintf(path, sizeof path, "%s/corpus.txt", own);
    FILE *f = fopen(path, "w");
    fputs("the cat and the dog\na cat\n", f);
    fclose(f);
    snprintf(wanted, sizeof wanted, "random:counts=%s", path);
    fail_each(own, wanted);
    work_folder_remove(own);
    work_folder_remove(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replacement__uniform_draws_are_uniform_ordinary_and_never_the_original),
        cmocka_unit_test(test_replacement__the_same_place_gets_the_same_token_whatever_else_is_removed),
        cmocka_unit_test(test_replacement__another_seed_draws_other_tokens),
        cmocka_unit_test(test_replacement__counts_of_a_corpus_are_the_frequencies),
        cmocka_unit_test(test_replacement__baselines_follow_the_counts_too),
        cmocka_unit_test(test_replacement__drawing_walks_the_counts_exactly),
        cmocka_unit_test(test_replacement__draws_follow_the_models_probabilities),
        cmocka_unit_test(test_replacement__what_is_remembered_changes_nothing),
        cmocka_unit_test(test_replacement__words_of_another_vocabulary_make_texts),
        cmocka_unit_test(test_replacement__masks_are_read_again_in_a_new_text),
        cmocka_unit_test(test_replacement__texts_without_features),
        cmocka_unit_test(test_replacement__bad_removals_are_refused),
        cmocka_unit_test(test_replacement__ids_have_no_words),
        cmocka_unit_test(test_replacement__the_plan_holds),
        cmocka_unit_test(test_replacement__every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("replacement", tests, NULL, NULL);
}
