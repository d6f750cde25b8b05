#include "shared/region_fixture.h"

static uint64_t bit(uint32_t holder)
{
    return UINT64_C(1) << holder;
}

/* ---- children ---- */

static void claim_in_the_child(void)
{
    neap_region_after_fork(region);
    say(neap_region_holder(region));
}

/* Pins two cells and holds something in them. */
static void hold_in_the_child(void)
{
    neap_region_after_fork(region);
    uint32_t holder = neap_region_holder(region);
    for (uint64_t key = 1; key <= 2; key++)
        atomic_fetch_or(&pin(key)->held, bit(holder));
    say(holder);
}

static void a_forked_child_gets_a_number_of_its_own(void **state)
{
    (void)state;
    begin();
    uint32_t own = neap_region_holder(region);
    pid_t child = start_child(claim_in_the_child);
    uint32_t of_child = hear();
    assert_int_not_equal(of_child, own);
    assert_int_not_equal(of_child, 0);
    assert_int_equal(stats().processes, 2);
    kill_child(child);
    (void)wait_for(child);
}

static void pins_do_not_go_through_a_fork_in_the_child(void)
{
    struct counter *cell = find_in(region, 1);
    neap_region_after_fork(region);
    unpin(cell);
    neap_region_pin_again(region, cell);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    say(cell == pin(1));
    unpin(cell);
    neap_region_release(region);
    _exit(0);
}

static void a_childs_unpin_takes_nothing_from_its_parent(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    pid_t child = start_child(pins_do_not_go_through_a_fork_in_the_child);
    assert_int_equal(hear(), 1);
    assert_int_equal(wait_for(child), 0);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_ptr_equal(pin(1), cell);
    assert_int_equal(atomic_load(&cell->key), 1);
    assert_int_equal(stats().processes, 1);
}

static void forget_twice_in_the_child(void)
{
    neap_region_after_fork(region);
    uint32_t holder = neap_region_holder(region);
    struct counter *cell = pin(1);
    neap_region_after_fork(region);
    unpin(cell);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    say(neap_region_holder(region) == holder && stats().processes == 2 && pin(1) == cell);
}

static void who_was_told_of_a_fork_need_not_be_told_again(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    uint32_t own = neap_region_holder(region);
    neap_region_after_fork(region);
    assert_int_equal(neap_region_holder(region), own);
    unpin(cell);
    assert_non_null(pin(1));
    pid_t child = start_child(forget_twice_in_the_child);
    assert_int_equal(hear(), 1);
    kill_child(child);
    (void)wait_for(child);
}

static void release_in_the_child(void)
{
    neap_region_release(region);
    say(1);
    _exit(0);
}

static void a_child_that_never_used_it_gives_up_nothing_of_its_parents(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    pid_t child = start_child(release_in_the_child);
    assert_int_equal(hear(), 1);
    assert_int_equal(wait_for(child), 0);
    assert_int_equal(stats().processes, 1);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_int_equal(atomic_load(&cell->key), 1);
}

/* ---- the dead ---- */

static void what_a_killed_process_held_is_given_back(void **state)
{
    (void)state;
    begin();
    uint32_t own = neap_region_holder(region);
    atomic_fetch_or(&pin(1)->held, bit(own));
    use(3);
    pid_t child = start_child(hold_in_the_child);
    uint32_t of_child = hear();
    assert_int_equal(atomic_load(&pin(1)->held), bit(own) | bit(of_child));
    assert_int_equal(reap(), 0);
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(reap(), 1);
    assert_int_equal(reclaimed, 2);
    assert_int_equal(reclaimed_from, of_child);
    assert_int_equal(atomic_load(&pin(1)->held), bit(own));
    assert_int_equal(atomic_load(&find_in(region, 2)->held), 0);
    assert_int_equal(stats().processes, 1);
    assert_int_equal(reap(), 0);
    assert_int_equal(reclaimed, 0);
}

static void a_zombie_is_dead(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(hold_in_the_child);
    (void)hear();
    kill_child(child);
    assert_int_equal(reap(), 1);
    assert_int_equal(reclaimed, 2);
    (void)wait_for(child);
}

static void pins_of_the_dead_go(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(hold_in_the_child);
    (void)hear();
    kill_child(child);
    (void)wait_for(child);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_true(is_there(1));
    assert_int_equal(reap(), 1);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_false(is_there(1));
    assert_false(is_there(2));
}

/* Idle since it was found dead: nobody knows since when its cells were. */
static void cells_of_the_dead_are_not_the_first_to_go(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(hold_in_the_child);
    (void)hear();
    uint64_t count = fill(10);
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(reap(), 1);
    use(10 + count);
    assert_true(is_there(1));
    assert_false(is_there(10));
}

static void numbers_of_the_dead_are_free_again(void **state)
{
    (void)state;
    begin();
    assert_int_equal(neap_region_holder(region), 1);
    for (uint32_t i = 0; i < 3; i++) {
        pid_t child = start_child(claim_in_the_child);
        assert_int_equal(hear(), 2);
        kill_child(child);
        (void)wait_for(child);
        assert_int_equal(reap(), 1);
    }
}

static void many_dead_are_found_at_once(void **state)
{
    (void)state;
    enum { CHILDREN = 5 };
    pid_t child[CHILDREN];
    begin();
    for (int i = 0; i < CHILDREN; i++) {
        child[i] = start_child(hold_in_the_child);
        (void)hear();
        kill_child(child[i]);
        (void)wait_for(child[i]);
    }
    assert_int_equal(reap(), CHILDREN);
    assert_int_equal(reclaimed, 2 * CHILDREN);
    assert_int_equal(atomic_load(&pin(1)->held), 0);
}

static void another_object_of_this_process_is_alive(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    assert_int_equal(neap_region_holder(other), 1);
    assert_int_equal(reap(), 0);
    assert_int_equal(neap_region_holder(region), 2);
    assert_int_equal(reap(), 0);
    assert_int_equal(stats().processes, 2);
    neap_region_release(other);
}

static void who_cannot_be_seen_from_here_is_alive(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(claim_in_the_child);
    uint32_t holder = hear();
    kill_child(child);
    (void)wait_for(child);
    atomic_fetch_add(&region->header->process[holder].pid_namespace, 1);
    assert_int_equal(reap(), 0);
    atomic_fetch_sub(&region->header->process[holder].pid_namespace, 1);
    assert_int_equal(reap(), 1);
}

static void a_number_given_anew_does_not_make_its_owner_alive(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(claim_in_the_child);
    uint32_t holder = hear();
    atomic_fetch_add(&region->header->process[holder].start, 1);
    assert_int_equal(reap(), 1);
    kill_child(child);
    (void)wait_for(child);
}

static void who_died_over_a_cell_keeps_it_until_he_is_found(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    uint32_t granule = neap_region_granule_of(region, neap_region_cell_of(region, cell));
    pid_t child = start_child(claim_in_the_child);
    uint32_t holder = hear();
    kill_child(child);
    (void)wait_for(child);
    atomic_store(&region->header->process[holder].touching, granule + 1);
    unpin(cell);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_true(is_there(1));
    assert_int_equal(reap(), 1);
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_false(is_there(1));
}

/* ---- when it is due ---- */

static uint32_t reap_at(struct neap_region *by, int64_t when)
{
    now = when;
    return neap_region_reap(by, when, reclaim, &now);
}

static void one_process_has_the_duty_at_a_time(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    pid_t child = start_child(claim_in_the_child);
    (void)hear();
    int64_t start = now;
    assert_int_equal(reap_at(region, start), 0);
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(reap_at(other, start), 0);
    assert_int_equal(reap_at(region, start + NEAP_REAP_EVERY_NS - 1), 0);
    assert_int_equal(reap_at(other, start + NEAP_REAP_EVERY_NS), 1);
    neap_region_release(other);
}

static void a_moment_too_far_ahead_is_not_waited_for(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(claim_in_the_child);
    (void)hear();
    assert_int_equal(reap_at(region, 1000 * NEAP_SECOND), 0);
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(reap_at(region, 10 * NEAP_SECOND), 1);
    atomic_store(&region->header->next_reap_ns, NEAP_NEVER);
    child = start_child(claim_in_the_child);
    (void)hear();
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(reap_at(region, 11 * NEAP_SECOND), 1);
}

/* ---- of one's own ---- */

static void what_one_holds_oneself_is_given_back(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    neap_region_reclaim_own(region, now, reclaim, &now);
    uint32_t own = neap_region_holder(region);
    uint32_t of_other = neap_region_holder(other);
    struct counter *cell = pin(1);
    atomic_store(&cell->held, bit(own) | bit(of_other));
    assert_non_null(pin_in(other, 2));
    use(3);
    reclaimed = 0;
    neap_region_reclaim_own(region, now, reclaim, &now);
    assert_int_equal(reclaimed, 1);
    assert_int_equal(reclaimed_from, own);
    assert_int_equal(atomic_load(&cell->held), bit(of_other));
    for (uint64_t key = 1000; key < 2000; key++)
        use(key);
    assert_int_equal(atomic_load(&cell->key), 1);
    neap_region_release(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_forked_child_gets_a_number_of_its_own),
        SPEC(a_childs_unpin_takes_nothing_from_its_parent),
        SPEC(who_was_told_of_a_fork_need_not_be_told_again),
        SPEC(a_child_that_never_used_it_gives_up_nothing_of_its_parents),
        SPEC(what_a_killed_process_held_is_given_back),
        SPEC(a_zombie_is_dead),
        SPEC(pins_of_the_dead_go),
        SPEC(cells_of_the_dead_are_not_the_first_to_go),
        SPEC(numbers_of_the_dead_are_free_again),
        SPEC(many_dead_are_found_at_once),
        SPEC(another_object_of_this_process_is_alive),
        SPEC(who_cannot_be_seen_from_here_is_alive),
        SPEC(a_number_given_anew_does_not_make_its_owner_alive),
        SPEC(who_died_over_a_cell_keeps_it_until_he_is_found),
        SPEC(one_process_has_the_duty_at_a_time),
        SPEC(a_moment_too_far_ahead_is_not_waited_for),
        SPEC(what_one_holds_oneself_is_given_back),
    };
    return cmocka_run_group_tests_name("region, its holders", tests, NULL, NULL);
}
