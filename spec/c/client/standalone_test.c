#include "client/standalone.h"

#include "client/cells_fixture.h"

static struct neap_standalone alone;

static enum neap_status open_in(struct neap_standalone *one, struct neap_region *in,
                                enum neap_cell_kind kind, const char *called)
{
    struct neap_cells from = cells_in(in);
    return neap_standalone_open(one, &from, kind, called, called ? strlen(called) : 0,
                                policy_of[kind], now);
}

static void open_bulkhead(struct neap_standalone *one)
{
    assert_int_equal(open_in(one, region, NEAP_CELL_BULKHEAD, "api"), NEAP_OK);
}

static void close_bulkhead(struct neap_standalone *one)
{
    neap_standalone_close(one, &bulkhead_policy, now);
}

static int64_t take(struct neap_standalone *one)
{
    return neap_standalone_take(one, &bulkhead_policy, now).permit;
}

static bool give(struct neap_standalone *one, int64_t permit)
{
    return neap_standalone_give(one, &bulkhead_policy, permit);
}

static uint32_t in_use(const struct neap_standalone *one)
{
    return neap_bulkhead_in_use(one->cell, &bulkhead_policy);
}

static bool adopt(struct neap_standalone *one)
{
    return neap_standalone_adopt(one, &bulkhead_policy, now) == NEAP_OK;
}

static int tear_down_alone(void **state)
{
    close_bulkhead(&alone);
    return tear_down(state);
}

#undef SPEC
#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down_alone)

/* ---------------------------------------------------------------------------- whose the state is
 */

static void assert_apart(struct neap_region *in, const char *called)
{
    struct neap_standalone other;
    assert_int_equal(open_in(&alone, in, NEAP_CELL_BULKHEAD, called), NEAP_OK);
    assert_int_equal(open_in(&other, in, NEAP_CELL_BULKHEAD, called), NEAP_OK);
    assert_true(take(&alone) > 0);
    assert_int_equal(in_use(&other), 0);
    close_bulkhead(&other);
    close_bulkhead(&alone);
}

static void without_a_name_or_a_region_it_is_private(void **state)
{
    (void)state;
    begin();
    assert_apart(NULL, NULL);
    assert_apart(NULL, "api");
    assert_apart(region, NULL);
    assert_int_equal(stats().cells, 0);
    assert_int_equal(stats().processes, 0);
}

static void what_is_private_needs_no_adoption(void **state)
{
    (void)state;
    assert_int_equal(open_in(&alone, NULL, NEAP_CELL_BULKHEAD, "api"), NEAP_OK);
    assert_false(neap_standalone_is_inherited(&alone));
    alone.process++;
    assert_false(neap_standalone_is_inherited(&alone));
    assert_true(adopt(&alone));
}

static void by_name_it_is_the_cell_that_clients_have(void **state)
{
    (void)state;
    begin();
    static const enum neap_cell_kind kinds[] = {NEAP_CELL_BREAKER, NEAP_CELL_BULKHEAD,
                                                NEAP_CELL_LIMITER, NEAP_CELL_BUDGET};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct neap_standalone one;
        assert_int_equal(open_in(&one, region, kinds[i], "api"), NEAP_OK);
        assert_ptr_equal(one.cell, cell_of(region, kinds[i]));
        assert_int_equal(one.holder, neap_region_holder(region));
        neap_standalone_close(&one, policy_of[kinds[i]], now);
        assert_null(one.cell);
    }
}

static void it_keeps_the_region(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    neap_region_release(region);
    region = NULL;
    assert_true(take(&alone) > 0);
}

static void closing_unpins(void **state)
{
    (void)state;
    begin();
    struct neap_cells cells = cells_in(region);
    open_bulkhead(&alone);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    assert_int_equal(in_use(&alone), 0);
    close_bulkhead(&alone);
    close_bulkhead(&alone);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    assert_null(neap_cells_find(&cells, NEAP_CELL_BULKHEAD, "api", 3, &bulkhead_policy, now));
}

/* ------------------------------------------------------------------------- permits of a bulkhead
 */

static void places_are_out_in_the_name_of_the_process(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    assert_true(take(&alone) > 0);
    assert_int_equal(neap_bulkhead_reclaim(alone.cell, &bulkhead_policy, alone.holder), 1);
}

static void closing_gives_back_what_is_out(void **state)
{
    (void)state;
    struct neap_standalone other;
    begin();
    open_bulkhead(&alone);
    open_bulkhead(&other);
    assert_true(take(&alone) > 0);
    int64_t permit = take(&other);
    assert_true(permit > 0);
    close_bulkhead(&alone);
    assert_int_equal(in_use(&other), 1);
    assert_true(give(&other, permit));
    assert_int_equal(in_use(&other), 0);
    close_bulkhead(&other);
}

static void a_place_given_back_elsewhere_is_the_next_ones(void **state)
{
    (void)state;
    struct neap_standalone other;
    begin();
    open_bulkhead(&alone);
    open_bulkhead(&other);
    int64_t permit = take(&alone);
    assert_true(give(&other, permit));
    assert_false(give(&alone, permit));
    assert_true(take(&other) > 0 && take(&other) > 0);
    close_bulkhead(&alone);
    assert_int_equal(in_use(&other), 2);
    close_bulkhead(&other);
}

static void a_place_may_be_taken_again_and_again(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    for (int i = 0; i < 100; i++) {
        int64_t permit = take(&alone);
        assert_true(permit > 0);
        assert_true(give(&alone, permit));
        assert_false(give(&alone, permit));
    }
    assert_true(take(&alone) > 0 && take(&alone) > 0);
    assert_int_equal(take(&alone), 0);
}

static void what_was_never_given_is_not_taken_back(void **state)
{
    (void)state;
    static const int64_t strange[] = {0, -1, 1, INT64_MIN, INT64_MAX, INT64_C(1) << 52};
    begin();
    open_bulkhead(&alone);
    assert_true(take(&alone) > 0);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        assert_false(give(&alone, strange[i]));
    assert_int_equal(in_use(&alone), 1);
}

/* -------------------------------------------------------------------------------- after a fork */

static void in_child(child_work *work)
{
    pid_t child = start_child(work);
    assert_int_equal(hear(), 1);
    kill_child(child);
    (void)wait_for(child);
}

static void take_in_the_child(void)
{
    uint32_t of_parent = alone.holder;
    bool was = neap_standalone_is_inherited(&alone);
    bool adopted = adopt(&alone) && !neap_standalone_is_inherited(&alone);
    say(was && adopted && alone.holder != of_parent && in_use(&alone) == 1 && take(&alone) > 0 &&
        take(&alone) == 0);
}

static void a_child_goes_on_in_its_own_name(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    assert_true(take(&alone) > 0);
    in_child(take_in_the_child);
    assert_int_equal(in_use(&alone), 2);
    reap_cells(region);
    assert_int_equal(in_use(&alone), 1);
}

static void adopt_two_and_close_one(void)
{
    struct neap_standalone second;
    bool opened = open_in(&second, region, NEAP_CELL_BULKHEAD, "api") == NEAP_OK;
    bool adopted = adopt(&alone) && alone.holder == second.holder;
    neap_standalone_close(&second, &bulkhead_policy, now);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    say(opened && adopted && in_use(&alone) == 1);
}

static void several_in_a_child_share_its_number(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    assert_true(take(&alone) > 0);
    in_child(adopt_two_and_close_one);
}

static void close_in_the_child(void)
{
    close_bulkhead(&alone);
    say(alone.cell == NULL);
}

static void adopt_and_close_in_the_child(void)
{
    if (adopt(&alone))
        close_in_the_child();
}

static void a_child_that_closes_it_gives_nothing_of_its_parents_back(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    assert_true(take(&alone) > 0);
    in_child(close_in_the_child);
    in_child(adopt_and_close_in_the_child);
    for (uint64_t key = 1; key < 2000; key++)
        use(key);
    assert_int_equal(in_use(&alone), 1);
    assert_int_equal(take(&alone) > 0, 1);
}

static void adopt_while_all_numbers_are_taken(void)
{
    static struct neap_region *others[NEAP_HOLDER_MAX];
    for (uint32_t i = 1; i < NEAP_HOLDER_MAX; i++) {
        others[i] = join(SMALL);
        if (neap_region_holder(others[i]) == NEAP_HOLDER_NONE)
            say(0);
    }
    bool refused = !adopt(&alone) && !adopt(&alone);
    neap_region_release(others[100]);
    say(refused && adopt(&alone) && take(&alone) > 0);
}

static void where_there_is_no_number_left_adoption_is_tried_again(void **state)
{
    (void)state;
    begin();
    open_bulkhead(&alone);
    in_child(adopt_while_all_numbers_are_taken);
}

/* ---------------------------------------------------------------------------------------- room */

/* Each as large as a breaker, so that none of that size is left. */
static void where_there_is_no_room_nothing_is_opened(void **state)
{
    (void)state;
    uint64_t key = 0;
    begin();
    do
        key++;
    while (neap_region_pin(region, &key, sizeof key, &shape, neap_breaker_bytes(&breaker_policy),
                           now, make_counter, &key));
    assert_int_equal(open_in(&alone, region, NEAP_CELL_BREAKER, "a name that takes its room too"),
                     NEAP_NOT_FOUND);
    assert_null(alone.cell);
}

static enum neap_status open_without_allocation(size_t n, struct neap_region *in)
{
    failing_alloc_fail(&memory, n);
    enum neap_status status = open_in(&alone, in, NEAP_CELL_BULKHEAD, "api");
    failing_alloc_fail(&memory, 0);
    return status;
}

static void each_failed_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    begin();
    assert_int_equal(open_without_allocation(1, NULL), NEAP_NO_MEMORY);
    size_t n = 1;
    for (; open_without_allocation(n, region) != NEAP_OK; n++)
        assert_null(alone.cell);
    assert_in_range(n, 3, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(without_a_name_or_a_region_it_is_private),
        SPEC(what_is_private_needs_no_adoption),
        SPEC(by_name_it_is_the_cell_that_clients_have),
        SPEC(it_keeps_the_region),
        SPEC(closing_unpins),
        SPEC(places_are_out_in_the_name_of_the_process),
        SPEC(closing_gives_back_what_is_out),
        SPEC(a_place_given_back_elsewhere_is_the_next_ones),
        SPEC(a_place_may_be_taken_again_and_again),
        SPEC(what_was_never_given_is_not_taken_back),
        SPEC(a_child_goes_on_in_its_own_name),
        SPEC(several_in_a_child_share_its_number),
        SPEC(a_child_that_closes_it_gives_nothing_of_its_parents_back),
        SPEC(where_there_is_no_number_left_adoption_is_tried_again),
        SPEC(where_there_is_no_room_nothing_is_opened),
        SPEC(each_failed_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("policies that stand alone", tests, NULL, NULL);
}
