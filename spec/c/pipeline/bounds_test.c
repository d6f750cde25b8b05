/* What a policy can come to, reckoned: see spec/check_worst_case_spec.lua for the promise itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/duration.h"
#include "pipeline/bounds.h"

#define S NEAP_SECOND

/* Three attempts of 2 s, 1 s apart, and 60 s for the call. */
static struct neap_pipeline simple(void)
{
    return (struct neap_pipeline){
        .timeout = {1 * S, 5 * S, 5 * S, 2 * S, 60 * S},
        .retry = {.max_attempts = 3,
                  .enabled = true,
                  .backoff = {NEAP_BACKOFF_FIXED, 1, 2, 10, NEAP_JITTER_NONE, 0},
                  .max_server_delay_ns = 20 * S},
        .hedge_after_ns = NEAP_NEVER,
    };
}

static double call_s(const struct neap_pipeline *pipeline)
{
    struct neap_bounds bounds;
    neap_bounds_read(&bounds, pipeline);
    return neap_seconds_from_ns(neap_bounds_call_ns(&bounds, pipeline));
}

static void assert_near(double expected, double got)
{
    assert_true(fabs(expected - got) < 1e-6);
}

/* ---------------------------------------------------------------------------------- worst case */

static void a_call_is_its_attempts_and_the_waits_between(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    assert_near(3 * 2 + 2 * 1, call_s(&pipeline));
    pipeline.retry.max_attempts = 1;
    assert_near(2, call_s(&pipeline));
}

static void the_deadline_ends_it(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.timeout.total_ns = 5 * S;
    assert_near(5, call_s(&pipeline));
}

static void silence_does_not_bound_an_attempt(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.timeout.attempt_ns = NEAP_NEVER;
    assert_near(60, neap_seconds_from_ns(neap_bounds_attempt_ns(&pipeline)));
    assert_near(60, call_s(&pipeline));
}

static void waits_are_taken_at_their_upper_bound(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.backoff =
        (struct neap_backoff){NEAP_BACKOFF_EXPONENTIAL, 1, 2, 10, NEAP_JITTER_SHARE, 0.5};
    assert_near(3 * 2 + 1.5 + 3, call_s(&pipeline));
    assert_near(3, neap_bounds_longest_backoff_s(&pipeline, 3));
    assert_near(1 + 2, neap_bounds_mean_backoff_s(&pipeline, 3));
}

static void decorrelated_waits_grow_from_the_longest_one(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.backoff.jitter = NEAP_JITTER_DECORRELATED;
    assert_near(3 * 2 + 3 + 9, call_s(&pipeline));
}

static void a_server_can_ask_for_more(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.honor_retry_after = true;
    assert_near(3 * 2 + 2, call_s(&pipeline)); /* no status is retried */
    pipeline.retry.status_rule[503] = NEAP_STATUS_RETRY;
    assert_near(3 * 2 + 2 * 22, call_s(&pipeline));
    pipeline.retry.status_rule[503] = NEAP_STATUS_NEVER;
    pipeline.asks_when = true;
    assert_near(3 * 2 + 2 * 22, call_s(&pipeline));
}

static void a_backoff_function_can_say_anything(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.asks_backoff = true;
    assert_near(60, call_s(&pipeline));
    pipeline.retry.max_attempts = 1;
    assert_near(2, call_s(&pipeline));
}

static void each_attempt_can_be_kept_waiting(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.max_attempts = 1;
    pipeline.has_limiter = true;
    pipeline.limiter.max_wait_ns = 3 * S;
    assert_near(2 + 3, call_s(&pipeline));
    pipeline.has_bulkhead = true;
    pipeline.bulkhead.max_wait_ns = 4 * S;
    assert_near(2 + 3 + 4, call_s(&pipeline));
    pipeline.has_gate = true;
    pipeline.gate.max_wait_ns = 5 * S;
    assert_near(2 + 3 + 4 + 5 + 0.1 * 20, call_s(&pipeline));
    pipeline.retry.enabled = false; /* a gate then closes for 60 s at most */
    assert_near(2 + 3 + 4 + 5 + 0.1 * 60, call_s(&pipeline));
    pipeline.gate.max_wait_ns = 0;
    assert_near(2 + 3 + 4, call_s(&pipeline));
    pipeline.limiter_shadow = true; /* nobody waits for what is not enforced */
    assert_near(2 + 4, call_s(&pipeline));
    pipeline.bulkhead_shadow = true;
    assert_near(2, call_s(&pipeline));
}

static void its_parts_are_told_one_by_one(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    struct neap_bounds bounds;
    pipeline.has_limiter = true;
    pipeline.limiter.max_wait_ns = 3 * S;
    pipeline.asks_backoff = true;
    neap_bounds_read(&bounds, &pipeline);
    assert_near(3 * 2, neap_seconds_from_ns(bounds.part_ns[NEAP_PART_ATTEMPTS]));
    assert_near(3 * 3, neap_seconds_from_ns(bounds.part_ns[NEAP_PART_RATE_LIMIT]));
    assert_true(bounds.part_ns[NEAP_PART_BACKOFF] == NEAP_NEVER);
    assert_int_equal(0, bounds.part_ns[NEAP_PART_GATE]);
    assert_int_equal(0, bounds.part_ns[NEAP_PART_OTHERS]);
    assert_string_equal("rate_limit", neap_part_name(NEAP_PART_RATE_LIMIT));
}

/* ------------------------------------------------------------------------------------ attempts */

static void attempts_begin_while_there_is_time(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.max_attempts = 9;
    pipeline.timeout.total_ns = 3 * S + NEAP_MS;
    assert_int_equal(4, neap_bounds_attempts(&pipeline));
    pipeline.timeout.total_ns = 3 * S;
    assert_int_equal(3, neap_bounds_attempts(&pipeline));
    pipeline.retry.backoff.jitter = NEAP_JITTER_FULL;
    assert_int_equal(9, neap_bounds_attempts(&pipeline));
    pipeline.retry.backoff.jitter = NEAP_JITTER_NONE;
    pipeline.asks_backoff = true;
    assert_int_equal(9, neap_bounds_attempts(&pipeline));
}

static void attempts_fit_by_their_length_and_the_mean_wait(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.max_attempts = 9;
    assert_int_equal(1, neap_bounds_fitting(&pipeline, 2 * S, 1 * S));
    assert_int_equal(1, neap_bounds_fitting(&pipeline, 2 * S, 4 * S));
    assert_int_equal(2, neap_bounds_fitting(&pipeline, 2 * S, 5 * S));
    assert_int_equal(9, neap_bounds_fitting(&pipeline, 2 * S, 26 * S));
    pipeline.retry.max_attempts = 1;
    assert_int_equal(1, neap_bounds_fitting(&pipeline, 2 * S, 1 * S));
}

static void billions_of_attempts_are_reckoned_at_once(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.max_attempts = UINT32_MAX;
    pipeline.timeout.total_ns = INT64_C(1000000) * S + NEAP_MS;
    assert_near(1e6 + 0.001, call_s(&pipeline));
    assert_int_equal(1000001, neap_bounds_attempts(&pipeline));
    assert_int_equal(333333, neap_bounds_fitting(&pipeline, 2 * S, INT64_C(1000000) * S));
    assert_near(UINT32_MAX - 1.0, neap_bounds_mean_backoff_s(&pipeline, UINT32_MAX));
    pipeline.retry.backoff.base_s = 0;
    assert_int_equal(UINT32_MAX, neap_bounds_attempts(&pipeline));
}

static void lengths_of_nothing_are_no_trouble(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    pipeline.retry.max_attempts = UINT32_MAX;
    pipeline.retry.backoff.base_s = 0;
    pipeline.timeout.attempt_ns = pipeline.timeout.total_ns = 0;
    assert_near(0, call_s(&pipeline));
    assert_int_equal(1, neap_bounds_attempts(&pipeline));
    assert_int_equal(UINT32_MAX, neap_bounds_fitting(&pipeline, 0, 0));
}

/* ---------------------------------------------------------------------------------------- load */

static void the_budget_bounds_the_load(void **state)
{
    (void)state;
    struct neap_pipeline pipeline = simple();
    assert_near(3, neap_bounds_load(&pipeline, HUGE_VAL));
    pipeline.has_budget = true;
    pipeline.budget =
        (struct neap_retry_budget_policy){.ratio = 0.2, .min_per_second = 10, .ttl_seconds = 10};
    assert_near(1.2, neap_bounds_load(&pipeline, HUGE_VAL));
    assert_near(1.3, neap_bounds_load(&pipeline, 100));
    assert_near(3, neap_bounds_load(&pipeline, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_its_attempts_and_the_waits_between),
        cmocka_unit_test(the_deadline_ends_it),
        cmocka_unit_test(silence_does_not_bound_an_attempt),
        cmocka_unit_test(waits_are_taken_at_their_upper_bound),
        cmocka_unit_test(decorrelated_waits_grow_from_the_longest_one),
        cmocka_unit_test(a_server_can_ask_for_more),
        cmocka_unit_test(a_backoff_function_can_say_anything),
        cmocka_unit_test(each_attempt_can_be_kept_waiting),
        cmocka_unit_test(its_parts_are_told_one_by_one),
        cmocka_unit_test(attempts_begin_while_there_is_time),
        cmocka_unit_test(attempts_fit_by_their_length_and_the_mean_wait),
        cmocka_unit_test(billions_of_attempts_are_reckoned_at_once),
        cmocka_unit_test(lengths_of_nothing_are_no_trouble),
        cmocka_unit_test(the_budget_bounds_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
