#include "base/duration.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void add_adds(void **state)
{
    (void)state;
    assert_int_equal(neap_time_add(2, 3), 5);
    assert_int_equal(neap_time_add(-2, -3), -5);
}

static void add_saturates_above(void **state)
{
    (void)state;
    assert_int_equal(neap_time_add(NEAP_NEVER - 1, 2), NEAP_NEVER);
    assert_int_equal(neap_time_add(NEAP_NEVER - 1, 1), NEAP_NEVER);
    assert_int_equal(neap_time_add(NEAP_NEVER - 2, 1), NEAP_NEVER - 1);
}

static void add_saturates_below(void **state)
{
    (void)state;
    assert_int_equal(neap_time_add(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(neap_time_add(INT64_MIN, INT64_MIN), INT64_MIN);
    assert_int_equal(neap_time_add(-1, INT64_MIN), INT64_MIN);
}

static void never_absorbs_whatever_is_added(void **state)
{
    (void)state;
    assert_int_equal(neap_time_add(NEAP_NEVER, -5), NEAP_NEVER);
    assert_int_equal(neap_time_add(-5, NEAP_NEVER), NEAP_NEVER);
    assert_int_equal(neap_time_add(INT64_MIN, NEAP_NEVER), NEAP_NEVER);
}

static void since_is_the_difference(void **state)
{
    (void)state;
    assert_int_equal(neap_time_since(7, 3), 4);
    assert_int_equal(neap_time_since(-3, -7), 4);
}

static void since_is_zero_for_a_clock_that_stood_or_stepped_back(void **state)
{
    (void)state;
    assert_int_equal(neap_time_since(3, 3), 0);
    assert_int_equal(neap_time_since(3, 7), 0);
    assert_int_equal(neap_time_since(INT64_MIN, INT64_MAX), 0);
}

static void since_saturates(void **state)
{
    (void)state;
    assert_int_equal(neap_time_since(INT64_MAX, -1), NEAP_NEVER);
    assert_int_equal(neap_time_since(1, INT64_MIN), NEAP_NEVER);
}

static void seconds_become_the_nearest_nanosecond(void **state)
{
    (void)state;
    assert_int_equal(neap_ns_from_seconds(1), NEAP_SECOND);
    assert_int_equal(neap_ns_from_seconds(0.1), 100 * NEAP_MS);
    assert_int_equal(neap_ns_from_seconds(1.4e-9), 1);
    assert_int_equal(neap_ns_from_seconds(1.6e-9), 2);
    assert_int_equal(neap_ns_from_seconds(-1.6e-9), -2);
}

static void seconds_out_of_range_saturate(void **state)
{
    (void)state;
    assert_int_equal(neap_ns_from_seconds(1e10), NEAP_NEVER);
    assert_int_equal(neap_ns_from_seconds(HUGE_VAL), NEAP_NEVER);
    assert_int_equal(neap_ns_from_seconds(-1e10), INT64_MIN);
    assert_int_equal(neap_ns_from_seconds(-HUGE_VAL), INT64_MIN);
}

static void seconds_that_are_not_a_number_are_zero(void **state)
{
    (void)state;
    assert_int_equal(neap_ns_from_seconds(NAN), 0);
}

static void nanoseconds_become_seconds(void **state)
{
    (void)state;
    assert_true(neap_seconds_from_ns(1500 * NEAP_MS) == 1.5);
    assert_true(neap_seconds_from_ns(-NEAP_SECOND) == -1);
    assert_true(neap_seconds_from_ns(NEAP_NEVER) == HUGE_VAL);
}

static void a_length_survives_the_way_there_and_back(void **state)
{
    (void)state;
    const double seconds[] = {0, 0.001, 0.1, 1.0 / 3, 59.999999999, 86400, 1e6};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        int64_t ns = neap_ns_from_seconds(seconds[i]);
        assert_int_equal(neap_ns_from_seconds(neap_seconds_from_ns(ns)), ns);
    }
}

static void min_and_max_pick(void **state)
{
    (void)state;
    assert_int_equal(neap_time_min(2, NEAP_NEVER), 2);
    assert_int_equal(neap_time_min(3, -3), -3);
    assert_int_equal(neap_time_max(2, NEAP_NEVER), NEAP_NEVER);
    assert_int_equal(neap_time_max(3, -3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_adds),
        cmocka_unit_test(add_saturates_above),
        cmocka_unit_test(add_saturates_below),
        cmocka_unit_test(never_absorbs_whatever_is_added),
        cmocka_unit_test(since_is_the_difference),
        cmocka_unit_test(since_is_zero_for_a_clock_that_stood_or_stepped_back),
        cmocka_unit_test(since_saturates),
        cmocka_unit_test(seconds_become_the_nearest_nanosecond),
        cmocka_unit_test(seconds_out_of_range_saturate),
        cmocka_unit_test(seconds_that_are_not_a_number_are_zero),
        cmocka_unit_test(nanoseconds_become_seconds),
        cmocka_unit_test(a_length_survives_the_way_there_and_back),
        cmocka_unit_test(min_and_max_pick),
    };
    return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
