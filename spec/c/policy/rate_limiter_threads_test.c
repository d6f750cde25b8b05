#include "policy/rate_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "support/threads.h"

#define THREADS 8
#define ROUNDS 20000
#define BURST 1000

static const struct neap_rate_limiter_policy policy = {.interval_s = 0.001, .burst = BURST};
static struct neap_rate_limiter limiter;
static _Atomic int64_t clock_ns;
static _Atomic uint32_t admitted, times_reserved[THREADS * ROUNDS];

static int set_up(void **state)
{
    (void)state;
    neap_rate_limiter_init(&limiter);
    atomic_store(&clock_ns, 0);
    atomic_store(&admitted, 0);
    return 0;
}

static void *take_without_waiting(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        struct neap_admission answer =
            neap_rate_limiter_acquire(&limiter, &policy, 1, 0, atomic_load(&clock_ns));
        if (answer.decision == NEAP_ADMIT)
            atomic_fetch_add(&admitted, 1);
        if (i % 100 == 0)
            atomic_fetch_add(&clock_ns, NEAP_MS);
    }
    return NULL;
}

static void never_more_go_than_burst_and_rate_allow(void **state)
{
    (void)state;
    threads_run(THREADS, take_without_waiting);
    int64_t allowed = BURST + atomic_load(&clock_ns) / NEAP_MS;
    assert_true(admitted >= BURST);
    assert_true(admitted <= allowed);
}

static void *reserve(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        struct neap_admission answer =
            neap_rate_limiter_acquire(&limiter, &policy, 1, NEAP_NEVER, 0);
        if (answer.decision == NEAP_ADMIT)
            atomic_fetch_add(&admitted, 1);
        else
            atomic_fetch_add(&times_reserved[answer.until_ns / NEAP_MS], 1);
    }
    return NULL;
}

static void each_moment_is_reserved_once_and_none_is_lost(void **state)
{
    (void)state;
    threads_run(THREADS, reserve);
    assert_int_equal(admitted, BURST);
    for (int i = 1; i <= THREADS * ROUNDS - BURST; i++)
        assert_int_equal(times_reserved[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(never_more_go_than_burst_and_rate_allow, set_up),
        cmocka_unit_test_setup(each_moment_is_reserved_once_and_none_is_lost, set_up),
    };
    return cmocka_run_group_tests_name("rate_limiter_threads", tests, NULL, NULL);
}
