#include "platform/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void it_is_one_object(void **state)
{
    (void)state;
    assert_ptr_equal(neap_platform_alloc(), neap_platform_alloc());
}

static void blocks_are_made_resized_and_freed(void **state)
{
    (void)state;
    const struct neap_alloc *alloc = neap_platform_alloc();
    char *text = neap_copy_text(alloc, "abc", 3);
    text = neap_resize(alloc, text, 1000);
    assert_string_equal(text, "abc");
    neap_free(alloc, text);
}

static void freeing_answers_null(void **state)
{
    (void)state;
    const struct neap_alloc *alloc = neap_platform_alloc();
    void *block = neap_alloc(alloc, 10);
    assert_null(alloc->resize(alloc->context, block, 0));
    assert_null(alloc->resize(alloc->context, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_one_object),
        cmocka_unit_test(blocks_are_made_resized_and_freed),
        cmocka_unit_test(freeing_answers_null),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
