#include "metrics/alerts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/threads.h"

#define THREADS 8
#define ROUNDS 4000
#define WINDOW NEAP_SECOND

static const struct neap_alert_policy policy = {
    .window_ns = WINDOW,
    .p99_s = 0.5,
    .p99_factor = 2,
    .error_rate = 0.05,
    .retry_surge = 3,
    .timeout_surge = 3,
    .min_calls = 1,
    .has = {true, true, true, true, true},
};
static struct neap_alerts *alerts;
static struct neap_counters counters;
static _Atomic int64_t now_ns;
static _Atomic uint32_t begun[NEAP_ALERT_COUNT], ended[NEAP_ALERT_COUNT];

static void tell(const struct neap_alert_change *change)
{
    atomic_fetch_add(change->firing ? &begun[change->alert] : &ended[change->alert], 1);
}

static void look(void)
{
    const struct neap_alert_reading reading = {.counters = &counters, .in_flight = 0};
    struct neap_alert_change change[NEAP_ALERT_CHANGES_MAX];
    int64_t now = atomic_load(&now_ns);
    if (!neap_alerts_is_due(alerts, now))
        return;
    uint32_t count = neap_alerts_look(alerts, &policy, &reading, now, change);
    for (uint32_t i = 0; i < count; i++)
        tell(&change[i]);
}

static void fail_one(void)
{
    neap_count(&counters.calls);
    neap_count(&counters.failures);
    neap_histogram_record(&counters.latency, 10 * NEAP_SECOND);
}

static void *look_once(void *unused)
{
    (void)unused;
    look();
    return NULL;
}

/* All come to the same judgement at once. */
static void of_many_who_look_one_is_told(void **state)
{
    (void)state;
    look();
    for (uint32_t round = 1; round <= 200; round++) {
        fail_one();
        atomic_store(&now_ns, (int64_t)(2 * round - 1) * WINDOW);
        threads_run(THREADS, look_once);
        assert_int_equal(begun[NEAP_ALERT_ERROR_RATE], round);
        assert_int_equal(begun[NEAP_ALERT_P99], round);
        atomic_store(&now_ns, (int64_t)(2 * round) * WINDOW);
        threads_run(THREADS, look_once);
        assert_int_equal(ended[NEAP_ALERT_ERROR_RATE], round);
        assert_int_equal(ended[NEAP_ALERT_P99], round);
    }
}

/* The first one moves the clock, all count and look; whatever is judged in between, begun and ended
 * take turns. */
static void *count_and_look(void *number)
{
    bool keeps_time = *(const int *)number == 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (keeps_time && i % 10 == 0)
            atomic_fetch_add(&now_ns, WINDOW / 2);
        look();
        if (i / 100 % 2 == 0)
            fail_one();
        neap_count(&counters.retries[NEAP_RETRY_503]);
        neap_count(&counters.timeouts[NEAP_PHASE_READ]);
    }
    return NULL;
}

static void what_begins_ends_before_it_begins_again(void **state)
{
    (void)state;
    look();
    threads_run(THREADS, count_and_look);
    atomic_fetch_add(&now_ns, 20 * WINDOW);
    look();
    assert_int_equal(neap_alerts_firing(alerts), 0);
    for (int i = 0; i < NEAP_ALERT_COUNT; i++)
        assert_int_equal(begun[i], ended[i]);
    assert_true(begun[NEAP_ALERT_ERROR_RATE] > 0);
}

static void *open_and_close(void *number)
{
    struct neap_alert_change change;
    uint64_t hash = (uint64_t)(*(const int *)number + 1) << 32;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t now = atomic_load(&now_ns);
        uint32_t open = neap_alerts_note_key(alerts, &policy, hash, i % 2 == 0, now);
        if (neap_alerts_note_breakers(alerts, &policy, open, now, &change))
            tell(&change);
        if (i % 100 == 0)
            atomic_fetch_add(&now_ns, WINDOW);
    }
    return NULL;
}

static void keys_of_many_threads_are_all_closed_in_the_end(void **state)
{
    (void)state;
    struct neap_alert_change change;
    threads_run(THREADS, open_and_close);
    assert_int_equal(neap_alerts_open_keys(alerts, &policy, now_ns), 0);
    if (neap_alerts_note_breakers(alerts, &policy, 0, now_ns, &change))
        tell(&change);
    assert_int_equal(begun[NEAP_ALERT_BREAKER_OPEN], ended[NEAP_ALERT_BREAKER_OPEN]);
    assert_true(begun[NEAP_ALERT_BREAKER_OPEN] > 0);
}

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < NEAP_ALERT_COUNT; i++)
        begun[i] = ended[i] = 0;
    now_ns = 0;
    neap_counters_init(&counters);
    alerts = malloc(neap_alerts_bytes(&policy));
    if (!alerts)
        return -1;
    neap_alerts_init(alerts, &policy);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(alerts);
    return 0;
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(of_many_who_look_one_is_told),
        SPEC(what_begins_ends_before_it_begins_again),
        SPEC(keys_of_many_threads_are_all_closed_in_the_end),
    };
    return cmocka_run_group_tests_name("alerts_threads", tests, NULL, NULL);
}
