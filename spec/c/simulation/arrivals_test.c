/* When clients call: rates, spreads and the same sequence for the same seed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "simulation/arrivals.h"

static struct neap_random random_numbers;

static int set_up(void **state)
{
    (void)state;
    neap_random_init(&random_numbers, 7);
    return 0;
}

static void an_exponential_number_has_mean_and_variance_of_one(void **state)
{
    const int count = 200000;
    double sum = 0, squares = 0;
    (void)state;
    for (int i = 0; i < count; i++) {
        double x = neap_exponential(&random_numbers);
        assert_true(x >= 0);
        sum += x;
        squares += x * x;
    }
    double mean = sum / count;
    assert_true(fabs(mean - 1) < 0.01);
    assert_true(fabs(squares / count - mean * mean - 1) < 0.03);
}

static void an_exponential_number_is_above_one_as_often_as_e_says(void **state)
{
    int above = 0;
    (void)state;
    for (int i = 0; i < 100000; i++)
        above += neap_exponential(&random_numbers) > 1;
    assert_true(fabs(above / 100000.0 - 0.36788) < 0.005);
}

static int64_t calls_in(const struct neap_arrivals *arrivals, int64_t duration_ns)
{
    int64_t calls = 0;
    for (int64_t now_ns = neap_arrivals_first(arrivals, &random_numbers); now_ns < duration_ns;
         now_ns = neap_arrivals_next(arrivals, &random_numbers, now_ns))
        calls++;
    return calls;
}

static void random_arrivals_keep_their_rate(void **state)
{
    const struct neap_arrivals arrivals = {NEAP_ARRIVAL_RANDOM, 0.1};
    (void)state;
    int64_t calls = calls_in(&arrivals, 10000 * NEAP_SECOND);
    assert_in_range(calls, 99000, 101000);
}

static void steady_arrivals_come_once_an_interval(void **state)
{
    const struct neap_arrivals arrivals = {NEAP_ARRIVAL_STEADY, 2};
    (void)state;
    int64_t first_ns = neap_arrivals_first(&arrivals, &random_numbers);
    assert_in_range(first_ns, 0, 2 * NEAP_SECOND);
    assert_int_equal(neap_arrivals_next(&arrivals, &random_numbers, first_ns),
                     first_ns + 2 * NEAP_SECOND);
}

static void clients_together_call_at_the_same_moments(void **state)
{
    const struct neap_arrivals arrivals = {NEAP_ARRIVAL_TOGETHER, 30};
    (void)state;
    for (int client = 0; client < 3; client++)
        assert_int_equal(neap_arrivals_first(&arrivals, &random_numbers), 0);
    assert_int_equal(neap_arrivals_next(&arrivals, &random_numbers, 0), 30 * NEAP_SECOND);
}

static void time_goes_on_however_high_the_rate(void **state)
{
    const struct neap_arrivals arrivals = {NEAP_ARRIVAL_STEADY, 1e-12};
    (void)state;
    assert_int_equal(neap_arrivals_next(&arrivals, &random_numbers, 5), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_exponential_number_has_mean_and_variance_of_one, set_up),
        cmocka_unit_test_setup(an_exponential_number_is_above_one_as_often_as_e_says, set_up),
        cmocka_unit_test_setup(random_arrivals_keep_their_rate, set_up),
        cmocka_unit_test_setup(steady_arrivals_come_once_an_interval, set_up),
        cmocka_unit_test_setup(clients_together_call_at_the_same_moments, set_up),
        cmocka_unit_test_setup(time_goes_on_however_high_the_rate, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
