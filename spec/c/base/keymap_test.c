#include "base/keymap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

#define MANY 100000

struct cell {
    uint64_t value, more;
};

static struct failing_alloc memory;
static struct neap_keymap map;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_keymap_init(&map, &memory.alloc, sizeof(struct cell), 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_keymap_deinit(&map);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static struct cell *get(const char *key)
{
    return neap_keymap_get(&map, key, strlen(key), NULL);
}

static struct cell *find(const char *key)
{
    return neap_keymap_find(&map, key, strlen(key));
}

/* The keys in the order of iteration, each followed by a space. */
static const char *keys(void)
{
    static char text[100];
    size_t bytes;
    text[0] = '\0';
    for (void *cell = neap_keymap_next(&map, NULL); cell; cell = neap_keymap_next(&map, cell)) {
        strcat(text, neap_keymap_key(cell, &bytes));
        strcat(text, " ");
    }
    return text;
}

static void an_empty_map_finds_nothing_and_has_no_memory(void **state)
{
    (void)state;
    assert_null(find("a"));
    assert_null(neap_keymap_next(&map, NULL));
    assert_int_equal(memory.allocations, 0);
}

static void a_new_cell_is_zeroed_and_aligned(void **state)
{
    (void)state;
    bool is_new = false;
    struct cell *cell = neap_keymap_get(&map, "a", 1, &is_new);
    assert_true(is_new);
    assert_int_equal((uintptr_t)cell % 8, 0);
    assert_int_equal(cell->value, 0);
    assert_int_equal(cell->more, 0);
}

static void a_known_key_leads_to_its_cell(void **state)
{
    (void)state;
    bool is_new = true;
    struct cell *cell = get("a");
    cell->value = 7;
    assert_ptr_equal(neap_keymap_get(&map, "a", 1, &is_new), cell);
    assert_false(is_new);
    assert_ptr_equal(find("a"), cell);
    assert_int_equal(cell->value, 7);
    assert_int_equal(map.count, 1);
}

static void keys_are_compared_by_all_their_bytes(void **state)
{
    (void)state;
    void *shorter = neap_keymap_get(&map, "a\0b", 2, NULL);
    void *longer = neap_keymap_get(&map, "a\0b", 3, NULL);
    void *empty = neap_keymap_get(&map, NULL, 0, NULL);
    assert_ptr_not_equal(shorter, longer);
    assert_ptr_equal(neap_keymap_find(&map, "a\0b", 3), longer);
    assert_ptr_equal(neap_keymap_find(&map, "", 0), empty);
}

static void a_cell_knows_its_key(void **state)
{
    (void)state;
    size_t bytes = 0;
    void *cell = neap_keymap_get(&map, "a\0b", 3, NULL);
    assert_memory_equal(neap_keymap_key(cell, &bytes), "a\0b", 4);
    assert_int_equal(bytes, 3);
}

static void cells_may_be_empty(void **state)
{
    (void)state;
    size_t bytes;
    neap_keymap_init(&map, &memory.alloc, 0, 3);
    assert_string_equal(neap_keymap_key(get("abc"), &bytes), "abc");
}

static void the_key_idle_longest_makes_room(void **state)
{
    (void)state;
    get("a");
    get("b");
    get("c");
    get("d");
    assert_string_equal(keys(), "b c d ");
    assert_null(find("a"));
    assert_int_equal(map.count, 3);
    assert_int_equal(map.evictions, 1);
}

static void getting_counts_as_a_use_and_finding_does_not(void **state)
{
    (void)state;
    get("a");
    get("b");
    get("c");
    get("a");
    find("b");
    get("d");
    assert_string_equal(keys(), "c a d ");
}

static void a_cell_that_comes_again_is_new_and_zeroed(void **state)
{
    (void)state;
    bool is_new = false;
    neap_keymap_init(&map, &memory.alloc, sizeof(struct cell), 1);
    get("a")->value = 7;
    get("b")->value = 8;
    struct cell *cell = neap_keymap_get(&map, "a", 1, &is_new);
    assert_true(is_new);
    assert_int_equal(cell->value, 0);
}

static void a_pinned_cell_is_not_evicted(void **state)
{
    (void)state;
    neap_keymap_pin(&map, get("a"));
    get("b");
    get("c");
    get("d");
    get("e");
    assert_string_equal(keys(), "d e a ");
}

static void where_all_are_pinned_there_is_no_room(void **state)
{
    (void)state;
    bool is_new = true;
    neap_keymap_pin(&map, get("a"));
    neap_keymap_pin(&map, get("b"));
    neap_keymap_pin(&map, get("c"));
    assert_null(get("d"));
    assert_non_null(neap_keymap_get(&map, "b", 1, &is_new));
    assert_false(is_new);
    neap_keymap_unpin(&map, find("b"));
    assert_non_null(get("d"));
    assert_string_equal(keys(), "d a c ");
}

static void pins_count(void **state)
{
    (void)state;
    void *cell = get("a");
    neap_keymap_pin(&map, cell);
    neap_keymap_pin(&map, cell);
    neap_keymap_unpin(&map, cell);
    get("b");
    get("c");
    get("d");
    assert_ptr_equal(find("a"), cell);
    neap_keymap_unpin(&map, cell);
    neap_keymap_unpin(&map, cell);
    get("e");
    get("f");
    assert_ptr_equal(find("a"), cell);
    get("g");
    assert_null(find("a"));
}

static void idle_time_begins_at_the_last_unpin(void **state)
{
    (void)state;
    void *cell = get("a");
    neap_keymap_pin(&map, cell);
    get("b");
    get("c");
    neap_keymap_unpin(&map, cell);
    get("d");
    assert_string_equal(keys(), "c a d ");
}

static void iteration_visits_pinned_cells_too(void **state)
{
    (void)state;
    neap_keymap_pin(&map, get("a"));
    assert_string_equal(keys(), "a ");
    get("b");
    neap_keymap_pin(&map, get("c"));
    assert_string_equal(keys(), "b a c ");
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        failing_alloc_fail(&memory, n);
        assert_null(get("a"));
        assert_int_equal(map.count, 0);
    }
    get("a");
    get("b");
    get("c");
    failing_alloc_fail(&memory, 1);
    assert_null(get("d"));
    assert_string_equal(keys(), "a b c ");
}

static void without_memory_for_more_buckets_the_map_goes_on(void **state)
{
    (void)state;
    char key[16];
    neap_keymap_init(&map, &memory.alloc, 8, 1000);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        if (i == 16)
            failing_alloc_fail(&memory, 1);
        assert_non_null(get(key));
    }
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_non_null(find(key));
    }
}

static void sizes_that_overflow_are_no_memory(void **state)
{
    (void)state;
    neap_keymap_init(&map, &memory.alloc, SIZE_MAX - 10, 3);
    assert_null(get("a"));
}

/* 23 bytes and a NUL lie in the entry. */
static void keys_may_have_any_length(void **state)
{
    char key[60];
    size_t bytes;
    (void)state;
    neap_keymap_init(&map, &memory.alloc, 8, 3);
    memset(key, 'k', sizeof key);
    for (size_t length = 0; length < sizeof key; length++) {
        void *cell = neap_keymap_get(&map, key, length, NULL);
        const char *kept = neap_keymap_key(cell, &bytes);
        assert_int_equal(bytes, length);
        assert_memory_equal(kept, key, length);
        assert_int_equal(kept[length], 0);
        assert_ptr_equal(neap_keymap_find(&map, key, length), cell);
    }
    failing_alloc_fail(&memory, 1);
    assert_null(neap_keymap_get(&map, key, sizeof key, NULL));
    failing_alloc_fail(&memory, 0);
    assert_int_equal(map.count, 3);
}

static void a_seed_can_be_given_to_an_empty_map(void **state)
{
    (void)state;
    const struct neap_hash_seed seed = {{1, 2}}, late = {{3, 4}};
    neap_keymap_seed(&map, seed);
    void *cell = get("a");
    neap_keymap_seed(&map, late);
    assert_ptr_equal(find("a"), cell);
}

static void deinit_leaves_an_empty_map(void **state)
{
    (void)state;
    get("a");
    neap_keymap_pin(&map, get("b"));
    neap_keymap_deinit(&map);
    assert_null(find("a"));
    assert_non_null(get("a"));
}

static struct cell *get_number(int number)
{
    return neap_keymap_get(&map, &number, sizeof number, NULL);
}

static void many_keys_are_held(void **state)
{
    (void)state;
    int visited = 0;
    neap_keymap_init(&map, &memory.alloc, sizeof(struct cell), MANY);
    for (int i = 0; i < MANY; i++)
        get_number(i)->value = (uint64_t)i;
    for (int i = 0; i < MANY; i++)
        assert_true(get_number(i)->value == (uint64_t)i);
    for (void *cell = neap_keymap_next(&map, NULL); cell; cell = neap_keymap_next(&map, cell))
        assert_true(((struct cell *)cell)->value == (uint64_t)visited++);
    assert_int_equal(visited, MANY);
}

static void many_keys_go_through_a_small_map(void **state)
{
    (void)state;
    neap_keymap_init(&map, &memory.alloc, sizeof(struct cell), 100);
    for (int i = 0; i < MANY; i++)
        get_number(i)->value = (uint64_t)i;
    assert_int_equal(map.count, 100);
    assert_in_range(memory.outstanding, 2, 20);
    for (int i = MANY - 100; i < MANY; i++)
        assert_true(get_number(i)->value == (uint64_t)i);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_map_finds_nothing_and_has_no_memory),
        SPEC(a_new_cell_is_zeroed_and_aligned),
        SPEC(a_known_key_leads_to_its_cell),
        SPEC(keys_are_compared_by_all_their_bytes),
        SPEC(a_cell_knows_its_key),
        SPEC(cells_may_be_empty),
        SPEC(the_key_idle_longest_makes_room),
        SPEC(getting_counts_as_a_use_and_finding_does_not),
        SPEC(a_cell_that_comes_again_is_new_and_zeroed),
        SPEC(a_pinned_cell_is_not_evicted),
        SPEC(where_all_are_pinned_there_is_no_room),
        SPEC(pins_count),
        SPEC(idle_time_begins_at_the_last_unpin),
        SPEC(iteration_visits_pinned_cells_too),
        SPEC(without_memory_nothing_changes),
        SPEC(without_memory_for_more_buckets_the_map_goes_on),
        SPEC(sizes_that_overflow_are_no_memory),
        SPEC(keys_may_have_any_length),
        SPEC(a_seed_can_be_given_to_an_empty_map),
        SPEC(deinit_leaves_an_empty_map),
        SPEC(many_keys_are_held),
        SPEC(many_keys_go_through_a_small_map),
    };
    return cmocka_run_group_tests_name("keymap", tests, NULL, NULL);
}
