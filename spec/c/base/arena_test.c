#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static struct failing_alloc failing;
static struct neap_arena arena;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&failing);
    neap_arena_init(&arena, &failing.alloc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_arena_deinit(&arena);
    failing_alloc_assert_all_freed(&failing);
    return 0;
}

static void blocks_are_aligned_and_apart(void **state)
{
    (void)state;
    char *previous = neap_arena_take(&arena, 1);
    for (size_t bytes = 1; bytes < 300; bytes++) {
        char *block = neap_arena_take(&arena, bytes);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 8, 0);
        memset(block, (int)bytes, bytes);
        assert_ptr_not_equal(block, previous);
        previous = block;
    }
}

static void small_blocks_share_an_allocation(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_non_null(neap_arena_take(&arena, 16));
    assert_int_equal(failing.allocations, 1);
}

static void a_block_larger_than_a_chunk_has_its_own(void **state)
{
    (void)state;
    char *large = neap_arena_take(&arena, 100000);
    assert_non_null(large);
    memset(large, 'x', 100000);
}

static void a_copy_ends_with_a_nul(void **state)
{
    (void)state;
    assert_string_equal(neap_arena_copy(&arena, "payment and more", 7), "payment");
    assert_string_equal(neap_arena_copy(&arena, NULL, 0), "");
}

static void a_size_that_cannot_be_is_refused(void **state)
{
    (void)state;
    assert_null(neap_arena_take(&arena, SIZE_MAX));
    assert_null(neap_arena_take(&arena, SIZE_MAX - 3));
}

static void without_memory_it_answers_null_and_stays_usable(void **state)
{
    (void)state;
    char *first = neap_arena_copy(&arena, "first", 5);
    failing_alloc_fail(&failing, 1);
    assert_null(neap_arena_take(&arena, 5000));
    assert_non_null(neap_arena_take(&arena, 5000));
    assert_string_equal(first, "first");
}

static void what_is_cleared_serves_again_without_an_allocation(void **state)
{
    (void)state;
    char *first = neap_arena_copy(&arena, "first", 5);
    neap_arena_clear(&arena);
    failing_alloc_fail(&failing, 1);
    assert_ptr_equal(neap_arena_copy(&arena, "second", 6), first);
    failing_alloc_fail(&failing, 0);
}

static void of_several_chunks_the_newest_serves_again(void **state)
{
    (void)state;
    assert_non_null(neap_arena_take(&arena, 200));
    char *second = neap_arena_take(&arena, 600);
    assert_int_equal(failing.allocations, 2);
    neap_arena_clear(&arena);
    failing_alloc_fail(&failing, 1);
    assert_ptr_equal(neap_arena_take(&arena, 900), second);
    failing_alloc_fail(&failing, 0);
}

static void much_memory_is_not_kept(void **state)
{
    (void)state;
    assert_non_null(neap_arena_take(&arena, 8));
    assert_non_null(neap_arena_take(&arena, 100000));
    neap_arena_clear(&arena);
    failing_alloc_assert_all_freed(&failing);
    neap_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_are_aligned_and_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_blocks_share_an_allocation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_larger_than_a_chunk_has_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_ends_with_a_nul, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_size_that_cannot_be_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_cleared_serves_again_without_an_allocation, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(of_several_chunks_the_newest_serves_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(much_memory_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_it_answers_null_and_stays_usable, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
