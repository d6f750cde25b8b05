#include "client/tie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/clock.h"
#include "support/calls.h"
#include "support/failing_alloc.h"
#include "support/fetch.h"
#include "support/visitor.h"

static struct failing_alloc memory;
static struct neap_engine *engine;
static struct neap_client *client;
static struct neap_tie *tie;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    assert_int_equal(neap_engine_new_virtual(&memory.alloc, 1, 0, &engine), NEAP_OK);
    client = make_client(engine, NEAP_CARRIER_SCRIPT, 1, NULL);
    assert_int_equal(neap_tie_new(&memory.alloc, &tie), NEAP_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_tie_release(tie);
    neap_client_release(client);
    neap_engine_release(engine);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static struct neap_exchange *begin_tied(void)
{
    struct neap_exchange *exchange = make_exchange(client, "http://api.example/");
    neap_exchange_tie(exchange, tie);
    neap_exchange_begin(exchange, false);
    return exchange;
}

static struct neap_exchange *begin(void)
{
    return begin_exchange(client, "http://api.example/");
}

static void its_end_gives_up_what_is_tied(void **state)
{
    (void)state;
    struct neap_exchange *sends = begin_tied(), *waits = begin_tied();
    struct neap_exchange *not_begun = make_exchange(client, "http://api.example/");
    neap_exchange_tie(not_begun, tie);
    neap_tie_end(tie);
    assert_true(sends->given_up && waits->given_up && not_begun->given_up);
    assert_null(tie->first);
    assert_int_equal(engine->busy, 0);
    assert_int_equal(client->queue->waiting, 0);
    assert_null(client->exchanges);
    assert_int_equal(neap_loop_next(engine->loop), NEAP_NEVER);
    assert_null(neap_engine_take_ready(engine));
    neap_exchange_free(sends);
    neap_exchange_free(waits);
    neap_exchange_free(not_begun);
}

static void its_end_leaves_the_others(void **state)
{
    (void)state;
    struct neap_exchange *tied = begin_tied(), *other = begin();
    assert_int_equal(other->attention, NEAP_ATTENTION_NONE);
    neap_tie_end(tie);
    assert_true(neap_exchange_run(other)); /* its place is free */
    assert_int_equal(other->attention, NEAP_ATTENTION_ATTEMPT);
    assert_false(other->given_up);
    neap_exchange_free(tied);
    neap_exchange_free(other);
}

static void a_second_end_changes_nothing(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_tied();
    neap_tie_end(tie);
    neap_tie_end(tie);
    assert_true(tie->ended);
    neap_exchange_free(exchange);
}

static void a_call_that_is_freed_leaves_it(void **state)
{
    (void)state;
    struct neap_exchange *call[3];
    for (int i = 0; i < 3; i++)
        call[i] = begin_tied();
    neap_exchange_free(call[1]);
    neap_exchange_free(call[2]);
    assert_ptr_equal(tie->first, &call[0]->tied);
    assert_null(call[0]->tied.next);
    neap_exchange_free(call[0]);
    assert_null(tie->first);
    assert_int_equal(tie->references, 1);
}

static void what_is_tied_after_its_end_is_given_up_at_once(void **state)
{
    (void)state;
    neap_tie_end(tie);
    struct neap_exchange *exchange = make_exchange(client, "http://api.example/");
    neap_exchange_tie(exchange, tie);
    assert_true(exchange->given_up);
    assert_int_equal(tie->references, 1);
    neap_exchange_free(exchange);
}

static void a_call_has_one_tie(void **state)
{
    struct neap_tie *other;
    (void)state;
    assert_int_equal(neap_tie_new(&memory.alloc, &other), NEAP_OK);
    struct neap_exchange *exchange = begin_tied();
    neap_exchange_tie(exchange, tie);
    neap_exchange_tie(exchange, other);
    assert_int_equal(tie->references, 2);
    neap_tie_end(other);
    assert_false(exchange->given_up);
    neap_tie_release(other);
    neap_exchange_free(exchange);
}

static void one_that_was_given_up_is_not_tied(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin();
    neap_exchange_give_up(exchange);
    neap_exchange_give_up(exchange);
    neap_exchange_tie(exchange, tie);
    assert_null(tie->first);
    neap_exchange_free(exchange);
    neap_tie_end(tie);
}

static void it_lives_as_long_as_a_call_is_tied(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_tied();
    neap_tie_release(tie);
    tie = NULL;
    assert_false(exchange->tied.tie->ended);
    neap_exchange_free(exchange);
    neap_tie_release(NULL);
}

static void one_that_is_done_may_be_given_up(void **state)
{
    (void)state;
    struct neap_exchange *exchange = begin_tied();
    neap_exchange_cancel(exchange);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    neap_tie_end(tie);
    assert_null(neap_engine_take_ready(engine));
    neap_exchange_free(exchange);
}

static void making_one_tells_that_memory_is_out(void **state)
{
    struct neap_tie *none;
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_tie_new(&memory.alloc, &none), NEAP_NO_MEMORY);
}

/* ------------------------------------------------------------------------- over the helper */

static int set_up_network(void **state)
{
    fetch_set_up(state);
    assert_int_equal(neap_engine_new(&fetch.memory.alloc, &engine), NEAP_OK);
    engine->wants_helper = true;
    client = make_client(engine, NEAP_CARRIER_NETWORK, 1, &fetch.settings);
    assert_int_equal(neap_tie_new(&fetch.memory.alloc, &tie), NEAP_OK);
    return 0;
}

static int tear_down_network(void **state)
{
    neap_tie_release(tie);
    neap_client_release(client);
    neap_engine_release(engine);
    return fetch_tear_down(state);
}

static void wait_for_in_flight(const char *number)
{
    int64_t until_ns = neap_clock_monotonic_ns() + LIMIT_NS;
    char expected[32];
    snprintf(expected, sizeof expected, "\"in_flight\":%s,", number);
    for (bool seen = false; !seen;) {
        char *ledger = fetch_ledger();
        seen = strstr(ledger, expected) != NULL;
        free(ledger);
        assert_true(neap_clock_monotonic_ns() < until_ns);
    }
}

/* The host's bell makes it turn the engine for the call that has a place now. */
static void its_end_takes_the_transfer_away_and_rings(void **state)
{
    (void)state;
    struct neap_exchange *tied = make_exchange(client, fetch_url("plain", "/echo?gate=never"));
    neap_exchange_tie(tied, tie);
    neap_exchange_begin(tied, false);
    neap_helper_flush(engine->helper);
    wait_for_in_flight("1");
    struct neap_exchange *queued = begin_exchange(client, fetch_url("plain", "/echo"));
    int visitor = visit(neap_helper_doorbell(engine->helper));
    assert_true(neap_helper_arm(engine->helper));
    neap_tie_end(tie);
    assert_true(hears(visitor, 10000));
    close(visitor);
    wait_for_in_flight("0");
    assert_int_equal(finish(queued), 200);
    neap_exchange_free(tied);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define NETWORK(test) cmocka_unit_test_setup_teardown(test, set_up_network, tear_down_network)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_end_gives_up_what_is_tied),
        TEST(its_end_leaves_the_others),
        TEST(a_second_end_changes_nothing),
        TEST(a_call_that_is_freed_leaves_it),
        TEST(what_is_tied_after_its_end_is_given_up_at_once),
        TEST(a_call_has_one_tie),
        TEST(one_that_was_given_up_is_not_tied),
        TEST(it_lives_as_long_as_a_call_is_tied),
        TEST(one_that_is_done_may_be_given_up),
        TEST(making_one_tells_that_memory_is_out),
        NETWORK(its_end_takes_the_transfer_away_and_rings),
    };
    return cmocka_run_group_tests(tests, fetch_group_set_up, fetch_group_tear_down);
}
