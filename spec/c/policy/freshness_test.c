#include "policy/freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"

#define EPOCH INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW (EPOCH * NEAP_SECOND)
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define A_MINUTE_LATER "Sun, 06 Nov 1994 08:50:37 GMT"
#define A_MINUTE_EARLIER "Sun, 06 Nov 1994 08:48:37 GMT"
#define UNSET NEAP_CACHE_UNSAID

static const struct neap_cache_policy silent = {UNSET, UNSET, UNSET};

static struct neap_freshness freshness;
static struct neap_cache_control request;

static int set_up(void **state)
{
    (void)state;
    neap_freshness_init(&freshness, NOW, NOW);
    neap_cache_control_init(&request);
    return 0;
}

static void header(const char *name, const char *value)
{
    neap_freshness_read(&freshness, name, strlen(name), value, strlen(value));
}

static void asks(const char *control)
{
    neap_cache_control_add(&request, control, strlen(control));
}

static int64_t age(int64_t after_ns)
{
    return neap_freshness_age(&freshness, NOW + after_ns);
}

static int64_t lifetime(void)
{
    return neap_freshness_lifetime(&freshness, &silent);
}

static enum neap_cache_verdict judge(int64_t after_ns)
{
    return neap_freshness_judge(&freshness, &silent, &request, NOW + after_ns);
}

static enum neap_cache_verdict judge_error(int64_t after_ns)
{
    return neap_freshness_judge_error(&freshness, &silent, &request, NOW + after_ns);
}

static enum neap_cache_verdict judge_fallback(int64_t max_stale_ns, int64_t after_ns)
{
    return neap_freshness_judge_fallback(&freshness, &silent, max_stale_ns, NOW + after_ns);
}

/* ---- age */

static void an_answer_ages_from_its_arrival(void **state)
{
    (void)state;
    assert_int_equal(age(0), 0);
    assert_int_equal(age(1), 1);
    assert_int_equal(age(NEAP_SECOND), NEAP_SECOND);
}

static void a_clock_that_steps_back_makes_nothing_older(void **state)
{
    (void)state;
    header("Age", "5");
    assert_int_equal(age(-NEAP_SECOND), 5 * NEAP_SECOND);
    assert_int_equal(age(-NOW), 5 * NEAP_SECOND);
    neap_freshness_init(&freshness, NOW, NOW - NEAP_SECOND);
    assert_int_equal(neap_freshness_age(&freshness, NOW - NEAP_SECOND), 0);
}

static void the_way_counts(void **state)
{
    (void)state;
    neap_freshness_init(&freshness, NOW - 3 * NEAP_MS, NOW);
    assert_int_equal(age(0), 3 * NEAP_MS);
    header("Age", "5");
    assert_int_equal(age(0), 5 * NEAP_SECOND + 3 * NEAP_MS);
}

static void an_old_date_is_an_age(void **state)
{
    (void)state;
    header("Date", A_MINUTE_EARLIER);
    assert_int_equal(age(7), 60 * NEAP_SECOND + 7);
    header("Age", "59");
    assert_int_equal(age(0), 60 * NEAP_SECOND);
}

static void the_larger_of_age_and_date_counts(void **state)
{
    (void)state;
    header("Date", A_MINUTE_EARLIER);
    header("Age", "61");
    assert_int_equal(age(0), 61 * NEAP_SECOND);
}

static void a_date_ahead_is_no_age(void **state)
{
    (void)state;
    header("Date", A_MINUTE_LATER);
    assert_int_equal(age(0), 0);
}

static void dates_know_whole_seconds(void **state)
{
    (void)state;
    neap_freshness_init(&freshness, NOW + NEAP_SECOND - 1, NOW + NEAP_SECOND - 1);
    header("Date", DATE);
    assert_int_equal(neap_freshness_age(&freshness, NOW + NEAP_SECOND - 1), 0);
    neap_freshness_init(&freshness, NOW + NEAP_SECOND, NOW + NEAP_SECOND);
    header("Date", DATE);
    assert_int_equal(neap_freshness_age(&freshness, NOW + NEAP_SECOND), NEAP_SECOND);
}

static void of_an_age_that_is_a_list_the_first_counts(void **state)
{
    (void)state;
    header("age", " 5 , 9");
    header("age", "100");
    assert_int_equal(age(0), 5 * NEAP_SECOND);
}

static void an_age_that_cannot_be_read_is_ignored(void **state)
{
    (void)state;
    const char *const wrong[] = {"", "-1", "1.5", "x", ",5", "5 5"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        neap_freshness_init(&freshness, NOW, NOW);
        header("Age", wrong[i]);
        assert_int_equal(age(0), 0);
    }
}

static void ages_saturate(void **state)
{
    (void)state;
    header("Age", "99999999999999999999");
    assert_int_equal(age(0), NEAP_CACHE_SECONDS_MAX * NEAP_SECOND);
    assert_int_equal(neap_freshness_age(&freshness, INT64_MAX), NEAP_NEVER);
    header("Date", "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_int_equal(age(0), NEAP_CACHE_SECONDS_MAX * NEAP_SECOND);
    neap_freshness_init(&freshness, INT64_MIN, INT64_MAX);
    assert_int_equal(neap_freshness_age(&freshness, INT64_MIN), NEAP_NEVER);
}

/* ---- lifetime */

static void without_a_word_there_is_no_lifetime(void **state)
{
    (void)state;
    const struct neap_cache_policy policy = {.ttl_ns = 7};
    header("Last-Modified", A_MINUTE_EARLIER);
    header("Date", DATE);
    assert_int_equal(lifetime(), 0);
    assert_int_equal(neap_freshness_lifetime(&freshness, &policy), 7);
}

static void max_age_comes_before_expires_and_the_policy(void **state)
{
    (void)state;
    const struct neap_cache_policy policy = {.ttl_ns = 7};
    header("Expires", A_MINUTE_LATER);
    assert_int_equal(neap_freshness_lifetime(&freshness, &policy), 60 * NEAP_SECOND);
    header("Cache-Control", "max-age=5");
    assert_int_equal(neap_freshness_lifetime(&freshness, &policy), 5 * NEAP_SECOND);
}

static void expires_counts_from_date_else_from_the_arrival(void **state)
{
    (void)state;
    header("Expires", A_MINUTE_LATER);
    assert_int_equal(lifetime(), 60 * NEAP_SECOND);
    header("Date", A_MINUTE_EARLIER);
    assert_int_equal(lifetime(), 120 * NEAP_SECOND);
}

static void an_expires_that_is_no_date_has_passed(void **state)
{
    (void)state;
    const char *const passed[] = {"0", "-1", "", "soon", A_MINUTE_EARLIER, DATE};
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        neap_freshness_init(&freshness, NOW, NOW);
        header("Expires", passed[i]);
        header("Expires", A_MINUTE_LATER);
        assert_int_equal(lifetime(), 0);
    }
}

static void a_date_that_cannot_be_read_is_none(void **state)
{
    (void)state;
    header("Date", "yesterday");
    header("Expires", A_MINUTE_LATER);
    assert_int_equal(age(0), 0);
    assert_int_equal(lifetime(), 60 * NEAP_SECOND);
}

static void far_dates_saturate(void **state)
{
    (void)state;
    header("Expires", "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_int_equal(lifetime(), NEAP_NEVER);
    assert_int_equal(judge(INT64_MAX - NOW - 1), NEAP_CACHE_FRESH);
    assert_int_equal(neap_freshness_end(&freshness, &silent, UNSET), NEAP_NEVER);
}

/* ---- before a request */

static void fresh_ends_when_the_age_has_come_to_the_lifetime(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10");
    assert_int_equal(judge(0), NEAP_CACHE_FRESH);
    assert_int_equal(judge(10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
    assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
}

static void without_a_lifetime_nothing_is_fresh(void **state)
{
    (void)state;
    assert_int_equal(judge(0), NEAP_CACHE_REVALIDATE);
}

static void the_window_of_revalidation_is_half_open(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-while-revalidate=5");
    assert_int_equal(judge(10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
    assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_STALE_WHILE_REVALIDATE);
    assert_int_equal(judge(15 * NEAP_SECOND - 1), NEAP_CACHE_STALE_WHILE_REVALIDATE);
    assert_int_equal(judge(15 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
}

static void a_window_of_0_is_none(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-while-revalidate=0");
    assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
}

static void the_servers_windows_win_over_the_policys(void **state)
{
    (void)state;
    const struct neap_cache_policy policy = {UNSET, 20 * NEAP_SECOND, 20 * NEAP_SECOND};
    header("Cache-Control", "max-age=10");
    assert_int_equal(neap_freshness_judge(&freshness, &policy, &request, NOW + 29 * NEAP_SECOND),
                     NEAP_CACHE_STALE_WHILE_REVALIDATE);
    assert_int_equal(
        neap_freshness_judge_error(&freshness, &policy, &request, NOW + 30 * NEAP_SECOND),
        NEAP_CACHE_STALE);
    header("Cache-Control", "stale-while-revalidate=1, stale-if-error=1");
    assert_int_equal(neap_freshness_judge(&freshness, &policy, &request, NOW + 12 * NEAP_SECOND),
                     NEAP_CACHE_REVALIDATE);
    assert_int_equal(
        neap_freshness_judge_error(&freshness, &policy, &request, NOW + 12 * NEAP_SECOND),
        NEAP_CACHE_REVALIDATE);
}

static void what_the_server_forbids_is_never_stale(void **state)
{
    (void)state;
    const char *const forbidding[] = {"must-revalidate", "no-cache"};
    for (size_t i = 0; i < 2; i++) {
        neap_freshness_init(&freshness, NOW, NOW);
        header("Cache-Control", "max-age=10, stale-while-revalidate=50, stale-if-error=50");
        header("Cache-Control", forbidding[i]);
        assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
        assert_int_equal(judge_error(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
        assert_int_equal(judge_fallback(50 * NEAP_SECOND, 10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
    }
}

static void must_revalidate_is_fresh_while_it_is(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, must-revalidate");
    assert_int_equal(judge(10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
    assert_int_equal(judge_fallback(0, 10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
}

static void no_cache_is_never_fresh(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, no-cache");
    assert_int_equal(judge(0), NEAP_CACHE_REVALIDATE);
    assert_int_equal(judge_fallback(NEAP_SECOND, 0), NEAP_CACHE_REVALIDATE);
}

static void a_request_with_no_cache_asks(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-if-error=50");
    asks("no-cache");
    assert_int_equal(judge(0), NEAP_CACHE_REVALIDATE);
    assert_int_equal(judge_error(0), NEAP_CACHE_REVALIDATE);
    assert_int_equal(judge_fallback(NEAP_SECOND, 0), NEAP_CACHE_FRESH);
}

static void a_requests_max_age_bounds_the_age(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-while-revalidate=50");
    asks("max-age=5");
    assert_int_equal(judge(5 * NEAP_SECOND), NEAP_CACHE_FRESH);
    assert_int_equal(judge(5 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
}

static void a_requests_min_fresh_wants_what_is_left(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-while-revalidate=50");
    asks("min-fresh=4");
    assert_int_equal(judge(6 * NEAP_SECOND), NEAP_CACHE_FRESH);
    assert_int_equal(judge(6 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
}

static void a_requests_max_stale_takes_what_is_stale(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10");
    asks("max-stale=5");
    assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge(15 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge(15 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
    asks("max-stale");
    header("Cache-Control", "must-revalidate");
    assert_int_equal(judge(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
}

/* ---- after an error */

static void the_window_of_errors_includes_its_end(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-if-error=5");
    assert_int_equal(judge_error(10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
    assert_int_equal(judge_error(10 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge_error(15 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge_error(15 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
}

static void without_a_window_an_error_stays_one(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10");
    assert_int_equal(judge_error(0), NEAP_CACHE_REVALIDATE);
    assert_int_equal(judge_error(10 * NEAP_SECOND), NEAP_CACHE_REVALIDATE);
}

static void a_window_of_errors_of_0_holds_for_one_moment(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, stale-if-error=0");
    assert_int_equal(judge_error(10 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge_error(10 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
}

/* ---- as a fallback */

static void a_fallback_takes_what_nobody_forbids(void **state)
{
    (void)state;
    assert_int_equal(judge_fallback(5 * NEAP_SECOND, 0), NEAP_CACHE_STALE);
    assert_int_equal(judge_fallback(5 * NEAP_SECOND, 5 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge_fallback(5 * NEAP_SECOND, 5 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
    assert_int_equal(judge_fallback(NEAP_NEVER, INT64_MAX - NOW), NEAP_CACHE_STALE);
    header("Cache-Control", "max-age=10");
    assert_int_equal(judge_fallback(0, 10 * NEAP_SECOND - 1), NEAP_CACHE_FRESH);
    assert_int_equal(judge_fallback(0, 10 * NEAP_SECOND), NEAP_CACHE_STALE);
    assert_int_equal(judge_fallback(0, 10 * NEAP_SECOND + 1), NEAP_CACHE_REVALIDATE);
}

/* ---- redirected */

static void what_another_url_says_is_not_said_of_this_one(void **state)
{
    (void)state;
    const struct neap_cache_policy policy = {.ttl_ns = 7, UNSET, 20 * NEAP_SECOND};
    freshness.redirected = true;
    header("Cache-Control", "max-age=10, stale-while-revalidate=50, stale-if-error=1");
    assert_int_equal(neap_freshness_lifetime(&freshness, &policy), 0);
    assert_int_equal(neap_freshness_judge(&freshness, &policy, &request, NOW),
                     NEAP_CACHE_REVALIDATE);
    assert_int_equal(
        neap_freshness_judge_error(&freshness, &policy, &request, NOW + 20 * NEAP_SECOND),
        NEAP_CACHE_STALE);
    header("Cache-Control", "must-revalidate");
    assert_int_equal(neap_freshness_judge_error(&freshness, &policy, &request, NOW),
                     NEAP_CACHE_REVALIDATE);
}

/* ---- validators and the end */

static void an_etag_or_a_date_of_change_revalidates(void **state)
{
    (void)state;
    header("ETag", " ");
    header("Last-Modified", "0");
    assert_false(freshness.can_revalidate);
    header("etag", "\"a\"");
    assert_true(freshness.can_revalidate);
    set_up(NULL);
    header("last-modified", A_MINUTE_EARLIER);
    assert_true(freshness.can_revalidate);
}

static int64_t end(int64_t max_stale_ns)
{
    return neap_freshness_end(&freshness, &silent, max_stale_ns) - NOW;
}

static void what_is_good_for_nothing_has_ended(void **state)
{
    (void)state;
    assert_int_equal(end(UNSET), 0);
    header("Age", "5");
    header("Cache-Control", "max-age=5");
    assert_int_equal(end(UNSET), 0);
}

static void the_end_is_that_of_the_longest_use(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10");
    assert_int_equal(end(UNSET), 10 * NEAP_SECOND);
    assert_int_equal(end(3 * NEAP_SECOND), 13 * NEAP_SECOND + 1);
    header("Cache-Control", "stale-if-error=5, stale-while-revalidate=2");
    assert_int_equal(end(UNSET), 15 * NEAP_SECOND + 1);
    assert_int_equal(end(6 * NEAP_SECOND), 16 * NEAP_SECOND + 1);
    header("Age", "4");
    assert_int_equal(end(UNSET), 11 * NEAP_SECOND + 1);
    header("ETag", "\"a\"");
    assert_int_equal(end(UNSET), 6 * NEAP_SECOND + NEAP_CACHE_VALIDATOR_NS + 1);
}

static void what_must_be_revalidated_ends_with_its_freshness(void **state)
{
    (void)state;
    header("Cache-Control", "max-age=10, must-revalidate, stale-if-error=50");
    assert_int_equal(end(60 * NEAP_SECOND), 10 * NEAP_SECOND);
    header("Cache-Control", "no-cache");
    assert_int_equal(end(60 * NEAP_SECOND), 0);
    header("ETag", "\"a\"");
    assert_int_equal(end(60 * NEAP_SECOND), NEAP_CACHE_VALIDATOR_NS + 1);
}

static void the_end_saturates(void **state)
{
    (void)state;
    assert_int_equal(neap_freshness_end(&freshness, &silent, NEAP_NEVER), NEAP_NEVER);
    neap_freshness_init(&freshness, INT64_MIN, INT64_MAX);
    assert_true(neap_freshness_end(&freshness, &silent, 5) <= INT64_MAX);
}

#define SPEC(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(an_answer_ages_from_its_arrival),
        SPEC(a_clock_that_steps_back_makes_nothing_older),
        SPEC(the_way_counts),
        SPEC(an_old_date_is_an_age),
        SPEC(the_larger_of_age_and_date_counts),
        SPEC(a_date_ahead_is_no_age),
        SPEC(dates_know_whole_seconds),
        SPEC(of_an_age_that_is_a_list_the_first_counts),
        SPEC(an_age_that_cannot_be_read_is_ignored),
        SPEC(ages_saturate),
        SPEC(without_a_word_there_is_no_lifetime),
        SPEC(max_age_comes_before_expires_and_the_policy),
        SPEC(expires_counts_from_date_else_from_the_arrival),
        SPEC(an_expires_that_is_no_date_has_passed),
        SPEC(a_date_that_cannot_be_read_is_none),
        SPEC(far_dates_saturate),
        SPEC(fresh_ends_when_the_age_has_come_to_the_lifetime),
        SPEC(without_a_lifetime_nothing_is_fresh),
        SPEC(the_window_of_revalidation_is_half_open),
        SPEC(a_window_of_0_is_none),
        SPEC(the_servers_windows_win_over_the_policys),
        SPEC(what_the_server_forbids_is_never_stale),
        SPEC(must_revalidate_is_fresh_while_it_is),
        SPEC(no_cache_is_never_fresh),
        SPEC(a_request_with_no_cache_asks),
        SPEC(a_requests_max_age_bounds_the_age),
        SPEC(a_requests_min_fresh_wants_what_is_left),
        SPEC(a_requests_max_stale_takes_what_is_stale),
        SPEC(the_window_of_errors_includes_its_end),
        SPEC(without_a_window_an_error_stays_one),
        SPEC(a_window_of_errors_of_0_holds_for_one_moment),
        SPEC(a_fallback_takes_what_nobody_forbids),
        SPEC(what_another_url_says_is_not_said_of_this_one),
        SPEC(an_etag_or_a_date_of_change_revalidates),
        SPEC(what_is_good_for_nothing_has_ended),
        SPEC(the_end_is_that_of_the_longest_use),
        SPEC(what_must_be_revalidated_ends_with_its_freshness),
        SPEC(the_end_saturates),
    };
    return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
