#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

static void send_with(struct fetched *fetched, const char *method, const char *body)
{
    fetch.request.body = body;
    fetch.request.body_bytes = body ? strlen(body) : 0;
    fetch_run(fetched, method, fetch_url("plain", "/echo"));
}

static void assert_echo_has(const struct fetched *fetched, const char *text)
{
    if (!strstr(fetched_body(fetched, 200), text))
        fail_msg("%s is not in %s", text, fetched_body(fetched, 200));
}

static void assert_echo_lacks(const struct fetched *fetched, const char *text)
{
    if (strstr(fetched_body(fetched, 200), text))
        fail_msg("%s is in %s", text, fetched_body(fetched, 200));
}

static void the_method_is_sent_as_it_is(void **state)
{
    static const char *const methods[] = {"GET",    "POST",    "PUT",   "PATCH",
                                          "DELETE", "OPTIONS", "PURGE", "get"};
    struct fetched fetched;
    char wanted[64];
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        send_with(&fetched, methods[i], NULL);
        snprintf(wanted, sizeof wanted, "\"method\":\"%s\"", methods[i]);
        assert_echo_has(&fetched, wanted);
        fetched_free(&fetched);
    }
}

static void any_method_may_have_a_body(void **state)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "REPORT"};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        send_with(&fetched, methods[i], "some text");
        assert_echo_has(&fetched, "\"body\":\"some text\",\"body_bytes\":9");
        assert_echo_has(&fetched, "[\"Content-Length\",\"9\"]");
        fetched_free(&fetched);
    }
}

static void methods_that_anticipate_content_announce_a_length_of_none(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH"};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        send_with(&fetched, methods[i], NULL);
        assert_echo_has(&fetched, "[\"Content-Length\",\"0\"]");
        fetched_free(&fetched);
    }
    send_with(&fetched, "GET", NULL);
    assert_echo_lacks(&fetched, "Content-Length");
    fetched_free(&fetched);
    send_with(&fetched, "DELETE", NULL);
    assert_echo_lacks(&fetched, "Content-Length");
    fetched_free(&fetched);
}

static void an_empty_body_is_a_body(void **state)
{
    struct fetched fetched;
    (void)state;
    send_with(&fetched, "DELETE", "");
    assert_echo_has(&fetched, "[\"Content-Length\",\"0\"]");
    fetched_free(&fetched);
}

static void a_body_may_hold_any_byte(void **state)
{
    static const char body[] = {'a', '\0', 'b', '\n'};
    struct fetched fetched;
    (void)state;
    fetch.request.body = body;
    fetch.request.body_bytes = sizeof body;
    fetch_run(&fetched, "POST", fetch_url("plain", "/echo"));
    assert_echo_has(&fetched, "\"body_bytes\":4");
    fetched_free(&fetched);
}

static void head_has_no_body_in_either_direction(void **state)
{
    struct fetched fetched;
    size_t bytes;
    (void)state;
    send_with(&fetched, "HEAD", "ignored");
    assert_string_equal(fetched_body(&fetched, 200), "");
    assert_non_null(neap_response_header(fetched.response, "content-length", 0, &bytes));
    fetched_free(&fetched);
}

static void a_handle_used_before_is_clean(void **state)
{
    static const struct neap_request_header private_header = {"X-Private", "1"};
    struct fetched fetched;
    (void)state;
    fetch.request.headers = &private_header;
    fetch.request.header_count = 1;
    send_with(&fetched, "PURGE", "body");
    fetched_free(&fetched);
    send_with(&fetched, "HEAD", NULL);
    fetched_free(&fetched);
    fetch.request.header_count = 0;
    send_with(&fetched, "GET", NULL);
    assert_echo_has(&fetched, "\"method\":\"GET\"");
    assert_echo_has(&fetched, "\"body\":\"\"");
    assert_echo_lacks(&fetched, "X-Private");
    assert_echo_lacks(&fetched, "Content-Length");
    fetched_free(&fetched);
    send_with(&fetched, "POST", "again");
    assert_echo_has(&fetched, "\"method\":\"POST\"");
    assert_echo_has(&fetched, "\"body\":\"again\"");
    fetched_free(&fetched);
}

static void send_headers(struct fetched *fetched, const struct neap_request_header *headers,
                         size_t count, const char *body)
{
    fetch.request.headers = headers;
    fetch.request.header_count = count;
    send_with(fetched, body ? "POST" : "GET", body);
}

static void headers_are_sent_in_their_order(void **state)
{
    static const struct neap_request_header headers[] = {
        {"X-One", "1"}, {"X-Two", "a:b, \"c\"\t;d"}, {"X-One", "again"}};
    struct fetched fetched;
    (void)state;
    send_headers(&fetched, headers, 3, NULL);
    assert_echo_has(
        &fetched,
        "[\"X-One\",\"1\"],[\"X-Two\",\"a:b, \\\"c\\\"\\u0009;d\"],[\"X-One\",\"again\"]");
    fetched_free(&fetched);
}

static void a_header_may_be_empty(void **state)
{
    static const struct neap_request_header headers[] = {{"X-Empty", ""}, {"X-Blank", " \t"}};
    struct fetched fetched;
    (void)state;
    send_headers(&fetched, headers, 2, NULL);
    assert_echo_has(&fetched, "[\"X-Empty\",\"\"],[\"X-Blank\",\"\"]");
    fetched_free(&fetched);
}

static void nothing_is_said_about_the_type_of_a_body_but_by_the_caller(void **state)
{
    static const struct neap_request_header type = {"content-type", "text/plain"};
    struct fetched fetched;
    (void)state;
    send_headers(&fetched, NULL, 0, "a=b");
    assert_echo_lacks(&fetched, "Content-Type");
    fetched_free(&fetched);
    send_headers(&fetched, &type, 1, "a=b");
    assert_echo_has(&fetched, "[\"content-type\",\"text/plain\"]");
    fetched_free(&fetched);
}

static void framing_is_not_the_callers(void **state)
{
    static const struct neap_request_header headers[] = {
        {"content-length", "100"}, {"Transfer-Encoding", "chunked"}, {"expect", "100-continue"}};
    struct fetched fetched;
    (void)state;
    send_headers(&fetched, headers, 3, "abc");
    assert_echo_has(&fetched, "[\"Content-Length\",\"3\"]");
    assert_echo_has(&fetched, "\"body\":\"abc\"");
    assert_echo_lacks(&fetched, "xpect");
    assert_echo_lacks(&fetched, "chunked\"]");
    fetched_free(&fetched);
}

static void a_large_body_does_not_wait_to_be_asked_for(void **state)
{
    static char body[3 << 20];
    struct fetched fetched;
    (void)state;
    memset(body, 'x', sizeof body);
    fetch.request.body = body;
    fetch.request.body_bytes = sizeof body;
    fetch_run(&fetched, "POST", fetch_url("plain", "/echo"));
    assert_echo_has(&fetched, "\"body_bytes\":3145728");
    assert_echo_lacks(&fetched, "Expect");
    fetched_free(&fetched);
}

static void the_caller_may_name_agent_and_host(void **state)
{
    static const struct neap_request_header headers[] = {{"user-agent", "mine"},
                                                         {"Host", "example.com"}};
    struct fetched fetched;
    (void)state;
    send_headers(&fetched, headers, 2, NULL);
    assert_echo_has(&fetched, "[\"user-agent\",\"mine\"]");
    assert_echo_has(&fetched, "[\"Host\",\"example.com\"]");
    assert_echo_lacks(&fetched, "neap/");
    fetched_free(&fetched);
    send_headers(&fetched, NULL, 0, NULL);
    assert_echo_has(&fetched, "[\"User-Agent\",\"neap/");
    fetched_free(&fetched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_method_is_sent_as_it_is),
        TEST(any_method_may_have_a_body),
        TEST(methods_that_anticipate_content_announce_a_length_of_none),
        TEST(an_empty_body_is_a_body),
        TEST(a_body_may_hold_any_byte),
        TEST(head_has_no_body_in_either_direction),
        TEST(a_handle_used_before_is_clean),
        TEST(headers_are_sent_in_their_order),
        TEST(a_header_may_be_empty),
        TEST(nothing_is_said_about_the_type_of_a_body_but_by_the_caller),
        TEST(framing_is_not_the_callers),
        TEST(a_large_body_does_not_wait_to_be_asked_for),
        TEST(the_caller_may_name_agent_and_host),
    };
    return cmocka_run_group_tests_name("hop", tests, fetch_group_set_up, fetch_group_tear_down);
}
