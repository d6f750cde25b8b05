#include "base/kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void kinds_have_the_words_of_the_contract(void **state)
{
    (void)state;
    const char *const words[] = {
        "resolve",   "connect",      "tls",      "timeout",      "reset",         "protocol",
        "too_large", "breaker_open", "gate",     "rate_limited", "bulkhead_full", "deadline",
        "cancelled", "redirect",     "conflict", "store",        "phase",         "error"};
    assert_int_equal(sizeof words / sizeof *words, NEAP_KIND_COUNT - 1);
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++)
        assert_string_equal(neap_kind_name((enum neap_kind)kind), words[kind - 1]);
}

static void phases_have_the_words_of_the_contract(void **state)
{
    (void)state;
    const char *const words[] = {"connect", "write", "read", "attempt", "total"};
    assert_int_equal(sizeof words / sizeof *words, NEAP_PHASE_COUNT - 1);
    for (int phase = 1; phase < NEAP_PHASE_COUNT; phase++)
        assert_string_equal(neap_phase_name((enum neap_phase)phase), words[phase - 1]);
}

static void none_and_what_is_out_of_range_have_no_name(void **state)
{
    (void)state;
    assert_null(neap_kind_name(NEAP_KIND_NONE));
    assert_null(neap_kind_name(NEAP_KIND_COUNT));
    assert_null(neap_phase_name(NEAP_PHASE_NONE));
    assert_null(neap_phase_name(NEAP_PHASE_COUNT));
}

static void names_lead_back(void **state)
{
    (void)state;
    for (int kind = 1; kind < NEAP_KIND_COUNT; kind++)
        assert_int_equal(neap_kind_from_name(neap_kind_name((enum neap_kind)kind)), kind);
    for (int phase = 1; phase < NEAP_PHASE_COUNT; phase++)
        assert_int_equal(neap_phase_from_name(neap_phase_name((enum neap_phase)phase)), phase);
}

static void an_unknown_name_is_none(void **state)
{
    (void)state;
    assert_int_equal(neap_kind_from_name(""), NEAP_KIND_NONE);
    assert_int_equal(neap_kind_from_name("Timeout"), NEAP_KIND_NONE);
    assert_int_equal(neap_phase_from_name("timeout"), NEAP_PHASE_NONE);
}

static void refusals_are_those_that_neap_makes_itself(void **state)
{
    (void)state;
    const bool is_refusal[NEAP_KIND_COUNT] = {
        [NEAP_KIND_BREAKER_OPEN] = true, [NEAP_KIND_GATE] = true,
        [NEAP_KIND_RATE_LIMITED] = true, [NEAP_KIND_BULKHEAD_FULL] = true,
        [NEAP_KIND_DEADLINE] = true,
    };
    for (int kind = 0; kind < NEAP_KIND_COUNT; kind++)
        assert_int_equal(neap_kind_is_refusal((enum neap_kind)kind), is_refusal[kind]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_the_words_of_the_contract),
        cmocka_unit_test(phases_have_the_words_of_the_contract),
        cmocka_unit_test(none_and_what_is_out_of_range_have_no_name),
        cmocka_unit_test(names_lead_back),
        cmocka_unit_test(an_unknown_name_is_none),
        cmocka_unit_test(refusals_are_those_that_neap_makes_itself),
    };
    return cmocka_run_group_tests_name("kind", tests, NULL, NULL);
}
