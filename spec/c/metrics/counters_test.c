#include "metrics/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_retry_reason_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 1; i < NEAP_RETRY_REASON_COUNT; i++) {
        const char *name = neap_retry_reason_name((enum neap_retry_reason)i);
        assert_non_null(name);
        for (int j = 1; j < i; j++)
            assert_string_not_equal(name, neap_retry_reason_name((enum neap_retry_reason)j));
    }
    assert_null(neap_retry_reason_name(NEAP_RETRY_REASON_COUNT));
}

static const char *reason(enum neap_kind kind, int status)
{
    struct neap_outcome outcome = {.kind = kind, .status = status};
    return neap_retry_reason_name(neap_retry_reason_of(&outcome));
}

static void a_retry_is_named_after_its_kind_or_status(void **state)
{
    (void)state;
    assert_string_equal(reason(NEAP_KIND_TIMEOUT, 0), "timeout");
    assert_string_equal(reason(NEAP_KIND_NONE, 503), "503");
    assert_string_equal(reason(NEAP_KIND_NONE, 401), "401");
    assert_string_equal(reason(NEAP_KIND_NONE, 418), "other");
}

static void every_source_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < NEAP_SOURCE_COUNT; i++)
        assert_non_null(neap_source_name((enum neap_source)i));
    assert_null(neap_source_name(NEAP_SOURCE_COUNT));
}

static void everything_that_a_cache_does_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < NEAP_CACHE_EVENT_COUNT; i++)
        assert_non_null(neap_cache_event_name((enum neap_cache_event)i));
    assert_null(neap_cache_event_name(NEAP_CACHE_EVENT_COUNT));
}

static void counters_begin_at_zero(void **state)
{
    (void)state;
    struct neap_counters counters;
    struct neap_histogram_snapshot latency;
    memset(&counters, 0xff, sizeof counters);
    neap_counters_init(&counters);
    neap_histogram_read(&counters.latency, &latency);
    assert_int_equal(counters.calls, 0);
    assert_int_equal(latency.count, 0);
    neap_count(&counters.calls);
    assert_int_equal(counters.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_retry_reason_has_a_name_of_its_own),
        cmocka_unit_test(a_retry_is_named_after_its_kind_or_status),
        cmocka_unit_test(every_source_has_a_name),
        cmocka_unit_test(everything_that_a_cache_does_has_a_name),
        cmocka_unit_test(counters_begin_at_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
