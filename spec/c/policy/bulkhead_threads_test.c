#include "policy/bulkhead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/threads.h"

#define THREADS 8
#define ROUNDS 20000
#define MAX 5u

static const struct neap_bulkhead_policy policy = {.max_concurrent = MAX};
static struct neap_bulkhead *bulkhead;
static _Atomic uint32_t inside, most_inside, holders_of_slot[MAX + 1];
static _Atomic uint64_t admitted, errors;

static void note_most(uint32_t now_inside)
{
    uint32_t seen = atomic_load(&most_inside);
    while (seen < now_inside && !atomic_compare_exchange_weak(&most_inside, &seen, now_inside))
        ;
}

static void use(int64_t permit)
{
    _Atomic uint32_t *holders = &holders_of_slot[permit >> 32];
    note_most(atomic_fetch_add(&inside, 1) + 1);
    if (atomic_fetch_add(holders, 1) != 0)
        atomic_fetch_add(&errors, 1);
    atomic_fetch_sub(holders, 1);
    atomic_fetch_sub(&inside, 1);
}

static void *hammer(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, 0, 0);
        if (answer.decision != NEAP_ADMIT)
            continue;
        use(answer.permit);
        atomic_fetch_add(&admitted, 1);
        if (!neap_bulkhead_release(bulkhead, &policy, answer.permit))
            atomic_fetch_add(&errors, 1);
        if (neap_bulkhead_in_use(bulkhead, &policy) > MAX)
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static void never_more_inside_than_allowed_and_none_lost(void **state)
{
    (void)state;
    threads_run(THREADS, hammer);
    assert_int_equal(errors, 0);
    assert_in_range(most_inside, 1, MAX);
    assert_true(admitted >= ROUNDS / 10);
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 0);
    for (uint32_t i = 0; i < MAX; i++)
        assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0, 0).decision, NEAP_ADMIT);
    assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0, 0).decision, NEAP_REFUSE);
}

static _Atomic uint32_t released;
static int64_t shared_permit;

static void *release_shared(void *unused)
{
    (void)unused;
    if (neap_bulkhead_release(bulkhead, &policy, shared_permit))
        atomic_fetch_add(&released, 1);
    return NULL;
}

static void of_many_who_give_back_one_permit_one_succeeds(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 100; i++) {
        shared_permit = neap_bulkhead_acquire(bulkhead, &policy, 0, 0).permit;
        threads_run(THREADS, release_shared);
        assert_int_equal(released, i);
        assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 0);
    }
}

/* Every second thread is a process that is killed again and again, and found dead; then its number
 * is free for the next. */
static void *live_or_die(void *number)
{
    uint32_t holder = 1 + (uint32_t) * (const int *)number;
    bool dies = holder % 2;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t permit = 0;
        uint32_t out = 0;
        for (int k = 0; k < 2; k++) {
            struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, holder, 0);
            if (answer.decision != NEAP_ADMIT)
                continue;
            use(answer.permit);
            if (!dies && !neap_bulkhead_release(bulkhead, &policy, answer.permit))
                atomic_fetch_add(&errors, 1);
            permit = answer.permit;
            out++;
        }
        atomic_fetch_add(&admitted, out);
        if (!dies)
            continue;
        if (neap_bulkhead_reclaim(bulkhead, &policy, holder) != out)
            atomic_fetch_add(&errors, 1);
        if (out && neap_bulkhead_release(bulkhead, &policy, permit))
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static void assert_all_places_are_to_be_had(void)
{
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 0);
    for (uint32_t i = 0; i < MAX; i++)
        assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0, 0).decision, NEAP_ADMIT);
    assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0, 0).decision, NEAP_REFUSE);
}

static void reclaim_is_exact_while_others_come_and_go(void **state)
{
    (void)state;
    threads_run(THREADS, live_or_die);
    assert_int_equal(errors, 0);
    assert_in_range(most_inside, 1, MAX);
    assert_true(admitted >= ROUNDS / 10);
    assert_all_places_are_to_be_had();
}

static int64_t held[MAX];

/* Some give back what they hold, others reclaim it, all at once. */
static void *release_or_reclaim(void *number)
{
    int which = *(const int *)number;
    if (which % 2) {
        atomic_fetch_add(&released, neap_bulkhead_reclaim(bulkhead, &policy, 9));
        return NULL;
    }
    for (uint32_t i = 0; i < MAX; i++)
        if (neap_bulkhead_release(bulkhead, &policy, held[i]))
            atomic_fetch_add(&released, 1);
    return NULL;
}

static void each_permit_comes_back_once_however_many_try(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        released = 0;
        for (uint32_t k = 0; k < MAX; k++)
            held[k] = neap_bulkhead_acquire(bulkhead, &policy, 9, 0).permit;
        threads_run(THREADS, release_or_reclaim);
        assert_int_equal(released, MAX);
    }
    assert_all_places_are_to_be_had();
}

/* Two places are out for good, the others change hands: whoever asks when its own is back must get
 * one, or a refusal has lied. */
static void *take_and_give_back(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t permit = neap_bulkhead_acquire(bulkhead, &policy, 1, 0).permit;
        if (!permit || !neap_bulkhead_release(bulkhead, &policy, permit))
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static void nobody_is_refused_while_a_place_is_free(void **state)
{
    (void)state;
    (void)neap_bulkhead_acquire(bulkhead, &policy, 0, 0);
    (void)neap_bulkhead_acquire(bulkhead, &policy, 0, 0);
    threads_run(3, take_and_give_back);
    assert_int_equal(errors, 0);
    assert_int_equal(neap_bulkhead_in_use(bulkhead, &policy), 2);
}

static int set_up(void **state)
{
    (void)state;
    inside = most_inside = released = 0;
    admitted = errors = 0;
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

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(never_more_inside_than_allowed_and_none_lost),
        SPEC(of_many_who_give_back_one_permit_one_succeeds),
        SPEC(reclaim_is_exact_while_others_come_and_go),
        SPEC(each_permit_comes_back_once_however_many_try),
        SPEC(nobody_is_refused_while_a_place_is_free),
    };
    return cmocka_run_group_tests_name("bulkhead_threads", tests, NULL, NULL);
}
