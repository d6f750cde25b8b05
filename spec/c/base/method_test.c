#include "base/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void idempotent_methods_follow_the_rfc(void **state)
{
    (void)state;
    static const char *const idempotent[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    for (size_t i = 0; i < 6; i++)
        assert_true(neap_method_is_idempotent(idempotent[i]));
    assert_false(neap_method_is_idempotent("POST"));
    assert_false(neap_method_is_idempotent("PATCH"));
    assert_false(neap_method_is_idempotent("get"));
    assert_false(neap_method_is_idempotent(""));
}

static void a_standard_method_is_known_in_any_letter_case(void **state)
{
    (void)state;
    assert_string_equal(neap_method_standard("post"), "POST");
    assert_string_equal(neap_method_standard("Get"), "GET");
    assert_null(neap_method_standard("PURGE"));
    assert_null(neap_method_standard(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idempotent_methods_follow_the_rfc),
        cmocka_unit_test(a_standard_method_is_known_in_any_letter_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
