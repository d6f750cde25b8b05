#include "store/memory_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/failing_alloc.h"
#include "support/stores.h"

#define MANY 1000

struct record {
    struct neap_table_node node;
    uint32_t number;
    bool is_seen;
};

static struct failing_alloc memory;
static struct neap_table table;
static struct record record[MANY];

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_table_init(&table, &memory.alloc, (struct neap_hash_seed){{1, 2}});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_table_deinit(&table);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static struct neap_bytes key_of(const struct record *of)
{
    return (struct neap_bytes){&of->number, sizeof of->number};
}

static void add(uint32_t i)
{
    record[i] = (struct record){.number = i};
    assert_true(neap_table_reserve(&table));
    neap_table_add(&table, &record[i].node, key_of(&record[i]));
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    assert_null(neap_table_find(&table, bytes_of("a")));
    assert_null(neap_table_next(&table, NULL));
    assert_int_equal(memory.allocations, 0);
}

static void many_records_are_found_and_removed(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        add(i);
    for (uint32_t i = 0; i < MANY; i += 2)
        neap_table_remove(&table, &record[i].node);
    for (uint32_t i = 0; i < MANY; i++)
        assert_ptr_equal(neap_table_find(&table, key_of(&record[i])),
                         i % 2 ? &record[i].node : NULL);
    assert_int_equal(table.count, MANY / 2);
}

static void the_empty_key_is_a_key(void **state)
{
    (void)state;
    assert_true(neap_table_reserve(&table));
    neap_table_add(&table, &record[0].node, (struct neap_bytes){NULL, 0});
    assert_ptr_equal(neap_table_find(&table, bytes_of("")), &record[0].node);
    assert_null(neap_table_find(&table, bytes_of("a")));
}

static void a_walk_visits_each_record_once(void **state)
{
    (void)state;
    int visited = 0;
    for (uint32_t i = 0; i < MANY; i++)
        add(i);
    struct neap_table_node *node = neap_table_next(&table, NULL);
    for (; node; node = neap_table_next(&table, node)) {
        struct record *at = (struct record *)node;
        assert_false(at->is_seen);
        at->is_seen = true;
        visited++;
    }
    assert_int_equal(visited, MANY);
}

static void without_memory_only_the_first_reserve_fails(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_false(neap_table_reserve(&table));
    for (uint32_t i = 0; i < 200; i++) {
        if (i == 16)
            failing_alloc_fail(&memory, 1);
        add(i);
    }
    for (uint32_t i = 0; i < 200; i++)
        assert_ptr_equal(neap_table_find(&table, key_of(&record[i])), &record[i].node);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_empty_table_finds_nothing),
        SPEC(many_records_are_found_and_removed),
        SPEC(the_empty_key_is_a_key),
        SPEC(a_walk_visits_each_record_once),
        SPEC(without_memory_only_the_first_reserve_fails),
    };
    return cmocka_run_group_tests_name("memory_table", tests, NULL, NULL);
}
