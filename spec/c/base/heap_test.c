#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "support/failing_alloc.h"

#define MANY 2000

static struct failing_alloc memory;
static struct neap_heap heap;
static struct neap_timer a, b, c, timer[MANY];

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_heap_init(&heap, &memory.alloc);
    a = b = c = (struct neap_timer){0};
    memset(timer, 0, sizeof timer);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_heap_deinit(&heap);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void set(struct neap_timer *which, int64_t when_ns)
{
    assert_int_equal(neap_heap_set(&heap, which, when_ns), NEAP_OK);
}

static struct neap_timer *take_first(void)
{
    struct neap_timer *first = neap_heap_first(&heap);
    if (first)
        neap_heap_remove(&heap, first);
    return first;
}

static void an_empty_heap_has_no_first(void **state)
{
    (void)state;
    assert_null(neap_heap_first(&heap));
}

static void the_earliest_comes_first(void **state)
{
    (void)state;
    set(&a, 30);
    set(&b, -10);
    set(&c, 20);
    assert_ptr_equal(take_first(), &b);
    assert_ptr_equal(take_first(), &c);
    assert_ptr_equal(take_first(), &a);
    assert_null(take_first());
}

static void first_stays_inside(void **state)
{
    (void)state;
    set(&a, 1);
    assert_ptr_equal(neap_heap_first(&heap), &a);
    assert_ptr_equal(neap_heap_first(&heap), &a);
    assert_int_equal(heap.count, 1);
}

static void equal_times_leave_in_the_order_they_were_set(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        set(&timer[i], 5);
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(take_first(), &timer[i]);
}

static void setting_the_same_time_again_goes_to_the_back(void **state)
{
    (void)state;
    set(&a, 5);
    set(&b, 5);
    set(&a, 5);
    assert_ptr_equal(take_first(), &b);
    assert_ptr_equal(take_first(), &a);
}

static void a_timer_moves_both_ways(void **state)
{
    (void)state;
    set(&a, 10);
    set(&b, 20);
    set(&c, 30);
    set(&c, 5);
    assert_ptr_equal(neap_heap_first(&heap), &c);
    set(&c, 25);
    assert_ptr_equal(take_first(), &a);
    assert_ptr_equal(take_first(), &b);
    assert_ptr_equal(take_first(), &c);
    assert_int_equal(heap.count, 0);
}

static void never_takes_a_timer_out(void **state)
{
    (void)state;
    set(&a, 10);
    set(&b, 20);
    set(&a, NEAP_NEVER);
    assert_int_equal(a.index, 0);
    assert_ptr_equal(neap_heap_first(&heap), &b);
    set(&a, NEAP_NEVER);
    assert_int_equal(heap.count, 1);
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    set(&a, 1);
    neap_heap_remove(&heap, &a);
    neap_heap_remove(&heap, &a);
    assert_null(neap_heap_first(&heap));
}

static void deinit_takes_all_out(void **state)
{
    (void)state;
    set(&a, 1);
    set(&b, 2);
    neap_heap_deinit(&heap);
    assert_int_equal(a.index, 0);
    assert_int_equal(b.index, 0);
    set(&a, 1);
    assert_ptr_equal(neap_heap_first(&heap), &a);
}

static void an_insertion_without_memory_changes_nothing(void **state)
{
    (void)state;
    a.when_ns = 77;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_heap_set(&heap, &a, 1), NEAP_NO_MEMORY);
    assert_int_equal(a.index, 0);
    assert_int_equal(a.when_ns, 77);
    assert_null(neap_heap_first(&heap));
    set(&a, 1);
    assert_ptr_equal(neap_heap_first(&heap), &a);
}

static void growth_without_memory_keeps_what_is_inside(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++)
        set(&timer[i], i);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_heap_set(&heap, &timer[16], -1), NEAP_NO_MEMORY);
    for (int i = 0; i < 16; i++)
        assert_ptr_equal(take_first(), &timer[i]);
}

static void setting_within_the_reserve_allocates_nothing(void **state)
{
    (void)state;
    assert_int_equal(neap_heap_reserve(&heap, 100), NEAP_OK);
    size_t before = memory.allocations;
    for (int i = 0; i < 100; i++)
        set(&timer[i], i);
    assert_int_equal(memory.allocations, before);
}

static void a_reserve_that_does_not_fit_is_no_memory(void **state)
{
    (void)state;
    assert_int_equal(neap_heap_reserve(&heap, SIZE_MAX), NEAP_NO_MEMORY);
    assert_int_equal(neap_heap_reserve(&heap, 0), NEAP_OK);
    assert_int_equal(memory.allocations, 0);
}

static void assert_ordered(void)
{
    for (size_t i = 2; i <= heap.count; i++) {
        assert_int_equal(heap.slot[i - 1]->index, i);
        assert_true(heap.slot[i / 2 - 1]->when_ns <= heap.slot[i - 1]->when_ns);
    }
}

static void order_holds_through_random_changes(void **state)
{
    (void)state;
    struct neap_random random;
    neap_random_init(&random, 3);
    for (int i = 0; i < 10 * MANY; i++) {
        struct neap_timer *any = &timer[neap_random_next(&random) % MANY];
        if (neap_random_unit(&random) < 0.3)
            neap_heap_remove(&heap, any);
        else
            set(any, (int64_t)(neap_random_next(&random) % 1000));
        if (i % 100 == 0)
            assert_ordered();
    }
    int64_t last_ns = INT64_MIN;
    for (struct neap_timer *first = take_first(); first; first = take_first()) {
        assert_true(first->when_ns >= last_ns);
        last_ns = first->when_ns;
    }
    assert_int_equal(heap.count, 0);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_heap_has_no_first),
        SPEC(the_earliest_comes_first),
        SPEC(first_stays_inside),
        SPEC(equal_times_leave_in_the_order_they_were_set),
        SPEC(setting_the_same_time_again_goes_to_the_back),
        SPEC(a_timer_moves_both_ways),
        SPEC(never_takes_a_timer_out),
        SPEC(removing_twice_is_harmless),
        SPEC(deinit_takes_all_out),
        SPEC(an_insertion_without_memory_changes_nothing),
        SPEC(growth_without_memory_keeps_what_is_inside),
        SPEC(setting_within_the_reserve_allocates_nothing),
        SPEC(a_reserve_that_does_not_fit_is_no_memory),
        SPEC(order_holds_through_random_changes),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
