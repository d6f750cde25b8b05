/* What a call counts: how it ended, how long its attempts lasted, what its breaker did. */
#include "pipeline/call_fixture.h"

static struct neap_call call;

static uint64_t ended(void)
{
    uint64_t sum = counters.ok + counters.abandoned;
    for (int i = 0; i < NEAP_FAILED_STATUS_COUNT; i++)
        sum += counters.failed[i];
    for (int i = 0; i < NEAP_KIND_COUNT; i++)
        sum += counters.errors[i];
    return sum;
}

static uint64_t recorded(const struct neap_histogram *histogram)
{
    struct neap_histogram_snapshot snapshot;
    neap_histogram_read(histogram, &snapshot);
    return snapshot.count;
}

/* ---- results */

static void end_with_status(int status)
{
    pipeline.retry.max_attempts = 1;
    begin_call(&call);
    tell_status(&call, 1, status);
    assert_response(&call, status);
    end_call(&call);
    assert_int_equal(ended(), 1);
}

static void a_response_below_400_is_ok(void **state)
{
    (void)state;
    end_with_status(399);
    assert_int_equal(counters.ok, 1);
}

static void a_response_from_400_to_499_counts_as_4xx(void **state)
{
    (void)state;
    end_with_status(499);
    assert_int_equal(counters.failed[NEAP_FAILED_4XX], 1);
}

static void a_response_from_500_on_counts_as_5xx(void **state)
{
    (void)state;
    end_with_status(500);
    assert_int_equal(counters.failed[NEAP_FAILED_5XX], 1);
}

static void a_fallback_counts_by_its_own_status(void **state)
{
    (void)state;
    pipeline.retry.max_attempts = 1;
    pipeline.fallback_count = 1;
    begin_call(&call);
    tell_status(&call, 1, 503);
    answer(&call, (struct neap_answer){
                      .source = NEAP_SOURCE_DEFAULT, .answered = true, .ok = false, .status = 404});
    end_call(&call);
    assert_int_equal(counters.failed[NEAP_FAILED_4XX], 1);
    assert_int_equal(ended(), 1);
}

static void an_abandoned_call_counts_as_such_and_once(void **state)
{
    (void)state;
    begin_call(&call);
    end_call(&call);
    end_call(&call);
    assert_int_equal(counters.abandoned, 1);
    assert_int_equal(ended(), 1);
    assert_int_equal(recorded(&counters.latency), 0);
}

static void a_call_that_never_began_is_not_counted(void **state)
{
    (void)state;
    make_state();
    init_call(&call);
    end_call(&call);
    assert_int_equal(counters.calls, 0);
    assert_int_equal(ended(), 0);
}

/* ---- attempts */

static void each_attempt_is_timed_by_itself(void **state)
{
    (void)state;
    struct neap_histogram_snapshot attempts, calls;
    begin_call(&call);
    now_ns = 2 * S;
    tell_status(&call, 1, 503);
    tell_time(&call, neap_call_next_wakeup(&call));
    now_ns += S;
    tell_status(&call, 2, 200);
    neap_histogram_read(&counters.attempt_latency, &attempts);
    neap_histogram_read(&counters.latency, &calls);
    assert_int_equal(attempts.count, 2);
    assert_true(attempts.mean_s == 1.5 && attempts.max_s == 2);
    assert_int_equal(calls.count, 1);
    assert_true(calls.max_s == (double)now_ns / (double)S);
    end_call(&call);
}

static void an_attempt_that_a_limit_ends_is_timed(void **state)
{
    (void)state;
    pipeline.timeout.attempt_ns = 3 * S;
    pipeline.retry.max_attempts = 1;
    begin_call(&call);
    tell_time(&call, 3 * S);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_TIMEOUT);
    assert_int_equal(recorded(&counters.attempt_latency), 1);
    end_call(&call);
}

static void an_attempt_that_is_broken_off_is_not_timed(void **state)
{
    (void)state;
    begin_call(&call);
    tell(&call, NEAP_EVENT_CANCEL);
    assert_effect(NEAP_EFFECT_CANCEL);
    tell_outcome(&call, 1, (struct neap_outcome){.kind = NEAP_KIND_CANCELLED});
    assert_error(&call, NEAP_KIND_CANCELLED);
    assert_int_equal(recorded(&counters.attempt_latency), 0);
    assert_int_equal(counters.errors[NEAP_KIND_CANCELLED], 1);
    end_call(&call);
}

/* ---- the breaker */

static void every_change_of_the_breaker_is_counted(void **state)
{
    (void)state;
    pipeline.has_breaker = true;
    pipeline.breaker.min_calls = 1;
    pipeline.breaker.permits = 1;
    pipeline.retry.max_attempts = 1;
    begin_call(&call);
    tell_status(&call, 1, 503);
    end_call(&call);
    assert_int_equal(counters.transitions[NEAP_BREAKER_OPEN], 1);

    now_ns = neap_breaker_open_until(shared.breaker);
    init_call(&call);
    tell(&call, NEAP_EVENT_BEGIN);
    assert_int_equal(counters.transitions[NEAP_BREAKER_HALF_OPEN], 1);
    tell_status(&call, 1, 200);
    end_call(&call);
    assert_int_equal(counters.transitions[NEAP_BREAKER_CLOSED], 1);
    assert_int_equal(counters.transitions[NEAP_BREAKER_OPEN], 1);
}

static void half_open_twice_in_a_step_was_open_in_between(void **state)
{
    (void)state;
    const struct neap_breaker_change change = {
        .changed = true, .from = NEAP_BREAKER_HALF_OPEN, .to = NEAP_BREAKER_HALF_OPEN};
    neap_count_transition(&counters, &change);
    assert_int_equal(counters.transitions[NEAP_BREAKER_OPEN], 1);
    assert_int_equal(counters.transitions[NEAP_BREAKER_HALF_OPEN], 1);
}

static void what_has_not_changed_is_not_counted(void **state)
{
    (void)state;
    neap_count_transition(&counters, &(struct neap_breaker_change){.would_open = true});
    for (int i = 0; i < NEAP_COUNTED_STATES; i++)
        assert_int_equal(counters.transitions[i], 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_world, tear_down_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_response_below_400_is_ok),
        TEST(a_response_from_400_to_499_counts_as_4xx),
        TEST(a_response_from_500_on_counts_as_5xx),
        TEST(a_fallback_counts_by_its_own_status),
        TEST(an_abandoned_call_counts_as_such_and_once),
        TEST(a_call_that_never_began_is_not_counted),
        TEST(each_attempt_is_timed_by_itself),
        TEST(an_attempt_that_a_limit_ends_is_timed),
        TEST(an_attempt_that_is_broken_off_is_not_timed),
        TEST(every_change_of_the_breaker_is_counted),
        TEST(half_open_twice_in_a_step_was_open_in_between),
        TEST(what_has_not_changed_is_not_counted),
    };
    return cmocka_run_group_tests_name("what a call counts", tests, NULL, NULL);
}
