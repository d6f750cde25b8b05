#include "pipeline/classify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum neap_verdict verdict_of_status(int status)
{
    return neap_classify_verdict(&(struct neap_outcome){.status = status});
}

static enum neap_verdict verdict_of_kind(enum neap_kind kind)
{
    return neap_classify_verdict(&(struct neap_outcome){.kind = kind});
}

static void the_breaker_counts_500_502_503_504_as_failures(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        bool failure = status == 500 || status == 502 || status == 503 || status == 504;
        enum neap_verdict expected = failure         ? NEAP_VERDICT_FAILURE
                                     : status == 429 ? NEAP_VERDICT_IGNORE
                                                     : NEAP_VERDICT_SUCCESS;
        assert_int_equal(verdict_of_status(status), expected);
    }
}

static void the_breaker_counts_errors_and_ignores_what_is_neaps_own(void **state)
{
    (void)state;
    assert_int_equal(verdict_of_kind(NEAP_KIND_RESOLVE), NEAP_VERDICT_FAILURE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_TIMEOUT), NEAP_VERDICT_FAILURE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_RESET), NEAP_VERDICT_FAILURE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_ERROR), NEAP_VERDICT_FAILURE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_CANCELLED), NEAP_VERDICT_IGNORE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_BREAKER_OPEN), NEAP_VERDICT_IGNORE);
    assert_int_equal(verdict_of_kind(NEAP_KIND_GATE), NEAP_VERDICT_IGNORE);
}

static void our_own_want_of_memory_says_nothing_of_the_server(void **state)
{
    const struct neap_outcome starved = {.kind = NEAP_KIND_ERROR, .ours = true, .unsent = true};
    (void)state;
    assert_int_equal(neap_classify_verdict(&starved), NEAP_VERDICT_IGNORE);
    assert_true(neap_classify_allows_stale(&starved));
    assert_true(neap_classify_is_failure(&starved));
    assert_true(neap_classify_is_retryable(&starved, false));
}

static void fallbacks_run_for_errors_and_failing_statuses(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        bool expected = status == 408 || status == 425 || status == 429 || status >= 500;
        struct neap_outcome outcome = {.status = status};
        assert_int_equal(neap_classify_is_failure(&outcome), expected);
    }
    assert_true(neap_classify_is_failure(&(struct neap_outcome){.kind = NEAP_KIND_TOO_LARGE}));
}

static void an_error_is_worth_repeating_only_where_it_is_safe(void **state)
{
    (void)state;
    struct neap_outcome reset = {.kind = NEAP_KIND_RESET};
    struct neap_outcome refused = {.kind = NEAP_KIND_CONNECT, .unsent = true};
    struct neap_outcome certificate = {.kind = NEAP_KIND_TLS, .certificate = true, .unsent = true};
    struct neap_outcome open = {.kind = NEAP_KIND_BREAKER_OPEN};
    struct neap_outcome large = {.kind = NEAP_KIND_TOO_LARGE};
    assert_true(neap_classify_is_retryable(&reset, true));
    assert_false(neap_classify_is_retryable(&reset, false));
    assert_true(neap_classify_is_retryable(&refused, false));
    assert_false(neap_classify_is_retryable(&certificate, true));
    assert_true(neap_classify_is_retryable(&open, false));
    assert_false(neap_classify_is_retryable(&large, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_breaker_counts_500_502_503_504_as_failures),
        cmocka_unit_test(the_breaker_counts_errors_and_ignores_what_is_neaps_own),
        cmocka_unit_test(our_own_want_of_memory_says_nothing_of_the_server),
        cmocka_unit_test(fallbacks_run_for_errors_and_failing_statuses),
        cmocka_unit_test(an_error_is_worth_repeating_only_where_it_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
