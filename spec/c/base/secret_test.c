#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void the_same_bytes_are_the_same(void **state)
{
    (void)state;
    assert_true(neap_is_same_secret("a\0b", "a\0b", 3));
    assert_true(neap_is_same_secret("a", "b", 0));
    assert_true(neap_is_same_secret_text("", ""));
    assert_true(neap_is_same_secret_text("Bearer x", "Bearer x"));
}

static void one_bit_anywhere_is_a_difference(void **state)
{
    (void)state;
    unsigned char one[32] = {0}, other[32] = {0};
    for (size_t i = 0; i < sizeof one * 8; i++) {
        other[i / 8] ^= (unsigned char)(1u << i % 8);
        assert_false(neap_is_same_secret(one, other, sizeof one));
        other[i / 8] = 0;
    }
    assert_true(neap_is_same_secret(one, other, sizeof one));
}

static void differences_do_not_cancel_each_other(void **state)
{
    (void)state;
    assert_false(neap_is_same_secret("ab", "ba", 2));
    assert_false(neap_is_same_secret("\xff\xff", "\x00\x00", 2));
}

static void a_beginning_is_not_the_whole(void **state)
{
    (void)state;
    assert_false(neap_is_same_secret_text("Bearer x", "Bearer xy"));
    assert_false(neap_is_same_secret_text("Bearer xy", "Bearer x"));
    assert_false(neap_is_same_secret_text("", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_are_the_same),
        cmocka_unit_test(one_bit_anywhere_is_a_difference),
        cmocka_unit_test(differences_do_not_cancel_each_other),
        cmocka_unit_test(a_beginning_is_not_the_whole),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
