#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"
#include "transport/transport_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

static const struct neap_request_header all_kinds[] = {
    {"Authorization", "Bearer secret"}, {"Cookie", "secret"},     {"X-Api-Key", "secret"},
    {"Accept", "text/plain"},           {"Content-Type", "a/b"},  {"Traceparent", "00-1"},
    {"Idempotency-Key", "k1"},          {"User-Agent", "tester"}, {"Proxy-Authorization", "secret"},
};

static const char *leads_to(const char *port, int status, const char *target)
{
    char path[512];
    snprintf(path, sizeof path, "/redirect?status=%d&to=%s", status, target);
    return fetch_url(port, path);
}

static void has(const struct fetched *fetched, const char *text)
{
    if (!strstr(fetched_body(fetched, 200), text))
        fail_msg("%s is not in %s", text, fetched_body(fetched, 200));
}

static void lacks(const struct fetched *fetched, const char *text)
{
    if (strstr(fetched_body(fetched, 200), text))
        fail_msg("%s is in %s", text, fetched_body(fetched, 200));
}

static void a_redirect_is_followed(void **state)
{
    static const int statuses[] = {301, 302, 303, 307, 308};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        const char *target = fetch_url("plain", "/echo/there");
        fetch_run(&fetched, "GET", leads_to("plain", statuses[i], target));
        has(&fetched, "\"path\":\"/echo/there\"");
        assert_string_equal(fetched.response->url, target);
        fetched_free(&fetched);
    }
}

static void a_relative_location_is_resolved(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", leads_to("plain", 302, "../echo/a%20b%C3%A9%3Fq%3D1%23part"));
    has(&fetched, "\"path\":\"/echo/a%20b%C3%A9?q=1\"");
    fetched_free(&fetched);
}

static void as_many_are_followed_as_are_allowed(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/redirect?n=5"));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", fetch_url("plain", "/redirect?n=6"));
    fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
    assert_false(fetched.outcome.unsent);
    fetch_run(&fetched, "GET", fetch_url("plain", "/redirect?loop=1"));
    fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
}

static void with_none_allowed_it_is_a_response(void **state)
{
    struct fetched fetched;
    size_t bytes;
    (void)state;
    fetch.settings.redirects = 0;
    fetch_run(&fetched, "GET", fetch_url("plain", "/redirect?n=1"));
    fetched_body(&fetched, 302);
    assert_non_null(neap_response_header(fetched.response, "Location", 0, &bytes));
    fetched_free(&fetched);
}

static void without_a_location_it_is_a_response(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "GET", fetch_url("plain", "/status/302?body=here"));
    assert_string_equal(fetched_body(&fetched, 302), "here");
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", fetch_url("plain", "/status/304?header=Location:/echo"));
    fetched_body(&fetched, 304);
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", fetch_url("plain", "/status/300?header=Location:/echo"));
    fetched_body(&fetched, 300);
    fetched_free(&fetched);
}

static void what_cannot_be_followed_is_redirect(void **state)
{
    static const char *const headers[] = {
        "Location:ftp://127.0.0.1/",
        "Location:file:///etc/passwd",
        "Location:http://a:b:c/",
        "Location:http://",
        "Location:",
        "Location:/a&header=Location:/b",
        "Location:javascript:alert(1)",
        "Location:/a%09b",
    };
    struct fetched fetched;
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        snprintf(path, sizeof path, "/status/302?header=%s", headers[i]);
        fetch_run(&fetched, "GET", fetch_url("plain", path));
        fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
    }
}

static void post(struct fetched *fetched, const char *method, int status)
{
    fetch.request.headers = all_kinds;
    fetch.request.header_count = sizeof all_kinds / sizeof *all_kinds;
    fetch.request.body = "money";
    fetch.request.body_bytes = 5;
    fetch_run(fetched, method, leads_to("plain", status, "/echo"));
}

static void some_make_a_get_of_a_post(void **state)
{
    static const int statuses[] = {301, 302, 303};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        post(&fetched, "POST", statuses[i]);
        has(&fetched, "\"method\":\"GET\"");
        has(&fetched, "\"body\":\"\"");
        has(&fetched, "Bearer secret");
        lacks(&fetched, "Content-");
        lacks(&fetched, "Idempotency-Key");
        fetched_free(&fetched);
    }
}

static void others_repeat_the_post(void **state)
{
    static const int statuses[] = {307, 308};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        post(&fetched, "POST", statuses[i]);
        has(&fetched, "\"method\":\"POST\"");
        has(&fetched, "\"body\":\"money\"");
        has(&fetched, "Idempotency-Key");
        fetched_free(&fetched);
    }
}

static void see_other_makes_a_get_of_any_method_but_head(void **state)
{
    struct fetched fetched;
    (void)state;
    post(&fetched, "PUT", 302);
    has(&fetched, "\"method\":\"PUT\"");
    fetched_free(&fetched);
    post(&fetched, "PUT", 303);
    has(&fetched, "\"method\":\"GET\"");
    fetched_free(&fetched);
    fetch_run(&fetched, "HEAD", leads_to("plain", 303, "/echo"));
    assert_string_equal(fetched_body(&fetched, 200), "");
    fetched_free(&fetched);
}

static void another_origin_gets_only_what_is_harmless(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.request.headers = all_kinds;
    fetch.request.header_count = sizeof all_kinds / sizeof *all_kinds;
    fetch_run(&fetched, "GET", leads_to("plain", 307, fetch_url("flaky", "/echo")));
    lacks(&fetched, "secret");
    has(&fetched, "[\"Accept\",\"text/plain\"]");
    has(&fetched, "[\"Content-Type\",\"a/b\"]");
    has(&fetched, "[\"Traceparent\",\"00-1\"]");
    has(&fetched, "[\"User-Agent\",\"tester\"]");
    has(&fetched, "[\"Idempotency-Key\",\"k1\"]");
    fetched_free(&fetched);
}

static void a_way_back_brings_no_confidence_back(void **state)
{
    char back[400], there[400];
    struct fetched fetched;
    (void)state;
    snprintf(back, sizeof back, "/redirect?to=%s", fetch_url("plain", "/echo"));
    snprintf(there, sizeof there, "%s", fetch_url("flaky", back));
    fetch.request.headers = all_kinds;
    fetch.request.header_count = sizeof all_kinds / sizeof *all_kinds;
    fetch_run(&fetched, "GET", leads_to("plain", 302, there));
    has(&fetched, "\"port\":\"plain\"");
    lacks(&fetched, "secret");
    fetched_free(&fetched);
}

static void another_scheme_is_another_origin(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.request.headers = all_kinds;
    fetch.request.header_count = sizeof all_kinds / sizeof *all_kinds;
    fetch_run(&fetched, "GET", leads_to("good", 302, fetch_url("plain", "/echo")));
    has(&fetched, "\"port\":\"plain\"");
    lacks(&fetched, "secret");
    fetched_free(&fetched);
}

static void a_location_gives_no_credentials(void **state)
{
    struct fetched fetched;
    char target[400];
    (void)state;
    snprintf(target, sizeof target, "http://user:secret@%s",
             fetch_url("flaky", "/echo") + strlen("http://"));
    fetch_run(&fetched, "GET", leads_to("plain", 302, target));
    fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
    assert_null(strstr(fetched.outcome.message, "secret"));
    fetched_free(&fetched);
}

static void our_certificate_is_for_the_first_origin(void **state)
{
    char cert[128], key[128];
    struct fetched fetched;
    (void)state;
    fetch.settings.cert = misbehave_file(&fetch.server, "client.pem", cert);
    fetch.settings.key = misbehave_file(&fetch.server, "client.key", key);
    fetch_run(&fetched, "GET", fetch_url("clientauth", "/redirect?n=1"));
    has(&fetched, "\"client\":");
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", leads_to("good", 302, fetch_url("clientauth", "/echo")));
    fetched_assert_kind(&fetched, NEAP_KIND_TLS, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.certificate);
    assert_false(fetched.outcome.unsent);
    fetch_run(&fetched, "GET", fetch_url("clientauth", "/echo"));
    has(&fetched, "\"client\":");
    fetched_free(&fetched);
}

static void the_body_of_a_redirect_counts_and_is_dropped(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.settings.max_response_bytes = 1000;
    fetch_run(&fetched, "GET", fetch_url("plain", "/status/302?header=Location:/echo&bytes=1000"));
    has(&fetched, "\"path\":\"/echo\"");
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", fetch_url("plain", "/status/302?header=Location:/echo&bytes=1001"));
    fetched_assert_kind(&fetched, NEAP_KIND_TOO_LARGE, NEAP_PHASE_NONE);
}

static void a_failure_after_a_redirect_is_not_unsent(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_run(&fetched, "POST", leads_to("plain", 307, fetch_url("refused", "/")));
    fetched_assert_kind(&fetched, NEAP_KIND_CONNECT, NEAP_PHASE_NONE);
    assert_false(fetched.outcome.unsent);
}

/* Everything here is on the loopback, so the option begins to hold when the first hop is under way.
 */
static bool deny_the_next_hop(void *context)
{
    (void)context;
    fetch.transport->stock->settings.deny_private = true;
    return true;
}

static void one_to_an_inner_address_is_refused_at_its_socket(void **state)
{
    struct fetched fetched = {0};
    (void)state;
    fetch_open();
    const char *url = leads_to("plain", 307, fetch_url("flaky", "/echo"));
    struct neap_transfer *transfer = fetch_send(&fetched, "GET", url);
    neap_transfer_ask_before_sending(transfer, deny_the_next_hop);
    fetch_wait(&fetched);
    fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
    assert_non_null(strstr(fetched.outcome.message, "policy.deny_private"));
    assert_false(fetched.outcome.unsent);
}

static void one_to_a_host_that_is_not_allowed_is_refused(void **state)
{
    char *hosts[] = {"*.example", "127.0.0.1"};
    struct fetched fetched;
    (void)state;
    fetch.settings.allow_hosts = hosts;
    fetch.settings.allow_host_count = 2;
    fetch_run(&fetched, "GET", leads_to("plain", 307, fetch_url("flaky", "/echo")));
    fetched_free(&fetched);
    fetch_run(&fetched, "GET", leads_to("plain", 307, "http://api.example.evil.invalid/"));
    fetched_assert_kind(&fetched, NEAP_KIND_REDIRECT, NEAP_PHASE_NONE);
    assert_non_null(strstr(fetched.outcome.message, "policy.allow_hosts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_redirect_is_followed),
        TEST(a_relative_location_is_resolved),
        TEST(as_many_are_followed_as_are_allowed),
        TEST(with_none_allowed_it_is_a_response),
        TEST(without_a_location_it_is_a_response),
        TEST(what_cannot_be_followed_is_redirect),
        TEST(some_make_a_get_of_a_post),
        TEST(others_repeat_the_post),
        TEST(see_other_makes_a_get_of_any_method_but_head),
        TEST(another_origin_gets_only_what_is_harmless),
        TEST(a_way_back_brings_no_confidence_back),
        TEST(another_scheme_is_another_origin),
        TEST(a_location_gives_no_credentials),
        TEST(our_certificate_is_for_the_first_origin),
        TEST(the_body_of_a_redirect_counts_and_is_dropped),
        TEST(a_failure_after_a_redirect_is_not_unsent),
        TEST(one_to_an_inner_address_is_refused_at_its_socket),
        TEST(one_to_a_host_that_is_not_allowed_is_refused),
    };
    return cmocka_run_group_tests_name("redirect", tests, fetch_group_set_up,
                                       fetch_group_tear_down);
}
