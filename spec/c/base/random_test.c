#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DRAWS 100000

static void same_seed_gives_the_same_sequence(void **state)
{
    (void)state;
    struct neap_random a, b;
    neap_random_init(&a, 42);
    neap_random_init(&b, 42);
    for (int i = 0; i < 1000; i++)
        assert_true(neap_random_next(&a) == neap_random_next(&b));
}

/* Computed from the published algorithms by an independent program. */
static void sequence_of_seed_1_is_the_published_one(void **state)
{
    (void)state;
    const uint64_t expected[] = {UINT64_C(0xB3F2AF6D0FC710C5), UINT64_C(0x853B559647364CEA),
                                 UINT64_C(0x92F89756082A4514), UINT64_C(0x642E1C7BC266A3A7)};
    struct neap_random random;
    neap_random_init(&random, 1);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(neap_random_next(&random) == expected[i]);
}

static void other_seeds_give_other_sequences(void **state)
{
    (void)state;
    struct neap_random a, b;
    neap_random_init(&a, 1);
    neap_random_init(&b, 2);
    int equal = 0;
    for (int i = 0; i < 1000; i++)
        equal += neap_random_next(&a) == neap_random_next(&b);
    assert_int_equal(equal, 0);
}

static void seed_0_is_as_good_as_any(void **state)
{
    (void)state;
    struct neap_random random;
    neap_random_init(&random, 0);
    assert_true(neap_random_next(&random) != neap_random_next(&random));
}

static void unit_is_at_least_0_and_below_1(void **state)
{
    (void)state;
    struct neap_random random;
    neap_random_init(&random, 7);
    for (int i = 0; i < DRAWS; i++) {
        double r = neap_random_unit(&random);
        assert_true(r >= 0 && r < 1);
    }
}

static void unit_is_spread_evenly(void **state)
{
    (void)state;
    struct neap_random random;
    int tenth[10] = {0};
    neap_random_init(&random, 7);
    for (int i = 0; i < DRAWS; i++)
        tenth[(int)(neap_random_unit(&random) * 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(tenth[i], DRAWS / 10 - DRAWS / 200, DRAWS / 10 + DRAWS / 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_gives_the_same_sequence),
        cmocka_unit_test(sequence_of_seed_1_is_the_published_one),
        cmocka_unit_test(other_seeds_give_other_sequences),
        cmocka_unit_test(seed_0_is_as_good_as_any),
        cmocka_unit_test(unit_is_at_least_0_and_below_1),
        cmocka_unit_test(unit_is_spread_evenly),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
