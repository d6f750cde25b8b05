/* The model of the server: capacity, queue, incidents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "simulation/server.h"

#define S NEAP_SECOND

static struct neap_server_model model;
static struct neap_server server;

static int set_up(void **state)
{
    (void)state;
    model = (struct neap_server_model){.queue_ns = 10 * S, .latency_ns = S / 10};
    return 0;
}

static void add(struct neap_incident incident)
{
    if (incident.until_ns == 0)
        incident.until_ns = NEAP_NEVER;
    model.incident[model.incident_count++] = incident;
}

static void start(void)
{
    neap_server_init(&server, &model, 1);
}

static void without_a_limit_each_answer_takes_the_latency(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 1000; i++) {
        struct neap_reply reply = neap_server_receive(&server, S);
        assert_int_equal(reply.at_ns, S + S / 10);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.retry_after_ns, -1);
    }
}

static void the_latency_is_spread(void **state)
{
    int64_t shortest_ns = NEAP_NEVER, longest_ns = 0;
    (void)state;
    model.spread = 0.5;
    start();
    for (int i = 0; i < 10000; i++) {
        int64_t at_ns = neap_server_receive(&server, 0).at_ns;
        shortest_ns = neap_time_min(shortest_ns, at_ns);
        longest_ns = neap_time_max(longest_ns, at_ns);
    }
    assert_in_range(shortest_ns, S / 20, S / 19);
    assert_in_range(longest_ns, S / 7, 3 * S / 20);
}

static void what_comes_faster_than_the_capacity_waits_in_order(void **state)
{
    (void)state;
    model.capacity = 10;
    start();
    for (int i = 1; i <= 20; i++)
        assert_int_equal(neap_server_receive(&server, 0).at_ns, i * S / 10 + S / 10);
    assert_int_equal(neap_server_backlog(&server, 0), 2 * S);
    assert_int_equal(neap_server_backlog(&server, S), S);
    assert_int_equal(neap_server_backlog(&server, 5 * S), 0);
    assert_int_equal(neap_server_receive(&server, 5 * S).at_ns, 5 * S + S / 5);
}

static void a_full_queue_refuses_without_work(void **state)
{
    (void)state;
    model.capacity = 10;
    model.queue_ns = S;
    start();
    for (int i = 0; i < 11; i++)
        assert_int_equal(neap_server_receive(&server, 0).status, 200);
    struct neap_reply reply = neap_server_receive(&server, 0);
    assert_int_equal(reply.status, 503);
    assert_int_equal(reply.at_ns, S / 10);
    assert_int_equal(reply.served_ns, NEAP_NEVER);
    assert_int_equal(neap_server_backlog(&server, 0), 11 * S / 10);
}

static void an_outage_lasts_from_its_begin_to_its_end(void **state)
{
    (void)state;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_OUTAGE, .from_ns = S, .until_ns = 2 * S, .retry_after_ns = 5 * S});
    start();
    assert_int_equal(neap_server_receive(&server, S - 1).status, 200);
    assert_int_equal(neap_server_receive(&server, S).status, 503);
    assert_int_equal(neap_server_receive(&server, 2 * S - 1).retry_after_ns, 5 * S);
    assert_int_equal(neap_server_receive(&server, 2 * S).status, 200);
}

static void an_outage_may_refuse_connections_or_be_silent(void **state)
{
    (void)state;
    add((struct neap_incident){.kind = NEAP_INCIDENT_OUTAGE,
                               .until_ns = S,
                               .outage = NEAP_OUTAGE_REFUSED,
                               .retry_after_ns = -1});
    add((struct neap_incident){.kind = NEAP_INCIDENT_OUTAGE,
                               .from_ns = S,
                               .outage = NEAP_OUTAGE_SILENCE,
                               .retry_after_ns = -1});
    start();
    struct neap_reply refused = neap_server_receive(&server, 0);
    assert_int_equal(refused.kind, NEAP_KIND_CONNECT);
    assert_int_equal(refused.at_ns, NEAP_MS);
    assert_int_equal(neap_server_receive(&server, S).at_ns, NEAP_NEVER);
}

static void a_brownout_fails_its_share(void **state)
{
    int failed = 0;
    (void)state;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_BROWNOUT, .amount = 0.3, .retry_after_ns = -1});
    start();
    for (int i = 0; i < 10000; i++)
        failed += neap_server_receive(&server, 0).status == 503;
    assert_in_range(failed, 2850, 3150);
}

static void slowness_replaces_the_latency(void **state)
{
    (void)state;
    add((struct neap_incident){.kind = NEAP_INCIDENT_SLOW, .from_ns = S, .latency_ns = 2 * S});
    start();
    assert_int_equal(neap_server_receive(&server, 0).at_ns, S / 10);
    assert_int_equal(neap_server_receive(&server, S).at_ns, 3 * S);
}

static void a_rate_limit_lets_its_rate_through(void **state)
{
    int admitted = 0;
    (void)state;
    add((struct neap_incident){
        .kind = NEAP_INCIDENT_RATE_LIMIT, .amount = 100, .retry_after_ns = S});
    start();
    for (int i = 0; i < 10000; i++) {
        struct neap_reply reply = neap_server_receive(&server, i * NEAP_MS);
        admitted += reply.status == 200;
        if (reply.status != 200) {
            assert_int_equal(reply.status, 429);
            assert_int_equal(reply.retry_after_ns, S);
        }
    }
    assert_in_range(admitted, 1090, 1110); /* ten seconds, and a second's worth at first */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_limit_each_answer_takes_the_latency, set_up),
        cmocka_unit_test_setup(the_latency_is_spread, set_up),
        cmocka_unit_test_setup(what_comes_faster_than_the_capacity_waits_in_order, set_up),
        cmocka_unit_test_setup(a_full_queue_refuses_without_work, set_up),
        cmocka_unit_test_setup(an_outage_lasts_from_its_begin_to_its_end, set_up),
        cmocka_unit_test_setup(an_outage_may_refuse_connections_or_be_silent, set_up),
        cmocka_unit_test_setup(a_brownout_fails_its_share, set_up),
        cmocka_unit_test_setup(slowness_replaces_the_latency, set_up),
        cmocka_unit_test_setup(a_rate_limit_lets_its_rate_through, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
