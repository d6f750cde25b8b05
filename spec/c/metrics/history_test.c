#include "metrics/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/duration.h"

#define LAST (NEAP_HISTORY_SLOTS - 1)

static struct neap_history history;
static struct neap_history_point points[NEAP_HISTORY_SLOTS];

static int set_up(void **state)
{
    (void)state;
    neap_history_init(&history);
    return 0;
}

static void record(int64_t second, bool failed)
{
    neap_history_record(&history, second * NEAP_SECOND, failed);
}

static void expect(uint32_t index, uint32_t calls, uint32_t failures)
{
    assert_int_equal(points[index].calls, calls);
    assert_int_equal(points[index].failures, failures);
}

static void read_at(int64_t second)
{
    neap_history_read(&history, second * NEAP_SECOND, points);
}

static uint64_t sum_of_calls(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < NEAP_HISTORY_SLOTS; i++)
        sum += points[i].calls;
    return sum;
}

static void nothing_is_there_at_first(void **state)
{
    (void)state;
    read_at(0);
    assert_int_equal(sum_of_calls(), 0);
    read_at(1000000);
    assert_int_equal(sum_of_calls(), 0);
}

static void calls_count_in_slots_of_five_seconds(void **state)
{
    (void)state;
    record(100, false);
    record(104, true);
    record(105, false);
    read_at(109);
    expect(LAST - 1, 2, 1);
    expect(LAST, 1, 0);
    assert_int_equal(sum_of_calls(), 3);
}

static void a_slot_leaves_after_five_minutes(void **state)
{
    (void)state;
    record(0, false);
    read_at(299);
    expect(0, 1, 0);
    read_at(300);
    assert_int_equal(sum_of_calls(), 0);
    record(300, true);
    read_at(300);
    expect(LAST, 1, 1);
    assert_int_equal(sum_of_calls(), 1);
}

static void a_clock_that_steps_back_spoils_nothing(void **state)
{
    (void)state;
    record(600, false);
    record(590, true);
    record(300, true); /* its slot is that of 600 by now */
    record(-50, true);
    read_at(600);
    expect(LAST, 1, 0);
    expect(LAST - 2, 1, 1);
    assert_int_equal(sum_of_calls(), 2);
}

static void a_full_slot_stays_full(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < NEAP_HISTORY_MAX + 10; i++)
        record(7, true);
    read_at(7);
    expect(LAST, NEAP_HISTORY_MAX, NEAP_HISTORY_MAX);
    expect(LAST - 1, 0, 0);
}

/* The numbers of slots come round after 2^24 of them. */
static void it_goes_on_around_the_circle(void **state)
{
    int64_t circle = ((int64_t)1 << 24) * NEAP_HISTORY_SLOT_SECONDS;
    (void)state;
    for (int64_t second = circle - 400; second < circle + 400; second += 5)
        record(second, false);
    read_at(circle + 399);
    assert_int_equal(sum_of_calls(), NEAP_HISTORY_SLOTS);
}

/* The clock steps on, a little back, and back by more than the history is long. */
static void one_thread_alone_counts_the_same(void **state)
{
    static const int steps_s[] = {0, 1, 0, 4, -1, 0, 7, -9, 0, 300, -299, 2, -400, 30, 0, 1};
    static struct neap_history own;
    int64_t second = 1000;
    (void)state;
    neap_history_init(&own);
    for (int i = 0; i < 4000; i++) {
        second += steps_s[i / 3 % 16];
        neap_history_add(&own, second * NEAP_SECOND + i, i % 5 == 0, true);
        neap_history_record(&history, second * NEAP_SECOND + i, i % 5 == 0);
        assert_memory_equal(own.slot, history.slot, sizeof own.slot);
    }
    for (uint32_t i = 0; i < NEAP_HISTORY_MAX + 10; i++)
        neap_history_add(&own, 50000 * NEAP_SECOND, true, true);
    neap_history_read(&own, 50000 * NEAP_SECOND, points);
    expect(LAST, NEAP_HISTORY_MAX, NEAP_HISTORY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_there_at_first, set_up),
        cmocka_unit_test_setup(calls_count_in_slots_of_five_seconds, set_up),
        cmocka_unit_test_setup(a_slot_leaves_after_five_minutes, set_up),
        cmocka_unit_test_setup(a_clock_that_steps_back_spoils_nothing, set_up),
        cmocka_unit_test_setup(a_full_slot_stays_full, set_up),
        cmocka_unit_test_setup(it_goes_on_around_the_circle, set_up),
        cmocka_unit_test_setup(one_thread_alone_counts_the_same, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
