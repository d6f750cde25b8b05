#include "client/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/calls.h"
#include "support/child.h"
#include "support/fetch.h"

/* Each test runs twice: on the engine's own loop, and with a helper. */
static bool uses_helper = true;
static struct neap_engine *engine;
static struct neap_network network;

static int set_up(void **state)
{
    uses_helper = *state != NULL;
    fetch_set_up(state);
    network = (struct neap_network){NULL, NULL, {0}};
    assert_int_equal(neap_engine_new(&fetch.memory.alloc, &engine), NEAP_OK);
    engine->wants_helper = uses_helper;
    return 0;
}

static int tear_down(void **state)
{
    neap_network_close(&network);
    neap_engine_release(engine);
    return fetch_tear_down(state);
}

static enum neap_status try_to_send(struct fetched *fetched, const char *url,
                                    struct neap_wire *wire, char message[NEAP_MESSAGE_BYTES])
{
    struct neap_request request = fetch.request;
    request.method = "GET";
    request.url = url;
    *fetched = (struct fetched){.then = NULL};
    *wire = (struct neap_wire){NULL, NULL};
    neap_loop_update(engine->loop);
    return neap_network_send(&network, engine, &fetch.settings, &request, &fetch.limits, fetch_take,
                             fetched, wire, message);
}

static struct neap_wire send_request(struct fetched *fetched, const char *url)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    struct neap_wire wire;
    assert_int_equal(try_to_send(fetched, url, &wire, message), NEAP_OK);
    assert_true(uses_helper ? wire.parcel && !wire.transfer : wire.transfer && !wire.parcel);
    return wire;
}

static bool is_told(const void *fetched)
{
    return ((const struct fetched *)fetched)->told > 0;
}

static bool gets(const char *url)
{
    struct fetched fetched;
    send_request(&fetched, url);
    bool well = poll_until(engine, is_told, &fetched) && fetched.outcome.status == 200;
    fetched_free(&fetched);
    return well;
}

static struct neap_transport_stats stats(void)
{
    struct neap_transport_stats read;
    neap_network_read(&network, &read);
    return read;
}

static void it_connects_when_it_is_first_needed(void **state)
{
    (void)state;
    assert_int_equal(stats().opened, 0);
    neap_network_close(&network);
    assert_true(gets(fetch_url("plain", "/echo")));
    assert_true(uses_helper ? network.remote && !network.transport
                            : network.transport && !network.remote);
    assert_true(gets(fetch_url("plain", "/echo")));
    assert_int_equal(stats().opened, 1);
    assert_int_equal(stats().reused, 1);
}

static void counts_go_on_over_a_close(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(gets(fetch_url("plain", "/echo")));
        assert_true(gets(fetch_url("plain", "/echo")));
        assert_int_equal(stats().open, 1);
        neap_network_close(&network);
        neap_network_close(&network);
        assert_int_equal(stats().open, 0);
    }
    assert_int_equal(stats().opened, 3);
    assert_int_equal(stats().reused, 3);
    assert_int_equal(stats().in_flight, 0);
}

static bool is_received(const void *path)
{
    char *log = fetch_log();
    bool received = strstr(log, path) != NULL;
    free(log);
    return received;
}

/* The server remembers what it has received from test to test: each path is of one test. */
static const char *gated(const char *path, const char *gate)
{
    char target[64];
    snprintf(target, sizeof target, "%s?gate=%s", path, gate);
    return fetch_url("plain", target);
}

static void cancelling_tells_what_is_proved_unsent(void **state)
{
    struct fetched fetched;
    (void)state;
    struct neap_wire wire = send_request(&fetched, fetch_url("stall", "/"));
    assert_true(gets(fetch_url("plain", "/echo")));
    assert_int_equal(stats().in_flight, 1);
    assert_true(neap_network_cancel(&network, engine, &wire));
    assert_true(!wire.parcel && !wire.transfer);
    assert_false(neap_network_cancel(&network, engine, &wire));
    const char *silent = uses_helper ? "/echo/silent/2" : "/echo/silent/1";
    wire = send_request(&fetched, gated(silent, "never"));
    assert_true(poll_until(engine, is_received, silent));
    assert_false(neap_network_cancel(&network, engine, &wire));
    assert_int_equal(stats().in_flight, 0);
    assert_true(gets(fetch_url("plain", "/echo")));
    assert_int_equal(fetched.told, 0);
}

static void settings_that_are_refused_are_named(void **state)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    struct fetched fetched;
    struct neap_wire wire;
    (void)state;
    fetch.settings.proxy = "gopher://host";
    assert_int_equal(try_to_send(&fetched, "http://127.0.0.1/", &wire, message), NEAP_SYSTEM);
    assert_non_null(strstr(message, "proxy"));
    assert_true(!wire.parcel && !wire.transfer);
    fetch.settings.proxy = NULL;
    assert_true(gets(fetch_url("plain", "/echo")));
}

static void a_helper_without_descriptors_is_told(void **state)
{
    char message[NEAP_MESSAGE_BYTES] = "";
    struct fetched fetched;
    struct neap_wire wire;
    (void)state;
    limit_descriptors(0);
    enum neap_status status = try_to_send(&fetched, "http://127.0.0.1/", &wire, message);
    allow_descriptors();
    assert_int_equal(status, NEAP_NO_MEMORY);
    assert_non_null(strstr(message, "descriptors"));
    assert_true(gets(fetch_url("plain", "/echo")));
}

static bool is_done(const void *exchange)
{
    return ((const struct neap_exchange *)exchange)->attention == NEAP_ATTENTION_DONE;
}

/* The server, which was not asked, is not to blame. */
static void a_call_without_descriptors_for_a_helper_is_our_own_fault(void **state)
{
    (void)state;
    struct neap_client *client = make_client(engine, NEAP_CARRIER_NETWORK, 0, &fetch.settings);
    limit_descriptors(0);
    struct neap_exchange *exchange = begin_exchange(client, "http://127.0.0.1/");
    allow_descriptors();
    assert_true(poll_until(engine, is_done, exchange));
    struct neap_outcome outcome = exchange->call.result.outcome;
    neap_exchange_free(exchange);
    neap_client_release(client);
    assert_int_equal(outcome.kind, NEAP_KIND_ERROR);
    assert_true(outcome.ours && outcome.unsent);
    assert_non_null(strstr(outcome.message, "descriptors"));
}

/* ------------------------------------------------------------------------------- a fork */

static const char *forked_url;

/* As an engine does that is adopted. */
static bool get_in_child(void)
{
    struct neap_transport_stats before = stats();
    neap_network_forsake(&network);
    if (engine->helper)
        neap_helper_forsake(engine->helper);
    if (neap_engine_new(&fetch.memory.alloc, &engine) != NEAP_OK)
        return false;
    engine->wants_helper = uses_helper;
    bool well = gets(forked_url) && gets(forked_url) && stats().opened == before.opened + 1 &&
                stats().reused == before.reused + 1;
    neap_network_close(&network);
    neap_engine_release(engine);
    return well;
}

static void the_connection_of_the_parent_is_left_as_it_is(void **state)
{
    static const char *const ports[] = {"plain", "good", "h2"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        forked_url = fetch_url(ports[i], "/echo");
        assert_true(gets(forked_url));
        assert_true(in_child(get_in_child));
        assert_true(gets(forked_url));
        assert_int_equal(stats().opened, i + 1);
        assert_int_equal(stats().reused, i + 1);
    }
}

static struct neap_wire parents_wire;

static bool cancel_in_child(void)
{
    return !neap_network_cancel(&network, engine, &parents_wire) && !parents_wire.parcel &&
           !parents_wire.transfer;
}

static void what_the_parent_has_under_way_is_left_as_it_is(void **state)
{
    const char *forked = uses_helper ? "/echo/forked/2" : "/echo/forked/1";
    const char *gate = uses_helper ? "second" : "first";
    char release[32];
    struct fetched fetched;
    (void)state;
    parents_wire = send_request(&fetched, gated(forked, gate));
    assert_true(poll_until(engine, is_received, forked));
    assert_true(in_child(cancel_in_child));
    snprintf(release, sizeof release, "/_release/%s", gate);
    fetch_put(release, "");
    assert_true(poll_until(engine, is_told, &fetched));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

/* Each allocation fails in turn. */
static void memory_may_run_out_anywhere(void **state)
{
    char message[NEAP_MESSAGE_BYTES];
    struct fetched fetched;
    struct neap_wire wire;
    bool refused = true;
    (void)state;
    for (size_t nth = 1; refused; nth++) {
        neap_network_close(&network);
        neap_engine_release(engine);
        assert_int_equal(neap_engine_new(&fetch.memory.alloc, &engine), NEAP_OK);
        engine->wants_helper = uses_helper;
        failing_alloc_fail(&fetch.memory, nth);
        enum neap_status status =
            try_to_send(&fetched, fetch_url("plain", "/echo"), &wire, message);
        if (status == NEAP_OK)
            assert_true(poll_until(engine, is_told, &fetched));
        else
            assert_int_equal(status, NEAP_NO_MEMORY);
        fetched_free(&fetched);
        refused = fetch.memory.allocations >= fetch.memory.fail_at;
    }
}

static char with_helper;

#define ON_LOOP(test) cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, NULL)
#define ON_HELPER(test)                                                                            \
    cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &with_helper)
#define BOTH(test) ON_LOOP(test), ON_HELPER(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(it_connects_when_it_is_first_needed),
        BOTH(counts_go_on_over_a_close),
        BOTH(cancelling_tells_what_is_proved_unsent),
        BOTH(settings_that_are_refused_are_named),
        ON_HELPER(a_helper_without_descriptors_is_told),
        ON_HELPER(a_call_without_descriptors_for_a_helper_is_our_own_fault),
        BOTH(the_connection_of_the_parent_is_left_as_it_is),
        BOTH(what_the_parent_has_under_way_is_left_as_it_is),
        BOTH(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, fetch_group_set_up, fetch_group_tear_down);
}
