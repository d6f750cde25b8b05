#include "policy/structured_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct neap_sf_item item;
static struct neap_sf_parameter parameter;

static struct neap_sf_reader open_text(const char *text)
{
    return neap_sf_open(text, strlen(text));
}

/* The whole text is one bare item. */
static bool is_item(const char *text)
{
    struct neap_sf_reader reader = open_text(text);
    return neap_sf_read_bare_item(&reader, &item) && neap_sf_is_at_end(&reader);
}

static void assert_item(const char *text, enum neap_sf_type type, const char *inner)
{
    assert_true(is_item(text));
    assert_int_equal(item.type, type);
    assert_int_equal(item.bytes, strlen(inner));
    assert_memory_equal(item.text, inner, item.bytes);
}

static void white_space_around_a_field_is_skipped(void **state)
{
    (void)state;
    assert_item(" \t 7 \t ", NEAP_SF_INTEGER, "7");
    struct neap_sf_reader blank = open_text(" \t "), nothing = neap_sf_open(NULL, 0);
    assert_true(neap_sf_is_at_end(&blank));
    assert_true(neap_sf_is_at_end(&nothing));
}

static void integers_are_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"42", 42},
                {"-17", -17},
                {"007", 7},
                {"999999999999999", INT64_C(999999999999999)},
                {"-999999999999999", INT64_C(-999999999999999)}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_item(good[i].text, NEAP_SF_INTEGER, good[i].text);
        assert_int_equal(item.integer, good[i].value);
    }
    assert_false(is_item("-"));
    assert_false(is_item("+1"));
    assert_false(is_item("--1"));
    assert_false(is_item("1000000000000000"));
}

static void decimals_are_read(void **state)
{
    (void)state;
    assert_item("1.5", NEAP_SF_DECIMAL, "1.5");
    assert_item("-123456789012.123", NEAP_SF_DECIMAL, "-123456789012.123");
    assert_false(is_item("1."));
    assert_false(is_item(".5"));
    assert_false(is_item("1.2345"));
    assert_false(is_item("1234567890123.1"));
    assert_false(is_item("1.2.3"));
    assert_false(is_item("1.-2"));
}

static void strings_are_read(void **state)
{
    (void)state;
    assert_item("\"\"", NEAP_SF_STRING, "");
    assert_item("\"a b;c,d\"", NEAP_SF_STRING, "a b;c,d");
    assert_item("\"a\\\"b\\\\\"", NEAP_SF_STRING, "a\\\"b\\\\");
    assert_false(is_item("\""));
    assert_false(is_item("\"a"));
    assert_false(is_item("\"a\\\""));
    assert_false(is_item("\"a\\"));
    assert_false(is_item("\"a\\b\""));
    assert_false(is_item("\"a\tb\""));
    assert_false(is_item("\"a\x7f\""));
    assert_false(is_item("\"\xc3\xa4\""));
    assert_false(is_item("'a'"));
}

static void escapes_are_taken_away(void **state)
{
    (void)state;
    char out[16];
    assert_true(is_item("\"a\\\"b\\\\\\\\c\""));
    assert_int_equal(neap_sf_unescape(&item, out), 6);
    assert_memory_equal(out, "a\"b\\\\c", 6);
    assert_true(is_item("\"\""));
    assert_int_equal(neap_sf_unescape(&item, out), 0);
}

static void tokens_are_read(void **state)
{
    (void)state;
    assert_item("a", NEAP_SF_TOKEN, "a");
    assert_item("*a1", NEAP_SF_TOKEN, "*a1");
    assert_item("Foo123:/!#$%&'*+-.^_`|~", NEAP_SF_TOKEN, "Foo123:/!#$%&'*+-.^_`|~");
    assert_false(is_item("!a"));
    assert_false(is_item("a b"));
    assert_false(is_item("a(b)"));
    assert_false(is_item("a\x01"));
}

static void byte_sequences_are_read(void **state)
{
    (void)state;
    assert_item("::", NEAP_SF_BYTES, "");
    assert_item(":aGVsbG8+/w==:", NEAP_SF_BYTES, "aGVsbG8+/w==");
    assert_false(is_item(":"));
    assert_false(is_item(":aGVs"));
    assert_false(is_item(":a-b:"));
    assert_false(is_item(":a b:"));
}

static void booleans_are_read(void **state)
{
    (void)state;
    assert_item("?1", NEAP_SF_BOOLEAN, "?1");
    assert_int_equal(item.integer, 1);
    assert_item("?0", NEAP_SF_BOOLEAN, "?0");
    assert_int_equal(item.integer, 0);
    assert_false(is_item("?"));
    assert_false(is_item("?2"));
    assert_false(is_item("?T"));
}

static void nothing_else_is_an_item(void **state)
{
    (void)state;
    struct neap_sf_reader nul = neap_sf_open("\0", 1);
    assert_false(neap_sf_read_bare_item(&nul, &item));
    assert_false(is_item(""));
    assert_false(is_item("(a b)"));
    assert_false(is_item("@1659578233"));
    assert_false(is_item("\xc3\xa4"));
}

static void a_malformed_item_leaves_the_result(void **state)
{
    (void)state;
    assert_true(is_item("42"));
    assert_false(is_item("\"a"));
    assert_int_equal(item.type, NEAP_SF_INTEGER);
    assert_int_equal(item.integer, 42);
}

static void assert_parameter(struct neap_sf_reader *reader, const char *name,
                             enum neap_sf_type type, int64_t integer)
{
    assert_int_equal(neap_sf_read_parameter(reader, &parameter), NEAP_SF_FOUND);
    assert_int_equal(parameter.name_bytes, strlen(name));
    assert_memory_equal(parameter.name, name, parameter.name_bytes);
    assert_int_equal(parameter.value.type, type);
    assert_int_equal(parameter.value.integer, integer);
}

static void parameters_are_read_one_by_one(void **state)
{
    (void)state;
    struct neap_sf_reader reader = open_text(";a=1;  *b-c_d.e*2 ;x=\"y\"");
    assert_parameter(&reader, "a", NEAP_SF_INTEGER, 1);
    assert_parameter(&reader, "*b-c_d.e*2", NEAP_SF_BOOLEAN, 1);
    assert_int_equal(neap_sf_read_parameter(&reader, &parameter), NEAP_SF_END);
    assert_false(neap_sf_is_at_end(&reader));
}

static void no_parameters_are_the_end(void **state)
{
    (void)state;
    struct neap_sf_reader reader = open_text("");
    assert_int_equal(neap_sf_read_parameter(&reader, &parameter), NEAP_SF_END);
}

static void malformed_parameters_are_told(void **state)
{
    (void)state;
    const char *const bad[] = {
        ";", "; ", ";A=1", ";1=1", ";-a", ";a=", ";a= 1", ";a=(", ";a=\"b", ";\ta", ";=1", ";;a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct neap_sf_reader reader = open_text(bad[i]);
        assert_int_equal(neap_sf_read_parameter(&reader, &parameter), NEAP_SF_MALFORMED);
    }
}

static enum neap_sf_step comma(const char *text)
{
    struct neap_sf_reader reader = open_text(text);
    return neap_sf_read_comma(&reader);
}

static void commas_part_the_members_of_a_list(void **state)
{
    (void)state;
    assert_int_equal(comma(""), NEAP_SF_END);
    assert_int_equal(comma(", a"), NEAP_SF_FOUND);
    assert_int_equal(comma(" \t,\t a"), NEAP_SF_FOUND);
    assert_int_equal(comma(","), NEAP_SF_MALFORMED);
    assert_int_equal(comma(", "), NEAP_SF_MALFORMED);
    assert_int_equal(comma("a"), NEAP_SF_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_around_a_field_is_skipped),
        cmocka_unit_test(integers_are_read),
        cmocka_unit_test(decimals_are_read),
        cmocka_unit_test(strings_are_read),
        cmocka_unit_test(escapes_are_taken_away),
        cmocka_unit_test(tokens_are_read),
        cmocka_unit_test(byte_sequences_are_read),
        cmocka_unit_test(booleans_are_read),
        cmocka_unit_test(nothing_else_is_an_item),
        cmocka_unit_test(a_malformed_item_leaves_the_result),
        cmocka_unit_test(parameters_are_read_one_by_one),
        cmocka_unit_test(no_parameters_are_the_end),
        cmocka_unit_test(malformed_parameters_are_told),
        cmocka_unit_test(commas_part_the_members_of_a_list),
    };
    return cmocka_run_group_tests_name("structured_field", tests, NULL, NULL);
}
