#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/fetch.h"
#include "transport/transport_internal.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, fetch_set_up, fetch_tear_down)

#define MANY 450

static struct fetched many[MANY];

static uint32_t shards(void)
{
    return fetch.transport->shards.count;
}

static void allow(uint32_t max_connections, uint32_t per_host)
{
    fetch.settings.max_connections = max_connections;
    fetch.settings.per_host = per_host;
    fetch_open();
}

/* Sends many[from] to many[to - 1]. */
static void begin(int from, int to, const char *port, const char *path)
{
    fetch_begin(many + from, to - from, port, path);
}

static void wave(int count, const char *port, const char *path)
{
    begin(0, count, port, path);
    fetch_collect(many, count);
}

static void few_transfers_have_one_multi_handle(void **state)
{
    (void)state;
    allow(1000, 1000);
    wave(100, "plain", "/slow?headers=0.1");
    assert_int_equal(shards(), 1);
    assert_int_equal(fetch_stats().opened, 100);
}

static void small_limits_never_have_a_second_one(void **state)
{
    (void)state;
    allow(200, 199);
    wave(MANY, "plain", "/slow?headers=0.02");
    assert_int_equal(shards(), 1);
    assert_int_equal(fetch_stats().opened, 199);
}

static void several_hosts_have_all_connections_of_the_pool(void **state)
{
    (void)state;
    fetch.settings.http2 = false;
    allow(1000, 200);
    begin(0, 150, "plain", "/slow?headers=1");
    begin(150, 300, "flaky", "/slow?headers=1");
    begin(300, MANY, "good", "/slow?headers=1");
    fetch_collect(many, MANY);
    assert_int_equal(fetch_stats().opened, MANY);
}

static void every_connection_is_used_again(void **state)
{
    (void)state;
    allow(1000, 1000);
    wave(350, "plain", "/slow?headers=0.3");
    assert_int_equal(shards(), 4);
    assert_int_equal(fetch_stats().opened, 350);
    wave(350, "plain", "/slow?headers=0.3");
    assert_int_equal(fetch_stats().opened, 350);
    assert_int_equal(fetch_stats().reused, 350);
    assert_int_equal(fetch_stats().open, 350);
    assert_int_equal(fetch_stats().in_flight, 0);
}

static void the_limit_of_a_host_holds_over_all(void **state)
{
    (void)state;
    allow(250, 230);
    wave(MANY, "plain", "/slow?headers=0.1");
    assert_int_equal(shards(), 2);
    assert_int_equal(fetch_stats().opened, 230);
    wave(MANY, "plain", "/slow?headers=0.1");
    assert_int_equal(fetch_stats().opened, 230);
}

static void the_limit_of_all_hosts_holds_over_all(void **state)
{
    (void)state;
    allow(210, 205);
    begin(0, 150, "plain", "/slow?headers=0.1");
    begin(150, 300, "flaky", "/slow?headers=0.1");
    begin(300, MANY, "good", "/slow?headers=0.1");
    for (int i = 0; i < MANY; i++) {
        fetch_wait(&many[i]);
        assert_in_range(fetch_stats().open, 1, 210);
        fetched_body(&many[i], 200);
        fetched_free(&many[i]);
    }
    assert_int_equal(shards(), 2);
}

/* The first shard holds 180 connections to one host already, and 200 are allowed. */
static void what_the_first_one_has_is_not_given_away(void **state)
{
    (void)state;
    allow(1000, 1000);
    fetch.transport->shards.places = 180;
    wave(180, "plain", "/slow?headers=0.2");
    assert_int_equal(shards(), 1);
    fetch.transport->shards.places = 100;
    fetch.transport->stock->settings.per_host = 200;
    wave(190, "plain", "/slow?headers=0.2");
    assert_int_equal(shards(), 1);
    assert_int_equal(fetch_stats().opened, 190);
}

static void an_idle_connection_is_found_in_another_one(void **state)
{
    (void)state;
    allow(1000, 1000);
    begin(0, 100, "plain", "/keepalive?after=0.2&close_idle=1");
    begin(100, 200, "plain", "/slow?headers=0.2");
    fetch_collect(many, 200);
    assert_int_equal(shards(), 2);
    fetch_pass(100 * NEAP_MS);
    wave(1, "plain", "/echo"); /* libcurl finds the first shard's connections dead */
    uint64_t opened = fetch_stats().opened;
    wave(90, "plain", "/slow?headers=0.2");
    assert_int_equal(fetch_stats().opened, opened);
}

static void streams_stay_on_one_connection(void **state)
{
    (void)state;
    allow(1000, 1000);
    wave(1, "h2", "/");
    begin(0, 150, "plain", "/slow?headers=0.5");
    begin(150, 240, "h2", "/");
    fetch_collect(many, 240);
    assert_int_equal(shards(), 2);
    assert_int_equal(fetch_stats().opened, 151);
}

static void without_http2_tls_is_spread_too(void **state)
{
    (void)state;
    fetch.settings.http2 = false;
    allow(1000, 1000);
    wave(1, "good", "/echo");
    begin(0, 100, "plain", "/slow?headers=0.5");
    begin(100, 101, "good", "/echo");
    fetch_wait(&many[100]);
    assert_non_null(strstr(fetched_body(&many[100], 200), "\"resumed\":true"));
    fetch_collect(many, 101);
    assert_int_equal(shards(), 2);
    assert_int_equal(fetch_stats().opened, 102);
}

static void a_redirect_goes_where_its_protocol_goes(void **state)
{
    char path[700] = "/redirect?to=";
    (void)state;
    allow(1000, 1000);
    begin(0, 100, "plain", "/slow?headers=0.3");
    strcat(path, fetch_url("h2", "/"));
    begin(100, 101, "plain", path);
    fetch_wait(&many[100]);
    assert_int_equal(shards(), 2);
    assert_int_equal(fetch.transport->shards.at[0]->open, 101);
    assert_int_equal(fetch.transport->shards.at[1]->open, 1);
    fetch_collect(many, 101);
}

static void one_that_is_idle_is_closed(void **state)
{
    (void)state;
    fetch.settings.idle_ns = 300 * NEAP_MS;
    allow(1000, 1000);
    wave(250, "plain", "/slow?headers=0.2");
    assert_int_equal(shards(), 3);
    wave(1, "plain", "/echo");
    assert_int_equal(shards(), 3);
    fetch_pass(400 * NEAP_MS);
    wave(1, "plain", "/echo");
    assert_int_equal(shards(), 1);
    assert_in_range(fetch_stats().open, 1, 100);
    wave(250, "plain", "/slow?headers=0.2");
    assert_int_equal(shards(), 3);
}

static void transfers_are_cancelled_wherever_they_are(void **state)
{
    struct neap_transfer *transfer[300];
    (void)state;
    allow(1000, 1000);
    for (int i = 0; i < 300; i++) {
        many[i] = (struct fetched){.told = 0};
        transfer[i] = fetch_send(&many[i], "GET", fetch_url("plain", "/slow?headers=9"));
    }
    fetch_pass(50 * NEAP_MS);
    for (int i = 0; i < 300; i++)
        neap_transport_cancel(fetch.transport, transfer[i]);
    assert_int_equal(fetch_stats().in_flight, 0);
    for (uint32_t i = 0; i < shards(); i++)
        assert_int_equal(fetch.transport->shards.at[i]->in_flight, 0);
    wave(300, "plain", "/slow?headers=0.1");
    for (int i = 0; i < 300; i++)
        assert_int_equal(many[i].told, 1);
}

static void all_end_with_the_transport(void **state)
{
    (void)state;
    allow(1000, 1000);
    begin(0, 300, "plain", "/slow?headers=9");
    fetch_pass(50 * NEAP_MS);
    fetch_close();
    for (int i = 0; i < 300; i++)
        assert_int_equal(many[i].told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(few_transfers_have_one_multi_handle),
        TEST(small_limits_never_have_a_second_one),
        TEST(several_hosts_have_all_connections_of_the_pool),
        TEST(every_connection_is_used_again),
        TEST(the_limit_of_a_host_holds_over_all),
        TEST(the_limit_of_all_hosts_holds_over_all),
        TEST(what_the_first_one_has_is_not_given_away),
        TEST(an_idle_connection_is_found_in_another_one),
        TEST(streams_stay_on_one_connection),
        TEST(without_http2_tls_is_spread_too),
        TEST(a_redirect_goes_where_its_protocol_goes),
        TEST(one_that_is_idle_is_closed),
        TEST(transfers_are_cancelled_wherever_they_are),
        TEST(all_end_with_the_transport),
    };
    return cmocka_run_group_tests_name("shards", tests, fetch_group_set_up, fetch_group_tear_down);
}
