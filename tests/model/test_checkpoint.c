/* Checkpoints: what is accepted, and each rule of safetensors and of the shard index broken once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "model/checkpoint.h"
#include "support/make_model.h"
#include "support/workplace.h"

#define META "\"__metadata__\":{\"format\":\"pt\"}"
#define ENTRY(name, dtype, shape, offsets)                                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static char place[WORK_PATH];

static int make_place(void **state)
{
    (void)state;
    return work_folder_new(place) ? 0 : -1;
}

static int remove_place(void **state)
{
    (void)state;
    return work_folder_remove(place) ? 0 : -1;
}

static void write_header(const char *header, size_t data_size)
{
    unsigned char data[256];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)i;
    assert_true(data_size <= sizeof data);
    assert_true(make_safetensors(place, "model.safetensors", header, strlen(header), data, data_size));
}

static checkpoint *open_place(notes *n, tkr_error *error)
{
    folder *f = folder_open(place, false, error);
    assert_non_null(f);
    checkpoint *c = checkpoint_open(f, false, n, error);
    folder_close(f);
    return c;
}

static void assert_refused(const char *label, const char *status, const char *text)
{
    tkr_error error = {0};
    notes n = {0};
    checkpoint *c = open_place(&n, &error);
    if (c || strcmp(tkr_status_name(error.code), status) != 0 || !strstr(error.message, text))
        fail_msg("%s: wanted %s: %s\n got %s: %s", label, status, text,
                 c ? "success" : tkr_status_name(error.code), error.message);
    notes_fini(&n);
}

static void test_checkpoint__finds_tensors_by_name(void **state)
{
    (void)state;
    write_header("{" META "," ENTRY("b", "F32", "[2,2]", "[4,20]") "," ENTRY("a", "U8", "[4]", "[0,4]") "}",
                 20);
    tkr_error error = {0};
    notes n = {0};
    checkpoint *c = open_place(&n, &error);
    assert_non_null(c);
    assert_int_equal(c->count, 2);
    const stored_tensor *b = checkpoint_find(c, "b");
    assert_non_null(b);
    assert_string_equal(b->dtype, "F32");
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->bytes, 16);
    assert_int_equal(b->data[0], 4);
    assert_null(checkpoint_find(c, "c"));
    assert_null(checkpoint_find(c, "__metadata__"));
    assert_string_equal(SHAPE(b->shape, b->rank), "[2, 2]");
    assert_int_equal(n.count, 0);
    checkpoint_close(c);
}

static void test_checkpoint__accepts_what_the_format_allows(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
    } good[] = {
        {"{}", 0},
        {" \n\t{" ENTRY("a", "F32", "[1]", "[0,4]") "}  \n", 4},
        {"{" ENTRY("a", "F32", "[]", "[0,4]") "}", 4},
        {"{" ENTRY("a", "F32", "[0,1099511627776]", "[0,0]") "," ENTRY("b", "U8", "[3]", "[0,3]") "}", 3},
        {"{" ENTRY("a", "F4", "[6]", "[0,3]") "}", 3},
        {"{" ENTRY("a", "BOOL", "[2,1,1,1,1,1,1,1]", "[0,2]") "}", 2},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"note\":\"x\"}}", 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        tkr_error error = {0};
        notes n = {0};
        write_header(good[i].header, good[i].data);
        checkpoint *c = open_place(&n, &error);
        if (!c)
            fail_msg("%s: %s", good[i].header, error.message);
        assert_int_equal(n.count, strstr(good[i].header, "note") ? 1 : 0);
        checkpoint_close(c);
        notes_fini(&n);
    }
}

static void test_checkpoint__refuses_broken_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *status, *text;
    } bad[] = {
        {"[]", 0, "st.header_json", "header is an array; it must be an object"},
        {"\"x\"", 0, "st.header_json", "header is a string"},
        {"null", 0, "st.header_json", "header is null"},
        {"{\"a\xFF\":1}", 0, "st.header_json", "not UTF-8"},
        {"{\"a", 0, "st.header_json", "line 1 column"},
        {"x{}", 0, "st.header_json", "line 1 column"},
        {"{" ENTRY("a", "U8", "[1]", "[0,1]") "," ENTRY("a", "U8", "[1]", "[1,2]") "}", 2, "json.duplicate_key",
         "\"a\""},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "json.duplicate_key", "dtype"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "st.metadata",
         "value of \"a\" in __metadata__ is a number; only strings"},
        {"{\"__metadata__\":[]}", 0, "st.metadata", "an array"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "st.entry", "tensor \"a\" has no \"dtype\""},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "st.entry", "tensor \"a\" has no \"shape\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "st.entry", "tensor \"a\" has no \"data_offsets\""},
        {"{\"a\":[\"U8\",[1],[0,1]]}", 1, "st.entry", "tensor \"a\" is an array; it must be an object"},
        {"{" ENTRY("a", "FLOAT32", "[1]", "[0,4]") "}", 4, "st.dtype", "unknown dtype \"FLOAT32\""},
        {"{" ENTRY("a", "", "[1]", "[0,4]") "}", 4, "st.dtype", "unknown dtype \"\""},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "st.dtype", "is a number"},
        {"{" ENTRY("a", "U8", "[-1]", "[0,1]") "}", 1, "st.shape", "dimension 0 of tensor \"a\" is -1"},
        {"{" ENTRY("a", "U8", "[1.5]", "[0,1]") "}", 1, "st.shape", "whole number"},
        {"{" ENTRY("a", "U8", "[\"2\"]", "[0,1]") "}", 1, "st.shape", "a string"},
        {"{" ENTRY("a", "U8", "[true]", "[0,1]") "}", 1, "st.shape", "true"},
        {"{" ENTRY("a", "U8", "null", "[0,1]") "}", 1, "st.shape", "null"},
        {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "st.shape", "9 dimensions; at most 8"},
        {"{" ENTRY("a", "U8", "[2,18446744073709551614]", "[0,1]") "}", 1, "st.header_json", "too big integer"},
        {"{" ENTRY("a", "U8", "[281474976710657]", "[0,1]") "}", 1, "st.shape", "281474976710657"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0, "st.size_overflow",
         "larger than any file"},
        {"{" ENTRY("a", "F32", "[65536,65536,65536,16384]", "[0,0]") "}", 0, "st.size_overflow",
         "larger than any file"},
        {"{" ENTRY("a", "F4", "[3]", "[0,1]") "}", 1, "st.size_mismatch", "whole number of bytes"},
        {"{" ENTRY("a", "U8", "[4]", "[4,0]") "}", 4, "st.offsets", "end 0 is before begin 4"},
        {"{" ENTRY("a", "U8", "[4]", "[-4,0]") "}", 4, "st.offsets", "begins before the data"},
        {"{" ENTRY("a", "U8", "[4]", "[0]") "}", 4, "st.entry", "two whole numbers"},
        {"{" ENTRY("a", "U8", "[4]", "[0,1,2]") "}", 4, "st.entry", "two whole numbers"},
        {"{" ENTRY("a", "U8", "[4]", "[\"0\",\"4\"]") "}", 4, "st.entry", "two whole numbers"},
        {"{" ENTRY("a", "U8", "[4]", "[0.0,4.0]") "}", 4, "st.entry", "two whole numbers"},
        {"{" ENTRY("a", "U8", "[4]", "{}") "}", 4, "st.entry", "two whole numbers"},
        {"{" ENTRY("a", "U8", "[17]", "[0,17]") "}", 16, "st.offsets",
         "[0, 17] passes the end of the data (16 bytes)"},
        {"{" ENTRY("a", "U8", "[16]", "[0,16]") "}", 49, "st.trailing", "33 bytes after the last tensor"},
        {"{" ENTRY("a", "U8", "[16]", "[0,16]") "," ENTRY("b", "U8", "[16]", "[0,16]") "}", 16, "st.overlap",
         "before the end 16"},
        {"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[12,16]") "}", 16, "st.gap",
         "8 unused bytes before tensor \"b\""},
        {"{" ENTRY("a", "U8", "[4]", "[8,12]") "}", 12, "st.gap", "8 unused bytes before tensor \"a\""},
        {"{" ENTRY("a", "F32", "[2,2]", "[0,4]") "}", 4, "st.size_mismatch",
         "shape [2, 2] of F32 needs 16 bytes, data_offsets give 4"},
        {"{" ENTRY("", "U8", "[1]", "[0,1]") "}", 1, "st.name", "0 bytes"},
        {"{" ENTRY("a\\u001b", "U8", "[1]", "[0,1]") "}", 1, "st.name", "control character"},
        {"{" ENTRY("a\\u0000b", "U8", "[1]", "[0,1]") "}", 1, "st.header_json", "U+0000"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_header(bad[i].header, bad[i].data);
        assert_refused(bad[i].header, bad[i].status, bad[i].text);
    }
}

static void test_checkpoint__refuses_broken_lengths(void **state)
{
    (void)state;
    static const struct {
        const char bytes[16];
        size_t size;
        const char *status, *text;
    } bad[] = {
        {"", 0, "st.too_short", "0 bytes; a safetensors file has at least 10"},
        {"\2\0\0\0\0\0\0", 7, "st.too_short", "7 bytes"},
        {"\0\0\0\0\0\0\0\0{}", 10, "st.header_length", "header length 0; it must be 2 to"},
        {"\377\377\377\377\377\377\377\377{}", 10, "st.header_too_large",
         "18446744073709551615; the limit is 33554432"},
        {"\370\377\377\377\377\377\377\377{}", 10, "st.header_too_large", "18446744073709551608"},
        {"\12\0\0\0\0\0\0\0{}", 10, "st.header_length",
         "header length 10 passes the end of the file (10 bytes)"},
        {"<!DOCTYPE html>", 15, "st.header_too_large", "this is a web page"},
        {"PK\3\4abcdefgh", 12, "st.header_too_large", "looks like a zip archive"},
        {"\x1f\x8b"
         "abcdefgh",
         10, "st.header_too_large", "gzip"},
        {"\x80\x02"
         "abcdefgh",
         10, "st.header_too_large", "pickle"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(work_write(place, "model.safetensors", bad[i].bytes, bad[i].size));
        assert_refused(bad[i].text, bad[i].status, bad[i].text);
    }
    assert_true(work_write_text(place, "model.safetensors",
                                "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"));
    assert_refused("pointer", "st.lfs_pointer",
                   "is a git-lfs pointer (64 bytes), not the weights; run git lfs pull");
}

/* A file of `count` empty tensors named t0, t1, ... with extra bytes of metadata. */
static void write_many(size_t count, size_t metadata)
{
    size_t room = 64 + metadata + count * 64, used = 0;
    char *header = malloc(room);
    assert_non_null(header);
    used += (size_t)snprintf(header, room, "{\"__metadata__\":{\"a\":\"");
    memset(header + used, 'x', metadata);
    used += metadata;
    used += (size_t)snprintf(header + used, room - used, "\"}");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(header + used, room - used,
                                 ",\"t%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
    header[used++] = '}';
    assert_true(make_safetensors(place, "model.safetensors", header, used, "", 0));
    free(header);
}

static void test_checkpoint__limits_tensors_and_metadata(void **state)
{
    (void)state;
    write_many(1, (size_t)2 << 20);
    assert_refused("metadata", "limit.metadata", "the limit is 1048576");
    write_many(TENSORS_MAX + 1, 0);
    assert_refused("tensors", "limit.tensors", "262145 tensors; the limit is 262144");
}

static void test_checkpoint__says_what_other_formats_it_found(void **state)
{
    (void)state;
    assert_refused("nothing", "path.not_found", "has no model.safetensors");
    assert_true(work_write_text(place, "tf_model.h5", "x"));
    assert_refused("h5", "unsupported.format", "found \"tf_model.h5\"; Tokray reads safetensors");
    assert_true(work_write_text(place, "pytorch_model.bin", "x"));
    assert_refused("bin", "unsupported.pickle", "only \"pytorch_model.bin\" found");
}

/* ---- shards ----------------------------------------------------------------------------------------------------- */

#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"

static void write_shard(const char *name, const char *tensor)
{
    char header[200];
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", tensor);
    assert_true(make_safetensors(place, name, header, strlen(header), "xy", 2));
}

static void write_index(const char *map)
{
    char text[1200];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":4},\"weight_map\":%s}", map);
    assert_true(work_write_text(place, "model.safetensors.index.json", text));
}

static void write_good_shards(void)
{
    write_shard(SHARD1, "a");
    write_shard(SHARD2, "b");
    write_index("{\"a\":\"" SHARD1 "\",\"b\":\"" SHARD2 "\"}");
}

static void test_checkpoint__reads_shards(void **state)
{
    (void)state;
    tkr_error error = {0};
    notes n = {0};
    write_good_shards();
    checkpoint *c = open_place(&n, &error);
    assert_non_null(c);
    assert_int_equal(c->count, 2);
    assert_string_equal(c->files[checkpoint_find(c, "b")->file].name, SHARD2);
    assert_int_equal(n.count, 0);
    checkpoint_close(c);
}

static void test_checkpoint__notes_what_is_odd_about_shards(void **state)
{
    (void)state;
    tkr_error error = {0};
    notes n = {0};
    write_good_shards();
    write_index("{\"a\":\"" SHARD1 "\"}");
    checkpoint *c = open_place(&n, &error);
    assert_non_null(c);
    checkpoint_close(c);
    assert_int_equal(n.count, 1); /* total_size */
    assert_non_null(strstr(n.text[0], "total_size is 4"));
    notes_fini(&n);

    char header[] = "{" ENTRY("a", "U8", "[1]", "[0,1]") "," ENTRY("z", "U8", "[1]", "[1,2]") "}";
    assert_true(make_safetensors(place, SHARD1, header, sizeof header - 1, "xy", 2));
    write_index("{\"a\":\"" SHARD1 "\",\"b\":\"" SHARD2 "\"}");
    c = open_place(&n, &error);
    assert_non_null(c);
    assert_null(checkpoint_find(c, "z"));
    assert_non_null(strstr(n.text[0], "not in the map and were ignored: \"z\""));
    checkpoint_close(c);
    notes_fini(&n);

    write_shard("model.safetensors", "a");
    c = open_place(&n, &error);
    assert_non_null(c);
    assert_int_equal(c->file_count, 1);
    assert_non_null(strstr(n.text[0], "the single file is used"));
    checkpoint_close(c);
    notes_fini(&n);
}

static void test_checkpoint__refuses_broken_indices(void **state)
{
    (void)state;
    static const struct {
        const char *map, *status, *text;
    } bad[] = {
        {"[]", "index.type", "has no weight_map object"},
        {"{\"a\":1}", "index.type", "weight_map \"a\" is a number; it must be a file name"},
        {"{\"a\":null}", "index.type", "weight_map \"a\" is null"},
        {"{\"a\":\"../../other.safetensors\"}", "path.escape",
         "shard name \"../../other.safetensors\" is not a plain file name"},
        {"{\"a\":\"/etc/x.safetensors\"}", "path.escape", "not a plain file name"},
        {"{\"a\":\"C:\\\\x.safetensors\"}", "path.escape", "not a plain file name"},
        {"{\"a\":\"a/b.safetensors\"}", "path.escape", "not a plain file name"},
        {"{\"a\":\".\"}", "path.escape", "not a plain file name"},
        {"{\"a\":\"\"}", "path.escape", "not a plain file name"},
        {"{\"a\":\"config.json\"}", "path.escape", "ends in .safetensors"},
        {"{\"a\":\"model.safetensors.index.json\"}", "path.escape", "ends in .safetensors"},
        {"{\"a\":\"nowhere.safetensors\"}", "index.missing",
         "shard \"nowhere.safetensors\" is not in the folder"},
        {"{\"a\":\"" SHARD1 "\",\"c\":\"" SHARD2 "\"}", "index.missing",
         "tensor \"c\" is not in shard \"" SHARD2 "\""},
        {"{\"a\":\"" SHARD2 "\",\"b\":\"" SHARD1 "\"}", "index.missing",
         "tensor \"a\" is not in shard \"" SHARD2 "\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_good_shards();
        write_index(bad[i].map);
        assert_refused(bad[i].map, bad[i].status, bad[i].text);
    }
    write_good_shards();
    write_shard(SHARD2, "a");
    assert_refused("twice", "index.duplicate", "tensor \"a\" is in two shards");
}

static void test_checkpoint__limits_shards(void **state)
{
    (void)state;
    size_t room = 64 * 1100, used = 0;
    char *text = malloc(room);
    assert_non_null(text);
    used = (size_t)snprintf(text, room, "{\"weight_map\":{");
    for (size_t i = 0; i <= SHARDS_MAX; i++)
        used +=
            (size_t)snprintf(text + used, room - used, "%s\"t%zu\":\"s%zu.safetensors\"", i ? "," : "", i, i);
    snprintf(text + used, room - used, "}}");
    assert_true(work_write_text(place, "model.safetensors.index.json", text));
    free(text);
    assert_refused("shards", "limit.shards", "1025 shards; the limit is 1024");
}

static void test_checkpoint__hashes_the_bytes(void **state)
{
    (void)state;
    char got[65];
    tkr_error error = {0};
    notes n = {0};
    write_header("{}", 0);
    checkpoint *c = open_place(&n, &error);
    assert_non_null(c);
    checkpoint_sha256(c, got);
    assert_string_equal(got, "411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd");
    assert_int_equal(checkpoint_bytes(c), 10);
    assert_int_equal(checkpoint_unchanged(c, &error), TKR_OK);
    checkpoint_close(c);
}

static void test_checkpoint__survives_every_allocation_failing(void **state)
{
    (void)state;
    write_good_shards();
    memory_fail_at(0, 0);
    tkr_error error = {0};
    notes n = {0};
    checkpoint_close(open_place(&n, &error));
    uint64_t allocations = memory_allocations();
    assert_true(allocations > 5);
    for (uint64_t i = 1; i <= allocations; i++) {
        tkr_error told = {0};
        folder *f = folder_open(place, false, &told);
        memory_fail_at(i, 0);
        checkpoint *c = checkpoint_open(f, true, &n, &told);
        memory_fail_at(0, 0);
        assert_true(c || told.code == TKR_E_LIMIT_OOM);
        checkpoint_close(c);
        folder_close(f);
    }
    notes_fini(&n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_checkpoint__##name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_tensors_by_name),
        TEST(accepts_what_the_format_allows),
        TEST(refuses_broken_headers),
        TEST(refuses_broken_lengths),
        TEST(limits_tensors_and_metadata),
        TEST(says_what_other_formats_it_found),
        TEST(reads_shards),
        TEST(notes_what_is_odd_about_shards),
        TEST(refuses_broken_indices),
        TEST(limits_shards),
        TEST(hashes_the_bytes),
        TEST(survives_every_allocation_failing),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
