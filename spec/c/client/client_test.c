#include "client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/calls.h"
#include "support/child.h"
#include "support/fetch.h"

/* Each test runs twice: on the engine's own loop, and with a helper. */
static struct neap_engine *engine;
static struct neap_client *client;

static int set_up(void **state)
{
    bool uses_helper = *state != NULL;
    fetch_set_up(state);
    assert_int_equal(neap_engine_new(&fetch.memory.alloc, &engine), NEAP_OK);
    engine->wants_helper = uses_helper;
    client = make_client(engine, NEAP_CARRIER_NETWORK, 1, &fetch.settings);
    return 0;
}

static int tear_down(void **state)
{
    neap_client_release(client);
    neap_engine_release(engine);
    return fetch_tear_down(state);
}

static int status_of(const char *url)
{
    return finish(begin_exchange(client, url));
}

static struct neap_transport_stats stats(void)
{
    struct neap_transport_stats read;
    neap_network_read(&client->connections->network, &read);
    return read;
}

static void a_closed_one_has_no_connections(void **state)
{
    (void)state;
    assert_int_equal(status_of(fetch_url("plain", "/echo")), 200);
    neap_client_close(client);
    neap_client_close(client);
    assert_true(!client->connections->network.transport && !client->connections->network.remote);
    assert_int_equal(stats().opened, 1);
    assert_int_equal(status_of(fetch_url("plain", "/echo")), 0);
}

static void closing_cancels_what_is_in_flight(void **state)
{
    (void)state;
    struct neap_exchange *sends = begin_exchange(client, fetch_url("plain", "/echo?gate=never"));
    struct neap_exchange *waits = begin_exchange(client, fetch_url("plain", "/echo"));
    neap_client_close(client);
    assert_int_equal(sends->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    assert_int_equal(waits->call.result.outcome.kind, NEAP_KIND_CANCELLED);
    assert_int_equal(stats().in_flight, 0);
    neap_exchange_free(sends);
    neap_exchange_free(waits);
}

static void giving_up_a_call_takes_it_off_the_network(void **state)
{
    (void)state;
    struct neap_exchange *sends = begin_exchange(client, fetch_url("plain", "/echo?gate=never"));
    assert_int_equal(stats().in_flight, 1);
    neap_exchange_give_up(sends);
    assert_int_equal(stats().in_flight, 0);
    assert_int_equal(status_of(fetch_url("plain", "/echo")), 200);
    neap_exchange_free(sends);
}

/* ------------------------------------------------------------------------------- a fork */

static const char *forked_url;
static struct neap_exchange *under_way;

static bool calls_in_child(void)
{
    uint64_t opened = stats().opened;
    return neap_engine_adopt(engine) == NEAP_OK && status_of(forked_url) == 200 &&
           status_of(forked_url) == 200 && stats().opened == opened + 1;
}

static bool closes_in_child(void)
{
    neap_client_close(client);
    return !client->connections->network.transport && !client->connections->network.remote;
}

static bool releases_in_child(void)
{
    neap_client_close(client);
    neap_client_release(client);
    neap_engine_release(engine);
    return true;
}

static bool releases_what_it_adopted(void)
{
    bool well = calls_in_child();
    neap_client_close(client);
    neap_client_release(client);
    neap_engine_release(engine);
    return well;
}

/* Over TLS a word of farewell from the child would end the connection. */
static void what_a_child_does_leaves_the_parents_connection(void **state)
{
    static const char *const ports[] = {"plain", "good", "h2"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        forked_url = fetch_url(ports[i], "/echo");
        assert_int_equal(status_of(forked_url), 200);
        assert_true(in_child(calls_in_child));
        assert_int_equal(status_of(forked_url), 200);
        assert_true(in_child(closes_in_child));
        assert_int_equal(status_of(forked_url), 200);
        assert_true(in_child(releases_in_child));
        assert_int_equal(status_of(forked_url), 200);
        assert_true(in_child(releases_what_it_adopted));
        assert_int_equal(status_of(forked_url), 200);
        assert_int_equal(stats().opened, i + 1);
    }
}

static bool ends_the_copy(void)
{
    neap_client_close(client);
    neap_exchange_free(under_way);
    return neap_engine_adopt(engine) == NEAP_OK;
}

static void what_a_child_does_leaves_the_parents_calls(void **state)
{
    (void)state;
    under_way = begin_exchange(client, fetch_url("plain", "/slow?headers=0.1"));
    neap_engine_poll(engine);
    assert_true(in_child(ends_the_copy));
    assert_int_equal(finish(under_way), 200);
}

static char with_helper;

#define BOTH(test)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, NULL),                       \
        cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &with_helper)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_closed_one_has_no_connections),
        BOTH(closing_cancels_what_is_in_flight),
        BOTH(giving_up_a_call_takes_it_off_the_network),
        BOTH(what_a_child_does_leaves_the_parents_connection),
        BOTH(what_a_child_does_leaves_the_parents_calls),
    };
    return cmocka_run_group_tests(tests, fetch_group_set_up, fetch_group_tear_down);
}
