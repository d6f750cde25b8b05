#include "metrics/open_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct neap_open_keys keys;

static int set_up(void **state)
{
    (void)state;
    memset(&keys, 0, sizeof keys);
    return 0;
}

static uint64_t hash_of(uint64_t key)
{
    return key << 32 | 0x1234;
}

static void note(uint64_t key, int64_t window)
{
    neap_open_keys_note(&keys, hash_of(key), window);
}

static void forget(uint64_t key, int64_t window)
{
    neap_open_keys_forget(&keys, hash_of(key), window);
}

static void assert_count(int64_t window, uint32_t count)
{
    assert_int_equal(neap_open_keys_count(&keys, window), count);
}

static void each_counts_once_until_it_is_forgotten(void **state)
{
    (void)state;
    assert_count(0, 0);
    note(1, 0);
    note(1, 1);
    note(2, 1);
    forget(3, 1);
    assert_count(1, 2);
    forget(1, 1);
    assert_count(1, 1);
    forget(2, 1);
    assert_count(1, 0);
}

static void one_whose_hash_is_zero_counts_too(void **state)
{
    (void)state;
    neap_open_keys_note(&keys, 0, 0);
    assert_count(0, 1);
    neap_open_keys_forget(&keys, 0, 0);
    assert_count(0, 0);
}

static void more_than_there_is_room_for_are_not_known(void **state)
{
    (void)state;
    for (uint64_t key = 1; key <= 1000; key++)
        note(key, 0);
    assert_count(0, NEAP_OPEN_KEYS);
    for (uint64_t key = 1; key <= NEAP_OPEN_KEYS; key++)
        forget(key, 0);
    assert_count(0, 0);
    note(1000, 0); /* who is noted again finds room now */
    assert_count(0, 1);
}

static void one_that_is_noted_no_more_is_forgotten_and_gives_its_place(void **state)
{
    (void)state;
    note(1, 0);
    assert_count(NEAP_OPEN_KEY_WINDOWS, 1);
    assert_count(NEAP_OPEN_KEY_WINDOWS + 1, 0);
    for (uint64_t key = 2; key < 2 + NEAP_OPEN_KEYS; key++)
        note(key, NEAP_OPEN_KEY_WINDOWS + 1);
    assert_count(NEAP_OPEN_KEY_WINDOWS + 1, NEAP_OPEN_KEYS);
}

static void one_noted_by_a_clock_ahead_is_known(void **state)
{
    (void)state;
    note(1, 5);
    assert_count(4, 1);
}

/* Of a window's number 16 bits are kept. */
static void age_is_counted_across_the_end_of_the_numbers(void **state)
{
    (void)state;
    note(1, 0xFFFF);
    assert_count(0x10000 + NEAP_OPEN_KEY_WINDOWS - 1, 1);
    assert_count(0x10000 + NEAP_OPEN_KEY_WINDOWS, 0);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(each_counts_once_until_it_is_forgotten),
        SPEC(one_whose_hash_is_zero_counts_too),
        SPEC(more_than_there_is_room_for_are_not_known),
        SPEC(one_that_is_noted_no_more_is_forgotten_and_gives_its_place),
        SPEC(one_noted_by_a_clock_ahead_is_known),
        SPEC(age_is_counted_across_the_end_of_the_numbers),
    };
    return cmocka_run_group_tests_name("open keys", tests, NULL, NULL);
}
