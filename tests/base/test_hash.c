/* SHA-256 (FIPS 180-4 examples) and FNV-1a. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/hash.h"

static void check_sha256(const char *text, size_t size, const char *expected)
{
    sha256 h;
    char hex[65];
    sha256_init(&h);
    sha256_update(&h, text, size);
    sha256_hex(&h, hex);
    assert_string_equal(hex, expected);
}

static void test_hash__sha256_known_answers(void **state)
{
    (void)state;
    static char million[1000000];
    memset(million, 'a', sizeof million);
    check_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_sha256(million, sizeof million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_hash__sha256_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    char text[300], whole[65], pieces[65];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t size = 0; size <= sizeof text; size += 5) {
        for (size_t step = 1; step < 140; step += 23) {
            sha256 h;
            sha256_init(&h);
            sha256_update(&h, text, size);
            sha256_hex(&h, whole);
            sha256_init(&h);
            for (size_t at = 0; at < size; at += step)
                sha256_update(&h, text + at, step < size - at ? step : size - at);
            sha256_hex(&h, pieces);
            assert_string_equal(whole, pieces);
        }
    }
}

static void test_hash__fnv1a_known_answers(void **state)
{
    (void)state;
    assert_true(hash_bytes("", 0) == 0xcbf29ce484222325u);
    assert_true(hash_bytes("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(hash_bytes("foobar", 6) == 0x85944171f73967e8u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__sha256_known_answers),
        cmocka_unit_test(test_hash__sha256_does_not_depend_on_the_pieces),
        cmocka_unit_test(test_hash__fnv1a_known_answers),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
