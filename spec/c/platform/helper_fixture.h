/* A helper with errands that note what becomes of them. */
#ifndef NEAP_SPEC_PLATFORM_HELPER_FIXTURE_H
#define NEAP_SPEC_PLATFORM_HELPER_FIXTURE_H

#include "platform/helper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/duration.h"
#include "platform/clock.h"
#include "support/child.h"
#include "support/failing_alloc.h"
#include "support/visitor.h"

#define ERRANDS 1000
#define LIMIT_MS 20000

/* Assertions are for the main thread: the helper's notes what it sees. */
struct work {
    struct neap_errand errand; /* first */
    struct neap_helper *helper;
    struct neap_loop_timer timer;
    struct work *next; /* posted when this one is back */
    int number;
    int64_t returned_ns;
};

static struct failing_alloc memory;
static struct neap_helper *helper;
static struct work work[ERRANDS];
static int run_order[ERRANDS]; /* the helper thread's, until they are back */
static _Atomic int runs;
static int back_order[ERRANDS], backs;
static int descriptors;

static void run(struct neap_errand *errand)
{
    struct work *done = (struct work *)errand;
    run_order[runs++ % ERRANDS] = done->number;
    done->returned_ns = neap_clock_monotonic_ns();
    neap_helper_return(done->helper, errand);
}

static void back(struct neap_errand *errand)
{
    struct work *done = (struct work *)errand;
    back_order[backs++ % ERRANDS] = done->number;
    if (done->next)
        neap_helper_post(done->helper, &done->next->errand);
}

static int set_up(void **state)
{
    (void)state;
    descriptors = open_descriptors();
    failing_alloc_init(&memory);
    backs = 0;
    runs = 0;
    for (int i = 0; i < ERRANDS; i++)
        work[i] = (struct work){.errand = {.run = run, .back = back}, .number = i};
    assert_int_equal(neap_helper_new(&memory.alloc, &helper), NEAP_OK);
    for (int i = 0; i < ERRANDS; i++)
        work[i].helper = helper;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    neap_helper_free(helper);
    helper = NULL;
    failing_alloc_assert_all_freed(&memory);
    assert_int_equal(open_descriptors(), descriptors);
    return 0;
}

static void start(void)
{
    assert_int_equal(neap_helper_start(helper), NEAP_OK);
}

static void post(struct work *errand)
{
    neap_helper_post(errand->helper, &errand->errand);
}

static bool wait_for(int visitor, int count)
{
    while (backs < count) {
        if (neap_helper_collect(helper) || !neap_helper_arm(helper))
            continue;
        if (!hears(visitor, LIMIT_MS))
            return false;
        count_rings(visitor);
    }
    return true;
}

static void wait_until_back(int count)
{
    int visitor = visit(neap_helper_doorbell(helper));
    assert_true(visitor >= 0);
    assert_true(wait_for(visitor, count));
    close(visitor);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
