#include "policy/idempotency_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"

static void assert_digest(const struct neap_text *parts, size_t count, const char *expected)
{
    char digest[NEAP_DIGEST_BYTES];
    assert_int_equal(neap_idempotency_digest(parts, count, &memory.alloc, digest), NEAP_OK);
    assert_string_equal(digest, expected);
}

static void uuid_has_the_bits_of_version_4(void **state)
{
    (void)state;
    uint8_t zeros[16] = {0}, ones[16];
    char uuid[NEAP_UUID_BYTES];
    memset(ones, 0xFF, sizeof ones);
    neap_uuid4_format(zeros, uuid);
    assert_string_equal(uuid, "00000000-0000-4000-8000-000000000000");
    neap_uuid4_format(ones, uuid);
    assert_string_equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

static void uuid_keeps_the_other_bits_in_order(void **state)
{
    (void)state;
    const uint8_t random[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
    char uuid[NEAP_UUID_BYTES];
    neap_uuid4_format(random, uuid);
    assert_string_equal(uuid, "00112233-4455-4677-8899-aabbccddeeff");
}

static void digest_is_of_each_part_after_its_length(void **state)
{
    (void)state;
    const struct neap_text parts[] = {{"POST", 4}, {"/v1/charges", 11}, {"42", 2}};
    assert_digest(parts, 3, "9a512e6f0223ab7dae66fa9e9982968e97c6a747c9167f95b0be538b21d38bde");
}

static void digest_tells_where_one_part_ends(void **state)
{
    (void)state;
    const struct neap_text left[] = {{"ab", 2}, {"c", 1}}, right[] = {{"a", 1}, {"bc", 2}};
    assert_digest(left, 2, "430fb1b4ac43316eca81fab27a1930ab8eff8fef6a1dc7903dce44bbc2790dc5");
    assert_digest(right, 2, "5310a58788781ab25d5ad7c3f85035824b4eb7bdfa394e0ac2186271472b5492");
}

static void digest_of_nothing_and_of_empty_parts_differ(void **state)
{
    (void)state;
    const struct neap_text empty[] = {{NULL, 0}};
    assert_digest(NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(empty, 1, "ba768b331fd86cec803be04e56ab2b3d4c0e98ef4ee4fcd4e72ad7cce61a1d1f");
}

static void digest_takes_any_bytes(void **state)
{
    (void)state;
    const struct neap_text parts[] = {{"a\0\xff", 3}};
    assert_digest(parts, 1, "199d35562329b8e959968ce3d2dc5280f1dac96fe99066ca9ba83f4bac7738ea");
}

static void digest_without_memory_leaves_the_result(void **state)
{
    (void)state;
    const struct neap_text parts[] = {{"a", 1}};
    const struct neap_text endless[] = {{"a", SIZE_MAX}, {"b", 1}};
    char digest[NEAP_DIGEST_BYTES] = "untouched";
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_idempotency_digest(parts, 1, &memory.alloc, digest), NEAP_NO_MEMORY);
    assert_int_equal(neap_idempotency_digest(endless, 2, &memory.alloc, digest), NEAP_NO_MEMORY);
    assert_string_equal(digest, "untouched");
}

static void credential_digest_is_plain_sha_256(void **state)
{
    (void)state;
    char digest[NEAP_DIGEST_BYTES];
    neap_credential_digest("abc", 3, digest);
    assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    neap_credential_digest("", 0, digest);
    assert_string_equal(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static bool is_valid(const char *key)
{
    return neap_idempotency_key_is_valid(key, strlen(key));
}

static void a_key_is_printable_ascii(void **state)
{
    (void)state;
    assert_true(is_valid("a"));
    assert_true(is_valid("order 42 / \"x\\y\" ~!"));
    assert_false(is_valid("a\tb"));
    assert_false(is_valid("a\nb"));
    assert_false(is_valid("a\x7f"));
    assert_false(is_valid("a\x1f"));
    assert_false(is_valid("\xc3\xa4"));
    assert_false(neap_idempotency_key_is_valid("a\0b", 3));
}

static void a_key_neither_begins_nor_ends_with_a_space(void **state)
{
    (void)state;
    assert_true(is_valid("a b"));
    assert_false(is_valid(" a"));
    assert_false(is_valid("a "));
    assert_false(is_valid(" "));
}

static void a_key_has_1_to_255_characters(void **state)
{
    (void)state;
    char key[257];
    memset(key, 'k', sizeof key);
    assert_false(neap_idempotency_key_is_valid(key, 0));
    assert_false(neap_idempotency_key_is_valid(NULL, 0));
    assert_true(neap_idempotency_key_is_valid(key, 1));
    assert_true(neap_idempotency_key_is_valid(key, 255));
    assert_false(neap_idempotency_key_is_valid(key, 256));
}

static void assert_quoted(const char *key, const char *expected)
{
    char quoted[64];
    assert_int_equal(neap_idempotency_key_quote(key, strlen(key), quoted), strlen(expected));
    assert_string_equal(quoted, expected);
}

static void quoting_escapes_quotes_and_backslashes(void **state)
{
    (void)state;
    assert_quoted("abc", "\"abc\"");
    assert_quoted("", "\"\"");
    assert_quoted("a\"b\\c", "\"a\\\"b\\\\c\"");
}

static void quoting_stays_within_its_room(void **state)
{
    (void)state;
    char quoted[2 * 3 + 3 + 1] = "#########";
    assert_int_equal(neap_idempotency_key_quote("\"\"\"", 3, quoted), 8);
    assert_string_equal(quoted, "\"\\\"\\\"\\\"\"");
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(uuid_has_the_bits_of_version_4),
        SPEC(uuid_keeps_the_other_bits_in_order),
        SPEC(digest_is_of_each_part_after_its_length),
        SPEC(digest_tells_where_one_part_ends),
        SPEC(digest_of_nothing_and_of_empty_parts_differ),
        SPEC(digest_takes_any_bytes),
        SPEC(digest_without_memory_leaves_the_result),
        SPEC(credential_digest_is_plain_sha_256),
        SPEC(a_key_is_printable_ascii),
        SPEC(a_key_neither_begins_nor_ends_with_a_space),
        SPEC(a_key_has_1_to_255_characters),
        SPEC(quoting_escapes_quotes_and_backslashes),
        SPEC(quoting_stays_within_its_room),
    };
    return cmocka_run_group_tests_name("idempotency_key", tests, NULL, NULL);
}
