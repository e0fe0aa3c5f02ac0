/* SentencePiece files: whatever is done to the bytes of one, opening it answers with a tokenizer or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <tokray/session.h>

#include "base/folder.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/workplace.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

static char *read_model(size_t *size)
{
    char place[WORK_PATH];
    const char *data = getenv("TOKRAY_TEST_DATA");
    assert_true(work_path(place, data ? data : "tests/data", "tokenizers/sentencepiece-bpe"));
    char *bytes = work_read(place, "spiece.model", size);
    assert_non_null(bytes);
    return bytes;
}

/* Status of reading the bytes; TKR_OK: the file is good. */
static tkr_status try_bytes(const char *bytes, size_t size)
{
    tkr_error error = {0};
    sentencepiece_file file;
    loader l = {.file = "spiece.model", .memory = arena_new(1 << 22), .error = &error};
    bool good = sentencepiece_read(&l, (view){bytes, size}, &file);
    assert_int_equal(good, error.code == TKR_OK);
    arena_free(l.memory);
    return error.code;
}

static void test_sentencepiece__reads_the_whole_file(void **state)
{
    (void)state;
    size_t size;
    char *bytes = read_model(&size);
    assert_int_equal(try_bytes(bytes, size), TKR_OK);
    assert_int_equal(try_bytes("", 0), TKR_E_TOK_SENTENCEPIECE);
    free(bytes);
}

/* Exact copies of each beginning, so that a read past the end is a read outside the block. */
static void test_sentencepiece__every_truncation_is_answered(void **state)
{
    (void)state;
    size_t size, refused = 0;
    char *bytes = read_model(&size);
    for (size_t i = 1; i < size; i++) {
        char *part = malloc(i);
        assert_non_null(part);
        memcpy(part, bytes, i);
        refused += try_bytes(part, i) != TKR_OK;
        free(part);
    }
    assert_true(refused > size / 2);
    free(bytes);
}

static void test_sentencepiece__flipped_bytes_are_answered(void **state)
{
    (void)state;
    size_t size, refused = 0;
    char *bytes = read_model(&size);
    random_key key = {1, random_purpose("flips"), 0};
    for (uint64_t i = 0; i < 3000; i++) {
        size_t at = random_below(key, 2 * i, (uint32_t)size);
        char old = bytes[at];
        bytes[at] = (char)random_below(key, 2 * i + 1, 256);
        refused += try_bytes(bytes, size) != TKR_OK;
        bytes[at] = old;
    }
    assert_true(refused > 100);
    free(bytes);
}

static void test_sentencepiece__malformed_fields(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11},         /* a length beyond everything */
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 13}, /* a varint of 12 bytes       */
        {"\x0B\x0C", 2},                                              /* a group                    */
        {"\x08\x01", 2},                                              /* pieces as a number         */
        {"\x0A\x02\x08\x01", 4},                                      /* a piece's text as a number */
        {"\x0A\x00", 2},                                              /* an empty piece             */
        {"\x02\x00", 2},                                              /* field number 0             */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(try_bytes(cases[i].bytes, cases[i].size), TKR_E_TOK_SENTENCEPIECE);
}

/* Every way to build around a file: without memory it ends with limit.oom, never with a tokenizer that lacks a part. */
static void check_every_failed_allocation(const char *name, const char *family)
{
    const char *data = getenv("TOKRAY_TEST_DATA");
    char place[WORK_PATH], tokenizers[WORK_PATH];
    assert_true(work_path(tokenizers, data ? data : "tests/data", "tokenizers") && work_path(place, tokenizers, name));
    folder *f = folder_open(place, false, NULL);
    assert_non_null(f);
    uint64_t held = tkr_memory_now(), nth = 0;
    for (bool done = false; !done;) {
        tkr_error error = {0};
        memory_fail_at(++nth, 0);
        tokenizer *t = tokenizer_open(f, family, false, &error);
        done = memory_allocations() < nth;
        memory_fail_at(0, 0);
        if (done != (t != NULL))
            fail_msg("%s, allocation %llu: %s", family, (unsigned long long)nth, error.message);
        assert_int_equal(error.code, done ? TKR_OK : TKR_E_LIMIT_OOM);
        tokenizer_free(t);
        assert_int_equal(tkr_memory_now(), held);
    }
    assert_true(nth > 10);
    folder_close(f);
}

static void test_sentencepiece__survives_every_failed_allocation(void **state)
{
    (void)state;
    check_every_failed_allocation("sentencepiece-bpe", "llama");
    check_every_failed_allocation("sentencepiece-bpe", "none");
    check_every_failed_allocation("sentencepiece-unigram", "t5");
    check_every_failed_allocation("sentencepiece-unigram", "xlm-roberta");
    check_every_failed_allocation("sentencepiece-unigram", "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentencepiece__reads_the_whole_file),
        cmocka_unit_test(test_sentencepiece__every_truncation_is_answered),
        cmocka_unit_test(test_sentencepiece__flipped_bytes_are_answered),
        cmocka_unit_test(test_sentencepiece__malformed_fields),
        cmocka_unit_test(test_sentencepiece__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("sentencepiece", tests, NULL, NULL);
}
