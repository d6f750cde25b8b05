#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "support/failing_alloc.h"

static struct failing_alloc memory;
static struct neap_buffer buffer;

static int set_up(void **state)
{
    (void)state;
    failing_alloc_init(&memory);
    neap_buffer_init(&buffer, &memory.alloc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_buffer_deinit(&buffer);
    failing_alloc_assert_all_freed(&memory);
    return 0;
}

static void a_new_buffer_holds_nothing_and_has_no_memory(void **state)
{
    (void)state;
    assert_null(buffer.data);
    assert_int_equal(buffer.bytes, 0);
    assert_int_equal(memory.allocations, 0);
}

static void appended_texts_stand_in_order(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    assert_int_equal(neap_buffer_append_text(&buffer, ""), NEAP_OK);
    assert_int_equal(neap_buffer_append_text(&buffer, "def"), NEAP_OK);
    assert_string_equal(buffer.data, "abcdef");
    assert_int_equal(buffer.bytes, 6);
}

static void bytes_may_hold_nul(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append(&buffer, "a\0b", 3), NEAP_OK);
    assert_int_equal(buffer.bytes, 3);
    assert_memory_equal(buffer.data, "a\0b", 4);
}

static void appending_nothing_still_ends_with_nul(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append(&buffer, NULL, 0), NEAP_OK);
    assert_string_equal(buffer.data, "");
}

static void a_format_is_carried_out(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_text(&buffer, "> "), NEAP_OK);
    assert_int_equal(neap_buffer_append_format(&buffer, "%s=%d", "n", 42), NEAP_OK);
    assert_string_equal(buffer.data, "> n=42");
    assert_int_equal(buffer.bytes, 6);
}

static void a_long_format_makes_the_buffer_grow(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_format(&buffer, "%1000d|", 7), NEAP_OK);
    assert_int_equal(buffer.bytes, 1001);
    assert_string_equal(buffer.data + 999, "7|");
}

static void a_format_that_cannot_be_carried_out_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    const wint_t no_character = 0x7FFFFFFF;
    assert_int_equal(neap_buffer_append_format(&buffer, "%lc", no_character), NEAP_INVALID);
    assert_string_equal(buffer.data, "abc");
}

static void growth_doubles(void **state)
{
    (void)state;
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(neap_buffer_append(&buffer, "x", 1), NEAP_OK);
    assert_int_equal(buffer.bytes, 1000000);
    assert_in_range(memory.allocations, 1, 20);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    neap_buffer_clear(&buffer);
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    neap_buffer_clear(&buffer);
    assert_string_equal(buffer.data, "");
    assert_int_equal(buffer.bytes, 0);
    assert_int_equal(neap_buffer_append_text(&buffer, "xyz"), NEAP_OK);
    assert_string_equal(buffer.data, "xyz");
    assert_int_equal(memory.allocations, 1);
}

static void deinit_leaves_a_buffer_that_can_be_used_again(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    neap_buffer_deinit(&buffer);
    neap_buffer_deinit(&buffer);
    assert_int_equal(neap_buffer_append_text(&buffer, "def"), NEAP_OK);
    assert_string_equal(buffer.data, "def");
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    char large[200];
    memset(large, 'x', sizeof large);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_buffer_append(&buffer, "a", 1), NEAP_NO_MEMORY);
    assert_null(buffer.data);
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_buffer_append(&buffer, large, sizeof large), NEAP_NO_MEMORY);
    failing_alloc_fail(&memory, 1);
    assert_int_equal(neap_buffer_append_format(&buffer, "%200d", 1), NEAP_NO_MEMORY);
    assert_string_equal(buffer.data, "abc");
    assert_int_equal(buffer.bytes, 3);
}

static void a_size_that_overflows_is_no_memory(void **state)
{
    (void)state;
    assert_int_equal(neap_buffer_append_text(&buffer, "abc"), NEAP_OK);
    assert_int_equal(neap_buffer_append(&buffer, "", SIZE_MAX), NEAP_NO_MEMORY);
    assert_int_equal(neap_buffer_append(&buffer, "", SIZE_MAX - 3), NEAP_NO_MEMORY);
    assert_string_equal(buffer.data, "abc");
    assert_int_equal(memory.allocations, 1);
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(a_new_buffer_holds_nothing_and_has_no_memory),
        SPEC(appended_texts_stand_in_order),
        SPEC(bytes_may_hold_nul),
        SPEC(appending_nothing_still_ends_with_nul),
        SPEC(a_format_is_carried_out),
        SPEC(a_long_format_makes_the_buffer_grow),
        SPEC(a_format_that_cannot_be_carried_out_is_invalid),
        SPEC(growth_doubles),
        SPEC(clear_keeps_the_memory),
        SPEC(deinit_leaves_a_buffer_that_can_be_used_again),
        SPEC(without_memory_nothing_changes),
        SPEC(a_size_that_overflows_is_no_memory),
    };
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
