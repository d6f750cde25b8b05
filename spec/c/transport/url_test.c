#include "transport/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"

struct example {
    const char *reference, *text;
};

static void assert_resolves(const char *base, const char *reference, const char *text)
{
    struct neap_url url;
    assert_int_equal(neap_url_resolve(&memory.alloc, base, reference, NULL, 0, &url), NEAP_URL_OK);
    assert_string_equal(url.text, text);
    neap_url_deinit(&url);
}

static void assert_refused(const char *base, const char *reference, int stay,
                           enum neap_url_error error)
{
    struct neap_url url;
    assert_int_equal(neap_url_resolve(&memory.alloc, base, reference, NULL, stay, &url), error);
}

static void references_are_resolved_as_the_rfc_shows(void **state)
{
    /* RFC 3986 5.4, but for those that keep the fragment or lead to another scheme. */
    static const struct example examples[] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"http://h/x", "http://h/x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        assert_resolves("http://a/b/c/d;p?q", examples[i].reference, examples[i].text);
}

static void the_parts_are_given(void **state)
{
    struct neap_url url;
    (void)state;
    assert_int_equal(neap_url_resolve(&memory.alloc, NULL, "HTTPS://API.example.com/a/../b?c=d#e",
                                      "f=g&h", 0, &url),
                     NEAP_URL_OK);
    assert_string_equal(url.origin, "https://api.example.com:443");
    assert_string_equal(url.path, "/b");
    assert_string_equal(url.query, "c=d&f=g&h");
    assert_string_equal(url.text, "https://API.example.com/b?c=d&f=g&h");
    neap_url_deinit(&url);
}

static void a_user_or_password_is_refused(void **state)
{
    struct neap_url url;
    (void)state;
    assert_int_equal(neap_url_resolve(&memory.alloc, NULL, "http://u:p@h/", NULL, 0, &url),
                     NEAP_URL_USERINFO);
    assert_int_equal(neap_url_resolve(&memory.alloc, NULL, "http://u@h/", NULL, 0, &url),
                     NEAP_URL_USERINFO);
    assert_int_equal(neap_url_resolve(&memory.alloc, "http://h/", "//u@h/x", NULL, 0, &url),
                     NEAP_URL_USERINFO);
}

static void a_url_without_path_and_query_has_a_slash(void **state)
{
    struct neap_url url;
    (void)state;
    assert_int_equal(neap_url_resolve(&memory.alloc, NULL, "http://h:8080", NULL, 0, &url),
                     NEAP_URL_OK);
    assert_string_equal(url.origin, "http://h:8080");
    assert_string_equal(url.path, "/");
    assert_string_equal(url.query, "");
    neap_url_deinit(&url);
}

static void the_same_origin_is_written_the_same(void **state)
{
    static const char *const same[] = {"http://127.0.0.1", "http://127.0.0.1:80/x",
                                       "http://0x7f.1/", "http://127.0.0.1:080/"};
    struct neap_url url;
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(neap_url_resolve(&memory.alloc, NULL, same[i], NULL, 0, &url),
                         NEAP_URL_OK);
        assert_string_equal(url.origin, "http://127.0.0.1:80");
        neap_url_deinit(&url);
    }
    assert_int_equal(neap_url_resolve(&memory.alloc, NULL, "http://[::1]:81/", NULL, 0, &url),
                     NEAP_URL_OK);
    assert_string_equal(url.origin, "http://[::1]:81");
    neap_url_deinit(&url);
}

static void a_query_is_appended(void **state)
{
    struct neap_url url;
    (void)state;
    assert_int_equal(neap_url_resolve(&memory.alloc, "http://h/", "x", "a=1", 0, &url),
                     NEAP_URL_OK);
    assert_string_equal(url.text, "http://h/x?a=1");
    neap_url_deinit(&url);
    assert_int_equal(neap_url_resolve(&memory.alloc, "http://h/", "x?b=%20", "", 0, &url),
                     NEAP_URL_OK);
    assert_string_equal(url.text, "http://h/x?b=%20");
    neap_url_deinit(&url);
    assert_int_equal(neap_url_resolve(&memory.alloc, "http://h/", "x", "a b", 0, &url),
                     NEAP_URL_MALFORMED);
    assert_int_equal(neap_url_resolve(&memory.alloc, "http://h/", "x", "a#b", 0, &url),
                     NEAP_URL_MALFORMED);
}

static void assert_joins(const char *text, const char *query, const char *expected)
{
    struct neap_buffer joined;
    neap_buffer_init(&joined, &memory.alloc);
    assert_int_equal(neap_url_join_query(&joined, text, query), NEAP_URL_OK);
    assert_string_equal(joined.data, expected);
    neap_buffer_deinit(&joined);
}

static void a_query_stands_behind_the_reference_s_own(void **state)
{
    struct neap_buffer joined;
    (void)state;
    assert_joins("x", "a=1", "x?a=1");
    assert_joins("", "a=1", "?a=1");
    assert_joins("x?", "a=1", "x?a=1");
    assert_joins("x?b=2#top?", "a=1", "x?b=2&a=1");
    neap_buffer_init(&joined, &memory.alloc);
    assert_int_equal(neap_url_join_query(&joined, "x", "a b"), NEAP_URL_MALFORMED);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_url_join_query(&joined, "x", "a"), NEAP_URL_NO_MEMORY);
    neap_buffer_deinit(&joined);
}

static void what_is_above_ascii_is_encoded(void **state)
{
    (void)state;
    assert_resolves("http://h/", "/\xc3\xa9?\xc3\xa9", "http://h/%c3%a9?%c3%a9");
    assert_refused(NULL, "http://ex\xc3\xa4mple.com/", 0, NEAP_URL_MALFORMED);
}

static void what_is_no_url_is_refused(void **state)
{
    static const char *const malformed[] = {
        "http://",       "http://a b/",   "http://a/b c", "http://a/\r\nX: y",
        "http://a/\x01", "http:a",        "http://:80/",  "http://a:99999/",
        "http://a:b/",   "http://a/\x7f", "http://[::1/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_refused(NULL, malformed[i], 0, NEAP_URL_MALFORMED);
}

static void a_url_must_be_absolute_without_a_base(void **state)
{
    static const char *const relative[] = {"", "/x", "x", "//h/", "example.com", "?a"};
    (void)state;
    for (size_t i = 0; i < sizeof relative / sizeof *relative; i++)
        assert_refused(NULL, relative[i], 0, NEAP_URL_NOT_ABSOLUTE);
    assert_refused("/base", "x", 0, NEAP_URL_NOT_ABSOLUTE);
}

static void other_schemes_are_refused(void **state)
{
    static const char *const others[] = {"ftp://h/", "file:///etc/passwd", "gopher://h/",
                                         "ws://h/"};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_refused(NULL, others[i], 0, NEAP_URL_SCHEME);
}

static void a_path_does_not_leave_its_base(void **state)
{
    static const char *const leaving[] = {
        "//evil/",     "http://evil/",   "https://h/",  "http://h:81/", "ftp://h/",
        "//u:p@evil/", "http://h@evil/", "http:/evil/", "///evil/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof leaving / sizeof *leaving; i++) {
        struct neap_url url;
        enum neap_url_error error =
            neap_url_resolve(&memory.alloc, "http://h/base/", leaving[i], NULL, 1, &url);
        assert_true(error == NEAP_URL_LEAVES_BASE || error == NEAP_URL_MALFORMED ||
                    error == NEAP_URL_USERINFO);
    }
    assert_refused("http://h/base/", "//evil/", 1, NEAP_URL_LEAVES_BASE);
}

static void a_path_may_stay(void **state)
{
    static const char *const staying[] = {"x", "/x",       "../x",          "?a",
                                          "",  "/\\evil/", "http://H:80/x", "/http://evil/"};
    struct neap_url url;
    (void)state;
    for (size_t i = 0; i < sizeof staying / sizeof *staying; i++) {
        assert_int_equal(
            neap_url_resolve(&memory.alloc, "http://h/base/", staying[i], NULL, 1, &url),
            NEAP_URL_OK);
        assert_string_equal(url.origin, "http://h:80");
        neap_url_deinit(&url);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    struct neap_url url;
    enum neap_url_error error = NEAP_URL_NO_MEMORY;
    (void)state;
    for (size_t nth = 1; error != NEAP_URL_OK; nth++) {
        failing_alloc_fail(&memory, nth);
        error = neap_url_resolve(&memory.alloc, "http://h/", "x", "a=b", 1, &url);
        assert_true(error == NEAP_URL_OK || error == NEAP_URL_NO_MEMORY);
        assert_true(nth < 100);
    }
    neap_url_deinit(&url);
}

static void each_error_has_a_text(void **state)
{
    (void)state;
    for (int error = NEAP_URL_NO_MEMORY; error <= NEAP_URL_LEAVES_BASE; error++)
        assert_int_not_equal(strlen(neap_url_error_text((enum neap_url_error)error)), 0);
}

static void pairs_are_encoded(void **state)
{
    struct neap_buffer buffer;
    (void)state;
    neap_buffer_init(&buffer, &memory.alloc);
    assert_int_equal(neap_url_append_pair(&buffer, "a b", 3, "c&d=\xc3\xa9~-._", 10, 0), NEAP_OK);
    assert_int_equal(neap_url_append_pair(&buffer, "", 0, "\0+", 2, 0), NEAP_OK);
    assert_string_equal(buffer.data, "a%20b=c%26d%3D%C3%A9~-._&=%00%2B");
    neap_buffer_clear(&buffer);
    assert_int_equal(neap_url_append_pair(&buffer, "a b", 3, "c d", 3, 1), NEAP_OK);
    assert_string_equal(buffer.data, "a+b=c+d");
    neap_buffer_deinit(&buffer);
}

static void a_pair_without_memory_changes_nothing(void **state)
{
    struct neap_buffer buffer;
    char value[4096];
    (void)state;
    memset(value, ' ', sizeof value);
    neap_buffer_init(&buffer, &memory.alloc);
    assert_int_equal(neap_url_append_pair(&buffer, "a", 1, "b", 1, 0), NEAP_OK);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_url_append_pair(&buffer, "c", 1, value, sizeof value, 0), NEAP_NO_MEMORY);
    assert_string_equal(buffer.data, "a=b");
    neap_buffer_deinit(&buffer);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(references_are_resolved_as_the_rfc_shows),
        TEST(the_parts_are_given),
        TEST(a_user_or_password_is_refused),
        TEST(a_url_without_path_and_query_has_a_slash),
        TEST(the_same_origin_is_written_the_same),
        TEST(a_query_is_appended),
        TEST(a_query_stands_behind_the_reference_s_own),
        TEST(what_is_above_ascii_is_encoded),
        TEST(what_is_no_url_is_refused),
        TEST(a_url_must_be_absolute_without_a_base),
        TEST(other_schemes_are_refused),
        TEST(a_path_does_not_leave_its_base),
        TEST(a_path_may_stay),
        TEST(memory_may_run_out_anywhere),
        TEST(each_error_has_a_text),
        TEST(pairs_are_encoded),
        TEST(a_pair_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
