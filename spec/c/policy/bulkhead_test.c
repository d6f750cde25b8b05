#include "policy/bulkhead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/duration.h"

static const struct neap_bulkhead_policy policy = {.max_concurrent = 3};
static struct neap_bulkhead *bulkhead;

static int set_up(void **state)
{
    (void)state;
    bulkhead = malloc(neap_bulkhead_bytes(&policy));
    if (!bulkhead)
        return -1;
    neap_bulkhead_init(bulkhead, &policy);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bulkhead);
    return 0;
}

static int64_t acquire(void)
{
    struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, 5);
    assert_int_equal(answer.decision, NEAP_ADMIT);
    assert_int_equal(answer.until_ns, 5);
    assert_true(answer.permit > 0 && answer.permit < INT64_C(1) << 53);
    return answer.permit;
}

static void assert_refused(void)
{
    struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, 5);
    assert_int_equal(answer.decision, NEAP_REFUSE);
    assert_int_equal(answer.until_ns, NEAP_NEVER);
    assert_int_equal(answer.permit, 0);
}

static bool release(int64_t permit)
{
    return neap_bulkhead_release(bulkhead, &policy, permit);
}

static void as_many_as_allowed_go(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(neap_bulkhead_in_use(bulkhead), i);
        acquire();
    }
    assert_refused();
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 3);
}

static void permits_out_at_once_differ(void **state)
{
    (void)state;
    int64_t a = acquire(), b = acquire(), c = acquire();
    assert_true(a != b && b != c && a != c);
}

static void a_release_makes_room(void **state)
{
    (void)state;
    acquire();
    int64_t permit = acquire();
    acquire();
    assert_true(release(permit));
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 2);
    acquire();
    assert_refused();
}

static void a_permit_given_back_twice_changes_nothing(void **state)
{
    (void)state;
    int64_t permit = acquire();
    acquire();
    assert_true(release(permit));
    assert_false(release(permit));
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 1);
}

static void an_old_permit_does_not_release_its_slot_in_new_hands(void **state)
{
    (void)state;
    int64_t old = acquire();
    assert_true(release(old));
    for (int i = 0; i < 3; i++)
        acquire();
    assert_false(release(old));
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 3);
}

static void what_is_no_permit_changes_nothing(void **state)
{
    (void)state;
    int64_t permit = acquire();
    const int64_t wrong[] = {0,          1,           -1,        permit - 1,
                             permit + 1, permit + 2,  INT64_MAX, INT64_MIN,
                             -permit,    4 << 16 | 1, 1 << 16,   permit + (INT64_C(1) << 32)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(release(wrong[i]));
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 1);
    assert_true(release(permit));
}

static void no_permit_comes_again_soon(void **state)
{
    (void)state;
    int64_t first = acquire();
    assert_true(release(first));
    for (int i = 0; i < 3 * 32767; i++) {
        int64_t permit = acquire();
        assert_true(permit != first);
        assert_true(release(permit));
    }
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 0);
}

static void the_largest_bulkhead_works(void **state)
{
    (void)state;
    const struct neap_bulkhead_policy large = {.max_concurrent = NEAP_BULKHEAD_MAX};
    struct neap_bulkhead *all = malloc(neap_bulkhead_bytes(&large));
    assert_non_null(all);
    neap_bulkhead_init(all, &large);
    for (uint32_t i = 0; i < NEAP_BULKHEAD_MAX; i++) {
        struct neap_admission answer = neap_bulkhead_acquire(all, &large, 0);
        assert_int_equal(answer.decision, NEAP_ADMIT);
        assert_true(answer.permit > 0 && answer.permit < INT64_C(1) << 53);
    }
    assert_int_equal(neap_bulkhead_acquire(all, &large, 0).decision, NEAP_REFUSE);
    free(all);
}

static void it_is_small_and_a_multiple_of_8(void **state)
{
    (void)state;
    const struct neap_bulkhead_policy hundred = {.max_concurrent = 100};
    assert_in_range(neap_bulkhead_bytes(&hundred), 200, 256);
    for (uint32_t max = 1; max < 20; max++) {
        const struct neap_bulkhead_policy some = {.max_concurrent = max};
        assert_int_equal(neap_bulkhead_bytes(&some) % 8, 0);
    }
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(as_many_as_allowed_go),
        SPEC(permits_out_at_once_differ),
        SPEC(a_release_makes_room),
        SPEC(a_permit_given_back_twice_changes_nothing),
        SPEC(an_old_permit_does_not_release_its_slot_in_new_hands),
        SPEC(what_is_no_permit_changes_nothing),
        SPEC(no_permit_comes_again_soon),
        SPEC(the_largest_bulkhead_works),
        SPEC(it_is_small_and_a_multiple_of_8),
    };
    return cmocka_run_group_tests_name("bulkhead", tests, NULL, NULL);
}
