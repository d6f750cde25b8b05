#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/chaos.h"

static void it_strikes_below_its_rate(void **state)
{
    const struct neap_chaos_policy policy = {.rate = 0.25};
    (void)state;
    assert_true(neap_chaos_strikes(&policy, 0));
    assert_true(neap_chaos_strikes(&policy, 0.2499999));
    assert_false(neap_chaos_strikes(&policy, 0.25));
    assert_false(neap_chaos_strikes(&policy, 0.9999999));
}

static void a_rate_of_1_strikes_always(void **state)
{
    const struct neap_chaos_policy policy = {.rate = 1};
    (void)state;
    assert_true(neap_chaos_strikes(&policy, 0));
    assert_true(neap_chaos_strikes(&policy, 0.9999999999999999));
}

static void only_latency_leaves_the_attempt_in_place(void **state)
{
    const struct neap_chaos_policy late = {.rate = 1, .latency_ns = 1},
                                   error = {.rate = 1, .error = NEAP_KIND_RESET},
                                   status = {.rate = 1, .latency_ns = 1, .status = 503};
    (void)state;
    assert_false(neap_chaos_replaces(&late));
    assert_true(neap_chaos_replaces(&error));
    assert_true(neap_chaos_replaces(&status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_strikes_below_its_rate),
        cmocka_unit_test(a_rate_of_1_strikes_always),
        cmocka_unit_test(only_latency_leaves_the_attempt_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
