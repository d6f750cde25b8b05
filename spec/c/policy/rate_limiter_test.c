#include "policy/rate_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"

#define S NEAP_SECOND
#define TENTH (NEAP_SECOND / 10)

static const struct neap_rate_limiter_policy ten_a_second = {.interval_s = 0.1, .burst = 10};
static struct neap_rate_limiter limiter;

static int set_up(void **state)
{
    (void)state;
    neap_rate_limiter_init(&limiter);
    return 0;
}

static struct neap_admission acquire(uint32_t units, int64_t max_wait_ns, int64_t now_ns)
{
    return neap_rate_limiter_acquire(&limiter, &ten_a_second, units, max_wait_ns, now_ns);
}

static void assert_answer(struct neap_admission answer, enum neap_decision decision,
                          int64_t until_ns)
{
    assert_int_equal(answer.decision, decision);
    assert_int_equal(answer.until_ns, until_ns);
    assert_int_equal(answer.permit, 0);
}

static void take_the_burst(int64_t now_ns)
{
    for (int i = 0; i < 10; i++)
        assert_answer(acquire(1, 0, now_ns), NEAP_ADMIT, now_ns);
}

static void ten_go_at_once_and_the_eleventh_waits_a_tenth(void **state)
{
    (void)state;
    take_the_burst(0);
    assert_answer(acquire(1, NEAP_NEVER, 0), NEAP_WAIT, TENTH);
    assert_answer(acquire(1, NEAP_NEVER, 0), NEAP_WAIT, 2 * TENTH);
}

static void the_burst_is_there_at_any_time(void **state)
{
    (void)state;
    take_the_burst(123456789 * S + 7);
    assert_answer(acquire(1, NEAP_NEVER, 123456789 * S + 7), NEAP_WAIT, 123456789 * S + 7 + TENTH);
}

static void units_come_back_one_an_interval(void **state)
{
    (void)state;
    take_the_burst(0);
    assert_answer(acquire(1, 0, TENTH - 1), NEAP_REFUSE, TENTH);
    assert_answer(acquire(1, 0, TENTH), NEAP_ADMIT, TENTH);
    assert_answer(acquire(1, 0, TENTH), NEAP_REFUSE, 2 * TENTH);
}

static void idle_time_saves_no_more_than_the_burst(void **state)
{
    (void)state;
    take_the_burst(0);
    take_the_burst(3600 * S);
    assert_answer(acquire(1, 0, 3600 * S), NEAP_REFUSE, 3600 * S + TENTH);
}

static void many_units_wait_for_the_last(void **state)
{
    (void)state;
    assert_answer(acquire(10, NEAP_NEVER, 0), NEAP_ADMIT, 0);
    assert_answer(acquire(3, NEAP_NEVER, 0), NEAP_WAIT, 3 * TENTH);
    assert_answer(acquire(1, NEAP_NEVER, 0), NEAP_WAIT, 4 * TENTH);
}

static void more_units_than_the_burst_wait_for_the_rest(void **state)
{
    (void)state;
    assert_answer(acquire(25, NEAP_NEVER, 0), NEAP_WAIT, 15 * TENTH);
    assert_answer(acquire(1, NEAP_NEVER, 0), NEAP_WAIT, 16 * TENTH);
}

static void a_refusal_changes_nothing(void **state)
{
    (void)state;
    take_the_burst(0);
    assert_answer(acquire(1, TENTH - 1, 0), NEAP_REFUSE, TENTH);
    assert_answer(acquire(11, S, 0), NEAP_REFUSE, 11 * TENTH);
    assert_answer(acquire(1, TENTH, 0), NEAP_WAIT, TENTH);
}

static void a_clock_that_steps_back_gives_nothing_away(void **state)
{
    (void)state;
    take_the_burst(100 * S);
    assert_answer(acquire(1, 0, 50 * S), NEAP_REFUSE, 100 * S + TENTH);
    assert_answer(acquire(1, 0, 100 * S + TENTH), NEAP_ADMIT, 100 * S + TENTH);
}

static void before_moment_0_nothing_is_saved_yet(void **state)
{
    (void)state;
    assert_answer(acquire(1, NEAP_NEVER, -2 * S), NEAP_WAIT, -9 * TENTH);
    assert_answer(acquire(1, NEAP_NEVER, -S / 2), NEAP_ADMIT, -S / 2);
    assert_answer(acquire(1, 0, INT64_MIN), NEAP_REFUSE, -7 * TENTH);
}

static void a_burst_of_1_spaces_evenly(void **state)
{
    (void)state;
    const struct neap_rate_limiter_policy policy = {.interval_s = 0.25, .burst = 1};
    for (int i = 1; i < 10; i++) {
        neap_rate_limiter_init(&limiter);
        for (int k = 0; k < i; k++)
            assert_int_equal(
                neap_rate_limiter_acquire(&limiter, &policy, 1, NEAP_NEVER, 0).until_ns, k * S / 4);
    }
}

static void a_broken_burst_counts_as_it_is(void **state)
{
    (void)state;
    const struct neap_rate_limiter_policy policy = {.interval_s = 1, .burst = 1.5};
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 1, 0, 0), NEAP_ADMIT, 0);
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 1, S, 0), NEAP_WAIT, S / 2);
}

static void no_rounding_adds_up(void **state)
{
    (void)state;
    const struct neap_rate_limiter_policy policy = {.interval_s = 1.0 / 3, .burst = 3};
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 3000000, NEAP_NEVER, 0), NEAP_WAIT,
                  999999 * S);
}

static void moments_past_the_end_of_time_are_refused_and_change_nothing(void **state)
{
    (void)state;
    const struct neap_rate_limiter_policy policy = {.interval_s = 1e9, .burst = 1};
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, UINT32_MAX, NEAP_NEVER, 0),
                  NEAP_REFUSE, NEAP_NEVER);
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 1, NEAP_NEVER, NEAP_NEVER - 1),
                  NEAP_REFUSE, NEAP_NEVER - 1);
    assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 1, 0, 0), NEAP_ADMIT, 0);
}

static void a_burst_beyond_measure_admits_all(void **state)
{
    (void)state;
    const struct neap_rate_limiter_policy policy = {.interval_s = 1, .burst = 1e300};
    for (int i = 0; i < 1000; i++)
        assert_answer(neap_rate_limiter_acquire(&limiter, &policy, 1, 0, 5), NEAP_ADMIT, 5);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(ten_go_at_once_and_the_eleventh_waits_a_tenth),
        SPEC(the_burst_is_there_at_any_time),
        SPEC(units_come_back_one_an_interval),
        SPEC(idle_time_saves_no_more_than_the_burst),
        SPEC(many_units_wait_for_the_last),
        SPEC(more_units_than_the_burst_wait_for_the_rest),
        SPEC(a_refusal_changes_nothing),
        SPEC(a_clock_that_steps_back_gives_nothing_away),
        SPEC(before_moment_0_nothing_is_saved_yet),
        SPEC(a_burst_of_1_spaces_evenly),
        SPEC(a_broken_burst_counts_as_it_is),
        SPEC(no_rounding_adds_up),
        SPEC(moments_past_the_end_of_time_are_refused_and_change_nothing),
        SPEC(a_burst_beyond_measure_admits_all),
    };
    return cmocka_run_group_tests_name("rate_limiter", tests, NULL, NULL);
}
