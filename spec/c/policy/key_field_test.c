#include "policy/key_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct neap_key key;

static enum neap_key_fault read_bytes(const char *value, size_t bytes)
{
    return neap_key_field_read(&(struct neap_text){value, bytes}, 1, &key);
}

static enum neap_key_fault read_value(const char *value)
{
    return read_bytes(value, strlen(value));
}

static void assert_key(const char *value, const char *expected)
{
    memset(&key, '#', sizeof key);
    assert_int_equal(read_value(value), NEAP_KEY_FAULT_NONE);
    assert_int_equal(key.bytes, strlen(expected));
    assert_string_equal(key.text, expected);
}

static void assert_fault(const char *value, enum neap_key_fault fault)
{
    memset(&key, '#', sizeof key);
    assert_int_equal(read_value(value), fault);
    assert_int_equal(key.text[0], '#');
}

static void a_bare_value_is_the_key(void **state)
{
    (void)state;
    assert_key("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324");
    assert_key("a", "a");
    assert_key("order 42, \"x\" \\y;z=1 ~!", "order 42, \"x\" \\y;z=1 ~!");
}

static void a_string_of_rfc_8941_is_the_same_key_as_the_bare_one(void **state)
{
    (void)state;
    assert_key("\"abc\"", "abc");
    assert_key("\"order 42\"", "order 42");
    assert_key("\"a\\\"b\\\\c\"", "a\"b\\c");
    assert_key("a\"b\\c", "a\"b\\c");
    assert_key("\" a \"", " a ");
}

static void white_space_around_a_value_does_not_count(void **state)
{
    (void)state;
    assert_key(" \t abc \t", "abc");
    assert_key("\t\"abc\" ", "abc");
}

static void parameters_behind_a_quoted_key_are_ignored(void **state)
{
    (void)state;
    assert_key("\"abc\";a=1", "abc");
    assert_key("\"abc\"; a=1;b; c=\"x;y\";*d=?0;e=:aGk=:;f=1.5;g=tok", "abc");
    assert_key("abc;a=1", "abc;a=1");
}

static void a_value_that_begins_with_a_quote_and_is_no_item_is_malformed(void **state)
{
    (void)state;
    const char *const bad[] = {
        "\"",           "\"abc",       "\"abc\\\"",      "\"abc\"x",     "\"abc\" ;a",
        "\"abc\";",     "\"abc\";A=1", "\"abc\";a=",     "\"abc\";a=(",  "\"abc\"\"d\"",
        "\"abc\",",     "\"a\\bc\"",   "\"a\", \"b\"",   "\"abc\", d",   "\"a\tb\"",
        "\"\xc3\xa4\"", "\"a\x7f\"",   "\"abc\";a=1 ;b", "\"abc\";a =1", "\"\\",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fault(bad[i], NEAP_KEY_FAULT_MALFORMED);
    assert_int_equal(read_bytes("\"a\0b\"", 5), NEAP_KEY_FAULT_MALFORMED);
}

static void no_header_is_missing(void **state)
{
    (void)state;
    assert_int_equal(neap_key_field_read(NULL, 0, &key), NEAP_KEY_FAULT_MISSING);
}

static void a_repeated_header_is_told_even_of_the_same_key(void **state)
{
    (void)state;
    const struct neap_text twice[] = {{"abc", 3}, {"abc", 3}}, blank[] = {{"abc", 3}, {"", 0}};
    assert_int_equal(neap_key_field_read(twice, 2, &key), NEAP_KEY_FAULT_REPEATED);
    assert_int_equal(neap_key_field_read(blank, 2, &key), NEAP_KEY_FAULT_REPEATED);
}

static void an_empty_key_is_told_in_both_forms(void **state)
{
    (void)state;
    assert_fault("", NEAP_KEY_FAULT_EMPTY);
    assert_fault(" \t ", NEAP_KEY_FAULT_EMPTY);
    assert_fault("\"\"", NEAP_KEY_FAULT_EMPTY);
    assert_fault("\"\";a=1", NEAP_KEY_FAULT_EMPTY);
    assert_int_equal(neap_key_field_read(&(struct neap_text){NULL, 0}, 1, &key),
                     NEAP_KEY_FAULT_EMPTY);
}

static void more_than_printable_ascii_is_told_of_a_bare_key(void **state)
{
    (void)state;
    assert_fault("a\tb", NEAP_KEY_FAULT_NOT_PRINTABLE);
    assert_fault("a\x7f", NEAP_KEY_FAULT_NOT_PRINTABLE);
    assert_fault("\xc3\xa4", NEAP_KEY_FAULT_NOT_PRINTABLE);
    assert_int_equal(read_bytes("a\0b", 3), NEAP_KEY_FAULT_NOT_PRINTABLE);
}

static void a_bare_key_has_255_characters_at_most(void **state)
{
    (void)state;
    char text[257] = {0};
    memset(text, 'k', 255);
    assert_key(text, text);
    text[255] = 'k';
    assert_fault(text, NEAP_KEY_FAULT_TOO_LONG);
    memset(text, '\x01', 256);
    assert_fault(text, NEAP_KEY_FAULT_TOO_LONG);
}

/* `count` characters that each need an escape, in quotes. */
static void assert_escaped(size_t count, enum neap_key_fault fault)
{
    char text[2 * 300 + 8] = "\"";
    for (size_t i = 0; i < count; i++)
        memcpy(text + 1 + 2 * i, i % 2 ? "\\\"" : "\\\\", 2);
    memcpy(text + 1 + 2 * count, "\";a=1", 6);
    assert_int_equal(read_value(text), fault);
    if (fault == NEAP_KEY_FAULT_NONE)
        assert_int_equal(key.bytes, count);
}

static void quotes_and_escapes_do_not_count_for_the_length(void **state)
{
    (void)state;
    assert_escaped(254, NEAP_KEY_FAULT_NONE);
    assert_escaped(255, NEAP_KEY_FAULT_NONE);
    assert_escaped(256, NEAP_KEY_FAULT_TOO_LONG);
    assert_escaped(300, NEAP_KEY_FAULT_TOO_LONG);
}

static void a_quoted_key_without_escapes_has_255_characters_at_most(void **state)
{
    (void)state;
    char text[1024] = "\"";
    memset(text + 1, 'k', 255);
    text[256] = '"';
    assert_int_equal(read_value(text), NEAP_KEY_FAULT_NONE);
    assert_int_equal(key.bytes, 255);
    memcpy(text + 256, "k\"", 2);
    assert_fault(text, NEAP_KEY_FAULT_TOO_LONG);
    memset(text + 1, 'k', 1000);
    assert_fault(text, NEAP_KEY_FAULT_MALFORMED);
    text[1001] = '"';
    assert_fault(text, NEAP_KEY_FAULT_TOO_LONG);
}

static void what_the_client_side_quotes_is_read_back(void **state)
{
    (void)state;
    char text[NEAP_IDEMPOTENCY_KEY_MAX + 1] = {0}, quoted[2 * sizeof text + 3];
    for (size_t i = 0; i < NEAP_IDEMPOTENCY_KEY_MAX; i++)
        text[i] = (char)('!' + i % ('~' - '!' + 1));
    neap_idempotency_key_quote(text, NEAP_IDEMPOTENCY_KEY_MAX, quoted);
    assert_key(quoted, text);
    assert_key(text, text);
}

static void each_fault_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_null(neap_key_fault_name(NEAP_KEY_FAULT_NONE));
    assert_null(neap_key_fault_text(NEAP_KEY_FAULT_NONE));
    for (int i = NEAP_KEY_FAULT_MISSING; i <= NEAP_KEY_FAULT_NOT_PRINTABLE; i++) {
        assert_non_null(neap_key_fault_name((enum neap_key_fault)i));
        assert_non_null(neap_key_fault_text((enum neap_key_fault)i));
    }
    assert_string_equal(neap_key_fault_name(NEAP_KEY_FAULT_TOO_LONG), "too_long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_value_is_the_key),
        cmocka_unit_test(a_string_of_rfc_8941_is_the_same_key_as_the_bare_one),
        cmocka_unit_test(white_space_around_a_value_does_not_count),
        cmocka_unit_test(parameters_behind_a_quoted_key_are_ignored),
        cmocka_unit_test(a_value_that_begins_with_a_quote_and_is_no_item_is_malformed),
        cmocka_unit_test(no_header_is_missing),
        cmocka_unit_test(a_repeated_header_is_told_even_of_the_same_key),
        cmocka_unit_test(an_empty_key_is_told_in_both_forms),
        cmocka_unit_test(more_than_printable_ascii_is_told_of_a_bare_key),
        cmocka_unit_test(a_bare_key_has_255_characters_at_most),
        cmocka_unit_test(quotes_and_escapes_do_not_count_for_the_length),
        cmocka_unit_test(a_quoted_key_without_escapes_has_255_characters_at_most),
        cmocka_unit_test(what_the_client_side_quotes_is_read_back),
        cmocka_unit_test(each_fault_has_a_name_and_a_text),
    };
    return cmocka_run_group_tests_name("key_field", tests, NULL, NULL);
}
