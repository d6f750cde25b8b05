#include "platform/ticker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"

/* What it may differ by, and as much again for what this test's own readings take. */
#define TOLERANCE_NS (INT64_C(4) * 1000)

static struct neap_ticker ticker;

static int set_up(void **state)
{
    (void)state;
    ticker = (struct neap_ticker){.is_steady = true};
    return 0;
}

/* A counter of three ticks a nanosecond; a reading takes 30. */
static void read_at(int64_t now_ns)
{
    neap_ticker_learn(&ticker, (uint64_t)now_ns * 3, now_ns, (uint64_t)now_ns * 3 + 30);
}

static int64_t told_at(int64_t now_ns)
{
    uint64_t passed = (uint64_t)now_ns * 3 + 30 - ticker.base_ticks;
    if (passed >= ticker.span_ticks)
        return -1;
    return ticker.base_ns + (int64_t)(passed * ticker.scale >> 32);
}

static void learn_the_rate(void)
{
    read_at(NEAP_SECOND);
    read_at(NEAP_SECOND + NEAP_MS);
}

static void it_agrees_with_the_clock(void **state)
{
    (void)state;
    struct neap_ticker own;
    neap_ticker_init(&own);
    int64_t end_ns = neap_clock_monotonic_ns() + 50 * NEAP_MS;
    for (int64_t before_ns = 0; before_ns < end_ns;) {
        before_ns = neap_clock_monotonic_ns();
        int64_t told_ns = neap_ticker_now(&own);
        int64_t after_ns = neap_clock_monotonic_ns();
        assert_true(told_ns >= before_ns - TOLERANCE_NS);
        assert_true(told_ns <= after_ns + TOLERANCE_NS);
    }
}

static void it_asks_the_clock_until_it_knows_the_rate(void **state)
{
    (void)state;
    read_at(NEAP_SECOND);
    assert_int_equal(told_at(NEAP_SECOND), -1);
    read_at(NEAP_SECOND + NEAP_MS / 2);
    assert_int_equal(told_at(NEAP_SECOND + NEAP_MS / 2), -1);
    read_at(NEAP_SECOND + NEAP_MS);
    assert_int_equal(told_at(NEAP_SECOND + NEAP_MS), NEAP_SECOND + NEAP_MS);
}

static void it_goes_on_by_the_counter_for_a_millisecond(void **state)
{
    (void)state;
    learn_the_rate();
    int64_t base_ns = NEAP_SECOND + NEAP_MS;
    for (int64_t passed_ns = 0; passed_ns < NEAP_MS - 100; passed_ns += 1000)
        assert_in_range(told_at(base_ns + passed_ns), base_ns + passed_ns - 20,
                        base_ns + passed_ns + 20);
    assert_int_equal(told_at(base_ns + NEAP_MS + 100), -1);
}

static void a_reading_that_took_long_teaches_nothing(void **state)
{
    (void)state;
    learn_the_rate();
    int64_t now_ns = NEAP_SECOND + 2 * NEAP_MS;
    neap_ticker_learn(&ticker, (uint64_t)now_ns * 3, now_ns, (uint64_t)now_ns * 3 + 30000);
    assert_int_equal(told_at(now_ns), -1);
    read_at(now_ns + 1);
    assert_int_equal(told_at(now_ns + 1), now_ns + 1);
}

static void it_keeps_the_rate_over_a_long_pause(void **state)
{
    (void)state;
    learn_the_rate();
    read_at(100 * NEAP_SECOND);
    assert_int_equal(told_at(100 * NEAP_SECOND), 100 * NEAP_SECOND);
}

/* It goes on as if it had always been so once it has seen that for a millisecond. */
static void a_counter_that_jumped_is_asked_anew_for_its_rate(void **state)
{
    (void)state;
    learn_the_rate();
    const uint64_t jump = 1000000;
    int64_t now_ns = NEAP_SECOND + 2 * NEAP_MS + 1000;
    uint64_t ticks = (uint64_t)now_ns * 3 + jump;
    neap_ticker_learn(&ticker, ticks, now_ns, ticks + 30);
    assert_int_equal(ticker.span_ticks, 0);
    now_ns += NEAP_MS;
    ticks += NEAP_MS * 3;
    neap_ticker_learn(&ticker, ticks, now_ns, ticks + 30);
    assert_int_equal(ticker.base_ns, now_ns);
    assert_in_range(ticker.span_ticks, NEAP_MS * 3 - 1000, NEAP_MS * 3 + 1000);
}

static void a_counter_that_is_not_steady_is_not_read(void **state)
{
    (void)state;
    ticker.is_steady = false;
    for (int i = 0; i < 100; i++) {
        int64_t before_ns = neap_clock_monotonic_ns();
        assert_true(neap_ticker_now(&ticker) >= before_ns);
    }
    assert_int_equal(ticker.span_ticks, 0);
}

static void one_that_is_forbidden_is_not_read(void **state)
{
    (void)state;
    int64_t now_ns;
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
        _exit(neap_ticker_goes_on(&ticker, &now_ns));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_the_clock),
        cmocka_unit_test_setup(it_asks_the_clock_until_it_knows_the_rate, set_up),
        cmocka_unit_test_setup(it_goes_on_by_the_counter_for_a_millisecond, set_up),
        cmocka_unit_test_setup(a_reading_that_took_long_teaches_nothing, set_up),
        cmocka_unit_test_setup(it_keeps_the_rate_over_a_long_pause, set_up),
        cmocka_unit_test_setup(a_counter_that_jumped_is_asked_anew_for_its_rate, set_up),
        cmocka_unit_test_setup(a_counter_that_is_not_steady_is_not_read, set_up),
        cmocka_unit_test_setup(one_that_is_forbidden_is_not_read, set_up),
    };
    return cmocka_run_group_tests_name("ticker", tests, NULL, NULL);
}
