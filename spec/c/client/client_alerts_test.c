#include "client/client_alerts.h"

#include "client/cells_fixture.h"
#include "client/client.h"
#include "client/exchange.h"

#define S NEAP_SECOND
#define WINDOW (60 * S)

/* Scripted exchanges on a virtual loop: the test plays the part of Lua. */
static struct neap_engine *engine;
static struct neap_client *client;
static struct neap_alert_change told[NEAP_ALERTS_UNTOLD_MAX + 1];
static uint32_t told_count;

static struct neap_client_policy alert_client_policy(void)
{
    struct neap_client_policy policy;
    neap_client_policy_init(&policy, &memory.alloc);
    policy.name = neap_copy_text(&memory.alloc, "api", 3);
    policy.breaker_key = NEAP_KEY_CLIENT;
    policy.breaker_max_keys = 100;
    policy.pipeline.timeout = (struct neap_timeouts){2 * S, 5 * S, 5 * S, NEAP_NEVER, 30 * S};
    policy.pipeline.retry.max_attempts = 1;
    policy.pipeline.breaker = breaker_policy;
    policy.pipeline.has_breaker = true;
    policy.has_alerts = true;
    policy.alerts = (struct neap_alert_policy){
        .window_ns = WINDOW,
        .p99_s = 1,
        .p99_factor = 2,
        .error_rate = 0.05,
        .retry_surge = 3,
        .timeout_surge = 3,
        .min_calls = 1,
        .has = {[NEAP_ALERT_ERROR_RATE] = true, [NEAP_ALERT_BREAKER_OPEN] = true},
    };
    return policy;
}

static enum neap_status make_client_of(struct neap_client_policy policy, struct neap_client **made)
{
    *made = NULL;
    if (policy.name)
        return neap_client_new(engine, &policy, NEAP_CARRIER_SCRIPT, made);
    return NEAP_NO_MEMORY;
}

static enum neap_status open_world(struct neap_client_policy policy)
{
    enum neap_status status = neap_engine_new_virtual(&memory.alloc, 1, 0, &engine);
    if (status == NEAP_OK)
        return make_client_of(policy, &client);
    neap_client_policy_deinit(&policy);
    return status;
}

static int set_up_nothing(void **state)
{
    engine = NULL;
    client = NULL;
    told_count = 0;
    return set_up(state);
}

static int tear_down_all(void **state)
{
    neap_client_release(client);
    neap_engine_release(engine);
    return tear_down(state);
}

static void open_as(struct neap_client_policy policy)
{
    assert_int_equal(open_world(policy), NEAP_OK);
}

static enum neap_status begin_call(struct neap_client *by, const char *key,
                                   struct neap_exchange **exchange)
{
    struct neap_draft draft = {.method = "GET",
                               .timeout = by->policy.pipeline.timeout,
                               .deadline_ns = NEAP_NEVER,
                               .breaker_key = key,
                               .breaker_key_bytes = key ? strlen(key) : 0};
    enum neap_url_error error =
        neap_url_resolve(&memory.alloc, "https://api.example", "/x", NULL, 1, &draft.url);
    if (error != NEAP_URL_OK)
        return NEAP_NO_MEMORY;
    enum neap_status status = neap_exchange_new(by, &draft, exchange);
    if (status == NEAP_OK)
        neap_exchange_begin(*exchange, false);
    return status;
}

static void end_call(struct neap_exchange *exchange, int status)
{
    if (exchange->attention == NEAP_ATTENTION_ATTEMPT)
        neap_exchange_deliver(exchange, exchange->effect.attempt,
                              &(struct neap_outcome){.status = status}, NULL);
    assert_int_equal(exchange->attention, NEAP_ATTENTION_DONE);
    neap_exchange_free(exchange);
}

static void call_of_key(struct neap_client *by, const char *key, int status)
{
    struct neap_exchange *exchange;
    assert_int_equal(begin_call(by, key, &exchange), NEAP_OK);
    end_call(exchange, status);
}

static void call(int status)
{
    call_of_key(client, NULL, status);
}

static void turn_until(int64_t until_ns)
{
    while (neap_engine_turn(engine, until_ns))
        continue;
}

static void take(struct neap_client *of)
{
    told_count = 0;
    while (neap_client_alerts_take(of, &told[told_count]))
        told_count++;
}

static void assert_told(uint32_t index, enum neap_alert alert, bool firing, int64_t at_ns)
{
    assert_true(index < told_count);
    assert_int_equal(told[index].alert, alert);
    assert_int_equal(told[index].firing, firing);
    assert_int_equal(told[index].at_ns, at_ns);
}

static void a_client_without_alerts_has_nothing_of_them(void **state)
{
    (void)state;
    struct neap_client_policy policy = alert_client_policy();
    policy.has_alerts = false;
    open_as(policy);
    call(500);
    assert_null(client->alerts);
    assert_null(client->alert_watch);
    assert_int_equal(neap_loop_next(engine->loop), NEAP_NEVER);
}

static void without_calls_no_timer_is_set(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    assert_int_equal(neap_client_alerts_wakeup(client), NEAP_NEVER);
    assert_false(neap_engine_turn(engine, NEAP_NEVER));
}

static void time_alone_ends_what_calls_began(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    turn_until(10 * S);
    for (int i = 0; i < 3; i++)
        call_of_key(client, NULL, i == 0 ? 404 : 501); /* failures, but none to the breaker */
    assert_int_equal(neap_client_alerts_wakeup(client), WINDOW);
    assert_false(neap_client_alerts_take(client, told));
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    assert_int_equal(neap_loop_now(engine->loop), WINDOW);
    assert_true(client->alert_watch->waiter.ready);
    assert_ptr_equal(neap_engine_take_ready(engine), &client->alert_watch->waiter);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_ERROR_RATE, true, WINDOW);
    assert_true(neap_engine_turn(engine, NEAP_NEVER));
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_ERROR_RATE, false, 2 * WINDOW);
    assert_false(neap_engine_turn(engine, NEAP_NEVER)); /* and rests */
    assert_int_equal(neap_client_alerts_wakeup(client), NEAP_NEVER);
}

static void a_step_judges_before_anything_is_counted(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    call(501);
    neap_loop_place(engine->loop, 5 * WINDOW + S, 0);
    call(501); /* no timer has fired yet */
    take(client);
    assert_int_equal(told_count, 2);
    assert_told(0, NEAP_ALERT_ERROR_RATE, true, WINDOW);
    assert_told(1, NEAP_ALERT_ERROR_RATE, false, 2 * WINDOW);
    turn_until(6 * WINDOW);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_ERROR_RATE, true, 6 * WINDOW);
}

static void a_breaker_is_told_when_it_opens_and_when_it_has_closed(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    turn_until(7 * S);
    call(503);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, true, 7 * S);
    call(200); /* refused */
    turn_until(8 * S);
    call(503); /* a probe, that opens it again */
    take(client);
    assert_int_equal(told_count, 0);
    turn_until(9 * S);
    call(200);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, false, 9 * S);
    assert_int_equal(told[0].since_ns, 7 * S);
}

static void an_open_breaker_does_not_keep_the_clock_going(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    call(503);
    turn_until(NEAP_NEVER);
    assert_in_range(neap_loop_now(engine->loop), 2 * WINDOW, 3 * WINDOW);
    assert_int_equal(neap_alerts_firing(client->alerts), 1u << NEAP_ALERT_BREAKER_OPEN);
}

static void what_is_changed_by_hand_is_seen_by_the_next_look(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    (void)neap_breaker_force(client->breaker, &breaker_policy, NEAP_BREAKER_FORCED_OPEN);
    neap_client_alerts_look(client, S);
    (void)neap_breaker_force(client->breaker, &breaker_policy, NEAP_BREAKER_METRICS_ONLY);
    neap_client_alerts_look(client, 2 * S);
    take(client);
    assert_int_equal(told_count, 2);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, true, S);
    assert_told(1, NEAP_ALERT_BREAKER_OPEN, false, 2 * S);
}

static struct neap_client_policy keyed_policy(void)
{
    struct neap_client_policy policy = alert_client_policy();
    policy.breaker_key = NEAP_KEY_FUNCTION;
    policy.alerts.has[NEAP_ALERT_ERROR_RATE] = false;
    return policy;
}

static void breakers_of_keys_fire_together(void **state)
{
    (void)state;
    open_as(keyed_policy());
    call_of_key(client, "a", 503);
    call_of_key(client, "b", 503);
    call_of_key(client, "c", 200);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, true, 0);
    turn_until(S);
    call_of_key(client, "a", 200);
    take(client);
    assert_int_equal(told_count, 0);
    call_of_key(client, "b", 200);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, false, S);
}

static void a_key_that_nobody_calls_any_more_is_forgotten_in_time(void **state)
{
    (void)state;
    open_as(keyed_policy());
    call_of_key(client, "a", 503);
    take(client);
    turn_until(NEAP_NEVER);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, false, (NEAP_ALERT_HISTORY + 1) * WINDOW);
    assert_int_equal(neap_client_alerts_wakeup(client), NEAP_NEVER);
}

static void more_than_can_be_kept_loses_the_oldest(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    for (uint32_t i = 0; i < NEAP_ALERTS_UNTOLD_MAX + 5; i++) {
        (void)neap_breaker_force(client->breaker, &breaker_policy,
                                 i % 2 == 0 ? NEAP_BREAKER_FORCED_OPEN : NEAP_BREAKER_CLOSED);
        neap_client_alerts_look(client, i);
    }
    take(client);
    assert_int_equal(told_count, NEAP_ALERTS_UNTOLD_MAX);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, false, 5);
    assert_told(NEAP_ALERTS_UNTOLD_MAX - 1, NEAP_ALERT_BREAKER_OPEN, true,
                NEAP_ALERTS_UNTOLD_MAX + 4);
    assert_int_equal(client->board->counters.listener_errors, 5);
    assert_false(client->alert_watch->waiter.ready);
}

static void a_client_goes_with_what_it_has_not_told(void **state)
{
    (void)state;
    open_as(alert_client_policy());
    call(503);
    assert_true(client->alert_watch->waiter.ready);
    neap_client_release(client);
    client = NULL;
    assert_null(neap_engine_take_ready(engine));
    assert_int_equal(neap_loop_next(engine->loop), NEAP_NEVER);
}

/* On engines of their own, as in two processes. */
static void of_all_who_share_one_is_told(void **state)
{
    (void)state;
    struct neap_client *other = NULL;
    begin();
    assert_int_equal(neap_engine_new_virtual(&memory.alloc, 1, 0, &engine), NEAP_OK);
    neap_engine_share(engine, region);
    assert_int_equal(make_client_of(alert_client_policy(), &client), NEAP_OK);
    assert_int_equal(make_client_of(alert_client_policy(), &other), NEAP_OK);
    assert_ptr_equal(client->alerts, other->alerts);
    call(501);
    call_of_key(other, NULL, 501);
    turn_until(WINDOW);
    take(client);
    uint32_t by_first = told_count;
    take(other);
    assert_int_equal(by_first + told_count, 1);
    call(503);
    call(503); /* half of four: it opens for both */
    call_of_key(other, NULL, 200);
    take(client);
    assert_int_equal(told_count, 1);
    assert_told(0, NEAP_ALERT_BREAKER_OPEN, true, WINDOW);
    take(other);
    assert_int_equal(told_count, 0);
    neap_client_release(other);
}

static enum neap_status live_once(struct neap_client_policy policy)
{
    struct neap_exchange *exchange;
    enum neap_status status = open_world(policy);
    if (status == NEAP_OK)
        status = begin_call(client, NULL, &exchange);
    if (status == NEAP_OK) {
        end_call(exchange, 501);
        turn_until(WINDOW); /* where the timer found no memory */
        neap_client_alerts_look(client, WINDOW);
        take(client);
        assert_int_equal(told_count, 1);
    }
    neap_client_release(client);
    neap_engine_release(engine);
    engine = NULL;
    client = NULL;
    return status;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    enum neap_status status = NEAP_NO_MEMORY;
    for (size_t n = 1; status != NEAP_OK; n++) {
        struct neap_client_policy policy = alert_client_policy();
        policy.alerts.has[NEAP_ALERT_P99] = true;
        failing_alloc_fail(&memory, n);
        status = live_once(policy);
        if (status != NEAP_OK)
            assert_int_equal(status, NEAP_NO_MEMORY);
        bool has_failed = memory.fail_at == 0;
        if (status == NEAP_OK && has_failed)
            status = NEAP_NO_MEMORY; /* it did without */
        failing_alloc_fail(&memory, 0);
        assert_true(n < 1000);
    }
}

#undef SPEC
#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up_nothing, tear_down_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_client_without_alerts_has_nothing_of_them),
        SPEC(without_calls_no_timer_is_set),
        SPEC(time_alone_ends_what_calls_began),
        SPEC(a_step_judges_before_anything_is_counted),
        SPEC(a_breaker_is_told_when_it_opens_and_when_it_has_closed),
        SPEC(an_open_breaker_does_not_keep_the_clock_going),
        SPEC(what_is_changed_by_hand_is_seen_by_the_next_look),
        SPEC(breakers_of_keys_fire_together),
        SPEC(a_key_that_nobody_calls_any_more_is_forgotten_in_time),
        SPEC(more_than_can_be_kept_loses_the_oldest),
        SPEC(a_client_goes_with_what_it_has_not_told),
        SPEC(of_all_who_share_one_is_told),
        SPEC(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("client_alerts", tests, NULL, NULL);
}
