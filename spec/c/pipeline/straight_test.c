/* The straight way, step by step; straight_likeness_test.c has it beside the states of a call. */
#include "pipeline/straight_fixture.h"

static struct world straight;
static struct neap_straight way;

static int set_up(void **state)
{
    (void)state;
    begin_world(&straight, 7, true);
    straight.pipeline.has_breaker = straight.pipeline.has_limiter = true;
    straight.pipeline.has_bulkhead = straight.pipeline.has_budget = true;
    straight.pipeline.bulkhead.max_concurrent = 1;
    straight.pipeline.limiter.burst = 1;
    straight.pipeline.limiter.interval_s = 1;
    neap_rate_limiter_prepare(&straight.pipeline.limiter);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_world(&straight);
    return 0;
}

static bool begin(void)
{
    return neap_straight_begin(&way, &straight.setup, straight.now_ns);
}

static uint32_t places_taken(void)
{
    return neap_bulkhead_in_use(straight.setup.state.bulkhead, &straight.pipeline.bulkhead);
}

static void who_has_to_wait_has_changed_nothing(void **state)
{
    (void)state;
    assert_true(begin());
    neap_straight_succeed(&way, &straight.setup, 0);
    int64_t tat_ns = straight.limiter.tat_ns;
    assert_false(begin());
    assert_int_equal(places_taken(), 0);
    assert_int_equal(straight.limiter.tat_ns, tat_ns);
    assert_int_equal(straight.counters.calls, 1);
}

static void who_finds_no_place_has_reserved_nothing(void **state)
{
    (void)state;
    struct neap_straight other;
    assert_true(begin());
    straight.now_ns = 10 * NEAP_SECOND;
    assert_false(neap_straight_begin(&other, &straight.setup, straight.now_ns));
    assert_int_equal(straight.limiter.tat_ns, NEAP_SECOND);
    assert_int_equal(straight.in_flight, 1);
    neap_straight_succeed(&way, &straight.setup, straight.now_ns);
    assert_true(begin());
    neap_straight_succeed(&way, &straight.setup, straight.now_ns);
}

static void nobody_overtakes_those_who_queue(void **state)
{
    (void)state;
    straight.bulkhead_waiting = 1;
    assert_false(begin());
}

static void one_that_is_abandoned_gives_back_what_it_held(void **state)
{
    (void)state;
    struct neap_call call;
    assert_true(begin());
    neap_trace_init(&call.trace, straight.setup.alloc);
    neap_straight_become(&way, &straight.setup, &call);
    neap_call_deinit(&call, straight.now_ns);
    assert_int_equal(places_taken(), 0);
    assert_int_equal(straight.in_flight, 0);
    assert_int_equal(straight.counters.abandoned, 1);
}

/* Open until 1 s, then closed by one probe at 2 s. */
static void open_and_close(void)
{
    struct neap_breaker_policy *policy = &straight.pipeline.breaker;
    struct neap_breaker *breaker = straight.setup.state.breaker;
    struct neap_breaker_change change;
    policy->consecutive_failures = 1;
    policy->permits = 1;
    policy->open_base_s = 1;
    policy->open_jitter = 0;
    int64_t permit = neap_breaker_pass(breaker, policy, 0);
    neap_breaker_record(breaker, policy, permit, NEAP_VERDICT_FAILURE, 0, 0, 0);
    permit = neap_breaker_acquire(breaker, policy, 1, 2 * NEAP_SECOND, 0, &change).permit;
    neap_breaker_record(breaker, policy, permit, NEAP_VERDICT_SUCCESS, 0, 2 * NEAP_SECOND, 0);
    assert_int_equal(neap_breaker_state(breaker), NEAP_BREAKER_CLOSED);
}

static void it_goes_again_when_a_ramp_has_ended(void **state)
{
    (void)state;
    straight.pipeline.breaker.ramp_ns = 3 * NEAP_SECOND;
    open_and_close();
    straight.now_ns = 5 * NEAP_SECOND - 1;
    assert_false(begin());
    straight.now_ns = 5 * NEAP_SECOND;
    assert_true(begin());
    neap_straight_succeed(&way, &straight.setup, straight.now_ns);
}

static void nobody_is_refused_by_a_breaker_whose_wait_is_over(void **state)
{
    (void)state;
    int64_t retry_after_ns;
    struct neap_breaker_policy *policy = &straight.pipeline.breaker;
    policy->consecutive_failures = 1;
    policy->open_base_s = 1;
    policy->open_jitter = 0;
    assert_false(neap_straight_refuse(&straight.setup, 0, &retry_after_ns));
    neap_breaker_record(straight.setup.state.breaker, policy,
                        neap_breaker_pass(straight.setup.state.breaker, policy, 0),
                        NEAP_VERDICT_FAILURE, 0, 0, 0);
    assert_true(neap_straight_refuse(&straight.setup, NEAP_SECOND / 4, &retry_after_ns));
    assert_int_equal(retry_after_ns, 3 * NEAP_SECOND / 4);
    assert_int_equal(straight.counters.calls, 1);
    assert_false(neap_straight_refuse(&straight.setup, NEAP_SECOND, &retry_after_ns));
    assert_int_equal(straight.counters.calls, 1);
    assert_int_equal(straight.in_flight, 0);
}

static void failures_that_somebody_is_asked_about_do_not_suit(void **state)
{
    (void)state;
    assert_true(neap_straight_suits_failures(&straight.setup));
    straight.pipeline.asks_when = true;
    assert_false(neap_straight_suits_failures(&straight.setup));
    straight.pipeline.asks_when = false;
    straight.pipeline.asks_backoff = true;
    assert_false(neap_straight_suits_failures(&straight.setup));
    straight.pipeline.asks_backoff = false;
    straight.pipeline.fallback_count = 1;
    assert_false(neap_straight_suits_failures(&straight.setup));
    assert_true(neap_straight_suits(&straight.setup));
}

static void what_is_watched_or_asked_about_does_not_suit(void **state)
{
    (void)state;
    struct neap_call_setup setup = straight.setup;
    setup.watched = 1;
    assert_false(neap_straight_suits(&setup));
    setup.watched = 0;
    setup.uninterruptible = false;
    assert_false(neap_straight_suits(&setup));
    straight.pipeline.asks_failure = true;
    assert_false(neap_straight_suits(&straight.setup));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_to_wait_has_changed_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_finds_no_place_has_reserved_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_overtakes_those_who_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_abandoned_gives_back_what_it_held, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_goes_again_when_a_ramp_has_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_refused_by_a_breaker_whose_wait_is_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failures_that_somebody_is_asked_about_do_not_suit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_watched_or_asked_about_does_not_suit, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("straight", tests, NULL, NULL);
}
