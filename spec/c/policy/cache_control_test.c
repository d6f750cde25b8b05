#include "policy/cache_control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

/* In a block of its own size, so that a sanitizer sees a step beyond it. */
static void add(struct neap_cache_control *control, const char *value, size_t bytes)
{
    char *copy = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, value, bytes);
    neap_cache_control_add(control, copy, bytes);
    free(copy);
}

static struct neap_cache_control read(const char *value)
{
    struct neap_cache_control control;
    neap_cache_control_init(&control);
    add(&control, value, strlen(value));
    return control;
}

static int64_t max_age(const char *value)
{
    return read(value).max_age_s;
}

static void nothing_is_said_at_first(void **state)
{
    (void)state;
    const char *const silent[] = {"",           " ",
                                  ",",          " , ,\t,",
                                  "private",    "public, s-maxage=5",
                                  "max-agee=5", "x=\"max-age=5\"",
                                  "=5",         "\"",
                                  "immutable"};
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        struct neap_cache_control control = read(silent[i]);
        assert_false(control.no_store || control.no_cache || control.must_revalidate);
        assert_int_equal(control.max_age_s, NEAP_CACHE_UNSAID);
        assert_int_equal(control.stale_while_revalidate_s, NEAP_CACHE_UNSAID);
        assert_int_equal(control.stale_if_error_s, NEAP_CACHE_UNSAID);
        assert_int_equal(control.min_fresh_s, NEAP_CACHE_UNSAID);
        assert_int_equal(control.max_stale_s, NEAP_CACHE_UNSAID);
    }
}

static void each_directive_is_read(void **state)
{
    (void)state;
    struct neap_cache_control control =
        read("no-store, no-cache, must-revalidate, max-age=1, stale-while-revalidate=2, "
             "stale-if-error=3, min-fresh=4, max-stale=5");
    assert_true(control.no_store && control.no_cache && control.must_revalidate);
    assert_int_equal(control.max_age_s, 1);
    assert_int_equal(control.stale_while_revalidate_s, 2);
    assert_int_equal(control.stale_if_error_s, 3);
    assert_int_equal(control.min_fresh_s, 4);
    assert_int_equal(control.max_stale_s, 5);
}

static void letter_case_and_white_space_do_not_matter(void **state)
{
    (void)state;
    assert_true(read("No-Store").no_store);
    assert_int_equal(max_age(" \tMAX-AGE=5\t ,"), 5);
    assert_int_equal(max_age(",,private,max-age=5"), 5);
    assert_int_equal(max_age("private,max-age=5 , public"), 5);
}

static void an_argument_may_be_quoted(void **state)
{
    (void)state;
    assert_int_equal(max_age("max-age=\"60\""), 60);
    assert_int_equal(max_age("a=\"no-store, x\", max-age=60"), 60);
    assert_false(read("a=\"no-store, no-store\"").no_store);
    assert_int_equal(max_age("a=\"\\\", max-age=1\", max-age=60"), 60);
    assert_int_equal(max_age("max-age=\"6\\0\""), 0);
}

static void of_a_repeated_directive_the_first_counts(void **state)
{
    (void)state;
    assert_int_equal(max_age("max-age=1, max-age=100"), 1);
    assert_int_equal(max_age("max-age=100, max-age=1"), 100);
    assert_int_equal(max_age("max-age=never, max-age=100"), 0);
    struct neap_cache_control control = read("max-age=7");
    add(&control, "max-age=9, no-cache", 19);
    assert_int_equal(control.max_age_s, 7);
    assert_true(control.no_cache);
}

static void a_max_age_that_is_no_number_is_0(void **state)
{
    (void)state;
    const char *const wrong[] = {"max-age",      "max-age=",     "max-age=-1",   "max-age=+1",
                                 "max-age=1.5",  "max-age=1 2",  "max-age=x",    "max-age=0x10",
                                 "max-age = 60", "max-age =60",  "max-age= 60",  "max-age 60",
                                 "max-age=60;",  "max-age=\"60", "max-age=60\"", "max-age='60'"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(max_age(wrong[i]), 0);
}

static void a_window_that_is_no_number_is_passed_over(void **state)
{
    (void)state;
    struct neap_cache_control control =
        read("stale-if-error=x, stale-while-revalidate, min-fresh=-1, max-stale=x");
    assert_int_equal(control.stale_if_error_s, NEAP_CACHE_UNSAID);
    assert_int_equal(control.stale_while_revalidate_s, NEAP_CACHE_UNSAID);
    assert_int_equal(control.min_fresh_s, NEAP_CACHE_UNSAID);
    assert_int_equal(control.max_stale_s, NEAP_CACHE_UNSAID);
    assert_int_equal(read("stale-if-error=x, stale-if-error=5").stale_if_error_s, 5);
}

static void max_stale_alone_is_without_limit(void **state)
{
    (void)state;
    assert_int_equal(read("max-stale").max_stale_s, NEAP_CACHE_SECONDS_MAX);
    assert_int_equal(read("max-stale=").max_stale_s, NEAP_CACHE_UNSAID);
}

static void what_forbids_counts_whatever_stands_behind_it(void **state)
{
    (void)state;
    assert_true(read("no-cache=\"Set-Cookie, X\"").no_cache);
    assert_true(read("no-store=1").no_store);
    assert_true(read("must-revalidate please").must_revalidate);
    assert_true(read("no-store =").no_store);
}

/* Else a server's slip of the pen would keep what it forbids to keep. */
static void a_quote_that_does_not_end_hides_nothing(void **state)
{
    (void)state;
    assert_true(read("max-age=\"60, no-store").no_store);
    assert_true(read("x=\"\\\", no-store").no_store);
    assert_int_equal(max_age("max-age=\"60, no-store"), 0);
}

static void seconds_saturate(void **state)
{
    (void)state;
    assert_int_equal(max_age("max-age=2147483647"), INT64_C(2147483647));
    assert_int_equal(max_age("max-age=2147483648"), NEAP_CACHE_SECONDS_MAX);
    assert_int_equal(max_age("max-age=2147483649"), NEAP_CACHE_SECONDS_MAX);
    assert_int_equal(max_age("max-age=99999999999999999999999999999999"), NEAP_CACHE_SECONDS_MAX);
    assert_int_equal(max_age("max-age=00000000000000000000000000000005"), 5);
}

static void delta_seconds_are_digits_alone(void **state)
{
    (void)state;
    int64_t seconds = 42;
    assert_false(neap_delta_seconds_parse("", 0, &seconds));
    assert_false(neap_delta_seconds_parse(" 5", 2, &seconds));
    assert_false(neap_delta_seconds_parse("5\0", 2, &seconds));
    assert_int_equal(seconds, 42);
    assert_true(neap_delta_seconds_parse("0", 1, &seconds));
    assert_int_equal(seconds, 0);
}

static void any_bytes_are_survived(void **state)
{
    (void)state;
    static const char alphabet[] = "\"\\,= \t5max-age\0no-store\xff";
    struct neap_random random;
    neap_random_init(&random, 1);
    for (int i = 0; i < 20000; i++) {
        char value[24];
        size_t bytes = (size_t)(neap_random_next(&random) % (sizeof value + 1));
        for (size_t k = 0; k < bytes; k++)
            value[k] = alphabet[neap_random_next(&random) % (sizeof alphabet - 1)];
        struct neap_cache_control control;
        neap_cache_control_init(&control);
        add(&control, value, bytes);
        assert_true(control.max_age_s >= NEAP_CACHE_UNSAID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_at_first),
        cmocka_unit_test(each_directive_is_read),
        cmocka_unit_test(letter_case_and_white_space_do_not_matter),
        cmocka_unit_test(an_argument_may_be_quoted),
        cmocka_unit_test(of_a_repeated_directive_the_first_counts),
        cmocka_unit_test(a_max_age_that_is_no_number_is_0),
        cmocka_unit_test(a_window_that_is_no_number_is_passed_over),
        cmocka_unit_test(max_stale_alone_is_without_limit),
        cmocka_unit_test(what_forbids_counts_whatever_stands_behind_it),
        cmocka_unit_test(a_quote_that_does_not_end_hides_nothing),
        cmocka_unit_test(seconds_saturate),
        cmocka_unit_test(delta_seconds_are_digits_alone),
        cmocka_unit_test(any_bytes_are_survived),
    };
    return cmocka_run_group_tests_name("cache_control", tests, NULL, NULL);
}
