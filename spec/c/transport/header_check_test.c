#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "transport/transport.h"

static bool is_safe(const char *name, const char *value)
{
    return neap_header_is_safe(name, strlen(name), value, strlen(value));
}

static void a_name_is_a_token(void **state)
{
    (void)state;
    assert_true(is_safe("X-Api_Key.1!#$%&'*+^`|~", "v"));
    assert_false(is_safe("", "v"));
    assert_false(is_safe("X Y", "v"));
    assert_false(is_safe("X:", "v"));
    assert_false(is_safe(":status", "v"));
    assert_false(is_safe("X\r\nY", "v"));
    assert_false(is_safe("\xc3\xa9", "v"));
    assert_false(neap_header_is_safe("X\0Y", 3, "v", 1));
}

static void a_value_has_no_control_characters(void **state)
{
    (void)state;
    assert_true(is_safe("X", ""));
    assert_true(is_safe("X", "a \t\"b\"; \xc3\xa9"));
    assert_false(is_safe("X", "a\r\nY: b"));
    assert_false(is_safe("X", "a\nb"));
    assert_false(is_safe("X", "a\rb"));
    assert_false(is_safe("X", "\x1b"));
    assert_false(is_safe("X", "\x7f"));
    assert_false(neap_header_is_safe("X", 1, "a\0b", 3));
}

static bool is_one_of(const char *set, char c)
{
    return c != '\0' && strchr(set, c);
}

/* Eight characters are looked at together: each one, at each place among any others. */
static void each_character_counts_wherever_it_stands(void **state)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = {'a', ' ', '~', '\t', '\x80', '\xff'};
    char text[20];
    (void)state;
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < sizeof text; at++) {
            bool in_value = c == '\t' || (c >= 0x20 && c != 0x7f);
            for (size_t i = 0; i < sizeof others; i++) {
                memset(text, others[i], sizeof text);
                text[at] = (char)c;
                assert_int_equal(neap_header_is_safe("X", 1, text, sizeof text), in_value);
            }
            memset(text, 'a', sizeof text);
            text[at] = (char)c;
            assert_int_equal(neap_method_is_safe(text, sizeof text), is_one_of(token, (char)c));
        }
}

static void a_method_is_a_token(void **state)
{
    (void)state;
    assert_true(neap_method_is_safe("PROPFIND", 8));
    assert_false(neap_method_is_safe("", 0));
    assert_false(neap_method_is_safe("GET /", 5));
    assert_false(neap_method_is_safe("GET\r\n", 5));
    assert_false(neap_method_is_safe("GET\0", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_a_token),
        cmocka_unit_test(a_value_has_no_control_characters),
        cmocka_unit_test(each_character_counts_wherever_it_stands),
        cmocka_unit_test(a_method_is_a_token),
    };
    return cmocka_run_group_tests_name("header_check", tests, NULL, NULL);
}
