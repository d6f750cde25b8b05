#include "platform/blocks.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LARGE_BYTES (NEAP_BLOCK_BYTES_MAX + 1000u)

/* Where a sanitizer watches over memory nothing is kept, and it ends who asks for too much. */
static void skip_if_watched(void)
{
    if (NEAP_BLOCKS_OF_A_SIZE == 0)
        skip();
}

static void a_block_has_room_for_what_was_asked_for(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t bytes = 0; bytes < LARGE_BYTES; bytes++) {
            void *block = neap_blocks_take(bytes);
            assert_true(block && malloc_usable_size(block) >= bytes);
            memset(block, 'x', bytes);
            neap_blocks_give_back(block);
        }
}

static void what_was_given_back_is_the_next_one_of_its_size(void **state)
{
    (void)state;
    skip_if_watched();
    uintptr_t first, second;
    void *block = neap_blocks_take(100);
    first = (uintptr_t)block;
    neap_blocks_give_back(block);
    block = neap_blocks_take(60);
    second = (uintptr_t)block;
    neap_blocks_give_back(block);
    assert_int_not_equal(first, second);
    block = neap_blocks_take(100);
    assert_int_equal(first, (uintptr_t)block);
    neap_blocks_give_back(block);
}

static void a_zeroed_block_is_clear_whatever_was_in_it(void **state)
{
    (void)state;
    char *block = neap_blocks_take(200);
    memset(block, 'x', 200);
    neap_blocks_give_back(block);
    block = neap_blocks_take_zeroed(10, 20);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(block[i], 0);
    neap_blocks_give_back(block);
}

static void a_product_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    volatile size_t most = SIZE_MAX;
    skip_if_watched();
    assert_null(neap_blocks_take_zeroed(most / 2 + 2, 2));
    assert_null(neap_blocks_take(most));
    void *none = neap_blocks_take_zeroed(0, 0);
    assert_non_null(none);
    neap_blocks_give_back(none);
}

static void resizing_keeps_what_fits(void **state)
{
    static const size_t sizes[] = {30, 31, 500, 40, LARGE_BYTES, 2 * LARGE_BYTES, 100, 5};
    char *block = neap_blocks_resize(NULL, 5);
    (void)state;
    memcpy(block, "abcd", 5);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block = neap_blocks_resize(block, sizes[i]);
        assert_true(block && malloc_usable_size(block) >= sizes[i]);
        assert_string_equal(block, "abcd");
    }
    neap_blocks_give_back(block);
}

static void a_resize_that_fails_leaves_the_block(void **state)
{
    (void)state;
    volatile size_t most = SIZE_MAX;
    skip_if_watched();
    char *block = neap_blocks_copy_text("abcd");
    assert_null(neap_blocks_resize(block, most));
    assert_string_equal(block, "abcd");
    neap_blocks_give_back(block);
    neap_blocks_give_back(NULL);
}

static void give_back_many(size_t bytes, size_t count)
{
    void **blocks = calloc(count, sizeof *blocks);
    for (size_t i = 0; i < count; i++)
        blocks[i] = neap_blocks_take(bytes);
    for (size_t i = 0; i < count; i++)
        neap_blocks_give_back(blocks[i]);
    free(blocks);
}

static size_t bytes_in_use(void)
{
    return mallinfo2().uordblks;
}

/* The C library keeps a few blocks of a size at hand, which count as in use. */
static void *keep_to_the_bounds(void *context)
{
    bool *holds = context;
    size_t before = bytes_in_use();
    give_back_many(1000, 2 * NEAP_BLOCKS_OF_A_SIZE);
    *holds = bytes_in_use() < before + NEAP_BLOCKS_OF_A_SIZE * 1016u * 5 / 4;
    for (size_t bytes = 24; bytes < LARGE_BYTES; bytes += 16)
        give_back_many(bytes, NEAP_BLOCKS_OF_A_SIZE);
    *holds = *holds && bytes_in_use() < before + 2 * NEAP_BLOCKS_BYTES_MAX;
    return NULL;
}

static void a_thread_keeps_so_many_of_a_size_and_in_all(void **state)
{
    pthread_t thread;
    bool holds = false;
    (void)state;
    skip_if_watched();
    assert_int_equal(pthread_create(&thread, NULL, keep_to_the_bounds, &holds), 0);
    pthread_join(thread, NULL);
    assert_true(holds);
}

#define PASSED_ON 64u
#define PASSED_ON_BYTES 2000u

struct passed_on {
    void *block[PASSED_ON];
    bool is_kept;
};

static void *give_back_passed_on(void *context)
{
    struct passed_on *passed_on = context;
    size_t before = bytes_in_use();
    for (size_t i = 0; i < PASSED_ON; i++)
        neap_blocks_give_back(passed_on->block[i]);
    passed_on->is_kept = bytes_in_use() >= before;
    return NULL;
}

static void what_a_thread_keeps_goes_with_it(void **state)
{
    struct passed_on passed_on;
    pthread_t thread;
    (void)state;
    skip_if_watched();
    size_t before = bytes_in_use();
    for (size_t i = 0; i < PASSED_ON; i++)
        passed_on.block[i] = neap_blocks_take(PASSED_ON_BYTES);
    assert_int_equal(pthread_create(&thread, NULL, give_back_passed_on, &passed_on), 0);
    pthread_join(thread, NULL);
    assert_true(passed_on.is_kept);
    assert_true(bytes_in_use() < before + PASSED_ON * PASSED_ON_BYTES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_has_room_for_what_was_asked_for),
        cmocka_unit_test(what_was_given_back_is_the_next_one_of_its_size),
        cmocka_unit_test(a_zeroed_block_is_clear_whatever_was_in_it),
        cmocka_unit_test(a_product_that_does_not_fit_is_refused),
        cmocka_unit_test(resizing_keeps_what_fits),
        cmocka_unit_test(a_resize_that_fails_leaves_the_block),
        cmocka_unit_test(a_thread_keeps_so_many_of_a_size_and_in_all),
        cmocka_unit_test(what_a_thread_keeps_goes_with_it),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
