#include "policy/breaker.h"

#include "base/holder.h"
#include "policy/breaker_internal.h"

/* Behind the others: its `breaker` would shadow theirs. */
#include "policy/breaker_fixture.h"

/* ---- the object ---- */

static void takes_152_bytes_by_default(void **state)
{
    (void)state;
    assert_int_equal(neap_breaker_bytes(&policy), 152);
    assert_int_equal(neap_breaker_bytes(&policy) % 8, 0);
}

static void names_its_states(void **state)
{
    (void)state;
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_CLOSED), "closed");
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_OPEN), "open");
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_HALF_OPEN), "half_open");
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_FORCED_OPEN), "forced_open");
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_DISABLED), "disabled");
    assert_string_equal(neap_breaker_state_name(NEAP_BREAKER_METRICS_ONLY), "metrics_only");
    assert_null(neap_breaker_state_name(NEAP_BREAKER_STATE_COUNT));
}

static void uses_random_only_for_jitter_and_ramp(void **state)
{
    (void)state;
    assert_false(neap_breaker_uses_random(&policy));
    policy.open_jitter = 0.1;
    assert_true(neap_breaker_uses_random(&policy));
    policy.open_jitter = 0;
    policy.ramp_ns = 1;
    assert_true(neap_breaker_uses_random(&policy));
}

static void begins_closed_and_empty(void **state)
{
    (void)state;
    begin();
    struct neap_breaker_snapshot taken = snapshot();
    assert_state(NEAP_BREAKER_CLOSED);
    assert_int_equal(taken.state, NEAP_BREAKER_CLOSED);
    assert_false(taken.has_rate);
    assert_int_equal(taken.opened, 0);
    assert_int_equal(taken.not_permitted, 0);
    assert_int_equal(taken.retry_after_ns, 0);
    assert_window(0, 0, 0);
}

/* ---- closed ---- */

static void opens_at_min_calls_and_not_before(void **state)
{
    (void)state;
    begin();
    calls(9, FAILURE);
    assert_false(snapshot().has_rate);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_OPEN);
    assert_state(NEAP_BREAKER_OPEN);
    assert_int_equal(snapshot().opened, 1);
}

static void opens_at_exactly_the_failure_rate(void **state)
{
    (void)state;
    begin();
    calls(6, SUCCESS);
    calls(5, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void stays_closed_just_below_the_failure_rate(void **state)
{
    (void)state;
    policy.failure_rate = 0.51;
    begin();
    for (int i = 0; i < 50; i++) {
        calls(1, SUCCESS);
        calls(1, FAILURE);
    }
    assert_state(NEAP_BREAKER_CLOSED);
    assert_window(100, 50, 0);
    assert_true(snapshot().has_rate);
    assert_true(snapshot().failure_rate == 0.5);
}

/* The recorded result decides, be it a success: the rate may be there before the calls are. */
static void opens_at_a_success_that_completes_min_calls(void **state)
{
    (void)state;
    begin();
    calls(9, FAILURE);
    calls(1, SUCCESS);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_OPEN);
}

/* Nobody could tell: so two processes that share it do not take its words from each other. */
static void one_more_success_among_successes_writes_nothing(void **state)
{
    (void)state;
    size_t bytes = neap_breaker_bytes(&policy);
    void *before = malloc(bytes);
    assert_non_null(before);
    begin();
    calls(100, SUCCESS);
    memcpy(before, breaker, bytes);
    calls(30, SUCCESS);
    assert_memory_equal(before, breaker, bytes);
    calls(1, FAILURE);
    calls(99, SUCCESS);
    assert_window(100, 1, 0);
    calls(1, SUCCESS);
    assert_window(100, 0, 0);
    free(before);
}

static void a_rate_of_one_opens_when_all_fail(void **state)
{
    (void)state;
    policy.failure_rate = 1.0;
    begin();
    calls(1, SUCCESS);
    calls(99, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void rates_do_not_suffer_from_rounding(void **state)
{
    (void)state;
    policy.failure_rate = 0.07;
    policy.window_count = 100;
    policy.min_calls = 100;
    begin();
    calls(93, SUCCESS);
    calls(6, FAILURE);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void min_calls_above_the_window_count_as_the_window(void **state)
{
    (void)state;
    policy.window_count = 4;
    begin();
    calls(3, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void reading_never_evaluates(void **state)
{
    (void)state;
    begin();
    calls(9, FAILURE);
    struct neap_breaker_policy stricter = policy;
    stricter.min_calls = 1;
    struct neap_breaker_snapshot taken;
    neap_breaker_read(breaker, &stricter, now, &taken);
    assert_true(taken.has_rate);
    assert_true(taken.failure_rate == 1.0);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void ignore_enters_nothing(void **state)
{
    (void)state;
    begin();
    calls(50, IGNORE);
    assert_window(0, 0, 0);
    calls(9, FAILURE);
    calls(50, IGNORE);
    assert_window(9, 9, 0);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void a_slow_call_lasts_strictly_longer(void **state)
{
    (void)state;
    policy.slow_call_ns = NEAP_SECOND;
    begin();
    slow_calls(1, SUCCESS, NEAP_SECOND);
    assert_window(1, 0, 0);
    slow_calls(1, SUCCESS, NEAP_SECOND + 1);
    assert_window(2, 0, 1);
    slow_calls(1, FAILURE, NEAP_SECOND + 1);
    assert_window(3, 1, 2);
    slow_calls(1, SUCCESS, -5);
    assert_window(4, 1, 2);
}

static void opens_at_the_slow_call_rate(void **state)
{
    (void)state;
    policy.slow_call_ns = NEAP_SECOND;
    policy.slow_call_rate = 0.8;
    begin();
    calls(2, SUCCESS);
    slow_calls(7, SUCCESS, 2 * NEAP_SECOND);
    assert_state(NEAP_BREAKER_CLOSED);
    slow_calls(1, SUCCESS, 2 * NEAP_SECOND);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_OPEN);
}

static void no_call_is_slow_where_that_is_off(void **state)
{
    (void)state;
    policy.slow_call_rate = 0.01;
    begin();
    slow_calls(100, SUCCESS, NEAP_NEVER);
    assert_window(100, 0, 0);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void opens_at_the_mth_failure_in_a_row(void **state)
{
    (void)state;
    policy.consecutive_failures = 3;
    begin();
    calls(2, FAILURE);
    calls(1, SUCCESS);
    calls(2, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, IGNORE);
    calls(1, FAILURE);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_OPEN);
}

static void a_row_may_be_longer_than_the_window(void **state)
{
    (void)state;
    policy.window_count = 2;
    policy.min_calls = 2;
    policy.failure_rate = 1.0;
    policy.consecutive_failures = 1;
    begin();
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void forgets_the_oldest_result_one_by_one(void **state)
{
    (void)state;
    policy.window_count = 5;
    policy.failure_rate = 1.0;
    begin();
    calls(3, FAILURE);
    calls(2, SUCCESS);
    assert_window(5, 3, 0);
    for (uint64_t left = 3; left-- > 0;) {
        calls(1, SUCCESS);
        assert_window(5, left, 0);
    }
    calls(4, FAILURE);
    assert_window(5, 4, 0);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Against the plain definition: the last N of all results. */
static void holds_the_last_n_results(uint32_t window)
{
    enum { RESULTS = 40000 };
    static unsigned char failed[RESULTS], slow[RESULTS];
    uint64_t seed = window;
    uint64_t failures = 0;
    uint64_t slow_ones = 0;
    policy.window_count = window;
    policy.failure_rate = 2;
    policy.slow_call_rate = 2;
    policy.slow_call_ns = 0;
    begin();
    for (uint32_t i = 0; i < RESULTS; i++) {
        failed[i] = next_random(&seed) % 3 == 0;
        slow[i] = next_random(&seed) % 4 == 0;
        failures += failed[i];
        slow_ones += slow[i];
        if (i >= window) {
            failures -= failed[i - window];
            slow_ones -= slow[i - window];
        }
        slow_calls(1, failed[i] ? FAILURE : SUCCESS, slow[i]);
        if (i % 7 == 0)
            assert_window(i < window ? i + 1 : window, failures, slow_ones);
    }
    tear_down(NULL);
}

static void holds_the_last_n_results_for_every_n(void **state)
{
    (void)state;
    for (uint32_t window = 1; window < 30; window++)
        holds_the_last_n_results(window);
    holds_the_last_n_results(100);
    holds_the_last_n_results(NEAP_BREAKER_WINDOW_MAX);
}

static void the_largest_count_window_opens_when_it_should(void **state)
{
    (void)state;
    policy.window_count = NEAP_BREAKER_WINDOW_MAX;
    policy.min_calls = NEAP_BREAKER_WINDOW_MAX;
    policy.failure_rate = 1.0;
    begin();
    calls(NEAP_BREAKER_WINDOW_MAX - 1, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_result_leaves_the_time_window_at_s_plus_n(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 10;
    begin();
    now = 5 * NEAP_SECOND + NEAP_SECOND / 2;
    calls(9, FAILURE);
    now = 15 * NEAP_SECOND - 1;
    assert_window(9, 9, 0);
    now = 15 * NEAP_SECOND;
    assert_window(0, 0, 0);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    now = 16 * NEAP_SECOND;
    calls(9, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_time_window_takes_min_calls_as_they_are(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 3;
    policy.min_calls = 20;
    policy.slow_call_ns = NEAP_SECOND;
    begin();
    slow_calls(10, SUCCESS, 2 * NEAP_SECOND);
    pass(1);
    calls(9, SUCCESS);
    assert_window(19, 0, 10);
    policy.slow_call_rate = 0.5;
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_time_window_counts_failures_in_a_row(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 1;
    policy.consecutive_failures = 3;
    begin();
    calls(1, FAILURE);
    pass(100);
    calls(1, FAILURE);
    pass(100);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_clock_that_stands_still_or_steps_back_is_borne(void **state)
{
    (void)state;
    policy.window_count = 0;
    policy.window_seconds = 10;
    begin();
    calls(5, FAILURE);
    now -= 500 * NEAP_SECOND;
    calls(4, FAILURE);
    assert_window(9, 9, 0);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void a_permit_that_was_never_given_changes_nothing(void **state)
{
    (void)state;
    begin();
    int64_t permit = acquire();
    const int64_t never_given[] = {0,          -1,         permit + 1,      permit + (1 << 14),
                                   permit * 2, -permit,    INT64_MAX,       INT64_MIN,
                                   permit - 1, permit + 5, INT64_C(1) << 52};
    for (size_t i = 0; i < sizeof never_given / sizeof *never_given; i++)
        record(never_given[i], FAILURE);
    assert_window(0, 0, 0);
    record(permit, FAILURE);
    assert_window(1, 1, 0);
}

/* ---- open ---- */

static void refuses_until_the_wait_is_over(void **state)
{
    (void)state;
    begin();
    trip();
    int64_t end = now + 30 * NEAP_SECOND;
    assert_int_equal(neap_breaker_open_until(breaker), end);
    assert_int_equal(assert_refused(), end);
    assert_false(change.changed);
    pass(10);
    assert_int_equal(snapshot().retry_after_ns, 20 * NEAP_SECOND);
    now = end - 1;
    assert_int_equal(assert_refused(), end);
    assert_int_equal(snapshot().retry_after_ns, 1);
    assert_int_equal(snapshot().not_permitted, 2);
    now = end;
    acquire();
    assert_changed(NEAP_BREAKER_OPEN, NEAP_BREAKER_HALF_OPEN);
}

static void moves_on_only_when_somebody_asks(void **state)
{
    (void)state;
    begin();
    trip();
    pass(1000);
    assert_state(NEAP_BREAKER_OPEN);
    assert_int_equal(snapshot().retry_after_ns, 0);
    assert_state(NEAP_BREAKER_OPEN);
    acquire();
    assert_state(NEAP_BREAKER_HALF_OPEN);
    assert_int_equal(neap_breaker_open_until(breaker), INT64_MIN);
}

static void late_results_change_nothing(void **state)
{
    (void)state;
    begin();
    int64_t early = acquire();
    trip();
    record(early, FAILURE);
    assert_false(change.changed);
    pass(30);
    int64_t probe = acquire();
    record(early, FAILURE);
    assert_window(0, 0, 0);
    record(probe, SUCCESS);
    calls(4, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
    record(early, FAILURE);
    record(probe, FAILURE);
    assert_window(0, 0, 0);
}

static void what_made_it_open_is_seen_while_open(void **state)
{
    (void)state;
    begin();
    trip();
    assert_window(10, 10, 0);
    assert_true(snapshot().has_rate);
    assert_true(snapshot().failure_rate == 1.0);
    pass(30);
    record(acquire(), FAILURE);
    calls(4, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
    assert_window(5, 5, 0);
}

/* Fails all probes at once. */
static void fail_probes(void)
{
    int64_t permit[16];
    for (uint32_t i = 0; i < policy.permits; i++)
        permit[i] = acquire();
    for (uint32_t i = 0; i < policy.permits; i++)
        record(permit[i], FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void the_wait_grows_with_each_opening_in_a_row(void **state)
{
    (void)state;
    const int64_t wait_s[] = {30, 60, 120, 240, 300, 300};
    policy.open_factor = 2;
    begin();
    trip();
    for (size_t k = 0; k < sizeof wait_s / sizeof *wait_s; k++) {
        assert_int_equal(snapshot().retry_after_ns, wait_s[k] * NEAP_SECOND);
        assert_int_equal(snapshot().opened, k + 1);
        now += wait_s[k] * NEAP_SECOND;
        fail_probes();
    }
}

static void a_close_brings_the_wait_back_to_base(void **state)
{
    (void)state;
    policy.open_factor = 2;
    begin();
    trip();
    pass(30);
    fail_probes();
    assert_int_equal(snapshot().retry_after_ns, 60 * NEAP_SECOND);
    pass(60);
    calls(5, SUCCESS);
    trip();
    assert_int_equal(snapshot().retry_after_ns, 30 * NEAP_SECOND);
    assert_int_equal(snapshot().opened, 3);
}

static void the_wait_stays_a_number_however_often_it_opens(void **state)
{
    (void)state;
    policy.open_factor = 1e300;
    policy.permits = 1;
    begin();
    trip();
    for (int k = 0; k < 70000; k++) {
        pass(300);
        calls(1, FAILURE);
        assert_state(NEAP_BREAKER_OPEN);
    }
    assert_int_equal(snapshot().retry_after_ns, 300 * NEAP_SECOND);
    assert_int_equal(snapshot().opened, 70001);
}

static void a_base_of_zero_stays_zero(void **state)
{
    (void)state;
    policy.open_base_s = 0;
    policy.open_factor = 1e300;
    policy.permits = 1;
    begin();
    trip();
    for (int k = 0; k < 5; k++) {
        assert_int_equal(snapshot().retry_after_ns, 0);
        calls(1, FAILURE);
    }
}

static void jitter_spreads_the_wait_by_its_share(void **state)
{
    (void)state;
    const double random[] = {0, 0.25, 0.5, 0.75, 0x1.fffffffffffffp-1};
    const int64_t wait_s[] = {24, 27, 30, 33, 36};
    policy.open_jitter = 0.2;
    for (size_t i = 0; i < 5; i++) {
        r = random[i];
        begin();
        trip();
        assert_true(llabs(snapshot().retry_after_ns - wait_s[i] * NEAP_SECOND) <= 10);
    }
}

static void jitter_never_makes_a_wait_negative(void **state)
{
    (void)state;
    policy.open_jitter = 1;
    r = 0;
    begin();
    trip();
    assert_int_equal(snapshot().retry_after_ns, 0);
    acquire();
    assert_state(NEAP_BREAKER_HALF_OPEN);
}

static void a_wait_beyond_the_clock_saturates(void **state)
{
    (void)state;
    policy.open_base_s = policy.open_max_s = 1e300;
    begin();
    trip();
    assert_int_equal(assert_refused(), NEAP_NEVER);
    assert_int_equal(snapshot().retry_after_ns, NEAP_NEVER);
}

static void is_not_shortened_by_a_clock_that_steps_back(void **state)
{
    (void)state;
    begin();
    trip();
    int64_t end = neap_breaker_open_until(breaker);
    now = 0;
    assert_int_equal(assert_refused(), end);
    assert_state(NEAP_BREAKER_OPEN);
}

static void asks_again_whether_a_waiting_call_may_go(void **state)
{
    (void)state;
    begin();
    int64_t early = acquire();
    assert_true(neap_breaker_still_admits(breaker, early));
    trip();
    assert_false(neap_breaker_still_admits(breaker, early));
    pass(30);
    int64_t probe = acquire();
    assert_false(neap_breaker_still_admits(breaker, early));
    assert_true(neap_breaker_still_admits(breaker, probe));
    record(probe, SUCCESS);
    calls(4, SUCCESS);
    assert_true(neap_breaker_still_admits(breaker, early));
    force(NEAP_BREAKER_FORCED_OPEN);
    assert_false(neap_breaker_still_admits(breaker, early));
    force(NEAP_BREAKER_DISABLED);
    assert_true(neap_breaker_still_admits(breaker, early));
    force(NEAP_BREAKER_METRICS_ONLY);
    assert_true(neap_breaker_still_admits(breaker, early));
}

/* ---- half open ---- */

static void admits_permits_probes_in_all(void **state)
{
    (void)state;
    begin();
    int64_t permit[5] = {first_probe()};
    for (int i = 1; i < 5; i++)
        permit[i] = acquire();
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(permit[i], permit[j]);
    assert_int_equal(assert_refused(), NEAP_NEVER);
    record(permit[0], SUCCESS);
    assert_int_equal(assert_refused(), NEAP_NEVER);
    assert_int_equal(snapshot().not_permitted, 2);
    assert_int_equal(snapshot().retry_after_ns, 0);
}

static void closes_with_an_empty_window_once_enough_probes_are_well(void **state)
{
    (void)state;
    begin();
    record(first_probe(), SUCCESS);
    calls(3, SUCCESS);
    assert_window(4, 0, 0);
    assert_false(snapshot().has_rate);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, SUCCESS);
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_CLOSED);
    assert_window(0, 0, 0);
}

static void decides_by_the_same_failure_rate(void **state)
{
    (void)state;
    begin();
    record(first_probe(), FAILURE);
    calls(1, FAILURE);
    calls(3, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
    record(first_probe(), FAILURE);
    calls(2, SUCCESS);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, FAILURE);
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_OPEN);
    assert_int_equal(snapshot().opened, 3);
}

static void decides_by_the_same_slow_call_rate(void **state)
{
    (void)state;
    policy.slow_call_ns = NEAP_SECOND;
    policy.slow_call_rate = 0.4;
    begin();
    record(first_probe(), SUCCESS);
    slow_calls(2, SUCCESS, NEAP_SECOND + 1);
    calls(1, SUCCESS);
    assert_window(4, 0, 2);
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_OPEN);
}

static void the_first_evaluation_decides_after_min_calls_of_fewer_than_permits(void **state)
{
    (void)state;
    policy.min_calls = 2;
    begin();
    int64_t probe = first_probe();
    int64_t late = acquire();
    record(probe, SUCCESS);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
    record(late, FAILURE);
    assert_window(0, 0, 0);
}

static void failures_in_a_row_open_it_before_there_is_a_rate(void **state)
{
    (void)state;
    policy.consecutive_failures = 2;
    policy.min_calls = 10;
    begin();
    calls(2, FAILURE);
    pass(30);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, FAILURE);
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_OPEN);
}

static void the_row_begins_afresh_with_each_state(void **state)
{
    (void)state;
    policy.consecutive_failures = 3;
    policy.permits = 2;
    begin();
    calls(3, FAILURE);
    pass(30);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    policy.failure_rate = 0.9;
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(2, FAILURE);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
}

static void an_ignored_probe_gives_its_permit_back(void **state)
{
    (void)state;
    begin();
    int64_t ignored = first_probe();
    for (int i = 1; i < 5; i++)
        acquire();
    assert_refused();
    record(ignored, IGNORE);
    assert_false(change.changed);
    int64_t again = acquire();
    assert_int_not_equal(again, ignored);
    assert_refused();
    record(ignored, IGNORE);
    assert_refused();
    record(ignored, FAILURE);
    assert_window(0, 0, 0);
    record(again, SUCCESS);
    assert_window(1, 0, 0);
}

static void ignored_probes_never_use_the_permits_up(void **state)
{
    (void)state;
    begin();
    record(first_probe(), IGNORE);
    calls(5000, IGNORE);
    calls(4, SUCCESS);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void a_probe_counts_once(void **state)
{
    (void)state;
    begin();
    int64_t probe = first_probe();
    record(probe, SUCCESS);
    for (int i = 0; i < 10; i++)
        record(probe, i % 2 ? FAILURE : IGNORE);
    assert_window(1, 0, 0);
    for (int i = 0; i < 4; i++)
        acquire();
    assert_refused();
}

static void a_probe_that_was_never_given_changes_nothing(void **state)
{
    (void)state;
    begin();
    int64_t probe = first_probe();
    for (int64_t other = probe - 20; other < probe + 20; other++)
        if (other != probe)
            record(other, FAILURE);
    record(probe + (1 << 14), FAILURE);
    record(probe | ((1 << 14) - 1), FAILURE);
    assert_window(0, 0, 0);
}

static void a_probe_answers_in_time_until_just_before_its_lease_ends(void **state)
{
    (void)state;
    begin();
    int64_t probe = first_probe();
    pass(60);
    now -= 1;
    record(probe, SUCCESS);
    assert_window(1, 0, 0);
}

static void a_probe_fails_when_its_lease_ends(void **state)
{
    (void)state;
    begin();
    int64_t probe = first_probe();
    pass(60);
    record(probe, SUCCESS);
    assert_window(1, 1, 0);
    record(probe, SUCCESS);
    assert_window(1, 1, 0);
}

static void a_lease_is_rounded_up_to_milliseconds(void **state)
{
    (void)state;
    policy.lease_ns = 1;
    now += 1;
    begin();
    int64_t probe = first_probe();
    now += NEAP_MS - 2;
    record(probe, SUCCESS);
    assert_window(1, 0, 0);
    probe = acquire();
    now += 1;
    record(probe, SUCCESS);
    assert_window(2, 1, 0);
}

static void reading_ends_no_lease(void **state)
{
    (void)state;
    begin();
    first_probe();
    pass(1000);
    assert_window(0, 0, 0);
    assert_state(NEAP_BREAKER_HALF_OPEN);
}

static void silent_probes_open_it_as_of_their_leases_end(void **state)
{
    (void)state;
    begin();
    first_probe();
    for (int i = 1; i < 5; i++) {
        pass(1);
        acquire();
    }
    int64_t last_end = now + 60 * NEAP_SECOND;
    now = last_end + 5 * NEAP_SECOND;
    assert_int_equal(assert_refused(), last_end + 30 * NEAP_SECOND);
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_OPEN);
    assert_int_equal(snapshot().opened, 2);
}

static void the_lease_that_decides_gives_the_time_not_the_last_one(void **state)
{
    (void)state;
    policy.min_calls = 3;
    begin();
    first_probe();
    int64_t begun = now;
    for (int i = 1; i < 5; i++) {
        pass(1);
        acquire();
    }
    now = begun + 70 * NEAP_SECOND;
    int64_t third_end = begun + 62 * NEAP_SECOND;
    assert_int_equal(assert_refused(), third_end + 30 * NEAP_SECOND);
}

static void leases_end_in_the_order_of_their_ends(void **state)
{
    (void)state;
    policy.min_calls = 2;
    begin();
    int64_t ignored = first_probe();
    int64_t begun = now;
    pass(1);
    acquire();
    pass(1);
    acquire();
    record(ignored, IGNORE);
    pass(1);
    acquire();
    now = begun + 80 * NEAP_SECOND;
    int64_t second_end = begun + 62 * NEAP_SECOND;
    assert_int_equal(assert_refused(), second_end + 30 * NEAP_SECOND);
}

static void silent_probes_leave_room_for_a_new_one_when_that_wait_is_over_too(void **state)
{
    (void)state;
    begin();
    first_probe();
    for (int i = 1; i < 5; i++)
        acquire();
    pass(60 + 30);
    int64_t probe = acquire();
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_HALF_OPEN);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    assert_int_equal(snapshot().opened, 2);
    record(probe, SUCCESS);
    assert_window(1, 0, 0);
}

static void a_silent_probe_and_well_ones_close_it(void **state)
{
    (void)state;
    begin();
    first_probe();
    calls(3, SUCCESS);
    int64_t last = acquire();
    record(last, SUCCESS);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    pass(60);
    acquire();
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_CLOSED);
    assert_int_equal(change.to, NEAP_BREAKER_CLOSED);
}

static void a_result_opens_it_when_it_finds_ended_leases(void **state)
{
    (void)state;
    policy.permits = 3;
    begin();
    first_probe();
    acquire();
    int64_t begun = now;
    pass(10);
    int64_t well = acquire();
    pass(55);
    record(well, SUCCESS);
    assert_changed(NEAP_BREAKER_HALF_OPEN, NEAP_BREAKER_OPEN);
    assert_int_equal(neap_breaker_open_until(breaker), begun + (65 + 30) * NEAP_SECOND);
}

static void is_never_stuck_though_no_probe_ever_answers(void **state)
{
    (void)state;
    begin();
    trip();
    for (int round = 0; round < 50; round++) {
        pass(30);
        for (uint32_t i = 0; i < policy.permits; i++)
            acquire();
        assert_refused();
        pass(60);
        assert_refused();
        assert_state(NEAP_BREAKER_OPEN);
    }
    pass(30);
    calls(5, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void bears_a_clock_that_steps_back(void **state)
{
    (void)state;
    begin();
    int64_t probe = first_probe();
    now = 0;
    for (int i = 1; i < 5; i++)
        acquire();
    record(probe, SUCCESS);
    assert_window(1, 0, 0);
    now = 60 * NEAP_SECOND;
    assert_refused();
    assert_state(NEAP_BREAKER_OPEN);
}

static void leases_work_before_the_clocks_zero_and_at_its_end(void **state)
{
    (void)state;
    now = -1000 * NEAP_SECOND;
    begin();
    record(first_probe(), SUCCESS);
    assert_window(1, 0, 0);
    policy.lease_ns = NEAP_NEVER;
    int64_t probe = acquire();
    now = INT64_C(4000000000) * NEAP_SECOND;
    record(probe, SUCCESS);
    assert_window(2, 0, 0);
}

static void the_most_permits_work(void **state)
{
    (void)state;
    policy.permits = NEAP_BREAKER_PERMITS_MAX;
    policy.min_calls = NEAP_BREAKER_PERMITS_MAX;
    policy.window_count = NEAP_BREAKER_PERMITS_MAX;
    begin();
    int64_t permit[NEAP_BREAKER_PERMITS_MAX] = {first_probe()};
    for (uint32_t i = 1; i < policy.permits; i++)
        permit[i] = acquire();
    assert_refused();
    for (uint32_t i = 0; i < policy.permits; i++)
        record(permit[i], i % 2 ? FAILURE : SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
    record(first_probe(), SUCCESS);
    for (uint32_t i = 1; i < policy.permits; i++)
        acquire();
    pass(60);
    assert_refused();
    assert_state(NEAP_BREAKER_OPEN);
}

static void leases_work_on_a_clock_that_counts_from_1970(void **state)
{
    (void)state;
    now = INT64_C(4000000000) * NEAP_SECOND;
    begin();
    record(first_probe(), SUCCESS);
    int64_t probe = acquire();
    pass(59);
    record(probe, SUCCESS);
    assert_window(2, 0, 0);
}

/* ---- holders ---- */

static void open_for(double seconds)
{
    trip();
    pass(seconds);
}

static void reclaim_frees_that_holders_probes_and_no_more(void **state)
{
    (void)state;
    begin();
    open_for(30);
    acquire_as(7);
    int64_t other = acquire_as(NEAP_HOLDER_MAX);
    acquire_as(7);
    acquire_as(8);
    acquire_as(7);
    assert_refused();
    assert_int_equal(reclaim(0), 0);
    assert_int_equal(reclaim(7), 3);
    assert_int_equal(reclaim(7), 0);
    record(other, SUCCESS);
    assert_window(1, 0, 0);
    for (int i = 0; i < 3; i++)
        acquire_as(9);
    assert_refused();
    assert_int_equal(reclaim(NEAP_HOLDER_MAX), 0);
    assert_int_equal(reclaim(8), 1);
    assert_int_equal(reclaim(9), 3);
}

static void the_late_result_of_a_reclaimed_probe_changes_nothing(void **state)
{
    (void)state;
    begin();
    open_for(30);
    int64_t late = acquire_as(7);
    assert_int_equal(reclaim(7), 1);
    record(late, FAILURE);
    assert_window(0, 0, 0);
    int64_t again = acquire_as(7);
    assert_int_not_equal(again, late);
    record(late, FAILURE);
    assert_window(0, 0, 0);
    record(again, SUCCESS);
    assert_window(1, 0, 0);
}

static void after_a_reclaim_exactly_the_permits_decide(void **state)
{
    (void)state;
    begin();
    open_for(30);
    for (int i = 0; i < 5; i++)
        acquire_as(7);
    assert_int_equal(reclaim(7), 5);
    holder = 8;
    int64_t permit[5];
    for (int i = 0; i < 5; i++)
        permit[i] = acquire();
    assert_refused();
    for (int i = 0; i < 5; i++) {
        assert_state(NEAP_BREAKER_HALF_OPEN);
        record(permit[i], SUCCESS);
    }
    assert_state(NEAP_BREAKER_CLOSED);
}

static void results_of_a_dead_holder_stay(void **state)
{
    (void)state;
    begin();
    open_for(30);
    record(acquire_as(7), FAILURE);
    record(acquire_as(7), SUCCESS);
    acquire_as(7);
    assert_int_equal(reclaim(7), 1);
    assert_window(2, 1, 0);
}

static void there_is_nothing_to_reclaim_in_another_state(void **state)
{
    (void)state;
    begin();
    acquire_as(7);
    assert_int_equal(reclaim(7), 0);
    open_for(30);
    int64_t probe = acquire_as(7);
    force(NEAP_BREAKER_FORCED_OPEN);
    assert_int_equal(reclaim(7), 0);
    force(NEAP_BREAKER_CLOSED);
    assert_int_equal(reclaim(7), 0);
    record(probe, FAILURE);
    assert_window(0, 0, 0);
}

/* ---- killed at any instruction ---- */

#define WORDS_MAX 32

struct image {
    uint64_t word[WORDS_MAX];
};

static struct image take_image(void)
{
    struct image image = {{0}};
    assert_true(neap_breaker_bytes(&policy) <= sizeof image);
    memcpy(&image, breaker, neap_breaker_bytes(&policy));
    return image;
}

static void put_image(const struct image *image)
{
    memcpy(breaker, image, neap_breaker_bytes(&policy));
}

static void assert_exactly_five_probes_decide(void)
{
    holder = 8;
    int64_t permit[5];
    for (int i = 0; i < 5; i++)
        permit[i] = acquire();
    assert_refused();
    for (int i = 0; i < 5; i++)
        record(permit[i], SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

/* Some cells of the probes are laid out, the state is still open. */
static void who_dies_while_laying_out_cells_leaves_an_open_breaker(void **state)
{
    (void)state;
    begin();
    open_for(30);
    struct image before = take_image();
    acquire_as(7);
    uint64_t laid_out = atomic_load(&breaker->cells[1]);
    for (int cells = 0; cells <= 5; cells++) {
        put_image(&before);
        for (int i = 0; i < cells; i++)
            atomic_store(&breaker->cells[i], laid_out);
        assert_state(NEAP_BREAKER_OPEN);
        assert_int_equal(reclaim(7), 0);
        assert_exactly_five_probes_decide();
    }
}

static void who_dies_before_its_first_probe_leaves_all_of_them(void **state)
{
    (void)state;
    begin();
    open_for(30);
    acquire_as(7);
    atomic_store(&breaker->cells[0], atomic_load(&breaker->cells[1]));
    assert_state(NEAP_BREAKER_HALF_OPEN);
    struct image swapped = take_image();
    assert_exactly_five_probes_decide();
    put_image(&swapped);
    assert_int_equal(reclaim(7), 0);
    assert_exactly_five_probes_decide();
}

static void who_dies_with_the_first_probe_is_known_by_it(void **state)
{
    (void)state;
    begin();
    open_for(30);
    acquire_as(7);
    struct image taken = take_image();
    assert_int_equal(reclaim(7), 1);
    assert_exactly_five_probes_decide();
    put_image(&taken);
    holder = 8;
    for (int i = 1; i < 5; i++)
        record(acquire(), SUCCESS);
    assert_refused();
    pass(60);
    acquire();
    assert_state(NEAP_BREAKER_CLOSED);
}

/* Its result is in its cell, and nobody has drawn the conclusion. */
static void who_dies_before_it_decides_leaves_that_to_the_next(void **state)
{
    (void)state;
    for (int failing = 0; failing < 2; failing++) {
        begin();
        open_for(30);
        calls(4, failing ? FAILURE : SUCCESS);
        int64_t last = acquire_as(7);
        struct image before = take_image();
        record(last, failing ? FAILURE : SUCCESS);
        assert_true(change.changed);
        uint64_t result = atomic_load(&breaker->cells[4]);
        put_image(&before);
        atomic_store(&breaker->cells[4], result);
        assert_state(NEAP_BREAKER_HALF_OPEN);
        assert_int_equal(reclaim(7), 0);
        holder = 8;
        if (failing)
            assert_refused();
        else
            acquire();
        assert_state(failing ? NEAP_BREAKER_OPEN : NEAP_BREAKER_CLOSED);
    }
}

static void who_dies_before_the_change_has_changed_nothing(void **state)
{
    (void)state;
    begin();
    calls(9, FAILURE);
    int64_t last = acquire_as(7);
    uint64_t closed = atomic_load(&breaker->word);
    record(last, FAILURE);
    assert_state(NEAP_BREAKER_OPEN);
    atomic_store(&breaker->word, closed);
    assert_state(NEAP_BREAKER_CLOSED);
    calls(1, SUCCESS);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_OPEN);
}

static void a_word_that_a_stranger_wrote_over_is_put_right(void **state)
{
    (void)state;
    for (int bit = 49; bit < 64; bit++) {
        begin();
        open_for(30);
        atomic_fetch_or(&breaker->word, UINT64_C(1) << bit);
        now += 30 * NEAP_SECOND;
        assert_true(acquire_as(7) > 0);
        assert_state(NEAP_BREAKER_HALF_OPEN);
    }
    for (uint64_t none = NEAP_BREAKER_STATE_COUNT; none < 8; none++) {
        begin();
        atomic_fetch_or(&breaker->word, none);
        assert_state(NEAP_BREAKER_CLOSED);
        calls(10, FAILURE);
        assert_state(NEAP_BREAKER_OPEN);
    }
}

static void who_dies_while_reclaiming_leaves_the_rest_to_the_next(void **state)
{
    (void)state;
    begin();
    open_for(30);
    for (int i = 0; i < 5; i++)
        acquire_as(7);
    struct image before = take_image();
    assert_int_equal(reclaim(7), 5);
    struct image after = take_image();
    size_t first = offsetof(struct neap_breaker, cells) / sizeof(uint64_t);
    for (uint32_t done = 0; done <= 5; done++) {
        struct image part = before;
        memcpy(&part.word[first], &after.word[first], done * sizeof(uint64_t));
        put_image(&part);
        assert_int_equal(reclaim(7), 5 - done);
        assert_exactly_five_probes_decide();
    }
}

/* ---- ramp ---- */

static void close_by_probes(void)
{
    record(first_probe(), SUCCESS);
    calls((int)policy.permits - 1, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void the_ramp_admits_a_growing_share_after_a_close(void **state)
{
    (void)state;
    policy.ramp_ns = 10 * NEAP_SECOND;
    policy.ramp_from = 0.25;
    begin();
    close_by_probes();
    int64_t end = now + policy.ramp_ns;
    r = 0.25;
    assert_int_equal(assert_refused(), end);
    r = 0.24999;
    acquire();
    pass(5);
    r = 0.625;
    assert_int_equal(assert_refused(), end);
    r = 0.62499;
    acquire();
    assert_int_equal(snapshot().not_permitted, 2);
    now = end - 1;
    r = 0x1.fffffffffffffp-1;
    assert_refused();
    now = end;
    acquire();
    assert_int_equal(snapshot().retry_after_ns, 0);
}

static void there_is_no_ramp_at_first_nor_after_a_close_by_hand(void **state)
{
    (void)state;
    policy.ramp_ns = 10 * NEAP_SECOND;
    policy.ramp_from = 0;
    r = 0.999;
    begin();
    acquire();
    force(NEAP_BREAKER_FORCED_OPEN);
    force(NEAP_BREAKER_CLOSED);
    acquire();
    r = 0;
    close_by_probes();
    r = 0.999;
    assert_refused();
    force(NEAP_BREAKER_CLOSED);
    acquire();
}

static void there_is_no_ramp_where_it_is_off(void **state)
{
    (void)state;
    policy.ramp_from = 0;
    r = 0.999;
    begin();
    close_by_probes();
    acquire();
}

static void the_ramp_opens_again_as_a_closed_state_does(void **state)
{
    (void)state;
    policy.ramp_ns = 10 * NEAP_SECOND;
    r = 0;
    begin();
    close_by_probes();
    trip();
    assert_int_equal(snapshot().opened, 2);
}

static void a_clock_that_steps_back_begins_the_ramp_again(void **state)
{
    (void)state;
    policy.ramp_ns = 10 * NEAP_SECOND;
    policy.ramp_from = 0.5;
    r = 0;
    begin();
    close_by_probes();
    now -= 100 * NEAP_SECOND;
    r = 0.49;
    acquire();
    r = 0.5;
    assert_refused();
}

/* ---- by hand ---- */

static void forced_open_refuses_all_until_changed_by_hand(void **state)
{
    (void)state;
    begin();
    int64_t early = acquire();
    force(NEAP_BREAKER_FORCED_OPEN);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_FORCED_OPEN);
    assert_int_equal(assert_refused(), NEAP_NEVER);
    assert_int_equal(neap_breaker_open_until(breaker), NEAP_NEVER);
    assert_int_equal(snapshot().retry_after_ns, NEAP_NEVER);
    record(early, SUCCESS);
    pass(1e6);
    assert_refused();
    assert_int_equal(snapshot().not_permitted, 2);
    assert_int_equal(snapshot().opened, 0);
    assert_window(0, 0, 0);
}

static void disabled_admits_all_and_records_nothing(void **state)
{
    (void)state;
    policy.consecutive_failures = 1;
    begin();
    force(NEAP_BREAKER_DISABLED);
    assert_changed(NEAP_BREAKER_CLOSED, NEAP_BREAKER_DISABLED);
    calls(1000, FAILURE);
    assert_state(NEAP_BREAKER_DISABLED);
    assert_window(0, 0, 0);
}

static void metrics_only_admits_all_and_tells_once(void **state)
{
    (void)state;
    begin();
    force(NEAP_BREAKER_METRICS_ONLY);
    calls(9, FAILURE);
    assert_false(change.would_open);
    calls(1, FAILURE);
    assert_true(change.would_open);
    assert_false(change.changed);
    assert_state(NEAP_BREAKER_METRICS_ONLY);
    for (int i = 0; i < 50; i++) {
        calls(1, FAILURE);
        assert_false(change.would_open);
    }
    assert_window(60, 60, 0);
    assert_true(snapshot().failure_rate == 1.0);
    assert_int_equal(snapshot().opened, 0);
    int64_t permit = acquire();
    record(permit, FAILURE);
    assert_window(61, 61, 0);
}

static void metrics_only_tells_again_after_it_was_left(void **state)
{
    (void)state;
    policy.consecutive_failures = 1;
    begin();
    for (int i = 0; i < 3; i++) {
        force(NEAP_BREAKER_METRICS_ONLY);
        calls(1, FAILURE);
        assert_true(change.would_open);
        force(NEAP_BREAKER_CLOSED);
    }
}

static void the_same_state_by_hand_changes_nothing(void **state)
{
    (void)state;
    begin();
    force(NEAP_BREAKER_METRICS_ONLY);
    int64_t permit = acquire();
    calls(3, FAILURE);
    force(NEAP_BREAKER_METRICS_ONLY);
    assert_false(change.changed);
    assert_window(3, 3, 0);
    record(permit, FAILURE);
    assert_window(4, 4, 0);
}

static void open_and_half_open_cannot_be_had_by_hand(void **state)
{
    (void)state;
    begin();
    force(NEAP_BREAKER_OPEN);
    assert_false(change.changed);
    force(NEAP_BREAKER_HALF_OPEN);
    assert_false(change.changed);
    force(NEAP_BREAKER_STATE_COUNT);
    assert_false(change.changed);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void reset_empties_window_openings_and_counters(void **state)
{
    (void)state;
    policy.open_factor = 2;
    begin();
    trip();
    pass(30);
    fail_probes();
    assert_refused();
    force(NEAP_BREAKER_CLOSED);
    assert_changed(NEAP_BREAKER_OPEN, NEAP_BREAKER_CLOSED);
    assert_int_equal(snapshot().opened, 0);
    assert_int_equal(snapshot().not_permitted, 0);
    trip();
    assert_int_equal(snapshot().retry_after_ns, 30 * NEAP_SECOND);
}

static void reset_of_a_closed_breaker_empties_it_too(void **state)
{
    (void)state;
    begin();
    int64_t early = acquire();
    calls(9, FAILURE);
    force(NEAP_BREAKER_CLOSED);
    assert_false(change.changed);
    assert_window(0, 0, 0);
    record(early, FAILURE);
    assert_window(0, 0, 0);
}

static void every_change_of_state_raises_the_generation(void **state)
{
    const enum neap_breaker_state forced[] = {NEAP_BREAKER_METRICS_ONLY, NEAP_BREAKER_DISABLED,
                                              NEAP_BREAKER_CLOSED};
    (void)state;
    begin();
    int64_t last = acquire();
    for (int i = 0; i < 300; i++) {
        force(forced[i % 3]);
        int64_t permit = acquire();
        assert_true(permit > last);
        record(last, FAILURE);
        assert_window(0, 0, 0);
        last = permit;
    }
}

/* The window's tags must not take what is left in memory from long ago for new. */
static void stale_words_never_come_back(void **state)
{
    (void)state;
    policy.window_count = 40;
    policy.permits = 3;
    policy.min_calls = 2;
    policy.slow_call_ns = 0;
    policy.slow_call_rate = 1;
    begin();
    force(NEAP_BREAKER_METRICS_ONLY);
    slow_calls(40, FAILURE, 1);
    force(NEAP_BREAKER_CLOSED);
    for (int i = 0; i < 100000; i++) {
        calls(2, FAILURE);
        assert_state(NEAP_BREAKER_OPEN);
        pass(30);
        record(acquire(), SUCCESS);
        assert_window(1, 0, 0);
        calls(1, SUCCESS);
        assert_window(0, 0, 0);
    }
    calls(39, SUCCESS);
    assert_window(39, 0, 0);
}

int main(void)
{
    const struct CMUnitTest object[] = {
        TEST(takes_152_bytes_by_default),
        TEST(names_its_states),
        TEST(uses_random_only_for_jitter_and_ramp),
        TEST(begins_closed_and_empty),
    };
    const struct CMUnitTest closed[] = {
        TEST(opens_at_min_calls_and_not_before),
        TEST(one_more_success_among_successes_writes_nothing),
        TEST(opens_at_exactly_the_failure_rate),
        TEST(stays_closed_just_below_the_failure_rate),
        TEST(opens_at_a_success_that_completes_min_calls),
        TEST(a_rate_of_one_opens_when_all_fail),
        TEST(rates_do_not_suffer_from_rounding),
        TEST(min_calls_above_the_window_count_as_the_window),
        TEST(reading_never_evaluates),
        TEST(ignore_enters_nothing),
        TEST(a_slow_call_lasts_strictly_longer),
        TEST(opens_at_the_slow_call_rate),
        TEST(no_call_is_slow_where_that_is_off),
        TEST(opens_at_the_mth_failure_in_a_row),
        TEST(a_row_may_be_longer_than_the_window),
        TEST(forgets_the_oldest_result_one_by_one),
        TEST(holds_the_last_n_results_for_every_n),
        TEST(the_largest_count_window_opens_when_it_should),
        TEST(a_result_leaves_the_time_window_at_s_plus_n),
        TEST(a_time_window_takes_min_calls_as_they_are),
        TEST(a_time_window_counts_failures_in_a_row),
        TEST(a_clock_that_stands_still_or_steps_back_is_borne),
        TEST(a_permit_that_was_never_given_changes_nothing),
    };
    const struct CMUnitTest open[] = {
        TEST(refuses_until_the_wait_is_over),
        TEST(moves_on_only_when_somebody_asks),
        TEST(late_results_change_nothing),
        TEST(what_made_it_open_is_seen_while_open),
        TEST(the_wait_grows_with_each_opening_in_a_row),
        TEST(a_close_brings_the_wait_back_to_base),
        TEST(the_wait_stays_a_number_however_often_it_opens),
        TEST(a_base_of_zero_stays_zero),
        TEST(jitter_spreads_the_wait_by_its_share),
        TEST(jitter_never_makes_a_wait_negative),
        TEST(a_wait_beyond_the_clock_saturates),
        TEST(is_not_shortened_by_a_clock_that_steps_back),
        TEST(asks_again_whether_a_waiting_call_may_go),
    };
    const struct CMUnitTest half_open[] = {
        TEST(admits_permits_probes_in_all),
        TEST(closes_with_an_empty_window_once_enough_probes_are_well),
        TEST(decides_by_the_same_failure_rate),
        TEST(decides_by_the_same_slow_call_rate),
        TEST(the_first_evaluation_decides_after_min_calls_of_fewer_than_permits),
        TEST(failures_in_a_row_open_it_before_there_is_a_rate),
        TEST(the_row_begins_afresh_with_each_state),
        TEST(an_ignored_probe_gives_its_permit_back),
        TEST(ignored_probes_never_use_the_permits_up),
        TEST(a_probe_counts_once),
        TEST(a_probe_that_was_never_given_changes_nothing),
        TEST(a_probe_answers_in_time_until_just_before_its_lease_ends),
        TEST(a_probe_fails_when_its_lease_ends),
        TEST(a_lease_is_rounded_up_to_milliseconds),
        TEST(reading_ends_no_lease),
        TEST(silent_probes_open_it_as_of_their_leases_end),
        TEST(the_lease_that_decides_gives_the_time_not_the_last_one),
        TEST(leases_end_in_the_order_of_their_ends),
        TEST(silent_probes_leave_room_for_a_new_one_when_that_wait_is_over_too),
        TEST(a_silent_probe_and_well_ones_close_it),
        TEST(a_result_opens_it_when_it_finds_ended_leases),
        TEST(is_never_stuck_though_no_probe_ever_answers),
        TEST(bears_a_clock_that_steps_back),
        TEST(leases_work_before_the_clocks_zero_and_at_its_end),
        TEST(the_most_permits_work),
        TEST(leases_work_on_a_clock_that_counts_from_1970),
    };
    const struct CMUnitTest holders[] = {
        TEST(reclaim_frees_that_holders_probes_and_no_more),
        TEST(the_late_result_of_a_reclaimed_probe_changes_nothing),
        TEST(after_a_reclaim_exactly_the_permits_decide),
        TEST(results_of_a_dead_holder_stay),
        TEST(there_is_nothing_to_reclaim_in_another_state),
        TEST(who_dies_while_laying_out_cells_leaves_an_open_breaker),
        TEST(who_dies_before_its_first_probe_leaves_all_of_them),
        TEST(who_dies_with_the_first_probe_is_known_by_it),
        TEST(who_dies_before_it_decides_leaves_that_to_the_next),
        TEST(who_dies_before_the_change_has_changed_nothing),
        TEST(who_dies_while_reclaiming_leaves_the_rest_to_the_next),
        TEST(a_word_that_a_stranger_wrote_over_is_put_right),
    };
    const struct CMUnitTest ramp[] = {
        TEST(the_ramp_admits_a_growing_share_after_a_close),
        TEST(there_is_no_ramp_at_first_nor_after_a_close_by_hand),
        TEST(there_is_no_ramp_where_it_is_off),
        TEST(the_ramp_opens_again_as_a_closed_state_does),
        TEST(a_clock_that_steps_back_begins_the_ramp_again),
    };
    const struct CMUnitTest by_hand[] = {
        TEST(forced_open_refuses_all_until_changed_by_hand),
        TEST(disabled_admits_all_and_records_nothing),
        TEST(metrics_only_admits_all_and_tells_once),
        TEST(metrics_only_tells_again_after_it_was_left),
        TEST(the_same_state_by_hand_changes_nothing),
        TEST(open_and_half_open_cannot_be_had_by_hand),
        TEST(reset_empties_window_openings_and_counters),
        TEST(reset_of_a_closed_breaker_empties_it_too),
        TEST(every_change_of_state_raises_the_generation),
        TEST(stale_words_never_come_back),
    };
    return cmocka_run_group_tests_name("breaker", object, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, closed", closed, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, open", open, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, half open", half_open, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, holders", holders, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, ramp", ramp, NULL, NULL) +
           cmocka_run_group_tests_name("breaker, by hand", by_hand, NULL, NULL);
}
