#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"

#include <signal.h>

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

static void a_connection_is_used_again(void **state)
{
    static const char *const ports[] = {"plain", "good", "h2"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        fetch_open();
        fetch_get(ports[i], "/echo");
        fetch_get(ports[i], "/echo");
        fetch_get(ports[i], "/echo");
        assert_int_equal(fetch_stats().opened, 1);
        assert_int_equal(fetch_stats().reused, 2);
        assert_int_equal(fetch_stats().in_flight, 0);
    }
}

static void a_connection_idle_for_too_long_is_not_used_again(void **state)
{
    (void)state;
    fetch.settings.idle_ns = NEAP_SECOND;
    fetch_get("plain", "/echo");
    fetch_pass(2100 * NEAP_MS);
    fetch_get("plain", "/echo");
    assert_int_equal(fetch_stats().opened, 2);
}

static void no_more_connections_are_made_than_are_allowed(void **state)
{
    struct fetched fetched[12];
    (void)state;
    fetch.settings.per_host = 3;
    fetch_open();
    fetch_begin(fetched, 12, "plain", "/slow?headers=0.01");
    assert_int_equal(fetch_stats().in_flight, 12);
    fetch_collect(fetched, 12);
    assert_int_equal(fetch_stats().opened, 3);
    assert_int_equal(fetch_stats().reused, 9);
    assert_int_equal(fetch_stats().open, 3);
}

static void connections_that_the_server_closes_are_not_open(void **state)
{
    (void)state;
    fetch_open();
    fetch_get("plain", "/echo");
    assert_int_equal(fetch_stats().open, 1);
    fetch_get("plain", "/status/200?header=Connection:close");
    assert_int_equal(fetch_stats().open, 0);
}

static void transfers_to_many_hosts_share_the_whole_limit(void **state)
{
    static const char *const ports[] = {"plain", "flaky", "good"};
    struct fetched fetched[9] = {{.told = 0}};
    (void)state;
    fetch.settings.max_connections = 2;
    fetch_open();
    for (int i = 0; i < 9; i++)
        fetch_send(&fetched[i], "GET", fetch_url(ports[i % 3], "/slow?headers=0.01"));
    fetch_collect(fetched, 9);
}

static void streams_share_a_connection(void **state)
{
    struct fetched fetched[10];
    (void)state;
    fetch_open();
    fetch_get("h2", "/");
    fetch_begin(fetched, 10, "h2", "/");
    fetch_collect(fetched, 10);
    assert_int_equal(fetch_stats().opened, 1);
}

static void http2_can_be_turned_off(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.settings.http2 = false;
    fetch_run(&fetched, "GET", fetch_url("h2", "/"));
    assert_true(fetched.outcome.kind != NEAP_KIND_NONE || fetched.response->http_version == 11);
    fetched_free(&fetched);
}

/* ------------------------------------------------------------------------------------ cancelling
 */

static void a_cancelled_transfer_is_not_told(void **state)
{
    struct fetched fetched = {.told = 0}, other = {.told = 0};
    (void)state;
    fetch_open();
    struct neap_transfer *transfer =
        fetch_send(&fetched, "GET", fetch_url("plain", "/slow?body=9"));
    fetch_send(&other, "GET", fetch_url("plain", "/slow?headers=0.05"));
    fetch_pass(20 * NEAP_MS);
    assert_false(neap_transfer_is_unsent(transfer));
    neap_transport_cancel(fetch.transport, transfer);
    fetch_wait(&other);
    fetched_body(&other, 200);
    fetched_free(&other);
    assert_int_equal(fetched.told, 0);
    assert_int_equal(fetch_stats().in_flight, 0);
}

static void a_transfer_cancelled_at_once_was_not_sent(void **state)
{
    struct fetched fetched = {.told = 0};
    (void)state;
    fetch_open();
    struct neap_transfer *transfer = fetch_send(&fetched, "GET", fetch_url("plain", "/echo"));
    assert_true(neap_transfer_is_unsent(transfer));
    neap_transport_cancel(fetch.transport, transfer);
    assert_false(neap_loop_turn(fetch.loop, neap_loop_now(fetch.loop)));
    fetch_get("plain", "/echo");
}

static int sends_to_allow;

static bool allow_some(void *context)
{
    struct fetched *fetched = context;
    assert_int_equal(fetched->told, 0);
    return sends_to_allow-- > 0;
}

static void the_receiver_is_asked_before_each_hop(void **state)
{
    (void)state;
    fetch_open();
    for (int allowed = 0; allowed < 3; allowed++) {
        struct fetched fetched = {.told = 0};
        struct neap_transfer *transfer =
            fetch_send(&fetched, "GET", fetch_url("plain", "/redirect?n=1"));
        sends_to_allow = allowed;
        neap_transfer_ask_before_sending(transfer, allow_some);
        fetch_wait(&fetched);
        if (allowed == 2) {
            fetched_body(&fetched, 200);
        } else {
            fetched_assert_kind(&fetched, NEAP_KIND_CANCELLED, NEAP_PHASE_NONE);
            assert_int_equal(fetched.outcome.unsent, allowed == 0);
        }
        fetched_free(&fetched);
    }
    fetch_get("plain", "/echo"); /* whose handle was asked before, and is not now */
}

static void cancelling_a_stream_leaves_the_others(void **state)
{
    struct fetched fetched = {.told = 0}, other = {.told = 0};
    (void)state;
    fetch_put("/_h2", "answer\nslow 2 0.1\n");
    fetch_open();
    fetch_get("h2", "/");
    struct neap_transfer *transfer = fetch_send(&fetched, "GET", fetch_url("h2", "/"));
    fetch_send(&other, "GET", fetch_url("h2", "/"));
    fetch_pass(20 * NEAP_MS);
    neap_transport_cancel(fetch.transport, transfer);
    fetch_wait(&other);
    fetched_body(&other, 200);
    fetched_free(&other);
    assert_int_equal(fetch_stats().opened, 1);
}

/* ------------------------------------------------------------------------- what `done` may do */

static struct fetched second;
static struct neap_transfer *to_cancel;

static void send_second(struct fetched *fetched)
{
    (void)fetched;
    fetch_send(&second, "GET", fetch_url("plain", "/echo/second"));
}

static void done_may_send(void **state)
{
    struct fetched fetched = {.then = send_second};
    (void)state;
    second = (struct fetched){.told = 0};
    fetch_open();
    fetch_send(&fetched, "GET", fetch_url("plain", "/echo"));
    fetch_wait(&second);
    assert_true(fetched_says(&second, "/echo/second"));
    fetched_free(&fetched);
    fetched_free(&second);
    assert_int_equal(fetch_stats().opened, 1);
}

static void cancel_other(struct fetched *fetched)
{
    (void)fetched;
    neap_transport_cancel(fetch.transport, to_cancel);
}

static void done_may_cancel_others(void **state)
{
    struct fetched fetched = {.then = cancel_other}, other = {.told = 0};
    (void)state;
    fetch_open();
    to_cancel = fetch_send(&other, "GET", fetch_url("plain", "/slow?headers=5"));
    fetch_send(&fetched, "GET", fetch_url("plain", "/echo"));
    fetch_wait(&fetched);
    fetch_pass(20 * NEAP_MS);
    assert_int_equal(other.told, 0);
    assert_int_equal(fetch_stats().in_flight, 0);
    fetched_free(&fetched);
}

static void free_transport(struct fetched *fetched)
{
    (void)fetched;
    neap_transport_free(fetch.transport);
    fetch.transport = NULL;
}

static void done_may_free_the_transport(void **state)
{
    struct fetched fetched = {.then = free_transport}, others[3] = {{.told = 0}};
    (void)state;
    fetch_open();
    for (int i = 0; i < 3; i++)
        fetch_send(&others[i], "GET", fetch_url("plain", "/echo"));
    fetch_send(&fetched, "GET", fetch_url("plain", "/echo"));
    for (int i = 0; i < 3; i++)
        others[i].then = fetched_free;
    fetch_wait(&fetched);
    assert_false(neap_loop_turn(fetch.loop, 0));
    assert_int_equal(neap_loop_next(fetch.loop), NEAP_NEVER);
    fetched_free(&fetched);
}

static void done_may_free_the_transport_after_a_timeout(void **state)
{
    struct fetched fetched = {.then = free_transport}, other = {.told = 0};
    (void)state;
    fetch_open();
    fetch_send(&other, "GET", fetch_url("plain", "/slow?headers=5"));
    fetch.limits.read_ns = 10 * NEAP_MS;
    fetch_send(&fetched, "GET", fetch_url("plain", "/slow?headers=5"));
    fetch_wait(&fetched);
    assert_int_equal(other.told, 0);
}

static void transfers_in_flight_end_with_the_transport(void **state)
{
    struct fetched fetched = {.told = 0}, other = {.told = 0};
    (void)state;
    fetch_open();
    fetch_send(&fetched, "GET", fetch_url("plain", "/slow?headers=5"));
    fetch_pass(10 * NEAP_MS);
    fetch_send(&other, "GET", fetch_url("good", "/echo"));
    fetch_close();
    assert_int_equal(fetched.told + other.told, 0);
}

/* ------------------------------------------------------------------------------------ the rest */

static void proxies_of_the_environment_are_used_only_when_asked_for(void **state)
{
    char proxy[64];
    struct fetched fetched;
    (void)state;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", misbehave_port(&fetch.server, "plain"));
    setenv("http_proxy", proxy, 1);
    fetch_run(&fetched, "GET", "http://nosuch.invalid/echo");
    fetched_assert_kind(&fetched, NEAP_KIND_RESOLVE, NEAP_PHASE_NONE);
    fetch.settings.proxy_environment = true;
    fetch_open();
    fetch_run(&fetched, "GET", "http://nosuch.invalid/echo");
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
    unsetenv("http_proxy");
}

static void a_proxy_takes_what_the_environment_would_exempt(void **state)
{
    char proxy[64];
    struct fetched fetched;
    (void)state;
    snprintf(proxy, sizeof proxy, "127.0.0.1:%d", misbehave_port(&fetch.server, "plain"));
    setenv("no_proxy", "*", 1);
    fetch.settings.proxy = proxy;
    fetch_run(&fetched, "GET", "http://nosuch.invalid/echo");
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
    unsetenv("no_proxy");
}

static void an_unusable_proxy_is_refused_at_once(void **state)
{
    struct neap_transport *transport;
    char message[NEAP_MESSAGE_BYTES] = "";
    (void)state;
    fetch_open();
    fetch.settings.proxy = "gopher://user:secret@host";
    assert_int_equal(neap_transport_new(&fetch.memory.alloc, fetch.loop, &fetch.settings, NULL,
                                        &transport, message),
                     NEAP_SYSTEM);
    assert_non_null(strstr(message, "proxy"));
    assert_null(strstr(message, "secret"));
}

static void verification_can_be_turned_off(void **state)
{
    (void)state;
    fetch.settings.verify = false;
    fetch_get("selfsigned", "/echo");
    fetch_get("wrongname", "/echo");
}

static void a_lowest_version_of_tls_is_kept(void **state)
{
    (void)state;
    fetch.settings.min_tls = 13;
    fetch_get("good", "/echo");
}

static void the_systems_trust_is_replaced(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch.settings.ca_file = NULL;
    fetch_run(&fetched, "GET", fetch_url("good", "/echo"));
    fetched_assert_kind(&fetched, NEAP_KIND_TLS, NEAP_PHASE_NONE);
    assert_true(fetched.outcome.certificate);
}

/* SIGPIPE has its default here, which ends the program. */
static void a_peer_that_closed_does_not_kill_the_process(void **state)
{
    static char body[4 << 20];
    static const char *const ports[] = {"plain", "good"};
    struct fetched fetched;
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    fetch.request.body = body;
    fetch.request.body_bytes = sizeof body;
    for (int i = 0; i < 10; i++) {
        fetch_run(&fetched, "POST", fetch_url(ports[i % 2], "/reset?at=accept"));
        fetched_assert_kind(&fetched, NEAP_KIND_RESET, NEAP_PHASE_NONE);
        fetch_run(&fetched, "POST", fetch_url(ports[i % 2], "/close?at=accept&abrupt=1"));
        fetched_assert_kind(&fetched, NEAP_KIND_RESET, NEAP_PHASE_NONE);
    }
}

/* Each allocation of ours fails in turn; the transfer then fails, or is not even begun. */
static bool survives_without(size_t nth)
{
    struct neap_request request = {.method = "GET", .url = fetch_url("plain", "/redirect?n=1")};
    struct neap_transfer *transfer;
    struct neap_loop *loop = NULL;
    struct neap_transport *transport = NULL;
    bool complete = false;
    failing_alloc_fail(&fetch.memory, nth);
    if (neap_loop_new(&fetch.memory.alloc, &loop) == NEAP_OK &&
        neap_transport_new(&fetch.memory.alloc, loop, &fetch.settings, NULL, &transport, NULL) ==
            NEAP_OK) {
        second = (struct fetched){.told = 0};
        fetch.loop = loop;
        fetch.transport = transport;
        enum neap_status status =
            neap_transport_send(transport, &request, &fetch.limits, fetch_take, &second, &transfer);
        if (status == NEAP_OK)
            fetch_wait(&second);
        else
            assert_int_equal(status, NEAP_NO_MEMORY);
        complete = second.response != NULL;
        if (second.told && !complete) /* no server is to blame for it */
            assert_true(second.outcome.kind == NEAP_KIND_ERROR && second.outcome.ours);
        fetched_free(&second);
    }
    fetch_close();
    neap_loop_free(transport ? NULL : loop);
    return complete;
}

static void memory_may_run_out_anywhere(void **state)
{
    char *hosts[] = {"*.example", "127.0.0.1"};
    size_t nth = 1, failed = 0;
    (void)state;
    fetch.settings.allow_hosts = hosts;
    fetch.settings.allow_host_count = 2;
    for (; fetch.memory.fail_at == 0 || fetch.memory.allocations >= fetch.memory.fail_at; nth++) {
        failed += !survives_without(nth);
        failing_alloc_assert_all_freed(&fetch.memory);
    }
    assert_in_range(failed, 10, nth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_used_again),
        TEST(a_connection_idle_for_too_long_is_not_used_again),
        TEST(no_more_connections_are_made_than_are_allowed),
        TEST(connections_that_the_server_closes_are_not_open),
        TEST(transfers_to_many_hosts_share_the_whole_limit),
        TEST(streams_share_a_connection),
        TEST(http2_can_be_turned_off),
        TEST(a_cancelled_transfer_is_not_told),
        TEST(a_transfer_cancelled_at_once_was_not_sent),
        TEST(the_receiver_is_asked_before_each_hop),
        TEST(cancelling_a_stream_leaves_the_others),
        TEST(done_may_send),
        TEST(done_may_cancel_others),
        TEST(done_may_free_the_transport),
        TEST(done_may_free_the_transport_after_a_timeout),
        TEST(transfers_in_flight_end_with_the_transport),
        TEST(proxies_of_the_environment_are_used_only_when_asked_for),
        TEST(a_proxy_takes_what_the_environment_would_exempt),
        TEST(an_unusable_proxy_is_refused_at_once),
        TEST(verification_can_be_turned_off),
        TEST(a_lowest_version_of_tls_is_kept),
        TEST(the_systems_trust_is_replaced),
        TEST(a_peer_that_closed_does_not_kill_the_process),
        TEST(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("transport", tests, fetch_group_set_up,
                                       fetch_group_tear_down);
}
