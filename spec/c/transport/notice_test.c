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

/* The requests that the server has counted since the last fetch_put("/_reset", ""). */
static bool ledger_says(const char *text)
{
    char *ledger = fetch_ledger();
    bool says = strstr(ledger, text) != NULL;
    free(ledger);
    return says;
}

static void pay(struct fetched *fetched, const char *port, const char *path)
{
    fetch.request.body = "money";
    fetch.request.body_bytes = 5;
    fetch_run(fetched, "POST", fetch_url(port, path));
    fetch.request.body = NULL;
    fetch.request.body_bytes = 0;
}

static void assert_reset(const struct fetched *fetched, bool unsent)
{
    fetched_assert_kind(fetched, NEAP_KIND_RESET, NEAP_PHASE_NONE);
    assert_int_equal(fetched->outcome.unsent, unsent);
}

static void a_reused_connection_that_dies_is_told_and_not_repeated(void **state)
{
    static const char *const ways[] = {"/keepalive?next=close", "/keepalive?next=reset"};
    static const char *const ports[] = {"plain", "good"};
    struct fetched fetched;
    (void)state;
    for (int i = 0; i < 4; i++) {
        fetch_put("/_reset", "");
        fetch_get(ports[i / 2], ways[i % 2]);
        pay(&fetched, ports[i / 2], "/payments");
        assert_reset(&fetched, false);
        assert_true(ledger_says("\"payments\":0"));
    }
}

static void an_idempotent_method_is_not_repeated_either(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_get("plain", "/keepalive?next=reset");
    fetch_run(&fetched, "GET", fetch_url("plain", "/echo"));
    assert_reset(&fetched, false);
    fetch_get("plain", "/echo");
}

static void money_taken_before_the_connection_died_is_taken_once(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_reset", "");
    fetch_get("plain", "/keepalive");
    pay(&fetched, "plain", "/payments?lose=after");
    assert_reset(&fetched, false);
    assert_true(ledger_says("\"payments\":1"));
}

static void a_connection_closed_while_idle_is_not_used(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_reset", "");
    fetch_get("plain", "/keepalive?close_idle=1");
    fetch_pass(20 * NEAP_MS);
    pay(&fetched, "plain", "/payments");
    fetched_body(&fetched, 201);
    fetched_free(&fetched);
    assert_int_equal(fetch_stats().opened, 2);
    assert_int_equal(fetch_stats().reused, 0);
}

/* What comes next on it would be taken for the answer to the next request. */
static void a_connection_that_cannot_be_trusted_is_not_used_again(void **state)
{
    static const char *const paths[] = {
        "/surplus?body=&kind=answer", "/surplus?chunked=1&kind=answer", "/surplus?status=204",
        "/garbage?kind=both&keep=1",  "/garbage?kind=old&keep=1",
    };
    static const int statuses[] = {200, 200, 204, 200, 200};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        fetch_get("plain", "/echo");
        struct neap_transport_stats before = fetch_stats();
        fetch_run(&fetched, "GET", fetch_url("plain", paths[i]));
        fetched_body(&fetched, statuses[i]);
        fetched_free(&fetched);
        fetch_get("plain", "/echo");
        fetch_get("plain", "/echo");
        struct neap_transport_stats after = fetch_stats();
        assert_int_equal(after.opened - before.opened, 1);
        assert_int_equal(after.reused - before.reused, 2); /* on the handle that had forbidden it */
    }
}

static void a_connection_whose_answer_ends_with_its_head_is_used_again(void **state)
{
    static const char *const paths[] = {"/status/204",
                                        "/status/200?body=", "/drip?bytes=1&every=0"};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < 2 * sizeof paths / sizeof *paths; i++) {
        fetch_run(&fetched, i % 2 == 0 ? "GET" : "HEAD", fetch_url("plain", paths[i / 2]));
        fetched_body(&fetched, i < 2 ? 204 : 200);
        fetched_free(&fetched);
    }
    assert_int_equal(fetch_stats().opened, 1);
    assert_int_equal(fetch_stats().reused, 5);
}

static void a_refused_first_stream_is_unsent(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_h2", "refuse");
    pay(&fetched, "h2", "/");
    assert_reset(&fetched, true);
    assert_non_null(strstr(fetched.outcome.message, "refused"));
}

/* libcurl says nothing here that would tell it from a lost connection. */
static void a_refused_later_stream_is_a_reset(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_get("h2", "/");
    fetch_put("/_h2", "refuse");
    pay(&fetched, "h2", "/");
    assert_reset(&fetched, false);
    fetch_get("h2", "/");
}

static void a_stream_beyond_goaway_is_unsent(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_h2", "goaway");
    pay(&fetched, "h2", "/");
    assert_reset(&fetched, true);
    fetch_get("h2", "/");
    fetch_put("/_h2", "goaway");
    pay(&fetched, "h2", "/");
    assert_reset(&fetched, true);
    assert_non_null(strstr(fetched.outcome.message, "refused"));
}

static void a_stream_within_goaway_is_answered(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_put("/_h2", "graceful");
    pay(&fetched, "h2", "/");
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
    fetch_get("h2", "/");
}

static void a_connection_of_http2_that_dies_proves_nothing(void **state)
{
    static const char *const actions[] = {"kill", "drop", "garbage", "reset", "calm"};
    struct fetched fetched;
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        fetch_put("/_h2", actions[i]);
        pay(&fetched, "h2", "/");
        assert_reset(&fetched, false);
        fetch_get("h2", "/");
        fetch_put("/_h2", actions[i]);
        pay(&fetched, "h2", "/");
        assert_reset(&fetched, false);
    }
}

static void a_refusal_is_not_remembered_for_the_next_transfer(void **state)
{
    struct fetched fetched;
    (void)state;
    fetch_get("h2", "/");
    fetch_put("/_h2", "refuse\nkill\n");
    pay(&fetched, "h2", "/");
    pay(&fetched, "h2", "/");
    assert_reset(&fetched, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reused_connection_that_dies_is_told_and_not_repeated),
        TEST(an_idempotent_method_is_not_repeated_either),
        TEST(money_taken_before_the_connection_died_is_taken_once),
        TEST(a_connection_closed_while_idle_is_not_used),
        TEST(a_connection_that_cannot_be_trusted_is_not_used_again),
        TEST(a_connection_whose_answer_ends_with_its_head_is_used_again),
        TEST(a_refused_first_stream_is_unsent),
        TEST(a_refused_later_stream_is_a_reset),
        TEST(a_stream_beyond_goaway_is_unsent),
        TEST(a_stream_within_goaway_is_answered),
        TEST(a_connection_of_http2_that_dies_proves_nothing),
        TEST(a_refusal_is_not_remembered_for_the_next_transfer),
    };
    return cmocka_run_group_tests_name("notice", tests, fetch_group_set_up, fetch_group_tear_down);
}
