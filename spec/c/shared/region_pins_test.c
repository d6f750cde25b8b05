#include "shared/region_fixture.h"

/* ---- finding ---- */

static void finding_makes_nothing(void **state)
{
    (void)state;
    begin();
    assert_null(find_in(region, 7));
    assert_int_equal(stats().cells, 0);
    struct neap_region *other = join(SMALL);
    struct counter *cell = pin_in(other, 7);
    atomic_store(&cell->value, 3);
    assert_int_equal(atomic_load(&find_in(region, 7)->value), 3);
    neap_region_release(other);
}

static void finding_pins(void **state)
{
    (void)state;
    begin();
    use(1);
    struct counter *cell = find_in(region, 1);
    for (uint64_t key = 2; key < 2000; key++)
        use(key);
    assert_int_equal(atomic_load(&cell->key), 1);
    assert_ptr_equal(find_in(region, 1), cell);
    unpin(cell);
    unpin(cell);
    for (uint64_t key = 2; key < 2000; key++)
        use(key);
    assert_false(is_there(1));
}

static void finding_is_no_use(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    assert_true(is_there(1));
    use(count + 1);
    assert_false(is_there(1));
    assert_true(is_there(2));
}

static void finding_and_then_pinning_is_a_use(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    struct counter *cell = find_in(region, 1);
    assert_ptr_equal(pin(1), cell);
    unpin(cell);
    unpin(cell);
    use(count + 1);
    assert_true(is_there(1));
    assert_false(is_there(2));
}

/* ---- pins ---- */

static void assert_pinned(uint64_t key, bool expected)
{
    now++;
    for (uint64_t other = 1000; other < 3000; other++)
        use(other);
    assert_int_equal(is_there(key), expected);
}

static void pins_count(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1);
    assert_ptr_equal(pin(1), cell);
    neap_region_pin_again(region, cell);
    for (int i = 0; i < 3; i++) {
        assert_pinned(1, true);
        unpin(cell);
    }
    assert_pinned(1, false);
}

static void an_unpin_too_many_changes_nothing(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    struct counter *cell = pin(1);
    struct counter *there = pin_in(other, 1);
    unpin(cell);
    unpin(cell);
    unpin(NULL);
    unpin((char *)cell + 1);
    unpin(&now);
    neap_region_pin_again(region, cell);
    neap_region_pin_again(region, &now);
    assert_pinned(1, true);
    neap_region_unpin(other, there, now);
    assert_pinned(1, false);
    neap_region_release(other);
}

static void each_object_pins_for_itself(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    struct counter *there = pin_in(other, 1);
    unpin(pin(1));
    assert_pinned(1, true);
    assert_int_equal(atomic_load(&there->key), 1);
    neap_region_release(other);
    assert_pinned(1, false);
}

static void a_cell_that_was_evicted_and_made_again_is_found(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    neap_region_unpin(other, pin_in(other, 1), now);
    assert_pinned(1, false);
    atomic_store(&pin(1)->value, 5);
    assert_int_equal(atomic_load(&pin_in(other, 1)->value), 5);
    neap_region_release(other);
}

static bool is_held(const struct counter *cell)
{
    struct neap_region_place place;
    const struct neap_region_cell *head = neap_region_cell_of(region, cell);
    assert_true(neap_region_place_at(region, neap_region_granule_of(region, head), &place));
    return neap_region_is_held(region, &place);
}

/* In an order in which what was put beside its place must move up again. */
static void many_are_pinned_at_once(void **state)
{
    enum { MANY = 5000 };
    static struct counter *cell[MANY];
    (void)state;
    region = join((size_t)MANY * 512);
    for (uint64_t key = 0; key < MANY; key++)
        cell[key] = pin(key);
    for (uint64_t key = 0; key < MANY; key++)
        assert_ptr_equal(pin(key), cell[key]);
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t key = i * 7919 % MANY;
        unpin(cell[key]);
        unpin(cell[key]);
        assert_false(is_held(cell[key]));
        assert_true(i + 1 == MANY || is_held(cell[(i + 1) * 7919 % MANY]));
    }
    assert_int_equal(region->pins.taken, 0);
    unpin(cell[0]);
    assert_int_equal(stats().cells, MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(finding_makes_nothing),
        SPEC(finding_pins),
        SPEC(finding_is_no_use),
        SPEC(finding_and_then_pinning_is_a_use),
        SPEC(pins_count),
        SPEC(an_unpin_too_many_changes_nothing),
        SPEC(each_object_pins_for_itself),
        SPEC(a_cell_that_was_evicted_and_made_again_is_found),
        SPEC(many_are_pinned_at_once),
    };
    return cmocka_run_group_tests_name("region, its pins", tests, NULL, NULL);
}
