/* The matcher against a naive search, and the vocabulary's two directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/matcher.h"
#include "text/vocabulary.h"

enum { TEXT_SIZE = 60, PATTERNS = 12, PATTERN_SIZE = 6 };

static int32_t naive_longest(char patterns[PATTERNS][PATTERN_SIZE + 1], view rest)
{
    int32_t best = -1;
    for (int32_t p = 0; p < PATTERNS; p++)
        if (patterns[p][0] && view_begins(rest, view_of(patterns[p])) &&
            (best < 0 || strlen(patterns[p]) > strlen(patterns[best])))
            best = p;
    return best;
}

static void test_matcher__agrees_with_naive_search(void **state)
{
    (void)state;
    random_key key = {.seed = 7};
    uint64_t draw = 0;
    for (int round = 0; round < 300; round++) {
        char patterns[PATTERNS][PATTERN_SIZE + 1] = {{0}}, text[TEXT_SIZE];
        uint32_t letters = 1 + random_below(key, draw++, 3);
        matcher *m = matcher_new();
        assert_non_null(m);
        for (int p = 0; p < PATTERNS; p++) {
            uint32_t size = random_below(key, draw++, PATTERN_SIZE + 1);
            for (uint32_t i = 0; i < size; i++)
                patterns[p][i] = (char)('a' + random_below(key, draw++, letters));
            assert_true(matcher_add(m, view_of(patterns[p])));
        }
        assert_true(matcher_finish(m));
        for (size_t i = 0; i < TEXT_SIZE; i++)
            text[i] = (char)('a' + random_below(key, draw++, letters));
        int32_t longest[TEXT_SIZE];
        matcher_run(m, (view){text, TEXT_SIZE}, longest);
        for (size_t i = 0; i < TEXT_SIZE; i++)
            assert_int_equal(longest[i], naive_longest(patterns, (view){text + i, TEXT_SIZE - i}));
        matcher_free(m);
    }
}

static void test_matcher__stays_linear_on_almost_matches(void **state)
{
    (void)state;
    enum { LONG = 4000, COUNT = 1 << 20 };
    char *pattern = NEW(char, LONG + 1), *text = NEW(char, COUNT);
    int32_t *longest = NEW(int32_t, COUNT);
    assert_true(pattern && text && longest);
    memset(pattern, 'a', LONG);
    pattern[LONG] = 'b';
    memset(text, 'a', COUNT);
    matcher *m = matcher_new();
    assert_true(matcher_add(m, VIEW("a")) && matcher_add(m, (view){pattern, LONG + 1}) && matcher_finish(m));
    double begin = clock_seconds();
    matcher_run(m, (view){text, COUNT}, longest);
    assert_true(clock_seconds() - begin < 2.0); /* a quadratic search takes minutes under a sanitizer */
    assert_int_equal(longest[0], 0);
    assert_int_equal(matcher_size(m, longest[COUNT - 1]), 1);
    matcher_free(m);
    memory_free(pattern);
    memory_free(text);
    memory_free(longest);
}

static void test_vocabulary__finds_pieces_and_ids(void **state)
{
    (void)state;
    vocabulary v = {0};
    size_t other = 99;
    char name[32];
    for (int32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "piece%d", i);
        assert_int_equal(vocabulary_add(&v, view_of(name), 3 * i, &other), VOCABULARY_ADDED);
    }
    assert_int_equal(vocabulary_add(&v, VIEW("a\0b"), 1, &other), VOCABULARY_ADDED);
    assert_int_equal(vocabulary_add(&v, VIEW("piece7"), 2, &other), VOCABULARY_SAME_PIECE);
    assert_int_equal(other, 7);
    assert_int_equal(vocabulary_add(&v, VIEW("new"), 3 * 9, &other), VOCABULARY_SAME_ID);
    assert_int_equal(other, 9);
    assert_int_equal(vocabulary_id(&v, VIEW("piece4999")), 3 * 4999);
    assert_int_equal(vocabulary_id(&v, VIEW("a\0b")), 1);
    assert_int_equal(vocabulary_id(&v, VIEW("a")), -1);
    assert_true(view_is(vocabulary_piece_of(&v, 3 * 17), "piece17"));
    assert_null(vocabulary_piece_of(&v, 4).data);
    assert_null(vocabulary_piece_of(&v, -1).data);
    assert_null(vocabulary_piece_of(&v, 1 << 20).data);
    assert_int_equal(v.id_limit, 3 * 4999 + 1);
    assert_int_equal(v.longest, 9);
    vocabulary_fini(&v);
}

static void test_vocabulary__finds_what_is_in_two_parts(void **state)
{
    (void)state;
    vocabulary v = {0};
    size_t other;
    assert_int_equal(vocabulary_add(&v, VIEW("##ing"), 4, &other), VOCABULARY_ADDED);
    uint32_t hash = vocabulary_hash_more(vocabulary_hash_more(VOCABULARY_HASH_START, VIEW("##")), VIEW("ing"));
    assert_int_equal(vocabulary_find(&v, hash, VIEW("##"), VIEW("ing")), 4);
    assert_int_equal(vocabulary_find(&v, hash, VIEW(""), VIEW("ing")), -1);
    vocabulary_fini(&v);
    assert_int_equal(vocabulary_id(&v, VIEW("x")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matcher__agrees_with_naive_search),
        cmocka_unit_test(test_matcher__stays_linear_on_almost_matches),
        cmocka_unit_test(test_vocabulary__finds_pieces_and_ids),
        cmocka_unit_test(test_vocabulary__finds_what_is_in_two_parts),
    };
    return cmocka_run_group_tests_name("matcher", tests, NULL, NULL);
}
