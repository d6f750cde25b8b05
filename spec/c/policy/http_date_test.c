#include "policy/http_date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY INT64_C(86400)
#define RFC_EXAMPLE INT64_C(784111777) /* 6 November 1994, 08:49:37 */
#define IN_1994 INT64_C(784111777)
#define UNTOUCHED INT64_C(-42)

static int64_t parse_at(const char *text, int64_t reference_epoch_s)
{
    int64_t epoch_s = UNTOUCHED;
    if (!neap_http_date_parse(text, strlen(text), reference_epoch_s, &epoch_s))
        assert_int_equal(epoch_s, UNTOUCHED);
    return epoch_s;
}

static void assert_date(const char *text, int64_t epoch_s)
{
    int64_t parsed = parse_at(text, IN_1994);
    if (parsed != epoch_s)
        print_error("%s: %lld, expected %lld\n", text, (long long)parsed, (long long)epoch_s);
    assert_int_equal(parsed, epoch_s);
}

static void assert_malformed(const char *text)
{
    assert_date(text, UNTOUCHED);
}

/* `reference` and `expected` as IMF-fixdates. */
static void assert_rfc850(const char *text, const char *reference, const char *expected)
{
    int64_t reference_s = parse_at(reference, 0);
    assert_int_not_equal(reference_s, UNTOUCHED);
    int64_t parsed = parse_at(text, reference_s);
    assert_int_equal(parsed, parse_at(expected, 0));
}

static void the_three_forms_of_the_rfc_are_one_moment(void **state)
{
    (void)state;
    assert_date("Sun, 06 Nov 1994 08:49:37 GMT", RFC_EXAMPLE);
    assert_date("Sunday, 06-Nov-94 08:49:37 GMT", RFC_EXAMPLE);
    assert_date("Sun Nov  6 08:49:37 1994", RFC_EXAMPLE);
}

static void dates_before_and_after_1970(void **state)
{
    (void)state;
    assert_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    assert_date("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    assert_date("Sat, 01 Jan 0000 00:00:00 GMT", INT64_C(-62167219200));
    assert_date("Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799));
    assert_date("Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648));
}

static void each_month_follows_the_one_before(void **state)
{
    (void)state;
    const char *const name[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t epoch_s = INT64_C(1735689600); /* 1 January 2025 */
    char text[64];
    for (int month = 0; month < 12; month++) {
        for (int day = 1; day <= days[month]; day++, epoch_s += DAY) {
            snprintf(text, sizeof text, "Mon, %02d %s 2025 00:00:00 GMT", day, name[month]);
            assert_date(text, epoch_s);
        }
        snprintf(text, sizeof text, "Mon, %02d %s 2025 00:00:00 GMT", days[month] + 1, name[month]);
        assert_malformed(text);
        snprintf(text, sizeof text, "Mon, 00 %s 2025 00:00:00 GMT", name[month]);
        assert_malformed(text);
    }
}

static void leap_days_exist_in_leap_years_only(void **state)
{
    (void)state;
    assert_date("Thu, 29 Feb 2024 00:00:00 GMT", INT64_C(1709164800));
    assert_date("Tue, 29 Feb 2000 00:00:00 GMT", INT64_C(951782400));
    assert_date("Wed, 01 Mar 2000 00:00:00 GMT", INT64_C(951868800));
    assert_malformed("Thu, 29 Feb 1900 00:00:00 GMT");
    assert_date("Thu, 01 Mar 1900 00:00:00 GMT", INT64_C(-2203891200));
    assert_malformed("Mon, 29 Feb 2100 00:00:00 GMT");
    assert_malformed("Sat, 29 Feb 2025 00:00:00 GMT");
    assert_malformed("Sat, 30 Feb 2024 00:00:00 GMT");
    assert_malformed("Sat, 31 Feb 2024 00:00:00 GMT");
    assert_malformed("Sat Feb 29 00:00:00 2025");
}

static void the_time_of_day_has_limits(void **state)
{
    (void)state;
    assert_date("Thu, 01 Jan 1970 23:59:59 GMT", DAY - 1);
    assert_date("Thu, 01 Jan 1970 23:59:60 GMT", DAY);
    assert_date("Thu Jan  1 23:59:60 1970", DAY);
    assert_malformed("Thu, 01 Jan 1970 23:59:61 GMT");
    assert_malformed("Thu, 01 Jan 1970 23:60:00 GMT");
    assert_malformed("Thu, 01 Jan 1970 24:00:00 GMT");
}

static void the_name_of_the_day_is_not_compared_but_must_exist(void **state)
{
    (void)state;
    const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    const char *const long_days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                     "Friday", "Saturday", "Sunday"};
    char text[64];
    for (int i = 0; i < 7; i++) {
        snprintf(text, sizeof text, "%s, 06 Nov 1994 08:49:37 GMT", days[i]);
        assert_date(text, RFC_EXAMPLE);
        snprintf(text, sizeof text, "%s, 06-Nov-94 08:49:37 GMT", long_days[i]);
        assert_date(text, RFC_EXAMPLE);
        snprintf(text, sizeof text, "%s Nov  6 08:49:37 1994", days[i]);
        assert_date(text, RFC_EXAMPLE);
    }
    assert_malformed("Son, 06 Nov 1994 08:49:37 GMT");
    assert_malformed("Sonday, 06-Nov-94 08:49:37 GMT");
    assert_malformed("06 Nov 1994 08:49:37 GMT");
}

static void the_forms_do_not_mix(void **state)
{
    (void)state;
    assert_malformed("Sunday, 06 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06-Nov-94 08:49:37 GMT");
    assert_malformed("Sun, 06-Nov-1994 08:49:37 GMT");
    assert_malformed("Sunday, 06-Nov-1994 08:49:37 GMT");
    assert_malformed("Sun, 06 Nov 94 08:49:37 GMT");
    assert_malformed("Sunday Nov  6 08:49:37 1994");
    assert_malformed("Sun, Nov  6 08:49:37 1994");
}

static void letter_case_counts(void **state)
{
    (void)state;
    assert_malformed("sun, 06 Nov 1994 08:49:37 GMT");
    assert_malformed("SUN, 06 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 NOV 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 Nov 1994 08:49:37 gmt");
    assert_malformed("sunday, 06-Nov-94 08:49:37 GMT");
    assert_malformed("Sun nov  6 08:49:37 1994");
}

static void the_zone_is_gmt_in_two_forms_and_absent_in_the_third(void **state)
{
    (void)state;
    assert_malformed("Sun, 06 Nov 1994 08:49:37");
    assert_malformed("Sun, 06 Nov 1994 08:49:37 UTC");
    assert_malformed("Sun, 06 Nov 1994 08:49:37 +0000");
    assert_malformed("Sun, 06 Nov 1994 08:49:37 Z");
    assert_malformed("Sunday, 06-Nov-94 08:49:37");
    assert_malformed("Sunday, 06-Nov-94 08:49:37 UTC");
    assert_malformed("Sun Nov  6 08:49:37 1994 GMT");
}

static void the_day_of_asctime_is_padded_with_a_space_or_has_two_digits(void **state)
{
    (void)state;
    assert_date("Sun Nov 06 08:49:37 1994", RFC_EXAMPLE);
    assert_date("Sun Nov 16 08:49:37 1994", RFC_EXAMPLE + 10 * DAY);
    assert_malformed("Sun Nov 6 08:49:37 1994");
    assert_malformed("Sun Nov   6 08:49:37 1994");
    assert_malformed("Sun Nov  0 08:49:37 1994");
    assert_malformed("Sun Nov  16 08:49:37 1994");
    assert_malformed("Sun, 6 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun,  6 Nov 1994 08:49:37 GMT");
    assert_malformed("Sunday,  6-Nov-94 08:49:37 GMT");
}

static void white_space_and_digits_are_exact(void **state)
{
    (void)state;
    assert_malformed("");
    assert_malformed(" Sun, 06 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 Nov 1994 08:49:37 GMT ");
    assert_malformed("Sun,06 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06  Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06\tNov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 Nov 1994 8:49:37 GMT");
    assert_malformed("Sun, 06 Nov 1994 08:49 GMT");
    assert_malformed("Sun, 06 Nov 1994 08-49-37 GMT");
    assert_malformed("Sun, 06 Nov 01994 08:49:37 GMT");
    assert_malformed("Sun, 06 Nov 1994 08:49:3a GMT");
    assert_malformed("Sun, +6 Nov 1994 08:49:37 GMT");
    assert_malformed("Sun, 06 November 1994 08:49:37 GMT");
    assert_malformed("Sun Nov  6 08:49:37 94");
    assert_malformed("Sun Nov  6 08:49:37 1994\n");
}

static void each_shortened_text_is_malformed(void **state)
{
    (void)state;
    const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                 "Sun Nov  6 08:49:37 1994"};
    for (int form = 0; form < 3; form++) {
        char text[64];
        for (size_t bytes = 0; bytes < strlen(forms[form]); bytes++) {
            snprintf(text, sizeof text, "%.*s", (int)bytes, forms[form]);
            assert_malformed(text);
        }
    }
    int64_t epoch_s;
    assert_false(neap_http_date_parse(NULL, 0, 0, &epoch_s));
    assert_false(neap_http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT\0", 30, 0, &epoch_s));
}

static void two_digit_years_are_near_the_reference(void **state)
{
    (void)state;
    const char *in_2026 = "Thu, 01 Jan 2026 00:00:00 GMT";
    assert_rfc850("Sunday, 06-Nov-26 08:49:37 GMT", in_2026, "Fri, 06 Nov 2026 08:49:37 GMT");
    assert_rfc850("Sunday, 06-Nov-00 08:49:37 GMT", in_2026, "Fri, 06 Nov 2000 08:49:37 GMT");
    assert_rfc850("Sunday, 06-Nov-75 08:49:37 GMT", in_2026, "Fri, 06 Nov 2075 08:49:37 GMT");
    assert_rfc850("Sunday, 06-Nov-77 08:49:37 GMT", in_2026, "Fri, 06 Nov 1977 08:49:37 GMT");
    assert_rfc850("Sunday, 06-Nov-99 08:49:37 GMT", in_2026, "Fri, 06 Nov 1999 08:49:37 GMT");
}

static void exactly_50_years_ahead_is_the_future_and_a_second_more_the_past(void **state)
{
    (void)state;
    const char *reference = "Thu, 11 Jun 2026 12:30:30 GMT";
    assert_rfc850("Monday, 11-Jun-76 12:30:30 GMT", reference, "Thu, 11 Jun 2076 12:30:30 GMT");
    assert_rfc850("Monday, 11-Jun-76 12:30:31 GMT", reference, "Thu, 11 Jun 1976 12:30:31 GMT");
    assert_rfc850("Monday, 11-Jun-76 12:31:00 GMT", reference, "Thu, 11 Jun 1976 12:31:00 GMT");
    assert_rfc850("Monday, 11-Jun-76 13:00:00 GMT", reference, "Thu, 11 Jun 1976 13:00:00 GMT");
    assert_rfc850("Monday, 12-Jun-76 00:00:00 GMT", reference, "Thu, 12 Jun 1976 00:00:00 GMT");
    assert_rfc850("Monday, 01-Jul-76 00:00:00 GMT", reference, "Thu, 01 Jul 1976 00:00:00 GMT");
    assert_rfc850("Monday, 10-Jun-76 23:59:59 GMT", reference, "Thu, 10 Jun 2076 23:59:59 GMT");
    assert_rfc850("Monday, 31-May-76 23:59:59 GMT", reference, "Thu, 31 May 2076 23:59:59 GMT");
}

static void two_digit_years_cross_the_century_of_the_reference(void **state)
{
    (void)state;
    const char *in_1999 = "Fri, 31 Dec 1999 23:59:59 GMT";
    const char *in_2060 = "Thu, 01 Jan 2060 00:00:00 GMT";
    assert_rfc850("Saturday, 01-Jan-00 00:00:00 GMT", in_1999, "Sat, 01 Jan 2000 00:00:00 GMT");
    assert_rfc850("Saturday, 01-Jan-49 00:00:00 GMT", in_1999, "Sat, 01 Jan 2049 00:00:00 GMT");
    assert_rfc850("Saturday, 01-Jan-50 00:00:00 GMT", in_1999, "Sat, 01 Jan 1950 00:00:00 GMT");
    assert_rfc850("Saturday, 01-Jan-09 00:00:00 GMT", in_2060, "Sat, 01 Jan 2109 00:00:00 GMT");
    assert_rfc850("Saturday, 01-Jan-11 00:00:00 GMT", in_2060, "Sat, 01 Jan 2011 00:00:00 GMT");
}

static void leap_days_of_two_digit_years_belong_to_the_year_chosen(void **state)
{
    (void)state;
    const char *in_2024 = "Thu, 29 Feb 2024 00:00:00 GMT";
    assert_rfc850("Tuesday, 29-Feb-00 00:00:00 GMT", in_2024, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_rfc850("Tuesday, 28-Feb-74 00:00:00 GMT", in_2024, "Wed, 28 Feb 2074 00:00:00 GMT");
    assert_rfc850("Tuesday, 01-Mar-74 00:00:00 GMT", in_2024, "Fri, 01 Mar 1974 00:00:00 GMT");
    int64_t in_2060_s = parse_at("Thu, 01 Jan 2060 00:00:00 GMT", 0);
    assert_int_equal(parse_at("Tuesday, 29-Feb-00 00:00:00 GMT", in_2060_s), UNTOUCHED);
}

static void any_reference_is_survived(void **state)
{
    (void)state;
    const int64_t references[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        int64_t epoch_s;
        (void)neap_http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", 30, references[i], &epoch_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_of_the_rfc_are_one_moment),
        cmocka_unit_test(dates_before_and_after_1970),
        cmocka_unit_test(each_month_follows_the_one_before),
        cmocka_unit_test(leap_days_exist_in_leap_years_only),
        cmocka_unit_test(the_time_of_day_has_limits),
        cmocka_unit_test(the_name_of_the_day_is_not_compared_but_must_exist),
        cmocka_unit_test(the_forms_do_not_mix),
        cmocka_unit_test(letter_case_counts),
        cmocka_unit_test(the_zone_is_gmt_in_two_forms_and_absent_in_the_third),
        cmocka_unit_test(the_day_of_asctime_is_padded_with_a_space_or_has_two_digits),
        cmocka_unit_test(white_space_and_digits_are_exact),
        cmocka_unit_test(each_shortened_text_is_malformed),
        cmocka_unit_test(two_digit_years_are_near_the_reference),
        cmocka_unit_test(exactly_50_years_ahead_is_the_future_and_a_second_more_the_past),
        cmocka_unit_test(two_digit_years_cross_the_century_of_the_reference),
        cmocka_unit_test(leap_days_of_two_digit_years_belong_to_the_year_chosen),
        cmocka_unit_test(any_reference_is_survived),
    };
    return cmocka_run_group_tests_name("http_date", tests, NULL, NULL);
}
