#include "metrics/alerts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"

#define S NEAP_SECOND
#define MS NEAP_MS
#define WINDOW (60 * S)

static struct neap_alert_policy policy;
static struct neap_alerts *alerts;
static struct neap_counters counters;
static struct neap_alert_change change[NEAP_ALERT_CHANGES_MAX];
static uint32_t changes;
static int64_t in_flight;

static void make(void)
{
    free(alerts);
    alerts = malloc(neap_alerts_bytes(&policy));
    assert_non_null(alerts);
    memset(alerts, 0xA5, neap_alerts_bytes(&policy));
    neap_alerts_init(alerts, &policy);
}

static int set_up(void **state)
{
    (void)state;
    policy = (struct neap_alert_policy){
        .window_ns = WINDOW,
        .p99_s = 1,
        .p99_factor = 2,
        .error_rate = 0.05,
        .retry_surge = 3,
        .timeout_surge = 3,
        .min_calls = 20,
    };
    memset(policy.has, true, sizeof policy.has);
    neap_counters_init(&counters);
    memset(change, 0, sizeof change);
    in_flight = 0;
    alerts = NULL;
    make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(alerts);
    return 0;
}

static void look(int64_t now_ns)
{
    const struct neap_alert_reading reading = {.counters = &counters, .in_flight = in_flight};
    changes = neap_alerts_look(alerts, &policy, &reading, now_ns, change);
}

static void calls(uint64_t count, uint64_t failures)
{
    counters.calls += count;
    counters.failures += failures;
}

static void latencies(int count, int64_t duration_ns)
{
    for (int i = 0; i < count; i++)
        neap_histogram_record(&counters.latency, duration_ns);
}

static void retries(uint64_t count)
{
    counters.retries[NEAP_RETRY_503] += count - count / 2;
    counters.retries[NEAP_KIND_TIMEOUT] += count / 2;
}

static void assert_change(uint32_t index, enum neap_alert alert, bool firing, int64_t at_ns)
{
    assert_true(index < changes);
    assert_int_equal(change[index].alert, alert);
    assert_int_equal(change[index].firing, firing);
    assert_int_equal(change[index].at_ns, at_ns);
}

#define assert_only_change(alert, firing, at_ns)                                                   \
    do {                                                                                           \
        assert_int_equal(changes, 1);                                                              \
        assert_change(0, alert, firing, at_ns);                                                    \
    } while (0)

static void assert_near(double value, double expected)
{
    assert_true(value >= expected * 0.95 && value <= expected * 1.05);
}

/* ------------------------------------------------------------------------------------- windows */

static void the_first_look_begins_a_window_and_judges_nothing(void **state)
{
    (void)state;
    calls(1000, 1000);
    retries(1000);
    latencies(1000, 100 * S);
    assert_true(neap_alerts_is_due(alerts, 0));
    look(10 * S);
    assert_int_equal(changes, 0);
    assert_false(neap_alerts_is_due(alerts, WINDOW - 1));
    assert_true(neap_alerts_is_due(alerts, WINDOW));
    look(WINDOW);
    assert_int_equal(changes, 0);
}

static void windows_begin_at_multiples_of_their_length(void **state)
{
    (void)state;
    look(1000 * S); /* the window from 960 to 1020 */
    calls(20, 20);
    look(1020 * S - 1);
    assert_int_equal(changes, 0);
    look(1020 * S);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 1020 * S);
}

static void a_window_that_is_looked_at_late_is_judged_at_its_end(void **state)
{
    (void)state;
    look(0);
    calls(20, 20);
    look(WINDOW + 59 * S);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, WINDOW);
    assert_int_equal(change[0].since_ns, WINDOW);
}

static void what_fires_ends_with_the_first_quiet_window(void **state)
{
    (void)state;
    look(0);
    calls(20, 20);
    look(500 * WINDOW + 7);
    assert_int_equal(changes, 2);
    assert_change(0, NEAP_ALERT_ERROR_RATE, true, WINDOW);
    assert_change(1, NEAP_ALERT_ERROR_RATE, false, 2 * WINDOW);
    assert_int_equal(change[1].since_ns, WINDOW);
    assert_true(change[1].value == 0);
    assert_int_equal(neap_alerts_firing(alerts), 0);
}

static void each_is_told_once_however_long_it_lasts(void **state)
{
    (void)state;
    look(0);
    for (int window = 1; window <= 5; window++) {
        calls(20, 20);
        look(window * WINDOW);
        assert_int_equal(changes, window == 1 ? 1 : 0);
        look(window * WINDOW);
        assert_int_equal(changes, 0);
    }
    assert_int_equal(neap_alerts_firing(alerts), 1u << NEAP_ALERT_ERROR_RATE);
    assert_int_equal(neap_alerts_since(alerts, NEAP_ALERT_ERROR_RATE), WINDOW);
    assert_true(neap_alerts_value(alerts, NEAP_ALERT_ERROR_RATE) == 1);
    calls(20, 0);
    look(6 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, false, 6 * WINDOW);
    assert_int_equal(change[0].since_ns, WINDOW);
}

static void a_clock_that_stands_or_steps_back_ends_no_window(void **state)
{
    (void)state;
    look(10 * WINDOW);
    calls(20, 20);
    look(10 * WINDOW);
    look(WINDOW);
    look(-5 * WINDOW);
    assert_int_equal(changes, 0);
    look(11 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 11 * WINDOW);
}

static void the_end_of_time_ends_nothing(void **state)
{
    (void)state;
    look(NEAP_NEVER - 5);
    calls(20, 20);
    look(NEAP_NEVER - 1);
    assert_int_equal(changes, 0);
    policy.window_ns = 1;
    make();
    look(NEAP_NEVER - 1);
    look(NEAP_NEVER);
    assert_true(changes <= NEAP_ALERT_CHANGES_MAX);
}

static void counters_that_were_made_anew_count_from_there(void **state)
{
    (void)state;
    calls(100, 100);
    look(0);
    neap_counters_init(&counters);
    calls(50, 50);
    look(WINDOW);
    assert_int_equal(changes, 0);
    calls(20, 20);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 2 * WINDOW);
}

static void counters_at_their_limits_do_no_harm(void **state)
{
    (void)state;
    look(0);
    counters.calls = counters.failures = UINT64_MAX;
    counters.retries[NEAP_RETRY_503] = UINT64_MAX;
    for (uint32_t i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++)
        counters.latency.bucket[i] = UINT32_MAX;
    counters.latency.max_us = INT64_MAX;
    look(WINDOW);
    assert_change(0, NEAP_ALERT_P99, true, WINDOW);
    assert_change(1, NEAP_ALERT_ERROR_RATE, true, WINDOW);
    assert_true(change[1].value == 1);
    counters.timeouts[NEAP_PHASE_READ] = UINT64_MAX;
    look(2 * WINDOW);
    look(20 * WINDOW);
    assert_int_equal(neap_alerts_firing(alerts), 0);
}

static void alerts_that_are_off_are_never_told(void **state)
{
    (void)state;
    memset(policy.has, false, sizeof policy.has);
    make();
    look(0);
    calls(100, 100);
    retries(100);
    latencies(100, 100 * S);
    counters.timeouts[NEAP_PHASE_READ] = 100;
    look(WINDOW);
    calls(100, 100);
    retries(1000);
    look(2 * WINDOW);
    assert_int_equal(changes, 0);
    assert_false(neap_alerts_note_breakers(alerts, &policy, 1, 2 * WINDOW, change));
}

static void the_largest_part_is_there_only_for_p99(void **state)
{
    (void)state;
    size_t with = neap_alerts_bytes(&policy);
    policy.has[NEAP_ALERT_P99] = false;
    size_t without = neap_alerts_bytes(&policy);
    assert_int_equal(with - without, 4 * NEAP_HISTOGRAM_BUCKETS);
    assert_in_range(without, 256, 384);
    assert_true(with - without <= 1024);
}

/* ---------------------------------------------------------------------------------- error_rate */

static void the_error_rate_has_to_be_over_its_limit(void **state)
{
    (void)state;
    look(0);
    calls(100, 5);
    look(WINDOW);
    assert_int_equal(changes, 0);
    calls(100, 6);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 2 * WINDOW);
    assert_true(change[0].value == 0.06 && change[0].threshold == 0.05);
    calls(100, 5);
    look(3 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, false, 3 * WINDOW);
    assert_true(change[0].value == 0.05);
}

static void too_few_calls_have_no_error_rate(void **state)
{
    (void)state;
    look(0);
    calls(19, 19);
    look(WINDOW);
    assert_int_equal(changes, 0);
    calls(20, 20);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 2 * WINDOW);
    calls(19, 19);
    look(3 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, false, 3 * WINDOW);
}

static void calls_count_in_the_window_in_which_they_end(void **state)
{
    (void)state;
    look(0);
    in_flight = 30;
    calls(30, 0);
    look(WINDOW);
    assert_int_equal(changes, 0);
    in_flight = 0;
    counters.failures += 30;
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_ERROR_RATE, true, 2 * WINDOW);
    assert_true(change[0].value == 1);
}

/* ----------------------------------------------------------------------------------------- p99 */

static void p99_has_to_be_past_its_multiple(void **state)
{
    (void)state;
    look(0);
    latencies(980, 100 * MS);
    latencies(20, 1900 * MS);
    look(WINDOW);
    assert_int_equal(changes, 0);
    latencies(980, 100 * MS);
    latencies(20, 2300 * MS);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_P99, true, 2 * WINDOW);
    assert_near(change[0].value, 2.3);
    assert_true(change[0].threshold == 2);
}

static void p99_is_of_its_window_alone(void **state)
{
    (void)state;
    look(0);
    latencies(10000, 10 * S);
    look(WINDOW);
    assert_only_change(NEAP_ALERT_P99, true, WINDOW);
    latencies(100, 500 * MS);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_P99, false, 2 * WINDOW);
    assert_near(change[0].value, 0.5);
}

static void one_in_a_hundred_may_be_slow(void **state)
{
    (void)state;
    look(0);
    latencies(99, 100 * MS);
    latencies(1, 100 * S);
    look(WINDOW);
    assert_int_equal(changes, 0);
    latencies(98, 100 * MS);
    latencies(2, 100 * S);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_P99, true, 2 * WINDOW);
}

static void too_few_calls_have_no_p99(void **state)
{
    (void)state;
    look(0);
    latencies(19, 100 * S);
    look(WINDOW);
    assert_int_equal(changes, 0);
    latencies(20, 100 * S);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_P99, true, 2 * WINDOW);
}

/* -------------------------------------------------------------------------------------- surges */

static void a_surge_is_past_a_multiple_of_the_mean_before(void **state)
{
    (void)state;
    look(0);
    for (int window = 1; window <= 4; window++) {
        retries(10);
        look(window * WINDOW);
        assert_int_equal(changes, 0);
    }
    retries(30);
    look(5 * WINDOW);
    assert_int_equal(changes, 0);
    retries(43); /* the mean is (4 * 10 + 30) / 5 = 14 */
    look(6 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 6 * WINDOW);
    assert_true(change[0].value == 43 && change[0].threshold == 42);
    retries(5);
    look(7 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, false, 7 * WINDOW);
}

static void a_surge_needs_so_many_retries(void **state)
{
    (void)state;
    look(0);
    look(WINDOW);
    retries(19);
    look(2 * WINDOW);
    assert_int_equal(changes, 0);
    retries(29); /* the mean is 9.5 */
    look(3 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 3 * WINDOW);
}

static void a_surge_needs_a_window_before(void **state)
{
    (void)state;
    look(0);
    retries(1000);
    look(WINDOW);
    assert_int_equal(changes, 0);
    retries(3001);
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 2 * WINDOW);
}

static void a_window_that_was_not_watched_from_its_beginning_is_none_before(void **state)
{
    (void)state;
    look(59 * S);
    look(WINDOW);
    retries(50);
    look(2 * WINDOW);
    assert_int_equal(changes, 0);
    retries(150);
    look(3 * WINDOW);
    assert_int_equal(changes, 0);
    retries(301);
    look(4 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 4 * WINDOW);
}

static void ten_windows_are_looked_back_upon(void **state)
{
    (void)state;
    look(0);
    retries(1000000);
    look(WINDOW);
    for (int window = 2; window <= 11; window++) {
        retries(10);
        look(window * WINDOW);
    }
    retries(31);
    look(12 * WINDOW); /* the million has left */
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 12 * WINDOW);
    assert_true(change[0].threshold == 30);
}

static void windows_in_which_nobody_looked_count_as_quiet(void **state)
{
    (void)state;
    look(0);
    retries(100);
    look(WINDOW);
    retries(100);
    look(6 * WINDOW); /* 100, 100, 0, 0, 0, 0 */
    retries(101);
    look(7 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 7 * WINDOW);
    assert_true(change[0].threshold == 3 * (200.0 / 6));
    look(1000 * WINDOW);
    retries(20);
    look(1001 * WINDOW);
    assert_only_change(NEAP_ALERT_RETRY_SURGE, true, 1001 * WINDOW);
    assert_true(change[0].threshold == 0);
}

static void timeouts_surge_as_retries_do(void **state)
{
    (void)state;
    look(0);
    look(WINDOW);
    counters.timeouts[NEAP_PHASE_READ] += 15;
    counters.timeouts[NEAP_PHASE_CONNECT] += 5;
    look(2 * WINDOW);
    assert_only_change(NEAP_ALERT_TIMEOUT_SURGE, true, 2 * WINDOW);
    assert_true(change[0].value == 20);
    look(3 * WINDOW);
    assert_only_change(NEAP_ALERT_TIMEOUT_SURGE, false, 3 * WINDOW);
}

static void a_surge_that_stays_is_the_new_mean_some_day(void **state)
{
    (void)state;
    int ended = 0;
    look(0);
    for (int window = 1; window <= 10; window++) {
        retries(10);
        look(window * WINDOW);
    }
    for (int window = 11; window <= 30; window++) {
        retries(100);
        look(window * WINDOW);
        if (changes == 1 && !change[0].firing)
            ended = window;
    }
    assert_int_equal(ended, 14); /* 3 * (7 * 10 + 3 * 100) / 10 = 111 */
    assert_int_equal(neap_alerts_firing(alerts), 0);
}

/* ------------------------------------------------------------------------------------ breakers */

static void an_open_breaker_fires_until_none_is_open(void **state)
{
    (void)state;
    assert_false(neap_alerts_note_breakers(alerts, &policy, 0, 1, change));
    assert_true(neap_alerts_note_breakers(alerts, &policy, 1, 2, change));
    changes = 1;
    assert_change(0, NEAP_ALERT_BREAKER_OPEN, true, 2);
    assert_true(change[0].value == 1 && change[0].threshold == 0);
    assert_false(neap_alerts_note_breakers(alerts, &policy, 2, 3, change));
    assert_true(neap_alerts_note_breakers(alerts, &policy, 0, 4, change));
    assert_change(0, NEAP_ALERT_BREAKER_OPEN, false, 4);
    assert_int_equal(change[0].since_ns, 2);
}

static void windows_do_not_touch_the_alert_of_the_breaker(void **state)
{
    (void)state;
    look(0);
    neap_alerts_note_breakers(alerts, &policy, 1, 2, change);
    look(100 * WINDOW);
    assert_int_equal(changes, 0);
    assert_int_equal(neap_alerts_firing(alerts), 1u << NEAP_ALERT_BREAKER_OPEN);
}

static uint64_t hash_of(uint64_t key)
{
    return key << 32 | 0x1234;
}

static uint32_t note(uint64_t key, bool is_open, int64_t now_ns)
{
    return neap_alerts_note_key(alerts, &policy, hash_of(key), is_open, now_ns);
}

static void keys_are_counted_once_each(void **state)
{
    (void)state;
    assert_int_equal(note(1, true, 0), 1);
    assert_int_equal(note(1, true, WINDOW), 1);
    assert_int_equal(note(2, true, WINDOW), 2);
    assert_int_equal(note(3, false, WINDOW), 2);
    assert_int_equal(note(1, false, WINDOW), 1);
    assert_int_equal(note(2, false, WINDOW), 0);
}

static void a_key_that_is_noted_no_more_is_forgotten(void **state)
{
    (void)state;
    note(1, true, 0);
    note(2, true, 5 * WINDOW);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, 10 * WINDOW), 2);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, 11 * WINDOW), 1);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, 15 * WINDOW), 1);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, 16 * WINDOW), 0);
    for (uint64_t key = 3; key < 3 + NEAP_OPEN_KEYS; key++)
        note(key, true, 20 * WINDOW);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, 20 * WINDOW), NEAP_OPEN_KEYS);
}

/* --------------------------------------------------------------------------------------- names */

static void every_alert_has_a_name(void **state)
{
    (void)state;
    static const char *const names[] = {"p99", "error_rate", "retry_surge", "timeout_surge",
                                        "breaker_open"};
    for (int i = 0; i < NEAP_ALERT_COUNT; i++)
        assert_string_equal(neap_alert_name((enum neap_alert)i), names[i]);
    assert_null(neap_alert_name(NEAP_ALERT_COUNT));
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(the_first_look_begins_a_window_and_judges_nothing),
        SPEC(windows_begin_at_multiples_of_their_length),
        SPEC(a_window_that_is_looked_at_late_is_judged_at_its_end),
        SPEC(what_fires_ends_with_the_first_quiet_window),
        SPEC(each_is_told_once_however_long_it_lasts),
        SPEC(a_clock_that_stands_or_steps_back_ends_no_window),
        SPEC(the_end_of_time_ends_nothing),
        SPEC(counters_that_were_made_anew_count_from_there),
        SPEC(counters_at_their_limits_do_no_harm),
        SPEC(alerts_that_are_off_are_never_told),
        SPEC(the_largest_part_is_there_only_for_p99),
        SPEC(the_error_rate_has_to_be_over_its_limit),
        SPEC(too_few_calls_have_no_error_rate),
        SPEC(calls_count_in_the_window_in_which_they_end),
        SPEC(p99_has_to_be_past_its_multiple),
        SPEC(p99_is_of_its_window_alone),
        SPEC(one_in_a_hundred_may_be_slow),
        SPEC(too_few_calls_have_no_p99),
        SPEC(a_surge_is_past_a_multiple_of_the_mean_before),
        SPEC(a_surge_needs_so_many_retries),
        SPEC(a_surge_needs_a_window_before),
        SPEC(a_window_that_was_not_watched_from_its_beginning_is_none_before),
        SPEC(ten_windows_are_looked_back_upon),
        SPEC(windows_in_which_nobody_looked_count_as_quiet),
        SPEC(timeouts_surge_as_retries_do),
        SPEC(a_surge_that_stays_is_the_new_mean_some_day),
        SPEC(an_open_breaker_fires_until_none_is_open),
        SPEC(windows_do_not_touch_the_alert_of_the_breaker),
        SPEC(keys_are_counted_once_each),
        SPEC(a_key_that_is_noted_no_more_is_forgotten),
        SPEC(every_alert_has_a_name),
    };
    return cmocka_run_group_tests_name("alerts", tests, NULL, NULL);
}
