#include <stdatomic.h>

#include "policy/breaker_fixture.h"
#include "support/failing_alloc.h"
#include "support/threads.h"

#define THREADS 8
#define ROUNDS 300

static _Atomic int64_t clock_ns;
static _Atomic int admitted, changed, told, out;
static _Atomic int balance[NEAP_BREAKER_STATE_COUNT], openings;

static int set_up_threads(void **state)
{
    atomic_store(&clock_ns, 1000 * NEAP_SECOND);
    for (int i = 0; i < NEAP_BREAKER_STATE_COUNT; i++)
        atomic_store(&balance[i], 0);
    atomic_store(&openings, 0);
    return set_up(state);
}

#define THREADS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_threads, tear_down)

static void note(struct neap_breaker_change seen)
{
    if (seen.would_open)
        atomic_fetch_add(&told, 1);
    if (!seen.changed)
        return;
    atomic_fetch_add(&changed, 1);
    atomic_fetch_sub(&balance[seen.from], 1);
    atomic_fetch_add(&balance[seen.to], 1);
    if (seen.to == NEAP_BREAKER_OPEN || seen.from == seen.to)
        atomic_fetch_add(&openings, 1);
}

static int64_t try_acquire_as(uint32_t number)
{
    struct neap_breaker_change seen;
    struct neap_admission answer =
        neap_breaker_acquire(breaker, &policy, number, atomic_load(&clock_ns), 0.5, &seen);
    note(seen);
    return answer.decision == NEAP_ADMIT ? answer.permit : 0;
}

static int64_t try_acquire(void)
{
    return try_acquire_as(0);
}

static void give(int64_t permit, enum neap_verdict verdict, int64_t elapsed_ns)
{
    note(neap_breaker_record(breaker, &policy, permit, verdict, elapsed_ns, atomic_load(&clock_ns),
                             0.5));
}

/* ---- counting ---- */

static void *count_a_mixture(void *number)
{
    int which = *(int *)number;
    threads_meet();
    for (int i = 0; i < 2000; i++) {
        give(try_acquire(), (i + which) % 4 ? SUCCESS : FAILURE, i % 5 == 0);
        if (i % 100 == 0)
            atomic_fetch_add(&clock_ns, NEAP_SECOND / 10);
    }
    return NULL;
}

static void never_trip(void)
{
    policy.failure_rate = policy.slow_call_rate = 2;
    policy.slow_call_ns = 0;
}

static void a_count_window_loses_no_result(void **state)
{
    (void)state;
    never_trip();
    policy.window_count = NEAP_BREAKER_WINDOW_MAX;
    begin();
    threads_run(THREADS, count_a_mixture);
    assert_window(THREADS * 2000, THREADS * 500, THREADS * 400);
}

static void a_time_window_loses_no_result(void **state)
{
    (void)state;
    never_trip();
    policy.window_count = 0;
    policy.window_seconds = 60;
    begin();
    threads_run(THREADS, count_a_mixture);
    now = atomic_load(&clock_ns);
    assert_window(THREADS * 2000, THREADS * 500, THREADS * 400);
}

static void a_short_time_window_takes_over_seconds_without_a_trace(void **state)
{
    (void)state;
    never_trip();
    policy.window_count = 0;
    policy.window_seconds = 1;
    begin();
    threads_run(THREADS, count_a_mixture);
    now = atomic_load(&clock_ns) + NEAP_SECOND;
    assert_window(0, 0, 0);
}

static void assert_snapshot_agrees_with_the_ring(void)
{
    struct failing_alloc failing;
    uint64_t all = 0;
    uint64_t failures = 0;
    uint64_t slow = 0;
    char *text;
    failing_alloc_init(&failing);
    assert_int_equal(neap_breaker_export(breaker, &policy, now, &failing.alloc, &text), NEAP_OK);
    for (const char *at = strchr(text, ':') + 1; *at; at++, all++) {
        failures += *at == '2' || *at == '4';
        slow += *at == '3' || *at == '4';
    }
    assert_window(all, failures, slow);
    neap_free(&failing.alloc, text);
}

static void laps_of_a_small_ring_leave_the_totals_right(void **state)
{
    (void)state;
    never_trip();
    for (uint32_t window = 1; window < 6; window++) {
        policy.window_count = window;
        begin();
        threads_run(THREADS, count_a_mixture);
        assert_int_equal(snapshot().calls, window);
        assert_snapshot_agrees_with_the_ring();
    }
}

/* Mostly the window is full of successes, so that one more changes neither ring nor totals. */
static void *count_rare_failures(void *number)
{
    int which = *(int *)number;
    threads_meet();
    for (int i = 0; i < 4000; i++)
        give(try_acquire(), (i + which * 10) % 200 ? SUCCESS : FAILURE, i % 300 == which);
    return NULL;
}

static void rare_failures_leave_the_totals_right(void **state)
{
    (void)state;
    never_trip();
    for (uint32_t window = 3; window < 40; window += 12) {
        policy.window_count = window;
        begin();
        threads_run(THREADS, count_rare_failures);
        assert_int_equal(snapshot().calls, window);
        assert_snapshot_agrees_with_the_ring();
    }
}

static void *count_or_read(void *number)
{
    if (*(int *)number > 0)
        return count_a_mixture(number);
    threads_meet();
    for (int i = 0; i < 4000; i++) {
        struct neap_breaker_snapshot seen;
        neap_breaker_read(breaker, &policy, atomic_load(&clock_ns), &seen);
        threads_expect(seen.failures <= seen.calls && seen.slow <= seen.calls && seen.calls <= 10);
    }
    return NULL;
}

static void a_reader_sees_possible_numbers(void **state)
{
    (void)state;
    never_trip();
    policy.window_count = 10;
    begin();
    threads_run(THREADS, count_or_read);
}

static void *fail_together(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        if (threads_meet()) {
            atomic_store(&changed, 0);
            (void)neap_breaker_force(breaker, &policy, NEAP_BREAKER_CLOSED);
        }
        threads_meet();
        int64_t permit = try_acquire();
        if (permit > 0)
            give(permit, FAILURE, 0);
        threads_meet();
        threads_expect(atomic_load(&changed) == 1);
        threads_expect(neap_breaker_state(breaker) == NEAP_BREAKER_OPEN);
    }
    return NULL;
}

static void one_of_those_who_fail_together_opens_it(void **state)
{
    (void)state;
    policy.min_calls = THREADS - 1;
    begin();
    threads_run(THREADS, fail_together);
}

static void *fail_under_watch(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        if (threads_meet()) {
            atomic_store(&told, 0);
            (void)neap_breaker_force(breaker, &policy, NEAP_BREAKER_CLOSED);
            (void)neap_breaker_force(breaker, &policy, NEAP_BREAKER_METRICS_ONLY);
        }
        threads_meet();
        for (int call = 0; call < 3; call++)
            give(try_acquire(), FAILURE, 0);
        threads_meet();
        threads_expect(atomic_load(&told) == 1);
    }
    return NULL;
}

static void metrics_only_tells_one_of_them(void **state)
{
    (void)state;
    policy.min_calls = 5;
    begin();
    threads_run(THREADS, fail_under_watch);
}

/* ---- probes ---- */

static void open_by_failures(void)
{
    (void)neap_breaker_force(breaker, &policy, NEAP_BREAKER_CLOSED);
    for (uint32_t i = 0; i < policy.min_calls; i++)
        give(try_acquire(), FAILURE, 0);
    atomic_fetch_add(&clock_ns, 30 * NEAP_SECOND);
    atomic_store(&admitted, 0);
    atomic_store(&changed, 0);
}

static void *probe_together(void *number)
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t permit[3];
        enum neap_verdict verdict = i % 2 ? SUCCESS : FAILURE;
        if (threads_meet())
            open_by_failures();
        threads_meet();
        for (int k = 0; k < 3; k++) {
            permit[k] = try_acquire();
            if (permit[k] > 0)
                atomic_fetch_add(&admitted, 1);
        }
        threads_meet();
        threads_expect(atomic_load(&admitted) == 5);
        threads_expect(atomic_load(&changed) == 1);
        threads_meet();
        if (*(int *)number == 0 && i % 3 == 0)
            atomic_fetch_add(&clock_ns, policy.lease_ns);
        for (int k = 0; k < 3; k++)
            give(permit[k], verdict, 0);
        threads_meet();
        threads_expect(atomic_load(&changed) == 2);
        if (i % 3 != 0)
            threads_expect(neap_breaker_state(breaker) ==
                           (i % 2 ? NEAP_BREAKER_CLOSED : NEAP_BREAKER_OPEN));
    }
    return NULL;
}

static void exactly_the_permits_go_and_one_result_decides(void **state)
{
    (void)state;
    begin();
    threads_run(THREADS, probe_together);
}

static void *probe_and_ignore(void *unused)
{
    (void)unused;
    threads_meet();
    for (int i = 0; i < 5000; i++) {
        int64_t permit = try_acquire();
        if (permit == 0)
            continue;
        threads_expect(atomic_fetch_add(&out, 1) < (int)policy.permits);
        atomic_fetch_sub(&out, 1);
        give(permit, IGNORE, 0);
        give(permit, FAILURE, 0);
        atomic_fetch_add(&clock_ns, NEAP_MS); /* as on the wire: equal times are rare there */
    }
    return NULL;
}

/* A permit given back is worth one probe, and given back again nothing. */
static void ignored_probes_never_make_more_than_the_permits(void **state)
{
    (void)state;
    policy.permits = 3;
    begin();
    open_by_failures();
    threads_run(THREADS, probe_and_ignore);
    now = atomic_load(&clock_ns);
    assert_window(0, 0, 0);
    calls(3, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

/* Every second thread is a process that is killed with its probe, and found dead; what it sends
 * from beyond counts for nothing. */
static void *probe_and_die(void *number)
{
    uint32_t own = 1 + (uint32_t) * (int *)number;
    threads_meet();
    for (int i = 0; i < 3000; i++) {
        int64_t permit = try_acquire_as(own);
        if (permit > 0) {
            threads_expect(atomic_fetch_add(&out, 1) < (int)policy.permits);
            atomic_fetch_sub(&out, 1);
        }
        if (own % 2)
            threads_expect(neap_breaker_reclaim(breaker, &policy, own) == (permit > 0));
        else if (permit > 0)
            give(permit, IGNORE, 0);
        if (permit > 0)
            give(permit, FAILURE, 0);
        atomic_fetch_add(&clock_ns, NEAP_MS);
    }
    return NULL;
}

static void reclaimed_probes_never_make_more_than_the_permits(void **state)
{
    (void)state;
    policy.permits = 3;
    begin();
    open_by_failures();
    threads_run(THREADS, probe_and_die);
    now = atomic_load(&clock_ns);
    assert_window(0, 0, 0);
    calls(2, SUCCESS);
    assert_state(NEAP_BREAKER_HALF_OPEN);
    calls(1, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

/* ---- everything at once ---- */

static void live_one_step(unsigned dice)
{
    int64_t permit = try_acquire();
    if (permit > 0 && dice % 16 > 0)
        give(permit, dice % 3 ? FAILURE : dice % 5 ? SUCCESS : IGNORE, 0);
    if (dice % 8 == 0)
        atomic_fetch_add(&clock_ns, NEAP_SECOND);
    if (dice % 32 == 5)
        (void)neap_breaker_reclaim(breaker, &policy, 0);
}

static unsigned throw_dice(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 1023;
}

static void *live(void *number)
{
    unsigned seed = 1 + (unsigned)*(int *)number;
    threads_meet();
    for (int i = 0; i < 20000; i++)
        live_one_step(throw_dice(&seed));
    return NULL;
}

static void *live_with_changes_by_hand(void *number)
{
    unsigned seed = 1 + (unsigned)*(int *)number;
    threads_meet();
    for (int i = 0; i < 20000; i++) {
        unsigned dice = throw_dice(&seed);
        live_one_step(dice);
        if (dice == 1000)
            note(neap_breaker_force(breaker, &policy,
                                    i % 3 ? i % 2 ? NEAP_BREAKER_FORCED_OPEN : NEAP_BREAKER_DISABLED
                                          : NEAP_BREAKER_METRICS_ONLY));
        if (dice % 256 == 77)
            note(neap_breaker_force(breaker, &policy, NEAP_BREAKER_CLOSED));
    }
    return NULL;
}

static void short_cycles(void)
{
    policy.window_count = 7;
    policy.min_calls = 3;
    policy.permits = 2;
    policy.open_base_s = 2;
    policy.lease_ns = 3 * NEAP_SECOND;
}

static void assert_changes_add_up(void)
{
    enum neap_breaker_state last = neap_breaker_state(breaker);
    atomic_fetch_add(&balance[NEAP_BREAKER_CLOSED], 1);
    for (int i = 0; i < NEAP_BREAKER_STATE_COUNT; i++)
        assert_int_equal(atomic_load(&balance[i]), i == (int)last);
}

static void assert_works_as_ever(void)
{
    now = atomic_load(&clock_ns);
    force(NEAP_BREAKER_FORCED_OPEN);
    force(NEAP_BREAKER_CLOSED);
    calls(2, FAILURE);
    assert_window(2, 2, 0);
    calls(1, FAILURE);
    pass(2);
    calls(2, SUCCESS);
    assert_state(NEAP_BREAKER_CLOSED);
}

static void every_change_is_told_to_exactly_one(void **state)
{
    (void)state;
    short_cycles();
    begin();
    threads_run(THREADS, live);
    assert_changes_add_up();
    assert_int_equal(snapshot().opened, atomic_load(&openings));
    assert_works_as_ever();
}

static void changes_by_hand_disturb_nothing(void **state)
{
    (void)state;
    short_cycles();
    begin();
    threads_run(THREADS, live_with_changes_by_hand);
    assert_changes_add_up();
    assert_works_as_ever();
}

static void a_time_window_bears_it_too(void **state)
{
    (void)state;
    short_cycles();
    policy.window_count = 0;
    policy.window_seconds = 3;
    begin();
    threads_run(THREADS, live_with_changes_by_hand);
    assert_changes_add_up();
    assert_works_as_ever();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREADS_TEST(a_count_window_loses_no_result),
        THREADS_TEST(a_time_window_loses_no_result),
        THREADS_TEST(a_short_time_window_takes_over_seconds_without_a_trace),
        THREADS_TEST(laps_of_a_small_ring_leave_the_totals_right),
        THREADS_TEST(rare_failures_leave_the_totals_right),
        THREADS_TEST(a_reader_sees_possible_numbers),
        THREADS_TEST(one_of_those_who_fail_together_opens_it),
        THREADS_TEST(metrics_only_tells_one_of_them),
        THREADS_TEST(exactly_the_permits_go_and_one_result_decides),
        THREADS_TEST(ignored_probes_never_make_more_than_the_permits),
        THREADS_TEST(reclaimed_probes_never_make_more_than_the_permits),
        THREADS_TEST(every_change_is_told_to_exactly_one),
        THREADS_TEST(changes_by_hand_disturb_nothing),
        THREADS_TEST(a_time_window_bears_it_too),
    };
    return cmocka_run_group_tests_name("breaker, many threads", tests, NULL, NULL);
}
