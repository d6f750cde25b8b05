#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"
#include "transport/transport_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)
#define SHORT (200 * NEAP_MS)
#define FIVE_IN (500 * NEAP_MS)
#define MANY 120

static struct fetched many[MANY];

/* From now on the origin is known, and there is no connection to it. */
static void ask_once_and_lose_the_connection(void)
{
    fetch_put("/_h2", "graceful 1\n");
    fetch_get("h2", "/");
    for (int i = 0; i < 50 && fetch_stats().open > 0; i++) {
        fetch_pass(10 * NEAP_MS);
        fetch_get("plain", "/status/200");
    }
}

static void calls_at_once_share_a_connection_that_is_made(void **state)
{
    (void)state;
    ask_once_and_lose_the_connection();
    uint64_t opened = fetch_stats().opened;
    fetch_begin(many, 20, "h2", "/");
    fetch_collect(many, 20);
    assert_int_equal(fetch_stats().opened - opened, 1);
}

static void an_origin_that_nobody_knows_is_not_waited_for(void **state)
{
    (void)state;
    fetch_open();
    fetch_begin(many, 5, "good", "/slow?headers=0.05");
    fetch_collect(many, 5);
    assert_int_equal(fetch_stats().opened, 5);
    fetch_begin(many, 5, "h2", "/");
    fetch_collect(many, 5);
    assert_int_equal(fetch_stats().opened, 10);
}

static void another_origin_is_not_waited_for(void **state)
{
    (void)state;
    fetch_get("h2", "/");
    uint64_t opened = fetch_stats().opened;
    fetch_begin(many, 5, "good", "/slow?headers=0.05");
    fetch_collect(many, 5);
    assert_int_equal(fetch_stats().opened - opened, 5);
}

/* Stopped, the server takes connections and says nothing. Who had waited for the first one's
 * connecting does not get the whole limit once more for its own. */
static void fail_five_in_time(void)
{
    fetch.limits.connect_ns = FIVE_IN;
    kill(fetch.server.pid, SIGSTOP);
    int64_t began_ns = neap_loop_update(fetch.loop);
    fetch_begin(many, 5, "h2", "/");
    for (int i = 0; i < 5; i++)
        fetch_wait(&many[i]);
    int64_t took_ns = neap_loop_update(fetch.loop) - began_ns;
    kill(fetch.server.pid, SIGCONT);
    for (int i = 0; i < 5; i++) {
        fetched_assert_kind(&many[i], NEAP_KIND_TIMEOUT, NEAP_PHASE_CONNECT);
        assert_true(many[i].outcome.unsent);
    }
    assert_in_range(took_ns, FIVE_IN, 2 * FIVE_IN - 1);
}

static void who_waits_for_a_connection_has_its_limit(void **state)
{
    (void)state;
    ask_once_and_lose_the_connection();
    fail_five_in_time();
}

static void who_waits_goes_on_when_the_one_that_connects_is_given_up(void **state)
{
    (void)state;
    ask_once_and_lose_the_connection();
    kill(fetch.server.pid, SIGSTOP);
    struct neap_transfer *first = fetch_begin(many, 5, "h2", "/");
    fetch_pass(20 * NEAP_MS);
    neap_transport_cancel(fetch.transport, first);
    kill(fetch.server.pid, SIGCONT);
    fetch_collect(many + 1, 4);
}

/* libcurl has no more than a hundred streams on one. */
static void who_waits_for_a_stream_is_not_connecting(void **state)
{
    (void)state;
    fetch.settings.per_host = 1;
    fetch.limits.connect_ns = SHORT;
    fetch_put("/_h2", "answer 1\nslow 110 0.5\n");
    fetch_get("h2", "/");
    fetch_begin(many, 110, "h2", "/");
    fetch_collect(many, 110);
    assert_int_equal(fetch_stats().opened, 1);
}

/* The second hundred waits while nobody has been answered yet. */
static void who_waits_for_a_stream_before_the_first_answer_is_not_connecting(void **state)
{
    (void)state;
    fetch.settings.per_host = 1;
    ask_once_and_lose_the_connection();
    fetch.limits.connect_ns = SHORT;
    fetch_put("/_h2", "slow 110 0.5\n");
    uint64_t opened = fetch_stats().opened;
    fetch_begin(many, 110, "h2", "/");
    fetch_collect(many, 110);
    assert_int_equal(fetch_stats().opened - opened, 1);
}

/* The connection ends after longer than the limit; who waited for a stream gets one of the next,
 * which takes some time to come. */
static void waiting_counts_as_connecting_from_the_loss_of_the_connection(void **state)
{
    (void)state;
    fetch.settings.per_host = 1;
    fetch.limits.connect_ns = NEAP_SECOND;
    fetch_put("/_h2", "answer 1\nslow 1 1.8\nslow 99 30\ndrop 1\n");
    fetch_get("h2", "/");
    fetch_begin(many, MANY, "h2", "/");
    fetch_wait(&many[1]);
    kill(fetch.server.pid, SIGSTOP);
    fetch_pass(2 * SHORT);
    kill(fetch.server.pid, SIGCONT);
    for (int i = 0; i < MANY; i++) {
        fetch_wait(&many[i]);
        assert_true(many[i].outcome.kind != NEAP_KIND_TIMEOUT);
        fetched_free(&many[i]);
    }
}

static void a_connection_to_another_origin_lifts_no_limit(void **state)
{
    char other[64];
    (void)state;
    snprintf(other, sizeof other, "https://127.0.0.1:%d/", misbehave_port(&fetch.server, "h2"));
    ask_once_and_lose_the_connection();
    fetch_put("/_h2", "answer 1\ngraceful 1\n");
    struct fetched fetched;
    fetch_run(&fetched, "GET", other);
    fetched_free(&fetched);
    fetch_get("h2", "/");
    for (int i = 0; i < 50 && fetch_stats().open > 2; i++) {
        fetch_pass(10 * NEAP_MS);
        fetch_get("plain", "/status/200");
    }
    fail_five_in_time();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_at_once_share_a_connection_that_is_made),
        TEST(an_origin_that_nobody_knows_is_not_waited_for),
        TEST(another_origin_is_not_waited_for),
        TEST(who_waits_for_a_connection_has_its_limit),
        TEST(who_waits_goes_on_when_the_one_that_connects_is_given_up),
        TEST(who_waits_for_a_stream_is_not_connecting),
        TEST(who_waits_for_a_stream_before_the_first_answer_is_not_connecting),
        TEST(waiting_counts_as_connecting_from_the_loss_of_the_connection),
        TEST(a_connection_to_another_origin_lifts_no_limit),
    };
    return cmocka_run_group_tests_name("sharing", tests, fetch_group_set_up, fetch_group_tear_down);
}
