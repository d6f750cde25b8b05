#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"
#include "transport/transport_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_two, close_two)
#define SHORT (200 * NEAP_MS)

static struct neap_stock_list stocks;
static struct neap_transport *one, *other;

static struct neap_transport *make(void)
{
    struct neap_transport *made = NULL;
    assert_int_equal(
        neap_transport_new(&fetch.memory.alloc, fetch.loop, &fetch.settings, &stocks, &made, NULL),
        NEAP_OK);
    return made;
}

/* A loop, and two transports of the same settings. */
static int open_two(void **state)
{
    fetch_set_up(state);
    fetch_open();
    neap_transport_free(fetch.transport);
    one = make();
    other = make();
    fetch.transport = one;
    return 0;
}

static void free_both(void)
{
    neap_transport_free(one);
    neap_transport_free(other);
    one = other = fetch.transport = NULL;
}

static size_t chain_length(const struct neap_stock *chain)
{
    size_t length = 0;
    for (; chain; chain = chain->next)
        length++;
    return length;
}

static int close_two(void **state)
{
    free_both();
    for (size_t i = 0; i < NEAP_STOCK_CHAINS; i++)
        assert_null(stocks.chain[i]);
    return fetch_tear_down(state);
}

static void get(struct neap_transport *transport, const char *port, const char *path)
{
    struct fetched fetched;
    fetch.transport = transport;
    fetch_run(&fetched, "GET", fetch_url(port, path));
    fetched_body(&fetched, 200);
    fetched_free(&fetched);
}

static struct neap_transport_stats stats_of(const struct neap_transport *transport)
{
    struct neap_transport_stats stats;
    neap_transport_read(transport, &stats);
    return stats;
}

static void a_handle_goes_from_one_to_the_other(void **state)
{
    (void)state;
    const CURL *easy = one->stock->spare->easy;
    for (int i = 0; i < 3; i++) {
        get(one, "plain", "/keepalive");
        get(other, "plain", "/keepalive");
    }
    assert_ptr_equal(one->stock, other->stock);
    assert_ptr_equal(one->stock->spare->easy, easy);
    assert_int_equal(one->stock->spare_count, 1);
}

static void connections_stay_with_their_transport(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        get(one, "plain", "/keepalive");
        get(other, "good", "/echo");
    }
    assert_int_equal(stats_of(one).opened, 1);
    assert_int_equal(stats_of(one).open, 1);
    assert_int_equal(stats_of(other).opened, 1);
    assert_int_equal(stats_of(other).open, 1);
}

static void streams_stay_with_their_transport(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        get(one, "h2", "/");
        get(other, "h2", "/");
    }
    neap_transport_free(one);
    one = NULL;
    get(other, "h2", "/");
    assert_int_equal(stats_of(other).opened, 1);
}

/* The handle that opened the connection is the other one's when it is closed. */
static void a_connection_that_ends_is_told_to_its_transport(void **state)
{
    (void)state;
    get(one, "plain", "/keepalive?close_idle=1");
    get(other, "plain", "/keepalive");
    fetch_pass(SHORT);
    get(other, "plain", "/keepalive");
    get(one, "plain", "/keepalive");
    assert_int_equal(stats_of(one).opened, 2);
    assert_int_equal(stats_of(one).open, 1);
    assert_int_equal(stats_of(other).opened, 1);
    assert_int_equal(stats_of(other).open, 1);
}

static void sessions_of_tls_stay_with_their_transport(void **state)
{
    (void)state;
    get(one, "plain", "/keepalive");
    get(other, "plain", "/keepalive");
    assert_null(one->sessions);
    get(one, "good", "/echo");
    get(other, "good", "/echo");
    assert_ptr_not_equal(one->sessions, other->sessions);
    assert_ptr_equal(one->stock->spare->share, other->sessions);
    neap_transport_free(other);
    other = NULL;
    assert_null(one->stock->spare->share);
    get(one, "good", "/echo");
    assert_ptr_equal(one->stock->spare->share, one->sessions);
}

static void a_handle_outlives_the_transport_that_made_it(void **state)
{
    (void)state;
    get(one, "good", "/echo");
    neap_transport_free(one);
    one = NULL;
    assert_null(other->stock->spare->transport);
    get(other, "good", "/echo");
    one = make();
    get(one, "good", "/echo");
    assert_ptr_equal(one->stock, other->stock);
}

static void other_settings_have_other_handles(void **state)
{
    (void)state;
    neap_transport_free(other);
    fetch.settings.redirects = 1;
    other = make();
    assert_ptr_not_equal(one->stock, other->stock);
    get(one, "plain", "/keepalive");
    get(other, "plain", "/keepalive");
}

/* One transport for each tenant, say, with a certificate of its own. */
static void many_settings_stand_in_short_chains(void **state)
{
    struct neap_transport *made[2 * NEAP_STOCK_CHAINS];
    char cert[16];
    size_t count = sizeof made / sizeof *made, longest = 0;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        snprintf(cert, sizeof cert, "%zu.pem", i);
        fetch.settings.cert = cert;
        made[i] = make();
    }
    for (size_t i = 0; i < NEAP_STOCK_CHAINS; i++)
        if (chain_length(stocks.chain[i]) > longest)
            longest = chain_length(stocks.chain[i]);
    for (size_t i = 0; i < count; i++)
        neap_transport_free(made[i]);
    assert_in_range(longest, 2, 10);
}

static void send_at_once(struct fetched fetched[], int count, struct neap_transport *transport)
{
    fetch.transport = transport;
    for (int i = 0; i < count; i++) {
        fetched[i] = (struct fetched){.told = 0};
        fetch_send(&fetched[i], "GET", fetch_url("plain", "/keepalive"));
    }
}

static void collect(struct fetched fetched[], int count)
{
    for (int i = 0; i < count; i++) {
        fetch_wait(&fetched[i]);
        fetched_body(&fetched[i], 200);
        fetched_free(&fetched[i]);
    }
}

static void no_more_rest_than_could_be_used_at_once(void **state)
{
    struct fetched fetched[6];
    (void)state;
    free_both();
    fetch.settings.max_connections = 2;
    one = make();
    other = make();
    send_at_once(fetched, 3, one);
    send_at_once(fetched + 3, 3, other);
    collect(fetched, 6);
    assert_int_equal(one->stock->spare_count, 4);
    neap_transport_free(other);
    other = NULL;
    assert_int_equal(one->stock->spare_count, 2);
}

/* In a forked child the transports of the parent are left as they are. */
static void nobody_finds_the_stock_of_the_forsaken(void **state)
{
    (void)state;
    neap_transport_forsake(one);
    neap_transport_forsake(other);
    struct neap_transport *third = make();
    assert_ptr_not_equal(third->stock, one->stock);
    assert_int_equal(third->stock->transports, 1);
    neap_transport_free(third);
}

static void memory_may_run_out_for_the_second_one(void **state)
{
    (void)state;
    neap_transport_free(other);
    for (size_t nth = 1;; nth++) {
        other = NULL;
        failing_alloc_fail(&fetch.memory, nth);
        enum neap_status status = neap_transport_new(&fetch.memory.alloc, fetch.loop,
                                                     &fetch.settings, &stocks, &other, NULL);
        failing_alloc_fail(&fetch.memory, 0);
        if (status == NEAP_OK)
            break;
        assert_int_equal(status, NEAP_NO_MEMORY);
        assert_int_equal(one->stock->transports, 1);
        get(one, "plain", "/keepalive");
    }
    get(other, "plain", "/keepalive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_handle_goes_from_one_to_the_other),
        TEST(connections_stay_with_their_transport),
        TEST(streams_stay_with_their_transport),
        TEST(a_connection_that_ends_is_told_to_its_transport),
        TEST(sessions_of_tls_stay_with_their_transport),
        TEST(a_handle_outlives_the_transport_that_made_it),
        TEST(other_settings_have_other_handles),
        TEST(many_settings_stand_in_short_chains),
        TEST(no_more_rest_than_could_be_used_at_once),
        TEST(nobody_finds_the_stock_of_the_forsaken),
        TEST(memory_may_run_out_for_the_second_one),
    };
    return cmocka_run_group_tests_name("stock", tests, fetch_group_set_up, fetch_group_tear_down);
}
