#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/duration.h"
#include "policy/slices.h"

#define N 10u

static struct neap_slice slices[N];
static const struct neap_tally one = {{1, 1, 1}};

static int begin(void **state)
{
    (void)state;
    neap_slices_init(slices, N);
    return 0;
}

static void add(uint16_t generation, int64_t second, uint64_t a, uint64_t b, uint64_t c)
{
    neap_slices_add(slices, N, generation, second * NEAP_SECOND, (struct neap_tally){{a, b, c}});
}

static void expect(uint16_t generation, int64_t second, uint64_t a, uint64_t b, uint64_t c)
{
    struct neap_tally sum = neap_slices_sum(slices, N, generation, second * NEAP_SECOND);
    assert_int_equal(sum.counter[0], a);
    assert_int_equal(sum.counter[1], b);
    assert_int_equal(sum.counter[2], c);
}

static void begins_empty_in_each_generation(void **state)
{
    (void)state;
    expect(0, 0, 0, 0, 0);
    expect(1, 0, 0, 0, 0);
    expect(0, -5, 0, 0, 0);
    expect(0, 1000000, 0, 0, 0);
}

static void adds_three_counters(void **state)
{
    (void)state;
    add(1, 5, 3, 2, 1);
    add(1, 5, 3, 0, 4);
    expect(1, 5, 6, 2, 5);
}

static void forgets_second_s_when_the_current_one_is_s_plus_n(void **state)
{
    (void)state;
    add(1, 5, 1, 0, 0);
    expect(1, 5 + N - 1, 1, 0, 0);
    expect(1, 5 + N, 0, 0, 0);
}

static void cuts_seconds_at_whole_seconds_of_the_clock(void **state)
{
    (void)state;
    neap_slices_add(slices, N, 1, 6 * NEAP_SECOND - 1, one);
    assert_int_equal(neap_slices_sum(slices, N, 1, 15 * NEAP_SECOND - 1).counter[0], 1);
    assert_int_equal(neap_slices_sum(slices, N, 1, 15 * NEAP_SECOND).counter[0], 0);
}

static void counts_before_the_clocks_zero(void **state)
{
    (void)state;
    neap_slices_add(slices, N, 1, -1, one);
    expect(1, 8, 1, 1, 1);
    expect(1, 9, 0, 0, 0);
    neap_slices_add(slices, N, 1, INT64_MIN, one);
    expect(1, 0, 2, 2, 2);
}

static void sums_all_seconds_of_the_window(void **state)
{
    (void)state;
    for (int64_t s = 100; s < 130; s++)
        add(1, s, 1, (uint64_t)s, 0);
    expect(1, 129, N, 120 + 121 + 122 + 123 + 124 + 125 + 126 + 127 + 128 + 129, 0);
}

static void leaves_out_what_a_gap_has_made_old(void **state)
{
    (void)state;
    add(1, 100, 1, 0, 0);
    add(1, 103, 2, 0, 0);
    add(1, 112, 4, 0, 0);
    expect(1, 112, 6, 0, 0);
    expect(1, 1000000, 0, 0, 0);
}

static void keeps_generations_apart(void **state)
{
    (void)state;
    add(1, 5, 1, 0, 0);
    add(2, 6, 2, 0, 0);
    expect(1, 6, 1, 0, 0);
    expect(2, 6, 2, 0, 0);
}

static void a_new_generation_empties_the_same_second(void **state)
{
    (void)state;
    add(1, 5, 7, 7, 7);
    add(2, 5, 1, 0, 0);
    expect(2, 5, 1, 0, 0);
    expect(1, 5, 0, 0, 0);
}

static void a_late_caller_of_an_older_generation_takes_nothing_away(void **state)
{
    (void)state;
    add(2, 5, 1, 0, 0);
    add(1, 5, 1, 1, 1);
    expect(2, 5, 1, 0, 0);
    expect(1, 5, 0, 0, 0);
}

static void a_generation_that_wraps_around_is_newer(void **state)
{
    (void)state;
    add(65535, 5, 1, 0, 0);
    add(1, 5, 2, 0, 0);
    expect(1, 5, 2, 0, 0);
    add(65535, 5, 4, 0, 0);
    expect(1, 5, 2, 0, 0);
}

static void a_stale_owner_of_any_generation_gives_way_to_a_later_second(void **state)
{
    (void)state;
    add(9, 5, 1, 0, 0);
    add(3, 5 + N, 2, 0, 0);
    expect(3, 5 + N, 2, 0, 0);
}

static void a_slice_that_changes_hands_often_never_shows_old_counts(void **state)
{
    (void)state;
    for (int64_t lap = 0; lap < 3000; lap++) {
        add(1, lap * N, 5, 0, 0);
        expect(1, lap * N, 5, 0, 0);
    }
}

static void saturates(void **state)
{
    (void)state;
    add(1, 5, 1, 1, 0);
    add(1, 5, UINT64_MAX, 0, 3);
    expect(1, 5, NEAP_SLICE_MAX, 1, 3);
    add(1, 6, 2, 0, 0);
    expect(1, 6, NEAP_SLICE_MAX + UINT64_C(2), 1, 3);
}

static void a_full_counter_keeps_the_proportions(void **state)
{
    (void)state;
    add(1, 5, NEAP_SLICE_MAX, 1, 0);
    add(1, 5, 1, 1, 0);
    expect(1, 5, NEAP_SLICE_MAX, 1, 0);
    add(1, 5, 0, 1, 0);
    expect(1, 5, NEAP_SLICE_MAX, 2, 0);
}

static void subtracts_from_the_second_it_was_added_to(void **state)
{
    (void)state;
    add(1, 5, 3, 2, 1);
    add(1, 6, 1, 1, 1);
    neap_slices_subtract(slices, N, 1, 5 * NEAP_SECOND, (struct neap_tally){{1, 2, 0}});
    expect(1, 6, 3, 1, 2);
}

static void subtracts_never_below_zero(void **state)
{
    (void)state;
    add(1, 5, 1, 0, 0);
    neap_slices_subtract(slices, N, 1, 5 * NEAP_SECOND, (struct neap_tally){{9, 9, 9}});
    expect(1, 5, 0, 0, 0);
}

static void subtracts_nothing_from_another_second_or_generation(void **state)
{
    (void)state;
    add(1, 5, 2, 2, 2);
    neap_slices_subtract(slices, N, 1, 4 * NEAP_SECOND, one);
    neap_slices_subtract(slices, N, 1, 15 * NEAP_SECOND, one);
    neap_slices_subtract(slices, N, 2, 5 * NEAP_SECOND, one);
    expect(1, 5, 2, 2, 2);
}

static void a_clock_that_steps_back_revives_nothing(void **state)
{
    (void)state;
    add(1, 30, 1, 0, 0);
    add(1, 100, 2, 0, 0);
    expect(1, 35, 2, 0, 0);
    expect(1, 100, 2, 0, 0);
}

static void a_small_step_back_counts_into_its_own_second(void **state)
{
    (void)state;
    add(1, 100, 1, 0, 0);
    add(1, 95, 2, 0, 0);
    expect(1, 95, 3, 0, 0);
    expect(1, 104, 3, 0, 0);
    expect(1, 105, 1, 0, 0);
}

static void a_large_step_back_counts_into_the_newest_second(void **state)
{
    (void)state;
    add(1, 100, 1, 0, 0);
    for (int64_t s = 20; s < 30; s++)
        add(1, s, 1, 0, 0);
    expect(1, 30, 11, 0, 0);
    assert_int_equal(neap_slices_newest(slices, N, 1, 30 * NEAP_SECOND), 100);
    expect(1, 109, 11, 0, 0);
    expect(1, 110, 0, 0, 0);
}

/* Steps forward, back by a little, and back by more than the window. */
static int64_t next_moment(int64_t now_ns, int i)
{
    static const int64_t steps_s[] = {0, 0, 0, 1, 0, 0, 2, -1, 0, 7, -3, 0, 25, -24, 0, 1, -11, 30};
    return now_ns + steps_s[i % 18] * NEAP_SECOND + i;
}

static void a_hint_changes_nothing(void **state)
{
    (void)state;
    struct neap_slice hinted[N];
    struct neap_slices_hint hint = {0};
    int64_t now_ns = 50 * NEAP_SECOND;
    neap_slices_init(hinted, N);
    for (int i = 0; i < 1000; i++) {
        now_ns = next_moment(now_ns, i);
        neap_slices_add(slices, N, 3, now_ns, one);
        neap_slices_add_hinted(hinted, N, 3, now_ns, one, &hint);
        assert_memory_equal(slices, hinted, sizeof slices);
    }
}

static void a_clock_that_stands_still_forgets_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        add(1, 7, 1, 0, 0);
    expect(1, 7, 1000, 0, 0);
}

static void the_ends_of_the_clock_are_ordinary_seconds(void **state)
{
    (void)state;
    neap_slices_add(slices, N, 1, INT64_MAX, one);
    assert_int_equal(neap_slices_sum(slices, N, 1, INT64_MAX).counter[0], 1);
    assert_int_equal(neap_slices_sum(slices, N, 1, INT64_MIN).counter[0], 1);
}

static void tells_one_second(void **state)
{
    (void)state;
    add(1, 5, 3, 2, 1);
    add(1, 6, 4, 0, 0);
    struct neap_tally at = neap_slices_at(slices, N, 1, 5);
    assert_int_equal(at.counter[0], 3);
    assert_int_equal(at.counter[2], 1);
    assert_int_equal(neap_slices_at(slices, N, 1, 15).counter[0], 0);
    assert_int_equal(neap_slices_at(slices, N, 2, 5).counter[0], 0);
}

static void one_slice_is_a_window_of_one_second(void **state)
{
    struct neap_slice single;
    (void)state;
    neap_slices_init(&single, 1);
    neap_slices_add(&single, 1, 1, 0, one);
    neap_slices_add(&single, 1, 1, NEAP_SECOND - 1, one);
    assert_int_equal(neap_slices_sum(&single, 1, 1, NEAP_SECOND - 1).counter[0], 2);
    assert_int_equal(neap_slices_sum(&single, 1, 1, NEAP_SECOND).counter[0], 0);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(begins_empty_in_each_generation),
        TEST(adds_three_counters),
        TEST(forgets_second_s_when_the_current_one_is_s_plus_n),
        TEST(cuts_seconds_at_whole_seconds_of_the_clock),
        TEST(counts_before_the_clocks_zero),
        TEST(sums_all_seconds_of_the_window),
        TEST(leaves_out_what_a_gap_has_made_old),
        TEST(keeps_generations_apart),
        TEST(a_new_generation_empties_the_same_second),
        TEST(a_late_caller_of_an_older_generation_takes_nothing_away),
        TEST(a_generation_that_wraps_around_is_newer),
        TEST(a_stale_owner_of_any_generation_gives_way_to_a_later_second),
        TEST(a_slice_that_changes_hands_often_never_shows_old_counts),
        TEST(saturates),
        TEST(a_full_counter_keeps_the_proportions),
        TEST(subtracts_from_the_second_it_was_added_to),
        TEST(subtracts_never_below_zero),
        TEST(subtracts_nothing_from_another_second_or_generation),
        TEST(a_clock_that_steps_back_revives_nothing),
        TEST(a_small_step_back_counts_into_its_own_second),
        TEST(a_large_step_back_counts_into_the_newest_second),
        TEST(a_hint_changes_nothing),
        TEST(a_clock_that_stands_still_forgets_nothing),
        TEST(the_ends_of_the_clock_are_ordinary_seconds),
        TEST(tells_one_second),
        TEST(one_slice_is_a_window_of_one_second),
    };
    return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
