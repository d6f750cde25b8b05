#include "shared/region_fixture.h"

/* ---- the object ---- */

static enum neap_status try_open(const char *as, size_t bytes)
{
    struct neap_region *none = NULL;
    enum neap_status status = neap_region_open(&memory.alloc, as, bytes, &none, message);
    assert_null(none);
    return status;
}

static void names_and_sizes_out_of_range_are_invalid(void **state)
{
    (void)state;
    char longest[NEAP_REGION_NAME_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const names[] = {"", "a/b", "a b", "\xc3\xa4", "a\n", longest};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(try_open(names[i], SMALL), NEAP_INVALID);
    assert_false(neap_region_is_name("a\0b", 3));
    assert_true(neap_region_is_name("a.B-1_", 6));
    assert_int_equal(try_open(name, SMALL - 1), NEAP_INVALID);
    assert_int_equal(try_open(name, (size_t)NEAP_REGION_BYTES_MAX + 1), NEAP_INVALID);
    assert_int_equal(try_open(name, SIZE_MAX), NEAP_INVALID);
}

static void a_region_knows_its_name(void **state)
{
    (void)state;
    begin();
    assert_string_equal(neap_region_name(region), name);
}

static void references_count(void **state)
{
    (void)state;
    begin();
    assert_ptr_equal(neap_region_hold(region), region);
    neap_region_release(region);
    assert_non_null(pin(1));
    neap_region_release(NULL);
}

static void a_number_is_claimed_at_the_first_use(void **state)
{
    (void)state;
    begin();
    assert_int_equal(stats().processes, 0);
    assert_int_equal(neap_region_holder(region), 1);
    assert_int_equal(neap_region_holder(region), 1);
    assert_int_equal(stats().processes, 1);
}

static void each_object_has_its_own_number(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    assert_int_equal(neap_region_holder(region), 1);
    assert_int_equal(neap_region_holder(other), 2);
    assert_int_equal(stats().processes, 2);
    neap_region_release(other);
    assert_int_equal(stats().processes, 1);
}

static void where_all_numbers_are_taken_nothing_can_be_pinned(void **state)
{
    (void)state;
    static struct neap_region *others[NEAP_HOLDER_MAX];
    begin();
    for (uint32_t i = 0; i < NEAP_HOLDER_MAX; i++) {
        others[i] = join(SMALL);
        assert_int_equal(neap_region_holder(others[i]), i + 1);
    }
    assert_int_equal(neap_region_holder(region), 0);
    assert_null(pin(1));
    assert_null(find_in(region, 1));
    assert_int_equal(stats().processes, NEAP_HOLDER_MAX);
    neap_region_release(others[100]);
    assert_int_equal(neap_region_holder(region), 101);
    assert_non_null(pin(1));
    for (uint32_t i = 0; i < NEAP_HOLDER_MAX; i++)
        if (i != 100)
            neap_region_release(others[i]);
}

/* ---- cells ---- */

static int made;

static void check_new_memory(void *cell, const struct neap_cell_shape *of, const void *context)
{
    static const unsigned char zero[100];
    assert_int_equal((uintptr_t)cell % 8, 0);
    assert_memory_equal(cell, zero, sizeof zero);
    assert_memory_equal(of, &shape, sizeof shape);
    assert_string_equal(context, "context");
    memset(cell, 0xA5, sizeof zero);
    made++;
}

static void new_memory_is_zeroed_and_made_once(void **state)
{
    (void)state;
    begin();
    made = 0;
    for (int i = 0; i < 2000; i++) {
        void *cell =
            neap_region_pin(region, &i, sizeof i, &shape, 100, now++, check_new_memory, "context");
        assert_non_null(cell);
        assert_ptr_equal(
            neap_region_pin(region, &i, sizeof i, &shape, 100, now++, check_new_memory, "context"),
            cell);
        unpin(cell);
        unpin(cell);
    }
    assert_int_equal(made, 2000);
}

static void two_objects_see_one_cell(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    struct counter *here = pin(7);
    struct counter *there = pin_in(other, 7);
    assert_ptr_not_equal(here, there);
    atomic_store(&here->value, 42);
    assert_int_equal(atomic_load(&there->value), 42);
    assert_int_equal(stats().cells, 1);
    neap_region_release(other);
}

static void cells_outlive_those_who_made_them(void **state)
{
    (void)state;
    begin();
    atomic_store(&pin(7)->value, 42);
    neap_region_release(region);
    begin();
    assert_int_equal(atomic_load(&find_in(region, 7)->value), 42);
}

static void shapes_are_apart(void **state)
{
    (void)state;
    struct neap_cell_shape other = shape;
    uint64_t key = 7;
    begin();
    struct counter *first = pin(key);
    for (int i = 0; i < 4; i++) {
        other = shape;
        *(i == 3 ? &other.kind : &other.size[i]) += 1;
        assert_null(neap_region_find(region, &key, sizeof key, &other));
        void *cell = neap_region_pin(region, &key, sizeof key, &other, 48, now, make_counter, &key);
        assert_non_null(cell);
        assert_ptr_not_equal(cell, first);
        assert_ptr_equal(neap_region_find(region, &key, sizeof key, &other), cell);
    }
    assert_int_equal(stats().cells, 5);
}

static void *pin_text(const char *key, size_t bytes)
{
    uint64_t number = 0;
    return neap_region_pin(region, key, bytes, &shape, sizeof(struct counter), now, make_counter,
                           &number);
}

static void keys_are_compared_by_all_their_bytes(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "a\0", "a\0b", "a\0c", "b"};
    static const size_t bytes[] = {1, 2, 3, 3, 1};
    void *cell[5];
    begin();
    for (int i = 0; i < 5; i++) {
        cell[i] = pin_text(keys[i], bytes[i]);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(cell[i], cell[k]);
    }
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(pin_text(keys[i], bytes[i]), cell[i]);
}

static void keys_may_be_empty_or_long(void **state)
{
    (void)state;
    static char key[5000];
    begin();
    void *empty = pin_text(NULL, 0);
    void *longer = pin_text(key, sizeof key);
    assert_non_null(empty);
    assert_non_null(longer);
    assert_ptr_not_equal(empty, longer);
    assert_ptr_equal(pin_text("", 0), empty);
}

static void what_is_larger_than_the_region_finds_no_room(void **state)
{
    (void)state;
    static char key[SMALL];
    uint64_t number = 1;
    begin();
    use(2);
    assert_null(pin_text(key, sizeof key));
    assert_null(neap_region_pin(region, key, 1, &shape, SMALL, now, make_counter, &number));
    assert_int_equal(stats().refused, 2);
    assert_null(neap_region_pin(region, key, 1, &shape, SIZE_MAX, now, make_counter, &number));
    assert_null(neap_region_pin(region, key, 1, &shape, UINT32_MAX, now, make_counter, &number));
    assert_true(is_there(2));
}

static void a_cell_knows_its_size(void **state)
{
    (void)state;
    uint64_t key = 1;
    begin();
    void *cell = neap_region_pin(region, &key, 8, &shape, 123, now, make_counter, &key);
    assert_int_equal(neap_region_cell_bytes(region, cell), 123);
    assert_int_equal(neap_region_cell_bytes(region, (char *)cell + 1), 0);
    assert_int_equal(neap_region_cell_bytes(region, &key), 0);
    assert_int_equal(neap_region_cell_bytes(region, NULL), 0);
    assert_int_equal(neap_region_cell_bytes(region, (char *)cell + SMALL), 0);
}

static void a_size_that_the_shape_does_not_have_leads_to_no_cell(void **state)
{
    (void)state;
    uint64_t key = 1;
    begin();
    assert_non_null(pin(key));
    assert_null(neap_region_pin(region, &key, sizeof key, &shape, 8, now, make_counter, &key));
}

/* ---- memory of this process ---- */

static void without_memory_nothing_is_opened(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_int_equal(try_open(name, SMALL), NEAP_NO_MEMORY);
}

static void without_memory_nothing_is_pinned(void **state)
{
    (void)state;
    begin();
    fill_hands();
    size_t n = 1;
    for (failing_alloc_fail(&memory, n); !pin(1); failing_alloc_fail(&memory, ++n)) {
        assert_int_equal(stats().cells, NEAP_REGION_HANDS);
        assert_int_equal(stats().refused, 0);
    }
    assert_in_range(n, 2, 10);
    failing_alloc_fail(&memory, 0);
    assert_ptr_equal(pin(1), find_in(region, 1));
}

static void a_few_pins_need_no_memory(void **state)
{
    (void)state;
    begin();
    failing_alloc_fail(&memory, 1);
    fill_hands();
    failing_alloc_fail(&memory, 0);
}

static void without_memory_nothing_is_found(void **state)
{
    (void)state;
    begin();
    struct neap_region *other = join(SMALL);
    neap_region_unpin(other, pin_in(other, 1), now);
    fill_hands();
    size_t n = 1;
    for (failing_alloc_fail(&memory, n); !find_in(region, 1); failing_alloc_fail(&memory, ++n))
        continue;
    assert_in_range(n, 2, 10);
    neap_region_release(other);
}

static void without_memory_nothing_is_evicted(void **state)
{
    (void)state;
    begin();
    uint64_t count = fill(1);
    size_t n = 1;
    for (failing_alloc_fail(&memory, n); !pin(count + 1); failing_alloc_fail(&memory, ++n))
        assert_int_equal(stats().cells, count);
    assert_int_equal(stats().cells, count);
    assert_in_range(n, 2, 10);
}

/* ---- numbers ---- */

static void numbers_of_the_region(void **state)
{
    (void)state;
    region = join(SMALL + 12345);
    assert_int_equal(stats().bytes, SMALL + 12345);
    size_t empty = stats().used_bytes;
    assert_in_range(empty, 1, SMALL / 2);
    assert_non_null(pin(1));
    assert_int_equal(stats().used_bytes, empty + 192);
    use(2);
    assert_int_equal(stats().used_bytes, empty + 2 * 192);
    assert_int_equal(stats().cells, 2);
    assert_int_equal(stats().processes, 1);
    assert_int_equal(stats().evicted, 0);
    assert_int_equal(stats().refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(names_and_sizes_out_of_range_are_invalid),
        SPEC(a_region_knows_its_name),
        SPEC(references_count),
        SPEC(a_number_is_claimed_at_the_first_use),
        SPEC(each_object_has_its_own_number),
        SPEC(where_all_numbers_are_taken_nothing_can_be_pinned),
        SPEC(new_memory_is_zeroed_and_made_once),
        SPEC(two_objects_see_one_cell),
        SPEC(cells_outlive_those_who_made_them),
        SPEC(shapes_are_apart),
        SPEC(keys_are_compared_by_all_their_bytes),
        SPEC(keys_may_be_empty_or_long),
        SPEC(what_is_larger_than_the_region_finds_no_room),
        SPEC(a_cell_knows_its_size),
        SPEC(a_size_that_the_shape_does_not_have_leads_to_no_cell),
        SPEC(without_memory_nothing_is_opened),
        SPEC(without_memory_nothing_is_pinned),
        SPEC(a_few_pins_need_no_memory),
        SPEC(without_memory_nothing_is_found),
        SPEC(without_memory_nothing_is_evicted),
        SPEC(numbers_of_the_region),
    };
    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
