#include "policy/backoff.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define JUST_BELOW_1 0x1.fffffffffffffp-1

static const struct neap_backoff exponential = {
    .kind = NEAP_BACKOFF_EXPONENTIAL, .base_s = 1, .factor = 2, .max_s = 10};

static struct neap_backoff with_jitter(enum neap_jitter jitter, double share)
{
    struct neap_backoff backoff = exponential;
    backoff.jitter = jitter;
    backoff.share = share;
    return backoff;
}

static double undelayed(enum neap_backoff_kind kind, uint32_t n)
{
    struct neap_backoff backoff = exponential;
    backoff.kind = kind;
    return neap_backoff_delay(&backoff, n, 0, 0.5);
}

static void assert_bounds_after(struct neap_backoff backoff, uint32_t n, double previous_s,
                                double low_s, double high_s)
{
    double low, high;
    neap_backoff_bounds(&backoff, n, previous_s, &low, &high);
    assert_true(low == low_s);
    assert_true(high == high_s);
}

static void assert_bounds(struct neap_backoff backoff, uint32_t n, double low_s, double high_s)
{
    assert_bounds_after(backoff, n, 0, low_s, high_s);
}

static void fixed_stays(void **state)
{
    (void)state;
    assert_true(undelayed(NEAP_BACKOFF_FIXED, 1) == 1);
    assert_true(undelayed(NEAP_BACKOFF_FIXED, 1000) == 1);
}

static void linear_grows_by_the_base(void **state)
{
    (void)state;
    assert_true(undelayed(NEAP_BACKOFF_LINEAR, 1) == 1);
    assert_true(undelayed(NEAP_BACKOFF_LINEAR, 3) == 3);
    assert_true(undelayed(NEAP_BACKOFF_LINEAR, 11) == 10);
    assert_true(undelayed(NEAP_BACKOFF_LINEAR, UINT32_MAX) == 10);
}

static void exponential_grows_by_the_factor(void **state)
{
    (void)state;
    assert_true(undelayed(NEAP_BACKOFF_EXPONENTIAL, 1) == 1);
    assert_true(undelayed(NEAP_BACKOFF_EXPONENTIAL, 4) == 8);
    assert_true(undelayed(NEAP_BACKOFF_EXPONENTIAL, 5) == 10);
    assert_true(undelayed(NEAP_BACKOFF_EXPONENTIAL, UINT32_MAX) == 10);
}

static void retry_0_is_taken_as_the_first(void **state)
{
    (void)state;
    assert_true(undelayed(NEAP_BACKOFF_LINEAR, 0) == 1);
    assert_true(undelayed(NEAP_BACKOFF_EXPONENTIAL, 0) == 1);
}

static void a_base_above_the_maximum_is_cut(void **state)
{
    (void)state;
    struct neap_backoff backoff = exponential;
    backoff.base_s = 20;
    assert_bounds(backoff, 1, 10, 10);
    backoff.jitter = NEAP_JITTER_DECORRELATED;
    assert_bounds(backoff, 1, 10, 10);
}

static void a_base_of_nothing_never_waits(void **state)
{
    (void)state;
    for (int jitter = NEAP_JITTER_NONE; jitter <= NEAP_JITTER_SHARE; jitter++) {
        struct neap_backoff backoff = with_jitter((enum neap_jitter)jitter, 1);
        backoff.base_s = 0;
        assert_bounds(backoff, 1, 0, 0);
        assert_bounds(backoff, UINT32_MAX, 0, 0);
    }
}

static void jitter_none_is_a_point(void **state)
{
    (void)state;
    assert_bounds(with_jitter(NEAP_JITTER_NONE, 0), 2, 2, 2);
}

static void jitter_full_reaches_down_to_0(void **state)
{
    (void)state;
    assert_bounds(with_jitter(NEAP_JITTER_FULL, 0), 2, 0, 2);
    assert_bounds(with_jitter(NEAP_JITTER_FULL, 0), 9, 0, 10);
}

static void jitter_equal_reaches_down_to_half(void **state)
{
    (void)state;
    assert_bounds(with_jitter(NEAP_JITTER_EQUAL, 0), 2, 1, 2);
    assert_bounds(with_jitter(NEAP_JITTER_EQUAL, 0), 9, 5, 10);
}

static void jitter_additive_stays_spread_at_the_cap(void **state)
{
    (void)state;
    assert_bounds(with_jitter(NEAP_JITTER_ADDITIVE, 0), 2, 2, 4);
    assert_bounds(with_jitter(NEAP_JITTER_ADDITIVE, 0), 4, 5, 10);
    assert_bounds(with_jitter(NEAP_JITTER_ADDITIVE, 0), 9, 5, 10);
}

static void jitter_share_goes_both_ways(void **state)
{
    (void)state;
    assert_bounds(with_jitter(NEAP_JITTER_SHARE, 0.5), 2, 1, 3);
    assert_bounds(with_jitter(NEAP_JITTER_SHARE, 0.5), 4, 4, 10);
    assert_bounds(with_jitter(NEAP_JITTER_SHARE, 0.5), 9, 5, 10);
    assert_bounds(with_jitter(NEAP_JITTER_SHARE, 1), 2, 0, 4);
}

static void jitter_decorrelated_grows_from_the_delay_before(void **state)
{
    (void)state;
    struct neap_backoff backoff = with_jitter(NEAP_JITTER_DECORRELATED, 0);
    assert_bounds_after(backoff, 1, 0, 1, 3);
    assert_bounds_after(backoff, 2, 2.5, 1, 7.5);
    assert_bounds_after(backoff, 3, 7.5, 1, 10);
    assert_bounds_after(backoff, 4, 0.1, 1, 1);
}

static void decorrelated_takes_nonsense_for_the_first_delay(void **state)
{
    (void)state;
    struct neap_backoff backoff = with_jitter(NEAP_JITTER_DECORRELATED, 0);
    assert_bounds_after(backoff, 2, -1, 1, 3);
    assert_bounds_after(backoff, 2, NAN, 1, 3);
    assert_bounds_after(backoff, 2, INFINITY, 1, 10);
}

static void the_random_number_picks_from_the_range(void **state)
{
    (void)state;
    struct neap_backoff backoff = with_jitter(NEAP_JITTER_SHARE, 0.5);
    assert_true(neap_backoff_delay(&backoff, 2, 0, 0) == 1);
    assert_true(neap_backoff_delay(&backoff, 2, 0, 0.25) == 1.5);
    assert_true(neap_backoff_delay(&backoff, 2, 0, JUST_BELOW_1) <= 3);
}

static void assert_within(const struct neap_backoff *backoff, uint32_t n, double previous_s)
{
    const double r[] = {0, 0.3, JUST_BELOW_1};
    for (int i = 0; i < 3; i++) {
        double delay_s = neap_backoff_delay(backoff, n, previous_s, r[i]);
        assert_true(delay_s >= 0 && delay_s <= backoff->max_s && isfinite(delay_s));
    }
}

static void a_delay_is_finite_and_never_above_the_maximum(void **state)
{
    (void)state;
    const uint32_t n[] = {1, 2, 3, 10, 1023, 1024, 1025, 1100, UINT32_MAX};
    const double max_s[] = {0, 0.3, 1, 10, 1e300, INFINITY};
    for (int kind = 0; kind <= NEAP_BACKOFF_EXPONENTIAL; kind++)
        for (int jitter = 0; jitter <= NEAP_JITTER_SHARE; jitter++)
            for (int i = 0; i < 9; i++)
                for (int k = 0; k < 6; k++) {
                    struct neap_backoff backoff = with_jitter((enum neap_jitter)jitter, 0.7);
                    backoff.kind = (enum neap_backoff_kind)kind;
                    backoff.max_s = max_s[k];
                    assert_within(&backoff, n[i], 0);
                    assert_within(&backoff, n[i], 1e308);
                }
}

static void the_range_at_the_cap_is_no_point(void **state)
{
    (void)state;
    for (int jitter = NEAP_JITTER_FULL; jitter <= NEAP_JITTER_SHARE; jitter++) {
        struct neap_backoff backoff = with_jitter((enum neap_jitter)jitter, 0.5);
        double low, high;
        neap_backoff_bounds(&backoff, 1000, 10, &low, &high);
        assert_true(high - low >= 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_stays),
        cmocka_unit_test(linear_grows_by_the_base),
        cmocka_unit_test(exponential_grows_by_the_factor),
        cmocka_unit_test(retry_0_is_taken_as_the_first),
        cmocka_unit_test(a_base_above_the_maximum_is_cut),
        cmocka_unit_test(a_base_of_nothing_never_waits),
        cmocka_unit_test(jitter_none_is_a_point),
        cmocka_unit_test(jitter_full_reaches_down_to_0),
        cmocka_unit_test(jitter_equal_reaches_down_to_half),
        cmocka_unit_test(jitter_additive_stays_spread_at_the_cap),
        cmocka_unit_test(jitter_share_goes_both_ways),
        cmocka_unit_test(jitter_decorrelated_grows_from_the_delay_before),
        cmocka_unit_test(decorrelated_takes_nonsense_for_the_first_delay),
        cmocka_unit_test(the_random_number_picks_from_the_range),
        cmocka_unit_test(a_delay_is_finite_and_never_above_the_maximum),
        cmocka_unit_test(the_range_at_the_cap_is_no_point),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
