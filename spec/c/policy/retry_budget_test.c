#include "policy/retry_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/duration.h"

#define S NEAP_SECOND

static struct neap_retry_budget_policy policy;
static struct neap_retry_budget *budget;

static void make(double ratio, double min_per_second, uint32_t ttl_seconds)
{
    policy = (struct neap_retry_budget_policy){
        .ratio = ratio, .min_per_second = min_per_second, .ttl_seconds = ttl_seconds};
    free(budget);
    budget = aligned_alloc(8, neap_retry_budget_bytes(&policy));
    assert_non_null(budget);
    neap_retry_budget_init(budget, &policy);
}

static int tear_down(void **state)
{
    (void)state;
    free(budget);
    budget = NULL;
    return 0;
}

static void deposit(int times, int64_t now_ns)
{
    while (times-- > 0)
        neap_retry_budget_deposit(budget, &policy, now_ns);
}

static int withdraw(int times, int64_t now_ns)
{
    int paid = 0;
    while (times-- > 0)
        paid += neap_retry_budget_withdraw(budget, &policy, now_ns);
    return paid;
}

static int64_t balance(int64_t now_ns)
{
    return neap_retry_budget_balance(budget, &policy, now_ns);
}

static void without_reserve_and_deposits_there_is_nothing(void **state)
{
    (void)state;
    make(0.2, 0, 10);
    assert_int_equal(balance(0), 0);
    assert_int_equal(withdraw(1, 0), 0);
    assert_int_equal(balance(0), 0);
}

static void a_deposit_is_worth_the_ratio(void **state)
{
    (void)state;
    make(0.2, 0, 10);
    deposit(4, 0);
    assert_int_equal(balance(0), 0);
    assert_int_equal(withdraw(1, 0), 0);
    deposit(1, 0);
    assert_int_equal(balance(0), 1);
    assert_int_equal(withdraw(2, 0), 1);
    assert_int_equal(balance(0), 0);
}

static void rounding_does_not_eat_a_retry(void **state)
{
    (void)state;
    make(0.1, 0, 10);
    deposit(30, 0);
    assert_int_equal(balance(0), 3);
    make(0.07, 0, 10);
    deposit(100, 0);
    assert_int_equal(withdraw(100, 0), 7);
    make(1.0 / 3, 0, 10);
    deposit(3, 0);
    assert_int_equal(withdraw(100, 0), 1);
}

static void the_reserve_is_there_from_the_start(void **state)
{
    (void)state;
    make(0.2, 10, 10);
    assert_int_equal(balance(5 * S), 100);
    assert_int_equal(withdraw(200, 5 * S), 100);
    assert_int_equal(balance(5 * S), 0);
}

static void a_broken_reserve_counts_in_whole_retries(void **state)
{
    (void)state;
    make(0.2, 0.25, 10);
    assert_int_equal(balance(0), 2);
    deposit(2, 0);
    assert_int_equal(balance(0), 2);
    deposit(1, 0);
    assert_int_equal(balance(0), 3);
}

static void deposits_live_for_ttl_seconds(void **state)
{
    (void)state;
    make(0.5, 0, 10);
    deposit(4, 3 * S + S / 2);
    assert_int_equal(balance(13 * S - 1), 2);
    assert_int_equal(balance(13 * S), 0);
}

static void withdrawals_are_forgotten_after_ttl_seconds(void **state)
{
    (void)state;
    make(0, 1, 10);
    assert_int_equal(withdraw(20, 3 * S), 10);
    assert_int_equal(withdraw(1, 13 * S - 1), 0);
    assert_int_equal(balance(13 * S), 10);
    assert_int_equal(withdraw(20, 13 * S), 10);
}

static void a_withdrawal_outlives_the_deposits_that_paid_for_it(void **state)
{
    (void)state;
    make(1, 0, 10);
    deposit(3, 0);
    assert_int_equal(withdraw(3, 5 * S), 3);
    deposit(4, 10 * S);
    assert_int_equal(balance(10 * S), 1);
    assert_int_equal(balance(15 * S), 4);
}

static void the_balance_is_never_below_0(void **state)
{
    (void)state;
    make(1, 0, 10);
    deposit(3, 0);
    assert_int_equal(withdraw(3, 5 * S), 3);
    assert_int_equal(balance(10 * S), 0);
    assert_int_equal(withdraw(1, 10 * S), 0);
}

static void a_refused_withdrawal_changes_nothing(void **state)
{
    (void)state;
    make(0.5, 0, 10);
    deposit(1, 0);
    assert_int_equal(withdraw(1000, 0), 0);
    deposit(1, 0);
    assert_int_equal(withdraw(1, 0), 1);
}

static void a_clock_that_steps_back_gives_nothing_away(void **state)
{
    (void)state;
    make(0, 1, 10);
    assert_int_equal(withdraw(10, 100 * S), 10);
    assert_int_equal(withdraw(10, 99 * S), 0);
    assert_int_equal(withdraw(10, 100 * S), 0);
    assert_int_equal(withdraw(20, 110 * S), 10);
}

static void long_idleness_leaves_the_reserve_only(void **state)
{
    (void)state;
    make(1, 1, 10);
    deposit(50, 0);
    assert_int_equal(balance(INT64_C(1000000) * S), 10);
}

static void a_reserve_beyond_measure_saturates(void **state)
{
    (void)state;
    make(0.2, 1e300, 10);
    assert_int_equal(balance(0), INT64_C(1) << 53);
    assert_int_equal(withdraw(100, 0), 100);
}

static void it_takes_one_slice_a_second_and_a_hint(void **state)
{
    (void)state;
    make(0.2, 10, 10);
    assert_int_equal(neap_retry_budget_bytes(&policy), 192);
}

/* The one has its state alone, the other one as if others had it too. The clock steps back at
 * times, and a second holds more than a slice does. */
static void one_thread_alone_comes_to_the_same(void **state)
{
    (void)state;
    static const int64_t steps_s[] = {0, 0, 1, 0, 2, -1, 0, 7, -3, 0, 12, -9, 1};
    struct neap_retry_budget_policy alone;
    int64_t now_ns = 50 * S;
    make(0.3, 0.5, 5);
    alone = policy;
    alone.is_private = true;
    struct neap_retry_budget *own = aligned_alloc(8, neap_retry_budget_bytes(&alone));
    neap_retry_budget_init(own, &alone);
    for (int i = 0; i < 20000; i++) {
        now_ns += i % 7 == 0 ? steps_s[i / 7 % 13] * S : 1000;
        for (int times = i == 9000 ? 300000 : i % 3; times > 0; times--) {
            neap_retry_budget_deposit(own, &alone, now_ns);
            deposit(1, now_ns);
        }
        assert_int_equal(neap_retry_budget_withdraw(own, &alone, now_ns), withdraw(1, now_ns));
        assert_int_equal(neap_retry_budget_balance(own, &alone, now_ns), balance(now_ns));
    }
    free(own);
}

#define SPEC(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(without_reserve_and_deposits_there_is_nothing),
        SPEC(a_deposit_is_worth_the_ratio),
        SPEC(rounding_does_not_eat_a_retry),
        SPEC(the_reserve_is_there_from_the_start),
        SPEC(a_broken_reserve_counts_in_whole_retries),
        SPEC(deposits_live_for_ttl_seconds),
        SPEC(withdrawals_are_forgotten_after_ttl_seconds),
        SPEC(a_withdrawal_outlives_the_deposits_that_paid_for_it),
        SPEC(the_balance_is_never_below_0),
        SPEC(a_refused_withdrawal_changes_nothing),
        SPEC(a_clock_that_steps_back_gives_nothing_away),
        SPEC(long_idleness_leaves_the_reserve_only),
        SPEC(a_reserve_beyond_measure_saturates),
        SPEC(one_thread_alone_comes_to_the_same),
        SPEC(it_takes_one_slice_a_second_and_a_hint),
    };
    return cmocka_run_group_tests_name("retry_budget", tests, NULL, NULL);
}
