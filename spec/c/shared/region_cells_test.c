#include "shared/region_fixture.h"

#include <stdlib.h>

#include "platform/clock.h"

/* Cells and memory in use agree, and every byte can be had again. */
static void assert_whole(void)
{
    use(9999999);
    struct neap_region *fresh = NULL;
    char other[sizeof name + 2];
    char other_path[sizeof path + 2];
    struct neap_region_stats empty;
    (void)snprintf(other, sizeof other, "%s-2", name);
    (void)snprintf(other_path, sizeof other_path, "%s-2", path);
    assert_int_equal(neap_region_open(&memory.alloc, other, stats().bytes, &fresh, message),
                     NEAP_OK);
    neap_region_read(fresh, &empty);
    neap_region_release(fresh);
    (void)shm_unlink(other_path);
    assert_int_equal(stats().used_bytes, empty.used_bytes + stats().cells * 192);
    uint64_t most = (empty.bytes - empty.used_bytes) / 192;
    for (uint64_t key = 5000000; key < 5000000 + most; key++)
        use(key);
    assert_int_equal(stats().cells, most);
    for (uint64_t key = 5000000; key < 5000000 + most; key++)
        assert_true(is_there(key));
}

/* ---- looking at all of them ---- */

static void look_at(const void *cell, size_t cell_bytes, const struct neap_cell_shape *of,
                    const void *key, size_t key_bytes, void *context)
{
    uint64_t number;
    uint64_t *seen = context;
    assert_int_equal(cell_bytes, sizeof(struct counter));
    assert_memory_equal(of, &shape, sizeof shape);
    assert_int_equal(key_bytes, sizeof number);
    memcpy(&number, key, sizeof number);
    assert_int_equal(atomic_load(&((const struct counter *)cell)->key), number);
    *seen ^= UINT64_C(1) << number;
}

static void each_cell_is_looked_at_once(void **state)
{
    (void)state;
    uint64_t seen = 0;
    begin();
    assert_true(neap_region_each(region, look_at, &seen));
    assert_int_equal(seen, 0);
    for (uint64_t key = 1; key <= 20; key++)
        use(key);
    struct counter *pinned = pin(21);
    assert_true(neap_region_each(region, look_at, &seen));
    assert_int_equal(seen, (UINT64_C(1) << 22) - 2);
    unpin(pinned);
}

/* ---- death under the lock ---- */

static void die_over_it(void *cell, const struct neap_cell_shape *of, const void *context)
{
    (void)cell, (void)of, (void)context;
    (void)raise(SIGKILL);
}

static void die_while_making(void)
{
    uint64_t key = 7;
    neap_region_after_fork(region);
    (void)!neap_region_pin(region, &key, sizeof key, &shape, sizeof(struct counter), now,
                           die_over_it, NULL);
}

static void who_dies_while_making_a_cell_leaves_no_trace(void **state)
{
    (void)state;
    begin();
    use(1);
    size_t used = stats().used_bytes;
    pid_t child = start_child(die_while_making);
    assert_true(WIFSIGNALED(wait_for(child)));
    assert_int_not_equal(stats().used_bytes, used);
    assert_false(is_there(7));
    assert_true(is_there(1));
    assert_int_equal(stats().used_bytes, used);
    assert_int_equal(reap(), 1);
    assert_whole();
}

static void die_while_evicting(void)
{
    neap_region_after_fork(region);
    struct counter *cell = pin(1);
    if (!neap_region_lock(region))
        _exit(1);
    atomic_store(&neap_region_cell_of(region, cell)->serial, 0);
    (void)raise(SIGKILL);
}

static void who_dies_while_evicting_a_cell_leaves_it_there(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    atomic_store(&cell->value, 5);
    unpin(cell);
    pid_t child = start_child(die_while_evicting);
    assert_true(WIFSIGNALED(wait_for(child)));
    assert_ptr_equal(pin(1), cell);
    assert_int_equal(atomic_load(&cell->value), 5);
    unpin(cell);
    assert_ptr_equal(pin(1), cell);
    unpin(cell);
    assert_int_equal(reap(), 1);
    assert_whole();
}

static void keep_the_lock(void)
{
    neap_region_after_fork(region);
    say(neap_region_lock(region));
}

static void a_lock_that_cannot_be_had_stops_nobody_for_long(void **state)
{
    (void)state;
    begin();
    unpin(pin(1));
    pid_t child = start_child(keep_the_lock);
    assert_int_equal(hear(), 1);
    int64_t start = neap_clock_monotonic_ns();
    for (uint64_t key = 2; key < 100; key++)
        assert_null(pin(key));
    assert_in_range(neap_clock_monotonic_ns() - start, 50 * NEAP_MS, 2 * NEAP_SECOND);
    assert_null(find_in(region, 2));
    assert_false(neap_region_each(region, look_at, NULL));
    assert_non_null(pin(1));
    assert_int_equal(stats().refused, 0);
    kill_child(child);
    (void)wait_for(child);
    assert_non_null(pin(2));
    unpin(find_in(region, 2));
    unpin(find_in(region, 2));
}

static void what_others_made_is_found_without_the_lock(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    for (uint64_t key = 1; key < 200; key++)
        neap_region_unpin(other, pin_in(other, key), now);
    unpin(pin(1));
    pid_t child = start_child(keep_the_lock);
    assert_int_equal(hear(), 1);
    for (uint64_t key = 1; key < 200; key++) {
        unpin(find_in(region, key));
        assert_int_equal(atomic_load(&pin(key)->key), key);
    }
    kill_child(child);
    (void)wait_for(child);
    neap_region_release(other);
}

static void claim_in_vain(void **state)
{
    (void)state;
    begin();
    pid_t child = start_child(keep_the_lock);
    assert_int_equal(hear(), 1);
    assert_int_equal(neap_region_holder(region), 0);
    neap_region_reclaim_own(region, now, reclaim, &now);
    kill_child(child);
    (void)wait_for(child);
    assert_int_equal(neap_region_holder(region), 1);
}

/* Pins, makes and evicts for ever. */
static void live(void)
{
    uint32_t holder;
    neap_region_after_fork(region);
    do
        holder = neap_region_holder(region); /* a slow machine may keep the lock from it */
    while (holder == 0);
    dice_seed = holder;
    say(holder);
    for (;;) {
        uint64_t key = dice(1000);
        struct counter *cell = pin(key);
        now++;
        if (!cell)
            continue;
        if (atomic_load(&cell->key) != key)
            abort();
        atomic_fetch_or(&cell->held, UINT64_C(1) << holder);
        if (dice(16) > 0) {
            atomic_fetch_and(&cell->held, ~(UINT64_C(1) << holder));
            unpin(cell);
        }
    }
}

static void churn(uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t key = dice(1000);
        struct counter *cell = pin(key);
        now++;
        if (!cell)
            continue;
        assert_int_equal(atomic_load(&cell->key), key);
        unpin(cell);
    }
}

static void assert_nothing_is_held(void)
{
    for (uint64_t key = 0; key < 1000; key++) {
        struct counter *cell = find_in(region, key);
        if (!cell)
            continue;
        assert_int_equal(atomic_load(&cell->held), 0);
        unpin(cell);
    }
}

/* Children die at whatever instruction they are. */
static void who_is_killed_anywhere_leaves_the_index_whole(void **state)
{
    (void)state;
    begin();
    dice_seed = 5;
    for (int round = 0; round < 60; round++) {
        pid_t first = start_child(live);
        int ends[2] = {to_parent[0], to_parent[1]};
        (void)hear();
        pid_t second = start_child(live);
        (void)hear();
        churn(dice(3000));
        kill_child(first);
        churn(dice(300));
        kill_child(second);
        churn(10);
        assert_int_equal(reap(), 2);
        assert_int_equal(WTERMSIG(wait_for(second)), SIGKILL);
        to_parent[0] = ends[0];
        to_parent[1] = ends[1];
        assert_int_equal(WTERMSIG(wait_for(first)), SIGKILL);
        assert_nothing_is_held();
    }
    assert_whole();
    assert_int_equal(stats().processes, 1);
}

static uint32_t bucket_of(const struct counter *cell)
{
    return neap_region_cell_of(region, cell)->hash & (region->bucket_count - 1);
}

/* Cells that claim to be larger than they are are cut off, with what hangs on them: so the two must
 * not be in one chain. */
static void putting_in_order_cuts_off_what_cannot_be(void **state)
{
    (void)state;
    begin();
    uint64_t key = 100;
    struct counter *cell = pin(1);
    struct counter *other = pin(key);
    while (bucket_of(other) == bucket_of(cell)) {
        unpin(other);
        other = pin(++key);
    }
    _Atomic uint32_t *next = &neap_region_cell_of(region, cell)->next;
    atomic_store(next, atomic_load(next) ? 0 : UINT32_MAX);
    atomic_store(&neap_region_cell_of(region, other)->cell_bytes, UINT32_MAX);
    unpin(cell);
    unpin(other);
    pid_t child = start_child(die_while_making);
    (void)wait_for(child);
    use(3);
    assert_true(is_there(1));
    assert_false(is_there(key));
    assert_whole();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(each_cell_is_looked_at_once),
        SPEC(who_dies_while_making_a_cell_leaves_no_trace),
        SPEC(who_dies_while_evicting_a_cell_leaves_it_there),
        SPEC(a_lock_that_cannot_be_had_stops_nobody_for_long),
        SPEC(what_others_made_is_found_without_the_lock),
        SPEC(claim_in_vain),
        SPEC(who_is_killed_anywhere_leaves_the_index_whole),
        SPEC(putting_in_order_cuts_off_what_cannot_be),
    };
    return cmocka_run_group_tests_name("region, its index", tests, NULL, NULL);
}
