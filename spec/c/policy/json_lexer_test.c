#include "policy/json_lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char out[256];
static size_t out_bytes, left_bytes;

/* The text stands alone in a block of its own size, so that a sanitizer sees a step beyond it. */
static bool copy_bytes(const char *text, size_t bytes)
{
    uint8_t *block = malloc(bytes + 1), *room = malloc(bytes + 1);
    assert_non_null(block);
    assert_non_null(room);
    memcpy(block + 1, text, bytes);
    struct neap_json_lexer lexer = {block + 1, block + 1 + bytes, room + 1};
    bool is_good = neap_json_copy_scalar(&lexer);
    out_bytes = (size_t)(lexer.out - room - 1);
    left_bytes = (size_t)(lexer.end - lexer.at);
    assert_true(out_bytes + left_bytes <= bytes);
    memcpy(out, room + 1, out_bytes);
    out[out_bytes] = '\0';
    free(room);
    free(block);
    return is_good;
}

static bool copies(const char *text)
{
    return copy_bytes(text, strlen(text));
}

static void assert_copied(const char *text, const char *expected)
{
    assert_true(copies(text));
    assert_int_equal(left_bytes, 0);
    assert_int_equal(out_bytes, strlen(expected));
    assert_string_equal(out, expected);
}

static void assert_refused(const char *text)
{
    if (copies(text) && left_bytes == 0)
        fail_msg("%s was taken", text);
}

static void numbers_are_copied_as_written(void **state)
{
    (void)state;
    const char *const good[] = {"0",
                                "-0",
                                "1",
                                "10",
                                "-12.50",
                                "0.0",
                                "1e5",
                                "1E+05",
                                "1e-5",
                                "1.0e0",
                                "123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_copied(good[i], good[i]);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",   "-",   "+1",  "01",   "00",  ".5", "1.",   "1.e5",
                               "1e", "1e+", "--1", "0x10", "NaN", "-a", "1e5.", "-Infinity"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i]);
}

static void words_are_copied(void **state)
{
    (void)state;
    assert_copied("true", "true");
    assert_copied("false", "false");
    assert_copied("null", "null");
    assert_refused("tru");
    assert_refused("True");
    assert_refused("nul");
    assert_refused("nulll");
    assert_refused("{");
}

static void escapes_become_the_characters_that_they_stand_for(void **state)
{
    (void)state;
    assert_copied("\"\\u0041\"", "\"A\"");
    assert_copied("\"\\/\"", "\"/\"");
    assert_copied("\"\\b\\f\\n\\r\\t\"", "\"\b\f\n\r\t\"");
    assert_copied("\"\\u000a\\u000A\"", "\"\n\n\"");
    assert_copied("\"\\u00e4\\u00E4\xc3\xa4\"", "\"\xc3\xa4\xc3\xa4\xc3\xa4\"");
    assert_copied("\"\\u20ac\\u07ff\\u0800\\uffff\\u007f\\u0080\"",
                  "\"\xe2\x82\xac\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\x7f\xc2\x80\"");
}

static void quote_and_backslash_keep_one_escape(void **state)
{
    (void)state;
    assert_copied("\"\\\"\\\\\"", "\"\\\"\\\\\"");
    assert_copied("\"\\u0022\\u005c\\u005C\"", "\"\\\"\\\\\\\\\"");
}

static void a_pair_of_surrogates_is_one_character(void **state)
{
    (void)state;
    assert_copied("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
    assert_copied("\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\"");
    assert_copied("\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\"");
    assert_copied("\"\\ud800\\udc00\\udbff\\udfff\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void half_a_pair_stands_for_itself(void **state)
{
    (void)state;
    assert_copied("\"\\ud800\"", "\"\xed\xa0\x80\"");
    assert_copied("\"\\udc00\"", "\"\xed\xb0\x80\"");
    assert_copied("\"\\ud800x\"", "\"\xed\xa0\x80x\"");
    assert_copied("\"\\ud800\\n\"", "\"\xed\xa0\x80\n\"");
    assert_copied("\"\\ud800\\u0041\"", "\"\xed\xa0\x80"
                                        "A\"");
    assert_copied("\"\\ud800\\ud83d\\ude00\"", "\"\xed\xa0\x80\xf0\x9f\x98\x80\"");
    assert_copied("\"\\ude00\\ud83d\"", "\"\xed\xb8\x80\xed\xa0\xbd\"");
}

static void a_nul_needs_its_escape(void **state)
{
    (void)state;
    assert_true(copies("\"\\u0000\""));
    assert_int_equal(out_bytes, 3);
    assert_memory_equal(out, "\"\0\"", 3);
    assert_false(copy_bytes("\"\0\"", 3));
}

static void what_is_no_string_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"\"",
                               "\"a",
                               "\"a\\\"",
                               "\"\\",
                               "\"\\u",
                               "\"\\u004\"",
                               "\"\\u004g\"",
                               "\"\\x41\"",
                               "\"\\'\"",
                               "\"\\U0041\"",
                               "\"\n\"",
                               "\"\x1f\"",
                               "\"\\ud83d\\u\"",
                               "\"\\ud83d\\ude0\"",
                               "\"\\ud83d\\",
                               "\"\\u 041\"",
                               "\"\\a\"",
                               "'a'",
                               "\"\\u00",
                               "\"\\ud83d\\ude0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i]);
}

static void malformed_utf_8_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"\"\x80\"",
                               "\"\xc0\xaf\"",
                               "\"\xc1\xbf\"",
                               "\"\xc3\"",
                               "\"\xe0\x9f\xbf\"",
                               "\"\xed\xa0\x80\"",
                               "\"\xe2\x82\"",
                               "\"\xf0\x8f\xbf\xbf\"",
                               "\"\xf4\x90\x80\x80\"",
                               "\"\xf5\x80\x80\x80\"",
                               "\"\xff\"",
                               "\"\xc3",
                               "\"\xf0\x9f\x98",
                               "\"\xe2\x82\xc3\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i]);
    assert_copied("\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\"",
                  "\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\"");
}

static void a_token_ends_where_the_next_begins(void **state)
{
    (void)state;
    assert_true(copies("12,3"));
    assert_int_equal(left_bytes, 2);
    assert_true(copies("\"a\":1"));
    assert_int_equal(left_bytes, 2);
}

static void white_space_is_skipped(void **state)
{
    (void)state;
    const uint8_t text[] = " \t\r\n\vx";
    struct neap_json_lexer lexer = {text, text + 6, NULL};
    neap_json_skip_white(&lexer);
    assert_int_equal(neap_json_peek(&lexer), '\v');
    assert_false(neap_json_take(&lexer, 'x'));
    assert_true(neap_json_take(&lexer, '\v'));
    assert_true(neap_json_take(&lexer, 'x'));
    neap_json_skip_white(&lexer);
    assert_int_equal(neap_json_peek(&lexer), '\0');
    assert_false(neap_json_take(&lexer, '\0'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_copied_as_written),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(words_are_copied),
        cmocka_unit_test(escapes_become_the_characters_that_they_stand_for),
        cmocka_unit_test(quote_and_backslash_keep_one_escape),
        cmocka_unit_test(a_pair_of_surrogates_is_one_character),
        cmocka_unit_test(half_a_pair_stands_for_itself),
        cmocka_unit_test(a_nul_needs_its_escape),
        cmocka_unit_test(what_is_no_string_is_refused),
        cmocka_unit_test(malformed_utf_8_is_refused),
        cmocka_unit_test(a_token_ends_where_the_next_begins),
        cmocka_unit_test(white_space_is_skipped),
    };
    return cmocka_run_group_tests_name("json_lexer", tests, NULL, NULL);
}
