#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/memory.h"

static void alloc_of_nothing_is_a_block(void **state)
{
    (void)state;
    void *block = neap_alloc(&memory.alloc, 0);
    assert_non_null(block);
    neap_free(&memory.alloc, block);
}

static void zeroed_block_is_zero(void **state)
{
    (void)state;
    static const unsigned char zero[100];
    void *block = neap_alloc_zeroed(&memory.alloc, sizeof zero);
    assert_memory_equal(block, zero, sizeof zero);
    neap_free(&memory.alloc, block);
}

static void array_is_zeroed(void **state)
{
    (void)state;
    uint64_t *array = neap_alloc_array(&memory.alloc, 10, sizeof *array);
    for (int i = 0; i < 10; i++)
        assert_int_equal(array[i], 0);
    neap_free(&memory.alloc, array);
}

static void array_whose_size_overflows_is_null(void **state)
{
    (void)state;
    assert_null(neap_alloc_array(&memory.alloc, SIZE_MAX / 2, 3));
    assert_int_equal(memory.allocations, 0);
}

static void array_of_nothing_is_a_block(void **state)
{
    (void)state;
    void *none = neap_alloc_array(&memory.alloc, 0, 8);
    void *empty = neap_alloc_array(&memory.alloc, 8, 0);
    assert_non_null(none);
    assert_non_null(empty);
    neap_free(&memory.alloc, none);
    neap_free(&memory.alloc, empty);
}

static void resize_keeps_the_bytes(void **state)
{
    (void)state;
    char *block = neap_copy_text(&memory.alloc, "abc", 3);
    char *larger = neap_resize(&memory.alloc, block, 1000);
    assert_string_equal(larger, "abc");
    neap_free(&memory.alloc, larger);
}

static void resize_that_fails_leaves_the_block(void **state)
{
    (void)state;
    char *block = neap_copy_text(&memory.alloc, "abc", 3);
    failing_alloc_fail(&memory, 1);
    assert_null(neap_resize(&memory.alloc, block, 1000));
    assert_string_equal(block, "abc");
    neap_free(&memory.alloc, block);
}

static void resize_to_nothing_is_not_a_free(void **state)
{
    (void)state;
    char *block = neap_copy_text(&memory.alloc, "abc", 3);
    block = neap_resize(&memory.alloc, block, 0);
    assert_non_null(block);
    neap_free(&memory.alloc, block);
}

static void copied_text_ends_with_nul(void **state)
{
    (void)state;
    char *copy = neap_copy_text(&memory.alloc, "abcdef", 3);
    assert_string_equal(copy, "abc");
    neap_free(&memory.alloc, copy);
}

static void copied_text_may_be_empty_or_hold_nul(void **state)
{
    (void)state;
    char *empty = neap_copy_text(&memory.alloc, NULL, 0);
    char *binary = neap_copy_text(&memory.alloc, "a\0b", 3);
    assert_string_equal(empty, "");
    assert_memory_equal(binary, "a\0b", 4);
    neap_free(&memory.alloc, empty);
    neap_free(&memory.alloc, binary);
}

static void freeing_null_is_harmless(void **state)
{
    (void)state;
    neap_free(&memory.alloc, NULL);
}

static void a_failure_is_null(void **state)
{
    (void)state;
    failing_alloc_fail(&memory, 1);
    assert_null(neap_alloc(&memory.alloc, 1));
    failing_alloc_fail(&memory, 1);
    assert_null(neap_alloc_zeroed(&memory.alloc, 1));
    failing_alloc_fail(&memory, 1);
    assert_null(neap_alloc_array(&memory.alloc, 1, 1));
    failing_alloc_fail(&memory, 1);
    assert_null(neap_copy_text(&memory.alloc, "a", 1));
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, memory_set_up, memory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(alloc_of_nothing_is_a_block),
        SPEC(zeroed_block_is_zero),
        SPEC(array_is_zeroed),
        SPEC(array_whose_size_overflows_is_null),
        SPEC(array_of_nothing_is_a_block),
        SPEC(resize_keeps_the_bytes),
        SPEC(resize_that_fails_leaves_the_block),
        SPEC(resize_to_nothing_is_not_a_free),
        SPEC(copied_text_ends_with_nul),
        SPEC(copied_text_may_be_empty_or_hold_nul),
        SPEC(freeing_null_is_harmless),
        SPEC(a_failure_is_null),
    };
    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
