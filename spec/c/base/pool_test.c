#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

#define MANY 5000

static struct failing_alloc memory;
static struct neap_pool pool;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_pool_init(&pool, &memory.alloc, 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_pool_deinit(&pool);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void blocks_are_aligned_and_apart(void **state)
{
    static unsigned char *block[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        block[i] = neap_pool_take(&pool);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 8, 0);
        memset(block[i], i % 251, 20);
    }
    for (int i = 0; i < MANY; i++)
        for (int at = 0; at < 20; at++)
            assert_int_equal(block[i][at], i % 251);
}

static void many_blocks_share_an_allocation(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        assert_non_null(neap_pool_take(&pool));
    assert_in_range(memory.allocations, 2, 20);
}

static void what_is_given_is_taken_again(void **state)
{
    (void)state;
    void *first = neap_pool_take(&pool), *second = neap_pool_take(&pool);
    size_t allocations = memory.allocations;
    neap_pool_give(&pool, first);
    neap_pool_give(&pool, second);
    assert_ptr_equal(neap_pool_take(&pool), second);
    assert_ptr_equal(neap_pool_take(&pool), first);
    assert_int_equal(memory.allocations, allocations);
}

static void small_blocks_have_room_to_be_free(void **state)
{
    (void)state;
    neap_pool_init(&pool, &memory.alloc, 0);
    void *block = neap_pool_take(&pool);
    neap_pool_give(&pool, block);
    assert_ptr_equal(neap_pool_take(&pool), block);
}

static void a_block_may_be_larger_than_a_slab(void **state)
{
    (void)state;
    neap_pool_init(&pool, &memory.alloc, 100000);
    for (int i = 0; i < 3; i++)
        memset(neap_pool_take(&pool), i, 100000);
}

static void without_memory_there_is_no_block(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_null(neap_pool_take(&pool));
    failing_alloc_fail(&memory, 0);
    assert_non_null(neap_pool_take(&pool));
}

static void sizes_that_overflow_are_no_memory(void **state)
{
    (void)state;
    for (size_t less = 0; less < 15; less++) {
        neap_pool_init(&pool, &memory.alloc, SIZE_MAX - less);
        assert_null(neap_pool_take(&pool));
    }
}

static void deinit_leaves_an_empty_pool(void **state)
{
    (void)state;
    neap_pool_give(&pool, neap_pool_take(&pool));
    neap_pool_deinit(&pool);
    assert_int_equal(memory.outstanding, 0);
    assert_non_null(neap_pool_take(&pool));
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(blocks_are_aligned_and_apart),      SPEC(many_blocks_share_an_allocation),
        SPEC(what_is_given_is_taken_again),      SPEC(small_blocks_have_room_to_be_free),
        SPEC(a_block_may_be_larger_than_a_slab), SPEC(without_memory_there_is_no_block),
        SPEC(sizes_that_overflow_are_no_memory), SPEC(deinit_leaves_an_empty_pool),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
