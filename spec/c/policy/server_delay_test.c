#include "policy/server_delay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define ABSENT INT64_C(-42)

static int64_t retry_after_at(const char *text, int64_t reference_epoch_s)
{
    int64_t delay_s = ABSENT;
    if (!neap_retry_after_parse(text, strlen(text), reference_epoch_s, &delay_s))
        assert_int_equal(delay_s, ABSENT);
    return delay_s;
}

static int64_t retry_after(const char *text)
{
    return retry_after_at(text, NOW);
}

static void retry_after_in_seconds(void **state)
{
    (void)state;
    assert_int_equal(retry_after("0"), 0);
    assert_int_equal(retry_after("120"), 120);
    assert_int_equal(retry_after("0005"), 5);
    assert_int_equal(retry_after(" \t5 \t"), 5);
}

static void retry_after_in_seconds_saturates(void **state)
{
    (void)state;
    assert_int_equal(retry_after("3999999999"), INT64_C(3999999999));
    assert_int_equal(retry_after("4000000000"), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(retry_after("4000000001"), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(retry_after("18446744073709551616"), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(retry_after("99999999999999999999999999999999999999"), NEAP_SERVER_DELAY_MAX);
}

static void retry_after_as_a_date_in_each_form(void **state)
{
    (void)state;
    assert_int_equal(retry_after("Sun, 06 Nov 1994 08:50:37 GMT"), 60);
    assert_int_equal(retry_after("Sunday, 06-Nov-94 08:50:37 GMT"), 60);
    assert_int_equal(retry_after("Sun Nov  6 08:50:37 1994"), 60);
    assert_int_equal(retry_after("  Sun, 06 Nov 1994 08:50:37 GMT\t"), 60);
}

static void retry_after_in_the_past_is_0(void **state)
{
    (void)state;
    assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
    assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
    assert_int_equal(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

static void retry_after_in_the_far_future_saturates(void **state)
{
    (void)state;
    assert_int_equal(retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(retry_after_at("Sun, 06 Nov 1994 08:49:37 GMT", INT64_MIN),
                     NEAP_SERVER_DELAY_MAX);
    assert_int_equal(retry_after_at("Sun, 06 Nov 1994 08:49:37 GMT", INT64_MAX), 0);
}

static void retry_after_that_is_malformed_is_absent(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               " ",
                               "+5",
                               "-1",
                               "1.5",
                               "5 s",
                               "5s",
                               "0x10",
                               "1e3",
                               "1 2",
                               "5,",
                               "5, 6",
                               "\"5\"",
                               "abc",
                               "5;a",
                               "\xd9\xa5",
                               "Sun, 06 Nov 1994 08:50:37",
                               "Sun, 06 Nov 1994 24:00:00 GMT",
                               "1994-11-06T08:50:37Z",
                               "sun, 06 nov 1994 08:50:37 gmt"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(retry_after(bad[i]), ABSENT);
    int64_t delay_s = ABSENT;
    assert_false(neap_retry_after_parse("5\0", 2, NOW, &delay_s));
    assert_false(neap_retry_after_parse(NULL, 0, NOW, &delay_s));
}

static int64_t rate_limit(const char *text)
{
    int64_t delay_s = ABSENT;
    if (!neap_rate_limit_parse(text, strlen(text), &delay_s))
        assert_int_equal(delay_s, ABSENT);
    return delay_s;
}

static void rate_limit_of_an_exhausted_quota(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("\"default\";r=0;t=30"), 30);
    assert_int_equal(rate_limit("default;r=0;t=30"), 30);
    assert_int_equal(rate_limit("default;t=30;r=0"), 30);
    assert_int_equal(rate_limit("  \"a;b,c\\\"\" ; r=0"), ABSENT);
    assert_int_equal(rate_limit("  \"a;b,c\\\"\"; r=0;  t=0  "), 0);
    assert_int_equal(rate_limit("a;r=-0;t=007"), 7);
}

static void rate_limit_with_something_left_is_absent(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("\"default\";r=1;t=30"), ABSENT);
    assert_int_equal(rate_limit("default"), ABSENT);
    assert_int_equal(rate_limit("default;r=0"), ABSENT);
    assert_int_equal(rate_limit("default;t=30"), ABSENT);
}

static void rate_limit_of_several_takes_the_latest_exhausted(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("a;r=0;t=5, b;r=0;t=30,c;r=0;t=10"), 30);
    assert_int_equal(rate_limit("\"default\";r=0;t=30, burst;r=3;t=100"), 30);
    assert_int_equal(rate_limit("burst;r=3;t=1 \t,\t \"default\";r=0;t=30"), 30);
    assert_int_equal(rate_limit("a;r=0, b;r=0;t=3"), 3);
}

static void rate_limit_looks_over_other_parameters(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("a;q=100;r=0;w=-1;t=30;pk=:AbC=:;x=1.5;y=?0;z;*=tok/en:;s=\"\""),
                     30);
    assert_int_equal(rate_limit("a;rr=0;tt=9;r=0;t=3"), 3);
}

static void rate_limit_takes_the_last_of_a_repeated_parameter(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("a;r=5;r=0;t=30;t=7"), 7);
    assert_int_equal(rate_limit("a;r=0;r=5;t=30"), ABSENT);
    assert_int_equal(rate_limit("a;r=x;r=0;t=1.5;t=30"), 30);
    assert_int_equal(rate_limit("a;r=0;r=x;t=30"), ABSENT);
}

static void rate_limit_saturates(void **state)
{
    (void)state;
    assert_int_equal(rate_limit("a;r=0;t=3999999999"), INT64_C(3999999999));
    assert_int_equal(rate_limit("a;r=0;t=999999999999999"), NEAP_SERVER_DELAY_MAX);
}

static void rate_limit_with_one_malformed_member_is_absent(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               ",",
                               "a;r=0;t=30,",
                               ",a;r=0;t=30",
                               "5;r=0;t=30",
                               "?1;r=0;t=30",
                               ":YQ==:;r=0;t=30",
                               "1.5;r=0;t=30",
                               "(a b);r=0;t=30",
                               "a;r=0;t=-1",
                               "a;r=-1;t=30",
                               "a;r=0.0;t=30",
                               "a;r=0;t=30.5",
                               "a;r=\"0\";t=30",
                               "a;r;t=30",
                               "a;r=0;t",
                               "a;r=0;t=?1",
                               "a;r=0;t=tomorrow",
                               "a;r=0;t=1000000000000000",
                               "a;r=0;t=30 b;r=0;t=3",
                               "a;r=0;t=30, \"b",
                               "a;r=0;t=30, b;r=x",
                               "a;r=0;t=30, b;t=-1",
                               "a;r=0;t=30;R=1",
                               "a;r=0;t=30;",
                               "a ;r=0;t=30",
                               "a;r=0;\tt=30",
                               "a;r =0;t=30",
                               "a;r= 0;t=30",
                               "a=1;r=0;t=30",
                               "a;r=0;t=30;x=(1)",
                               "limit=10, remaining=0, reset=30",
                               "\"\xc3\xa4\";r=0;t=30"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (rate_limit(bad[i]) != ABSENT)
            print_error("taken: %s\n", bad[i]);
        assert_int_equal(rate_limit(bad[i]), ABSENT);
    }
}

static int64_t x_rate_limit(const char *remaining, const char *reset, int64_t now_epoch_s)
{
    int64_t delay_s = ABSENT;
    if (!neap_x_rate_limit_parse(remaining, strlen(remaining), reset, strlen(reset), now_epoch_s,
                                 &delay_s))
        assert_int_equal(delay_s, ABSENT);
    return delay_s;
}

static void x_rate_limit_in_seconds(void **state)
{
    (void)state;
    assert_int_equal(x_rate_limit("0", "30", NOW), 30);
    assert_int_equal(x_rate_limit(" 00\t", " 30 ", NOW), 30);
    assert_int_equal(x_rate_limit("0", "0", NOW), 0);
    assert_int_equal(x_rate_limit("0", "1000000000", NOW), INT64_C(1000000000));
}

static void x_rate_limit_as_an_epoch(void **state)
{
    (void)state;
    const int64_t now_epoch_s = INT64_C(1767225600);
    assert_int_equal(x_rate_limit("0", "1767225630", now_epoch_s), 30);
    assert_int_equal(x_rate_limit("0", "1767225600", now_epoch_s), 0);
    assert_int_equal(x_rate_limit("0", "1000000001", now_epoch_s), 0);
    assert_int_equal(x_rate_limit("0", "1000000001", NOW), INT64_C(1000000001) - NOW);
}

static void x_rate_limit_saturates(void **state)
{
    (void)state;
    assert_int_equal(x_rate_limit("0", "99999999999999999999999", NOW), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(x_rate_limit("0", "1767225600000", NOW), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(x_rate_limit("0", "1767225600", INT64_MIN), NEAP_SERVER_DELAY_MAX);
    assert_int_equal(x_rate_limit("0", "1767225600", INT64_MAX), 0);
}

static void x_rate_limit_with_something_left_is_absent(void **state)
{
    (void)state;
    assert_int_equal(x_rate_limit("1", "30", NOW), ABSENT);
    assert_int_equal(x_rate_limit("99999999999999999999999", "30", NOW), ABSENT);
    assert_int_equal(x_rate_limit("10000000000000000000000", "30", NOW), ABSENT);
}

static void x_rate_limit_that_is_malformed_is_absent(void **state)
{
    (void)state;
    const char *const bad[] = {"", " ", "-0", "+0", "0.0", "0, 0", "0s", "zero", "\"0\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(x_rate_limit(bad[i], "30", NOW), ABSENT);
        assert_int_equal(x_rate_limit("0", bad[i], NOW), ABSENT);
    }
    int64_t delay_s;
    assert_false(neap_x_rate_limit_parse(NULL, 0, "30", 2, NOW, &delay_s));
    assert_false(neap_x_rate_limit_parse("0", 1, NULL, 0, NOW, &delay_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_in_seconds),
        cmocka_unit_test(retry_after_in_seconds_saturates),
        cmocka_unit_test(retry_after_as_a_date_in_each_form),
        cmocka_unit_test(retry_after_in_the_past_is_0),
        cmocka_unit_test(retry_after_in_the_far_future_saturates),
        cmocka_unit_test(retry_after_that_is_malformed_is_absent),
        cmocka_unit_test(rate_limit_of_an_exhausted_quota),
        cmocka_unit_test(rate_limit_with_something_left_is_absent),
        cmocka_unit_test(rate_limit_of_several_takes_the_latest_exhausted),
        cmocka_unit_test(rate_limit_looks_over_other_parameters),
        cmocka_unit_test(rate_limit_takes_the_last_of_a_repeated_parameter),
        cmocka_unit_test(rate_limit_saturates),
        cmocka_unit_test(rate_limit_with_one_malformed_member_is_absent),
        cmocka_unit_test(x_rate_limit_in_seconds),
        cmocka_unit_test(x_rate_limit_as_an_epoch),
        cmocka_unit_test(x_rate_limit_saturates),
        cmocka_unit_test(x_rate_limit_with_something_left_is_absent),
        cmocka_unit_test(x_rate_limit_that_is_malformed_is_absent),
    };
    return cmocka_run_group_tests_name("server_delay", tests, NULL, NULL);
}
