#include "policy/canonical_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "support/memory.h"

struct canon {
    enum neap_status status;
    char *text;
    size_t bytes;
};

static struct canon canon_of_bytes(const char *text, size_t bytes)
{
    struct canon canon = {.text = NULL};
    canon.status = neap_canonical_json(text, bytes, &memory.alloc, &canon.text, &canon.bytes);
    return canon;
}

static bool are_equal_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    struct canon left = canon_of_bytes(a, a_bytes), right = canon_of_bytes(b, b_bytes);
    assert_int_equal(left.status, NEAP_OK);
    assert_int_equal(right.status, NEAP_OK);
    assert_true(left.bytes <= a_bytes);
    bool equal = left.bytes == right.bytes && memcmp(left.text, right.text, left.bytes) == 0;
    neap_free(&memory.alloc, left.text);
    neap_free(&memory.alloc, right.text);
    return equal;
}

static void assert_equal_values(const char *a, const char *b)
{
    if (!are_equal_bytes(a, strlen(a), b, strlen(b)))
        fail_msg("%s and %s should be the same", a, b);
}

static void assert_other_values(const char *a, const char *b)
{
    if (are_equal_bytes(a, strlen(a), b, strlen(b)))
        fail_msg("%s and %s should differ", a, b);
}

static bool is_json(const char *text, size_t bytes)
{
    struct canon canon = canon_of_bytes(text, bytes);
    neap_free(&memory.alloc, canon.text);
    return canon.status == NEAP_OK;
}

static void equal_values_have_one_text(void **state)
{
    (void)state;
    const char *const pairs[][2] = {
        {"1", " 1\n"},
        {"{}", " { \t} "},
        {"[]", "[ \r\n ]"},
        {"[1,2]", " [ 1 , 2 ] "},
        {"\"A\"", "\"\\u0041\""},
        {"{\"a\":1,\"b\":2}", "{ \"b\" : 2 , \"a\" : 1 }"},
        {"{\"a\":1,\"b\":2}", "{\"\\u0062\":2,\"\\u0061\":1}"},
        {"{\"\\ud83d\\ude00\":1,\"a\":2}", "{\"a\":2,\"\xf0\x9f\x98\x80\":1}"},
        {"{\"a\":{\"b\":1,\"c\":{\"d\":2,\"e\":3}},\"f\":[{\"g\":4,\"h\":5}]}",
         "{\"f\":[{\"h\":5,\"g\":4}],\"a\":{\"c\":{\"e\":3,\"d\":2},\"b\":1}}"},
        {"[{\"a\":1,\"b\":2},{\"c\":3,\"d\":4}]", "[{\"b\":2,\"a\":1},{\"d\":4,\"c\":3}]"},
        {"{\"\":1,\"a\":2,\"aa\":3,\"ab\":4,\"b\":5}",
         "{\"b\":5,\"ab\":4,\"aa\":3,\"a\":2,\"\":1}"},
        {"{\"a\":{},\"b\":[]}", "{\"b\":[],\"a\":{}}"},
        {"{\"a\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":1,\"a\":2}"},
        {"{\"a\":1,\"b\":3,\"a\":2}", "{\"a\":1,\"a\":2,\"b\":3}"},
        {"{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":1,\"a\":2}"},
        {"{\"x\":{\"b\":1,\"a\":2},\"w\":0}", "{\"w\":0,\"x\":{\"a\":2,\"b\":1}}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_equal_values(pairs[i][0], pairs[i][1]);
}

static void other_values_have_other_texts(void **state)
{
    (void)state;
    const char *const pairs[][2] = {
        {"1", "1.0"},
        {"1", "1e0"},
        {"1e1", "1E1"},
        {"1e1", "1e+1"},
        {"0", "-0"},
        {"1", "\"1\""},
        {"null", "\"null\""},
        {"{}", "[]"},
        {"[]", "[[]]"},
        {"[1,2]", "[2,1]"},
        {"[1,2]", "[12]"},
        {"[1,2]", "[[1],2]"},
        {"[\"a\",\"b\"]", "[\"ab\"]"},
        {"[\"a\",\"b\"]", "[\"a\\\",\\\"b\"]"},
        {"{\"a\":1}", "{\"a\":2}"},
        {"{\"a\":1}", "{\"A\":1}"},
        {"{\"a\":1}", "{\"a\":1,\"a\":1}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {"{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"a\":\"b\"}", "{\"b\":\"a\"}"},
        {"{\"a\":{\"b\":1},\"c\":2}", "{\"a\":{\"b\":1,\"c\":2}}"},
        {"[{\"a\":1},{\"b\":2}]", "[{\"a\":1,\"b\":2}]"},
        {"[{\"a\":1},{\"b\":2}]", "[{\"b\":2},{\"a\":1}]"},
        {"{\"a\":\"x\\\"b\\\":2\"}", "{\"a\":\"x\",\"b\":2}"},
        {"\"\\n\"", "\"\\\\n\""},
        {"\"\\u0000\"", "\"\""},
        {"\"a\"", "\"a \""},
        {"\"\xc3\xa4\"", "\"a\xcc\x88\""},
        {"\"\\ud800\"", "\"\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_other_values(pairs[i][0], pairs[i][1]);
}

static void what_is_not_json_is_told(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",           " ",         "x",
        "{",          "}",         "[",
        "]",          "[1",        "[1,]",
        "[,1]",       "[1 2]",     "[1,,2]",
        "{1:2}",      "{\"a\"}",   "{\"a\":}",
        "{\"a\":1,}", "{,}",       "{\"a\":1 \"b\":2}",
        "{\"a\" 1}",  "{\"a\":1]", "[1}",
        "1 2",        "{} {}",     "[]]",
        "{}x",        "// a\n1",   "\xef\xbb\xbf{}",
        "'a'",        "{a:1}",     "tru",
        "[1]\v",      "\"\xff\"",  "{\"a\":1,\"b\"",
        "{\"a\":1,",  "{\"a\":",   "{\"a\"",
        "a=1&b=2",    "<a/>",      "01",
        "[01]",       "nullnull",  "--1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_json(bad[i], strlen(bad[i])))
            fail_msg("%s was taken for JSON", bad[i]);
    assert_false(is_json(NULL, 0));
    assert_false(is_json("1\0", 2));
    assert_false(is_json("\0", 1));
}

static void every_beginning_of_a_document_is_not_one(void **state)
{
    (void)state;
    const char text[] = "{\"a\":[1.5e3,{\"b\":\"\\ud83d\\ude00\",\"c\":null}],\"d\":{\"e\":true}}";
    for (size_t bytes = 0; bytes < sizeof text - 1; bytes++)
        assert_false(is_json(text, bytes));
    assert_true(is_json(text, sizeof text - 1));
}

/* ---- depth and size ---- */

static char deep[4 * NEAP_JSON_DEPTH_MAX * 4];

static size_t nest(const char *open, const char *inner, const char *close, size_t depth)
{
    char *at = deep;
    for (size_t i = 0; i < depth; i++, at += strlen(open))
        memcpy(at, open, strlen(open));
    memcpy(at, inner, strlen(inner));
    at += strlen(inner);
    for (size_t i = 0; i < depth; i++, at += strlen(close))
        memcpy(at, close, strlen(close));
    return (size_t)(at - deep);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    assert_true(is_json(deep, nest("[", "", "]", NEAP_JSON_DEPTH_MAX)));
    assert_false(is_json(deep, nest("[", "", "]", NEAP_JSON_DEPTH_MAX + 1)));
    assert_true(is_json(deep, nest("[", "1", "]", NEAP_JSON_DEPTH_MAX)));
    assert_true(is_json(deep, nest("{\"\":", "1", "}", NEAP_JSON_DEPTH_MAX)));
    assert_false(is_json(deep, nest("{\"\":", "{}", "}", NEAP_JSON_DEPTH_MAX)));
}

static void an_endless_row_of_brackets_is_refused_early(void **state)
{
    (void)state;
    memset(deep, '[', sizeof deep);
    assert_false(is_json(deep, sizeof deep));
}

static void order_does_not_matter_at_the_greatest_depth(void **state)
{
    (void)state;
    char *copy = neap_alloc(&memory.alloc, sizeof deep);
    size_t bytes = nest("[", "{\"a\":1,\"b\":2}", "]", NEAP_JSON_DEPTH_MAX - 1);
    memcpy(copy, deep, bytes);
    assert_int_equal(nest("[", "{\"b\":2,\"a\":1}", "]", NEAP_JSON_DEPTH_MAX - 1), bytes);
    assert_true(are_equal_bytes(deep, bytes, copy, bytes));
    neap_free(&memory.alloc, copy);
}

static void append_members(struct neap_buffer *out, int from, int step, int count)
{
    assert_int_equal(neap_buffer_append_text(out, "{"), NEAP_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(neap_buffer_append_format(out, "%s\"k%d\":{\"y\":%d,\"x\":[]}",
                                                   i > 0 ? "," : "", from + i * step,
                                                   from + i * step),
                         NEAP_OK);
    assert_int_equal(neap_buffer_append_text(out, "}"), NEAP_OK);
}

static void many_members_are_sorted(void **state)
{
    (void)state;
    for (int count = 1; count < 20000; count = count * 3 + 1) {
        struct neap_buffer up, down;
        neap_buffer_init(&up, &memory.alloc);
        neap_buffer_init(&down, &memory.alloc);
        append_members(&up, 0, 1, count);
        append_members(&down, count - 1, -1, count);
        assert_true(are_equal_bytes(up.data, up.bytes, down.data, down.bytes));
        neap_buffer_deinit(&down);
        neap_buffer_deinit(&up);
    }
}

static void no_failed_allocation_harms(void **state)
{
    (void)state;
    struct neap_buffer text;
    neap_buffer_init(&text, &memory.alloc);
    append_members(&text, 0, 1, 100);
    size_t failures = 0;
    for (struct canon canon = {.status = NEAP_NO_MEMORY}; canon.status != NEAP_OK; failures++) {
        assert_null(canon.text);
        failing_alloc_fail(&memory, failures + 1);
        canon = canon_of_bytes(text.data, text.bytes);
        assert_true(canon.status == NEAP_OK || canon.status == NEAP_NO_MEMORY);
        neap_free(&memory.alloc, canon.status == NEAP_OK ? canon.text : NULL);
    }
    assert_true(failures > 5);
    failing_alloc_fail(&memory, 0);
    neap_buffer_deinit(&text);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(equal_values_have_one_text),
        SPEC(other_values_have_other_texts),
        SPEC(what_is_not_json_is_told),
        SPEC(every_beginning_of_a_document_is_not_one),
        SPEC(depth_is_bounded),
        SPEC(an_endless_row_of_brackets_is_refused_early),
        SPEC(order_does_not_matter_at_the_greatest_depth),
        SPEC(many_members_are_sorted),
        SPEC(no_failed_allocation_harms),
    };
    return cmocka_run_group_tests_name("canonical_json", tests, NULL, NULL);
}
