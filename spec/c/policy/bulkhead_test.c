#include "policy/bulkhead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"
#include "base/holder.h"

static const struct neap_bulkhead_policy policy = {.max_concurrent = 3};
static struct neap_bulkhead *bulkhead;
static uint32_t holder; /* in whose name `acquire` asks */

static int set_up(void **state)
{
    (void)state;
    bulkhead = malloc(neap_bulkhead_bytes(&policy));
    if (!bulkhead)
        return -1;
    neap_bulkhead_init(bulkhead, &policy);
    holder = 0;
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
    struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, holder, 5);
    assert_int_equal(answer.decision, NEAP_ADMIT);
    assert_int_equal(answer.until_ns, 5);
    assert_true(answer.permit > 0 && answer.permit < INT64_C(1) << 53);
    return answer.permit;
}

static void assert_refused(void)
{
    struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, holder, 5);
    assert_int_equal(answer.decision, NEAP_REFUSE);
    assert_int_equal(answer.until_ns, NEAP_NEVER);
    assert_int_equal(answer.permit, 0);
}

static bool release(int64_t permit)
{
    return neap_bulkhead_release(bulkhead, &policy, permit);
}

static int64_t acquire_as(uint32_t number)
{
    holder = number;
    return acquire();
}

static uint32_t reclaim(uint32_t number)
{
    return neap_bulkhead_reclaim(bulkhead, &policy, number);
}

static void assert_in_use(uint32_t expected)
{
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), expected);
}

static void as_many_as_allowed_go(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), i);
        acquire();
    }
    assert_refused();
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 3);
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
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 2);
    acquire();
    assert_refused();
}

static void a_permit_names_its_place(void **state)
{
    (void)state;
    bool is_taken[3] = {false};
    for (int i = 0; i < 3; i++) {
        uint32_t place = neap_bulkhead_place(acquire());
        assert_in_range(place, 0, 2);
        assert_false(is_taken[place]);
        is_taken[place] = true;
    }
}

static void a_permit_given_back_twice_changes_nothing(void **state)
{
    (void)state;
    int64_t permit = acquire();
    acquire();
    assert_true(release(permit));
    assert_false(release(permit));
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 1);
}

static void an_old_permit_does_not_release_its_slot_in_new_hands(void **state)
{
    (void)state;
    int64_t old = acquire();
    assert_true(release(old));
    for (int i = 0; i < 3; i++)
        acquire();
    assert_false(release(old));
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 3);
}

static void what_is_no_permit_changes_nothing(void **state)
{
    (void)state;
    int64_t permit = acquire();
    const int64_t wrong[] = {0,
                             1,
                             -1,
                             permit - 1,
                             permit + 1,
                             permit + 2,
                             INT64_MAX,
                             INT64_MIN,
                             -permit,
                             INT64_C(4) << 32 | 1,
                             INT64_C(1) << 32,
                             permit + (INT64_C(1) << 32),
                             permit + (1 << 9),
                             permit + (1 << 1)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(release(wrong[i]));
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 1);
    assert_true(release(permit));
}

static void no_permit_comes_again_soon(void **state)
{
    (void)state;
    int64_t first = acquire();
    assert_true(release(first));
    for (int i = 0; i < 1000000; i++) {
        int64_t permit = acquire();
        assert_true(permit != first);
        assert_true(release(permit));
    }
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 0);
}

static void the_largest_bulkhead_works(void **state)
{
    (void)state;
    const struct neap_bulkhead_policy large = {.max_concurrent = NEAP_BULKHEAD_MAX};
    struct neap_bulkhead *all = malloc(neap_bulkhead_bytes(&large));
    assert_non_null(all);
    neap_bulkhead_init(all, &large);
    for (uint32_t i = 0; i < NEAP_BULKHEAD_MAX; i++) {
        struct neap_admission answer = neap_bulkhead_acquire(all, &large, 0, 0);
        assert_int_equal(answer.decision, NEAP_ADMIT);
        assert_true(answer.permit > 0 && answer.permit < INT64_C(1) << 53);
    }
    assert_int_equal(neap_bulkhead_acquire(all, &large, 0, 0).decision, NEAP_REFUSE);
    assert_int_equal(neap_bulkhead_reclaim(all, &large, 0), NEAP_BULKHEAD_MAX);
    assert_int_equal(neap_bulkhead_in_use(all, &large), 0);
    free(all);
}

static void it_is_small_and_a_multiple_of_8(void **state)
{
    (void)state;
    const struct neap_bulkhead_policy hundred = {.max_concurrent = 100};
    assert_int_equal(neap_bulkhead_bytes(&hundred), 424);
    for (uint32_t max = 1; max < 20; max++) {
        const struct neap_bulkhead_policy some = {.max_concurrent = max};
        assert_int_equal(neap_bulkhead_bytes(&some) % 8, 0);
    }
}

/* ---- holders ---- */

static void reclaim_gives_back_what_that_holder_has_and_no_more(void **state)
{
    (void)state;
    acquire_as(7);
    int64_t other = acquire_as(NEAP_HOLDER_MAX);
    acquire_as(7);
    assert_int_equal(reclaim(0), 0);
    assert_int_equal(reclaim(6), 0);
    assert_int_equal(reclaim(7), 2);
    assert_in_use(1);
    assert_int_equal(reclaim(7), 0);
    assert_true(release(other));
    assert_int_equal(reclaim(NEAP_HOLDER_MAX), 0);
    assert_in_use(0);
}

static void a_late_release_of_what_was_reclaimed_changes_nothing(void **state)
{
    (void)state;
    int64_t late[] = {acquire_as(7), acquire_as(7), acquire_as(7)};
    assert_int_equal(reclaim(7), 3);
    for (int i = 0; i < 3; i++)
        assert_false(release(late[i]));
    for (int i = 0; i < 3; i++)
        acquire_as(i < 2 ? 7 : 8);
    for (int i = 0; i < 3; i++)
        assert_false(release(late[i]));
    assert_in_use(3);
}

static void what_is_reclaimed_makes_room_for_others(void **state)
{
    (void)state;
    acquire_as(1);
    acquire_as(1);
    acquire_as(2);
    assert_refused();
    assert_int_equal(reclaim(1), 2);
    acquire_as(3);
    acquire_as(3);
    assert_refused();
    assert_in_use(3);
}

static void permits_of_every_holder_come_back(void **state)
{
    (void)state;
    for (uint32_t number = 0; number <= NEAP_HOLDER_MAX; number++) {
        int64_t permit = acquire_as(number);
        acquire();
        assert_true(release(permit));
        assert_int_equal(reclaim(number), 1);
    }
    assert_in_use(0);
}

/* ---- killed at any instruction ---- */

#define WORDS_MAX 16

struct image {
    uint32_t word[WORDS_MAX];
};

static struct image take_image(void)
{
    struct image image = {{0}};
    assert_true(neap_bulkhead_bytes(&policy) <= sizeof image);
    memcpy(&image, bulkhead, neap_bulkhead_bytes(&policy));
    return image;
}

static void put_image(const struct image *image)
{
    memcpy(bulkhead, image, neap_bulkhead_bytes(&policy));
}

/* What memory is if of the words that a step changed only those of `subset` had been written: each
 * state in which a killed process can leave it is among them. False where there are no more. */
static bool put_part(const struct image *before, const struct image *after, unsigned subset)
{
    struct image part = *before;
    unsigned changed = 0;
    for (int i = 0; i < WORDS_MAX; i++) {
        if (before->word[i] == after->word[i])
            continue;
        if (subset >> changed & 1)
            part.word[i] = after->word[i];
        changed++;
    }
    put_image(&part);
    return subset < 1u << changed;
}

static void assert_room_for(uint32_t places)
{
    for (uint32_t i = 0; i < places; i++)
        acquire_as(2);
    assert_refused();
    assert_in_use(3);
    assert_int_equal(reclaim(2), places);
}

static void assert_nothing_stays_of(const struct image *before, const struct image *after,
                                    uint32_t places)
{
    for (unsigned subset = 0; put_part(before, after, subset); subset++) {
        reclaim(1);
        assert_room_for(places);
    }
}

static void who_dies_while_acquiring_leaves_nothing(void **state)
{
    (void)state;
    for (uint32_t others = 0; others < 3; others++) {
        assert_int_equal(reclaim(3), others ? others - 1 : 0);
        for (uint32_t i = 0; i < others; i++)
            acquire_as(3);
        struct image before = take_image();
        acquire_as(1);
        struct image after = take_image();
        assert_nothing_stays_of(&before, &after, 3 - others);
    }
}

static void who_dies_while_being_refused_leaves_nothing(void **state)
{
    (void)state;
    acquire_as(3);
    acquire_as(1);
    acquire_as(1);
    struct image before = take_image();
    assert_refused();
    struct image after = take_image();
    assert_nothing_stays_of(&before, &after, 2);
}

static void who_dies_while_giving_back_leaves_nothing(void **state)
{
    (void)state;
    acquire_as(3);
    acquire_as(3);
    int64_t permit = acquire_as(1);
    assert_refused();
    struct image before = take_image();
    assert_true(release(permit));
    struct image after = take_image();
    assert_nothing_stays_of(&before, &after, 1);
}

static void who_dies_while_reclaiming_leaves_the_rest_to_the_next(void **state)
{
    (void)state;
    acquire_as(1);
    acquire_as(3);
    acquire_as(1);
    assert_refused();
    struct image before = take_image();
    assert_int_equal(reclaim(1), 2);
    struct image after = take_image();
    assert_nothing_stays_of(&before, &after, 2);
}

/* Free though the hint says full: killed between the two, and nobody has reclaimed yet. */
static void a_free_place_is_found_without_a_reclaim(void **state)
{
    (void)state;
    int64_t permit[] = {acquire_as(1), acquire_as(1), acquire_as(1)};
    assert_refused();
    struct image full = take_image();
    for (int i = 0; i < 3; i++) {
        put_image(&full);
        assert_true(release(permit[i]));
        struct image freed = take_image();
        for (unsigned subset = 0; put_part(&full, &freed, subset); subset++) {
            if (neap_bulkhead_in_use(bulkhead, &policy) == 3)
                continue;
            int asked = 1;
            while (asked < 4 &&
                   neap_bulkhead_acquire(bulkhead, &policy, 2, 5).decision != NEAP_ADMIT)
                asked++;
            assert_in_range(asked, 1, 3);
            assert_refused();
        }
    }
}

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(as_many_as_allowed_go),
        SPEC(permits_out_at_once_differ),
        SPEC(a_release_makes_room),
        SPEC(a_permit_names_its_place),
        SPEC(a_permit_given_back_twice_changes_nothing),
        SPEC(an_old_permit_does_not_release_its_slot_in_new_hands),
        SPEC(what_is_no_permit_changes_nothing),
        SPEC(no_permit_comes_again_soon),
        SPEC(the_largest_bulkhead_works),
        SPEC(it_is_small_and_a_multiple_of_8),
        SPEC(reclaim_gives_back_what_that_holder_has_and_no_more),
        SPEC(a_late_release_of_what_was_reclaimed_changes_nothing),
        SPEC(what_is_reclaimed_makes_room_for_others),
        SPEC(permits_of_every_holder_come_back),
        SPEC(who_dies_while_acquiring_leaves_nothing),
        SPEC(who_dies_while_being_refused_leaves_nothing),
        SPEC(who_dies_while_giving_back_leaves_nothing),
        SPEC(who_dies_while_reclaiming_leaves_the_rest_to_the_next),
        SPEC(a_free_place_is_found_without_a_reclaim),
    };
    return cmocka_run_group_tests_name("bulkhead", tests, NULL, NULL);
}
