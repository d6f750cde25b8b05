#include "policy/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/canonical_json.h"
#include "support/memory.h"

struct print {
    uint8_t byte[NEAP_FINGERPRINT_BYTES];
};

static struct neap_text text_of(const char *text)
{
    return (struct neap_text){text, strlen(text)};
}

static struct print print_of(enum neap_fingerprint_kind kind, const char *method, const char *path,
                             struct neap_text body)
{
    struct print print;
    struct neap_fingerprint_parts parts = {text_of(method), text_of(path), body};
    assert_int_equal(neap_fingerprint(kind, &parts, &memory.alloc, print.byte), NEAP_OK);
    return print;
}

static struct print bytes_of(const char *body)
{
    return print_of(NEAP_FINGERPRINT_BYTES_OF_BODY, "POST", "/pay", text_of(body));
}

static struct print json_of(const char *body)
{
    return print_of(NEAP_FINGERPRINT_JSON, "POST", "/pay", text_of(body));
}

static bool is_same(struct print a, struct print b)
{
    return memcmp(a.byte, b.byte, sizeof a.byte) == 0;
}

static void assert_hex(struct print print, const char *expected)
{
    char hex[2 * NEAP_FINGERPRINT_BYTES + 1];
    for (size_t i = 0; i < NEAP_FINGERPRINT_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", print.byte[i]);
    assert_string_equal(hex, expected);
}

static void the_format_stays(void **state)
{
    (void)state;
    struct print print;
    assert_hex(bytes_of("a=1"), "22e57abe7dc9a51004137c4666dab092ad8410d95155fff5a79cb27f6358754d");
    assert_hex(bytes_of(""), "26c7260c4b7930fb9fe8843c0c9d94b939fdc64d0c413f24eab464ef954b5d6b");
    assert_hex(json_of("{\"b\":[1,2],\"a\":null}"),
               "f1350c1b13c2f881a5d0c24de2a0c88d6d376eaf0220154557337fe66538a3d7");
    assert_int_equal(neap_fingerprint_of_text(text_of("order 1"), print.byte), NEAP_OK);
    assert_hex(print, "b657daa6a9016fd77b9a3bb161556f19a70f9c85217d9e213c582050460cab8d");
}

static void each_part_counts(void **state)
{
    (void)state;
    const enum neap_fingerprint_kind kinds[] = {NEAP_FINGERPRINT_BYTES_OF_BODY,
                                                NEAP_FINGERPRINT_JSON};
    for (size_t i = 0; i < 2; i++) {
        struct print print = print_of(kinds[i], "POST", "/pay?a=1", text_of("1"));
        assert_true(is_same(print, print_of(kinds[i], "POST", "/pay?a=1", text_of("1"))));
        assert_false(is_same(print, print_of(kinds[i], "PATCH", "/pay?a=1", text_of("1"))));
        assert_false(is_same(print, print_of(kinds[i], "post", "/pay?a=1", text_of("1"))));
        assert_false(is_same(print, print_of(kinds[i], "POST", "/pay?a=2", text_of("1"))));
        assert_false(is_same(print, print_of(kinds[i], "POST", "/pay", text_of("1"))));
        assert_false(is_same(print, print_of(kinds[i], "POST", "/pay?a=1", text_of("2"))));
    }
}

static void a_part_does_not_run_into_the_next(void **state)
{
    (void)state;
    const enum neap_fingerprint_kind kind = NEAP_FINGERPRINT_BYTES_OF_BODY;
    struct print print = print_of(kind, "POST", "/pay", text_of("x"));
    assert_false(is_same(print, print_of(kind, "POST/", "pay", text_of("x"))));
    assert_false(is_same(print, print_of(kind, "POST", "/payx", text_of(""))));
    assert_false(is_same(print, print_of(kind, "", "POST/pay", text_of("x"))));
}

static void a_body_may_be_any_bytes_or_none(void **state)
{
    (void)state;
    const enum neap_fingerprint_kind kind = NEAP_FINGERPRINT_BYTES_OF_BODY;
    const struct neap_text nul = {"a\0b", 3}, other = {"a\0c", 3}, none = {NULL, 0};
    struct print print = print_of(kind, "POST", "/pay", nul);
    assert_false(is_same(print, print_of(kind, "POST", "/pay", other)));
    assert_true(is_same(bytes_of(""), print_of(kind, "POST", "/pay", none)));
    assert_true(is_same(json_of(""), print_of(NEAP_FINGERPRINT_JSON, "POST", "/pay", none)));
}

static void as_bytes_a_body_counts_byte_by_byte(void **state)
{
    (void)state;
    assert_false(is_same(bytes_of("{\"a\":1,\"b\":2}"), bytes_of("{\"b\":2,\"a\":1}")));
    assert_false(is_same(bytes_of("{\"a\":1}"), bytes_of("{\"a\": 1}")));
}

static void as_json_equal_values_are_equal(void **state)
{
    (void)state;
    assert_true(is_same(json_of("{\"a\":1,\"b\":{\"c\":[],\"d\":\"A\"}}"),
                        json_of(" {\"b\": {\"d\":\"\\u0041\", \"c\":[ ]},\n\"a\":1}")));
    assert_false(is_same(json_of("{\"a\":1}"), json_of("{\"a\":1.0}")));
    assert_false(is_same(json_of("[1,2]"), json_of("[2,1]")));
    assert_false(is_same(json_of("{\"a\":1,\"a\":2}"), json_of("{\"a\":2,\"a\":1}")));
}

static void a_body_that_is_not_json_counts_by_its_bytes(void **state)
{
    (void)state;
    assert_true(is_same(json_of("a=1&b=2"), bytes_of("a=1&b=2")));
    assert_false(is_same(json_of("{\"a\":1,}"), json_of("{\"a\":1, }")));
    assert_true(is_same(json_of(""), bytes_of("")));
}

static void a_body_that_is_json_never_equals_one_by_its_bytes(void **state)
{
    (void)state;
    const char *const bodies[] = {"1", "{}", "[]", "\"a\"", "{\"a\":1}", "null"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_false(is_same(json_of(bodies[i]), bytes_of(bodies[i])));
        char *canonical = NULL;
        size_t bytes = 0;
        assert_int_equal(
            neap_canonical_json(bodies[i], strlen(bodies[i]), &memory.alloc, &canonical, &bytes),
            NEAP_OK);
        assert_false(
            is_same(json_of(bodies[i]), print_of(NEAP_FINGERPRINT_BYTES_OF_BODY, "POST", "/pay",
                                                 (struct neap_text){canonical, bytes})));
        neap_free(&memory.alloc, canonical);
    }
}

static void a_body_nested_too_deeply_counts_by_its_bytes(void **state)
{
    (void)state;
    char body[2 * NEAP_JSON_DEPTH_MAX + 3] = {0};
    memset(body, '[', NEAP_JSON_DEPTH_MAX + 1);
    memset(body + NEAP_JSON_DEPTH_MAX + 1, ']', NEAP_JSON_DEPTH_MAX + 1);
    assert_true(is_same(json_of(body), bytes_of(body)));
    body[2 * NEAP_JSON_DEPTH_MAX + 1] = '\0';
    assert_false(is_same(json_of(body + 1), bytes_of(body + 1)));
}

static void a_text_of_the_policys_own_replaces_all_parts(void **state)
{
    (void)state;
    struct print one, same, other;
    assert_int_equal(neap_fingerprint_of_text(text_of("order 1"), one.byte), NEAP_OK);
    assert_int_equal(neap_fingerprint_of_text(text_of("order 1"), same.byte), NEAP_OK);
    assert_int_equal(neap_fingerprint_of_text(text_of("order 2"), other.byte), NEAP_OK);
    assert_true(is_same(one, same));
    assert_false(is_same(one, other));
}

static void without_memory_the_result_is_left(void **state)
{
    (void)state;
    struct neap_fingerprint_parts parts = {text_of("POST"), text_of("/pay"),
                                           text_of("{\"a\":1,\"b\":2}")};
    enum neap_status status = NEAP_NO_MEMORY;
    for (size_t n = 1; status != NEAP_OK; n++) {
        struct print print = {{7}};
        failing_alloc_fail(&memory, n);
        status = neap_fingerprint(NEAP_FINGERPRINT_JSON, &parts, &memory.alloc, print.byte);
        assert_true(status == NEAP_OK || (status == NEAP_NO_MEMORY && print.byte[0] == 7));
        assert_true(n > 5 || status != NEAP_OK);
    }
}

static void as_bytes_nothing_is_allocated(void **state)
{
    (void)state;
    (void)bytes_of("{\"a\":1}");
    assert_int_equal(memory.allocations, 0);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(the_format_stays),
        SPEC(each_part_counts),
        SPEC(a_part_does_not_run_into_the_next),
        SPEC(a_body_may_be_any_bytes_or_none),
        SPEC(as_bytes_a_body_counts_byte_by_byte),
        SPEC(as_json_equal_values_are_equal),
        SPEC(a_body_that_is_not_json_counts_by_its_bytes),
        SPEC(a_body_that_is_json_never_equals_one_by_its_bytes),
        SPEC(a_body_nested_too_deeply_counts_by_its_bytes),
        SPEC(a_text_of_the_policys_own_replaces_all_parts),
        SPEC(without_memory_the_result_is_left),
        SPEC(as_bytes_nothing_is_allocated),
    };
    return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
