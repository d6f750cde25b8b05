#include "platform/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/duration.h"

static void the_monotonic_clock_never_steps_back(void **state)
{
    (void)state;
    int64_t last_ns = neap_clock_monotonic_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t now_ns = neap_clock_monotonic_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

static void the_monotonic_clock_moves(void **state)
{
    (void)state;
    int64_t start_ns = neap_clock_monotonic_ns();
    int rounds = 0;
    while (neap_clock_monotonic_ns() == start_ns)
        assert_true(rounds++ < 100000000);
}

static void the_wall_clock_agrees_with_the_c_library(void **state)
{
    (void)state;
    int64_t before_s = time(NULL);
    int64_t now_s = neap_clock_wall_ns() / NEAP_SECOND;
    assert_in_range(now_s, before_s - 1, before_s + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_never_steps_back),
        cmocka_unit_test(the_monotonic_clock_moves),
        cmocka_unit_test(the_wall_clock_agrees_with_the_c_library),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
