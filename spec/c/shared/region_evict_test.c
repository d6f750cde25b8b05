#include "shared/region_fixture.h"

#define SHUFFLED 3000

static void the_cell_idle_longest_makes_room(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    use(1);
    use(3);
    use(count + 1);
    use(count + 2);
    assert_true(is_there(1));
    assert_false(is_there(2));
    assert_true(is_there(3));
    assert_false(is_there(4));
    assert_true(is_there(5));
    assert_int_equal(stats().evicted, 2);
    assert_int_equal(stats().cells, count);
}

static void idle_time_begins_at_the_last_unpin(void **state)
{
    (void)state;
    begin();
    struct counter *cell = pin(1000000);
    uint64_t count = fill(1);
    now++;
    unpin(cell);
    for (uint64_t key = 1; key <= count; key++) {
        assert_true(is_there(1000000));
        use(count + key);
        assert_false(is_there(key));
    }
    use(3 * count);
    assert_false(is_there(1000000));
}

/* A clock that steps back makes nothing older. */
static void time_that_steps_back_makes_no_cell_older(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    use(1);
    int64_t before = now;
    now = 0;
    use(1);
    now = before;
    use(count + 1);
    assert_true(is_there(1));
    assert_false(is_there(2));
}

/* Eight regions' worth of cells in an order by chance; what is evicted is told from what the test
 * remembers. */
static void the_order_is_exact_however_many_there_are(void **state)
{
    (void)state;
    static int64_t used[SHUFFLED];
    static bool is_in[SHUFFLED];
    region = join(8 * SMALL);
    dice_seed = 1;
    memset(is_in, 0, sizeof is_in);
    uint64_t evicted = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t key = dice(SHUFFLED);
        now++;
        use(key);
        if (stats().evicted > evicted) {
            uint64_t oldest = SHUFFLED;
            for (uint64_t other = 0; other < SHUFFLED; other++)
                if (is_in[other] && (oldest == SHUFFLED || used[other] < used[oldest]))
                    oldest = other;
            assert_in_range(oldest, 0, SHUFFLED - 1);
            assert_false(is_in[key]);
            assert_false(is_there(oldest));
            is_in[oldest] = false;
            evicted++;
        }
        assert_int_equal(stats().evicted, evicted);
        is_in[key] = true;
        used[key] = now;
    }
    assert_in_range(evicted, 1000, 19000);
    for (uint64_t key = 0; key < SHUFFLED; key++)
        assert_int_equal(is_there(key), is_in[key]);
}

static void two_objects_evict_in_one_order(void **state)
{
    (void)state;
    begin();
    struct neap_region *own = region;
    struct neap_region *other = join(SMALL);
    uint64_t count = fill(1);
    for (uint64_t key = 1; key < 3 * count; key++) {
        region = key % 3 ? own : other;
        assert_true(is_there(key));
        use(count + key);
        assert_false(is_there(key));
    }
    region = own;
    neap_region_release(other);
}

static void where_all_are_pinned_nothing_is_made(void **state)
{
    (void)state;
    begin();
    uint64_t count = 0;
    while (pin(count))
        count++;
    assert_in_range(count, 100, 1000);
    assert_int_equal(stats().refused, 1);
    assert_null(pin(count));
    assert_int_equal(stats().refused, 2);
    assert_int_equal(stats().cells, count);
    assert_int_equal(stats().evicted, 0);
    struct counter *cell = find_in(region, 17);
    unpin(cell);
    unpin(cell);
    assert_non_null(pin(count));
    for (uint64_t key = 0; key <= count; key++)
        assert_int_equal(is_there(key), key != 17);
}

static void pins_of_other_processes_count(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    uint64_t count = 0;
    while (pin_in(other, count))
        count++;
    assert_null(pin(count));
    neap_region_release(other);
    assert_non_null(pin(count));
}

/* ---- sizes ---- */

static unsigned char *pin_sized(uint64_t key, size_t bytes)
{
    struct neap_cell_shape sized = {.kind = 9, .size = {(uint32_t)bytes, 0, 0}};
    return neap_region_pin(region, &key, sizeof key, &sized, bytes, now++, make_counter, &key);
}

static void a_large_cell_takes_the_place_of_many_small_ones(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    unsigned char *large = pin_sized(1, 10000);
    assert_non_null(large);
    assert_in_range(stats().evicted, 10000 / 192, 2 * 10000 / 192);
    assert_int_equal(stats().cells, count - stats().evicted + 1);
    memset(large, 0xff, 10000);
    for (uint64_t key = stats().evicted + 1; key <= count; key++)
        assert_int_equal(atomic_load(&find_in(region, key)->key), key);
}

static void the_whole_region_can_be_one_cell(void **state)
{
    (void)state;
    begin();
    size_t all = stats().bytes - stats().used_bytes;
    (void)fill(1);
    assert_null(pin_sized(1, all - 64 - 24 + 1));
    unsigned char *large = pin_sized(1, all - 64 - 24);
    assert_non_null(large);
    memset(large, 0xff, all - 64 - 24);
    assert_int_equal(stats().used_bytes, stats().bytes);
    assert_int_equal(stats().cells, 1);
}

/* Whatever sizes come and go, no two cells lie upon each other. */
static void cells_of_all_sizes_stay_apart(void **state)
{
    (void)state;
    enum { PINNED = 40 };
    struct {
        unsigned char *cell;
        size_t bytes;
        unsigned char mark;
    } pinned[PINNED] = {0};
    begin();
    dice_seed = 2;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t which = dice(PINNED);
        if (pinned[which].cell) {
            for (size_t k = 8; k < pinned[which].bytes; k++)
                assert_int_equal(pinned[which].cell[k], pinned[which].mark);
            unpin(pinned[which].cell);
        }
        pinned[which].bytes = 8 + dice(dice(2) ? 300 : 1500);
        pinned[which].mark = (unsigned char)i;
        pinned[which].cell = pin_sized(i, pinned[which].bytes);
        if (pinned[which].cell)
            memset(pinned[which].cell + 8, (unsigned char)i, pinned[which].bytes - 8);
    }
    assert_in_range(stats().evicted, 1000, 20000);
    for (int i = 0; i < PINNED; i++)
        if (pinned[i].cell)
            unpin(pinned[i].cell);
    assert_non_null(pin_sized(1, 40000));
}

static void sizes_of_regions_are_used_to_the_end(void **state)
{
    (void)state;
    for (size_t bytes = SMALL; bytes < SMALL + 3000; bytes += 97) {
        region = join(bytes);
        uint64_t count = fill(1);
        for (uint64_t key = 1; key <= count; key++)
            memset(find_in(region, key), 0xff, sizeof(struct counter));
        neap_region_release(region);
        assert_int_equal(shm_unlink(path), 0);
    }
    region = NULL;
}

/* ---- what a process remembers ---- */

static void however_many_cells_a_process_remembers_the_pinned_ones(void **state)
{
    (void)state;
    enum { MANY = 150000 };
    region = join((size_t)MANY * 256);
    struct counter *first = pin(0);
    for (uint64_t key = 1; key < MANY; key++) {
        struct counter *cell = pin(key);
        atomic_store(&cell->value, key + 1);
        unpin(cell);
    }
    assert_int_equal(stats().evicted, 0);
    assert_ptr_equal(pin(0), first);
    for (uint64_t key = 1; key < MANY; key++) {
        struct counter *cell = pin(key);
        assert_int_equal(atomic_load(&cell->value), key + 1);
        unpin(cell);
    }
    assert_int_equal(stats().cells, MANY);
    assert_in_range(memory.outstanding, 1, 4);
}

static void churn_without_end_keeps_a_process_small(void **state)
{
    (void)state;
    begin();
    for (uint64_t key = 0; key < 200000; key++)
        use(key);
    assert_in_range(memory.outstanding, 1, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(the_cell_idle_longest_makes_room),
        SPEC(idle_time_begins_at_the_last_unpin),
        SPEC(time_that_steps_back_makes_no_cell_older),
        SPEC(the_order_is_exact_however_many_there_are),
        SPEC(two_objects_evict_in_one_order),
        SPEC(where_all_are_pinned_nothing_is_made),
        SPEC(pins_of_other_processes_count),
        SPEC(a_large_cell_takes_the_place_of_many_small_ones),
        SPEC(the_whole_region_can_be_one_cell),
        SPEC(cells_of_all_sizes_stay_apart),
        SPEC(sizes_of_regions_are_used_to_the_end),
        SPEC(however_many_cells_a_process_remembers_the_pinned_ones),
        SPEC(churn_without_end_keeps_a_process_small),
    };
    return cmocka_run_group_tests_name("region, making room", tests, NULL, NULL);
}
