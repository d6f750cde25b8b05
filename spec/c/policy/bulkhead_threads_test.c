#include "policy/bulkhead.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

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
    _Atomic uint32_t *holders = &holders_of_slot[permit >> 16];
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
        struct neap_admission answer = neap_bulkhead_acquire(bulkhead, &policy, 0);
        if (answer.decision != NEAP_ADMIT)
            continue;
        use(answer.permit);
        atomic_fetch_add(&admitted, 1);
        if (!neap_bulkhead_release(bulkhead, &policy, answer.permit))
            atomic_fetch_add(&errors, 1);
        if (neap_bulkhead_in_use(bulkhead) > MAX)
            atomic_fetch_add(&errors, 1);
    }
    return NULL;
}

static void run(void *(*work)(void *), void *argument)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, argument), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void never_more_inside_than_allowed_and_none_lost(void **state)
{
    (void)state;
    run(hammer, NULL);
    assert_int_equal(errors, 0);
    assert_in_range(most_inside, 1, MAX);
    assert_true(admitted >= ROUNDS / 10);
    assert_int_equal(neap_bulkhead_in_use(bulkhead), 0);
    for (uint32_t i = 0; i < MAX; i++)
        assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0).decision, NEAP_ADMIT);
    assert_int_equal(neap_bulkhead_acquire(bulkhead, &policy, 0).decision, NEAP_REFUSE);
}

static _Atomic uint32_t released;

static void *release_shared(void *permit)
{
    if (neap_bulkhead_release(bulkhead, &policy, *(const int64_t *)permit))
        atomic_fetch_add(&released, 1);
    return NULL;
}

static void of_many_who_give_back_one_permit_one_succeeds(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 100; i++) {
        int64_t permit = neap_bulkhead_acquire(bulkhead, &policy, 0).permit;
        run(release_shared, &permit);
        assert_int_equal(released, i);
        assert_int_equal(neap_bulkhead_in_use(bulkhead), 0);
    }
}

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

#define SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEC(never_more_inside_than_allowed_and_none_lost),
        SPEC(of_many_who_give_back_one_permit_one_succeeds),
    };
    return cmocka_run_group_tests_name("bulkhead_threads", tests, NULL, NULL);
}
